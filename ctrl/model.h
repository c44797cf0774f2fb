// SPDX-License-Identifier: BSD-3-Clause
// What the store must know of a document besides its text: whose it is, its name, what of it must be unique, and when
// it next changes by itself. Also the row that edges get of it. Pure.
#ifndef SLUICE_CTRL_MODEL_H
#define SLUICE_CTRL_MODEL_H

#include "ctrl/store.h"

#define MODEL_UNIQUE_MAX 12

struct model_index {
	const char *account; /* "" where the table belongs to nobody */
	const char *name;    /* NULL: has none, or it need not be unique */
	int64_t due;	     /* unix s of the next change by time; 0: none */
	unsigned n_unique;
	char unique[MODEL_UNIQUE_MAX][KEY_MAX];
};

/* Pointers go into doc. */
void model_index(enum table t, const json_t *doc, struct model_index *out);

/* Unique values. */
void unique_key(const char *public_key_b64, char out[KEY_MAX]);		      /* a public key, across everything */
void unique_addr(const char *account, const char *addr, char out[KEY_MAX]);   /* a device address, in an account */
void unique_precedence(const char *account, int64_t n, char out[KEY_MAX]);    /* a rule's precedence, in an account */

/* The sync row of an object (docs/protocols.md, 1.2): new reference, NULL when out of memory. psk: base64 or NULL, for
 * clients. now: unix s. */
json_t *model_row(enum table t, const json_t *doc, const char *psk_b64, int64_t now);

/* --- documents --- */
const char *doc_str(const json_t *doc, const char *key);    /* "" where absent */
int64_t doc_int(const json_t *doc, const char *key);	    /* 0 where absent */
bool doc_true(const json_t *doc, const char *key);
/* Next random UUID, lower case with hyphens. */
void uuid_new(char out[37]);
/* Canonical form of a UUID with or without hyphens, any case; false if the text is none. */
bool uuid_canonical(const char *text, char out[37]);
/* RFC 3339 (Z or offset, fractions dropped) → unix s; false if it is none. */
bool time_parse(const char *text, int64_t *out);
char *time_format(int64_t unix_s, char out[32]); /* "2026-11-24T00:00:00Z" */
/* 32-byte key from canonical base64; false if it is not one. */
bool key_parse(const char *b64, uint8_t out[32]);
void key_format(const uint8_t key[32], char out[45]);

#endif
