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
	char low[EXPR_LOW_MAX]; /* the text of one comparison, in lower case */
	char *longer;           /* where it is longer */
};

/* What is known of a node that gives an array: missing, unknown, or n answers. */
struct shape {
	enum { ANS_MISSING, ANS_UNKNOWN, ANS_KNOWN } state;
	size_t n;
};

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Good until the next one; b may be the last one. */
static struct expr_bytes lowered(struct eval *ev, struct expr_bytes b)
{
	char *to = b.p == ev->longer ? ev->longer : ev->low;

	if (b.n > sizeof(ev->low) && b.p != ev->longer) {
		to = malloc(b.n);
		if (!to) {
			ev->error = -ENOMEM;
			return (struct expr_bytes){"", 0};
		}
		free(ev->longer);
		ev->longer = to;
	}
	for (size_t i = 0; i < b.n; i++)
		to[i] = lower(b.p[i]);
	return (struct expr_bytes){to, b.n};
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
		rc = expr_regex_match(node->regex, ev->env->regex_scratch, v->bytes.p, v->bytes.n);
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

/* Missing beats unknown beats known; element by element, as far as all go. */
static struct shape shape_of(const struct eval *ev, const struct expr_node *node)
{
	struct shape out, more;

	if (node->op == EXPR_CMP) {
		const struct expr_slot *slot = &ev->env->slots[innermost(node->lhs)->field];

		out.state = slot->state == EXPR_UNSEEN ? ANS_UNKNOWN : slot->state == EXPR_KNOWN ? ANS_KNOWN : ANS_MISSING;
		out.n = out.state == ANS_KNOWN ? slot->n : 0;
		return out;
	}
	out = shape_of(ev, node->kids);
	for (const struct expr_node *k = node->kids->next; k; k = k->next) {
		more = shape_of(ev, k);
		out.state = more.state < out.state ? more.state : out.state;
		out.n = more.n < out.n ? more.n : out.n;
	}
	return out;
}

/* Answer i of a node that gives an array. */
static enum expr_tri eval_element(struct eval *ev, const struct expr_node *node, size_t i)
{
	enum expr_tri out;

	if (node->op == EXPR_CMP)
		return test(ev, node, &ev->env->slots[innermost(node->lhs)->field].v[i]) ? EXPR_YES : EXPR_NO;
	out = eval_element(ev, node->kids, i);
	if (node->op == EXPR_NOT)
		return tri_not(out);
	for (const struct expr_node *k = node->kids->next; k; k = k->next)
		out = tri_join(node->op, out, eval_element(ev, k, i));
	return out;
}

static enum expr_tri eval_quantifier(struct eval *ev, const struct expr_node *node)
{
	struct shape shape = shape_of(ev, node->kids);
	enum expr_op op = node->op == EXPR_ANY ? EXPR_OR : EXPR_AND;
	enum expr_tri out = op == EXPR_OR ? EXPR_NO : EXPR_YES;

	if (shape.state != ANS_KNOWN)
		return shape.state == ANS_MISSING ? EXPR_NO : EXPR_UNKNOWN;
	for (size_t i = 0; i < shape.n; i++)
		out = tri_join(op, out, eval_element(ev, node->kids, i));
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
	struct eval ev;
	enum expr_tri out;

	ev.env = env;
	ev.error = 0;
	ev.longer = NULL;
	out = eval_node(&ev, e->root);
	free(ev.longer);
	return ev.error ? ev.error : (int)out;
}
