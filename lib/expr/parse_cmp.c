// SPDX-License-Identifier: BSD-3-Clause
// One comparison: a field or function with its brackets, an operator, and what it is compared with.
#include "lib/expr/internal.h"
#include "lib/near.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	enum expr_func func;
	enum expr_kind kind;
	bool second; /* takes a second argument, a string */
} functions[] = {
	{"lower", EXPR_LOWER, EXPR_BYTES, false},
	{"starts_with", EXPR_STARTS_WITH, EXPR_BOOL, true},
	{"ends_with", EXPR_ENDS_WITH, EXPR_BOOL, true},
};
#define N_FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

static int parse_lhs(struct expr_parser *p, struct expr_lhs **out);

static struct expr_lhs *field_lhs(struct expr_parser *p, enum expr_field f)
{
	const struct expr_field_info *info = expr_field_info(f);
	struct expr_lhs *lhs = expr_alloc(p, sizeof(*lhs));

	if (lhs)
		*lhs = (struct expr_lhs){.func = EXPR_FIELD_ITSELF, .field = f, .at = -1, .kind = info->kind, .fold = info->fold};
	return lhs;
}

static int unknown_function(struct expr_parser *p, size_t len)
{
	char word[64], shown[96];
	struct near near;

	snprintf(word, sizeof(word), "%.*s", (int)(len < 63 ? len : 63), p->text + p->pos);
	near_init(&near, word);
	for (size_t i = 0; i < N_FUNCTIONS; i++)
		near_add(&near, functions[i].name);
	expr_show(p, p->pos, p->pos + len, shown, sizeof(shown));
	if (near_best(&near))
		return expr_fail(p, p->pos, len, "unknown function '%s'; did you mean '%s'?", shown, near_best(&near));
	return expr_fail(p, p->pos, len, "unknown function '%s': there are lower, starts_with and ends_with", shown);
}

/* The parentheses of a function; the place is after its name. */
static int arguments(struct expr_parser *p, struct expr_lhs *lhs, bool second)
{
	size_t start;
	int rc;

	p->pos++;
	expr_skip_space(p);
	start = p->pos;
	rc = parse_lhs(p, &lhs->arg);
	if (rc)
		return rc;
	if (lhs->arg->kind != EXPR_BYTES)
		return expr_fail(p, start, p->pos - start, "expected text, this is %s", expr_kind_name(lhs->arg->kind));
	lhs->mapped = lhs->arg->mapped;
	lhs->fold = lhs->arg->fold;
	expr_skip_space(p);
	if (second) {
		struct expr_value v;

		if (!expr_eat(p, ","))
			return expr_expected(p, "','");
		expr_skip_space(p);
		rc = expr_lex_value(p, &(struct expr_lhs){.kind = EXPR_BYTES, .fold = lhs->fold}, &v);
		if (rc)
			return rc;
		lhs->with = v.bytes;
		expr_skip_space(p);
	}
	return expr_eat(p, ")") ? 0 : expr_expected(p, "')'");
}

static int function(struct expr_parser *p, size_t len, struct expr_lhs **out)
{
	for (size_t i = 0; i < N_FUNCTIONS; i++) {
		int rc;

		if (strlen(functions[i].name) != len || memcmp(functions[i].name, p->text + p->pos, len))
			continue;
		if (++p->depth > EXPR_DEPTH_MAX)
			return expr_fail(p, p->pos, len, "nested deeper than %d", EXPR_DEPTH_MAX);
		*out = expr_alloc(p, sizeof(**out));
		if (!*out)
			return -ENOMEM;
		**out = (struct expr_lhs){.func = functions[i].func, .kind = functions[i].kind, .at = -1};
		p->pos += len;
		expr_skip_space(p);
		rc = arguments(p, *out, functions[i].second);
		p->depth--;
		return rc;
	}
	return unknown_function(p, len);
}

/* "identity.groups[*].name" is another way to write "identity.groups.name[*]". */
static bool split_name(struct expr_parser *p, size_t len, char *joined, size_t size, size_t *total)
{
	struct expr_parser rest = *p;
	size_t more;

	rest.pos += len;
	if (!expr_eat(&rest, "[*]."))
		return false;
	more = expr_ident(&rest);
	if (!more || len + 1 + more >= size)
		return false;
	snprintf(joined, size, "%.*s.%.*s", (int)len, p->text + p->pos, (int)more, rest.text + rest.pos);
	*total = rest.pos + more - p->pos;
	return true;
}

