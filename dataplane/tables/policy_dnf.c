// SPDX-License-Identifier: BSD-3-Clause
// The disjunctive form of an expression over three values. Distribution, De Morgan and double negation hold for Kleene's
// values; that a and not a is false, or a or not a true, does not: it is used for dimensions that are always known only.
#include "dataplane/tables/policy_compiled.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct policy_scrap {
	struct policy_scrap *next;
	uint64_t data[];
};

struct maker {
	struct policy_atoms *atoms;
	struct policy_scrap **scraps;
	uint32_t most;
	int error;
};

static const struct policy_dnf nothing = {0, NULL};

static void *take(struct maker *m, size_t bytes)
{
	struct policy_scrap *s = m->error ? NULL : malloc(sizeof(*s) + bytes);

	if (!s) {
		m->error = m->error ? m->error : -ENOMEM;
		return NULL;
	}
	s->next = *m->scraps;
	*m->scraps = s;
	return s->data;
}

void policy_scraps_free(struct policy_scrap *scraps)
{
	while (scraps) {
		struct policy_scrap *next = scraps->next;

		free(scraps);
		scraps = next;
	}
}

static struct policy_dnf either(struct maker *m, struct policy_dnf a, struct policy_dnf b)
{
	struct policy_dnf out = {.n = a.n + b.n};

	if (!a.n || !b.n)
		return a.n ? a : b;
	if (out.n > m->most && !m->error)
		m->error = -ENOSPC;
	out.clauses = take(m, out.n * sizeof(*out.clauses));
	if (!out.clauses)
		return nothing;
	memcpy(out.clauses, a.clauses, a.n * sizeof(*a.clauses));
	memcpy(out.clauses + a.n, b.clauses, b.n * sizeof(*b.clauses));
	return out;
}

/* Both clauses; false where one asks the contrary of the other of something that is always known. */
static bool merge(struct maker *m, const struct policy_clause *a, const struct policy_clause *b, struct policy_clause *out)
{
	uint32_t i = 0, j = 0;

	out->n = 0;
	out->literals = take(m, (a->n + b->n + 1) * sizeof(*out->literals));
	while (out->literals && (i < a->n || j < b->n)) {
		uint32_t lit = j == b->n || (i < a->n && a->literals[i] <= b->literals[j]) ? a->literals[i++] : b->literals[j++];

		if (out->n && out->literals[out->n - 1] == lit)
			continue;
		if (out->n && (out->literals[out->n - 1] ^ lit) == 1 && m->atoms->at[lit >> 1].dim < DIM_NAMES)
			return false;
		out->literals[out->n++] = lit;
	}
	return out->literals != NULL;
}

static struct policy_dnf both(struct maker *m, struct policy_dnf a, struct policy_dnf b)
{
	struct policy_dnf out = nothing;

	if (!a.n || !b.n)
		return nothing;
	if ((uint64_t)a.n * b.n > 64ull * m->most && !m->error)
		m->error = -ENOSPC;
	out.clauses = take(m, (size_t)a.n * b.n * sizeof(*out.clauses));
	for (uint32_t i = 0; out.clauses && i < a.n; i++)
		for (uint32_t j = 0; !m->error && j < b.n; j++)
			out.n += merge(m, &a.clauses[i], &b.clauses[j], &out.clauses[out.n]);
	if (out.n > m->most && !m->error)
		m->error = -ENOSPC;
	return m->error ? nothing : out;
}

static struct policy_dnf always(struct maker *m)
{
	struct policy_clause *c = take(m, sizeof(*c));

	if (!c)
		return nothing;
	*c = (struct policy_clause){.n = 0};
	return (struct policy_dnf){1, c};
}

static struct policy_dnf literal(struct maker *m, enum policy_dim dim, enum policy_ask ask, const struct expr_node *node, bool negated)
{
	struct policy_clause *c = take(m, sizeof(*c) + sizeof(uint32_t));
	uint32_t atom = policy_atom_intern(m->atoms, dim, ask, node);

	if (!c || atom == POLICY_NONE) {
		m->error = m->error ? m->error : -ENOMEM;
		return nothing;
	}
	if (node && node->op == EXPR_CMP && node->cmp == EXPR_NE)
		negated = !negated;
	c->n = 1;
	c->literals = (uint32_t *)(c + 1);
	c->literals[0] = LITERAL(atom, negated);
	return (struct policy_dnf){1, c};
}

