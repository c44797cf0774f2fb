// SPDX-License-Identifier: BSD-3-Clause
// Literals: whole numbers, addresses, prefixes and ranges, strings in their four forms.
#include "lib/expr/internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEX "0123456789abcdefABCDEF"

/* How many of the bytes from `at` are among chars. */
static size_t span(const struct expr_parser *p, size_t at, const char *chars)
{
	size_t n = 0;

	while (at + n < p->len && p->text[at + n] && strchr(chars, p->text[at + n]))
		n++;
	return n;
}

static int too_large(struct expr_parser *p, size_t start, size_t n)
{
	char shown[64];

	return expr_fail(p, start, n, "%s does not fit into 64 bits", expr_show(p, start, start + n, shown, sizeof(shown)));
}

/* 0x… hexadecimal, 0… octal, else decimal with an optional minus. */
int expr_lex_int(struct expr_parser *p, int64_t *out)
{
	size_t start = p->pos, digits, n;
	bool minus = start < p->len && p->text[start] == '-';
	const char *set = "0123456789";
	unsigned base = 10;
	uint64_t v = 0;

	digits = start + minus;
	n = span(p, digits, set);
	if (!n)
		return expr_expected(p, "a whole number");
	if (!minus && p->text[digits] == '0' && digits + 1 < p->len && p->text[digits + 1] == 'x') {
		base = 16;
		digits += 2;
		n = span(p, digits, HEX);
		if (!n)
			return expr_fail(p, start, 2, "expected hexadecimal digits after 0x");
	} else if (!minus && n > 1 && p->text[digits] == '0') {
		base = 8;
		if (span(p, digits, "01234567") != n)
			return expr_fail(p, start, n, "a leading 0 means octal, which has no digits 8 and 9");
	}
	for (size_t i = 0; i < n; i++) {
		char c = p->text[digits + i];
		unsigned d = isdigit((unsigned char)c) ? (unsigned)(c - '0') : (unsigned)(tolower((unsigned char)c) - 'a') + 10;

		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v) || v > (uint64_t)INT64_MAX + minus)
			return too_large(p, start, digits + n - start);
	}
	p->pos = digits + n;
	*out = minus ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

/* Letters of an address, without the dots of a range. */
static size_t ip_span(const struct expr_parser *p, size_t at)
{
	size_t n = span(p, at, HEX ":.");

	for (size_t i = 0; i + 1 < n; i++)
		if (p->text[at + i] == '.' && p->text[at + i + 1] == '.')
			return i;
	return n;
}

static int ip_at(struct expr_parser *p, size_t n, struct ip_addr *out)
{
	char text[IP_ADDR_TEXT + 1], shown[80];

	if (!n)
		return expr_expected(p, "an address");
	if (n < sizeof(text)) {
		memcpy(text, p->text + p->pos, n);
		text[n] = 0;
		if (ip_addr_parse(text, out)) {
			p->pos += n;
			return 0;
		}
	}
	return expr_fail(p, p->pos, n, "'%s' is no address", expr_show(p, p->pos, p->pos + n, shown, sizeof(shown)));
}

int expr_lex_ip(struct expr_parser *p, struct ip_addr *out)
{
	size_t start = p->pos;
	int rc = ip_at(p, ip_span(p, p->pos), out);

	if (!rc && p->pos < p->len && p->text[p->pos] == '/')
		return expr_fail(p, start, p->pos - start + 1 + span(p, p->pos + 1, "0123456789"),
				 "a prefix can only stand in a set: in {…}");
	return rc;
}

static int cidr(struct expr_parser *p, size_t start, struct expr_range *out)
{
	char text[IP_PREFIX_TEXT + 8], why[160];
	struct ip_prefix prefix;
	size_t n;

	p->pos++;
	n = p->pos - start + span(p, p->pos, "0123456789");
	if (n >= sizeof(text))
		return expr_fail(p, start, n, "expected a prefix length of 0 to 128 after '/'");
	memcpy(text, p->text + start, n);
	text[n] = 0;
	if (ip_prefix_parse(text, false, &prefix, why, sizeof(why)) < 0)
		return expr_fail(p, start, n, "%s", why);
	p->pos = start + n;
	out->first.ip = out->last.ip = prefix.addr;
	for (unsigned bit = prefix.len; bit < ip_addr_bits(&prefix.addr); bit++)
		out->last.ip.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return 0;
}

