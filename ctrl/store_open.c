// SPDX-License-Identifier: BSD-3-Clause
// Opening and migrating the store's file.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "ctrl/defaults.h"
#include "ctrl/model.h"
#include "ctrl/store.h"
#include "ctrl/store_schema.h"
#include "lib/log.h"

static int fail(struct store *st, char *err, size_t err_len, const char *what)
{
	snprintf(err, err_len, "%s: %s: %s", st->path, what, st->db ? sqlite3_errmsg(st->db) : strerror(errno));
	return -EIO;
}

static int exec(struct store *st, const char *sql, char *err, size_t err_len)
{
	return sqlite3_exec(st->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(st, err, err_len, "cannot be used");
}

static int one_number(struct store *st, const char *sql)
{
	sqlite3_stmt *q = NULL;
	int v = -1;

	if (sqlite3_prepare_v2(st->db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
		v = sqlite3_column_int(q, 0);
	sqlite3_finalize(q);
	return v;
}

static int migrate(struct store *st, char *err, size_t err_len)
{
	int version = one_number(st, "PRAGMA user_version");
	char sql[64];

	if (version < 0)
		return fail(st, err, err_len, "cannot be read");
	if (version > STORE_SCHEMA_VERSION) {
		snprintf(err, err_len, "%s: made by a newer sluice-ctrl (schema %d, this one knows %d)", st->path, version,
			 STORE_SCHEMA_VERSION);
		return -EIO;
	}
	for (; version < STORE_SCHEMA_VERSION; version++) {
		snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version + 1);
		if (exec(st, "BEGIN IMMEDIATE", err, err_len) < 0 || exec(st, store_migrations[version], err, err_len) < 0 ||
		    exec(st, sql, err, err_len) < 0 || exec(st, "COMMIT", err, err_len) < 0)
			return -EIO;
	}
	return 0;
}

static uint64_t meta_number(struct store *st, const char *key)
{
	char text[32];

	return store_meta_get(st, key, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}

static uint64_t count(struct store *st, enum stmt s)
{
	sqlite3_stmt *q = store_stmt(st, s);
	uint64_t n = q && sqlite3_step(q) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(q, 0) : 0;

	sqlite3_reset(q);
	return n;
}

/* A new file gets its epoch and what every operator starts with, in one transaction. */
static int first_start(struct store *st)
{
	struct store_author self = {.method = "first start"};
	uint64_t rev;
	int ret = store_begin(st);

	if (ret < 0)
		return ret;
	uuid_new(st->epoch);
	store_meta_set(st, "epoch", st->epoch);
	ret = defaults_create(st);
	if (ret < 0) {
		store_rollback(st);
		return ret;
	}
	return store_commit(st, &self, &rev);
}

static int load(struct store *st, char *err, size_t err_len)
{
	if (!store_meta_get(st, "epoch", st->epoch, sizeof(st->epoch)) && first_start(st) < 0) {
		snprintf(err, err_len, "%s: %s", st->path, st->error);
		return -EIO;
	}
	st->revision = meta_number(st, "revision");
	st->oldest_delta = meta_number(st, "oldest_delta");
	st->routes = count(st, ST_ROUTE_COUNT);
	st->changes = count(st, ST_CHANGE_COUNT);
	if (!st->failed)
		return 0;
	snprintf(err, err_len, "%s: %s", st->path, st->error);
	return -EIO;
}

static int open_file(struct store *st, char *err, size_t err_len)
{
	int fd = open(st->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat s;

	if (fd < 0)
		return fail(st, err, err_len, "cannot be opened");
	if (fstat(fd, &s) == 0 && (s.st_mode & 077) != 0 && fchmod(fd, 0600) < 0)
		log_warn("%s: mode is %o and cannot be made 600: %s", st->path, s.st_mode & 0777u, strerror(errno));
	close(fd);
	if (sqlite3_open_v2(st->path, &st->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return fail(st, err, err_len, "cannot be opened");
	sqlite3_busy_timeout(st->db, 2000);
	/* Exclusive in spirit: a second daemon on one file is stopped by its socket. The readers of the sync share it. */
	return exec(st,
		    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cache_size = -65536;"
		    "PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;"
		    "PRAGMA trusted_schema = OFF;",
		    err, err_len);
}

struct store *store_open(const char *path, char *err, size_t err_len)
{
	struct store *st = calloc(1, sizeof(*st));
	mode_t old;
	int ret;

	if (!st || !(st->path = strdup(path))) {
		snprintf(err, err_len, "%s: out of memory", path);
		free(st);
		return NULL;
	}
	old = umask(077);
	ret = open_file(st, err, err_len);
	if (ret == 0)
		ret = migrate(st, err, err_len);
	if (ret == 0)
		ret = load(st, err, err_len);
	umask(old);
	if (ret < 0) {
		store_close(st);
		return NULL;
	}
	return st;
}

void store_close(struct store *st)
{
	if (!st)
		return;
	if (st->db)
		store_rollback(st);
	for (int i = 0; i < ST_N; i++)
		sqlite3_finalize(st->stmts[i]);
	sqlite3_close(st->db);
	json_decref(st->tx_audit);
	free(st->path);
	free(st);
}
