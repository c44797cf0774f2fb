// SPDX-License-Identifier: BSD-3-Clause
// The interpreter: as plain as can be, since whatever is compiled is held against it.
#include "lib/expr/internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct eval {
	const struct expr_env *env;
	int error; /* 0 or -ENOMEM */
	struct scrap {
		struct scrap *next;
		char data[];
	} *scraps; /* texts made by lower() */
};

/* Answers of a node that gives an array: missing, unknown, or n of them. */
struct answers {
	enum { ANS_MISSING, ANS_UNKNOWN, ANS_KNOWN } state;
	enum expr_tri *v;
	size_t n;
};

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static struct expr_bytes lowered(struct eval *ev, struct expr_bytes b)
{
	struct scrap *s = malloc(sizeof(*s) + b.n + 1);

	if (!s) {
		ev->error = -ENOMEM;
		return (struct expr_bytes){"", 0};
	}
	s->next = ev->scraps;
	ev->scraps = s;
	for (size_t i = 0; i < b.n; i++)
		s->data[i] = lower(b.p[i]);
	return (struct expr_bytes){s->data, b.n};
}

static bool bytes_have(struct expr_bytes s, struct expr_bytes part, size_t at)
{
	return part.n <= s.n && at <= s.n - part.n && (!part.n || !memcmp(s.p + at, part.p, part.n));
}

static bool contains(struct expr_bytes s, struct expr_bytes part)
{
	return !part.n || memmem(s.p, s.n, part.p, part.n);
}

static int bytes_cmp(struct expr_bytes a, struct expr_bytes b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int d = n ? memcmp(a.p, b.p, n) : 0;

	return d ? d : (a.n > b.n) - (a.n < b.n);
}

/* True if the two can be ordered, then *out as strcmp. */
static bool order(const struct expr_value *a, const struct expr_value *b, int *out)
{
	if (a->kind == EXPR_INT)
		*out = (a->i > b->i) - (a->i < b->i);
	else if (a->kind == EXPR_BYTES)
		*out = bytes_cmp(a->bytes, b->bytes);
	else if (a->ip.family != b->ip.family)
		return false;
	else
		*out = ip_addr_cmp(&a->ip, &b->ip);
	return true;
}

/* '*' any bytes, \* and \\ themselves; the pattern was checked when it was parsed. */
bool expr_wildcard_match(const char *pattern, size_t plen, const char *s, size_t n, bool fold)
{
	size_t pi = 0, si = 0, star = SIZE_MAX, mark = 0;

	while (si < n || pi < plen) {
		if (pi < plen && pattern[pi] == '*') {
			star = pi++;
			mark = si;
			continue;
		}
		if (pi < plen && si < n) {
			size_t lit = pattern[pi] == '\\' ? pi + 1 : pi;

			if (fold ? lower(pattern[lit]) == lower(s[si]) : pattern[lit] == s[si]) {
				pi = lit + 1;
				si++;
				continue;
			}
		}
		if (star == SIZE_MAX || mark >= n)
			return false;
		pi = star + 1;
		si = ++mark;
	}
	return true;
}

static bool in_ranges(const struct expr_node *node, const struct expr_value *v)
{
	for (size_t i = 0; i < node->n; i++) {
		int low, high;

		if (order(v, &node->ranges[i].first, &low) && order(v, &node->ranges[i].last, &high) && low >= 0 && high <= 0)
			return true;
	}
	return false;
}

static bool compare(struct eval *ev, const struct expr_node *node, const struct expr_value *v)
{
	bool ordered;
	int d = 0, rc;

	switch (node->cmp) {
	case EXPR_TRUE:
		return v->b;
	case EXPR_IN:
		return in_ranges(node, v);
	case EXPR_IN_LIST:
		return ev->env->in_list && ev->env->in_list(ev->env->user, &node->list, v);
	case EXPR_BITAND:
		return (v->i & node->value.i) != 0;
	case EXPR_CONTAINS:
		return contains(v->bytes, node->value.bytes);
	case EXPR_MATCHES:
		rc = expr_regex_match(node->regex, v->bytes.p, v->bytes.n);
		if (rc < 0)
			ev->error = rc;
		return rc > 0;
	case EXPR_WILDCARD:
	case EXPR_STRICT_WILDCARD:
		return expr_wildcard_match(node->value.bytes.p, node->value.bytes.n, v->bytes.p, v->bytes.n, node->cmp == EXPR_WILDCARD);
	default:
		break;
	}
	ordered = order(v, &node->value, &d);
	switch (node->cmp) {
	case EXPR_EQ:
		return ordered && d == 0;
	case EXPR_NE:
		return !ordered || d != 0;
	case EXPR_GE:
		return ordered && d >= 0;
	case EXPR_LE:
		return ordered && d <= 0;
	case EXPR_GT:
		return ordered && d > 0;
	default:
		return ordered && d < 0;
	}
}

/* What the left side comes to for one value of its field. */
static struct expr_value apply(struct eval *ev, const struct expr_lhs *lhs, const struct expr_value *v)
{
	struct expr_value out;

	if (lhs->func == EXPR_FIELD_ITSELF) {
		out = *v;
		if (lhs->fold)
			out.bytes = lowered(ev, v->bytes);
		return out;
	}
	out = apply(ev, lhs->arg, v);
	if (lhs->func == EXPR_LOWER) {
		out.bytes = lowered(ev, out.bytes);
		return out;
	}
	out.b = lhs->func == EXPR_STARTS_WITH ? bytes_have(out.bytes, lhs->with, 0)
					      : lhs->with.n <= out.bytes.n && bytes_have(out.bytes, lhs->with, out.bytes.n - lhs->with.n);
	out.kind = EXPR_BOOL;
	return out;
}

