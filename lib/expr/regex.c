// SPDX-License-Identifier: BSD-3-Clause
// Regular expressions by Hyperscan: unanchored, on bytes, no back references or look-around.
#include "lib/expr/internal.h"
#include "lib/log.h"

#include <errno.h>
#include <hs/hs.h>
#include <stdio.h>
#include <string.h>

/* "… at index 7." names the place in the pattern. */
static int refuse(struct expr_parser *p, size_t literal, const char *message)
{
	const char *at = strstr(message, " at index ");
	size_t index = 0, place = literal, length = p->pos - literal;
	char shown[200];

	if (at && sscanf(at, " at index %zu", &index) == 1) {
		place = expr_string_place(p, literal, index);
		length = 1;
		if (place >= p->pos)
			place = p->pos - 1;
	}
	log_escape(shown, sizeof(shown), message, strlen(message));
	return expr_fail(p, place, length, "regular expression: %s", shown);
}

int expr_regex_compile(struct expr_parser *p, struct expr_node *node, size_t literal)
{
	unsigned flags = HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY | (node->lhs->fold ? HS_FLAG_CASELESS : 0);
	const struct expr_bytes *b = &node->value.bytes;
	hs_compile_error_t *error = NULL;
	hs_database_t *db = NULL;
	size_t size = 0;
	char *pattern;
	int rc = 0;

	if (memchr(b->p, 0, b->n))
		return expr_fail(p, literal, p->pos - literal, "regular expression: a NUL byte is written \\x00 in a raw string");
	pattern = expr_alloc(p, b->n + 1);
	if (!pattern)
		return -ENOMEM;
	memcpy(pattern, b->p, b->n);
	if (hs_compile(pattern, flags, HS_MODE_BLOCK, NULL, &db, &error) != HS_SUCCESS) {
		rc = refuse(p, literal, error ? error->message : "cannot be compiled");
		hs_free_compile_error(error);
		return rc;
	}
	node->regex = db;
	node->regex_next = p->tree->regexes;
	p->tree->regexes = node;
	if (hs_database_size(db, &size) != HS_SUCCESS || size > EXPR_REGEX_MAX)
		return expr_fail(p, literal, p->pos - literal, "regular expression: larger than %u MiB when compiled", EXPR_REGEX_MAX >> 20);
	return 0;
}

void expr_regex_free(void *db)
{
	hs_free_database(db);
}

static int found(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *user)
{
	(void)id, (void)from, (void)to, (void)flags;
	*(bool *)user = true;
	return 1;
}

int expr_scratch_fit(const struct expr_node *node, void **scratch)
{
	int rc = 0;

	if (node->op == EXPR_CMP && node->cmp == EXPR_MATCHES)
		return hs_alloc_scratch(node->regex, (hs_scratch_t **)scratch) == HS_SUCCESS ? 0 : -ENOMEM;
	for (const struct expr_node *k = node->op == EXPR_CMP ? NULL : node->kids; !rc && k; k = k->next)
		rc = expr_scratch_fit(k, scratch);
	return rc;
}

void expr_scratch_free(void *scratch)
{
	hs_free_scratch(scratch);
}

int expr_regex_match(const void *db, void *scratch, const char *s, size_t n)
{
	hs_scratch_t *own = NULL;
	bool hit = false;
	hs_error_t rc;

	if (!scratch && hs_alloc_scratch(db, &own) != HS_SUCCESS)
		return -ENOMEM;
	rc = hs_scan(db, s, (unsigned)n, 0, scratch ? scratch : own, found, &hit);
	hs_free_scratch(own);
	if (rc != HS_SUCCESS && rc != HS_SCAN_TERMINATED)
		return -ENOMEM;
	return hit;
}
