// SPDX-License-Identifier: BSD-3-Clause
// Whether one expression holds whenever another does: what can be seen from the trees and from the values they write out. For
// warnings only: a no may mean that it is not seen.
#include "dataplane/tables/policy_compiled.h"

#include <string.h>

#define TEXTS_MAX 20000u /* of a list that is gone through */

static bool same_node(const struct expr_node *a, const struct expr_node *b)
{
	struct policy_text x = {.len = 0}, y = {.len = 0};
	bool same;

	policy_node_key(&x, a, false);
	policy_node_key(&y, b, false);
	same = !x.failed && !y.failed && x.len == y.len && !memcmp(x.at, y.at, x.len);
	policy_text_free(&x);
	policy_text_free(&y);
	return same;
}

/* The one field that the tree asks; EXPR_FIELD_COUNT: several. */
static enum expr_field field_of(const struct expr_node *node)
{
	const struct expr_lhs *lhs = node->lhs;
	enum expr_field f;

	if (node->op == EXPR_CMP) {
		while (lhs->arg)
			lhs = lhs->arg;
		return lhs->field;
	}
	f = field_of(node->kids);
	for (const struct expr_node *k = node->kids->next; k; k = k->next)
		if (field_of(k) != f)
			return EXPR_FIELD_COUNT;
	return f;
}

/* Does `node` hold of a flow or person of whom just this is known: the field is the text, or the array holds it? */
static bool holds_of(const struct expr_node *node, const struct policy_view *view, enum expr_field field, struct expr_bytes text)
{
	const struct expr_value v = {.kind = EXPR_BYTES, .bytes = text};
	const struct expr e = {.root = node};
	enum policy_dim dim = policy_field_dim(field);
	struct policy_facts facts;

	policy_facts_none(&facts, view);
	if (dim == DIM_SNI || dim == DIM_HOST || dim == DIM_FQDN)
		policy_facts_name(&facts, view, dim, &(struct name_text){.state = NAME_KNOWN, .len = (uint16_t)text.n, .text = text.p});
	else
		facts.env.slots[field] = (struct expr_slot){.state = EXPR_KNOWN, .v = &v, .n = 1};
	return text.n <= NAME_URI_MAX && expr_eval(&e, &facts.env) == EXPR_YES;
}

static bool list_implies(const struct expr_node *x, const struct expr_node *y, const struct policy_view *view, enum expr_field field)
{
	const struct policy_list *list = policy_view_list(view, x->list.id);

	if (!list || list->type == EXPR_LIST_IP || !list->n_texts || list->n_texts > TEXTS_MAX)
		return false;
	for (uint32_t i = 0; i < list->n_texts; i++)
		if (!holds_of(y, view, field, (struct expr_bytes){list->texts[i], strlen(list->texts[i])}))
			return false;
	return true;
}

/* x is one of some texts: y holds of each of them. */
static bool texts_imply(const struct expr_node *x, const struct expr_node *y, const struct policy_view *view)
{
	bool any = x->op == EXPR_ANY && x->kids->op == EXPR_CMP;
	const struct expr_node *cmp = any ? x->kids : x;
	enum expr_field field, asked = field_of(y);

	if (cmp->op != EXPR_CMP || cmp->lhs->func != EXPR_FIELD_ITSELF || cmp->lhs->kind != EXPR_BYTES || cmp->lhs->at > 0)
		return false;
	field = cmp->lhs->field;
	/* an array holds other texts too: y must not lose by them */
	if (expr_field_info(field)->array ? !any || field != asked || y->op != EXPR_ANY
					  : asked == EXPR_FIELD_COUNT || policy_field_dim(asked) != policy_field_dim(field) ||
						    (policy_field_dim(field) == DIM_WHO && asked != field))
		return false;
	switch (cmp->cmp) {
	case EXPR_EQ:
		return holds_of(y, view, field, cmp->value.bytes);
	case EXPR_IN:
		for (size_t i = 0; i < cmp->n; i++)
			if (cmp->ranges[i].first.bytes.n != cmp->ranges[i].last.bytes.n ||
			    memcmp(cmp->ranges[i].first.bytes.p, cmp->ranges[i].last.bytes.p, cmp->ranges[i].first.bytes.n) != 0 ||
			    !holds_of(y, view, field, cmp->ranges[i].first.bytes))
				return false;
		return cmp->n > 0;
	case EXPR_IN_LIST:
		return list_implies(cmp, y, view, field);
	default:
		return false;
	}
}

static bool all_imply(const struct expr_node *kids, const struct expr_node *y, const struct policy_view *view)
{
	for (; kids; kids = kids->next)
		if (!policy_implies(kids, y, view))
			return false;
	return true;
}

static bool some_implies(const struct expr_node *kids, const struct expr_node *y, const struct policy_view *view)
{
	for (; kids; kids = kids->next)
		if (policy_implies(kids, y, view))
			return true;
	return false;
}

static bool implies_all(const struct expr_node *x, const struct expr_node *kids, const struct policy_view *view)
{
	for (; kids; kids = kids->next)
		if (!policy_implies(x, kids, view))
			return false;
	return true;
}

static bool implies_some(const struct expr_node *x, const struct expr_node *kids, const struct policy_view *view)
{
	for (; kids; kids = kids->next)
		if (policy_implies(x, kids, view))
			return true;
	return false;
}

bool policy_implies(const struct expr_node *x, const struct expr_node *y, const struct policy_view *view)
{
	if (!x || !y)
		return !y;
	if (x->op == EXPR_NOT && y->op == EXPR_NOT)
		return policy_implies(y->kids, x->kids, view);
	if (same_node(x, y) || texts_imply(x, y, view))
		return true;
	if (x->op == EXPR_OR)
		return all_imply(x->kids, y, view);
	if (y->op == EXPR_AND)
		return implies_all(x, y->kids, view);
	return (x->op == EXPR_AND && some_implies(x->kids, y, view)) || (y->op == EXPR_OR && implies_some(x, y->kids, view));
}
