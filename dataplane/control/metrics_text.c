// SPDX-License-Identifier: BSD-3-Clause
// The metrics of the edge in Prometheus' text form. Labels are bounded: workers, reasons, stages, tables, ports.
#include "dataplane/control/metrics.h"

#include "dataplane/drop_reasons.h"

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	head(out, name, type, help);
	fprintf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void write_totals(FILE *out, const struct counter_totals *t)
{
	one(out, "sluice_edge_rx_packets_total", "counter", "Packets that entered the edge.", t->rx_packets);
	one(out, "sluice_edge_rx_bytes_total", "counter", "Bytes of frames that reached the workers.", t->rx_bytes);
	one(out, "sluice_edge_tx_packets_total", "counter", "Packets sent.", t->tx_packets);
	one(out, "sluice_edge_tx_bytes_total", "counter", "Bytes of frames sent.", t->tx_bytes);
	one(out, "sluice_edge_originated_packets_total", "counter", "Packets sent that are no forwards.", t->originated);
	one(out, "sluice_edge_originated_dropped_total", "counter", "Own packets that could not be sent.",
	    t->originated_dropped);
	one(out, "sluice_edge_kernel_packets_total", "counter", "Packets handed to the kernel.", t->kernel);
	one(out, "sluice_edge_consumed_packets_total", "counter", "Packets that ended here by purpose.", t->consumed);
	one(out, "sluice_edge_dropped_packets_total", "counter", "Packets dropped, all reasons.", t->dropped);
	one(out, "sluice_edge_handshakes_total", "counter", "WireGuard handshakes completed.", t->handshakes);
	one(out, "sluice_edge_handoff_packets_total", "counter", "Packets that crossed to another worker.", t->handoffs);
	one(out, "sluice_edge_flows_created_total", "counter", "Flows created.", t->flows_created);
	one(out, "sluice_edge_inspections_active", "gauge", "Flows whose first bytes are held.", t->inspect_active);
	head(out, "sluice_edge_inspections_ended_total", "counter", "Flows that a name could decide, by how that ended.");
	for (unsigned e = INSPECT_RUNNING + 1; e < INSPECT_END_COUNT; e++)
		fprintf(out, "sluice_edge_inspections_ended_total{end=\"%s\"} %llu\n", inspect_end_name(e),
			(unsigned long long)t->inspect_ends[e]);
	one(out, "sluice_edge_sessions", "gauge", "Peers with a live session.", t->sessions);
	one(out, "sluice_edge_flows", "gauge", "Flows in the tables.", t->flows);
}

#define PER_WORKER(name, type, help, expr)                                                         \
	do {                                                                                       \
		head(out, name, type, help);                                                       \
		for (unsigned i = 0; i < c->n_workers; i++) {                                      \
			const struct counted_worker *w = &c->workers[i];                           \
			fprintf(out, name "{worker=\"%u\"} %llu\n", i, (unsigned long long)(expr)); \
		}                                                                                  \
	} while (0)

static void write_workers(FILE *out, const struct counters *c)
{
	PER_WORKER("sluice_worker_rx_packets_total", "counter", "Packets a worker took.", w->c.rx_packets);
	PER_WORKER("sluice_worker_tx_packets_total", "counter", "Packets a worker sent.", w->c.tx_packets);
	PER_WORKER("sluice_worker_loops_total", "counter", "Turns of the loop.", w->c.loops);
	PER_WORKER("sluice_worker_busy_cycles_total", "counter", "TSC cycles of turns with work.", w->c.busy_cycles);
	PER_WORKER("sluice_worker_flows", "gauge", "Flows of a worker.", w->flows);
	PER_WORKER("sluice_worker_sessions", "gauge", "Sessions of a worker.", w->sessions);
}

static void write_stages(FILE *out, const struct counters *c)
{
	head(out, "sluice_stage_cycles_total", "counter", "TSC cycles spent in a stage, all workers.");
	for (unsigned s = 0; s < STAGE_COUNT; s++) {
		uint64_t cycles = 0;

		for (unsigned i = 0; i < c->n_workers; i++)
			cycles += c->workers[i].c.stages[s].cycles;
		fprintf(out, "sluice_stage_cycles_total{stage=\"%s\"} %llu\n", worker_stage_name(s),
			(unsigned long long)cycles);
	}
	head(out, "sluice_stage_packets_total", "counter", "Packets a stage saw, all workers.");
	for (unsigned s = 0; s < STAGE_COUNT; s++) {
		uint64_t packets = 0;

		for (unsigned i = 0; i < c->n_workers; i++)
			packets += c->workers[i].c.stages[s].packets;
		fprintf(out, "sluice_stage_packets_total{stage=\"%s\"} %llu\n", worker_stage_name(s),
			(unsigned long long)packets);
	}
}

static void write_tables(FILE *out, const struct apply_table_info *tables, size_t n)
{
	head(out, "sluice_table_rows", "gauge", "Rows in a table.");
	for (size_t i = 0; i < n; i++)
		fprintf(out, "sluice_table_rows{table=\"%s\"} %u\n", tables[i].table, tables[i].used);
	head(out, "sluice_table_capacity_rows", "gauge", "Rows a table can hold.");
	for (size_t i = 0; i < n; i++)
		if (tables[i].capacity)
			fprintf(out, "sluice_table_capacity_rows{table=\"%s\"} %u\n", tables[i].table,
				tables[i].capacity);
}

void metrics_write(FILE *out, const struct show_identity *id, const struct counters *c,
		   const struct apply_table_info *tables, size_t n_tables, uint32_t refused,
		   const struct show_flow_log *log)
{
	struct counter_totals t;

	counters_sum(c, &t);
	write_totals(out, &t);
	head(out, "sluice_edge_drops_total", "counter", "Packets dropped, by reason.");
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		fprintf(out, "sluice_edge_drops_total{reason=\"%s\"} %llu\n", drop_reason_name(r),
			(unsigned long long)t.drops[r]);
	write_workers(out, c);
	write_stages(out, c);
	write_tables(out, tables, n_tables);
	one(out, "sluice_flow_log_lines_total", "counter", "Lines of the flow log.", log->stats.lines);
	head(out, "sluice_flow_log_lost_total", "counter", "Lines of the flow log that were lost, by who was too slow.");
	fprintf(out, "sluice_flow_log_lost_total{by=\"ring\"} %llu\n", (unsigned long long)log->stats.ring_dropped);
	fprintf(out, "sluice_flow_log_lost_total{by=\"file\"} %llu\n", (unsigned long long)log->stats.file_lost);
	fprintf(out, "sluice_flow_log_lost_total{by=\"reader\"} %llu\n", (unsigned long long)log->stats.readers_lost);
	one(out, "sluice_edge_rows_refused", "gauge", "Rows that cannot be applied.", refused);
	one(out, "sluice_edge_ctrl_connected", "gauge", "1 while sluice-ctrl is connected.", id->sync.connected);
	one(out, "sluice_edge_revision_applied", "gauge", "Revision that all workers use.", id->sync.applied);
	one(out, "sluice_edge_uptime_seconds", "gauge", "Time since start.", id->uptime_s);
	one(out, "sluice_edge_under_load", "gauge", "1 while cookies are asked for.", c->handshake.under_load);
	one(out, "sluice_edge_connectors_live", "gauge", "Connectors with a live session.", c->handshake.connectors_live);
}
