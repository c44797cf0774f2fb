// SPDX-License-Identifier: BSD-3-Clause
// Whether earlier rules leave a rule nothing to match: term by term, dimension by dimension, over all rows there are. A term is covered
// where an earlier one has a bit in every row in which it has one; or where several do so between them along one dimension, and each
// of them does in all the others.
#include "dataplane/tables/policy_compiled.h"

#include <stdlib.h>
#include <string.h>

#define WORDS_MAX (POLICY_BLOCKS_MAX * POLICY_BLOCK_WORDS)

/* Dimensions whose rows are at hand. A term may be covered along any of them but networks, which may yet come. */
static const enum policy_dim dims[] = {DIM_SRC, DIM_DST, DIM_SPORT, DIM_DPORT, DIM_PROTO, DIM_VNET};
#define N_DIMS (sizeof(dims) / sizeof(dims[0]))

struct search {
	const struct policy_set *p;
	const struct policy_view *view;
	const struct policy_compiled *c;
	uint8_t *there; /* classes that addresses have now */
	uint32_t n_classes, words, rule;
	uint64_t able[WORDS_MAX];            /* terms of rules that may cover it */
	uint64_t implied[N_DIMS][WORDS_MAX]; /* of one term: the terms that have a bit wherever it has one */
	uint16_t *alone;                     /* by rule: how many terms it covers */
	uint8_t *taken;                      /* by rule: it has a part in it */
};

/* The i-th row of a dimension, *none where there is no such value; false past the end. */
static bool row_at(const struct search *s, enum policy_dim d, uint32_t i, const struct policy_row **row)
{
	const struct policy_compiled *c = s->c;

	*row = NULL;
	switch (d) {
	case DIM_SRC:
	case DIM_DST:
		if (!c->classes || i >= s->n_classes || i >= c->classes->capacity)
			return false;
		if (s->there[i])
			*row = d == DIM_SRC ? c->classes->at[i].src : c->classes->at[i].dst;
		return true;
	case DIM_SPORT:
	case DIM_DPORT:
		if (!c->port_rows[d == DIM_DPORT] || i >= POLICY_PORTS)
			return false;
		*row = c->port_rows[d == DIM_DPORT][i];
		return *row != NULL;
	case DIM_PROTO:
		*row = i < 256 ? c->proto[i] : NULL;
		return i < 256;
	default:
		if (!c->vnets || i > s->p->n_vnets)
			return false;
		*row = c->vnets[i];
		return true;
	}
}

static void and_row(uint64_t *to, const struct policy_row *row, unsigned blocks)
{
	const uint64_t *words = row->words;

	for (unsigned b = 0; b < blocks; b++, to += POLICY_BLOCK_WORDS) {
		bool there = row->summary >> b & 1;

		for (unsigned w = 0; w < POLICY_BLOCK_WORDS; w++)
			to[w] &= there ? words[w] : 0;
		words += there ? POLICY_BLOCK_WORDS : 0;
	}
}

/* False: no value has the term's bit now (a list is empty, a network is not there), so nobody can say that others cover it. */
static bool imply(struct search *s, uint32_t term, unsigned d)
{
	const struct policy_row *row;
	bool met = false, rows = false;

	memset(s->implied[d], 0xff, s->words * sizeof(uint64_t));
	for (uint32_t i = 0; row_at(s, dims[d], i, &row); i++) {
		rows = rows || row;
		if (!row || !policy_row_bit(row, term))
			continue;
		met = true;
		and_row(s->implied[d], row, s->c->blocks);
	}
	return met || !rows;
}

static bool literal_implied(const struct search *s, uint32_t from, uint32_t to)
{
	const struct policy_atom *x = &s->c->atoms.at[from >> 1], *y = &s->c->atoms.at[to >> 1];

	if (from == to)
		return true;
	if (x->dim != y->dim || x->dim == DIM_VNET || (from & 1) != (to & 1) || x->ask != ASK_NODE || y->ask != ASK_NODE || x->flip || y->flip)
		return false;
	return from & 1 ? policy_implies(y->node, x->node, s->view) : policy_implies(x->node, y->node, s->view);
}

/* What `outer` asks of names, `inner` asks too; and of networks, which may yet come. */
static bool asks_imply(const struct search *s, uint32_t inner, uint32_t outer)
{
	const struct policy_term *a = &s->c->terms[inner], *b = &s->c->terms[outer];

	for (uint32_t i = 0; i < b->n; i++) {
		uint32_t lit = s->c->literals[b->first + i], j = 0;
		unsigned dim = s->c->atoms.at[lit >> 1].dim;

		if (dim < DIM_NAMES && dim != DIM_VNET)
			continue;
		while (j < a->n && !literal_implied(s, s->c->literals[a->first + j], lit))
			j++;
		if (j == a->n)
			return false;
	}
	return true;
}

/* The terms that cover this one in all dimensions but `but`. Empty: false. */
static bool others(const struct search *s, uint32_t term, unsigned but, uint64_t *out)
{
	uint64_t any = 0;

	memcpy(out, s->able, s->words * sizeof(*out));
	for (unsigned d = 0; d < N_DIMS; d++)
		for (uint32_t w = 0; d != but && w < s->words; w++)
			out[w] &= s->implied[d][w];
	for (uint32_t w = 0; w < s->words; w++) {
		for (uint64_t left = out[w]; left; left &= left - 1) {
			uint32_t u = w * 64 + (uint32_t)__builtin_ctzll(left);

			if (!asks_imply(s, term, u))
				out[w] &= ~(1ull << u % 64);
		}
		any |= out[w];
	}
	return any != 0;
}

