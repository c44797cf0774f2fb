// SPDX-License-Identifier: BSD-3-Clause
// The configuration store: transactions, documents, unique values, secrets. Opening: store_open.c; routes: store_route.c;
// history: store_history.c.
#include "ctrl/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctrl/model.h"
#include "ctrl/store_schema.h"
#include "lib/log.h"

#define REST_S 86400 /* a freed device address is not handed out again for this long */

int store_io_error(struct store *st)
{
	if (!st->failed) {
		snprintf(st->error, sizeof(st->error), "%s", sqlite3_errmsg(st->db));
		log_error("%s: %s", st->path, st->error);
	}
	st->failed = true;
	return -EIO;
}

sqlite3_stmt *store_stmt(struct store *st, enum stmt s)
{
	if (!st->stmts[s] &&
	    sqlite3_prepare_v3(st->db, store_sql[s], -1, SQLITE_PREPARE_PERSISTENT, &st->stmts[s], NULL) != SQLITE_OK) {
		store_io_error(st);
		return NULL; /* every sqlite3 call takes a NULL statement and fails */
	}
	sqlite3_reset(st->stmts[s]);
	sqlite3_clear_bindings(st->stmts[s]);
	return st->stmts[s];
}

int store_run(struct store *st, sqlite3_stmt *q)
{
	int rc = q ? sqlite3_step(q) : SQLITE_ERROR;

	while (rc == SQLITE_ROW)
		rc = sqlite3_step(q);
	sqlite3_reset(q);
	return rc == SQLITE_DONE ? 0 : store_io_error(st);
}

int store_begin(struct store *st)
{
	st->failed = false;
	st->tx_changes = 0;
	st->tx_routes_saved = st->routes;
	json_decref(st->tx_audit);
	st->tx_audit = json_array();
	if (store_run(st, store_stmt(st, ST_BEGIN)) < 0)
		return -EIO;
	st->in_tx = true;
	return 0;
}

void store_rollback(struct store *st)
{
	if (!st->in_tx)
		return;
	st->in_tx = false;
	sqlite3_step(store_stmt(st, ST_ROLLBACK));
	sqlite3_reset(st->stmts[ST_ROLLBACK]);
	st->routes = st->tx_routes_saved;
	st->failed = false;
}

static void bind_peer(sqlite3_stmt *q, const struct ipc_peer *p)
{
	if (!p)
		return;
	sqlite3_bind_int64(q, 3, p->uid);
	sqlite3_bind_int64(q, 4, p->gid);
	sqlite3_bind_int64(q, 5, p->pid);
	sqlite3_bind_text(q, 6, p->comm, -1, SQLITE_TRANSIENT);
}

