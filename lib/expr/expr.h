// SPDX-License-Identifier: BSD-3-Clause
// The expression language of rules: text into a checked syntax tree, and a direct interpreter of the tree, which is the
// reference model for whatever is compiled from it. Pure: no I/O, no clock, no globals that change.
//
// The grammar is the one of docs/expressions.md. In short: and or xor not, any() all() [*], == != < <= > >= in contains
// matches wildcard "strict wildcard" &, sets { … }, lists $name, functions lower() starts_with() ends_with().
#ifndef SLUICE_LIB_EXPR_H
#define SLUICE_LIB_EXPR_H

#include "lib/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPR_TEXT_MAX 140000 /* bytes */
#define EXPR_DEPTH_MAX 128   /* parentheses, not, any, all, functions */
#define EXPR_LOW_MAX 2048    /* bytes of a value that lower() and the like take without memory of their own */
#define EXPR_REGEX_MAX (10u << 20) /* bytes of one compiled regular expression */

/* Which fields an expression may name. */
enum expr_scheme {
	EXPR_L4,       /* traffic of a rule with the filter l4 */
	EXPR_HTTP,
	EXPR_DNS,
	EXPR_IDENTITY,
	EXPR_POSTURE,
	EXPR_SCHEMES
};

enum expr_kind { EXPR_BOOL, EXPR_INT, EXPR_IP, EXPR_BYTES };

/*
 * X(id, "name", kind, array, fold, inspected, scheme)
 * fold: compared without regard to ASCII case. inspected: known only once payload was seen.
 */
#define EXPR_FIELDS(X)                                                                             \
	X(NET_SRC_IP, "net.src.ip", EXPR_IP, false, false, false, EXPR_L4)                          \
	X(NET_DST_IP, "net.dst.ip", EXPR_IP, false, false, false, EXPR_L4)                          \
	X(NET_SRC_PORT, "net.src.port", EXPR_INT, false, false, false, EXPR_L4)                     \
	X(NET_DST_PORT, "net.dst.port", EXPR_INT, false, false, false, EXPR_L4)                     \
	X(NET_PROTOCOL, "net.protocol", EXPR_BYTES, false, true, false, EXPR_L4)                    \
	X(NET_VNET_ID, "net.vnet_id", EXPR_BYTES, false, true, false, EXPR_L4)                      \
	X(NET_SNI_HOST, "net.sni.host", EXPR_BYTES, false, true, true, EXPR_L4)                     \
	X(NET_SNI_DOMAINS, "net.sni.domains", EXPR_BYTES, true, true, true, EXPR_L4)                \
	X(NET_DETECTED_PROTOCOL, "net.detected_protocol", EXPR_BYTES, false, true, true, EXPR_L4)   \
	X(HTTP_CONN_SRC_IP, "http.conn.src_ip", EXPR_IP, false, false, false, EXPR_HTTP)            \
	X(HTTP_CONN_DST_IP, "http.conn.dst_ip", EXPR_IP, false, false, false, EXPR_HTTP)            \
	X(HTTP_CONN_VNET_ID, "http.conn.vnet_id", EXPR_BYTES, false, true, false, EXPR_HTTP)        \
	X(HTTP_REQUEST_HOST, "http.request.host", EXPR_BYTES, false, true, true, EXPR_HTTP)         \
	X(HTTP_REQUEST_DOMAINS, "http.request.domains", EXPR_BYTES, true, true, true, EXPR_HTTP)    \
	X(HTTP_REQUEST_URI, "http.request.uri", EXPR_BYTES, false, false, true, EXPR_HTTP)          \
	X(HTTP_REQUEST_METHOD, "http.request.method", EXPR_BYTES, false, false, true, EXPR_HTTP)    \
	X(DNS_FQDN, "dns.fqdn", EXPR_BYTES, false, true, true, EXPR_DNS)                            \
	X(DNS_DOMAINS, "dns.domains", EXPR_BYTES, true, true, true, EXPR_DNS)                       \
	X(IDENTITY_EMAIL, "identity.email", EXPR_BYTES, false, true, false, EXPR_IDENTITY)          \
	X(IDENTITY_NAME, "identity.name", EXPR_BYTES, false, false, false, EXPR_IDENTITY)           \
	X(IDENTITY_GROUPS_NAME, "identity.groups.name", EXPR_BYTES, true, false, false, EXPR_IDENTITY) \
	X(POSTURE_PASSED, "device_posture.checks.passed", EXPR_BYTES, true, false, false, EXPR_POSTURE) \
	X(POSTURE_FAILED, "device_posture.checks.failed", EXPR_BYTES, true, false, false, EXPR_POSTURE)

