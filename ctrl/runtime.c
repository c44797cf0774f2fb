// SPDX-License-Identifier: BSD-3-Clause
// The runtime store: endpoints, time stamps and handshakes by edge and public key.
#include "ctrl/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctrl/model.h"
#include "ctrl/sync.h"
#include "lib/ip.h"
#include "lib/log.h"

#define PEER_KEEP_S    (90 * 86400)
#define PEERS_SENT_MAX 100000

enum { Q_EDGE_PUT, Q_EDGE_EACH, Q_WATER_GET, Q_WATER_SET, Q_PEER_PUT, Q_PEERS, Q_PEER_LAST, Q_SEEN_PUT, Q_SEEN_GET,
       Q_STATUS_PUT, Q_STATUS_PRUNE, Q_STATUS_GET, Q_PRUNE, Q_N };

static const char *const sql[Q_N] = {
	[Q_EDGE_PUT] = "INSERT OR REPLACE INTO edge(edge_id, doc) VALUES(?1, ?2)",
	[Q_EDGE_EACH] = "SELECT doc FROM edge ORDER BY edge_id",
	[Q_WATER_GET] = "SELECT high_water FROM water WHERE edge_id = ?1",
	[Q_WATER_SET] = "INSERT INTO water(edge_id, high_water) VALUES(?1, ?2)"
			" ON CONFLICT(edge_id) DO UPDATE SET high_water = max(high_water, excluded.high_water)",
	[Q_PEER_PUT] = "INSERT INTO peer(edge_id, public_key, endpoint, local, tai64n_rx, last_handshake, active_at)"
		       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(edge_id, public_key) DO UPDATE SET"
		       " endpoint = coalesce(excluded.endpoint, endpoint), local = coalesce(excluded.local, local),"
		       " tai64n_rx = max(coalesce(excluded.tai64n_rx, tai64n_rx, ''), coalesce(tai64n_rx, '')),"
		       " last_handshake = max(last_handshake, excluded.last_handshake), active_at = max(active_at, excluded.active_at)",
	[Q_PEERS] = "SELECT public_key, endpoint, local, tai64n_rx, active_at FROM peer WHERE edge_id = ?1 ORDER BY active_at DESC LIMIT ?2",
	[Q_PEER_LAST] = "SELECT last_handshake, endpoint FROM peer WHERE public_key = ?1 ORDER BY last_handshake DESC LIMIT 1",
	[Q_SEEN_PUT] = "INSERT OR IGNORE INTO seen(tunnel) VALUES(?1)",
	[Q_SEEN_GET] = "SELECT 1 FROM seen WHERE tunnel = ?1",
	[Q_STATUS_PUT] = "INSERT INTO tunnel_status(tunnel, status, at) VALUES(?1, ?2, ?3)",
	[Q_STATUS_PRUNE] = "DELETE FROM tunnel_status WHERE tunnel = ?1 AND rowid NOT IN"
			   " (SELECT rowid FROM tunnel_status WHERE tunnel = ?1 ORDER BY rowid DESC LIMIT 100)",
	[Q_STATUS_GET] = "SELECT status, at FROM tunnel_status WHERE tunnel = ?1 ORDER BY rowid DESC LIMIT ?2",
	[Q_PRUNE] = "DELETE FROM peer WHERE active_at < ?1",
};

struct runtime {
	sqlite3 *db;
	char *path;
	sqlite3_stmt *q[Q_N];
	bool open; /* a transaction is */
};

static sqlite3_stmt *get(struct runtime *rt, int which)
{
	if (!rt->q[which] && sqlite3_prepare_v3(rt->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &rt->q[which], NULL) != SQLITE_OK)
		log_rated(LOG_LEVEL_ERROR, "%s: %s", rt->path, sqlite3_errmsg(rt->db));
	sqlite3_reset(rt->q[which]);
	sqlite3_clear_bindings(rt->q[which]);
	return rt->q[which];
}

