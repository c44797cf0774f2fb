// SPDX-License-Identifier: BSD-3-Clause
// Reads a consistent view of the store, table by table, into sync.rows lines.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>
#include <sqlite3.h>

#include "ctrl/model.h"
#include "ctrl/sync.h"
#include "lib/log.h"

#define ROWS_MAX       1000
#define LINE_SOFT_MAX  (256 * 1024) /* a line is ended once it has grown past this */

enum { R_ALL, R_ALL_ROUTES, R_CHANGED, R_ONE, R_ONE_ROUTE, R_PSK, R_META, R_N };

#define ROUTE_FIELDS "SELECT r.net, r.id, v.key, t.key, v.account FROM route r JOIN obj v ON v.n = r.vnet JOIN obj t ON t.n = r.tunnel "

static const char *const sql[R_N] = {
	[R_ALL] = "SELECT key, doc FROM obj WHERE tbl = ?1 ORDER BY n",
	[R_ALL_ROUTES] = ROUTE_FIELDS "ORDER BY r.vnet, r.net",
	[R_CHANGED] = "SELECT key FROM change WHERE tbl = ?1 AND rev > ?2 ORDER BY rev, seq",
	[R_ONE] = "SELECT doc FROM obj WHERE tbl = ?1 AND key = ?2",
	[R_ONE_ROUTE] = ROUTE_FIELDS "WHERE r.vnet = (SELECT n FROM obj WHERE tbl = 1 AND key = ?1) AND r.net = ?2",
	[R_PSK] = "SELECT value FROM secret WHERE owner = ?1 AND slot = 0",
	[R_META] = "SELECT value FROM meta WHERE key = ?1",
};

struct buf {
	char *p;
	size_t len, cap;
	bool failed;
};

struct sync_reader {
	sqlite3 *db;
	sqlite3_stmt *q[R_N];
	bool busy, snapshot, stepping;
	uint64_t from;
	int table;
	int64_t now;
	struct buf put, del;
	unsigned rows;
};

static void add(struct buf *b, const char *s, size_t n)
{
	if (b->len + n + 1 > b->cap) {
		size_t cap = b->cap ? b->cap : 4096;
		char *p;

		while (cap < b->len + n + 1)
			cap *= 2;
		p = realloc(b->p, cap);
		if (!p) {
			b->failed = true;
			return;
		}
		b->p = p;
		b->cap = cap;
	}
	memcpy(b->p + b->len, s, n);
	b->len += n;
	b->p[b->len] = 0;
}

static void adds(struct buf *b, const char *s)
{
	add(b, s, strlen(s));
}

static sqlite3_stmt *get(struct sync_reader *rd, int which)
{
	if (!rd->q[which] && sqlite3_prepare_v3(rd->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &rd->q[which], NULL) != SQLITE_OK)
		log_rated(LOG_LEVEL_ERROR, "sync: %s", sqlite3_errmsg(rd->db));
	sqlite3_reset(rd->q[which]);
	sqlite3_clear_bindings(rd->q[which]);
	return rd->q[which];
}

struct sync_reader *sync_reader_open(const char *store_path, char *err, size_t err_len)
{
	struct sync_reader *rd = calloc(1, sizeof(*rd));

