// SPDX-License-Identifier: BSD-3-Clause
// Sums of all counters by the rule of decision 28. Pure.
#include "dataplane/control/counters.h"

#include <string.h>

static void sum_port(const struct counted_port *p, struct counter_totals *t)
{
	t->drops_port[DROP_port_rx_full] += p->stats.rx_full;
	t->drops_port[DROP_port_rx_nombuf] += p->stats.rx_nombuf;
	t->drops_port[DROP_port_rx_too_long] += p->stats.rx_too_long;
	if (!p->has_xdp) {
		t->rx_packets += p->stats.rx_packets + p->stats.rx_full + p->stats.rx_nombuf + p->stats.rx_too_long;
		return;
	}
	t->rx_packets += p->xdp.c[STEER_RX];
	t->kernel += p->xdp.c[STEER_KERNEL];
#define X(name) t->drops_xdp[DROP_##name] += p->xdp.c[STEER_DROP_##name];
	STEER_DROPS(X)
#undef X
}

void counters_sum(const struct counters *c, struct counter_totals *t)
{
	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i < c->n_workers; i++) {
		const struct worker_counters *w = &c->workers[i].c;

		t->rx_bytes += w->rx_bytes;
		t->tx_packets += w->tx_packets;
		t->tx_bytes += w->tx_bytes;
		t->originated += w->originated;
		t->originated_dropped += w->originated_dropped;
		t->kernel += w->kernel;
		t->consumed += w->consumed;
		t->handoffs += w->handoff_in;
		t->flows_created += w->flows_created;
		t->flows_ended += w->flows_ended;
		t->flows += c->workers[i].flows;
		t->inspect_started += w->inspect_started;
		t->inspect_active += w->inspect_active;
		for (unsigned e = 0; e < INSPECT_END_COUNT; e++)
			t->inspect_ends[e] += w->inspect_ends[e];
		for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
			t->drops[r] += w->drops[r];
	}
	t->originated_dropped += c->handshake.originated_failed;
	t->consumed += c->handshake.consumed;
	t->handshakes = c->handshake.completed;
	t->sessions = c->handshake.sessions;
	for (unsigned i = 0; i < c->n_ports; i++)
		sum_port(&c->ports[i], t);
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++) {
		t->drops[r] += c->handshake.drops[r] + t->drops_xdp[r] + t->drops_port[r];
		t->dropped += t->drops[r];
	}
}
