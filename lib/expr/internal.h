// SPDX-License-Identifier: BSD-3-Clause
// What the files of the expression parser share.
#ifndef SLUICE_LIB_EXPR_INTERNAL_H
#define SLUICE_LIB_EXPR_INTERNAL_H

#include "lib/expr/expr.h"

/* Memory of one tree: freed at once. */
struct expr_arena {
	struct expr_chunk *chunks;
};

/* The tree with what callers do not see. */
struct expr_tree {
	struct expr pub;
	struct expr_arena arena;
	struct expr_node *regexes; /* chained by regex_next */
	struct expr_list *lists;
	size_t room;
};

struct expr_parser {
	const char *text;
	size_t len, pos;
	unsigned depth;
	enum expr_scheme scheme;
	const struct expr_lists *lists;
	struct expr_tree *tree;
	struct expr_error *error;
	bool failed;    /* error is set */
	bool no_memory;
	bool in_array;  /* inside any() or all() */
};

/* Zeroed memory that lives as long as the tree; NULL (and no_memory) without. */
void *expr_alloc(struct expr_parser *p, size_t size);
void expr_arena_free(struct expr_arena *arena);

/* --- error.c: all return -EINVAL; the first error counts --- */
int expr_fail(struct expr_parser *p, size_t offset, size_t length, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* "expected WHAT, found …" at the present place. */
int expr_expected(struct expr_parser *p, const char *what);
/* Text [from, to) escaped for a message, shortened. buf is returned. */
const char *expr_show(const struct expr_parser *p, size_t from, size_t to, char *buf, size_t size);

/* --- lex.c --- */
void expr_skip_space(struct expr_parser *p); /* space, CR, LF; a tab is none */
bool expr_peek(const struct expr_parser *p, const char *word); /* by prefix: no word boundary is asked for */
bool expr_eat(struct expr_parser *p, const char *word);
/* [A-Za-z_][A-Za-z0-9_]*(.[…])*: its length from the present place, 0 for none. */
size_t expr_ident(const struct expr_parser *p);

/* --- literal.c: 0 or -EINVAL / -ENOMEM, the place moved past the literal --- */
int expr_lex_int(struct expr_parser *p, int64_t *out);
int expr_lex_ip(struct expr_parser *p, struct ip_addr *out);
int expr_lex_ip_item(struct expr_parser *p, struct expr_range *out);
int expr_lex_string(struct expr_parser *p, struct expr_bytes *out);
/* The literal of one value, or one item of a set, of the kind of lhs. A quoted whole number is an Int too. */
int expr_lex_value(struct expr_parser *p, const struct expr_lhs *lhs, struct expr_value *out);
int expr_lex_item(struct expr_parser *p, const struct expr_lhs *lhs, struct expr_range *out);
/* Place in the text of byte `index` of the string literal that starts at `start`. */
size_t expr_string_place(const struct expr_parser *p, size_t start, size_t index);

/* --- scheme.c --- */
/* Finds a field of this scheme; else -EINVAL with the error set: of another scheme, refused with a reason, or unknown. */
int expr_field_find(struct expr_parser *p, const char *name, size_t len, size_t offset, size_t length, enum expr_field *out);
const char *expr_kind_name(enum expr_kind k); /* "an address" */

/* --- parse_cmp.c --- */
int expr_parse_comparison(struct expr_parser *p, struct expr_node **out);

/* --- regex.c --- */
int expr_regex_compile(struct expr_parser *p, struct expr_node *node, size_t literal);
void expr_regex_free(void *db);
/* 1, 0 or -ENOMEM. scratch: one that fits, nobody else's; NULL: made for this match. */
int expr_regex_match(const void *db, void *scratch, const char *s, size_t n);

/* --- eval.c --- */
bool expr_wildcard_match(const char *pattern, size_t plen, const char *s, size_t n, bool fold);

#endif
