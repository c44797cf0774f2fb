// SPDX-License-Identifier: BSD-3-Clause
// Whether an earlier rule leaves a rule nothing to match: term by term, dimension by dimension, over all rows there are.
#include "dataplane/tables/policy_compiled.h"

#include <stdlib.h>

/* In no row has `inner` a bit that `outer` has not. */
static bool row_implies(const struct policy_row *row, uint32_t inner, uint32_t outer)
{
	return !row || !policy_row_bit(row, inner) || policy_row_bit(row, outer);
}

/* there: the classes that addresses have now; NULL without any. */
static bool known_implies(const struct policy_compiled *c, const struct policy_set *p, const uint8_t *there, uint32_t inner, uint32_t outer)
{
	uint32_t bound = there ? policy_class_bound(p->accounts[c->account].classes) : 0;

	for (uint32_t i = 0; c->classes && i < bound && i < c->classes->capacity; i++)
		if (there[i] && (!row_implies(c->classes->at[i].src, inner, outer) || !row_implies(c->classes->at[i].dst, inner, outer)))
			return false;
	for (unsigned side = 0; side < 2; side++)
		for (uint32_t i = 0; c->port_rows[side] && i < POLICY_PORTS && c->port_rows[side][i]; i++)
			if (!row_implies(c->port_rows[side][i], inner, outer))
				return false;
	for (unsigned i = 0; i < 256; i++)
		if (!row_implies(c->proto[i], inner, outer))
			return false;
	for (uint32_t i = 0; c->vnets && i <= p->n_vnets; i++)
		if (!row_implies(c->vnets[i], inner, outer))
			return false;
	return true;
}

/* What `outer` asks of names, `inner` asks too; and of networks, which may yet come. */
static bool asks_imply(const struct policy_compiled *c, uint32_t inner, uint32_t outer)
{
	const struct policy_term *a = &c->terms[inner], *b = &c->terms[outer];

	for (uint32_t i = 0; i < b->n; i++) {
		uint32_t lit = c->literals[b->first + i], j = 0;
		unsigned dim = c->atoms.at[lit >> 1].dim;

		if (dim < DIM_NAMES && dim != DIM_VNET)
			continue;
		while (j < a->n && c->literals[a->first + j] != lit)
			j++;
		if (j == a->n)
			return false;
	}
	return true;
}

static bool same_expr(const struct expr *a, const struct expr *b)
{
	struct policy_text x = {.len = 0}, y = {.len = 0};
	bool same;

	if (!a || !b || a == b)
		return !a || a == b;
	policy_node_key(&x, a->root, false);
	policy_node_key(&y, b->root, false);
	same = !x.failed && !y.failed && x.len == y.len && !__builtin_memcmp(x.at, y.at, x.len);
	policy_text_free(&x);
	policy_text_free(&y);
	return same;
}

static bool covers(const struct policy_set *p, const struct policy_view *view, const uint8_t *there, uint32_t outer, uint32_t inner)
{
	const struct policy_view_rule *a = &view->rules[outer], *b = &view->rules[inner];
	const struct policy_compiled *c = view->compiled;

	if (a->filter != b->filter || !same_expr(a->identity, b->identity) || !same_expr(a->posture, b->posture))
		return false;
	/* one that does not count where the private side opens leaves those flows to the other */
	if (a->filter == POLICY_L4 && a->action == POLICY_ALLOW && !a->names_source && (b->action != POLICY_ALLOW || b->names_source))
		return false;
	for (uint32_t t = c->rule_first[inner]; t < c->rule_end[inner]; t++) {
		bool covered = false;

		for (uint32_t u = c->rule_first[outer]; !covered && u < c->rule_end[outer]; u++)
			covered = asks_imply(c, t, u) && known_implies(c, p, there, t, u);
		if (!covered)
			return false;
	}
	return c->rule_first[inner] < c->rule_end[inner];
}

uint32_t policy_covered_by(const struct policy_set *p, uint32_t account, uint32_t rule)
{
	const struct policy_view *view = account < p->limits.accounts ? p->accounts[account].view : NULL;
	const struct policy_classes *classes = view ? p->accounts[account].classes : NULL;
	uint32_t at, found = POLICY_RULE_DEFAULT;
	uint8_t *there = NULL;

	for (at = 0; view && at < view->n_rules && view->rules[at].index != rule; at++)
		;
	if (!view || !view->compiled || at == view->n_rules)
		return POLICY_RULE_DEFAULT;
	if (classes) {
		there = calloc(policy_class_bound(classes), 1);
		if (!there)
			return POLICY_RULE_DEFAULT;
		policy_classes_mark(classes, there);
	}
	for (uint32_t i = 0; found == POLICY_RULE_DEFAULT && i < at; i++)
		if (covers(p, view, there, i, at))
			found = view->rules[i].index;
	free(there);
	return found;
}
