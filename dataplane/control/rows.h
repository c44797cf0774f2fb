/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Synced rows as the control thread keeps them, apart from routes: by key, with the JSON they came as (for the state
 * file, and to see that a repeated row changed nothing). One thread.
 */
#ifndef DATAPLANE_CONTROL_ROWS_H
#define DATAPLANE_CONTROL_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct row {
	char *key;
	char *json;         /* compact, keys sorted; may hold a preshared key: wiped when freed */
	uint32_t mark;      /* of the last snapshot that had it */
	uint32_t index;     /* in the dataplane's arrays, RECORD_NONE where the table has none; of a list: its type */
	uint32_t account;   /* account index, RECORD_NONE where there is none */
	int64_t expires_at; /* when it means something else, unix s; 0: never */
	uint32_t hash;
	struct row *next;
};

struct row_store {
	struct row **buckets;
	uint32_t n_buckets, count;
	size_t bytes; /* of keys and JSON */
};

bool row_store_init(struct row_store *s);
void row_store_free(struct row_store *s);
struct row *row_find(const struct row_store *s, const char *key);
/* Adds a row with this key (which must not be there) and no JSON; NULL when out of memory. */
struct row *row_add(struct row_store *s, const char *key);
/* Takes `json` (heap) over. */
void row_set_json(struct row_store *s, struct row *row, char *json);
void row_remove(struct row_store *s, struct row *row);
/* Walks all rows: the one after `last` (NULL: the first); NULL at the end. To remove on the way use row_store_filter(). */
struct row *row_next(const struct row_store *s, const struct row *last);
/* Calls fn for each row; where it returns true the row is removed after the call. */
void row_store_filter(struct row_store *s, bool (*fn)(struct row *row, void *arg), void *arg);

/* ---- fields of a row, with the reason when one is wrong ---- */

struct row_error {
	char code[20]; /* "invalid", "limit", "not_found", "exists" */
	char message[256];
};

/* Fills e, returns -1. Outside text in the message is escaped where it is shown. */
int row_fail(struct row_error *e, const char *code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A text that must be there and shorter than len. 0 or -1. */
int row_text(const json_t *row, const char *field, char *out, size_t len, struct row_error *e);
/* A text for display: absent or null gives "", what is too long is cut at a character. */
void row_display(const json_t *row, const char *field, char *out, size_t len);
/* A whole number min … max; absent or null gives `fallback`. */
int row_number(const json_t *row, const char *field, int64_t min, int64_t max, int64_t fallback, int64_t *out,
	       struct row_error *e);
int row_bool(const json_t *row, const char *field, bool fallback, bool *out, struct row_error *e);
/* 32 bytes in base64. */
int row_key32(const char *field, const json_t *value, uint8_t out[32], struct row_error *e);

#endif
