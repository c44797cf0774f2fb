// SPDX-License-Identifier: BSD-3-Clause
// Rows in, tables and records out: what all kinds of rows share, and the end of a change piece by piece.
#include "dataplane/control/apply_internal.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "dataplane/flowlog/hits.h"
#include "dataplane/tables/reclaim.h"
#include "lib/log.h"

#define SWEEP_SLOTS 4096 /* a step of the sweep looks at so many slots, removes at most an eighth of them */

static const char *const table_names[TABLE_COUNT] = {
#define TABLE(name, key) #name,
	APPLY_TABLES(TABLE)
#undef TABLE
};

static const char *const key_fields[TABLE_COUNT] = {
#define TABLE(name, key) #key,
	APPLY_TABLES(TABLE)
#undef TABLE
};

static const struct table_verbs verbs[TABLE_COUNT] = {
	[TABLE_accounts] = {account_put, NULL},  [TABLE_vnets] = {vnet_put, NULL},
	[TABLE_tunnels] = {tunnel_put, NULL},    [TABLE_lists] = {list_put, list_remove},
	[TABLE_rules] = {rule_put, rule_remove}, [TABLE_clients] = {client_put, client_remove},
	[TABLE_connectors] = {connector_put, connector_remove},
	[TABLE_settings] = {setting_put, setting_remove}, [TABLE_deny] = {deny_put, deny_remove},
};

static const enum apply_table leaves[] = {TABLE_connectors, TABLE_clients, TABLE_rules,
					  TABLE_lists,      TABLE_settings, TABLE_deny};
/* In the order in which they go. */
static const enum apply_table containers[] = {TABLE_tunnels, TABLE_vnets, TABLE_accounts};

#define N_LEAVES     (sizeof(leaves) / sizeof(leaves[0]))
#define N_CONTAINERS (sizeof(containers) / sizeof(containers[0]))

const char *apply_table_name(enum apply_table t)
{
	return t < TABLE_COUNT ? table_names[t] : "?";
}

static bool is_container(enum apply_table t)
{
	return t == TABLE_accounts || t == TABLE_vnets || t == TABLE_tunnels;
}

static bool *doom_flags(struct apply *a, enum apply_table t)
{
	return t == TABLE_accounts ? a->account_doomed : t == TABLE_vnets ? a->vnet_doomed : a->tunnel_doomed;
}

/* ---- helpers of the verbs ---- */

uint32_t apply_generation(struct apply *a)
{
	if (++a->generation == 0)
		a->generation = 1;
	return a->generation;
}

void *apply_copy(const void *record, size_t size)
{
	void *copy = record_alloc(size);

	if (copy)
		memcpy(copy, record, size);
	return copy;
}

static void free_record(void *record, uint64_t wipe)
{
	if (wipe)
		sodium_memzero(record, wipe);
	free(record);
}

void apply_publish(struct apply *a, const void **slot, const void *record, size_t wipe)
{
	void *old = (void *)(uintptr_t)*slot;
	struct retire_ops ops = reclaim_ops(a->config.reclaim);

	__atomic_store_n(slot, record, __ATOMIC_RELEASE);
	if (old)
		ops.retire(ops.ctx, free_record, old, wipe);
}

int apply_reference(struct apply *a, enum apply_table table, const json_t *row, const char *field, uint32_t *index,
		    struct row_error *e)
{
	const char *id = json_string_value(json_object_get(row, field));

	if (!id)
		return row_fail(e, "invalid", "%s: a text is needed", field);
	*index = id_map_get(a->ids[table], id);
	if (*index == ID_NONE || doom_flags(a, table)[*index])
		return row_fail(e, "not_found", "%s: no row '%s' in %s", field, id, table_names[table]);
	return 0;
}

int apply_index(struct apply *a, enum apply_table table, const char *id, uint32_t *index, bool *fresh,
		struct row_error *e)
{
	int rc = id_map_add(a->ids[table], id, index);

	if (rc < 0 && id_map_resting(a->ids[table]) > 0) {
		reclaim_drain(a->config.reclaim);
		rc = id_map_add(a->ids[table], id, index);
	}
	if (rc < 0)
		return row_fail(e, "limit", "no room for another row (capacities.%s)", table_names[table]);
	*fresh = rc == 0;
	return 0;
}

