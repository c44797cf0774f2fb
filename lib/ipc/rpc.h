// SPDX-License-Identifier: BSD-3-Clause
// JSON-RPC 2.0 messages: strict parsing, classification, building, and errors with the codes of docs/protocols.md.
// Pure: no I/O. Thread-safe as long as a json_t is used by one thread at a time.
#ifndef SLUICE_LIB_IPC_RPC_H
#define SLUICE_LIB_IPC_RPC_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define IPC_DEPTH_MAX 32 /* brackets inside brackets, in any JSON text */

enum ipc_code { /* error.code */
	IPC_PARSE_ERROR = -32700,
	IPC_INVALID_REQUEST = -32600,
	IPC_NO_METHOD = -32601,
	IPC_INVALID_PARAMS = -32602,
	IPC_REFUSED = -32000, /* everything of ours: error.data.code says what */
};

/* error.data.code */
#define IPC_E_INVALID		"invalid"
#define IPC_E_UNKNOWN_FIELD	"unknown_field"
#define IPC_E_MISSING_FIELD	"missing_field"
#define IPC_E_NOT_FOUND		"not_found"
#define IPC_E_EXISTS		"exists"
#define IPC_E_IN_USE		"in_use"
#define IPC_E_LIMIT		"limit"
#define IPC_E_PERMISSION_DENIED "permission_denied"
#define IPC_E_TIMEOUT		"timeout"
#define IPC_E_UNSUPPORTED	"unsupported"
#define IPC_E_INTERNAL		"internal"

/* An error as a value: what a handler says, and what a client got. */
struct ipc_error {
	int code;	    /* 0: no error */
	char name[32];	    /* data.code; "" for protocol faults */
	char field[64];	    /* data.field; "" for none */
	char message[1024]; /* one sentence; what came over the wire is escaped already */
};

/* Fills e (code IPC_REFUSED) and returns -1. `field` may be NULL. JSON carries controls of outside text safely; whoever
 * prints the message escapes it (ipc_error_from_json() does, log_msg() does). */
int ipc_error_set(struct ipc_error *e, const char *name, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Parses one JSON text of any type (RFC 8259): depth at most IPC_DEPTH_MAX, no duplicate keys, no NUL characters, valid
 * UTF-8, nothing after it. A new reference, or NULL with a sentence in err. */
json_t *ipc_json_parse(const char *text, size_t len, char *err, size_t err_len);

/* True if brackets outside strings are never nested deeper than max; does not check anything else. */
bool ipc_json_depth_ok(const char *text, size_t len, unsigned max);

enum ipc_kind { IPC_REQUEST, IPC_NOTIFICATION, IPC_RESULT, IPC_ERROR };

struct ipc_msg {
	enum ipc_kind kind;
	json_t *root;	    /* owns all below */
	json_t *id;	    /* borrowed; NULL in notifications; json null in an error without id */
	const char *method; /* borrowed; requests and notifications */
	json_t *params;	    /* borrowed; NULL if absent, else an object */
	json_t *result;	    /* borrowed; results */
	json_t *error;	    /* borrowed; errors: an object */
};

/* Parses and classifies one line. 0; or IPC_PARSE_ERROR / IPC_INVALID_REQUEST with a sentence in err (and m->root NULL).
 * Params, where there are any, must be an object; ids are strings, whole numbers or null; batches are refused.
 * Free with ipc_msg_free(). */
int ipc_msg_parse(const char *line, size_t len, struct ipc_msg *m, char *err, size_t err_len);
void ipc_msg_free(struct ipc_msg *m);

/* Builders: heap text of one line, newline included, *len without a final NUL; NULL when out of memory. They do not
 * steal references. `params` may be NULL. */
char *ipc_build_request(json_int_t id, const char *method, const json_t *params, size_t *len);
char *ipc_build_notification(const char *method, const json_t *params, size_t *len);
char *ipc_build_result(const json_t *id, const json_t *result, size_t *len);
char *ipc_build_error(const json_t *id, const struct ipc_error *e, size_t *len); /* id NULL: null */

/* From the error object of a reply into e (texts cut to fit and escaped). */
void ipc_error_from_json(const json_t *error, struct ipc_error *e);

#endif