/*
 * An expression and its negation, side by side, each only where it is wanted: xor wants both of its sides; the negation of a long
 * disjunction that nobody asks for may be too long.
 */
enum { YES = 1, NO = 2 };

struct pair {
	struct policy_dnf yes, no;
};

static struct pair make(struct maker *m, const struct expr_node *node, unsigned want);

/*
 * any() or all() over more than one dimension. Each array is at least one element long and is joined as far as both go, so it
 * is its first element: `inner` of scalars. It is no where a value is missing, unknown where one is unseen, whatever the others
 * say: with P, "all are present": (P and inner) or (P and not P).
 */
static struct pair make_lifted(struct maker *m, const struct expr_node *node, unsigned dims, unsigned want)
{
	struct pair inner = make(m, node->kids, want), out = {nothing, nothing};
	struct policy_dnf present = always(m), absent = nothing;

	for (unsigned d = 0; d < DIM_COUNT; d++) {
		if (!(dims >> d & 1) || d == DIM_SRC || d == DIM_DST || d == DIM_PROTO)
			continue;
		present = both(m, present, literal(m, (enum policy_dim)d, ASK_PRESENT, NULL, false));
		absent = either(m, absent, literal(m, (enum policy_dim)d, ASK_PRESENT, NULL, true));
	}
	if (want & YES)
		out.yes = either(m, both(m, present, inner.yes), both(m, present, absent));
	if (want & NO)
		out.no = both(m, either(m, absent, inner.no), either(m, absent, present));
	return out;
}

static struct pair join(struct maker *m, enum expr_op op, struct pair a, struct pair b, unsigned want)
{
	struct pair out = {nothing, nothing};

	if (op == EXPR_XOR) {
		if (want & YES)
			out.yes = either(m, both(m, a.yes, b.no), both(m, a.no, b.yes));
		if (want & NO)
			out.no = either(m, both(m, a.yes, b.yes), both(m, a.no, b.no));
		return out;
	}
	if (want & YES)
		out.yes = op == EXPR_AND ? both(m, a.yes, b.yes) : either(m, a.yes, b.yes);
	if (want & NO)
		out.no = op == EXPR_AND ? either(m, a.no, b.no) : both(m, a.no, b.no);
	return out;
}

static struct pair make_join(struct maker *m, const struct expr_node *node, unsigned want)
{
	unsigned inner = node->op == EXPR_XOR ? YES | NO : want;
	struct pair out = make(m, node->kids, inner);

	for (const struct expr_node *k = node->kids->next; k && !m->error; k = k->next)
		out = join(m, node->op, out, make(m, k, inner), k->next ? inner : want);
	return out;
}

static struct pair make(struct maker *m, const struct expr_node *node, unsigned want)
{
	struct pair out = {nothing, nothing};
	unsigned dims;

	if (m->error)
		return out;
	switch (node->op) {
	case EXPR_NOT:
		out = make(m, node->kids, (want & YES ? NO : 0) | (want & NO ? YES : 0));
		return (struct pair){out.no, out.yes};
	case EXPR_ANY:
	case EXPR_ALL:
		dims = policy_node_dims(node);
		if ((dims & (dims - 1)) || dims < 1u << DIM_NAMES)
			return make_lifted(m, node, dims, want);
		break;
	case EXPR_CMP:
		dims = policy_node_dims(node);
		break;
	default:
		return make_join(m, node, want);
	}
	if (want & YES)
		out.yes = literal(m, (enum policy_dim)__builtin_ctz(dims), ASK_NODE, node, false);
	if (want & NO)
		out.no = literal(m, (enum policy_dim)__builtin_ctz(dims), ASK_NODE, node, true);
	return out;
}

int policy_dnf_make(struct policy_atoms *atoms, const struct expr_node *root, uint32_t most, struct policy_scrap **scraps,
		    struct policy_dnf *out)
{
	struct maker m = {.atoms = atoms, .scraps = scraps, .most = most};

	*out = root ? make(&m, root, YES).yes : always(&m);
	return m.error;
}
