// SPDX-License-Identifier: BSD-3-Clause
// The methods of edge.sock.
#include "dataplane/control/operators.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <rte_cycles.h>

#include "dataplane/control/control.h"
#include "dataplane/control/explain.h"
#include "dataplane/control/flow_query.h"
#include "dataplane/control/hits_query.h"
#include "dataplane/control/audit.h"
#include "dataplane/control/logs.h"
#include "dataplane/control/taps.h"
#include "lib/ipc/server.h"
#include "lib/log.h"

#define LIMIT_DEFAULT 1000
#define LIMIT_MAX     10000
#define MISS_SECONDS  60

struct operators {
	struct control *control;
	struct ipc_server *server;
	struct flow_queries *queries;
	struct hits_queries *hits;
	struct logs *logs;
	struct taps *taps;
	struct counters counters; /* of the answer being made */
	uint64_t busy_before[EDGE_MAX_WORKERS], tsc_before;
	double busy_percent[EDGE_MAX_WORKERS];
	uint64_t misses[MISS_SECONDS]; /* ring of the sum at each second */
	uint64_t log_lost[MISS_SECONDS];
	unsigned miss_at;
};

/* ---- parameters ---- */

struct param {
	const char *name;
	json_type type;
	void *out; /* const char ** or int64_t * or bool * */
};

/* Reads what is known, refuses what is not. False after an error was sent. */
static bool read_params(struct ipc_call *call, json_t *params, const struct param *known)
{
	const char *key;
	json_t *v;

	json_object_foreach (params, key, v) {
		const struct param *p = known;

		while (p->name && strcmp(p->name, key) != 0)
			p++;
		if (!p->name) {
			ipc_reply_fail(call, IPC_E_UNKNOWN_FIELD, key, "%s: no such parameter", key);
			return false;
		}
		if (json_is_null(v))
			continue;
		if (p->type == JSON_TRUE ? !json_is_boolean(v) : json_typeof(v) != p->type) {
			ipc_reply_fail(call, IPC_E_INVALID, key, "%s: must be %s", key,
				       p->type == JSON_TRUE      ? "true or false"
				       : p->type == JSON_INTEGER ? "a number"
								 : "a text");
			return false;
		}
		if (p->type == JSON_TRUE)
			*(bool *)p->out = json_is_true(v);
		else if (p->type == JSON_INTEGER)
			*(int64_t *)p->out = json_integer_value(v);
		else
			*(const char **)p->out = json_string_value(v);
	}
	return true;
}

static const struct param no_params[] = {{0}};

static bool limit_ok(struct ipc_call *call, int64_t limit)
{
	if (limit >= 1 && limit <= LIMIT_MAX)
		return true;
	ipc_reply_fail(call, IPC_E_INVALID, "limit", "limit %lld: not a number from 1 to %d", (long long)limit,
		       LIMIT_MAX);
	return false;
}

/* Takes the reference. */
static void reply(struct ipc_call *call, json_t *result)
{
	ipc_reply(call, result);
	json_decref(result);
}

/* ---- what several answers need ---- */

void operators_counters(struct operators *o, struct counters *out)
{
	counters_read(o->control->edge, out);
	for (unsigned i = 0; i < out->n_workers; i++)
		out->workers[i].busy_percent = o->busy_percent[i];
}

void operators_identity(struct operators *o, struct show_identity *out)
{
	const struct edge_config *c = &o->control->edge->config;

	*out = (struct show_identity){.edge_id = c->edge_id,
				      .instance = o->control->instance,
				      .uptime_s = (uint64_t)(control_unix_s() - o->control->started_s),
				      .tsc_hz = rte_get_tsc_hz(),
				      .flows_capacity = c->cap_flows,
				      .sessions_capacity = c->cap_sessions};
	sync_status_get(o->control->sync, &out->sync);
}

/* Connectors with fewer live sessions than there are workers (8 at most, and no more than it has keys). */
static void find_thin(const struct edge *edge, struct show_health_facts *f)
{
	size_t n = 0;

	for (uint32_t i = 0; i < edge->records->max_connectors; i++) {
		const struct connector_record *c = connector_get(edge->records, i);
		unsigned want = edge->n_workers < CONNECTOR_MAX_SESSIONS ? edge->n_workers : CONNECTOR_MAX_SESSIONS;
		unsigned live = 0;

		if (!c)
			continue;
		for (uint32_t k = 0; k < c->n_peers; k++) {
			struct handshake_peer_info info;

			live += handshake_peer_info(edge->handshake, c->peers[k], &info) && info.has_session &&
				info.settled;
		}
		if (live >= want)
			continue;
		f->n_thin++;
		if (n < sizeof(f->thin))
			n += (size_t)snprintf(f->thin + n, sizeof(f->thin) - n, "%s%s (%u of %u)", n ? ", " : "", c->id,
					      live, want);
	}
}

