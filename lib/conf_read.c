// SPDX-License-Identifier: BSD-3-Clause
// Configuration: from the YAML tree into C structures by a table of keys.
#include "lib/conf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *suffix;
	uint64_t factor;
};

static bool parse_units(const char *text, const struct unit *units, uint64_t plain, uint64_t *out)
{
	uint64_t v = 0, factor = plain;
	const char *s = text;

	for (; *s >= '0' && *s <= '9'; s++) {
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	if (s == text)
		return false;
	if (*s) {
		while (units->suffix && strcmp(units->suffix, s) != 0)
			units++;
		if (!units->suffix)
			return false;
		factor = units->factor;
	}
	return !__builtin_mul_overflow(v, factor, out);
}

bool conf_parse_duration(const char *text, uint64_t *ms)
{
	static const struct unit units[] = {{"ms", 1},	      {"s", 1000},     {"m", 60000},
					    {"h", 3600000}, {"d", 86400000}, {NULL, 0}};

	return parse_units(text, units, 1000, ms);
}

bool conf_parse_size(const char *text, uint64_t *bytes)
{
	static const struct unit units[] = {{"k", 1u << 10}, {"m", 1u << 20}, {"g", 1u << 30},
					    {"K", 1u << 10}, {"M", 1u << 20}, {"G", 1u << 30}, {NULL, 0}};

	return parse_units(text, units, 1, bytes);
}

struct reader {
	char *err;
	size_t err_len;
};

static int read_map(struct reader *r, const struct conf_node *map, const struct conf_key *keys, char *out);

static int bad(struct reader *r, const struct conf_node *n, const struct conf_key *k, const char *want)
{
	if (n->kind != CONF_KIND_SCALAR)
		return conf_error(n, r->err, r->err_len, "%s: must be %s", k->name, want);
	return conf_error(n, r->err, r->err_len, "%s: '%s' is not %s", k->name, n->text, want);
}

static int read_string(struct reader *r, const struct conf_node *n, const struct conf_key *k, char **out)
{
	char *copy;

	if (n->kind != CONF_KIND_SCALAR || n->text[0] == 0)
		return conf_error(n, r->err, r->err_len, "%s: must be a text", k->name);
	copy = strdup(n->text);
	if (!copy)
		return conf_error(n, r->err, r->err_len, "%s: out of memory", k->name);
	free(*out);
	*out = copy;
	return 0;
}

static int read_bool(struct reader *r, const struct conf_node *n, const struct conf_key *k, bool *out)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

	for (unsigned i = 0; n->kind == CONF_KIND_SCALAR && i < 6; i++) {
		if (strcmp(n->text, words[i]) == 0) {
			*out = i & 1;
			return 0;
		}
	}
	return bad(r, n, k, "true or false");
}

static int range_error(struct reader *r, const struct conf_node *n, const struct conf_key *k)
{
	const char *unit = k->type == CONF_DURATION ? " ms" : k->type == CONF_SIZE ? " bytes" : "";

	return conf_error(n, r->err, r->err_len, "%s: '%s' is not between %" PRId64 " and %" PRId64 "%s", k->name, n->text, k->min,
			  k->max, unit);
}

static int read_int(struct reader *r, const struct conf_node *n, const struct conf_key *k, int64_t *out)
{
	char *end;
	long long v;

	if (n->kind != CONF_KIND_SCALAR || n->text[strspn(n->text, "-0123456789")] != 0 || n->text[0] == 0)
		return bad(r, n, k, "a whole number");
	errno = 0;
	v = strtoll(n->text, &end, 10);
	if (*end || errno)
		return bad(r, n, k, "a whole number");
	if ((k->min || k->max) && (v < k->min || v > k->max))
		return range_error(r, n, k);
	*out = v;
	return 0;
}

static int read_units(struct reader *r, const struct conf_node *n, const struct conf_key *k, uint64_t *out)
{
	bool duration = k->type == CONF_DURATION;
	uint64_t v;

	if (n->kind != CONF_KIND_SCALAR ||
	    !(duration ? conf_parse_duration(n->text, &v) : conf_parse_size(n->text, &v)))
		return bad(r, n, k, duration ? "a duration such as 30s or 2m" : "a size such as 64k or 16m");
	if ((k->min || k->max) && (v < (uint64_t)k->min || v > (uint64_t)k->max))
		return range_error(r, n, k);
	*out = v;
	return 0;
}

static int read_choice(struct reader *r, const struct conf_node *n, const struct conf_key *k, int *out)
{
	char want[256] = "one of";
	size_t len = strlen(want);

	for (int i = 0; k->choices[i]; i++) {
		size_t n1 = strlen(k->choices[i]);

		if (n->kind == CONF_KIND_SCALAR && strcmp(n->text, k->choices[i]) == 0) {
			*out = i;
			return 0;
		}
		if (len + n1 + 2 < sizeof(want)) {
			want[len++] = ' ';
			memcpy(want + len, k->choices[i], n1 + 1);
			len += n1;
		}
	}
	return bad(r, n, k, want);
}

