// SPDX-License-Identifier: BSD-3-Clause
// Rows of identities: one bit per rule that a person's identity and posture satisfy, spread over the rule's terms.
#include "dataplane/tables/policy_compiled.h"

#include <stdlib.h>
#include <string.h>

/* Each different expression once; what depends on groups and checks alone is asked once for all who share them. */
struct policy_who_exprs {
	const struct expr **exprs; /* [0]: always true */
	uint32_t n;
	uint32_t *identity, *posture; /* by place in the view */
	uint64_t *answers;            /* of one person */
	uint64_t *bits;
	size_t words;
	struct shared {
		struct shared *chain;
		uint64_t hash;
		size_t len;
		char *key;
		uint64_t answers[];
	} **table;
	uint32_t size, n_shared;
};

void policy_who_free(struct policy_who_exprs *w)
{
	if (!w)
		return;
	for (uint32_t i = 0; w->table && i < w->size; i++) {
		for (struct shared *s = w->table[i], *next; s; s = next) {
			next = s->chain;
			free(s);
		}
	}
	free(w->table);
	free(w->exprs);
	free(w->identity);
	free(w->posture);
	free(w->answers);
	free(w->bits);
	free(w);
}

struct expr_table {
	struct policy_text keys;
	struct {
		size_t key, len;
		uint32_t chain;
	} *at;
	uint32_t *heads, size;
};

static uint32_t hash_text(const char *p, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)p[i]) * 0x100000001b3u;
	return (uint32_t)(h >> 32 ^ h);
}

static uint32_t expr_number(struct policy_who_exprs *w, struct expr_table *t, const struct expr *e)
{
	size_t start = t->keys.len;
	uint32_t *head;

	if (!e)
		return 0;
	policy_node_key(&t->keys, e->root, false);
	if (t->keys.failed)
		return 0;
	head = &t->heads[hash_text(t->keys.at + start, t->keys.len - start) & (t->size - 1)];
	for (uint32_t i = *head; i; i = t->at[i].chain) {
		if (t->at[i].len == t->keys.len - start && !memcmp(t->keys.at + t->at[i].key, t->keys.at + start, t->at[i].len)) {
			t->keys.len = start;
			return i;
		}
	}
	w->exprs[w->n] = e;
	t->at[w->n].key = start;
	t->at[w->n].len = t->keys.len - start;
	t->at[w->n].chain = *head;
	*head = w->n;
	return w->n++;
}

static struct policy_who_exprs *collect(const struct policy_compiled *c, const struct policy_view *view)
{
	struct policy_who_exprs *w = calloc(1, sizeof(*w));
	struct expr_table t = {.size = 16};
	bool ok;

	if (!w)
		return NULL;
	while (t.size < 4 * view->n_rules)
		t.size *= 2;
	w->n = 1;
	w->exprs = calloc(2 * (size_t)view->n_rules + 1, sizeof(*w->exprs));
	w->identity = calloc(view->n_rules + 1, sizeof(*w->identity));
	w->posture = calloc(view->n_rules + 1, sizeof(*w->posture));
	w->size = 1024;
	w->table = calloc(w->size, sizeof(*w->table));
	t.at = calloc(2 * (size_t)view->n_rules + 1, sizeof(*t.at));
	t.heads = calloc(t.size, sizeof(*t.heads));
	ok = w->exprs && w->identity && w->posture && w->table && t.at && t.heads;
	for (uint32_t i = 0; ok && i < view->n_rules; i++) {
		w->identity[i] = expr_number(w, &t, view->rules[i].identity);
		w->posture[i] = expr_number(w, &t, view->rules[i].posture);
	}
	w->words = w->n / 64 + 1;
	w->answers = ok ? calloc(w->words, sizeof(*w->answers)) : NULL;
	w->bits = policy_bits(c);
	ok &= !t.keys.failed && w->answers && w->bits;
	free(t.at);
	free(t.heads);
	free(t.keys.at);
	if (!ok) {
		policy_who_free(w);
		return NULL;
	}
	return w;
}

static bool personal(const struct expr *e)
{
	return e->fields & (1u << EXPR_F_IDENTITY_EMAIL | 1u << EXPR_F_IDENTITY_NAME);
}

static void ask(const struct policy_who_exprs *w, uint32_t i, const struct policy_facts *f, uint64_t *answers)
{
	if (expr_eval(w->exprs[i], &f->env) == EXPR_YES)
		policy_bit_set(answers, i);
}

