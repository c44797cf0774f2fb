// SPDX-License-Identifier: BSD-3-Clause
// Metrics of the connector, from one table.
#include "connector/internal.h"

#include <inttypes.h>

void session_counters_add(struct session_counters *sum, const struct session_counters *one)
{
	sum->rx_packets += one->rx_packets;
	sum->rx_bytes += one->rx_bytes;
	sum->tx_packets += one->tx_packets;
	sum->tx_bytes += one->tx_bytes;
	sum->rx_dropped += one->rx_dropped;
	sum->tx_dropped += one->tx_dropped;
	sum->control_bad += one->control_bad;
	sum->control_unknown += one->control_unknown;
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP sluice_connector_%s %s\n# TYPE sluice_connector_%s %s\n", name, help, name, type);
}

static void one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	head(out, name, type, help);
	fprintf(out, "sluice_connector_%s %" PRIu64 "\n", name, value);
}

static void labelled(FILE *out, const char *name, const char *label, const char *value, uint64_t n)
{
	fprintf(out, "sluice_connector_%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, n);
}

static void write_sessions(const struct connector *c, FILE *out)
{
	struct session_counters sum = c->past;
	uint64_t ports = c->past_ports, wanted = 0, covered = 0;

	for (unsigned l = 0; l < c->link_count; l++) {
		const struct link *link = c->links[l];

		wanted += link->count;
		covered += settle_covered(&link->settle);
		for (unsigned i = 0; i < link->count; i++) {
			session_counters_add(&sum, &link->sessions[i].counters);
			ports += link->slots[i].ports;
		}
	}
	one(out, "edges", "gauge", "Edges that the registration named.", c->link_count);
	one(out, "sessions_wanted", "gauge", "Sessions that the registration granted.", wanted);
	one(out, "ha_connections", "gauge", "Sessions that carry flows now.", connector_live_sessions(c));
	one(out, "workers_covered", "gauge", "Workers of the edges that own a session of this connector.", covered);
	one(out, "session_ports_total", "counter", "Source ports that sessions have used.", ports);
	one(out, "sessions_lost_total", "counter", "Times that an edge was without a live session for 20 s.",
	    c->stats.lost_sessions);
	one(out, "received_packets_total", "counter", "Inner packets from the edges.", sum.rx_packets);
	one(out, "received_bytes_total", "counter", "Bytes of inner packets from the edges.", sum.rx_bytes);
	one(out, "sent_packets_total", "counter", "Inner packets to the edges.", sum.tx_packets);
	one(out, "sent_bytes_total", "counter", "Bytes of inner packets to the edges.", sum.tx_bytes);
	head(out, "dropped_packets_total", "counter", "Packets that went nowhere, by reason.");
	labelled(out, "dropped_packets_total", "reason", "not_authentic", sum.rx_dropped);
	labelled(out, "dropped_packets_total", "reason", "send_failed", sum.tx_dropped);
	labelled(out, "dropped_packets_total", "reason", "control_bad", sum.control_bad);
	labelled(out, "dropped_packets_total", "reason", "control_unknown", sum.control_unknown);
	labelled(out, "dropped_packets_total", "reason", "malformed", c->stats.malformed);
	labelled(out, "dropped_packets_total", "reason", "address_refused", c->stats.refused_address);
	labelled(out, "dropped_packets_total", "reason", "denied", c->stats.denied);
	labelled(out, "dropped_packets_total", "reason", "no_session", c->stats.no_session);
}

static void write_rtt(const struct connector *c, FILE *out)
{
	head(out, "session_rtt_seconds", "gauge", "Round trip of the last probe.");
	for (unsigned l = 0; l < c->link_count; l++)
		for (unsigned i = 0; i < c->links[l]->count; i++)
			if (c->links[l]->slots[i].rtt_us)
				fprintf(out, "sluice_connector_session_rtt_seconds{edge=\"%u\",session=\"%u\"} %.6f\n", l, i,
					(double)c->links[l]->slots[i].rtt_us / 1e6);
}

static void write_connect(const struct connector *c, const struct flows_counts *flows, FILE *out)
{
	uint64_t n = 0;

	head(out, "connect_latency_seconds", "histogram", "From a device's SYN to the origin's answer.");
	for (unsigned i = 0; i < PATH_CONNECT_BUCKETS; i++) {
		n += c->connect.buckets[i];
		fprintf(out, "sluice_connector_connect_latency_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
			path_connect_ms[i] / 1e3, n);
	}
	n += c->connect.buckets[PATH_CONNECT_BUCKETS];
	fprintf(out, "sluice_connector_connect_latency_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", n);
	fprintf(out, "sluice_connector_connect_latency_seconds_sum %.6f\n", (double)c->connect.sum_ns / 1e9);
	fprintf(out, "sluice_connector_connect_latency_seconds_count %" PRIu64 "\n", n);
	head(out, "connect_errors_total", "counter", "Connections that the private network did not take, by cause.");
	labelled(out, "connect_errors_total", "cause", "refused", c->connect.refused);
	labelled(out, "connect_errors_total", "cause", "unreachable", c->connect.unreachable);
	labelled(out, "connect_errors_total", "cause", "timeout", flows->unanswered);
}

static void write_flows(const struct connector *c, FILE *out)
{
	struct stack_stats stack = {.instances = 0};
	struct flows_counts flows;

	flows_counts_get(c->flows, &flows);
	if (c->stack)
		c->stack_ops->stats(c->stack, &stack);
	head(out, "active_flows", "gauge", "Flows that run through this connector.");
	labelled(out, "active_flows", "protocol", "tcp", flows.tcp);
	labelled(out, "active_flows", "protocol", "udp", flows.udp);
	labelled(out, "active_flows", "protocol", "icmp", flows.icmp);
	head(out, "flows_total", "counter", "Flows ever begun.");
	labelled(out, "flows_total", "protocol", "tcp", flows.tcp_total);
	labelled(out, "flows_total", "protocol", "udp", flows.udp_total);
	labelled(out, "flows_total", "protocol", "icmp", flows.icmp_total);
	one(out, "max_active_flows", "gauge", "Flows that fit.", c->capacity.flows);
	one(out, "max_active_tcp_flows", "gauge", "TCP flows that fit.", c->capacity.tcp);
	one(out, "flows_refused_total", "counter", "Flows refused for want of room (max-active-flows).", flows.refused);
	one(out, "flows_evicted_total", "counter", "Ended TCP flows that made room for new ones before their time.",
	    flows.evicted);
	write_connect(c, &flows, out);
	one(out, "devices", "gauge", "Device addresses with a stack of their own now.", stack.instances);
	one(out, "devices_refused_packets_total", "counter", "Packets refused for want of a stack.", stack.no_room);
	one(out, "fragments_refused_total", "counter", "Fragments that the userspace stack cannot take.",
	    stack.fragments_refused);
	one(out, "icmp_requests_total", "counter", "Echo requests from devices.", stack.echo_requests);
	one(out, "icmp_replies_total", "counter", "Echo replies to devices.", stack.echo_replies);
	one(out, "icmp_dropped_packets_total", "counter", "Echo requests that could not be sent.", stack.echo_dropped);
}

void connector_metrics(void *arg, FILE *out)
{
	const struct connector *c = arg;
	struct registrar_stats r;

	registrar_stats_get(c->registrar, &r);
	head(out, "build_info", "gauge", "Version.");
	labelled(out, "build_info", "version", SLUICE_VERSION, 1);
	one(out, "registered", "gauge", "Whether the last registration succeeded.", r.registered);
	one(out, "register_success_total", "counter", "Registrations and renewals granted.", r.successes);
	one(out, "register_fail_total", "counter", "Registrations and renewals that failed.", r.failures);
	one(out, "draining", "gauge", "Whether this connector takes no new flows.", c->drain_until_ms != 0);
	write_sessions(c, out);
	write_rtt(c, out);
	write_flows(c, out);
}