static size_t count_children(const struct conf_node *n)
{
	size_t c = 0;

	for (n = n->child; n; n = n->next)
		c++;
	return c;
}

static int check_count(struct reader *r, const struct conf_node *n, const struct conf_key *k, size_t count)
{
	if (k->max > 0 && (count < (size_t)k->min || count > (size_t)k->max))
		return conf_error(n, r->err, r->err_len, "%s: has %zu items, not %" PRId64 " to %" PRId64, k->name, count, k->min,
				  k->max);
	return 0;
}

static void strings_free(struct conf_strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct conf_strings){0};
}

static int read_strings(struct reader *r, const struct conf_node *n, const struct conf_key *k, struct conf_strings *out)
{
	bool single = n->kind == CONF_KIND_SCALAR;
	size_t count = single ? 1 : count_children(n);
	const struct conf_node *c = single ? n : n->child;
	int ret;

	if (n->kind == CONF_KIND_MAP)
		return bad(r, n, k, "a list of texts");
	ret = check_count(r, n, k, count);
	if (ret < 0)
		return ret;
	strings_free(out);
	out->v = calloc(count ? count : 1, sizeof(*out->v));
	if (!out->v)
		return conf_error(n, r->err, r->err_len, "%s: out of memory", k->name);
	for (; out->n < count; c = c->next) {
		ret = read_string(r, c, k, &out->v[out->n++]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static void maps_free(const struct conf_key *k, struct conf_maps *m)
{
	for (size_t i = 0; i < m->n; i++)
		conf_release(k->sub, (char *)m->v + i * k->sub_size);
	free(m->v);
	*m = (struct conf_maps){0};
}

static int read_maps(struct reader *r, const struct conf_node *n, const struct conf_key *k, struct conf_maps *out)
{
	size_t count = count_children(n);
	int ret;

	if (n->kind != CONF_KIND_LIST)
		return bad(r, n, k, "a list");
	ret = check_count(r, n, k, count);
	if (ret < 0)
		return ret;
	maps_free(k, out);
	out->v = calloc(count ? count : 1, k->sub_size);
	if (!out->v)
		return conf_error(n, r->err, r->err_len, "%s: out of memory", k->name);
	for (const struct conf_node *c = n->child; c; c = c->next) {
		if (c->kind != CONF_KIND_MAP)
			return conf_error(c, r->err, r->err_len, "%s: each item must be keys and values", k->name);
		ret = read_map(r, c, k->sub, (char *)out->v + out->n++ * k->sub_size);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int read_value(struct reader *r, const struct conf_node *n, const struct conf_key *k, void *at)
{
	switch (k->type) {
	case CONF_STRING:
		return read_string(r, n, k, at);
	case CONF_BOOL:
		return read_bool(r, n, k, at);
	case CONF_INT:
		return read_int(r, n, k, at);
	case CONF_DURATION:
	case CONF_SIZE:
		return read_units(r, n, k, at);
	case CONF_CHOICE:
		return read_choice(r, n, k, at);
	case CONF_STRINGS:
		return read_strings(r, n, k, at);
	case CONF_MAP:
		if (n->kind != CONF_KIND_MAP)
			return bad(r, n, k, "keys and values");
		return read_map(r, n, k->sub, at);
	case CONF_MAPS:
		return read_maps(r, n, k, at);
	case CONF_NODE:
		*(const struct conf_node **)at = n;
		return 0;
	}
	return -EINVAL;
}

static const struct conf_key *find_key(const struct conf_key *keys, const char *name)
{
	for (; keys->name; keys++) {
		if (strcmp(keys->name, name) == 0)
			return keys;
	}
	return NULL;
}

static int read_map(struct reader *r, const struct conf_node *map, const struct conf_key *keys, char *out)
{
	for (const struct conf_node *n = map->child; n; n = n->next) {
		const struct conf_key *k = find_key(keys, n->key);
		int ret;

		if (!k)
			return conf_error(n, r->err, r->err_len, "unknown key '%s'", n->key);
		ret = read_value(r, n, k, out + k->offset);
		if (ret < 0)
			return ret;
		if (k->given)
			*k->given = true;
	}
	for (const struct conf_key *k = keys; k->name; k++) {
		if (k->required && !conf_get(map, k->name))
			return conf_error(map, r->err, r->err_len, "key '%s' is missing", k->name);
	}
	return 0;
}

int conf_read(const struct conf_node *map, const struct conf_key *keys, void *out, char *err, size_t err_len)
{
	struct reader r = {err, err_len};

	return read_map(&r, map, keys, out);
}

void conf_release(const struct conf_key *keys, void *out)
{
	for (const struct conf_key *k = keys; k->name; k++) {
		void *at = (char *)out + k->offset;

		switch (k->type) {
		case CONF_STRING:
			free(*(char **)at);
			*(char **)at = NULL;
			break;
		case CONF_STRINGS:
			strings_free(at);
			break;
		case CONF_MAP:
			conf_release(k->sub, at);
			break;
		case CONF_MAPS:
			maps_free(k, at);
			break;
		default:
			break;
		}
	}
}
