// SPDX-License-Identifier: BSD-3-Clause
// Space, words by prefix, identifiers.
#include "lib/expr/internal.h"

#include <ctype.h>
#include <string.h>

void expr_skip_space(struct expr_parser *p)
{
	while (p->pos < p->len && (p->text[p->pos] == ' ' || p->text[p->pos] == '\r' || p->text[p->pos] == '\n'))
		p->pos++;
}

bool expr_peek(const struct expr_parser *p, const char *word)
{
	size_t n = strlen(word);

	return p->len - p->pos >= n && !memcmp(p->text + p->pos, word, n);
}

bool expr_eat(struct expr_parser *p, const char *word)
{
	if (!expr_peek(p, word))
		return false;
	p->pos += strlen(word);
	return true;
}

static bool starts_ident(char c)
{
	return isalpha((unsigned char)c) || c == '_';
}

static size_t part(const struct expr_parser *p, size_t at)
{
	size_t n = 0;

	if (at >= p->len || !starts_ident(p->text[at]))
		return 0;
	while (at + n < p->len && (starts_ident(p->text[at + n]) || isdigit((unsigned char)p->text[at + n])))
		n++;
	return n;
}

size_t expr_ident(const struct expr_parser *p)
{
	size_t at = p->pos, n = part(p, at);

	while (n) {
		at += n;
		n = at < p->len && p->text[at] == '.' ? part(p, at + 1) : 0;
		at += n ? 1 : 0;
	}
	return at - p->pos;
}
