/* SPDX-License-Identifier: BSD-3-Clause */
/* What show.* answers (docs/ipc-edge.md), as JSON. New references; the functions here read and change nothing. */
#ifndef DATAPLANE_CONTROL_SHOW_H
#define DATAPLANE_CONTROL_SHOW_H

#include <jansson.h>

#include "dataplane/control/apply.h"
#include "dataplane/control/counters.h"
#include "dataplane/control/sync.h"
#include "dataplane/flowlog/flowlog.h"

/* Who this is, for several answers. */
struct show_identity {
	const char *edge_id, *instance;
	uint64_t uptime_s;
	uint64_t tsc_hz;
	uint32_t flows_capacity, sessions_capacity; /* a worker */
	struct sync_status sync;
};

struct show_flow_log {
	bool on;
	const char *file; /* "": memory alone */
	unsigned readers; /* of edge.sock */
	struct flow_log_stats stats;
};

json_t *show_counters(const struct show_identity *id, const struct counters *c, const struct show_flow_log *log);
json_t *show_drops(const struct counters *c, bool all);
json_t *show_workers(const struct show_identity *id, const struct counters *c);
json_t *show_stages(const struct show_identity *id, const struct counters *c);
json_t *show_ports(const struct counters *c);
json_t *show_tables(const struct apply_table_info *tables, size_t n);
json_t *show_revision(const struct show_identity *id, json_t *errors);

struct show_health_facts {
	bool huge_pages;
	const char *memory_says;
	uint32_t rows_refused;
	unsigned n_thin; /* connectors with fewer live sessions than the edge has workers (or 8) */
	char thin[256];  /* some of their ids */
	uint64_t rx_misses_last_minute;
	struct show_flow_log flow_log;
	uint64_t log_lost_last_minute; /* lines that workers or the file lost */
};
json_t *show_health(const struct show_identity *id, const struct counters *c, const struct show_health_facts *f);

/* "client" or "connector" may be NULL. */
struct show_filter {
	const char *client, *connector;
	size_t limit;
};
json_t *show_sessions(const struct edge *edge, const struct show_filter *filter);
/* One flow of a worker, names resolved. */
json_t *show_flow(const struct edge *edge, unsigned worker, const struct flow_info *f);
/* The rule's name, "default" for RECORD_NONE (no rule: the account's default action); NULL where it is gone. */
const char *show_rule_name(const struct edge *edge, uint32_t rule);
/* True if `text` is the client's name, e-mail or id. */
bool show_is_client(const struct client_record *c, const char *text);

#endif