static const struct expr_lhs *innermost(const struct expr_lhs *lhs)
{
	while (lhs->arg)
		lhs = lhs->arg;
	return lhs;
}

static bool test(struct eval *ev, const struct expr_node *node, const struct expr_value *v)
{
	struct expr_value value = apply(ev, node->lhs, v);

	return compare(ev, node, &value);
}

/* A comparison of one value, or of one place of an array. */
static enum expr_tri eval_scalar(struct eval *ev, const struct expr_node *node)
{
	const struct expr_lhs *in = innermost(node->lhs);
	const struct expr_slot *slot = &ev->env->slots[in->field];
	size_t at = in->at < 0 ? 0 : (size_t)in->at;

	if (slot->state == EXPR_UNSEEN)
		return EXPR_UNKNOWN;
	if (slot->state == EXPR_MISSING || at >= slot->n)
		return node->cmp == EXPR_NE ? EXPR_YES : EXPR_NO;
	return test(ev, node, &slot->v[at]) ? EXPR_YES : EXPR_NO;
}

static struct answers eval_array(struct eval *ev, const struct expr_node *node);

static enum expr_tri tri_not(enum expr_tri a)
{
	return a == EXPR_UNKNOWN ? EXPR_UNKNOWN : a == EXPR_NO ? EXPR_YES : EXPR_NO;
}

static enum expr_tri tri_join(enum expr_op op, enum expr_tri a, enum expr_tri b)
{
	enum expr_tri decides = op == EXPR_OR ? EXPR_YES : EXPR_NO;

	if (op == EXPR_XOR)
		return a == EXPR_UNKNOWN || b == EXPR_UNKNOWN ? EXPR_UNKNOWN : a != b ? EXPR_YES : EXPR_NO;
	if (a == decides || b == decides)
		return decides;
	return a == EXPR_UNKNOWN || b == EXPR_UNKNOWN ? EXPR_UNKNOWN : tri_not(decides);
}

static struct answers compare_elements(struct eval *ev, const struct expr_node *node)
{
	const struct expr_slot *slot = &ev->env->slots[innermost(node->lhs)->field];
	struct answers out = {.state = slot->state == EXPR_UNSEEN ? ANS_UNKNOWN : slot->state == EXPR_KNOWN ? ANS_KNOWN : ANS_MISSING};

	if (out.state != ANS_KNOWN)
		return out;
	out.n = slot->n;
	out.v = calloc(out.n + 1, sizeof(*out.v));
	if (!out.v) {
		ev->error = -ENOMEM;
		out.n = 0;
	}
	for (size_t i = 0; i < out.n; i++)
		out.v[i] = test(ev, node, &slot->v[i]) ? EXPR_YES : EXPR_NO;
	return out;
}

/* Element by element, as far as both go; missing beats unknown beats known. */
static void join_answers(enum expr_op op, struct answers *a, struct answers *b)
{
	if (a->state != ANS_KNOWN || b->state != ANS_KNOWN)
		a->state = a->state == ANS_MISSING || b->state == ANS_MISSING ? ANS_MISSING : ANS_UNKNOWN;
	a->n = a->n < b->n ? a->n : b->n;
	for (size_t i = 0; a->state == ANS_KNOWN && i < a->n; i++)
		a->v[i] = tri_join(op, a->v[i], b->v[i]);
	free(b->v);
}

static struct answers eval_array(struct eval *ev, const struct expr_node *node)
{
	struct answers out, more;

	if (node->op == EXPR_CMP)
		return compare_elements(ev, node);
	out = eval_array(ev, node->kids);
	if (node->op == EXPR_NOT)
		for (size_t i = 0; i < out.n; i++)
			out.v[i] = tri_not(out.v[i]);
	for (const struct expr_node *k = node->kids->next; k; k = k->next) {
		more = eval_array(ev, k);
		join_answers(node->op, &out, &more);
	}
	return out;
}

static enum expr_tri eval_quantifier(struct eval *ev, const struct expr_node *node)
{
	struct answers a = eval_array(ev, node->kids);
	enum expr_op op = node->op == EXPR_ANY ? EXPR_OR : EXPR_AND;
	enum expr_tri out = op == EXPR_OR ? EXPR_NO : EXPR_YES;

	if (a.state != ANS_KNOWN)
		out = a.state == ANS_MISSING ? EXPR_NO : EXPR_UNKNOWN;
	for (size_t i = 0; a.state == ANS_KNOWN && i < a.n; i++)
		out = tri_join(op, out, a.v[i]);
	free(a.v);
	return out;
}

static enum expr_tri eval_node(struct eval *ev, const struct expr_node *node)
{
	enum expr_tri out;

	switch (node->op) {
	case EXPR_CMP:
		return eval_scalar(ev, node); /* a lifted one is its one element */
	case EXPR_ANY:
	case EXPR_ALL:
		return eval_quantifier(ev, node);
	case EXPR_NOT:
		return tri_not(eval_node(ev, node->kids));
	default:
		out = eval_node(ev, node->kids);
		for (const struct expr_node *k = node->kids->next; k; k = k->next)
			out = tri_join(node->op, out, eval_node(ev, k));
		return out;
	}
}

int expr_eval(const struct expr *e, const struct expr_env *env)
{
	struct eval ev = {.env = env};
	enum expr_tri out = eval_node(&ev, e->root);

	while (ev.scraps) {
		struct scrap *s = ev.scraps;

		ev.scraps = s->next;
		free(s);
	}
	return ev.error ? ev.error : (int)out;
}
