// SPDX-License-Identifier: BSD-3-Clause
// Edges: subscription, sending rounds, what they applied and report.
#include "ctrl/sync.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/model.h"
#include "ctrl/runtime.h"
#include "lib/ip.h"
#include "lib/log.h"

static int send_mark(struct edge *e, const char *method, bool snapshot)
{
	json_t *p = json_pack("{s:I}", "revision", (json_int_t)e->sent);
	int ret;

	if (p && strcmp(method, "sync.begin") == 0)
		json_object_set_new(p, "snapshot", json_boolean(snapshot));
	ret = p ? ipc_conn_notify(e->conn, method, p) : -ENOMEM;
	json_decref(p);
	return ret;
}

/* Begins a round where there is something to send: 1, 0 nothing, or negative. */
static int begin_round(struct edge *e)
{
	bool snapshot = e->snapshot;
	uint64_t rev;
	int ret;

	if (!e->first && !e->snapshot && e->sent == e->ctrl->st->revision)
		return 0;
	ret = sync_reader_begin(e->reader, e->sent, &snapshot, &rev);
	if (ret < 0)
		return ret;
	e->sent = rev;
	e->first = e->snapshot = false;
	ret = send_mark(e, "sync.begin", snapshot);
	return ret < 0 ? ret : 1;
}

/* Sends as much as the connection takes; goes on when it has drained. */
static void pump(struct edge *e)
{
	int ret = 1;

	while (ret > 0 && !ipc_conn_full(e->conn)) {
		char *line;
		size_t len;

		if (!sync_reader_busy(e->reader)) {
			ret = begin_round(e);
			continue;
		}
		ret = sync_reader_next(e->reader, &line, &len);
		if (ret > 0) {
			if (ipc_conn_send_line(e->conn, line, len) < 0)
				ret = -ENOMEM;
		} else if (ret == 0) {
			ret = send_mark(e, "sync.end", false) < 0 ? -ENOMEM : 1;
		}
	}
	if (ret < 0) {
		log_error("edge %s: sync failed (%s), connection closed", e->edge_id, strerror(-ret));
		ipc_conn_close(e->conn);
	}
}

void sync_kick(struct ctrl *c)
{
	for (struct edge *e = c->edges; e; e = e->next) {
		if (!sync_reader_busy(e->reader))
			pump(e);
	}
}

void sync_on_drained(struct ipc_conn *conn, void *user)
{
	struct edge *e = ipc_conn_data(conn);

	(void)user;
	if (e)
		pump(e);
}

static void edge_free(struct edge *e)
{
	for (struct edge **pp = &e->ctrl->edges; *pp; pp = &(*pp)->next) {
		if (*pp == e) {
			*pp = e->next;
			break;
		}
	}
	if (e->conn)
		ipc_conn_set_data(e->conn, NULL);
	sync_reader_close(e->reader);
	json_decref(e->doc);
	json_decref(e->reports);
	json_decref(e->errors);
	json_decref(e->warnings);
	free(e);
}

void sync_on_close(struct ipc_conn *conn, void *user)
{
	struct edge *e = ipc_conn_data(conn);
	struct ctrl *c = user;

	if (!e)
		return;
	log_info("edge %s: disconnected", e->edge_id);
	edge_free(e);
	wait_check(c);
}

void sync_end(struct ctrl *c)
{
	while (c->edges)
		edge_free(c->edges);
}

static bool check_texts(const json_t *list, size_t max, bool keys)
{
	const json_t *v;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > max)
		return false;
	json_array_foreach(list, i, v) {
		const char *s = json_string_value(v);
		struct ip_endpoint ep;
		uint8_t raw[32];

		if (!s || (keys ? !key_parse(s, raw) : !ip_endpoint_parse(s, &ep)))
			return false;
	}
	return true;
}