static void run(struct runtime *rt, sqlite3_stmt *q)
{
	if (!rt->open)
		rt->open = sqlite3_exec(rt->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK;
	if (!q || sqlite3_step(q) != SQLITE_DONE)
		log_rated(LOG_LEVEL_ERROR, "%s: %s", rt->path, sqlite3_errmsg(rt->db));
	sqlite3_reset(q);
}

void runtime_flush(struct runtime *rt)
{
	if (!rt || !rt->open)
		return;
	if (sqlite3_exec(rt->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
		log_rated(LOG_LEVEL_ERROR, "%s: %s", rt->path, sqlite3_errmsg(rt->db));
		sqlite3_exec(rt->db, "ROLLBACK", NULL, NULL, NULL);
	}
	rt->open = false;
}

static int open_db(struct runtime *rt)
{
	static const char schema[] =
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;"
		"CREATE TABLE IF NOT EXISTS edge(edge_id TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;"
		"CREATE TABLE IF NOT EXISTS water(edge_id TEXT PRIMARY KEY, high_water INTEGER NOT NULL) WITHOUT ROWID;"
		"CREATE TABLE IF NOT EXISTS peer(edge_id TEXT NOT NULL, public_key TEXT NOT NULL, endpoint TEXT, local TEXT, tai64n_rx TEXT,"
		" last_handshake INTEGER NOT NULL, active_at INTEGER NOT NULL, PRIMARY KEY(edge_id, public_key)) WITHOUT ROWID;"
		"CREATE INDEX IF NOT EXISTS peer_key ON peer(public_key);"
		"CREATE TABLE IF NOT EXISTS tunnel_status(tunnel TEXT NOT NULL, status TEXT NOT NULL, at INTEGER NOT NULL);"
		"CREATE INDEX IF NOT EXISTS tunnel_status_of ON tunnel_status(tunnel);"
		"CREATE TABLE IF NOT EXISTS seen(tunnel TEXT PRIMARY KEY) WITHOUT ROWID;";
	int fd = open(rt->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	if (sqlite3_open_v2(rt->path, &rt->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return -EIO;
	return sqlite3_exec(rt->db, schema, NULL, NULL, NULL) == SQLITE_OK ? 0 : -EIO;
}

struct runtime *runtime_open(const char *path, char *err, size_t err_len)
{
	struct runtime *rt = calloc(1, sizeof(*rt));
	int ret = -ENOMEM;

	if (rt && (rt->path = strdup(path)))
		ret = open_db(rt);
	if (ret < 0) {
		snprintf(err, err_len, "%s: %s", path, rt && rt->db ? sqlite3_errmsg(rt->db) : strerror(-ret));
		runtime_close(rt);
		return NULL;
	}
	sqlite3_bind_int64(get(rt, Q_PRUNE), 1, (int64_t)time(NULL) - PEER_KEEP_S);
	run(rt, rt->q[Q_PRUNE]);
	runtime_flush(rt);
	return rt;
}

void runtime_close(struct runtime *rt)
{
	if (!rt)
		return;
	if (rt->db)
		runtime_flush(rt);
	for (int i = 0; i < Q_N; i++)
		sqlite3_finalize(rt->q[i]);
	sqlite3_close(rt->db);
	free(rt->path);
	free(rt);
}

void runtime_edge_put(struct runtime *rt, const json_t *doc)
{
	char *text = rt ? json_dumps(doc, JSON_COMPACT) : NULL;
	sqlite3_stmt *q;

	if (!text)
		return;
	q = get(rt, Q_EDGE_PUT);
	sqlite3_bind_text(q, 1, doc_str(doc, "edge_id"), -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(q, 2, text, -1, free);
	run(rt, q);
}

static json_t *text_or_null(sqlite3_stmt *q, int col)
{
	const char *s = (const char *)sqlite3_column_text(q, col);

	return s && s[0] ? json_string(s) : json_null();
}

json_t *runtime_for_edge(struct runtime *rt, const char *edge_id)
{
	json_t *peers = json_array();
	int64_t water = 0;
	sqlite3_stmt *q;

	if (!rt)
		return json_pack("{s:i, s:o}", "tai64n_high_water", 0, "peers", peers);
	q = get(rt, Q_WATER_GET);
	sqlite3_bind_text(q, 1, edge_id, -1, SQLITE_STATIC);
	if (q && sqlite3_step(q) == SQLITE_ROW)
		water = sqlite3_column_int64(q, 0);
	sqlite3_reset(q);
	q = get(rt, Q_PEERS);
	sqlite3_bind_text(q, 1, edge_id, -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 2, PEERS_SENT_MAX);
	while (q && sqlite3_step(q) == SQLITE_ROW)
		json_array_append_new(peers, json_pack("{s:o, s:o, s:o, s:o, s:I}", "public_key", text_or_null(q, 0), "endpoint", text_or_null(q, 1),
						       "local", text_or_null(q, 2), "tai64n_rx", text_or_null(q, 3), "active_at",
						       (json_int_t)sqlite3_column_int64(q, 4)));
	sqlite3_reset(q);
	return json_pack("{s:I, s:o}", "tai64n_high_water", (json_int_t)water, "peers", peers);
}

static bool is_tai64n(const char *s)
{
	return strlen(s) == 24 && strspn(s, "0123456789abcdef") == 24;
}

static void report_peer(struct runtime *rt, const char *edge_id, const json_t *p)
{
	const char *key = doc_str(p, "public_key"), *stamp = doc_str(p, "tai64n_rx");
	const char *endpoint = doc_str(p, "endpoint"), *local = doc_str(p, "local");
	struct ip_endpoint e;
	uint8_t raw[32];
	sqlite3_stmt *q;

	if (!key_parse(key, raw))
		return;
	q = get(rt, Q_PEER_PUT);
	sqlite3_bind_text(q, 1, edge_id, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 2, key, -1, SQLITE_STATIC);
	if (ip_endpoint_parse(endpoint, &e))
		sqlite3_bind_text(q, 3, endpoint, -1, SQLITE_STATIC);
	if (ip_endpoint_parse(local, &e))
		sqlite3_bind_text(q, 4, local, -1, SQLITE_STATIC);
	if (is_tai64n(stamp))
		sqlite3_bind_text(q, 5, stamp, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 6, doc_int(p, "last_handshake"));
	sqlite3_bind_int64(q, 7, doc_int(p, "active_at"));
	run(rt, q);
}

void runtime_report(struct runtime *rt, const char *edge_id, const json_t *params)
{
	int64_t water = doc_int(params, "tai64n_high_water");
	const json_t *p;
	size_t i;

	if (!rt)
		return;
	if (water > 0) {
		sqlite3_stmt *q = get(rt, Q_WATER_SET);

		sqlite3_bind_text(q, 1, edge_id, -1, SQLITE_STATIC);
		sqlite3_bind_int64(q, 2, water);
		run(rt, q);
	}
	json_array_foreach(json_object_get(params, "peers"), i, p)
		report_peer(rt, edge_id, p);
}

static json_t *known_edges(struct runtime *rt)
{
	json_t *out = json_array();
	sqlite3_stmt *q = rt ? get(rt, Q_EDGE_EACH) : NULL;

	while (q && sqlite3_step(q) == SQLITE_ROW) {
		json_t *doc = json_loads((const char *)sqlite3_column_text(q, 0), 0, NULL);

		if (doc)
			json_array_append_new(out, doc);
	}
	sqlite3_reset(q);
	return out;
}

json_t *runtime_edges(struct ctrl *c)
{
	json_t *out = c ? sync_connected_edges(c) : NULL;

	if (json_array_size(out) > 0)
		return out;
	json_decref(out);
	return known_edges(c ? c->rt : NULL);
}

json_t *runtime_edge_for_config(struct ctrl *c)
{
	json_t *edges = runtime_edges(c), *endpoints = json_array(), *e, *ep;
	json_t *key = json_array_get(json_object_get(json_array_get(edges, 0), "public_keys"), 0), *out;
	size_t i, k;

	/* Edges that share the first one's key stand for each other. */
	json_array_foreach(edges, i, e) {
		if (!json_equal(json_array_get(json_object_get(e, "public_keys"), 0), key))
			continue;
		json_array_foreach(json_object_get(e, "endpoints"), k, ep)
			json_array_append(endpoints, ep);
	}
	out = json_pack("{s:o, s:o}", "public_key", key ? json_incref(key) : json_null(), "endpoints", endpoints);
	json_decref(edges);
	return out;
}

bool runtime_is_edge_key(struct ctrl *c, const char *b64)
{
	json_t *known = known_edges(c ? c->rt : NULL), *e, *k;
	bool found = false;
	size_t i, n;

	json_array_foreach(known, i, e) {
		json_array_foreach(json_object_get(e, "public_keys"), n, k)
			found = found || strcmp(json_string_value(k) ? json_string_value(k) : "", b64) == 0;
	}
	json_decref(known);
	return found;
}

void runtime_tunnel_mark(struct runtime *rt, const char *tunnel_id)
{
	sqlite3_stmt *q = rt ? get(rt, Q_SEEN_PUT) : NULL;

	if (!q)
		return;
	sqlite3_bind_text(q, 1, tunnel_id, -1, SQLITE_STATIC);
	run(rt, q);
}

bool runtime_tunnel_seen(struct ctrl *c, const char *tunnel_id)
{
	sqlite3_stmt *q = c && c->rt ? get(c->rt, Q_SEEN_GET) : NULL;
	bool seen;

	if (!q)
		return false;
	sqlite3_bind_text(q, 1, tunnel_id, -1, SQLITE_STATIC);
	seen = sqlite3_step(q) == SQLITE_ROW;
	sqlite3_reset(q);
	return seen;
}

void runtime_tunnel_status(struct runtime *rt, const char *tunnel_id, char *status, size_t size)
{
	sqlite3_stmt *q = rt ? get(rt, Q_STATUS_GET) : NULL;

	if (!q)
		return;
	sqlite3_bind_text(q, 1, tunnel_id, -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 2, 1);
	if (sqlite3_step(q) == SQLITE_ROW)
		snprintf(status, size, "%s", (const char *)sqlite3_column_text(q, 0));
	sqlite3_reset(q);
}

void runtime_tunnel_status_put(struct runtime *rt, const char *tunnel_id, const char *status, int64_t at)
{
	sqlite3_stmt *q = rt ? get(rt, Q_STATUS_PUT) : NULL;

	if (!q)
		return;
	sqlite3_bind_text(q, 1, tunnel_id, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 2, status, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 3, at);
	run(rt, q);
	q = get(rt, Q_STATUS_PRUNE);
	sqlite3_bind_text(q, 1, tunnel_id, -1, SQLITE_STATIC);
	run(rt, q);
}

json_t *runtime_tunnel_changes(struct ctrl *c, const char *tunnel_id, unsigned max)
{
	sqlite3_stmt *q = c && c->rt ? get(c->rt, Q_STATUS_GET) : NULL;
	json_t *out = json_array();
	char when[32];

	if (!q)
		return out;
	sqlite3_bind_text(q, 1, tunnel_id, -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 2, (int)max);
	while (sqlite3_step(q) == SQLITE_ROW)
		json_array_append_new(out, json_pack("{s:s, s:s}", "status", sqlite3_column_text(q, 0), "at",
						     time_format(sqlite3_column_int64(q, 1), when)));
	sqlite3_reset(q);
	return out;
}

void runtime_show_client(struct ctrl *c, const json_t *doc, json_t *out)
{
	json_t *at = json_null(), *endpoint = json_null();
	sqlite3_stmt *q = c && c->rt ? get(c->rt, Q_PEER_LAST) : NULL;
	char when[32];

	if (q) {
		sqlite3_bind_text(q, 1, doc_str(doc, "public_key"), -1, SQLITE_STATIC);
		if (sqlite3_step(q) == SQLITE_ROW) {
			int64_t t = sqlite3_column_int64(q, 0);

			at = t > 0 ? json_string(time_format(t, when)) : at;
			endpoint = text_or_null(q, 1);
		}
		sqlite3_reset(q);
	}
	json_object_set_new(out, "last_handshake", at);
	json_object_set_new(out, "endpoint", endpoint);
}

void runtime_show_connector(struct ctrl *c, const json_t *doc, json_t *out)
{
	const json_t *live = c ? sync_connector_report(c, doc_str(doc, "id")) : NULL;

	json_object_set_new(out, "sessions_live", live ? json_integer(doc_int(live, "sessions_live")) : json_null());
	if (live && json_is_true(json_object_get(live, "draining")))
		json_object_set_new(out, "draining", json_true());
	json_object_set_new(out, "rtt_us", live && json_object_get(live, "rtt_us") ? json_integer(doc_int(live, "rtt_us")) : json_null());
}