static int field(struct expr_parser *p, size_t len, struct expr_lhs **out)
{
	char joined[128];
	size_t total = len;
	bool split = split_name(p, len, joined, sizeof(joined), &total);
	enum expr_field f;
	int rc;

	rc = expr_field_find(p, split ? joined : p->text + p->pos, split ? strlen(joined) : len, p->pos, total, &f);
	if (rc)
		return rc;
	*out = field_lhs(p, f);
	if (!*out)
		return -ENOMEM;
	p->pos += total;
	(*out)->mapped = split;
	p->tree->pub.fields |= 1u << f;
	return 0;
}

static bool is_array(const struct expr_lhs *lhs)
{
	return lhs->func == EXPR_FIELD_ITSELF && expr_field_info(lhs->field)->array;
}

/* [*] and [n] after a field; [*] alone after a function. */
static int brackets(struct expr_parser *p, struct expr_lhs *lhs)
{
	bool done = false;

	while (expr_peek(p, "[")) {
		size_t start = p->pos;

		if (expr_eat(p, "[*]")) {
			if (done || (lhs->func != EXPR_FIELD_ITSELF && !lhs->mapped) || (lhs->func == EXPR_FIELD_ITSELF && lhs->mapped))
				return expr_fail(p, start, 3, "there is nothing left here to take the elements of");
			lhs->mapped = done = true;
			continue;
		}
		p->pos++;
		if (done || lhs->mapped || !is_array(lhs))
			return expr_fail(p, start, 1, "expected no '[' here: this is no array");
		if (expr_peek(p, "\""))
			return expr_expected(p, "a place in the array or '*'");
		if (expr_lex_int(p, &lhs->at) < 0)
			return -EINVAL;
		if (lhs->at < 0)
			return expr_fail(p, start, p->pos - start, "places in an array count from 0");
		if (!expr_eat(p, "]"))
			return expr_expected(p, "']'");
		done = true;
	}
	return 0;
}

static int parse_lhs(struct expr_parser *p, struct expr_lhs **out)
{
	size_t start = p->pos, len = expr_ident(p);
	struct expr_parser after = *p;
	int rc;

	if (!len)
		return expr_expected(p, "a field, a function, 'not', 'any', 'all' or '('");
	after.pos += len;
	expr_skip_space(&after);
	rc = expr_peek(&after, "(") ? function(p, len, out) : field(p, len, out);
	if (!rc)
		rc = brackets(p, *out);
	if (!rc && is_array(*out) && !(*out)->mapped && (*out)->at < 0)
		return expr_fail(p, start, p->pos - start, "'%s' holds several values: write any(%s[*] …) or all(%s[*] …)",
				 expr_field_info((*out)->field)->name, expr_field_info((*out)->field)->name,
				 expr_field_info((*out)->field)->name);
	return rc;
}

/* In the order in which they are tried: by prefix, so the longer one first. */
static const struct {
	const char *word;
	enum expr_cmp cmp;
	unsigned kinds; /* bits of expr_kind */
} operators[] = {
#define ORDERED ((1u << EXPR_INT) | (1u << EXPR_IP) | (1u << EXPR_BYTES))
	{"==", EXPR_EQ, ORDERED}, {"eq", EXPR_EQ, ORDERED}, {"!=", EXPR_NE, ORDERED}, {"ne", EXPR_NE, ORDERED},
	{">=", EXPR_GE, ORDERED}, {"ge", EXPR_GE, ORDERED}, {"<=", EXPR_LE, ORDERED}, {"le", EXPR_LE, ORDERED},
	{">", EXPR_GT, ORDERED}, {"gt", EXPR_GT, ORDERED}, {"<", EXPR_LT, ORDERED}, {"lt", EXPR_LT, ORDERED},
	{"in", EXPR_IN, ORDERED}, {"bitwise_and", EXPR_BITAND, 1u << EXPR_INT}, {"&", EXPR_BITAND, 1u << EXPR_INT},
	{"contains", EXPR_CONTAINS, 1u << EXPR_BYTES}, {"matches", EXPR_MATCHES, 1u << EXPR_BYTES}, {"~", EXPR_MATCHES, 1u << EXPR_BYTES},
	{"wildcard", EXPR_WILDCARD, 1u << EXPR_BYTES},
};
#define N_OPERATORS (sizeof(operators) / sizeof(operators[0]))

