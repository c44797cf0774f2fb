/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of apply share. */
#ifndef DATAPLANE_CONTROL_APPLY_INTERNAL_H
#define DATAPLANE_CONTROL_APPLY_INTERNAL_H

#include "dataplane/control/apply.h"
#include "dataplane/control/apply_policy.h"
#include "dataplane/control/route_rows.h"
#include "dataplane/control/rows.h"
#include "dataplane/flowlog/cards.h"
#include "dataplane/tables/id_map.h"

/* Tables that are kept as rows, in the order in which they come and are applied. TABLE(name, key field) */
#define APPLY_TABLES(TABLE)                                                                        \
	TABLE(accounts, id)                                                                        \
	TABLE(vnets, id)                                                                           \
	TABLE(tunnels, id)                                                                         \
	TABLE(routes, key)                                                                         \
	TABLE(lists, id)                                                                           \
	TABLE(rules, id)                                                                           \
	TABLE(clients, id)                                                                         \
	TABLE(connectors, id)                                                                      \
	TABLE(settings, key)                                                                       \
	TABLE(deny, network)

enum apply_table {
#define TABLE(name, key) TABLE_##name,
	APPLY_TABLES(TABLE)
#undef TABLE
	TABLE_COUNT
};

const char *apply_table_name(enum apply_table t);

/* A refused row: kept to be tried again. */
struct refused {
	enum apply_table table;
	char *key;
	json_t *row; /* reference; NULL: refused when compiled, which is tried again by itself */
	struct row_error error;
	uint64_t change; /* apply->change in which it was refused last */
};

#define REFUSED_MAX 1000

enum apply_phase {
	PHASE_IDLE,
	PHASE_OPEN,       /* rows are coming */
	PHASE_LEAVES,     /* sweep of clients, connectors, rules, lists, settings, deny */
	PHASE_ROUTES,     /* sweep of routes, in pieces */
	PHASE_RETRY,      /* refused rows once more */
	PHASE_CONTAINERS, /* tunnels, vnets, accounts that went */
};

/* Who has a peer index. */
struct peer_owner {
	enum peer_kind kind; /* 0: nobody */
	uint32_t owner;      /* client or connector index */
};

struct apply {
	struct apply_config config;
	struct edge *edge;
	struct records *records;
	enum apply_phase phase;
	bool snapshot;
	uint64_t revision, change, version;
	int64_t now_s;
	uint32_t mark;       /* of the change that is open, in rows that a snapshot repeats */
	uint32_t generation; /* the last one given out; never repeats within a run */
	uint32_t sweep_slot;
	bool sweep_routes, settings_changed, deny_changed;
	struct row_store stores[TABLE_COUNT]; /* routes: not used */
	struct route_rows routes;
	uint32_t *free_routes; /* route indexes to be given out again: a stack */
	uint32_t n_free_routes, next_route; /* indexes never used begin at next_route */
	uint32_t route_born;
	struct id_map *ids[TABLE_COUNT]; /* accounts, vnets, tunnels, rules, clients, connectors */
	struct id_map *peer_ids;         /* public key in base64 */
	struct peer_owner *peer_owners;  /* [max_peers] */
	uint32_t *tunnel_routes, *vnet_routes; /* routes that name them */
	bool *tunnel_doomed, *vnet_doomed, *account_doomed;
	bool *vnet_dirty; /* routes changed since the record's generation */
	bool any_vnet_dirty, any_doomed;
	int64_t due; /* when a client or posture check expires next, unix s; 0: never */
	struct apply_policy policy;
	unsigned n_refused;
	uint32_t refused_of[TABLE_COUNT], refused_untold; /* more than REFUSED_MAX */
	struct refused refused[REFUSED_MAX];
};

/* A new generation number; 0 is never given. */
uint32_t apply_generation(struct apply *a);

/* Publishes `record` (or NULL) in a slot and retires what was there, wiping `wipe` bytes of it before it is freed. */
void apply_publish(struct apply *a, const void **slot, const void *record, size_t wipe);
#define APPLY_PUBLISH(a, slot, record, wipe) apply_publish((a), (const void **)(slot), (record), (wipe))

