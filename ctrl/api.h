// SPDX-License-Identifier: BSD-3-Clause
// Methods of ctrl.sock (docs/protocols.md, 1.1): the table, one request, and what all resources need to check theirs.
// A method's function fills r->result and returns 0, or fills r->err and returns -1; it knows nothing of sockets. Methods
// that change something run inside a store transaction, which the caller commits or rolls back.
#ifndef SLUICE_CTRL_API_H
#define SLUICE_CTRL_API_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "ctrl/store.h"
#include "lib/ipc/rpc.h"

/* Capacities: beyond them the new entry is refused with code "limit". */
#define LIMIT_ACCOUNTS	    10000u
#define LIMIT_VNETS	    10000u /* in all */
#define LIMIT_TUNNELS	    10000u /* of an account */
#define LIMIT_ROUTES	    2000000u /* in all */
#define LIMIT_LISTS	    1000u  /* of an account */
#define LIMIT_ITEMS	    100000u /* of a list */
#define LIMIT_RULES	    4096u  /* of an account */
#define LIMIT_RULES_ALL	    100000u
#define LIMIT_CLIENTS	    200000u /* in all */
#define LIMIT_GROUPS	    256u   /* of a client */
#define LIMIT_CHECKS	    256u   /* posture checks of a client */
#define LIMIT_DENY	    100000u
#define LIMIT_EXPRESSION    140000u /* bytes */
#define LIMIT_SECRET	    512u   /* bytes of a tunnel's secret */

struct ctrl;

struct req {
	struct ctrl *ctrl; /* for what lies outside the store: edges, runtime, registration */
	struct store *st;
	json_t *params;	 /* borrowed */
	json_t *account; /* owned: the account's document */
	const char *account_id; /* into it */
	int64_t now;	 /* unix s */
	json_t *result;	 /* owned: an object */
	json_t *warnings; /* owned: texts */
	struct ipc_error err;
};

enum api_flags {
	API_READ = 0,
	API_CHANGE = 1,	     /* in a transaction; needs write; takes wait and timeout_s */
	API_NO_ACCOUNT = 2,  /* `account` is not resolved before (account.* itself) */
};

struct api_method {
	const char *name;
	int (*fn)(struct req *r);
	unsigned flags;
	/* Parameters as words "name:type" with "!" where required. Types: s text, i whole number, b bool, a array, o object,
	 * x anything; a trailing "?" admits null. */
	const char *params;
};
extern const struct api_method api_methods[]; /* ends with a NULL name */
const struct api_method *api_find(const char *name);

/* Runs one method against the store: checks params, resolves the account, begins and commits where it changes something.
 * *changed: a new revision was made. 0 and r->result, or -1 and r->err. `r` must be zeroed but for ctrl and st; end it
 * with req_end(). dry: roll back in any case. */
int api_run(struct req *r, const struct api_method *m, json_t *params, const struct ipc_peer *peer, bool *changed);
void req_end(struct req *r);