int expr_lex_ip_item(struct expr_parser *p, struct expr_range *out)
{
	size_t start = p->pos;
	char shown[128];
	int rc;

	out->first.kind = out->last.kind = EXPR_IP;
	rc = ip_at(p, ip_span(p, p->pos), &out->first.ip);
	if (rc)
		return rc;
	out->last.ip = out->first.ip;
	if (p->pos < p->len && p->text[p->pos] == '/')
		return cidr(p, start, out);
	if (!expr_eat(p, ".."))
		return 0;
	rc = ip_at(p, ip_span(p, p->pos), &out->last.ip);
	if (rc)
		return rc;
	if (out->first.ip.family != out->last.ip.family)
		return expr_fail(p, start, p->pos - start, "%s: the two ends are of different families",
				 expr_show(p, start, p->pos, shown, sizeof(shown)));
	if (ip_addr_cmp(&out->first.ip, &out->last.ip) > 0)
		return expr_fail(p, start, p->pos - start, "%s: the range ends before it begins",
				 expr_show(p, start, p->pos, shown, sizeof(shown)));
	return 0;
}

/* One escape after a backslash at *at: \" \\ \xHH \OOO. False when it is none of them. */
static bool unescape(const struct expr_parser *p, size_t *at, char *out)
{
	size_t i = *at + 1;
	unsigned v = 0;

	if (i < p->len && (p->text[i] == '"' || p->text[i] == '\\')) {
		*out = p->text[i];
		*at = i + 1;
		return true;
	}
	if (i < p->len && p->text[i] == 'x' && span(p, i + 1, HEX) >= 2) {
		char hex[3] = {p->text[i + 1], p->text[i + 2], 0};

		*out = (char)strtoul(hex, NULL, 16);
		*at = i + 3;
		return true;
	}
	if (span(p, i, "01234567") < 3)
		return false;
	for (unsigned k = 0; k < 3; k++)
		v = v * 8 + (unsigned)(p->text[i + k] - '0');
	*out = (char)v;
	*at = i + 3;
	return v < 256;
}

static int quoted(struct expr_parser *p, struct expr_bytes *out)
{
	size_t start = p->pos, at = start + 1, n = 0;
	const char *end = memchr(p->text + at, '"', p->len - at);
	char *buf;

	while (end && end[-1] == '\\' && end + 1 < p->text + p->len) /* an upper bound of the length is enough */
		end = memchr(end + 1, '"', (size_t)(p->text + p->len - end - 1));
	buf = expr_alloc(p, (end ? (size_t)(end - p->text) : p->len) - start + 1);
	if (!buf)
		return -ENOMEM;
	while (at < p->len && p->text[at] != '"') {
		size_t from = at;

		if (p->text[at] != '\\')
			buf[n++] = p->text[at++];
		else if (!unescape(p, &at, &buf[n++]))
			return expr_fail(p, from, from + 1 < p->len ? 2 : 1, "unknown escape: there are \\\" \\\\ \\xHH and \\OOO (raw strings: r\"…\")");
	}
	if (at >= p->len)
		return expr_fail(p, start, 1, "this string does not end");
	p->pos = at + 1;
	*out = (struct expr_bytes){buf, n};
	return 0;
}

/* r"…", r#"…"#, …: no escapes inside. */
static int raw(struct expr_parser *p, struct expr_bytes *out)
{
	size_t start = p->pos, hashes = span(p, start + 1, "#"), at = start + 1 + hashes;

	if (hashes > 255 || at >= p->len || p->text[at] != '"')
		return expr_expected(p, "a string");
	for (size_t i = at + 1; i < p->len; i++) {
		if (p->text[i] != '"' || span(p, i + 1, "#") < hashes)
			continue;
		*out = (struct expr_bytes){p->text + at + 1, i - at - 1};
		p->pos = i + 1 + hashes;
		return 0;
	}
	return expr_fail(p, start, at + 1 - start, "this string does not end");
}