enum expr_field {
#define EXPR_FIELD_ID(id, ...) EXPR_F_##id,
	EXPR_FIELDS(EXPR_FIELD_ID)
#undef EXPR_FIELD_ID
	EXPR_FIELD_COUNT
};

struct expr_field_info {
	const char *name;
	enum expr_kind kind;
	bool array, fold, inspected;
	enum expr_scheme scheme;
};

const struct expr_field_info *expr_field_info(enum expr_field f);

/* --- values --- */

struct expr_bytes {
	const char *p; /* any bytes, no NUL at the end promised */
	size_t n;
};

struct expr_value {
	enum expr_kind kind;
	union {
		bool b;
		int64_t i;
		struct ip_addr ip;
		struct expr_bytes bytes;
	};
};

/* --- lists --- */

enum expr_list_type { EXPR_LIST_IP, EXPR_LIST_DOMAIN, EXPR_LIST_EMAIL, EXPR_LIST_SERIAL };

struct expr_list {
	char id[64];  /* what the rule will be stored and compiled with: the list's id */
	enum expr_list_type type;
};

/* The lists that an expression may name. Called during expr_parse() only. */
struct expr_lists {
	/* Finds a list by what stands after '$' (NUL-terminated; an id with or without hyphens, or a name); false: none. */
	bool (*find)(void *user, const char *name, struct expr_list *out);
	/* Name of the i-th list for "did you mean", NULL past the end. May be NULL. */
	const char *(*name)(void *user, size_t i);
	void *user;
};

/* --- the tree: read-only for callers, valid until expr_free() --- */

enum expr_op {
	EXPR_OR, EXPR_XOR, EXPR_AND, /* kids: two or more */
	EXPR_NOT,                    /* kids: one */
	EXPR_ANY, EXPR_ALL,          /* kids: one, which gives an array of Bool */
	EXPR_CMP,                    /* lhs, cmp, and what cmp says */
};

enum expr_cmp {
	EXPR_TRUE, /* lhs is a Bool (a function): itself */
	EXPR_EQ, EXPR_NE, EXPR_GE, EXPR_LE, EXPR_GT, EXPR_LT, /* value */
	EXPR_IN,              /* ranges[0 … n) */
	EXPR_IN_LIST,         /* list */
	EXPR_BITAND,          /* value.i: (lhs & i) != 0 */
	EXPR_CONTAINS,        /* value.bytes */
	EXPR_MATCHES,         /* value.bytes: the pattern; regex */
	EXPR_WILDCARD,        /* value.bytes: the pattern; without regard to ASCII case */
	EXPR_STRICT_WILDCARD, /* value.bytes: the pattern */
};

enum expr_func { EXPR_FIELD_ITSELF, EXPR_LOWER, EXPR_STARTS_WITH, EXPR_ENDS_WITH };

/* A field, or a function of one. */
struct expr_lhs {
	enum expr_func func;
	enum expr_field field; /* EXPR_FIELD_ITSELF */
	struct expr_lhs *arg;  /* of a function */
	struct expr_bytes with; /* second argument of starts_with, ends_with */
	bool mapped;           /* [*]: one result per element (a scalar counts as one element) */
	int64_t at;            /* [n] of an array; -1: none */
	enum expr_kind kind;   /* of the value, or of each element */
	bool fold;             /* compared without regard to ASCII case: literals here are lower case already */
};