static void write_audit(struct store *st, const struct store_author *who, uint64_t rev)
{
	sqlite3_stmt *q = store_stmt(st, ST_REVISION);
	char *changes = json_dumps(st->tx_audit, JSON_COMPACT);
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	sqlite3_bind_int64(q, 1, (int64_t)rev);
	sqlite3_bind_int64(q, 2, (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
	bind_peer(q, who->peer);
	sqlite3_bind_text(q, 7, who->method, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(q, 8, (int64_t)st->tx_changes);
	sqlite3_bind_text(q, 9, changes ? changes : "[]", -1, SQLITE_TRANSIENT);
	store_run(st, q);
	free(changes);
}

/* Drops the oldest part of the log where it has grown past its cap: a quarter at a time, so this is rare. */
static void trim(struct store *st, uint64_t rev)
{
	uint64_t cut = st->oldest_delta + (rev - st->oldest_delta) / 4;
	char text[32];

	if (st->changes <= STORE_CHANGES_MAX && rev - st->oldest_delta <= STORE_REVISIONS_MAX)
		return;
	if (cut == st->oldest_delta)
		cut = rev - 1;
	for (int t = 0; t < T_COUNT; t++) {
		sqlite3_stmt *q = store_stmt(st, ST_TRIM_CHANGE);

		sqlite3_bind_int(q, 1, t);
		sqlite3_bind_int64(q, 2, (int64_t)cut);
		if (store_run(st, q) == 0)
			st->changes -= (uint64_t)sqlite3_changes(st->db);
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)cut);
	store_meta_set(st, "oldest_delta", text);
	st->oldest_delta = cut;
}

int store_commit(struct store *st, const struct store_author *who, uint64_t *revision)
{
	uint64_t rev = st->revision, oldest = st->oldest_delta, changes = st->changes;
	char text[32];

	if (st->tx_changes > 0) {
		rev++;
		snprintf(text, sizeof(text), "%llu", (unsigned long long)rev);
		store_meta_set(st, "revision", text);
		if (!who->silent)
			write_audit(st, who, rev);
		st->changes += st->tx_changes;
		trim(st, rev);
	}
	if (st->failed || store_run(st, store_stmt(st, ST_COMMIT)) < 0) {
		st->oldest_delta = oldest;
		st->changes = changes;
		store_rollback(st);
		return -EIO;
	}
	st->in_tx = false;
	st->revision = rev;
	*revision = rev;
	return 0;
}

/* A document of n bytes for the audit row; what is long is only measured. */
static json_t *audit_value(const json_t *doc, size_t n)
{
	if (!doc)
		return json_null();
	return n > 8192 ? json_pack("{s:I}", "omitted_bytes", (json_int_t)n) : json_deep_copy(doc);
}

/* text: before as it is stored; freed here. after_len: bytes of the other. */
static int log_change(struct store *st, enum table t, const char *key, const json_t *before, char *text, const json_t *after, size_t after_len)
{
	sqlite3_stmt *q = store_stmt(st, ST_CHANGE);
	size_t before_len = text ? strlen(text) : 0;

	sqlite3_bind_int(q, 1, t);
	sqlite3_bind_int64(q, 2, (int64_t)st->revision + 1);
	sqlite3_bind_int64(q, 3, (int64_t)st->tx_changes);
	sqlite3_bind_text(q, 4, key, -1, SQLITE_TRANSIENT);
	if (text)
		sqlite3_bind_text(q, 5, text, -1, free);
	if (st->tx_changes++ < STORE_AUDIT_CHANGES)
		json_array_append_new(st->tx_audit, json_pack("{s:s, s:s, s:o, s:o}", "table", table_names[t], "key", key, "before",
							      audit_value(before, before_len), "after", audit_value(after, after_len)));
	return store_run(st, q);
}

int store_log_change(struct store *st, enum table t, const char *key, const json_t *before, const json_t *after)
{
	return log_change(st, t, key, before, before ? json_dumps(before, JSON_COMPACT) : NULL, after,
			  after ? json_dumpb(after, NULL, 0, JSON_COMPACT) : 0);
}

/* Reads the document in column 0 of the statement's only row; NULL: no row. */
static json_t *one_doc(struct store *st, sqlite3_stmt *q)
{
	json_t *doc = NULL;
	int rc = q ? sqlite3_step(q) : SQLITE_ERROR;

	if (rc == SQLITE_ROW)
		doc = json_loadb((const char *)sqlite3_column_text(q, 0), (size_t)sqlite3_column_bytes(q, 0), 0, NULL);
	else if (rc != SQLITE_DONE)
		store_io_error(st);
	sqlite3_reset(q);
	return doc;
}

json_t *store_get(struct store *st, enum table t, const char *key)
{
	sqlite3_stmt *q = store_stmt(st, ST_GET);

	sqlite3_bind_int(q, 1, t);
	sqlite3_bind_text(q, 2, key, -1, SQLITE_STATIC);
	return one_doc(st, q);
}

json_t *store_find(struct store *st, enum table t, const char *account, const char *name)
{
	sqlite3_stmt *q = store_stmt(st, ST_FIND);

	sqlite3_bind_int(q, 1, t);
	sqlite3_bind_text(q, 2, account, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 3, name, -1, SQLITE_STATIC);
	return one_doc(st, q);
}

bool store_taken(struct store *st, const char *value, const char *owner)
{
	sqlite3_stmt *q = store_stmt(st, ST_UNIQ_GET);
	bool taken = false;

	sqlite3_bind_text(q, 1, value, -1, SQLITE_STATIC);
	if (sqlite3_step(q) == SQLITE_ROW)
		taken = !owner || strcmp((const char *)sqlite3_column_text(q, 0), owner) != 0;
	sqlite3_reset(q);
	return taken;
}

static bool has(const struct model_index *ix, const char *value)
{
	for (unsigned i = 0; ix && i < ix->n_unique; i++) {
		if (strcmp(ix->unique[i], value) == 0)
			return true;
	}
	return false;
}

/* Frees the values that only `old` has and takes those that only `now` has. Either may be NULL. */
static int move_unique(struct store *st, const char *owner, const struct model_index *old, const struct model_index *now)
{
	sqlite3_stmt *q;

	for (unsigned i = 0; now && i < now->n_unique; i++) {
		if (has(old, now->unique[i]))
			continue;
		if (store_taken(st, now->unique[i], NULL)) {
			snprintf(st->conflict, sizeof(st->conflict), "%s", now->unique[i]);
			return -EEXIST;
		}
	}
	for (unsigned i = 0; old && i < old->n_unique; i++) {
		if (has(now, old->unique[i]))
			continue;
		q = store_stmt(st, ST_UNIQ_DEL);
		sqlite3_bind_text(q, 1, old->unique[i], -1, SQLITE_STATIC);
		store_run(st, q);
		if (strncmp(old->unique[i], "addr:", 5) == 0) {
			q = store_stmt(st, ST_REST_SET);
			sqlite3_bind_text(q, 1, old->unique[i], -1, SQLITE_STATIC);
			sqlite3_bind_int64(q, 2, (int64_t)time(NULL) + REST_S);
			store_run(st, q);
		}
	}
	for (unsigned i = 0; now && i < now->n_unique; i++) {
		if (has(old, now->unique[i]))
			continue;
		q = store_stmt(st, ST_UNIQ_SET);
		sqlite3_bind_text(q, 1, now->unique[i], -1, SQLITE_STATIC);
		sqlite3_bind_text(q, 2, owner, -1, SQLITE_STATIC);
		store_run(st, q);
	}
	return st->failed ? -EIO : 0;
}

static int write_doc(struct store *st, enum stmt s, enum table t, const char *key, const struct model_index *ix, const json_t *doc, size_t *len)
{
	sqlite3_stmt *q = store_stmt(st, s);
	char *text = json_dumps(doc, JSON_COMPACT);

	if (!text)
		return store_io_error(st);
	*len = strlen(text);
	sqlite3_bind_int(q, 1, t);
	sqlite3_bind_text(q, 2, key, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 3, ix->account, -1, SQLITE_STATIC);
	if (ix->name)
		sqlite3_bind_text(q, 4, ix->name, -1, SQLITE_STATIC);
	if (ix->due)
		sqlite3_bind_int64(q, 5, ix->due);
	sqlite3_bind_text(q, 6, text, -1, free);
	return store_run(st, q);
}

static bool name_taken(struct store *st, enum table t, const struct model_index *ix, const struct model_index *old)
{
	json_t *other;

	if (!ix->name || (old && old->name && strcmp(ix->name, old->name) == 0))
		return false;
	other = store_find(st, t, ix->account, ix->name);
	json_decref(other);
	return other != NULL;
}

/* The document as it is stored: heap, NULL where there is none. */
static char *stored_text(struct store *st, enum table t, const char *key)
{
	sqlite3_stmt *q = store_stmt(st, ST_GET);
	char *text = NULL;

	sqlite3_bind_int(q, 1, t);
	sqlite3_bind_text(q, 2, key, -1, SQLITE_STATIC);
	if (q && sqlite3_step(q) == SQLITE_ROW)
		text = strdup((const char *)sqlite3_column_text(q, 0));
	sqlite3_reset(q);
	return text;
}

int store_replace(struct store *st, enum table t, const char *key, const json_t *before, json_t *doc)
{
	struct model_index old, now;
	char *text;
	size_t len = 0;
	int ret;

	if (before && json_equal(before, doc))
		return 0;
	model_index(t, doc, &now);
	if (before)
		model_index(t, before, &old);
	if (name_taken(st, t, &now, before ? &old : NULL)) {
		snprintf(st->conflict, sizeof(st->conflict), "name:%.100s", now.name);
		return -EEXIST;
	}
	ret = move_unique(st, key, before ? &old : NULL, &now);
	text = ret == 0 && before ? stored_text(st, t, key) : NULL;
	if (ret == 0)
		ret = write_doc(st, before ? ST_UPDATE : ST_INSERT, t, key, &now, doc, &len);
	if (ret == 0)
		return log_change(st, t, key, before, text, doc, len);
	free(text);
	return ret;
}

int store_put(struct store *st, enum table t, const char *key, json_t *doc)
{
	json_t *before = store_get(st, t, key);
	int ret = store_replace(st, t, key, before, doc);

	json_decref(before);
	return ret;
}

int store_del(struct store *st, enum table t, const char *key)
{
	json_t *before = store_get(st, t, key);
	struct model_index old;
	sqlite3_stmt *q;
	int ret;

	if (!before)
		return -ENOENT;
	model_index(t, before, &old);
	ret = move_unique(st, key, &old, NULL);
	q = store_stmt(st, ST_DELETE);
	sqlite3_bind_int(q, 1, t);
	sqlite3_bind_text(q, 2, key, -1, SQLITE_STATIC);
	if (ret == 0)
		ret = store_run(st, q);
	if (ret == 0 && (t == T_TUNNELS || t == T_CLIENTS))
		ret = store_secret_del(st, key);
	if (ret == 0)
		ret = store_log_change(st, t, key, before, NULL);
	json_decref(before);
	return ret;
}

int store_each(struct store *st, enum table t, const char *account, store_fn *fn, void *arg)
{
	sqlite3_stmt *q = store_stmt(st, account ? ST_EACH : ST_EACH_ALL);
	int ret = 0, rc;

	sqlite3_bind_int(q, 1, t);
	if (account)
		sqlite3_bind_text(q, 2, account, -1, SQLITE_TRANSIENT);
	while (ret == 0 && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		json_t *doc = json_loadb((const char *)sqlite3_column_text(q, 0), (size_t)sqlite3_column_bytes(q, 0), 0, NULL);

		ret = doc ? fn(doc, arg) : store_io_error(st);
		json_decref(doc);
	}
	if (ret == 0 && rc != SQLITE_DONE)
		ret = store_io_error(st);
	sqlite3_reset(q);
	return ret;
}

static int64_t one_int(sqlite3_stmt *q)
{
	int64_t v = q && sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;

	sqlite3_reset(q);
	return v;
}

uint64_t store_count(struct store *st, enum table t, const char *account)
{
	sqlite3_stmt *q = store_stmt(st, account ? ST_COUNT_ACCOUNT : ST_COUNT_TABLE);

	if (t == T_ROUTES)
		return st->routes;
	sqlite3_bind_int(q, 1, t);
	if (account)
		sqlite3_bind_text(q, 2, account, -1, SQLITE_STATIC);
	return (uint64_t)one_int(q);
}

int64_t store_num(struct store *st, enum table t, const char *key)
{
	sqlite3_stmt *q = store_stmt(st, ST_NUM);

	sqlite3_bind_int(q, 1, t);
	sqlite3_bind_text(q, 2, key, -1, SQLITE_STATIC);
	return one_int(q);
}

bool store_rests(struct store *st, const char *value, int64_t now)
{
	sqlite3_stmt *q = store_stmt(st, ST_REST_GET);

	sqlite3_bind_text(q, 1, value, -1, SQLITE_STATIC);
	return one_int(q) > now;
}

int store_secret_set(struct store *st, const char *owner, int slot, const void *value, size_t len, int64_t until)
{
	sqlite3_stmt *q = store_stmt(st, ST_SECRET_SET);

	sqlite3_bind_text(q, 1, owner, -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 2, slot);
	sqlite3_bind_blob(q, 3, value, (int)len, SQLITE_STATIC);
	sqlite3_bind_int64(q, 4, until);
	return store_run(st, q);
}

int store_secret_get(struct store *st, const char *owner, int slot, void *value, size_t *len, int64_t now)
{
	sqlite3_stmt *q = store_stmt(st, ST_SECRET_GET);
	int ret = -ENOENT;

	sqlite3_bind_text(q, 1, owner, -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 2, slot);
	if (sqlite3_step(q) == SQLITE_ROW) {
		size_t n = (size_t)sqlite3_column_bytes(q, 0);
		int64_t until = sqlite3_column_int64(q, 1);

		if (n <= *len && (until == 0 || until > now)) {
			memcpy(value, sqlite3_column_blob(q, 0), n);
			*len = n;
			ret = 0;
		}
	}
	sqlite3_reset(q);
	return ret;
}

int store_secret_del(struct store *st, const char *owner)
{
	sqlite3_stmt *q = store_stmt(st, ST_SECRET_DEL);

	sqlite3_bind_text(q, 1, owner, -1, SQLITE_STATIC);
	return store_run(st, q);
}

bool store_meta_get(struct store *st, const char *key, char *out, size_t out_len)
{
	sqlite3_stmt *q = store_stmt(st, ST_META_GET);
	bool found;

	sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
	found = q && sqlite3_step(q) == SQLITE_ROW;
	if (found)
		snprintf(out, out_len, "%s", (const char *)sqlite3_column_text(q, 0));
	sqlite3_reset(q);
	return found;
}

int store_meta_set(struct store *st, const char *key, const char *value)
{
	sqlite3_stmt *q = store_stmt(st, ST_META_SET);

	sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 2, value, -1, SQLITE_STATIC);
	return store_run(st, q);
}

size_t store_due(struct store *st, int64_t now, struct store_due *out, size_t max)
{
	sqlite3_stmt *q = store_stmt(st, ST_DUE);
	size_t n = 0;

	sqlite3_bind_int64(q, 1, now);
	sqlite3_bind_int64(q, 2, (int64_t)max);
	while (n < max && sqlite3_step(q) == SQLITE_ROW) {
		out[n].table = (enum table)sqlite3_column_int(q, 0);
		snprintf(out[n++].key, KEY_MAX, "%s", (const char *)sqlite3_column_text(q, 1));
	}
	sqlite3_reset(q);
	return n;
}

void store_purge(struct store *st, int64_t now)
{
	static const enum stmt which[] = {ST_REST_PURGE, ST_SECRET_PURGE};
	struct store_author nobody = {.silent = true};
	uint64_t rev;

	if (store_begin(st) < 0)
		return;
	for (int i = 0; i < 2; i++) {
		sqlite3_stmt *q = store_stmt(st, which[i]);

		sqlite3_bind_int64(q, 1, now);
		store_run(st, q);
	}
	store_commit(st, &nobody, &rev);
}
