// SPDX-License-Identifier: BSD-3-Clause
// A chained hash of rows, and getters for their fields.
#include "dataplane/control/rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "dataplane/records.h"

#define FIRST_BUCKETS 256

static uint32_t hash_key(const char *key)
{
	uint32_t h = 2166136261u;

	for (const unsigned char *p = (const unsigned char *)key; *p; p++)
		h = (h ^ *p) * 16777619u;
	return h ^ h >> 15;
}

bool row_store_init(struct row_store *s)
{
	*s = (struct row_store){.buckets = calloc(FIRST_BUCKETS, sizeof(s->buckets[0])), .n_buckets = FIRST_BUCKETS};
	return s->buckets != NULL;
}

static void drop_json(struct row_store *s, struct row *row)
{
	if (!row->json)
		return;
	s->bytes -= strlen(row->json);
	sodium_memzero(row->json, strlen(row->json));
	free(row->json);
	row->json = NULL;
}

static void free_row(struct row_store *s, struct row *row)
{
	drop_json(s, row);
	s->bytes -= strlen(row->key) + sizeof(*row);
	free(row->key);
	free(row);
	s->count--;
}

void row_store_free(struct row_store *s)
{
	for (uint32_t b = 0; s->buckets && b < s->n_buckets; b++) {
		for (struct row *row = s->buckets[b], *next; row; row = next) {
			next = row->next;
			free_row(s, row);
		}
	}
	free(s->buckets);
	memset(s, 0, sizeof(*s));
}

struct row *row_find(const struct row_store *s, const char *key)
{
	uint32_t h = hash_key(key);

	for (struct row *row = s->buckets[h & (s->n_buckets - 1)]; row; row = row->next)
		if (row->hash == h && !strcmp(row->key, key))
			return row;
	return NULL;
}

/* Out of memory leaves the chains longer, nothing else. */
static void grow(struct row_store *s)
{
	uint32_t n = s->n_buckets * 2;
	struct row **buckets = calloc(n, sizeof(*buckets));

	if (!buckets)
		return;
	for (uint32_t b = 0; b < s->n_buckets; b++) {
		for (struct row *row = s->buckets[b], *next; row; row = next) {
			next = row->next;
			row->next = buckets[row->hash & (n - 1)];
			buckets[row->hash & (n - 1)] = row;
		}
	}
	free(s->buckets);
	s->buckets = buckets;
	s->n_buckets = n;
}

struct row *row_add(struct row_store *s, const char *key)
{
	struct row *row = calloc(1, sizeof(*row));

	if (!row)
		return NULL;
	row->key = strdup(key);
	if (!row->key) {
		free(row);
		return NULL;
	}
	if (s->count >= s->n_buckets)
		grow(s);
	row->index = row->account = RECORD_NONE;
	row->hash = hash_key(key);
	row->next = s->buckets[row->hash & (s->n_buckets - 1)];
	s->buckets[row->hash & (s->n_buckets - 1)] = row;
	s->count++;
	s->bytes += strlen(key) + sizeof(*row);
	return row;
}

void row_set_json(struct row_store *s, struct row *row, char *json)
{
	drop_json(s, row);
	row->json = json;
	s->bytes += strlen(json);
}

void row_remove(struct row_store *s, struct row *row)
{
	struct row **at = &s->buckets[row->hash & (s->n_buckets - 1)];

	while (*at != row)
		at = &(*at)->next;
	*at = row->next;
	free_row(s, row);
}

struct row *row_next(const struct row_store *s, const struct row *last)
{
	uint32_t b = 0;

	if (last) {
		if (last->next)
			return last->next;
		b = (last->hash & (s->n_buckets - 1)) + 1;
	}
	for (; b < s->n_buckets; b++)
		if (s->buckets[b])
			return s->buckets[b];
	return NULL;
}

void row_store_filter(struct row_store *s, bool (*fn)(struct row *row, void *arg), void *arg)
{
	for (uint32_t b = 0; b < s->n_buckets; b++) {
		for (struct row *row = s->buckets[b], *next; row; row = next) {
			next = row->next;
			if (fn(row, arg))
				row_remove(s, row);
		}
	}
}

int row_fail(struct row_error *e, const char *code, const char *fmt, ...)
{
	va_list ap;

	snprintf(e->code, sizeof(e->code), "%s", code);
	va_start(ap, fmt);
	vsnprintf(e->message, sizeof(e->message), fmt, ap);
	va_end(ap);
	return -1;
}

int row_text(const json_t *row, const char *field, char *out, size_t len, struct row_error *e)
{
	const char *text = json_string_value(json_object_get(row, field));

	if (!text || !text[0])
		return row_fail(e, "invalid", "%s: a text is needed", field);
	if (strlen(text) >= len)
		return row_fail(e, "invalid", "%s: longer than %zu bytes", field, len - 1);
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

void row_display(const json_t *row, const char *field, char *out, size_t len)
{
	const char *text = json_string_value(json_object_get(row, field));
	size_t n = text ? strlen(text) : 0;

	if (n >= len) {
		n = len - 1;
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	}
	if (n)
		memcpy(out, text, n);
	out[n] = 0;
}

int row_number(const json_t *row, const char *field, int64_t min, int64_t max, int64_t fallback, int64_t *out,
	       struct row_error *e)
{
	const json_t *v = json_object_get(row, field);

	*out = fallback;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return row_fail(e, "invalid", "%s: not a number from %lld to %lld", field, (long long)min, (long long)max);
	*out = json_integer_value(v);
	return 0;
}

int row_bool(const json_t *row, const char *field, bool fallback, bool *out, struct row_error *e)
{
	const json_t *v = json_object_get(row, field);

	*out = fallback;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_boolean(v))
		return row_fail(e, "invalid", "%s: not true or false", field);
	*out = json_is_true(v);
	return 0;
}

int row_key32(const char *field, const json_t *value, uint8_t out[32], struct row_error *e)
{
	const char *text = json_string_value(value);
	size_t n = 0;

	if (!text || strlen(text) != 44 ||
	    sodium_base642bin(out, 32, text, 44, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) || n != 32)
		return row_fail(e, "invalid", "%s: not 32 bytes in base64", field);
	return 0;
}