static const char *operators_of(enum expr_kind kind)
{
	return kind == EXPR_INT	 ? "an operator (== != < <= > >= in &)"
	       : kind == EXPR_IP ? "an operator (== != < <= > >= in)"
				 : "an operator (== != < <= > >= in contains matches wildcard)";
}

static bool eat_strict_wildcard(struct expr_parser *p)
{
	size_t start = p->pos;

	if (expr_eat(p, "strict")) {
		expr_skip_space(p);
		if (expr_eat(p, "wildcard"))
			return true;
	}
	p->pos = start;
	return false;
}

static int parse_operator(struct expr_parser *p, enum expr_kind kind, enum expr_cmp *out)
{
	size_t start = p->pos;

	if (eat_strict_wildcard(p)) {
		*out = EXPR_STRICT_WILDCARD;
		if (kind == EXPR_BYTES)
			return 0;
		return expr_fail(p, start, p->pos - start, "'strict wildcard' needs text, this is %s", expr_kind_name(kind));
	}
	for (size_t i = 0; i < N_OPERATORS; i++) {
		if (!expr_peek(p, operators[i].word) || (operators[i].cmp == EXPR_BITAND && expr_peek(p, "&&")))
			continue;
		if (!(operators[i].kinds & 1u << kind))
			return expr_fail(p, p->pos, strlen(operators[i].word), "'%s' cannot be used on %s", operators[i].word, expr_kind_name(kind));
		p->pos += strlen(operators[i].word);
		*out = operators[i].cmp;
		return 0;
	}
	return expr_expected(p, operators_of(kind));
}

static int parse_set(struct expr_parser *p, struct expr_node *node)
{
	size_t room = 0;

	p->pos++;
	for (expr_skip_space(p); !expr_eat(p, "}"); expr_skip_space(p)) {
		int rc;

		if (expr_peek(p, ","))
			return expr_fail(p, p->pos, 1, "expected white space between the items of a set, found ','");
		if (p->pos >= p->len)
			return expr_expected(p, "an item of the set or '}'");
		if (node->n == room) {
			struct expr_range *more = expr_alloc(p, (room ? room * 2 : 8) * sizeof(*more));

			if (!more)
				return -ENOMEM;
			if (node->n)
				memcpy(more, node->ranges, node->n * sizeof(*more));
			node->ranges = more;
			room = room ? room * 2 : 8;
		}
		rc = expr_lex_item(p, node->lhs, &node->ranges[node->n]);
		if (rc)
			return rc;
		node->n++;
	}
	return node->n ? 0 : expr_fail(p, p->pos - 1, 1, "expected an item, found an empty set");
}

static int unknown_list(struct expr_parser *p, size_t start, const char *name)
{
	const struct expr_lists *lists = p->lists;
	struct near near;
	const char *known;

	near_init(&near, name);
	for (size_t i = 0; lists && lists->name && (known = lists->name(lists->user, i)); i++)
		near_add(&near, known);
	if (near_best(&near))
		return expr_fail(p, start, p->pos - start, "there is no list '$%s'; did you mean '$%.64s'?", name, near_best(&near));
	return expr_fail(p, start, p->pos - start, "there is no list '$%s'", name);
}

