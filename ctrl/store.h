// SPDX-License-Identifier: BSD-3-Clause
// The configuration store: SQLite (WAL, full sync), one transaction per change, a log of changes that feeds the edges'
// deltas, the audit trail and rollback. One thread owns it. Objects are JSON documents; routes, of which there may be a
// million, have columns (ctrl/store_route.c).
#ifndef SLUICE_CTRL_STORE_H
#define SLUICE_CTRL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <sqlite3.h>

#include "lib/ip.h"
#include "lib/ipc/server.h"

/* In the order in which they are synced; kept in the file, so never renumbered. */
enum table {
	T_ACCOUNTS,
	T_VNETS,
	T_TUNNELS,
	T_ROUTES,
	T_LISTS,
	T_RULES,
	T_CLIENTS,
	T_CONNECTORS,
	T_SETTINGS,
	T_DENY,
	T_COUNT,
};

extern const char *const table_names[T_COUNT];	   /* "accounts" … as in the sync messages */
extern const char *const table_singulars[T_COUNT]; /* "account" … as in messages to people */

/* Changes kept for deltas and rollback; the oldest revisions go first. */
#define STORE_CHANGES_MAX   2500000
#define STORE_REVISIONS_MAX 100000
/* Changes shown in full, before and after, in one audit row. */
#define STORE_AUDIT_CHANGES 50

#define KEY_MAX 128 /* longest object key, NUL included */

enum stmt {
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK,
	ST_META_GET, ST_META_SET,
	ST_GET, ST_FIND, ST_INSERT, ST_UPDATE, ST_DELETE, ST_EACH, ST_EACH_ALL, ST_COUNT_ACCOUNT, ST_COUNT_TABLE, ST_NUM, ST_DUE,
	ST_UNIQ_GET, ST_UNIQ_SET, ST_UNIQ_DEL,
	ST_REST_GET, ST_REST_SET, ST_REST_PURGE,
	ST_SECRET_GET, ST_SECRET_SET, ST_SECRET_DEL, ST_SECRET_PURGE,
	ST_CHANGE, ST_REVISION, ST_HISTORY, ST_AUDIT, ST_TRIM_AUDIT, ST_CHANGED_KEYS, ST_CHANGE_COUNT, ST_TRIM_CHANGE, ST_TRIM_REVISION, ST_OLDEST,
	ST_ROUTE_GET, ST_ROUTE_SET, ST_ROUTE_DEL, ST_ROUTE_COUNT, ST_ROUTE_EACH_VNET, ST_ROUTE_EACH_TUNNEL, ST_ROUTE_OF_TUNNEL,
	ST_ROUTE_IN_VNET,
	ST_N,
};

struct store {
	sqlite3 *db;
	char *path;
	sqlite3_stmt *stmts[ST_N];
	char epoch[37];
	uint64_t revision;	  /* last committed */
	uint64_t oldest_delta;	  /* deltas and rollback reach back to this revision */
	uint64_t routes, changes; /* rows */
	/* the open transaction */
	bool in_tx, failed; /* failed: a statement did; commit will refuse */
	uint64_t tx_changes, tx_routes_saved;
	json_t *tx_audit;	/* array of the first STORE_AUDIT_CHANGES changes */
	char conflict[KEY_MAX]; /* which unique value was taken, after -EEXIST */
	char error[256];	/* SQLite's words for the last failure */
};

/* Opens or creates the file (0600), migrates it, and makes the default account and virtual network in a new one. NULL
 * with a sentence in err. */
struct store *store_open(const char *path, char *err, size_t err_len);
void store_close(struct store *st);

/* Who made a change, for the audit row; NULL peer: sluice-ctrl itself. */
struct store_author {
	const struct ipc_peer *peer;
	const char *method;
	bool silent; /* a revision without an audit row (leases) */
};

int store_begin(struct store *st);
/* Ends the transaction: 0, *revision = the new revision, or the current one where nothing changed; -EIO: nothing of it
 * is in the store. */
int store_commit(struct store *st, const struct store_author *who, uint64_t *revision);
void store_rollback(struct store *st);

/* All writes below need an open transaction. */

/* New reference, or NULL: there is none. */
json_t *store_get(struct store *st, enum table t, const char *key);
/* By name within an account. */
json_t *store_find(struct store *st, enum table t, const char *account, const char *name);
/* Inserts or replaces; writing what is there already is no change. 0; -EEXIST (st->conflict says which unique value);
 * -EIO. Does not steal doc. */
int store_put(struct store *st, enum table t, const char *key, json_t *doc);
/* The same for who has read `before`, what is stored now, already; NULL: nothing is. */
int store_replace(struct store *st, enum table t, const char *key, const json_t *before, json_t *doc);
/* 0, -ENOENT, -EIO. Frees its unique values; addresses of a client rest for a day, secrets are wiped. */
int store_del(struct store *st, enum table t, const char *key);