static bool plain_id(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < 64 && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

/* NULL, or what is wrong with the params. */
static const char *subscribe_fault(const json_t *p)
{
	const json_t *workers = json_object_get(p, "workers"), *revision = json_object_get(p, "revision");

	if (!plain_id(doc_str(p, "edge_id")))
		return "edge_id: must be 1 to 63 letters, digits, '-', '_' or '.'";
	if (!plain_id(doc_str(p, "instance")))
		return "instance: must be a UUID";
	if (!json_is_integer(workers) || json_integer_value(workers) < 1 || json_integer_value(workers) > 1024)
		return "workers: must be 1 to 1024";
	if (!json_is_integer(revision) || json_integer_value(revision) < 0)
		return "revision: must be a whole number";
	if (!check_texts(json_object_get(p, "public_keys"), 2, true) || json_array_size(json_object_get(p, "public_keys")) == 0)
		return "public_keys: must be one or two keys in base64";
	if (!check_texts(json_object_get(p, "endpoints"), 16, false))
		return "endpoints: must be at most 16 of address:port";
	return NULL;
}

/* The edge's key must not be a client's or connector's. */
static bool key_clash(struct ctrl *c, const json_t *params)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(params, "public_keys"), i, v) {
		char value[KEY_MAX];

		unique_key(json_string_value(v), value);
		if (store_taken(c->st, value, NULL))
			return true;
	}
	return false;
}

static struct edge *edge_new(struct ctrl *c, struct ipc_conn *conn, const json_t *p, char *err, size_t err_len)
{
	struct edge *e = calloc(1, sizeof(*e));

	if (!e || !(e->reader = sync_reader_open(c->st->path, err, err_len))) {
		free(e);
		return NULL;
	}
	e->ctrl = c;
	e->conn = conn;
	snprintf(e->edge_id, sizeof(e->edge_id), "%s", doc_str(p, "edge_id"));
	snprintf(e->instance, sizeof(e->instance), "%s", doc_str(p, "instance"));
	e->doc = json_pack("{s:s, s:O, s:O, s:O, s:s}", "edge_id", e->edge_id, "workers", json_object_get(p, "workers"), "public_keys",
			   json_object_get(p, "public_keys"), "endpoints", json_object_get(p, "endpoints"), "version", doc_str(p, "version"));
	e->reports = json_object();
	e->errors = json_array();
	e->warnings = json_array();
	e->first = true;
	return e;
}

/* A second subscription with the same edge id replaces the first. */
static void replace(struct ctrl *c, const struct edge *e)
{
	for (struct edge *o = c->edges, *next; o; o = next) {
		next = o->next;
		if (o == e || strcmp(o->edge_id, e->edge_id) != 0)
			continue;
		log_info("edge %s: replaced by a new connection", o->edge_id);
		if (o->conn != e->conn)
			ipc_conn_close(o->conn);
		edge_free(o);
	}
}

void sync_on_subscribe(struct ipc_call *call, json_t *params, void *user)
{
	struct ctrl *c = user;
	const char *fault = subscribe_fault(params);
	uint64_t revision = (uint64_t)doc_int(params, "revision");
	struct ipc_conn *conn = ipc_call_conn(call);
	char err[256] = "out of memory";
	struct edge *e;
	json_t *result;

	if (fault || key_clash(c, params)) {
		ipc_reply_fail(call, IPC_E_INVALID, NULL, "sync.subscribe: %s", fault ? fault : "public_keys: a key is in use");
		return;
	}
	e = edge_new(c, conn, params, err, sizeof(err));
	if (!e) {
		ipc_reply_fail(call, IPC_E_INTERNAL, NULL, "sync.subscribe: %s", err);
		return;
	}
	replace(c, e);
	e->snapshot = strcmp(doc_str(params, "epoch"), c->st->epoch) != 0 || revision == 0 || revision < c->st->oldest_delta ||
		      revision > c->st->revision;
	e->sent = e->snapshot ? 0 : revision;
	e->next = c->edges;
	c->edges = e;
	ipc_conn_set_data(conn, e);
	runtime_edge_put(c->rt, e->doc);
	log_info("edge %s: connected, %s from revision %llu to %llu", e->edge_id, e->snapshot ? "snapshot" : "delta",
		 (unsigned long long)e->sent, (unsigned long long)c->st->revision);
	result = json_pack("{s:s, s:I, s:s, s:o}", "epoch", c->st->epoch, "revision", (json_int_t)c->st->revision, "mode",
			   e->snapshot ? "snapshot" : "delta", "runtime", runtime_for_edge(c->rt, e->edge_id));
	ipc_reply(call, result);
	json_decref(result);
	pump(e);
}

