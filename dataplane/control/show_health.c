// SPDX-License-Identifier: BSD-3-Clause
// show.health, show.tables, show.revision.
#include "dataplane/control/show.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

json_t *show_tables(const struct apply_table_info *tables, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s,s:I,s:I,s:I,s:I}", "table", tables[i].table, "used",
						      (json_int_t)tables[i].used, "capacity",
						      (json_int_t)tables[i].capacity, "memory_bytes",
						      (json_int_t)tables[i].bytes, "refused",
						      (json_int_t)tables[i].refused));
	return json_pack("{s:o}", "tables", list);
}

json_t *show_revision(const struct show_identity *id, json_t *errors)
{
	static const char *const sources[] = {[SYNC_NONE] = "none", [SYNC_FILE] = "file", [SYNC_CTRL] = "ctrl"};

	return json_pack("{s:s,s:s,s:s,s:s?,s:I,s:I,s:b,s:s,s:o}", "edge_id", id->edge_id, "instance", id->instance,
			 "version", SLUICE_VERSION, "epoch", id->sync.epoch[0] ? id->sync.epoch : NULL, "configured",
			 (json_int_t)id->sync.configured, "applied", (json_int_t)id->sync.applied, "connected",
			 id->sync.connected, "source", sources[id->sync.source], "errors", errors);
}

struct reasons {
	json_t *list;
	bool degraded;
};

static void reason(struct reasons *r, const char *code, bool degrades, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void reason(struct reasons *r, const char *code, bool degrades, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(r->list,
			      json_pack("{s:s,s:s,s:b}", "code", code, "message", text, "degrades", degrades));
	r->degraded |= degrades;
}

static void sync_reasons(struct reasons *r, const struct show_identity *id)
{
	if (id->sync.source == SYNC_NONE)
		reason(r, "no_tables", true, "no tables yet: sluice-ctrl has not sent any, and none are left of an earlier run");
	if (!id->sync.connected)
		reason(r, "ctrl_disconnected", true, "sluice-ctrl is not connected: changes do not reach this edge");
	if (id->sync.source == SYNC_FILE)
		reason(r, "tables_from_file", true, "tables are those of revision %llu from an earlier run",
		       (unsigned long long)id->sync.applied);
}

json_t *show_health(const struct show_identity *id, const struct counters *c, const struct show_health_facts *f)
{
	struct reasons r = {json_array(), false};

	sync_reasons(&r, id);
	if (f->rows_refused)
		reason(&r, "rows_refused", true, "%u rows cannot be applied (show revision names them)", f->rows_refused);
	if (f->n_thin)
		reason(&r, "connector_sessions", true,
		       "%u connectors have fewer live sessions than the edge has workers: %s", f->n_thin, f->thin);
	if (c->handshake.under_load)
		reason(&r, "under_load", true, "handshakes come faster than they can be answered: cookies are asked for");
	if (f->rx_misses_last_minute)
		reason(&r, "rx_misses", true, "%llu packets were lost before a worker saw them in the last minute",
		       (unsigned long long)f->rx_misses_last_minute);
	if (f->flow_log.stats.file_error)
		reason(&r, "flow_log_file", true, "the flow log cannot be written: %s: %s", f->flow_log.file,
		       strerror(f->flow_log.stats.file_error));
	if (f->log_lost_last_minute)
		reason(&r, "flow_log_lost", true, "%llu lines of the flow log were lost in the last minute",
		       (unsigned long long)f->log_lost_last_minute);
	for (unsigned i = 0; i < c->n_ports; i++)
		if (c->ports[i].has_xdp && !c->ports[i].native)
			reason(&r, "xdp_generic", false, "port %s: XDP runs in generic mode", c->ports[i].name);
	if (!f->huge_pages)
		reason(&r, "no_hugepages", false, "%s", f->memory_says);
	return json_pack("{s:s,s:o,s:{s:b,s:I},s:I}", "status", r.degraded ? "degraded" : "ok", "reasons", r.list, "ctrl",
			 "connected", id->sync.connected, "since", (json_int_t)id->sync.since_s, "uptime_s",
			 (json_int_t)id->uptime_s);
}