void apply_release(struct apply *a, struct id_map *map, const char *id)
{
	struct retire_ops ops = reclaim_ops(a->config.reclaim);
	uint32_t index = id_map_remove(map, id);

	if (index != ID_NONE)
		ops.retire(ops.ctx, id_map_release, map, index);
}

void apply_card(struct apply *a, enum card_kind kind, uint32_t index, const char *id, const char *name, const char *more,
		const struct client_record *client)
{
	static const enum hit_kind hit_kinds[CARD_KINDS] = {[CARD_ACCOUNT] = HIT_DEFAULT,  [CARD_VNET] = HIT_KINDS,
							    [CARD_TUNNEL] = HIT_KINDS,     [CARD_CLIENT] = HIT_CLIENT,
							    [CARD_CONNECTOR] = HIT_KINDS,  [CARD_RULE] = HIT_RULE};
	struct card card = {.id = id, .name = name, .more = more};
	int rc;

	if (!a->edge->cards)
		return;
	if (client) {
		card.has_v4 = client->has_v4;
		card.has_v6 = client->has_v6;
		memcpy(card.v4, client->v4, sizeof(card.v4));
		memcpy(card.v6, client->v6, sizeof(card.v6));
	}
	rc = cards_put(a->edge->cards, kind, index, &card);
	if (rc == 1 && a->edge->hits && hit_kinds[kind] < HIT_KINDS)
		hits_begin(a->edge->hits, hit_kinds[kind], index);
	if (rc < 0)
		log_rated(LOG_LEVEL_WARN, "flow log: '%s' goes without its new name", id);
}

void apply_card_drop(struct apply *a, enum card_kind kind, uint32_t index)
{
	if (a->edge->cards)
		cards_drop(a->edge->cards, kind, index);
}

/* ---- refused rows ---- */

static struct refused *refused_find(struct apply *a, enum apply_table table, const char *key)
{
	for (unsigned i = 0; a->refused_of[table] && i < a->n_refused; i++)
		if (a->refused[i].table == table && !strcmp(a->refused[i].key, key))
			return &a->refused[i];
	return NULL;
}

void apply_forget(struct apply *a, enum apply_table table, const char *key)
{
	struct refused *r = refused_find(a, table, key);

	if (!r)
		return;
	a->refused_of[table]--;
	free(r->key);
	json_decref(r->row);
	memmove(r, r + 1, (size_t)(&a->refused[a->n_refused] - (r + 1)) * sizeof(*r));
	a->n_refused--;
}

void apply_refuse(struct apply *a, enum apply_table table, const char *key, const json_t *row,
		  const struct row_error *e)
{
	struct refused *r = refused_find(a, table, key);

	log_rated(LOG_LEVEL_WARN, "sync: %s '%s' is refused: %s", table_names[table], key, e->message);
	if (!r) {
		char *copy = a->n_refused < REFUSED_MAX ? strdup(key) : NULL;

		if (!copy) {
			a->refused_untold++;
			return;
		}
		r = &a->refused[a->n_refused++];
		*r = (struct refused){.table = table, .key = copy};
		a->refused_of[table]++;
	}
	if (r->row != row) {
		json_decref(r->row);
		r->row = json_incref((json_t *)(uintptr_t)row);
	}
	r->error = *e;
	r->change = a->change;
}

/* ---- one row ---- */

static int put_kept(struct apply *a, enum apply_table table, const char *key, const json_t *json, struct row_error *e)
{
	struct row_store *s = &a->stores[table];
	struct row *row = row_find(s, key);
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	bool fresh = !row;
	int rc;

	if (row && text && row->json && !strcmp(row->json, text) && !row->expires_at) {
		sodium_memzero(text, strlen(text));
		free(text);
		row->mark = a->mark;
		if (is_container(table))
			doom_flags(a, table)[row->index] = false;
		return 0;
	}
	if (fresh)
		row = row_add(s, key);
	if (!row || !text) {
		free(text);
		if (row && fresh)
			row_remove(s, row);
		return row_fail(e, "limit", "out of memory");
	}
	row->mark = a->mark;
	if (!fresh && is_container(table))
		doom_flags(a, table)[row->index] = false;
	rc = verbs[table].put(a, row, json, e);
	if (rc) {
		sodium_memzero(text, strlen(text));
		free(text);
		if (fresh)
			row_remove(s, row);
		return -1;
	}
	row_set_json(s, row, text);
	a->version++;
	return 0;
}

