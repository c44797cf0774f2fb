// SPDX-License-Identifier: BSD-3-Clause
// Configuration files: YAML into a tree that remembers lines, and the tree into a C structure by a table of keys.
// Errors are one line: "FILE:LINE: what and why". No aliases, tags, duplicate keys or second documents.
#ifndef SLUICE_LIB_CONF_H
#define SLUICE_LIB_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_FILE_MAX  (1024 * 1024)
#define CONF_DEPTH_MAX 16

enum conf_kind { CONF_KIND_SCALAR, CONF_KIND_LIST, CONF_KIND_MAP };

/* A node of the tree. Read only for callers. */
struct conf_node {
	enum conf_kind kind;
	unsigned line;	  /* from 1 */
	const char *file; /* as given to conf_load() */
	char *key;	  /* in a map: its key, else NULL */
	char *text;	  /* scalar: its text (UTF-8, no NUL inside) */
	bool quoted;	  /* scalar: was in quotes, so never a null */
	struct conf_node *child, *next;
};

/* Reads a file (at most CONF_FILE_MAX bytes) whose top is a map; an empty file is an empty map. NULL on failure with
 * the sentence in err. Free with conf_free(). */
struct conf_node *conf_load(const char *path, char *err, size_t err_len);

/* The same from memory; `name` stands for the file in messages and must outlive nothing (it is copied). */
struct conf_node *conf_parse(const char *name, const char *text, size_t len, char *err, size_t err_len);
void conf_free(struct conf_node *root);

/* The child of a map with this key, or NULL. */
const struct conf_node *conf_get(const struct conf_node *map, const char *key);

enum conf_type {
	CONF_STRING,   /* char *: heap text, non-empty */
	CONF_BOOL,     /* bool: true or false (yes, no, on, off too) */
	CONF_INT,      /* int64_t: decimal, min ≤ v ≤ max (both 0: any) */
	CONF_DURATION, /* uint64_t milliseconds: "250ms", "30s", "2m", "1h", "1d", or seconds; min, max in ms */
	CONF_SIZE,     /* uint64_t bytes: "64k", "16m", "1g" (powers of 1,024), or bytes; min, max in bytes */
	CONF_CHOICE,   /* int: index into choices */
	CONF_STRINGS,  /* struct conf_strings: a list of scalars (one scalar is a list of one) */
	CONF_MAP,      /* a nested structure at offset, read by sub */
	CONF_MAPS,     /* struct conf_maps: a list of maps, each a zeroed structure of sub_size bytes read by sub */
	CONF_NODE,     /* const struct conf_node *: the raw node, valid until conf_free() */
};

struct conf_strings {
	char **v; /* heap; each heap */
	size_t n;
};

struct conf_maps {
	void *v; /* heap: n structures of sub_size bytes */
	size_t n;
};

struct conf_key {
	const char *name; /* NULL ends the table */
	enum conf_type type;
	size_t offset;	       /* of the value in the caller's structure */
	int64_t min, max;      /* CONF_INT, CONF_DURATION, CONF_SIZE; CONF_STRINGS, CONF_MAPS: number of items (max 0: any) */
	const char *const *choices; /* CONF_CHOICE: ends with NULL */
	const struct conf_key *sub; /* CONF_MAP, CONF_MAPS */
	size_t sub_size;	    /* CONF_MAPS */
	bool required;
	bool *given; /* if not NULL: set to true where the key stands in the file */
};

/* Fills `out` from a map. Absent keys leave their value as it is (so put defaults in before: strings by strdup, they
 * are freed when replaced; lists are replaced whole). An unknown key, a wrong type or a bad value: -EINVAL and the
 * sentence in err, such as "ctrl.yaml:3: unknown key 'sokcet'"; out may be half filled, give it to conf_release(). */
int conf_read(const struct conf_node *map, const struct conf_key *keys, void *out, char *err, size_t err_len);

/* Frees what conf_read() (or strdup defaults) put into out, and zeroes those values. */
void conf_release(const struct conf_key *keys, void *out);

/* "250ms", "30s", "2m", "1h", "1d", "45" (seconds) → milliseconds; false for anything else. Digits only, no sign. */
bool conf_parse_duration(const char *text, uint64_t *ms);
/* "64k", "16m", "1g", "4096" → bytes; false for anything else. */
bool conf_parse_size(const char *text, uint64_t *bytes);

/* Writes "FILE:LINE: " and the formatted sentence into err and returns -EINVAL: for checks of the caller's own. */
int conf_error(const struct conf_node *at, char *err, size_t err_len, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