/* Every value of the dimension for which the term may hold is one of some other's. */
static bool covered_along(struct search *s, uint32_t term, unsigned d, const uint64_t *by)
{
	const struct policy_row *row;
	uint64_t both[WORDS_MAX];

	for (uint32_t i = 0; row_at(s, dims[d], i, &row); i++) {
		uint32_t w = 0;

		if (!row || !policy_row_bit(row, term))
			continue;
		memcpy(both, by, s->words * sizeof(*both));
		and_row(both, row, s->c->blocks);
		while (w < s->words && !both[w])
			w++;
		if (w == s->words)
			return false;
		s->taken[s->c->terms[w * 64 + (uint32_t)__builtin_ctzll(both[w])].rule] = 1;
	}
	return true;
}

static bool covered(struct search *s, uint32_t term)
{
	uint64_t by[WORDS_MAX];
	uint32_t first = UINT32_MAX, last = UINT32_MAX;

	for (unsigned d = 0; d < N_DIMS; d++)
		if (!imply(s, term, d))
			return false;
	if (others(s, term, N_DIMS, by)) {
		for (uint32_t w = 0; w < s->words; w++) {
			for (uint64_t left = by[w]; left; left &= left - 1) {
				uint32_t rule = s->c->terms[w * 64 + (uint32_t)__builtin_ctzll(left)].rule;

				if (rule != last)
					s->alone[rule]++;
				first = first == UINT32_MAX ? rule : first;
				last = rule;
			}
		}
		s->taken[first] = 1;
		return true;
	}
	for (unsigned d = 0; d < N_DIMS; d++)
		if (dims[d] != DIM_VNET && others(s, term, d, by) && covered_along(s, term, d, by))
			return true;
	return false;
}

static const struct expr_node *root_of(const struct expr *e)
{
	return e ? e->root : NULL;
}

/* May rule `outer` of the view cover `inner` at all; *clients: only flows that clients open. */
static bool may_cover(const struct policy_view *view, uint32_t outer, uint32_t inner, bool *clients)
{
	const struct policy_view_rule *a = &view->rules[outer], *b = &view->rules[inner];

	if (a->filter != b->filter || !policy_implies(root_of(b->identity), root_of(a->identity), view) ||
	    !policy_implies(root_of(b->posture), root_of(a->posture), view))
		return false;
	/* one that does not count where the private side opens leaves those flows to the other */
	if (a->filter == POLICY_L4 && a->action == POLICY_ALLOW && !a->names_source) {
		if (b->names_source)
			return false;
		*clients = *clients || b->action != POLICY_ALLOW;
	}
	return true;
}

static struct policy_cover result(const struct search *s, bool clients)
{
	const struct policy_compiled *c = s->c;
	struct policy_cover out = {.rule = POLICY_RULE_DEFAULT};

	for (uint32_t r = 0; r < s->rule; r++)
		if (s->alone[r] == c->rule_end[s->rule] - c->rule_first[s->rule])
			return (struct policy_cover){.rule = s->view->rules[r].index, .clients = clients};
	for (uint32_t r = 0; r < s->rule; r++) {
		if (!s->taken[r])
			continue;
		out.more += out.rule != POLICY_RULE_DEFAULT;
		out.rule = out.rule == POLICY_RULE_DEFAULT ? s->view->rules[r].index : out.rule;
	}
	out.clients = clients;
	return out;
}

static struct policy_cover find(struct search *s)
{
	const struct policy_compiled *c = s->c;
	bool clients = false;

	for (uint32_t r = 0; r < s->rule; r++)
		if (may_cover(s->view, r, s->rule, &clients))
			for (uint32_t u = c->rule_first[r]; u < c->rule_end[r]; u++)
				policy_bit_set(s->able, u);
	for (uint32_t t = c->rule_first[s->rule]; t < c->rule_end[s->rule]; t++)
		if (!covered(s, t))
			return (struct policy_cover){.rule = POLICY_RULE_DEFAULT};
	return result(s, clients);
}

struct policy_cover policy_covered_by(const struct policy_set *p, uint32_t account, uint32_t rule)
{
	struct policy_cover out = {.rule = POLICY_RULE_DEFAULT};
	const struct policy_view *view = account < p->limits.accounts ? p->accounts[account].view : NULL;
	const struct policy_classes *classes = view ? p->accounts[account].classes : NULL;
	struct search *s;
	uint32_t at = 0;

	while (view && at < view->n_rules && view->rules[at].index != rule)
		at++;
	if (!view || !view->compiled || !view->compiled->blocks || at == view->n_rules)
		return out;
	s = calloc(1, sizeof(*s));
	if (!s)
		return out;
	*s = (struct search){.p = p, .view = view, .c = view->compiled, .rule = at, .words = view->compiled->blocks * POLICY_BLOCK_WORDS};
	s->n_classes = classes ? policy_class_bound(classes) : 0;
	s->there = calloc(s->n_classes + 1, 1);
	s->alone = calloc(at + 1, sizeof(*s->alone));
	s->taken = calloc(at + 1, sizeof(*s->taken));
	if (s->there && s->alone && s->taken) {
		if (classes)
			policy_classes_mark(classes, s->there);
		out = find(s);
	}
	free(s->there);
	free(s->alone);
	free(s->taken);
	free(s);
	return out;
}