static void put_row(struct apply *a, enum apply_table table, const json_t *json)
{
	const char *key = json_string_value(json_object_get(json, key_fields[table]));
	struct row_error e;
	int rc;

	if (!key || !key[0] || strlen(key) > ID_MAX_BYTES) {
		row_fail(&e, "invalid", "%s: a text of at most %d bytes is needed", key_fields[table], ID_MAX_BYTES);
		apply_refuse(a, table, key && key[0] ? "(too long)" : "", json, &e);
		return;
	}
	rc = table == TABLE_routes ? route_put(a, key, json, &e) : put_kept(a, table, key, json, &e);
	if (rc)
		apply_refuse(a, table, key, json, &e);
	else
		apply_forget(a, table, key);
}

/* Containers wait for the end of the change: rows that refer to them go first. */
static void delete_key(struct apply *a, enum apply_table table, const char *key)
{
	struct row *row;

	apply_forget(a, table, key);
	if (table == TABLE_routes) {
		route_remove_key(a, key);
		return;
	}
	row = row_find(&a->stores[table], key);
	if (!row)
		return;
	a->version++;
	if (is_container(table)) {
		doom_flags(a, table)[row->index] = a->any_doomed = true;
		return;
	}
	verbs[table].remove(a, row);
	row_remove(&a->stores[table], row);
}

/* ---- a change ---- */

static void finish(struct apply *a)
{
	if (a->settings_changed)
		settings_publish(a);
	if (a->deny_changed)
		deny_publish(a);
	routes_publish(a);
	policy_publish(a);
	reclaim_seal(a->config.reclaim);
	a->any_doomed = false;
}

void apply_abort(struct apply *a)
{
	while (a->phase != PHASE_IDLE && a->phase != PHASE_OPEN)
		apply_step(a);
	memset(a->account_doomed, 0, a->records->max_accounts);
	memset(a->vnet_doomed, 0, a->records->max_vnets);
	memset(a->tunnel_doomed, 0, a->records->max_tunnels);
	a->phase = PHASE_IDLE;
	finish(a);
}

bool apply_idle(const struct apply *a)
{
	return a->phase == PHASE_IDLE;
}

void apply_begin(struct apply *a, uint64_t revision, bool snapshot, int64_t now_s)
{
	apply_abort(a);
	a->phase = PHASE_OPEN;
	a->revision = revision;
	a->snapshot = snapshot;
	a->now_s = now_s;
	a->change++;
	policy_begin(a);
	if (snapshot) {
		a->mark++;
		while (a->n_refused)
			apply_forget(a, a->refused[0].table, a->refused[0].key);
		a->refused_untold = 0;
	}
}

void apply_rows(struct apply *a, const char *table, const json_t *put, const json_t *del)
{
	unsigned t = 0;
	const json_t *v;
	size_t i;

	while (t < TABLE_COUNT && strcmp(table_names[t], table) != 0)
		t++;
	if (t == TABLE_COUNT || a->phase != PHASE_OPEN) {
		log_rated(LOG_LEVEL_WARN, "sync: rows of table '%s' are ignored: %s", table,
			  t == TABLE_COUNT ? "this edge does not know it" : "no change is open");
		return;
	}
	json_array_foreach (del, i, v)
		if (json_is_string(v))
			delete_key(a, t, json_string_value(v));
	json_array_foreach (put, i, v)
		put_row(a, t, v);
	routes_publish(a);
	policy_lists_done(a);
	reclaim_seal(a->config.reclaim);
}

void apply_end(struct apply *a)
{
	if (a->phase == PHASE_OPEN)
		a->phase = PHASE_LEAVES;
}

struct sweep {
	struct apply *a;
	enum apply_table table;
};

static bool leaf_goes(struct row *row, void *arg)
{
	struct sweep *s = arg;
	struct apply *a = s->a;

	if (!(a->snapshot && row->mark != a->mark) && !(a->any_doomed && container_doomed(a, s->table, row)))
		return false;
	verbs[s->table].remove(a, row);
	a->version++;
	return true;
}