void operators_flow_log(struct operators *o, struct show_flow_log *out)
{
	struct flow_log *log = o->control->edge->flow_log;

	*out = (struct show_flow_log){.on = log != NULL, .file = o->control->edge->config.flow_log.file,
				       .readers = logs_readers(o->logs)};
	if (log)
		flow_log_stats(log, &out->stats);
}

void operators_health(struct operators *o, struct show_health_facts *out)
{
	*out = (struct show_health_facts){.huge_pages = o->control->eal->huge,
					  .memory_says = o->control->eal->says,
					  .rows_refused = apply_refused_count(o->control->apply),
					  .rx_misses_last_minute =
						  o->misses[(o->miss_at + MISS_SECONDS - 1) % MISS_SECONDS] -
						  o->misses[o->miss_at]};
	operators_flow_log(o, &out->flow_log);
	out->log_lost_last_minute = o->log_lost[(o->miss_at + MISS_SECONDS - 1) % MISS_SECONDS] - o->log_lost[o->miss_at];
	find_thin(o->control->edge, out);
}

/* ---- methods ---- */

typedef json_t *simple_show(const struct show_identity *id, const struct counters *c);

static void answer_simple(struct ipc_call *call, json_t *params, struct operators *o, simple_show *show)
{
	struct show_identity id;

	if (!read_params(call, params, no_params))
		return;
	operators_identity(o, &id);
	operators_counters(o, &o->counters);
	reply(call, show(&id, &o->counters));
}

static void on_counters(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;
	struct show_flow_log log;
	struct show_identity id;
	json_t *result;

	if (!read_params(call, params, no_params))
		return;
	operators_identity(o, &id);
	operators_counters(o, &o->counters);
	operators_flow_log(o, &log);
	result = show_counters(&id, &o->counters, &log);
	json_object_set_new(result, "tap", json_boolean(o->control->edge->tap != NULL));
	reply(call, result);
}

static void on_workers(struct ipc_call *call, json_t *params, void *user)
{
	answer_simple(call, params, user, show_workers);
}

static void on_stages(struct ipc_call *call, json_t *params, void *user)
{
	answer_simple(call, params, user, show_stages);
}

static void on_ports(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;

	if (!read_params(call, params, no_params))
		return;
	operators_counters(o, &o->counters);
	reply(call, show_ports(&o->counters));
}

static void on_drops(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;
	bool all = false;
	const struct param known[] = {{"all", JSON_TRUE, &all}, {0}};

	if (!read_params(call, params, known))
		return;
	operators_counters(o, &o->counters);
	reply(call, show_drops(&o->counters, all));
}

static void on_tables(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;
	struct apply_table_info tables[20];

	if (!read_params(call, params, no_params))
		return;
	reply(call, show_tables(tables, apply_tables(o->control->apply, tables, 20)));
}

static void on_health(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;
	struct show_health_facts facts;
	struct show_identity id;

	if (!read_params(call, params, no_params))
		return;
	operators_identity(o, &id);
	operators_counters(o, &o->counters);
	operators_health(o, &facts);
	reply(call, show_health(&id, &o->counters, &facts));
}

static void on_revision(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;
	struct show_identity id;

	if (!read_params(call, params, no_params))
		return;
	operators_identity(o, &id);
	reply(call, show_revision(&id, apply_refused(o->control->apply)));
}

static void on_sessions(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;
	struct show_filter filter = {0};
	int64_t limit = LIMIT_DEFAULT;
	const struct param known[] = {{"client", JSON_STRING, &filter.client},
				      {"connector", JSON_STRING, &filter.connector},
				      {"limit", JSON_INTEGER, &limit},
				      {0}};

	if (!read_params(call, params, known) || !limit_ok(call, limit))
		return;
	filter.limit = (size_t)limit;
	reply(call, show_sessions(o->control->edge, &filter));
}

static const struct client_record *find_client(const struct edge *edge, const char *text)
{
	for (uint32_t i = 0; i < edge->records->max_clients; i++)
		if (show_is_client(client_get(edge->records, i), text))
			return client_get(edge->records, i);
	return NULL;
}