/* The edge behind a notification; NULL where it is not (or no more) the one that speaks for its id. */
static struct edge *edge_of(struct ipc_call *call, const json_t *params)
{
	struct ipc_conn *conn = ipc_call_conn(call);
	struct edge *e = conn ? ipc_conn_data(conn) : NULL;

	return e && strcmp(e->edge_id, doc_str(params, "edge_id")) == 0 && strcmp(e->instance, doc_str(params, "instance")) == 0 ? e : NULL;
}

static void done(struct ipc_call *call)
{
	json_t *empty = json_object();

	ipc_reply(call, empty);
	json_decref(empty);
}

/* The array at key, empty where there is none, in place of the last one. */
static void take_list(json_t **list, json_t *params, const char *key)
{
	json_t *v = json_object_get(params, key);

	json_decref(*list);
	*list = json_is_array(v) ? json_incref(v) : json_array();
}

void sync_on_applied(struct ipc_call *call, json_t *params, void *user)
{
	struct edge *e = edge_of(call, params);
	uint64_t rev = (uint64_t)doc_int(params, "revision");
	const json_t *err;
	size_t i;

	if (e && rev <= e->sent && rev >= e->applied) {
		e->applied = rev;
		take_list(&e->errors, params, "errors");
		take_list(&e->warnings, params, "warnings");
		json_array_foreach(e->errors, i, err)
			log_rated(LOG_LEVEL_WARN, "edge %s: revision %llu: %s %s: %s", e->edge_id, (unsigned long long)rev, doc_str(err, "table"),
				  doc_str(err, "key"), doc_str(err, "message"));
		wait_check(user);
	}
	done(call);
}

void sync_on_audit(struct ipc_call *call, json_t *params, void *user)
{
	struct edge *e = edge_of(call, params);
	const json_t *what = json_object_get(params, "params");
	const char *method = doc_str(params, "method"), *comm = doc_str(params, "comm");
	struct ctrl *c = user;

	if (e && json_is_object(what) && *method && strlen(method) < 64 && strlen(comm) < 64 &&
	    store_audit(c->st, doc_int(params, "at") * 1000, doc_int(params, "uid"), doc_int(params, "gid"), doc_int(params, "pid"), comm,
			method, what) < 0)
		log_error("edge %s: the audit row of %s is lost: the store cannot be written", e->edge_id, method);
	done(call);
}

void sync_on_report(struct ipc_call *call, json_t *params, void *user)
{
	struct edge *e = edge_of(call, params);
	struct ctrl *c = user;
	json_t *r;
	size_t i;

	if (e) {
		runtime_report(c->rt, e->edge_id, params);
		json_array_foreach(json_object_get(params, "connectors"), i, r) {
			c->tunnels_moved = true;
			if (json_object_size(e->reports) < 100000)
				json_object_set(e->reports, doc_str(r, "connector_id"), r);
		}
	}
	done(call);
}

json_t *sync_connected_edges(struct ctrl *c)
{
	json_t *out = json_array();

	for (struct edge *e = c->edges; e; e = e->next) {
		json_t *doc = json_copy(e->doc);

		json_object_del(doc, "version");
		json_array_insert_new(out, 0, doc);
	}
	return out;
}

const json_t *sync_connector_report(struct ctrl *c, const char *connector_id)
{
	const json_t *best = NULL;

	/* Sessions differ by edge; one edge that has some is enough to be alive. */
	for (struct edge *e = c->edges; e; e = e->next) {
		const json_t *r = json_object_get(e->reports, connector_id);

		if (r && (!best || doc_int(r, "sessions_live") > doc_int(best, "sessions_live")))
			best = r;
	}
	return best;
}