/* Members of a set: a single one has first equal to last. Both ends have one kind and, for addresses, one family. */
struct expr_range {
	struct expr_value first, last;
};

struct expr_node {
	enum expr_op op;
	enum expr_cmp cmp;
	bool array; /* gives an array of Bool */
	bool lifted; /* the array is of a scalar under [*]: exactly one element, and it may stand where a Bool may */
	struct expr_node *kids, *next; /* first kid; next sibling */
	struct expr_lhs *lhs;
	struct expr_value value;
	struct expr_range *ranges;
	size_t n;
	struct expr_list list;
	void *regex; /* hs_database_t * */
	struct expr_node *regex_next;
	uint32_t offset, length; /* place in the text, bytes */
};

struct expr {
	const struct expr_node *root; /* gives a Bool (or a lifted one) */
	enum expr_scheme scheme;
	uint32_t fields;         /* bit f set: field f is used */
	size_t n_lists;          /* distinct lists, in order of first use */
	const struct expr_list *lists;
};

/* --- parsing --- */

struct expr_error {
	unsigned line, column; /* from 1; columns count bytes */
	size_t offset, length; /* of the span, bytes; length 0 at the end of the text */
	char message[320];     /* "expected an address, found 'foo'": one line, outside text escaped, no place */
};

/*
 * Parses len bytes. 0 with *out (free with expr_free()); -EINVAL with *error; -ENOMEM. lists may be NULL: every list is
 * unknown then. Regular expressions are compiled (Hyperscan) and kept in the tree. Any thread; time is linear in the text
 * but for regular expressions.
 */
int expr_parse(const char *text, size_t len, enum expr_scheme scheme, const struct expr_lists *lists, struct expr **out,
	       struct expr_error *error);
void expr_free(struct expr *e); /* NULL is fine */

/* "line 1, column 15: expected …" into buf (always terminated). */
void expr_error_line(const struct expr_error *error, char *buf, size_t size);
/* The same, then the line of the text and carets under the span, as people read it. Heap, NULL without memory. */
char *expr_error_caret(const struct expr_error *error, const char *text, size_t len);

/* True if the expression names a field that only inspection knows (a host name, a method …). */
bool expr_needs_inspection(const struct expr *e);

/* --- evaluating --- */

enum expr_tri { EXPR_NO, EXPR_YES, EXPR_UNKNOWN };

/* What is known of one field. */
struct expr_slot {
	enum { EXPR_MISSING, EXPR_UNSEEN, EXPR_KNOWN } state; /* UNSEEN: not known yet; MISSING: there is none */
	const struct expr_value *v; /* KNOWN: n values of the field's kind */
	size_t n;                   /* 1 for a scalar */
};

struct expr_env {
	struct expr_slot slots[EXPR_FIELD_COUNT];
	/* Is a value in a list? Bytes of a folding field come in lower case. */
	bool (*in_list)(void *user, const struct expr_list *list, const struct expr_value *v);
	void *user;
	void *regex_scratch; /* expr_scratch_fit(); in one thread's use at a time. NULL: one is made for each match */
};

/* Makes *scratch (NULL at first) fit all regular expressions of the tree as well. 0, -ENOMEM. Freed by expr_scratch_free(). */
int expr_scratch_fit(const struct expr_node *root, void **scratch);
void expr_scratch_free(void *scratch); /* NULL is fine */

/*
 * The value of the expression, three-valued (Kleene): UNSEEN fields give EXPR_UNKNOWN unless the rest decides.
 * A missing value makes every comparison false but !=, which is true; any() and all() over a missing array are false, over
 * an empty one false and true. v4 against v6 is unordered: only != is true. -ENOMEM where memory or the regular
 * expression's scratch is short, else an enum expr_tri. The same tree may be evaluated by many threads. Nothing is allocated
 * where the environment has a scratch and no value is longer than EXPR_LOW_MAX.
 */
int expr_eval(const struct expr *e, const struct expr_env *env);

#endif