static void on_flows(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;
	const char *client = NULL, *dst = NULL;
	struct flow_filter filter = {.client = RECORD_NONE};
	int64_t limit = LIMIT_DEFAULT;
	const struct param known[] = {{"client", JSON_STRING, &client},
				      {"dst", JSON_STRING, &dst},
				      {"limit", JSON_INTEGER, &limit},
				      {0}};
	char err[160];

	if (!read_params(call, params, known) || !limit_ok(call, limit))
		return;
	if (client) {
		const struct client_record *c = find_client(o->control->edge, client);

		if (!c) {
			ipc_reply_fail(call, IPC_E_NOT_FOUND, "client", "client '%s': this edge has no such client", client);
			return;
		}
		filter.client = c->index;
	}
	if (dst) {
		if (ip_prefix_parse(dst, true, &filter.dst, err, sizeof(err))) {
			ipc_reply_fail(call, IPC_E_INVALID, "dst", "dst: %s", err);
			return;
		}
		filter.has_dst = true;
	}
	filter.limit = (size_t)limit;
	flow_query_start(o->queries, call, &filter, control_now_ms());
}

static void on_explain(struct ipc_call *call, json_t *params, void *user)
{
	struct explain_query q = {.dport = -1};
	struct explain_error error;
	struct operators *o = user;
	const struct param known[] = {{"client", JSON_STRING, &q.client}, {"dst", JSON_STRING, &q.dst},
				      {"dport", JSON_INTEGER, &q.dport},  {"proto", JSON_STRING, &q.proto},
				      {"host", JSON_STRING, &q.host},     {0}};
	json_t *result;

	if (!read_params(call, params, known))
		return;
	result = explain(o->control->edge, &q, &error);
	if (result)
		reply(call, result);
	else
		ipc_reply_fail(call, error.code, error.field, "%s", error.message);
}

static void on_reset_turns(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;

	if (!read_params(call, params, no_params))
		return;
	for (unsigned i = 0; i < o->control->edge->n_workers; i++)
		worker_reset_turns(o->control->edge->workers[i]);
	reply(call, json_pack("{s:i}", "workers", (int)o->control->edge->n_workers));
}

/* The peer of a client (its freshest key) or of a connector's session; RECORD_NONE where there is none. */
static uint32_t find_peer(const struct edge *edge, const char *client, const char *connector, int64_t session)
{
	const struct client_record *c = client ? find_client(edge, client) : NULL;

	if (client)
		return c ? c->peers[0] : RECORD_NONE;
	for (uint32_t i = 0; i < edge->records->max_connectors; i++) {
		const struct connector_record *r = connector_get(edge->records, i);

		if (r && (!strcmp(r->id, connector) || !strcmp(r->hostname, connector)))
			return session >= 0 && session < r->n_peers ? r->peers[session] : RECORD_NONE;
	}
	return RECORD_NONE;
}

static void on_migrate(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;
	const char *client = NULL, *connector = NULL;
	int64_t worker = -1, session = 0;
	const struct param known[] = {{"client", JSON_STRING, &client},
				      {"connector", JSON_STRING, &connector},
				      {"session", JSON_INTEGER, &session},
				      {"worker", JSON_INTEGER, &worker},
				      {0}};
	uint32_t peer;
	int rc;

	if (!read_params(call, params, known))
		return;
	if (!client == !connector) {
		ipc_reply_fail(call, IPC_E_MISSING_FIELD, "client", "client: exactly one of client and connector is needed");
		return;
	}
	if (worker < 0 || worker >= o->control->edge->n_workers) {
		ipc_reply_fail(call, IPC_E_INVALID, "worker", "worker %lld: this edge has workers 0 to %u",
			       (long long)worker, o->control->edge->n_workers - 1);
		return;
	}
	peer = find_peer(o->control->edge, client, connector, session);
	rc = peer == RECORD_NONE ? -ENOENT : handshake_migrate(o->control->edge->handshake, peer, (uint8_t)worker);
	if (rc == -EAGAIN)
		ipc_reply_fail(call, IPC_E_IN_USE, NULL, "the peer is being moved already, or messages are short: try again");
	else if (rc)
		ipc_reply_fail(call, IPC_E_NOT_FOUND, client ? "client" : "connector",
			       "%s '%s': no such peer, or it has no session", client ? "client" : "connector",
			       client ? client : connector);
	else
		reply(call, json_pack("{s:I,s:I}", "peer", (json_int_t)peer, "worker", (json_int_t)worker));
}