	if (rd && sqlite3_open_v2(store_path, &rd->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(rd->db, 2000);
		return rd;
	}
	snprintf(err, err_len, "%s: %s", store_path, rd && rd->db ? sqlite3_errmsg(rd->db) : "out of memory");
	sync_reader_close(rd);
	return NULL;
}

static void finish(struct sync_reader *rd)
{
	for (int i = 0; i < R_N; i++)
		sqlite3_reset(rd->q[i]);
	if (rd->busy)
		sqlite3_exec(rd->db, "COMMIT", NULL, NULL, NULL);
	rd->busy = rd->stepping = false;
}

void sync_reader_close(struct sync_reader *rd)
{
	if (!rd)
		return;
	finish(rd);
	for (int i = 0; i < R_N; i++)
		sqlite3_finalize(rd->q[i]);
	sqlite3_close(rd->db);
	if (rd->put.p)
		sodium_memzero(rd->put.p, rd->put.cap); /* preshared keys pass through it */
	free(rd->put.p);
	free(rd->del.p);
	free(rd);
}

static uint64_t meta(struct sync_reader *rd, const char *key)
{
	sqlite3_stmt *q = get(rd, R_META);
	uint64_t v = 0;

	sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
	if (q && sqlite3_step(q) == SQLITE_ROW)
		v = strtoull((const char *)sqlite3_column_text(q, 0), NULL, 10);
	sqlite3_reset(q);
	return v;
}

int sync_reader_begin(struct sync_reader *rd, uint64_t from, bool *snapshot, uint64_t *revision)
{
	if (sqlite3_exec(rd->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
		log_error("sync: %s", sqlite3_errmsg(rd->db));
		return -EIO;
	}
	rd->busy = true;
	*revision = meta(rd, "revision");
	*snapshot = *snapshot || from > *revision || from < meta(rd, "oldest_delta");
	rd->snapshot = *snapshot;
	rd->from = from;
	rd->table = 0;
	rd->stepping = false;
	rd->now = (int64_t)time(NULL);
	return 0;
}

bool sync_reader_busy(const struct sync_reader *rd)
{
	return rd->busy;
}

/* The separator before the next element of an array. */
static void next_row(struct sync_reader *rd, struct buf *b)
{
	if (b->len > 0)
		adds(b, ",");
	rd->rows++;
}

/* Ids, names of networks and account tags hold nothing that JSON escapes. */
static void put_route(struct sync_reader *rd, sqlite3_stmt *q)
{
	char row[512], cidr[IP_PREFIX_TEXT], id[37], hex[33];
	const char *vnet = (const char *)sqlite3_column_text(q, 2);
	struct ip_prefix p;
	int n;

	if (!route_from_blob(sqlite3_column_blob(q, 0), sqlite3_column_bytes(q, 0), &p) || sqlite3_column_bytes(q, 1) != 16)
		return;
	sodium_bin2hex(hex, sizeof(hex), sqlite3_column_blob(q, 1), 16);
	uuid_canonical(hex, id);
	ip_prefix_format(&p, cidr);
	n = snprintf(row, sizeof(row),
		     "{\"key\":\"%s/%s\",\"id\":\"%s\",\"account_id\":\"%s\",\"vnet_id\":\"%s\",\"network\":\"%s\",\"tunnel_id\":\"%s\"}", vnet, cidr,
		     id, sqlite3_column_text(q, 4), vnet, cidr, sqlite3_column_text(q, 3));
	next_row(rd, &rd->put);
	add(&rd->put, row, (size_t)n);
}

static bool psk_of(struct sync_reader *rd, const char *client_id, char out[45])
{
	sqlite3_stmt *q = get(rd, R_PSK);
	bool found;

	sqlite3_bind_text(q, 1, client_id, -1, SQLITE_STATIC);
	found = q && sqlite3_step(q) == SQLITE_ROW && sqlite3_column_bytes(q, 0) == 32;
	if (found)
		key_format(sqlite3_column_blob(q, 0), out);
	sqlite3_reset(q);
	return found;
}

static int put_doc(struct sync_reader *rd, const char *text, int len)
{
	json_t *doc = json_loadb(text, (size_t)len, 0, NULL), *row;
	char psk[45], *line;
	bool has_psk = rd->table == T_CLIENTS && doc && psk_of(rd, doc_str(doc, "id"), psk);

	row = doc ? model_row((enum table)rd->table, doc, has_psk ? psk : NULL, rd->now) : NULL;
	line = row ? json_dumps(row, JSON_COMPACT) : NULL;
	if (line) {
		next_row(rd, &rd->put);
		adds(&rd->put, line);
		sodium_memzero(line, strlen(line));
		free(line);
	}
	sodium_memzero(psk, sizeof(psk));
	json_decref(row);
	json_decref(doc);
	return line ? 0 : -ENOMEM;
}

static int put_changed_route(struct sync_reader *rd, const char *key, bool *there)
{
	char vnet[37], err[128];
	uint8_t blob[18];
	struct ip_prefix p;
	sqlite3_stmt *q;

	*there = false;
	if (strlen(key) < 38 || ip_prefix_parse(key + 37, false, &p, err, sizeof(err)) < 0)
		return 0;
	snprintf(vnet, sizeof(vnet), "%s", key);
	q = get(rd, R_ONE_ROUTE);
	sqlite3_bind_text(q, 1, vnet, -1, SQLITE_STATIC);
	sqlite3_bind_blob(q, 2, blob, (int)route_blob(&p, blob), SQLITE_STATIC);
	*there = q && sqlite3_step(q) == SQLITE_ROW;
	if (*there)
		put_route(rd, q);
	sqlite3_reset(q);
	return 0;
}

/* A key that changed: its row as it is now, or its deletion. */
static int put_changed(struct sync_reader *rd, const char *key)
{
	bool there = false;
	int ret = 0;

	if (rd->table == T_ROUTES) {
		ret = put_changed_route(rd, key, &there);
	} else {
		sqlite3_stmt *q = get(rd, R_ONE);

		sqlite3_bind_int(q, 1, rd->table);
		sqlite3_bind_text(q, 2, key, -1, SQLITE_STATIC);
		there = q && sqlite3_step(q) == SQLITE_ROW;
		if (there)
			ret = put_doc(rd, (const char *)sqlite3_column_text(q, 0), sqlite3_column_bytes(q, 0));
		sqlite3_reset(q);
	}
	if (!there && ret == 0) {
		json_t *j = json_string(key);
		char *text = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;

		next_row(rd, &rd->del);
		adds(&rd->del, text ? text : "\"\"");
		free(text);
		json_decref(j);
	}
	return ret;
}

static sqlite3_stmt *start_table(struct sync_reader *rd)
{
	int which = !rd->snapshot ? R_CHANGED : rd->table == T_ROUTES ? R_ALL_ROUTES : R_ALL;
	sqlite3_stmt *q = rd->stepping ? rd->q[which] : get(rd, which);

	if (!rd->stepping && which != R_ALL_ROUTES)
		sqlite3_bind_int(q, 1, rd->table);
	if (!rd->stepping && which == R_CHANGED)
		sqlite3_bind_int64(q, 2, (int64_t)rd->from);
	rd->stepping = true;
	return q;
}

static char *make_line(struct sync_reader *rd, size_t *len)
{
	struct buf b = {0};
	char head[128];

	snprintf(head, sizeof(head), "{\"jsonrpc\":\"2.0\",\"method\":\"sync.rows\",\"params\":{\"table\":\"%s\",\"put\":[", table_names[rd->table]);
	adds(&b, head);
	add(&b, rd->put.p ? rd->put.p : "", rd->put.len);
	adds(&b, "],\"delete\":[");
	add(&b, rd->del.p ? rd->del.p : "", rd->del.len);
	adds(&b, "]}}\n");
	if (b.failed || rd->put.failed || rd->del.failed) {
		free(b.p);
		return NULL;
	}
	*len = b.len;
	return b.p;
}

/* Fills put and del with rows of the present table. 1: there may be more; 0: the table is done; or negative. */
static int fill(struct sync_reader *rd)
{
	sqlite3_stmt *q = start_table(rd);
	int ret = 0, rc = SQLITE_ROW;

	while (ret == 0 && rd->rows < ROWS_MAX && rd->put.len < LINE_SOFT_MAX && (rc = q ? sqlite3_step(q) : SQLITE_ERROR) == SQLITE_ROW) {
		if (!rd->snapshot)
			ret = put_changed(rd, (const char *)sqlite3_column_text(q, 0));
		else if (rd->table == T_ROUTES)
			put_route(rd, q);
		else
			ret = put_doc(rd, (const char *)sqlite3_column_text(q, 1), sqlite3_column_bytes(q, 1));
	}
	if (ret < 0)
		return ret;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
		log_error("sync: %s", sqlite3_errmsg(rd->db));
		return -EIO;
	}
	return rc == SQLITE_ROW;
}

int sync_reader_next(struct sync_reader *rd, char **line, size_t *len)
{
	while (rd->busy && rd->table < T_COUNT) {
		int more;

		rd->rows = 0;
		rd->put.len = rd->del.len = 0;
		more = fill(rd);
		if (more < 0) {
			finish(rd);
			return more;
		}
		*line = rd->rows > 0 ? make_line(rd, len) : NULL;
		if (rd->rows > 0 && !*line) {
			finish(rd);
			return -ENOMEM;
		}
		if (!more) {
			rd->table++;
			rd->stepping = false;
		}
		if (*line)
			return 1;
	}
	finish(rd);
	return 0;
}
