// SPDX-License-Identifier: BSD-3-Clause
// Logic: or < xor < and < not, parentheses, any() and all(), and which of them give one answer or one per element.
#include "lib/expr/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int parse_or(struct expr_parser *p, struct expr_node **out);
static int parse_simple(struct expr_parser *p, struct expr_node **out);

static struct expr_node *new_node(struct expr_parser *p, enum expr_op op, size_t start)
{
	struct expr_node *node = expr_alloc(p, sizeof(*node));

	if (!node)
		return NULL;
	node->op = op;
	node->offset = (uint32_t)start;
	return node;
}

static void end_node(struct expr_parser *p, struct expr_node *node)
{
	node->length = (uint32_t)(p->pos - node->offset);
}

static int deeper(struct expr_parser *p)
{
	return ++p->depth > EXPR_DEPTH_MAX ? expr_fail(p, p->pos, 1, "nested deeper than %d", EXPR_DEPTH_MAX) : 0;
}

/* One answer or one per element: kids must agree; a scalar under [*] can be either. */
static int join_types(struct expr_parser *p, struct expr_node *node)
{
	bool array = false, lifted = true;

	for (const struct expr_node *k = node->kids; k; k = k->next) {
		array |= k->array && !k->lifted;
		lifted &= k->lifted;
	}
	for (const struct expr_node *k = node->kids; array && k; k = k->next)
		if (!k->array || k->lifted)
			return expr_fail(p, k->offset, k->length,
					 "this gives one answer and what it is joined with one per element: put any(…) or all(…) around that");
	node->array = array || lifted;
	node->lifted = lifted;
	return 0;
}

static bool eat_operator(struct expr_parser *p, enum expr_op op)
{
	expr_skip_space(p);
	return op == EXPR_OR   ? expr_eat(p, "or") || expr_eat(p, "||")
	       : op == EXPR_XOR ? expr_eat(p, "xor") || expr_eat(p, "^^")
				: expr_eat(p, "and") || expr_eat(p, "&&");
}

typedef int parse_fn(struct expr_parser *p, struct expr_node **out);

/* operand (op operand)*, flattened into one node. */
static int parse_chain(struct expr_parser *p, enum expr_op op, parse_fn *operand, struct expr_node **out)
{
	struct expr_node *node = NULL, **end;
	size_t start;
	int rc;

	expr_skip_space(p);
	start = p->pos;
	rc = operand(p, out);
	if (rc)
		return rc;
	end = &(*out)->next;
	while (eat_operator(p, op)) {
		if (!node) {
			node = new_node(p, op, start);
			if (!node)
				return -ENOMEM;
			node->kids = *out;
			*out = node;
		}
		expr_skip_space(p);
		rc = operand(p, end);
		if (rc)
			return rc;
		end = &(*end)->next;
		end_node(p, node);
	}
	return node ? join_types(p, node) : 0;
}

static int parse_and(struct expr_parser *p, struct expr_node **out)
{
	return parse_chain(p, EXPR_AND, parse_simple, out);
}

static int parse_xor(struct expr_parser *p, struct expr_node **out)
{
	return parse_chain(p, EXPR_XOR, parse_and, out);
}

static int parse_or(struct expr_parser *p, struct expr_node **out)
{
	return parse_chain(p, EXPR_OR, parse_xor, out);
}

static int parse_parens(struct expr_parser *p, struct expr_node **out)
{
	int rc = deeper(p);

	p->pos++;
	if (!rc)
		rc = parse_or(p, out);
	expr_skip_space(p);
	if (!rc && !expr_eat(p, ")"))
		rc = expr_expected(p, "')', 'and', 'or' or 'xor'");
	p->depth--;
	return rc;
}

static int parse_not(struct expr_parser *p, struct expr_node **out)
{
	struct expr_node *node = new_node(p, EXPR_NOT, p->pos);
	int rc = node ? deeper(p) : -ENOMEM;

	p->pos += expr_peek(p, "!") ? 1 : 3;
	expr_skip_space(p);
	if (!rc)
		rc = parse_simple(p, &node->kids);
	p->depth--;
	if (rc)
		return rc;
	node->array = node->kids->array;
	node->lifted = node->kids->lifted;
	end_node(p, node);
	*out = node;
	return 0;
}

/* any( or all(, white space allowed between; otherwise the letters begin a field. */
static bool at_quantifier(struct expr_parser *p)
{
	struct expr_parser after = *p;

	if (!expr_eat(&after, "any") && !expr_eat(&after, "all"))
		return false;
	expr_skip_space(&after);
	return expr_peek(&after, "(");
}

static int parse_quantifier(struct expr_parser *p, struct expr_node **out)
{
	bool any = expr_peek(p, "any");
	struct expr_node *node = new_node(p, any ? EXPR_ANY : EXPR_ALL, p->pos);
	int rc;

	if (!node)
		return -ENOMEM;
	p->pos += 3;
	expr_skip_space(p);
	rc = parse_parens(p, &node->kids);
	if (rc)
		return rc;
	if (!node->kids->array)
		return expr_fail(p, node->kids->offset, node->kids->length, "%s() needs one answer per element: write [*] after a field in it",
				 any ? "any" : "all");
	end_node(p, node);
	*out = node;
	return 0;
}

static int parse_simple(struct expr_parser *p, struct expr_node **out)
{
	if (expr_peek(p, "("))
		return parse_parens(p, out);
	if (expr_peek(p, "not") || expr_peek(p, "!"))
		return parse_not(p, out);
	return at_quantifier(p) ? parse_quantifier(p, out) : expr_parse_comparison(p, out);
}

static int parse_whole(struct expr_parser *p)
{
	struct expr_node *root = NULL;
	int rc;

	if (p->len > EXPR_TEXT_MAX)
		return expr_fail(p, EXPR_TEXT_MAX, 1, "longer than %d bytes", EXPR_TEXT_MAX);
	rc = parse_or(p, &root);
	if (rc)
		return rc;
	expr_skip_space(p);
	if (p->pos < p->len)
		return expr_expected(p, "'and', 'or', 'xor' or the end");
	if (root->array && !root->lifted)
		return expr_fail(p, root->offset, root->length, "this gives one answer per element: put any(…) or all(…) around it");
	p->tree->pub.root = root;
	return 0;
}

int expr_parse(const char *text, size_t len, enum expr_scheme scheme, const struct expr_lists *lists, struct expr **out,
	       struct expr_error *error)
{
	struct expr_tree *tree = calloc(1, sizeof(*tree));
	struct expr_parser p = {.text = text, .len = len, .scheme = scheme, .lists = lists, .tree = tree, .error = error};
	int rc;

	*out = NULL;
	memset(error, 0, sizeof(*error));
	if (!tree)
		return -ENOMEM;
	tree->pub.scheme = scheme;
	rc = parse_whole(&p);
	if (p.no_memory)
		rc = -ENOMEM;
	if (rc)
		expr_free(&tree->pub);
	else
		*out = &tree->pub;
	return rc;
}

void expr_free(struct expr *e)
{
	struct expr_tree *tree = (struct expr_tree *)e; /* pub is its first member */

	if (!tree)
		return;
	for (struct expr_node *n = tree->regexes; n; n = n->regex_next)
		expr_regex_free(n->regex);
	expr_arena_free(&tree->arena);
	free(tree);
}

bool expr_needs_inspection(const struct expr *e)
{
	for (unsigned f = 0; f < EXPR_FIELD_COUNT; f++)
		if (e->fields & 1u << f && expr_field_info((enum expr_field)f)->inspected)
			return true;
	return false;
}
