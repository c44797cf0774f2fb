/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A copy of all counters of the edge, and their sums by the rule of decision 28:
 * rx = (tx − originated) + kernel + consumed + drops, at rest.
 */
#ifndef DATAPLANE_CONTROL_COUNTERS_H
#define DATAPLANE_CONTROL_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/steer.h"
#include "dataplane/handshake.h"
#include "dataplane/ports/port.h"
#include "dataplane/worker.h"

struct counted_worker {
	struct worker_counters c;
	unsigned core;
	uint32_t flows, sessions;
	double busy_percent; /* of the last second; filled in by who samples it */
};

struct counted_port {
	const char *name, *iface_mode;
	bool ethdev;
	uint16_t queues, mtu;
	uint32_t ifindex;
	uint8_t mac[6];
	struct port_stats stats; /* of all queues */
	bool has_xdp, native;
	struct steer_counters xdp;
};

struct counters {
	unsigned n_workers, n_ports;
	struct counted_worker workers[EDGE_MAX_WORKERS];
	struct counted_port ports[EDGE_MAX_PORTS];
	struct handshake_counters handshake;
};

struct counter_totals {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, originated, originated_dropped, kernel, consumed, dropped;
	uint64_t handshakes, sessions, flows, handoffs, flows_created, flows_ended;
	uint64_t inspect_started, inspect_active, inspect_ends[INSPECT_END_COUNT];
	uint64_t drops[DROP_REASON_COUNT]; /* all of them … */
	uint64_t drops_xdp[DROP_REASON_COUNT], drops_port[DROP_REASON_COUNT]; /* … and those of XDP and of ports */
};

/* Copies; each number is exact, the whole is no cut in time. Control thread. */
void counters_read(const struct edge *edge, struct counters *out);
/* Pure. */
void counters_sum(const struct counters *c, struct counter_totals *out);

#endif