/* Calls fn for each object of a table (account NULL: of all accounts), in order of creation; stops where fn returns
 * non-zero and returns that. fn may not write. doc is borrowed. */
typedef int store_fn(json_t *doc, void *arg);
int store_each(struct store *st, enum table t, const char *account, store_fn *fn, void *arg);
uint64_t store_count(struct store *st, enum table t, const char *account);

/* The row number of an object (routes refer to it); 0: there is none. */
int64_t store_num(struct store *st, enum table t, const char *key);

/* True if the unique value is taken by somebody other than owner (NULL: anybody). Values: unique_key() and friends. */
bool store_taken(struct store *st, const char *value, const char *owner);
bool store_rests(struct store *st, const char *value, int64_t now);

/* Secrets: owner's id and a slot; until: unix s at which it ends, 0 never. Wiped on replacement. */
int store_secret_set(struct store *st, const char *owner, int slot, const void *value, size_t len, int64_t until);
int store_secret_get(struct store *st, const char *owner, int slot, void *value, size_t *len, int64_t now);
int store_secret_del(struct store *st, const char *owner);

/* Small values beside the tables ("pool:<account>", "default_account"). */
bool store_meta_get(struct store *st, const char *key, char *out, size_t out_len);
int store_meta_set(struct store *st, const char *key, const char *value);

/* Objects whose next moment (expiry, lease) is due: at most max keys. Returns the number. */
struct store_due {
	enum table table;
	char key[KEY_MAX];
};
size_t store_due(struct store *st, int64_t now, struct store_due *out, size_t max);
/* Ends rests and secrets whose time is over (own transaction, no revision). */
void store_purge(struct store *st, int64_t now);

/* --- routes --- */

struct route {
	char vnet_id[37], tunnel_id[37], account_id[37];
	int64_t vnet_n, tunnel_n; /* filled by route_resolve() or a read */
	struct ip_prefix network;
	uint8_t id[16];
	int64_t created; /* unix s */
	char comment[256 * 4];
};

/* All return 0, -ENOENT, or -EIO. */
int route_get(struct store *st, int64_t vnet_n, const struct ip_prefix *p, struct route *out);
int route_lookup(struct store *st, int64_t vnet_n, const struct ip_addr *a, struct route *out);
/* vnet_n, tunnel_n and the ids must be filled. */
int route_put(struct store *st, const struct route *r);
int route_del(struct store *st, const struct route *r);
typedef int route_fn(const struct route *r, void *arg);
/* Of a vnet (and of a tunnel in it, where tunnel_n is not 0), in order of network; of a tunnel in all vnets where vnet_n is 0. */
int route_each(struct store *st, int64_t vnet_n, int64_t tunnel_n, route_fn *fn, void *arg);
bool route_any(struct store *st, int64_t vnet_n, int64_t tunnel_n); /* one of the two is 0 */
/* {"id", "network", "tunnel_id", "vnet_id", "account_id", "comment", "created_at"}, and back. */
json_t *route_json(const struct route *r);
int route_from_json(struct store *st, const json_t *j, struct route *out);
/* "<vnet_id>/<cidr>" */
void route_key(const struct route *r, char out[KEY_MAX]);
/* 18 bytes: family, address, length: sorts by family and address. Returns the length. */
size_t route_blob(const struct ip_prefix *p, uint8_t out[18]);
bool route_from_blob(const void *blob, int len, struct ip_prefix *out);

/* --- history --- */

/* Newest first; rows of store_audit have no revision, and "params": [{"revision", "at", "uid", "gid", "pid", "comm", "method", "changes": [...], "changed": n}] */
json_t *store_history(struct store *st, unsigned limit);

/* What was done elsewhere that changes nothing here (a capture at an edge): a row of the history without a revision. At most
 * STORE_AUDIT_MAX of them are kept. params: an object. 0 or -EIO. Not within a change. */
#define STORE_AUDIT_MAX 100000
int store_audit(struct store *st, int64_t at_ms, int64_t uid, int64_t gid, int64_t pid, const char *comm, const char *method,
		const json_t *params);
/* Sets every table but connectors back to the state after `revision`, as a change of the open transaction. 0; -ENOENT:
 * there is no such revision or the log does not reach back to it; -EEXIST; -EIO. *lost: how many came back without their
 * secret (it was wiped when they were deleted). */
int store_rollback_to(struct store *st, uint64_t revision, unsigned *lost);

/* --- for the files of the store --- */
sqlite3_stmt *store_stmt(struct store *st, enum stmt s); /* reset and cleared */
int store_run(struct store *st, sqlite3_stmt *q);	  /* steps to the end: 0 or -EIO (failed is set) */
int store_log_change(struct store *st, enum table t, const char *key, const json_t *before, const json_t *after);
int store_io_error(struct store *st);

#endif
