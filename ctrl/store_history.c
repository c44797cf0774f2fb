// SPDX-License-Identifier: BSD-3-Clause
// The audit trail, and going back to an earlier revision.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/model.h"
#include "ctrl/store.h"

static json_t *int_or_null(sqlite3_stmt *q, int col)
{
	return sqlite3_column_type(q, col) == SQLITE_NULL ? json_null() : json_integer(sqlite3_column_int64(q, col));
}

json_t *store_history(struct store *st, unsigned limit)
{
	sqlite3_stmt *q = store_stmt(st, ST_HISTORY);
	json_t *out = json_array();

	sqlite3_bind_int64(q, 1, limit);
	while (q && sqlite3_step(q) == SQLITE_ROW) {
		int64_t at_ms = sqlite3_column_int64(q, 1);
		const char *comm = (const char *)sqlite3_column_text(q, 5);
		json_t *changes = json_loads((const char *)sqlite3_column_text(q, 8), 0, NULL), *params = NULL, *row;
		char when[32];

		/* what changed nothing here has what it was called with instead */
		if (sqlite3_column_type(q, 0) == SQLITE_NULL) {
			params = changes;
			changes = NULL;
		}
		row = json_pack("{s:o, s:s, s:o, s:o, s:o, s:s?, s:s, s:I, s:o}", "revision", int_or_null(q, 0), "at",
				time_format(at_ms / 1000, when), "uid", int_or_null(q, 2), "gid", int_or_null(q, 3), "pid",
				int_or_null(q, 4), "comm", comm, "method", (const char *)sqlite3_column_text(q, 6), "changed",
				(json_int_t)sqlite3_column_int64(q, 7), "changes", changes ? changes : json_array());
		if (params)
			json_object_set_new(row, "params", params);
		json_array_append_new(out, row);
	}
	sqlite3_reset(q);
	return out;
}

int store_audit(struct store *st, int64_t at_ms, int64_t uid, int64_t gid, int64_t pid, const char *comm, const char *method,
		const json_t *params)
{
	char *text = json_dumps(params, JSON_COMPACT);
	sqlite3_stmt *q = store_stmt(st, ST_AUDIT);
	int ret = -EIO;

	if (q && text) {
		sqlite3_bind_int64(q, 1, (int64_t)st->revision);
		sqlite3_bind_int64(q, 2, at_ms);
		sqlite3_bind_int64(q, 3, uid);
		sqlite3_bind_int64(q, 4, gid);
		sqlite3_bind_int64(q, 5, pid);
		sqlite3_bind_text(q, 6, comm, -1, SQLITE_TRANSIENT);
		sqlite3_bind_text(q, 7, method, -1, SQLITE_TRANSIENT);
		sqlite3_bind_text(q, 8, text, -1, SQLITE_TRANSIENT);
		ret = store_run(st, q);
	}
	q = ret == 0 ? store_stmt(st, ST_TRIM_AUDIT) : NULL;
	if (q) {
		sqlite3_bind_int64(q, 1, STORE_AUDIT_MAX);
		ret = store_run(st, q);
	}
	free(text);
	return ret;
}

/* For each key changed after `revision` its document then (null: there was none), in order of change. */
static json_t *former(struct store *st, enum table t, uint64_t revision)
{
	sqlite3_stmt *q = store_stmt(st, ST_CHANGED_KEYS);
	json_t *out = json_object();

	sqlite3_bind_int(q, 1, t);
	sqlite3_bind_int64(q, 2, (int64_t)revision);
	while (out && q && sqlite3_step(q) == SQLITE_ROW) {
		const char *key = (const char *)sqlite3_column_text(q, 0), *before = (const char *)sqlite3_column_text(q, 1);

		if (!json_object_get(out, key))
			json_object_set_new(out, key, before ? json_loads(before, 0, NULL) : json_null());
	}
	sqlite3_reset(q);
	return out;
}