/* Fills in what trace and capture share. False after an error was sent. */
static bool tap_filter_of(struct operators *o, struct ipc_call *call, const char *client, const char *dst, int64_t count,
			  struct tap_filter *f)
{
	const struct client_record *c = client ? find_client(o->control->edge, client) : NULL;
	struct ip_prefix p;
	char err[160];

	f->client = c ? c->index : RECORD_NONE;
	if (client && !c) {
		ipc_reply_fail(call, IPC_E_NOT_FOUND, "client", "client '%s': this edge has no such client", client);
		return false;
	}
	if (dst && ip_prefix_parse(dst, true, &p, err, sizeof(err))) {
		ipc_reply_fail(call, IPC_E_INVALID, "dst", "dst: %s", err);
		return false;
	}
	if (dst) {
		f->has_dst = true;
		f->dst_family = p.addr.family;
		f->dst_len = p.len;
		memcpy(f->dst, p.addr.bytes, sizeof(f->dst));
	}
	if (count >= 0)
		return true;
	ipc_reply_fail(call, IPC_E_INVALID, "count", "count %lld: not a number of packets", (long long)count);
	return false;
}

static void start_tap(struct operators *o, struct ipc_call *call, json_t *params, const struct tap_filter *f, bool data,
		      int64_t count)
{
	if (!audit_call(o->control, call, params)) {
		ipc_reply_fail(call, IPC_E_INTERNAL, NULL, "the audit row can neither be told to sluice-ctrl nor kept: not done");
		return;
	}
	taps_start(o->taps, call, f, data, (uint64_t)count);
}

static void on_trace(struct ipc_call *call, json_t *params, void *user)
{
	const char *client = NULL, *dst = NULL;
	struct tap_filter f = {.snap = 128}; /* headers */
	int64_t count = 0;
	const struct param known[] = {{"client", JSON_STRING, &client},
				      {"dst", JSON_STRING, &dst},
				      {"dropped", JSON_TRUE, &f.dropped},
				      {"count", JSON_INTEGER, &count},
				      {0}};

	if (read_params(call, params, known) && tap_filter_of(user, call, client, dst, count, &f))
		start_tap(user, call, params, &f, false, count);
}

static void on_capture(struct ipc_call *call, json_t *params, void *user)
{
	struct tap_filter f = {.snap = TAP_SNAP};
	const char *client = NULL;
	bool inner = false;
	int64_t count = 0;
	const struct param known[] = {{"client", JSON_STRING, &client},
				      {"inner", JSON_TRUE, &inner},
				      {"outer", JSON_TRUE, &f.outer},
				      {"count", JSON_INTEGER, &count},
				      {0}};

	if (!read_params(call, params, known) || !tap_filter_of(user, call, client, NULL, count, &f))
		return;
	if (inner && f.outer)
		ipc_reply_fail(call, IPC_E_INVALID, "inner", "inner: not together with outer");
	else
		start_tap(user, call, params, &f, true, count);
}

static void on_hits(struct ipc_call *call, json_t *params, void *user)
{
	static const char *const kinds[] = {[HITS_BY_RULE] = "rule", [HITS_BY_ROUTE] = "route", [HITS_BY_CLIENT] = "client"};
	struct operators *o = user;
	const char *by = "rule";
	int64_t limit = 100;
	const struct param known[] = {{"by", JSON_STRING, &by}, {"limit", JSON_INTEGER, &limit}, {0}};

	if (!read_params(call, params, known) || !limit_ok(call, limit))
		return;
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (strcmp(by, kinds[k]) != 0)
			continue;
		hits_query_start(o->hits, call, (enum hits_by)k, (size_t)limit, control_now_ms());
		return;
	}
	ipc_reply_fail(call, IPC_E_INVALID, "by", "by '%s': not one of rule, route, client", by);
}

static bool logs_params(struct ipc_call *call, json_t *params, struct logs_filter *filter)
{
	const struct param known[] = {{"client", JSON_STRING, &filter->client},
				      {"denied", JSON_TRUE, &filter->denied},
				      {"limit", JSON_INTEGER, &filter->limit},
				      {0}};

	return read_params(call, params, known);
}

static void on_logs_read(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;
	struct logs_filter filter = {.limit = -1};

	if (logs_params(call, params, &filter))
		logs_read(o->logs, call, &filter);
}

static void on_logs_follow(struct ipc_call *call, json_t *params, void *user)
{
	struct operators *o = user;
	struct logs_filter filter = {.limit = 10};

	if (logs_params(call, params, &filter))
		logs_follow(o->logs, call, &filter);
}

