// SPDX-License-Identifier: BSD-3-Clause
// Errors: the first one found, with its place, in words; and the memory of a tree.
#include "lib/expr/internal.h"
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 4096

struct expr_chunk {
	struct expr_chunk *next;
	size_t used, size;
	max_align_t data[];
};

void *expr_alloc(struct expr_parser *p, size_t size)
{
	struct expr_arena *arena = &p->tree->arena;
	struct expr_chunk *c = arena->chunks;
	void *out;

	size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	if (!c || c->size - c->used < size) {
		size_t room = size > CHUNK ? size : CHUNK;

		c = calloc(1, sizeof(*c) + room);
		if (!c) {
			p->no_memory = true;
			return NULL;
		}
		c->size = room;
		c->next = arena->chunks;
		arena->chunks = c;
	}
	out = (char *)c->data + c->used;
	c->used += size;
	return out;
}

void expr_arena_free(struct expr_arena *arena)
{
	while (arena->chunks) {
		struct expr_chunk *c = arena->chunks;

		arena->chunks = c->next;
		free(c);
	}
}

static void set_place(struct expr_parser *p, size_t offset, size_t length)
{
	struct expr_error *e = p->error;

	e->line = e->column = 1;
	e->offset = offset;
	e->length = length;
	for (size_t i = 0; i < offset; i++) {
		e->column++;
		if (p->text[i] == '\n') {
			e->line++;
			e->column = 1;
		}
	}
}

int expr_fail(struct expr_parser *p, size_t offset, size_t length, const char *fmt, ...)
{
	va_list ap;

	if (p->failed)
		return -EINVAL;
	p->failed = true;
	set_place(p, offset, length);
	va_start(ap, fmt);
	vsnprintf(p->error->message, sizeof(p->error->message), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

const char *expr_show(const struct expr_parser *p, size_t from, size_t to, char *buf, size_t size)
{
	log_escape(buf, size, p->text + from, to - from);
	return buf;
}

/* What stands at the present place, as far as a person would call it one thing. */
static size_t token(const struct expr_parser *p)
{
	size_t n = expr_ident(p);
	unsigned char c = (unsigned char)p->text[p->pos];

	if (n)
		return n;
	if (c == '"') {
		for (n = 1; p->pos + n < p->len && p->text[p->pos + n] != '"' && p->text[p->pos + n] != '\n'; n++)
			;
		return n + (p->pos + n < p->len && p->text[p->pos + n] == '"');
	}
	while (p->pos + n < p->len && p->text[p->pos + n] && strchr("0123456789abcdefABCDEF.:/", p->text[p->pos + n]))
		n++;
	if (n)
		return n;
	for (n = 1; c >= 0xc0 && p->pos + n < p->len && (p->text[p->pos + n] & 0xc0) == 0x80; n++)
		;
	return n;
}

int expr_expected(struct expr_parser *p, const char *what)
{
	char found[80];
	size_t n;

	if (p->pos >= p->len)
		return expr_fail(p, p->len, 0, "expected %s, found the end", what);
	if (p->text[p->pos] == '\t')
		return expr_fail(p, p->pos, 1, "expected %s, found a tab, which is not white space here", what);
	n = token(p);
	return expr_fail(p, p->pos, n, "expected %s, found '%s'", what, expr_show(p, p->pos, p->pos + n, found, sizeof(found)));
}

void expr_error_line(const struct expr_error *error, char *buf, size_t size)
{
	snprintf(buf, size, "line %u, column %u: %s", error->line, error->column, error->message);
}

char *expr_error_caret(const struct expr_error *error, const char *text, size_t len)
{
	size_t start = error->offset, end = error->offset, width;
	char line[400], shown[1024], before[1024], under[1024], *out = NULL;

	while (start && text[start - 1] != '\n' && error->offset - start < 200)
		start--;
	while (end < len && text[end] != '\n' && end - error->offset < 80)
		end++;
	width = error->length > end - error->offset ? end - error->offset : error->length;
	expr_error_line(error, line, sizeof(line));
	log_escape(shown, sizeof(shown), text + start, end - start);
	log_escape(before, sizeof(before), text + start, error->offset - start);
	width = log_escape(under, sizeof(under), text + error->offset, width);
	memset(under, '^', width ? width : 1);
	under[width ? width : 1] = 0;
	return asprintf(&out, "%s\n  %s\n  %*s%s\n", line, shown, (int)strlen(before), "", under) < 0 ? NULL : out;
}
