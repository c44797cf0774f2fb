// SPDX-License-Identifier: BSD-3-Clause
// Items of a list from a file.
#include "tools/items.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CSV_HEADER "value,description"

struct csv {
	const char *at, *end;
	unsigned line;
};

static size_t trimmed(const char **s, size_t len)
{
	while (len && isspace((unsigned char)**s)) {
		(*s)++;
		len--;
	}
	while (len && isspace((unsigned char)(*s)[len - 1]))
		len--;
	return len;
}

static bool append(json_t *items, const char *value, size_t len, const char *description, size_t dlen)
{
	json_t *v = json_stringn(value, len), *d = dlen ? json_stringn(description, dlen) : NULL;

	if (!v || (dlen && !d)) {
		json_decref(v);
		json_decref(d);
		return false;
	}
	return !json_array_append_new(items, d ? json_pack("{s:o, s:o}", "value", v, "description", d) : v);
}

/* One field, quoted or not, into out (room for len bytes); ends before ',' or at the end of the line. */
static bool csv_field(struct csv *c, char *out, size_t *n)
{
	*n = 0;
	if (c->at == c->end || *c->at != '"') {
		while (c->at < c->end && !strchr(",\r\n", *c->at))
			out[(*n)++] = *c->at++;
		return true;
	}
	for (c->at++; c->at < c->end; c->at++) {
		if (*c->at == '"' && (c->at + 1 == c->end || c->at[1] != '"')) {
			c->at++;
			return c->at == c->end || strchr(",\r\n", *c->at);
		}
		c->at += *c->at == '"';
		c->line += *c->at == '\n';
		out[(*n)++] = *c->at;
	}
	return false;
}

static bool csv_line_end(struct csv *c)
{
	if (c->at < c->end && *c->at == '\r')
		c->at++;
	if (c->at < c->end && *c->at != '\n')
		return false;
	c->at += c->at < c->end;
	c->line++;
	return true;
}

/* One record; false with the reason in *what. */
static bool csv_record(struct csv *c, char *buf, json_t *items, const char **what)
{
	const char *value = buf;
	size_t n, d = 0;
	char *description;

	*what = "a quote does not end, or text follows it";
	if (!csv_field(c, buf, &n))
		return false;
	description = buf + n;
	if (c->at < c->end && *c->at == ',') {
		c->at++;
		if (!csv_field(c, description, &d))
			return false;
	}
	*what = "more than the two columns value and description";
	if (!csv_line_end(c))
		return false;
	n = trimmed(&value, n);
	*what = n ? "not UTF-8 text" : "no value before the description";
	return !n ? !d : append(items, value, n, description, d);
}

static json_t *parse_csv(const char *text, const char *end, char *why, size_t why_size)
{
	struct csv c = {text, end, 2};
	char *buf = malloc((size_t)(end - text) + 1);
	json_t *items = json_array();
	const char *what;

	while (buf && c.at < c.end) {
		unsigned line = c.line;

		if (csv_record(&c, buf, items, &what))
			continue;
		snprintf(why, why_size, "line %u: %s", line, what);
		free(buf);
		json_decref(items);
		return NULL;
	}
	free(buf);
	return items;
}

/* '#' starts a comment at the start of a line and after white space. */
static size_t without_comment(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] == '#' && (!i || isspace((unsigned char)s[i - 1])))
			return i;
	return len;
}

json_t *items_parse(const char *text, size_t len, char *why, size_t why_size)
{
	const char *end = text + len, *eol = memchr(text, '\n', len);
	const char *first = text;
	size_t n = trimmed(&first, eol ? (size_t)(eol - text) : len);
	json_t *items;
	unsigned line = 0;

	if (n == strlen(CSV_HEADER) && !strncasecmp(first, CSV_HEADER, n))
		return parse_csv(eol ? eol + 1 : end, end, why, why_size);
	items = json_array();
	for (; text < end; text = eol ? eol + 1 : end) {
		const char *item = text;

		line++;
		eol = memchr(text, '\n', (size_t)(end - text));
		n = without_comment(text, (size_t)((eol ? eol : end) - text));
		n = trimmed(&item, n);
		if (n && !append(items, item, n, NULL, 0)) {
			snprintf(why, why_size, "line %u: not UTF-8 text", line);
			json_decref(items);
			return NULL;
		}
	}
	return items;
}