/* Answers that depend on groups and checks alone. */
static const struct shared *shared_of(struct policy_who_exprs *w, const struct policy_person *who, const struct policy_facts *f)
{
	const char *key = who ? who->name.bytes.p + who->name.bytes.n : NULL;
	size_t len = who ? (size_t)(who->key + who->key_len - key) : 0;
	uint64_t hash = hash_text(key, len) + (who != NULL);
	struct shared **head = &w->table[hash & (w->size - 1)], *s;

	for (s = *head; s; s = s->chain)
		if (s->hash == hash && s->len == len && (!len || !memcmp(s->key, key, len)))
			return s;
	if (w->n_shared > 65536) { /* begin anew rather than grow without end */
		for (uint32_t i = 0; i < w->size; i++) {
			for (struct shared *old = w->table[i], *next; old; old = next) {
				next = old->chain;
				free(old);
			}
			w->table[i] = NULL;
		}
		w->n_shared = 0;
	}
	s = calloc(1, sizeof(*s) + w->words * sizeof(s->answers[0]) + len);
	if (!s)
		return NULL;
	s->key = (char *)&s->answers[w->words];
	if (len)
		memcpy(s->key, key, len);
	s->len = len;
	s->hash = hash;
	s->chain = *head;
	*head = s;
	w->n_shared++;
	s->answers[0] = 1;
	for (uint32_t i = 1; i < w->n; i++)
		if (!personal(w->exprs[i]))
			ask(w, i, f, s->answers);
	return s;
}

static bool holds(const uint64_t *answers, uint32_t i)
{
	return answers[i / 64] >> i % 64 & 1;
}

static const struct policy_row *row_of(struct policy_compiled *c, const struct policy_view *view, const struct policy_person *who)
{
	struct policy_who_exprs *w = c->who_exprs;
	const struct shared *s;
	struct policy_facts f;

	policy_facts_none(&f, view);
	if (who)
		policy_facts_person(&f, who);
	s = shared_of(w, who, &f);
	if (!s)
		return NULL;
	memcpy(w->answers, s->answers, w->words * sizeof(*w->answers));
	for (uint32_t i = 1; i < w->n; i++)
		if (personal(w->exprs[i]))
			ask(w, i, &f, w->answers);
	memset(w->bits, 0, c->blocks * POLICY_BLOCK_BITS / 8);
	for (uint32_t r = 0; r < view->n_rules; r++)
		if (holds(w->answers, w->identity[r]) && holds(w->answers, w->posture[r]))
			for (uint32_t t = c->rule_first[r]; t < c->rule_end[r]; t++)
				policy_bit_set(w->bits, t);
	return policy_row_intern(&c->rows, w->bits);
}

static bool grow(struct policy_set *p, struct policy_compiled *c, uint32_t id)
{
	uint32_t capacity = c->who ? c->who->capacity : 64;
	struct policy_who_rows *old = c->who, *rows;

	while (capacity <= id)
		capacity *= 2;
	rows = calloc(1, sizeof(*rows) + capacity * sizeof(rows->at[0]));
	if (!rows)
		return false;
	rows->capacity = capacity;
	if (old)
		memcpy(rows->at, old->at, old->capacity * sizeof(old->at[0]));
	__atomic_store_n(&c->who, rows, __ATOMIC_RELEASE);
	if (old)
		policy_retire(p, free, old);
	return true;
}

bool policy_compiled_person(struct policy_set *p, struct policy_compiled *c, const struct policy_view *view, uint32_t id,
			    const struct policy_person *who)
{
	const struct policy_row *row;

	if (!(c->used & 1u << DIM_WHO))
		return true;
	if ((!c->who || id >= c->who->capacity) && !grow(p, c, id))
		return false;
	row = who ? row_of(c, view, who) : NULL;
	__atomic_store_n(&c->who->at[id], row, __ATOMIC_RELEASE);
	return row || !who;
}

bool policy_who_asks_list(const struct policy_who_exprs *w, const char *id)
{
	for (uint32_t i = 1; w && i < w->n; i++)
		for (size_t j = 0; j < w->exprs[i]->n_lists; j++)
			if (!strcmp(w->exprs[i]->lists[j].id, id))
				return true;
	return false;
}

bool policy_compile_who(struct policy_set *p, struct policy_compiled *c, const struct policy_view *view)
{
	const struct policy_account *a = &p->accounts[c->account];

	c->who_exprs = collect(c, view);
	if (!c->who_exprs)
		return false;
	c->nobody = row_of(c, view, NULL);
	if (!c->nobody || (a->persons_used && !grow(p, c, a->persons_used - 1)))
		return false;
	for (uint32_t id = 0; id < a->persons_used; id++)
		if (a->persons->at[id] && !policy_compiled_person(p, c, view, id, a->persons->at[id]))
			return false;
	return true;
}