/* Which containers go, and with an account its vnets and tunnels. */
static void doom_containers(struct apply *a)
{
	static const enum apply_table order[] = {TABLE_accounts, TABLE_vnets, TABLE_tunnels};

	for (size_t i = 0; i < 3; i++) {
		bool *flags = doom_flags(a, order[i]);

		for (const struct row *row = row_next(&a->stores[order[i]], NULL); row;
		     row = row_next(&a->stores[order[i]], row)) {
			if ((a->snapshot && row->mark != a->mark) || a->account_doomed[row->account])
				flags[row->index] = a->any_doomed = true;
		}
	}
}

static bool routes_must_go(const struct apply *a)
{
	if (a->snapshot)
		return a->routes.count > 0;
	for (uint32_t i = 0; a->any_doomed && i < a->records->max_vnets; i++)
		if (a->vnet_doomed[i] && a->vnet_routes[i])
			return true;
	for (uint32_t i = 0; a->any_doomed && i < a->records->max_tunnels; i++)
		if (a->tunnel_doomed[i] && a->tunnel_routes[i])
			return true;
	return false;
}

static bool container_goes(struct row *row, void *arg)
{
	struct sweep *s = arg;

	if (!doom_flags(s->a, s->table)[row->index])
		return false;
	container_remove(s->a, s->table, row);
	s->a->version++;
	return true;
}

static void retry_refused(struct apply *a)
{
	for (unsigned i = 0; i < a->n_refused;) {
		struct refused *r = &a->refused[i];
		json_t *row = json_incref(r->row);
		unsigned before = a->n_refused;

		if (row && r->key[0] && strcmp(r->key, "(too long)") != 0)
			put_row(a, r->table, row);
		json_decref(row);
		i += a->n_refused == before;
	}
}

bool apply_step(struct apply *a)
{
	switch (a->phase) {
	case PHASE_IDLE:
	case PHASE_OPEN:
		return true;
	case PHASE_LEAVES:
		doom_containers(a);
		for (size_t i = 0; i < N_LEAVES; i++)
			row_store_filter(&a->stores[leaves[i]], leaf_goes, &(struct sweep){a, leaves[i]});
		reclaim_seal(a->config.reclaim);
		a->sweep_slot = 0;
		a->phase = routes_must_go(a) ? PHASE_ROUTES : PHASE_CONTAINERS;
		return false;
	case PHASE_ROUTES:
		if (routes_sweep(a, SWEEP_SLOTS))
			a->phase = PHASE_CONTAINERS;
		return false;
	case PHASE_CONTAINERS:
		for (size_t i = 0; a->any_doomed && i < N_CONTAINERS; i++)
			row_store_filter(&a->stores[containers[i]], container_goes, &(struct sweep){a, containers[i]});
		a->phase = PHASE_RETRY;
		return false;
	case PHASE_RETRY:
		retry_refused(a);
		finish(a);
		a->phase = PHASE_IDLE;
		return true;
	}
	return true;
}

/* A client's row is put again when its time, or that of a posture check, is over: what it is is worked out anew. */
void apply_expire(struct apply *a, int64_t now_s)
{
	struct row_store *s = &a->stores[TABLE_clients];
	int64_t next = 0;

	a->now_s = now_s;
	if (!a->due || a->due > now_s)
		return;
	for (struct row *row = row_next(s, NULL); row; row = row_next(s, row)) {
		struct row_error e;
		json_t *json;

		if (row->expires_at && row->expires_at <= now_s) {
			json = json_loads(row->json, 0, NULL);
			if (json && client_put(a, row, json, &e)) {
				log_rated(LOG_LEVEL_ERROR, "client '%s' has expired in part and cannot be changed: %s", row->key,
					  e.message);
				row->expires_at = now_s + 1;
			}
			json_decref(json);
		}
		if (row->expires_at && (!next || row->expires_at < next))
			next = row->expires_at;
	}
	a->due = next;
	reclaim_seal(a->config.reclaim);
}

int64_t apply_due(const struct apply *a)
{
	return a->due;
}