/* A copy of a record on the heap to change and publish; NULL when out of memory. */
void *apply_copy(const void *record, size_t size);

/* The index of an id that must exist and not be on its way out: 0 or -1 with "not_found". */
int apply_reference(struct apply *a, enum apply_table table, const json_t *row, const char *field, uint32_t *index,
		    struct row_error *e);
/* The index of a new or known id of a table with records: 0 or -1 with "limit". *fresh: it had none. */
int apply_index(struct apply *a, enum apply_table table, const char *id, uint32_t *index, bool *fresh,
		struct row_error *e);
/* Takes the id away and lets the index be used again after the grace period. */
void apply_release(struct apply *a, struct id_map *map, const char *id);

/* Names for the flow log: before the record is published, and before its index is retired. `client` may be NULL. */
void apply_card(struct apply *a, enum card_kind kind, uint32_t index, const char *id, const char *name, const char *more,
		const struct client_record *client);
void apply_card_drop(struct apply *a, enum card_kind kind, uint32_t index);

/*
 * Verbs of a table. put: row->index is RECORD_NONE for a new row; 0, or -1 with the reason and nothing changed.
 * remove: the row's effects go; the caller frees the row.
 */
struct table_verbs {
	int (*put)(struct apply *a, struct row *row, const json_t *json, struct row_error *e);
	void (*remove)(struct apply *a, struct row *row);
};

int account_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e);
int vnet_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e);
int tunnel_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e);
/* Their record goes; nothing may refer to them any more. */
void container_remove(struct apply *a, enum apply_table table, struct row *row);
/* True if the row's account, vnet or tunnel is on its way out. */
bool container_doomed(struct apply *a, enum apply_table table, const struct row *row);

/* Flows of the account decide again. After what they are decided by is published. compiled: its rules are there now. */
void account_policy_changed(struct apply *a, uint32_t account, bool compiled);

/* Notes why a row is not applied, to be told and, with its row, tried again; and forgets that. */
void apply_refuse(struct apply *a, enum apply_table table, const char *key, const json_t *row, const struct row_error *e);
void apply_forget(struct apply *a, enum apply_table table, const char *key);

int client_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e);
void client_remove(struct apply *a, struct row *row);
int connector_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e);
void connector_remove(struct apply *a, struct row *row);
int setting_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e);
void setting_remove(struct apply *a, struct row *row);
int deny_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e);
void deny_remove(struct apply *a, struct row *row);
/* Settings and deny list as a whole, after their rows changed. */
void settings_publish(struct apply *a);
void deny_publish(struct apply *a);

/* Routes: key "<vnet_id>/<cidr>". */
int route_put(struct apply *a, const char *key, const json_t *json, struct row_error *e);
void route_remove_key(struct apply *a, const char *key);
/* Looks at up to `budget` slots for routes that were not repeated or whose vnet or tunnel goes. True: all seen. */
bool routes_sweep(struct apply *a, uint32_t budget);
/* New generations for vnets whose routes changed. */
void routes_publish(struct apply *a);

/* ---- peers: the public keys of clients and connectors ---- */

#define PEER_KEYS_MAX 8

/* The wanted keys of one client or connector. */
struct peer_set {
	enum peer_kind kind;
	uint32_t owner;
	unsigned n;
	const char *texts[PEER_KEYS_MAX]; /* base64 */
	uint8_t keys[PEER_KEYS_MAX][32];
	uint32_t index[PEER_KEYS_MAX]; /* out */
	bool fresh[PEER_KEYS_MAX];     /* out: it was not a peer before */
};

/* Reads `public_keys`: at most max, no key twice. */
int peer_keys_read(const json_t *row, unsigned max, struct peer_set *set, struct row_error *e);
/*
 * Gives each key a peer index and publishes a record like `model` (index, public key and session index are filled
 * in) for those that are new or differ; tells the handshake thread. 0, or -1 and everything as before.
 */
int peers_put(struct apply *a, struct peer_set *set, const struct peer_record *model, struct row_error *e);
/* Removes a peer: record, handshake state, key. */
void peer_remove(struct apply *a, uint32_t index);

#endif
