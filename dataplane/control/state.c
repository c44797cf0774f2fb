// SPDX-License-Identifier: BSD-3-Clause
// The last tables in a file.
#include "dataplane/control/state.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <sodium.h>

#include "lib/log.h"

#define SETTLE_MS   1000 /* changes that come close together are written once */
#define PERIOD_MS   5000 /* at most one write in this time */
#define PIECE_LINES 200  /* of apply_write in one call */
#define FORMAT      1
#define PATH_LEN    320

/* fsync may take long, so a thread of its own does it, then renames. */
struct closing {
	pthread_t thread;
	bool running;
	int fd;
	char tmp[PATH_LEN], path[PATH_LEN];
	_Atomic int result; /* 1: at work, 0: done, else errno */
};

struct state {
	struct apply *apply;
	char path[PATH_LEN], tmp[PATH_LEN], edge_id[64], epoch[64];
	uint64_t revision, seen_version, saved_version, due_ms, written_ms;
	bool dirty, due;
	FILE *out; /* a write under way */
	struct apply_cursor cursor;
	struct closing closing;
};

struct state *state_create(const char *dir, const char *edge_id, struct apply *apply, char *err, size_t err_len)
{
	struct state *s = calloc(1, sizeof(*s));
	struct stat st;

	if (!s) {
		snprintf(err, err_len, "out of memory");
		return NULL;
	}
	if ((mkdir(dir, 0700) && errno != EEXIST) || stat(dir, &st) || access(dir, W_OK)) {
		snprintf(err, err_len, "state-dir %s: %s", dir, strerror(errno));
		free(s);
		return NULL;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(err, err_len, "state-dir %s: not a directory", dir);
		free(s);
		return NULL;
	}
	s->apply = apply;
	snprintf(s->path, sizeof(s->path), "%s/tables.jsonl", dir);
	snprintf(s->tmp, sizeof(s->tmp), "%s/tables.jsonl.new", dir);
	snprintf(s->edge_id, sizeof(s->edge_id), "%s", edge_id);
	return s;
}

/* ---- loading ---- */

/* {"table": "routes", "vnet_id", "tunnel_id", "networks"} back into rows. */
static json_t *route_rows(const json_t *line)
{
	const char *vnet = json_string_value(json_object_get(line, "vnet_id"));
	const json_t *networks = json_object_get(line, "networks"), *v;
	json_t *rows = json_array();
	char key[400];
	size_t i;

	json_array_foreach (networks, i, v) {
		snprintf(key, sizeof(key), "%.64s/%.64s", vnet ? vnet : "",
			 json_string_value(v) ? json_string_value(v) : "");
		json_array_append_new(rows, json_pack("{s:s,s:O}", "key", key, "tunnel_id",
						      json_object_get(line, "tunnel_id")));
	}
	return rows;
}

static bool load_line(struct state *s, const json_t *line)
{
	const char *table = json_string_value(json_object_get(line, "table"));
	json_t *rows;

	if (!table)
		return false;
	rows = strcmp(table, "routes") ? json_incref(json_object_get(line, "put")) : route_rows(line);
	apply_rows(s->apply, table, rows, NULL);
	json_decref(rows);
	return true;
}

/* The first line: of this format and this edge. */
static bool load_head(struct state *s, const json_t *line, uint64_t *revision)
{
	const char *edge = json_string_value(json_object_get(line, "edge_id"));

	if (json_integer_value(json_object_get(line, "format")) != FORMAT || !edge || strcmp(edge, s->edge_id) != 0)
		return false;
	*revision = (uint64_t)json_integer_value(json_object_get(line, "revision"));
	return true;
}