/* --- refusals: all return -1 --- */
int req_fail(struct req *r, const char *code, const char *field, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
int req_store_error(struct req *r); /* the store failed */
void req_warn(struct req *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- parameters --- */
const char *req_str(struct req *r, const char *key, const char *absent); /* absent or null: the default */
int64_t req_int(struct req *r, const char *key, int64_t absent);
bool req_bool(struct req *r, const char *key, bool absent);
json_t *req_get(struct req *r, const char *key); /* borrowed; NULL if absent */
bool req_has(struct req *r, const char *key);

/* --- checks (0 or -1 with the error set) --- */
int check_name(struct req *r, enum table t, const char *name);
int check_text(struct req *r, const char *field, const char *text, size_t max_bytes); /* no controls */
int check_free_name(struct req *r, enum table t, const char *name);
int check_count(struct req *r, enum table t, const char *account, uint64_t limit);
int check_email(struct req *r, const char *field, const char *email);
int check_public_key(struct req *r, const char *b64, const char *own_id); /* form, low order, taken by another */
int check_network(struct req *r, const char *field, const char *what, const char *text, bool bare, struct ip_prefix *out);
int check_time(struct req *r, const char *field, const char *text, int64_t *out);
/* Groups: an array of distinct texts, copied to *out (new reference). */
int check_groups(struct req *r, json_t *groups, json_t **out);
bool key_low_order(const uint8_t key[32]);

/* --- resources --- */
/* By id (any form) or name, in the request's account: new reference; NULL with the error set. */
json_t *req_find(struct req *r, enum table t, const char *field);
json_t *req_find_ref(struct req *r, enum table t, const char *field, const char *ref);
/* The vnet of params (default vnet if absent). */
json_t *req_vnet(struct req *r);
json_t *default_vnet(struct req *r);
/* Puts, and turns a refusal of the store into words. */
int req_put(struct req *r, enum table t, json_t *doc);
/* The same over `before`, which was read in this request and is as it was. */
int req_replace(struct req *r, enum table t, const json_t *before, json_t *doc);
int req_del(struct req *r, enum table t, const char *key);
/* r->result = {key: value}; steals value. */
int req_answer(struct req *r, const char *key, json_t *value);

/* What people see of an object (private members left out, references with names): new reference. */
json_t *show_object(struct req *r, enum table t, const json_t *doc);
/* {"<plural>": [...]} of the request's account. */
int list_objects(struct req *r, enum table t);

/* --- the methods, by file (ctrl/res_*.c) --- */
int account_create(struct req *r), account_list(struct req *r), account_show(struct req *r), account_set(struct req *r),
	account_delete(struct req *r);
int settings_get(struct req *r), settings_set(struct req *r);
int tunnel_create(struct req *r), tunnel_list(struct req *r), tunnel_show(struct req *r), tunnel_set(struct req *r),
	tunnel_rotate(struct req *r), tunnel_delete(struct req *r);
int route_add(struct req *r), route_list(struct req *r), route_show(struct req *r), route_find(struct req *r), route_delete(struct req *r);
int vnet_create(struct req *r), vnet_list(struct req *r), vnet_delete(struct req *r), vnet_default(struct req *r);
int list_create(struct req *r), list_list(struct req *r), list_show(struct req *r), list_add(struct req *r), list_remove(struct req *r),
	list_delete(struct req *r);
int rule_create(struct req *r), rule_set(struct req *r), rule_list(struct req *r), rule_show(struct req *r), rule_enable(struct req *r),
	rule_disable(struct req *r), rule_delete(struct req *r);
int client_add(struct req *r), client_config(struct req *r), client_list(struct req *r), client_show(struct req *r), client_set(struct req *r),
	client_rotate(struct req *r), client_posture(struct req *r), client_revoke(struct req *r), client_delete(struct req *r);
int connector_list(struct req *r), connector_drain(struct req *r), connector_undrain(struct req *r), connector_weight(struct req *r);
int deny_add(struct req *r), deny_remove(struct req *r), deny_list(struct req *r);
int api_apply(struct req *r), api_export(struct req *r), api_history(struct req *r), api_rollback(struct req *r);
int show_revision(struct req *r), show_health(struct req *r);

/* Steps shared with apply: fields come from r->params as in the methods; `doc` is the present document or NULL. Each makes
 * the new document, checks it and puts it. *out: new reference to the document. */
int account_write(struct req *r, json_t *doc, json_t **out);
int vnet_write(struct req *r, json_t *doc, json_t **out);
int tunnel_write(struct req *r, json_t *doc, json_t **out);
int list_write(struct req *r, json_t *doc, json_t **out);
int rule_write(struct req *r, json_t *doc, json_t **out);
int client_write(struct req *r, json_t *doc, json_t **out);
int setting_write(struct req *r, const char *key, json_t *value);
int vnet_make_default(struct req *r, json_t *vnet);
int account_remove(struct req *r, const json_t *doc);
int vnet_remove(struct req *r, const json_t *doc, bool force);
int tunnel_remove(struct req *r, const json_t *doc, bool force);
int list_remove_all(struct req *r, const json_t *doc);
/* A route from its fields; vnet and tunnel by name or id. */
int route_fill(struct req *r, const char *network, const char *tunnel, const char *vnet, const char *comment, struct route *out);
int route_check_pool(struct req *r, const struct ip_prefix *p);

#endif
