// SPDX-License-Identifier: BSD-3-Clause
// Finds the list references of an expression and resolves them.
#include "ctrl/expr_check.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

/* Returns what follows the string that opens at s ("…" with escapes, or r"…" / r#"…"# from the r), or NULL: not closed. */
static const char *skip_string(const char *s)
{
	if (*s == 'r') {
		size_t hashes = strspn(s + 1, "#");
		char end[260] = "\"";

		if (hashes > 255)
			return NULL;
		memset(end + 1, '#', hashes);
		end[1 + hashes] = 0;
		s = strstr(s + 2 + hashes, end);
		return s ? s + 1 + hashes : NULL;
	}
	for (s++; *s && *s != '"'; s++) {
		if (*s == '\\' && s[1])
			s++;
	}
	return *s ? s + 1 : NULL;
}

static bool opens_string(const char *s, const char *start)
{
	size_t hashes;

	if (*s == '"')
		return true;
	if (*s != 'r' || (s > start && (isalnum((unsigned char)s[-1]) || s[-1] == '_' || s[-1] == '.')))
		return false;
	hashes = strspn(s + 1, "#");
	return s[1 + hashes] == '"';
}

static int check_ref(const char **at, expr_list_fn *list, void *arg, char *err, size_t err_len)
{
	size_t n = strspn(*at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
	char ref[256];

	if (n == 0 || n >= sizeof(ref)) {
		snprintf(err, err_len, "'$' must be followed by the id of a list");
		return -1;
	}
	memcpy(ref, *at, n);
	ref[n] = 0;
	*at += n;
	if (list(ref, arg))
		return 0;
	snprintf(err, err_len, "list '$%s': there is none", ref);
	return -1;
}

int expr_check(const char *text, enum expr_group group, const char *filter, expr_list_fn *list, void *arg, char *err, size_t err_len)
{
	const char *s = text;

	(void)group;
	(void)filter;
	if (text[strspn(text, " \r\n")] == 0) {
		snprintf(err, err_len, "must not be empty (leave it out for 'always')");
		return -1;
	}
	while (*s) {
		if (opens_string(s, text)) {
			s = skip_string(s);
			if (!s) {
				snprintf(err, err_len, "a string is not closed");
				return -1;
			}
		} else if (*s++ == '$' && check_ref(&s, list, arg, err, err_len) < 0) {
			return -1;
		}
	}
	return 0;
}

static bool mentions(const char *text, const char *const *words)
{
	for (; *words; words++) {
		if (strstr(text, *words))
			return true;
	}
	return false;
}

bool expr_uses_host(const char *text)
{
	static const char *const words[] = {"net.sni", "http.request.host", "http.request.domains", "dns.fqdn", "dns.domains", NULL};

	return mentions(text, words);
}

bool expr_uses_address(const char *text)
{
	static const char *const words[] = {"net.dst.ip", "http.conn.dst_ip", NULL};

	return mentions(text, words);
}
