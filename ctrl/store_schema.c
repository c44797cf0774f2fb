// SPDX-License-Identifier: BSD-3-Clause
// Migrations of the store's file, and its statements. A migration is never edited after a release: add another.
#include "ctrl/store_schema.h"

const char *const store_migrations[STORE_SCHEMA_VERSION] = {
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE obj(n INTEGER PRIMARY KEY AUTOINCREMENT, tbl INTEGER NOT NULL, key TEXT NOT NULL, account TEXT NOT NULL,"
	" name TEXT, due INTEGER, doc TEXT NOT NULL);"
	"CREATE UNIQUE INDEX obj_key ON obj(tbl, key);"
	"CREATE INDEX obj_account ON obj(tbl, account);"
	"CREATE UNIQUE INDEX obj_name ON obj(tbl, account, name) WHERE name IS NOT NULL;"
	"CREATE INDEX obj_due ON obj(due) WHERE due IS NOT NULL;"
	"CREATE TABLE route(vnet INTEGER NOT NULL, net BLOB NOT NULL, tunnel INTEGER NOT NULL, id BLOB NOT NULL,"
	" created INTEGER NOT NULL, comment TEXT NOT NULL, PRIMARY KEY(vnet, net)) WITHOUT ROWID;"
	"CREATE INDEX route_tunnel ON route(tunnel);"
	"CREATE TABLE uniq(value TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE rest(value TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE secret(owner TEXT NOT NULL, slot INTEGER NOT NULL, value BLOB NOT NULL, until INTEGER NOT NULL,"
	" PRIMARY KEY(owner, slot)) WITHOUT ROWID;"
	"CREATE TABLE revision(rev INTEGER PRIMARY KEY, at INTEGER NOT NULL, uid INTEGER, gid INTEGER, pid INTEGER, comm TEXT,"
	" method TEXT NOT NULL, changed INTEGER NOT NULL, changes TEXT NOT NULL);"
	"CREATE TABLE change(tbl INTEGER NOT NULL, rev INTEGER NOT NULL, seq INTEGER NOT NULL, key TEXT NOT NULL, before TEXT,"
	" PRIMARY KEY(tbl, rev, seq)) WITHOUT ROWID;",
	"CREATE TABLE audit(n INTEGER PRIMARY KEY AUTOINCREMENT, rev INTEGER NOT NULL, at INTEGER NOT NULL, uid INTEGER, gid INTEGER,"
	" pid INTEGER, comm TEXT, method TEXT NOT NULL, params TEXT NOT NULL);",
};

#define ROUTE_COLUMNS                                                                                                     \
	"SELECT r.vnet, r.net, r.tunnel, r.id, r.created, r.comment, v.key, t.key, v.account FROM route r"                 \
	" JOIN obj v ON v.n = r.vnet JOIN obj t ON t.n = r.tunnel "

const char *const store_sql[ST_N] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_META_GET] = "SELECT value FROM meta WHERE key = ?1",
	[ST_META_SET] = "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)",
	[ST_GET] = "SELECT doc FROM obj WHERE tbl = ?1 AND key = ?2",
	[ST_FIND] = "SELECT doc FROM obj WHERE tbl = ?1 AND account = ?2 AND name = ?3",
	[ST_INSERT] = "INSERT INTO obj(tbl, key, account, name, due, doc) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	[ST_UPDATE] = "UPDATE obj SET account = ?3, name = ?4, due = ?5, doc = ?6 WHERE tbl = ?1 AND key = ?2",
	[ST_DELETE] = "DELETE FROM obj WHERE tbl = ?1 AND key = ?2",
	[ST_EACH] = "SELECT doc FROM obj WHERE tbl = ?1 AND account = ?2 ORDER BY n",
	[ST_EACH_ALL] = "SELECT doc FROM obj WHERE tbl = ?1 ORDER BY n",
	[ST_COUNT_ACCOUNT] = "SELECT count(*) FROM obj WHERE tbl = ?1 AND account = ?2",
	[ST_COUNT_TABLE] = "SELECT count(*) FROM obj WHERE tbl = ?1",
	[ST_NUM] = "SELECT n FROM obj WHERE tbl = ?1 AND key = ?2",
	[ST_DUE] = "SELECT tbl, key FROM obj WHERE due <= ?1 ORDER BY due LIMIT ?2",
	[ST_UNIQ_GET] = "SELECT owner FROM uniq WHERE value = ?1",
	[ST_UNIQ_SET] = "INSERT INTO uniq(value, owner) VALUES(?1, ?2)",
	[ST_UNIQ_DEL] = "DELETE FROM uniq WHERE value = ?1",
	[ST_REST_GET] = "SELECT until FROM rest WHERE value = ?1",
	[ST_REST_SET] = "INSERT OR REPLACE INTO rest(value, until) VALUES(?1, ?2)",
	[ST_REST_PURGE] = "DELETE FROM rest WHERE until <= ?1",
	[ST_SECRET_GET] = "SELECT value, until FROM secret WHERE owner = ?1 AND slot = ?2",
	[ST_SECRET_SET] = "INSERT OR REPLACE INTO secret(owner, slot, value, until) VALUES(?1, ?2, ?3, ?4)",
	[ST_SECRET_DEL] = "DELETE FROM secret WHERE owner = ?1",
	[ST_SECRET_PURGE] = "DELETE FROM secret WHERE until > 0 AND until <= ?1",
	[ST_CHANGE] = "INSERT INTO change(tbl, rev, seq, key, before) VALUES(?1, ?2, ?3, ?4, ?5)",
	[ST_REVISION] = "INSERT INTO revision(rev, at, uid, gid, pid, comm, method, changed, changes)"
			" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[ST_HISTORY] = "SELECT rev, at, uid, gid, pid, comm, method, changed, changes, rev AS place, 0 AS n FROM revision UNION ALL"
		       " SELECT NULL, at, uid, gid, pid, comm, method, 0, params, rev, n FROM audit"
		       " ORDER BY place DESC, n DESC LIMIT ?1",
	[ST_AUDIT] = "INSERT INTO audit(rev, at, uid, gid, pid, comm, method, params) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[ST_TRIM_AUDIT] = "DELETE FROM audit WHERE n <= (SELECT max(n) FROM audit) - ?1",
	[ST_CHANGED_KEYS] = "SELECT key, before FROM change WHERE tbl = ?1 AND rev > ?2 ORDER BY rev, seq",
	[ST_CHANGE_COUNT] = "SELECT count(*) FROM change",
	[ST_TRIM_CHANGE] = "DELETE FROM change WHERE tbl = ?1 AND rev <= ?2",
	[ST_TRIM_REVISION] = "DELETE FROM revision WHERE rev <= ?1",
	[ST_OLDEST] = "SELECT min(rev) FROM change WHERE tbl = ?1",
	[ST_ROUTE_GET] = ROUTE_COLUMNS "WHERE r.vnet = ?1 AND r.net = ?2",
	[ST_ROUTE_SET] = "INSERT OR REPLACE INTO route(vnet, net, tunnel, id, created, comment) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	[ST_ROUTE_DEL] = "DELETE FROM route WHERE vnet = ?1 AND net = ?2",
	[ST_ROUTE_COUNT] = "SELECT count(*) FROM route",
	[ST_ROUTE_EACH_VNET] = ROUTE_COLUMNS "WHERE r.vnet = ?1 ORDER BY r.net",
	[ST_ROUTE_EACH_TUNNEL] = ROUTE_COLUMNS "WHERE r.tunnel = ?1 ORDER BY r.vnet, r.net",
	[ST_ROUTE_OF_TUNNEL] = "SELECT 1 FROM route WHERE tunnel = ?1 LIMIT 1",
	[ST_ROUTE_IN_VNET] = "SELECT 1 FROM route WHERE vnet = ?1 LIMIT 1",
};