/* The file's lines; *whole: the end line was there and counts right. */
static const char *load_lines(struct state *s, FILE *f, int64_t now_s, uint64_t *revision)
{
	char *text = NULL;
	size_t cap = 0;
	uint64_t n = 0;
	const char *fault = "it is cut short";
	ssize_t len;

	while ((len = getline(&text, &cap, f)) > 0) {
		json_t *line = json_loadb(text, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
		bool ok = json_is_object(line), end = ok && json_is_true(json_object_get(line, "end"));

		sodium_memzero(text, (size_t)len);
		if (n == 0 && ok) {
			ok = load_head(s, line, revision);
			if (ok)
				apply_begin(s->apply, *revision, true, now_s);
		} else if (ok && !end) {
			ok = load_line(s, line);
		}
		if (end && (uint64_t)json_integer_value(json_object_get(line, "lines")) == n)
			fault = NULL;
		json_decref(line);
		if (!ok || end) {
			fault = !ok ? (n ? "a line cannot be read" : "not of this edge or version") : fault;
			break;
		}
		n++;
	}
	free(text);
	return fault;
}

int state_load(struct state *s, int64_t now_s, uint64_t *revision, char *err, size_t err_len)
{
	FILE *f = fopen(s->path, "re");
	const char *fault;

	if (!f)
		return 0;
	fault = load_lines(s, f, now_s, revision);
	fclose(f);
	if (fault) {
		snprintf(err, err_len, "%s: %s", s->path, fault);
		return -EINVAL;
	}
	apply_end(s->apply);
	while (!apply_step(s->apply))
		;
	s->revision = *revision;
	s->saved_version = s->seen_version = apply_version(s->apply);
	return 1;
}

/* ---- writing ---- */

void state_changed(struct state *s, uint64_t revision, const char *epoch)
{
	s->revision = revision;
	snprintf(s->epoch, sizeof(s->epoch), "%s", epoch ? epoch : "");
	s->dirty = apply_version(s->apply) != s->saved_version;
}

static void *close_file(void *arg)
{
	struct closing *c = arg;
	int result = 0;

	if (fsync(c->fd))
		result = errno;
	close(c->fd);
	if (!result && rename(c->tmp, c->path))
		result = errno;
	atomic_store(&c->result, result);
	return NULL;
}

static void begin(struct state *s)
{
	int fd;

	unlink(s->tmp);
	fd = open(s->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	s->out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!s->out) {
		log_rated(LOG_LEVEL_WARN, "%s: cannot be written: %s", s->tmp, strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	memset(&s->cursor, 0, sizeof(s->cursor));
	s->saved_version = apply_version(s->apply);
	s->dirty = false;
	fprintf(s->out, "{\"format\":%d,\"edge_id\":\"%s\",\"epoch\":\"%s\",\"revision\":%llu}\n", FORMAT, s->edge_id,
		s->epoch, (unsigned long long)s->revision);
}

static void give_up(struct state *s, int error)
{
	log_rated(LOG_LEVEL_WARN, "%s: cannot be written: %s", s->tmp, strerror(error));
	fclose(s->out);
	s->out = NULL;
	unlink(s->tmp);
	s->dirty = true;
}

/* The whole file is written; hands it to the thread that makes it last. */
static void finish(struct state *s)
{
	struct closing *c = &s->closing;

	fprintf(s->out, "{\"end\":true,\"lines\":%llu}\n", (unsigned long long)s->cursor.lines + 1);
	c->fd = fflush(s->out) || ferror(s->out) ? -1 : dup(fileno(s->out));
	if (c->fd < 0) {
		give_up(s, errno);
		return;
	}
	fclose(s->out);
	s->out = NULL;
	memcpy(c->tmp, s->tmp, sizeof(c->tmp));
	memcpy(c->path, s->path, sizeof(c->path));
	atomic_store(&c->result, 1);
	c->running = !pthread_create(&c->thread, NULL, close_file, c);
	if (!c->running)
		close_file(c);
}

/* True when no earlier write is being closed. */
static bool reap(struct state *s, bool wait)
{
	struct closing *c = &s->closing;
	int result;

	if (c->running && !wait && atomic_load(&c->result) == 1)
		return false;
	if (c->running)
		pthread_join(c->thread, NULL);
	c->running = false;
	result = atomic_exchange(&c->result, 0);
	if (result > 0) {
		log_rated(LOG_LEVEL_WARN, "%s: cannot be written: %s", s->path, strerror(result));
		s->dirty = true;
	}
	return true;
}

/* A piece of the write; true when it is over. */
static bool piece(struct state *s)
{
	for (unsigned i = 0; i < PIECE_LINES; i++) {
		if (!apply_write(s->apply, &s->cursor, s->out)) {
			finish(s);
			return true;
		}
	}
	return false;
}

int state_turn(struct state *s, uint64_t now_ms)
{
	if (s->out)
		return piece(s) ? -1 : 0;
	if (!reap(s, false))
		return 20;
	if (!s->dirty) {
		s->due = false;
		return -1;
	}
	if (!s->due) {
		s->due = true;
		s->due_ms = now_ms + SETTLE_MS;
		if (s->due_ms < s->written_ms + PERIOD_MS)
			s->due_ms = s->written_ms + PERIOD_MS;
	}
	if (now_ms < s->due_ms)
		return (int)(s->due_ms - now_ms);
	if (!apply_idle(s->apply))
		return 50;
	s->due = false;
	s->written_ms = now_ms;
	begin(s);
	return s->out ? 0 : -1;
}

bool state_writing(const struct state *s)
{
	return s->out != NULL;
}

void state_flush(struct state *s)
{
	reap(s, true);
	if (s->dirty && !s->out && apply_idle(s->apply))
		begin(s);
	while (s->out)
		piece(s);
	reap(s, true);
}

void state_free(struct state *s)
{
	if (!s)
		return;
	if (s->out)
		give_up(s, ECANCELED);
	reap(s, true);
	free(s);
}