static const struct ipc_method methods[] = {
	{"show.counters", IPC_NEED_READ, on_counters}, {"show.drops", IPC_NEED_READ, on_drops},
	{"show.workers", IPC_NEED_READ, on_workers},   {"show.stages", IPC_NEED_READ, on_stages},
	{"show.sessions", IPC_NEED_READ, on_sessions}, {"show.flows", IPC_NEED_READ, on_flows},
	{"show.ports", IPC_NEED_READ, on_ports},       {"show.tables", IPC_NEED_READ, on_tables},
	{"show.health", IPC_NEED_READ, on_health},     {"show.revision", IPC_NEED_READ, on_revision},
	{"show.hits", IPC_NEED_READ, on_hits},
	{"trace", IPC_NEED_WRITE, on_trace},           {"capture", IPC_NEED_WRITE, on_capture},
	{"logs.read", IPC_NEED_READ, on_logs_read},    {"logs.follow", IPC_NEED_READ, on_logs_follow},
	{"explain", IPC_NEED_READ, on_explain},
	{"settings.reset_turns", IPC_NEED_WRITE, on_reset_turns}, {"peer.migrate", IPC_NEED_WRITE, on_migrate},
	{0},
};

/* ---- life ---- */

static void on_ready(void *arg, uint32_t events)
{
	struct operators *o = arg;

	(void)events;
	ipc_server_poll(o->server, 0);
}

static void on_close(struct ipc_conn *conn, void *user)
{
	struct operators *o = user;

	logs_closed(o->logs, conn);
	taps_closed(o->taps, conn);
}

struct operators *operators_create(struct control *control, char *err, size_t err_len)
{
	struct operators *o = calloc(1, sizeof(*o));
	struct ipc_server_config cfg = {.path = control->edge->config.socket,
					.group_write = control->setup->group_write,
					.group_read = control->setup->group_read,
					.methods = methods,
					.on_close = on_close,
					.user = o};

	if (!o) {
		snprintf(err, err_len, "out of memory");
		return NULL;
	}
	o->control = control;
	o->queries = flow_queries_create(control->edge);
	o->logs = logs_create(control->edge->flow_log);
	o->hits = hits_queries_create(control->edge, control->apply);
	o->taps = taps_create(control);
	o->server = o->taps && o->queries && o->logs && o->hits ? ipc_server_create(&cfg, err, err_len) : NULL;
	if (!o->server || loop_add(control->loop, ipc_server_fd(o->server), EPOLLIN, on_ready, o)) {
		operators_free(o);
		return NULL;
	}
	return o;
}

void operators_free(struct operators *o)
{
	if (!o)
		return;
	if (o->server) {
		loop_remove(o->control->loop, ipc_server_fd(o->server));
		flow_queries_free(o->queries);
		hits_queries_free(o->hits);
		ipc_server_destroy(o->server);
	}
	logs_free(o->logs);
	taps_free(o->taps);
	free(o);
}

int operators_turn(struct operators *o, uint64_t now_ms)
{
	const int waits[] = {flow_queries_turn(o->queries, now_ms), hits_queries_turn(o->hits, now_ms), logs_turn(o->logs),
			     taps_turn(o->taps)};
	int wait = -1;

	for (unsigned i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		if (waits[i] >= 0 && (wait < 0 || waits[i] < wait))
			wait = waits[i];
	/* Replies made outside of the server's own turn are written here. */
	ipc_server_poll(o->server, 0);
	return wait;
}

void operators_second(struct operators *o)
{
	const struct edge *edge = o->control->edge;
	uint64_t tsc = rte_rdtsc();
	struct counter_totals t;
	struct show_flow_log log;

	for (unsigned i = 0; i < edge->n_workers; i++) {
		uint64_t busy = worker_counters(edge->workers[i])->busy_cycles;

		if (o->tsc_before)
			o->busy_percent[i] = 100.0 * (double)(busy - o->busy_before[i]) / (double)(tsc - o->tsc_before);
		o->busy_before[i] = busy;
	}
	o->tsc_before = tsc;
	counters_read(edge, &o->counters);
	counters_sum(&o->counters, &t);
	o->misses[o->miss_at] = t.drops_port[DROP_port_rx_full] + t.drops_port[DROP_port_rx_nombuf];
	operators_flow_log(o, &log);
	o->log_lost[o->miss_at] = log.stats.ring_dropped + log.stats.file_lost;
	o->miss_at = (o->miss_at + 1) % MISS_SECONDS;
}