/* A route by its key "<vnet_id>/<cidr>" as it is now. */
static int route_by_key(struct store *st, const char *key, struct route *out)
{
	char vnet[37], err[128];
	struct ip_prefix p;

	if (strlen(key) < 38 || ip_prefix_parse(key + 37, false, &p, err, sizeof(err)) < 0)
		return -ENOENT;
	snprintf(vnet, sizeof(vnet), "%s", key);
	return route_get(st, store_num(st, T_VNETS, vnet), &p, out);
}

/* What must go: objects that did not exist then. Objects that change keep their place but lose their unique values, so
 * that two that swapped a name can swap back: they are deleted here and made again below. */
static int take_away(struct store *st, enum table t, json_t *then)
{
	const char *key;
	json_t *was;
	int ret = 0;

	json_object_foreach(then, key, was) {
		json_t *is;

		if (t == T_ROUTES) {
			struct route r;

			ret = route_by_key(st, key, &r);
			if (ret == 0 && json_is_null(was))
				ret = route_del(st, &r);
		} else {
			is = store_get(st, t, key);
			if (is && json_is_null(was))
				ret = store_del(st, t, key);
			json_decref(is);
		}
		if (ret < 0 && ret != -ENOENT)
			return ret;
	}
	return 0;
}

/* Takes a name and a precedence out of the way of an object that had them then; its own turn to be put comes. */
static void step_aside(struct store *st, enum table t, const char *key, int pass)
{
	json_t *is = store_get(st, t, key);

	if (!is)
		return;
	if (json_object_get(is, "name"))
		json_object_set_new(is, "name", json_string(key));
	if (t == T_RULES)
		json_object_set_new(is, "precedence", json_integer(-store_num(st, t, key) - pass));
	store_put(st, t, key, is);
	json_decref(is);
}

/* Puts the documents. Values that moved between objects find their place in further passes: what is refused steps aside. */
static int bring_back(struct store *st, enum table t, json_t *then, unsigned *lost)
{
	const char *key;
	json_t *was;
	int ret = 0;

	for (int pass = 0; pass < 8; pass++) {
		bool again = false;

		json_object_foreach(then, key, was) {
			bool fresh;

			if (json_is_null(was))
				continue;
			if (t == T_ROUTES) {
				struct route r;

				if (route_from_json(st, was, &r) == 0 && route_put(st, &r) < 0)
					return -EIO;
				continue;
			}
			fresh = store_num(st, t, key) == 0;
			ret = store_put(st, t, key, was);
			if (ret == -EIO)
				return ret;
			again = again || ret == -EEXIST;
			if (ret == -EEXIST)
				step_aside(st, t, key, pass);
			if (ret == 0 && fresh && (t == T_TUNNELS || (t == T_CLIENTS && doc_true(was, "has_preshared_key"))))
				(*lost)++;
		}
		if (!again)
			return 0;
	}
	return -EEXIST;
}

int store_rollback_to(struct store *st, uint64_t revision, unsigned *lost)
{
	static const enum table order[] = {T_ACCOUNTS, T_VNETS, T_TUNNELS, T_ROUTES, T_LISTS, T_RULES, T_CLIENTS, T_SETTINGS, T_DENY};
	enum { N = sizeof(order) / sizeof(order[0]) };
	json_t *then[N] = {0};
	int ret = 0;

	*lost = 0;
	if (revision > st->revision || revision < st->oldest_delta || revision == 0)
		return -ENOENT;
	for (int i = 0; i < N; i++)
		then[i] = former(st, order[i], revision);
	for (int i = N - 1; ret == 0 && i >= 0; i--)
		ret = take_away(st, order[i], then[i]);
	for (int i = 0; ret == 0 && i < N; i++)
		ret = bring_back(st, order[i], then[i], lost);
	for (int i = 0; i < N; i++)
		json_decref(then[i]);
	return ret;
}