/* HH sep HH (sep HH)*, sep one of : - . */
static int hex_bytes(struct expr_parser *p, struct expr_bytes *out)
{
	size_t at = p->pos, n = 0;
	char *buf = expr_alloc(p, (p->len - at) / 3 + 1 > 1024 ? 1024 : (p->len - at) / 3 + 1);

	if (!buf)
		return -ENOMEM;
	while (n < 1024 && span(p, at, HEX) == 2) {
		char hex[3] = {p->text[at], p->text[at + 1], 0};

		buf[n++] = (char)strtoul(hex, NULL, 16);
		at += 2;
		if (at >= p->len || !strchr(":-.", p->text[at]) || span(p, at + 1, HEX) < 2)
			break;
		at++;
	}
	if (n < 2)
		return expr_expected(p, "a string");
	p->pos = at;
	*out = (struct expr_bytes){buf, n};
	return 0;
}

int expr_lex_string(struct expr_parser *p, struct expr_bytes *out)
{
	struct expr_bytes b = {NULL, 0};
	char *copy;
	int rc;

	if (expr_peek(p, "\""))
		return quoted(p, out);
	if (!expr_peek(p, "r"))
		return hex_bytes(p, out);
	rc = raw(p, &b);
	if (rc)
		return rc;
	copy = expr_alloc(p, b.n + 1); /* the text is the caller's */
	if (!copy)
		return -ENOMEM;
	memcpy(copy, b.p, b.n);
	*out = (struct expr_bytes){copy, b.n};
	return 0;
}

size_t expr_string_place(const struct expr_parser *p, size_t start, size_t index)
{
	size_t at = start + 1;
	char c;

	if (p->text[start] == 'r')
		return start + 2 + span(p, start + 1, "#") + index;
	for (; index && at < p->len; index--)
		if (p->text[at] != '\\' || !unescape(p, &at, &c))
			at++;
	return at;
}

/* "2222" for a port, as some write it. */
static int quoted_int(struct expr_parser *p, int64_t *out)
{
	struct expr_parser inner = *p;
	size_t start = p->pos;
	struct expr_bytes s = {NULL, 0};
	int rc = expr_lex_string(p, &s);

	if (rc)
		return rc;
	inner.text = s.p;
	inner.len = s.n;
	inner.pos = 0;
	inner.error = &(struct expr_error){0};
	if (expr_lex_int(&inner, out) || inner.pos != s.n) {
		size_t end = p->pos;

		p->pos = start;
		return expr_fail(p, start, end - start, "expected a whole number, found a text that is none");
	}
	return 0;
}

static int lex_int(struct expr_parser *p, int64_t *out)
{
	return expr_peek(p, "\"") ? quoted_int(p, out) : expr_lex_int(p, out);
}

static void fold(struct expr_bytes *b)
{
	char *s = (char *)(uintptr_t)b->p; /* ours: expr_lex_string() copies */

	for (size_t i = 0; i < b->n; i++)
		s[i] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] + 32 : s[i]);
}

int expr_lex_value(struct expr_parser *p, const struct expr_lhs *lhs, struct expr_value *out)
{
	int rc;

	out->kind = lhs->kind;
	if (lhs->kind == EXPR_INT)
		return lex_int(p, &out->i);
	if (lhs->kind == EXPR_IP)
		return expr_lex_ip(p, &out->ip);
	rc = expr_lex_string(p, &out->bytes);
	if (!rc && lhs->fold)
		fold(&out->bytes);
	return rc;
}

int expr_lex_item(struct expr_parser *p, const struct expr_lhs *lhs, struct expr_range *out)
{
	size_t start = p->pos;
	char shown[80];
	int rc;

	if (lhs->kind == EXPR_IP)
		return expr_lex_ip_item(p, out);
	rc = expr_lex_value(p, lhs, &out->first);
	out->last = out->first;
	if (rc || lhs->kind != EXPR_INT || !expr_eat(p, ".."))
		return rc;
	rc = lex_int(p, &out->last.i);
	if (!rc && out->first.i > out->last.i)
		return expr_fail(p, start, p->pos - start, "%s: the range ends before it begins",
				 expr_show(p, start, p->pos, shown, sizeof(shown)));
	return rc;
}
