// SPDX-License-Identifier: BSD-3-Clause
// Environments for tests, written as text: "net.dst.port=80 net.sni.domains=a,b net.sni.host=?" ('?' unseen, "@empty" an empty
// array, '+' a space; what is not named is missing), and two lists.
#ifndef SLUICE_LIB_EXPR_TEST_ENV_H
#define SLUICE_LIB_EXPR_TEST_ENV_H

#include "lib/expr/expr.h"

#include <stdlib.h>
#include <string.h>

struct test_env {
	struct expr_env env;
	struct expr_value values[EXPR_FIELD_COUNT][8];
	char *text;
};

static inline bool test_list_find(void *user, const char *name, struct expr_list *out)
{
	(void)user;
	if (!strcmp(name, "corp.net_1") || !strcmp(name, "01302951-49f9-47c9-a400-0297e60b6a10") ||
	    !strcmp(name, "0130295149f947c9a4000297e60b6a10")) {
		strcpy(out->id, "01302951-49f9-47c9-a400-0297e60b6a10");
		out->type = EXPR_LIST_IP;
		return true;
	}
	strcpy(out->id, "hosts-id");
	out->type = EXPR_LIST_DOMAIN;
	return !strcmp(name, "hosts");
}

static inline const char *test_list_name(void *user, size_t i)
{
	static const char *const names[] = {"corp.net_1", "hosts"};

	(void)user;
	return i < 2 ? names[i] : NULL;
}

static const struct expr_lists test_lists = {test_list_find, test_list_name, NULL};

/* The addresses of 10.0.0.0/8; the one host db.corp.example. */
static inline bool test_in_list(void *user, const struct expr_list *list, const struct expr_value *v)
{
	(void)user;
	if (list->type == EXPR_LIST_IP)
		return v->ip.family == 4 && v->ip.bytes[0] == 10;
	return v->bytes.n == 15 && !memcmp(v->bytes.p, "db.corp.example", 15);
}

static inline void test_env_value(struct expr_value *v, enum expr_kind kind, char *text)
{
	v->kind = kind;
	if (kind == EXPR_INT)
		v->i = atoi(text);
	else if (kind == EXPR_IP)
		(void)ip_addr_parse(text, &v->ip);
	else
		v->bytes = (struct expr_bytes){text, strlen(text)};
}

static inline void test_env_field(struct test_env *t, enum expr_field f, char *text)
{
	const struct expr_field_info *info = expr_field_info(f);
	struct expr_slot *slot = &t->env.slots[f];

	slot->v = t->values[f];
	slot->state = strcmp(text, "?") ? EXPR_KNOWN : EXPR_UNSEEN;
	for (char *c = text; *c; c++)
		*c = *c == '+' ? ' ' : *c;
	if (!strcmp(text, "@empty"))
		return;
	while (text && slot->n < 8) {
		char *more = info->array ? strchr(text, ',') : NULL;

		if (more)
			*more++ = 0;
		test_env_value(&t->values[f][slot->n++], info->kind, text);
		text = more;
	}
}

static inline void test_env_init(struct test_env *t, const char *text)
{
	char *save, *word;

	memset(t, 0, sizeof(*t));
	t->env.in_list = test_in_list;
	t->text = strdup(text);
	for (word = strtok_r(t->text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');

		*value++ = 0;
		for (unsigned f = 0; f < EXPR_FIELD_COUNT; f++)
			if (!strcmp(expr_field_info((enum expr_field)f)->name, word))
				test_env_field(t, (enum expr_field)f, value);
	}
}

static inline void test_env_free(struct test_env *t)
{
	free(t->text);
}

#endif