static int remember_list(struct expr_parser *p, const struct expr_list *list)
{
	struct expr_tree *t = p->tree;

	for (size_t i = 0; i < t->pub.n_lists; i++)
		if (!strcmp(t->lists[i].id, list->id))
			return 0;
	if (t->pub.n_lists == t->room) {
		size_t room = t->room ? t->room * 2 : 4;
		struct expr_list *more = expr_alloc(p, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		if (t->pub.n_lists)
			memcpy(more, t->lists, t->pub.n_lists * sizeof(*more));
		t->lists = more;
		t->room = room;
	}
	t->lists[t->pub.n_lists++] = *list;
	t->pub.lists = t->lists;
	return 0;
}

/* $name: lower-case letters, digits, '_', '.', '-'; no '.' at either end. */
static int parse_list(struct expr_parser *p, struct expr_node *node)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t start = p->pos++, n = 0;
	char name[128];

	while (p->pos + n < p->len && p->text[p->pos + n] && strchr(letters, p->text[p->pos + n]))
		n++;
	if (!n || n >= sizeof(name) || p->text[p->pos] == '.' || p->text[p->pos + n - 1] == '.')
		return expr_expected(p, "the name or id of a list (lower-case letters, digits, '_', '-', '.')");
	memcpy(name, p->text + p->pos, n);
	name[n] = 0;
	p->pos += n;
	if (!p->lists || !p->lists->find(p->lists->user, name, &node->list))
		return unknown_list(p, start, name);
	if ((node->list.type == EXPR_LIST_IP) != (node->lhs->kind == EXPR_IP) || node->lhs->kind == EXPR_INT)
		return expr_fail(p, start, p->pos - start, "list '$%s' holds %s, this is compared with %s", name,
				 node->list.type == EXPR_LIST_IP ? "addresses" : "texts", expr_kind_name(node->lhs->kind));
	node->cmp = EXPR_IN_LIST;
	return remember_list(p, &node->list);
}

/* Literal stars and backslashes are \* and \\; two stars in a row are an error, as in the reference engine. */
static int check_wildcard(struct expr_parser *p, size_t literal, const struct expr_bytes *b)
{
	for (size_t i = 0; i < b->n; i++) {
		size_t at = expr_string_place(p, literal, i);

		if (b->p[i] == '*' && i + 1 < b->n && b->p[i + 1] == '*')
			return expr_fail(p, at, 1, "two '*' in a row");
		if (b->p[i] != '\\')
			continue;
		if (i + 1 == b->n || (b->p[i + 1] != '*' && b->p[i + 1] != '\\'))
			return expr_fail(p, at, 1, "after a backslash of a wildcard pattern stands '*' or a backslash");
		i++;
	}
	return 0;
}

static int parse_rhs(struct expr_parser *p, struct expr_node *node)
{
	size_t literal;
	int rc;

	expr_skip_space(p);
	literal = p->pos;
	switch (node->cmp) {
	case EXPR_IN:
		if (expr_peek(p, "{"))
			return parse_set(p, node);
		return expr_peek(p, "$") ? parse_list(p, node) : expr_expected(p, "a set ({…}) or a list ($name)");
	case EXPR_BITAND:
		node->value.kind = EXPR_INT;
		return expr_lex_int(p, &node->value.i);
	case EXPR_MATCHES: /* not folded: a pattern has its own letters; the comparison is caseless there */
		node->value.kind = EXPR_BYTES;
		if (!expr_peek(p, "\"") && !expr_peek(p, "r"))
			return expr_expected(p, "a regular expression in quotes");
		rc = expr_lex_string(p, &node->value.bytes);
		return rc ? rc : expr_regex_compile(p, node, literal);
	default:
		rc = expr_lex_value(p, node->lhs, &node->value);
	}
	if (!rc && (node->cmp == EXPR_WILDCARD || node->cmp == EXPR_STRICT_WILDCARD))
		rc = check_wildcard(p, literal, &node->value.bytes);
	return rc;
}

int expr_parse_comparison(struct expr_parser *p, struct expr_node **out)
{
	struct expr_node *node = expr_alloc(p, sizeof(*node));
	size_t start = p->pos;
	int rc;

	if (!node)
		return -ENOMEM;
	node->op = EXPR_CMP;
	rc = parse_lhs(p, &node->lhs);
	if (rc)
		return rc;
	node->array = node->lhs->mapped;
	for (const struct expr_lhs *l = node->lhs; l; l = l->arg)
		if (l->func == EXPR_FIELD_ITSELF)
			node->lifted = l->mapped && !expr_field_info(l->field)->array;
	if (node->lhs->kind != EXPR_BOOL) {
		expr_skip_space(p);
		rc = parse_operator(p, node->lhs->kind, &node->cmp);
		if (!rc)
			rc = parse_rhs(p, node);
	}
	node->offset = (uint32_t)start;
	node->length = (uint32_t)(p->pos - start);
	*out = node;
	return rc;
}
