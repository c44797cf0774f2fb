// SPDX-License-Identifier: BSD-3-Clause
// Stage tx: hands frames to the ports in bursts. Forwarded and originated frames go in bursts of their own, so that what
// a port does not take is counted under its right name.
#include "dataplane/stages/outer_headers.h"

#include "dataplane/ports/port.h"
#include "dataplane/stages/look.h"

static void send_buffer(struct worker *w, unsigned port, enum tx_kind kind)
{
	struct tx_buffer *b = &w->tx[port][kind];
	struct port *p = w->edge->ports[port];
	unsigned sent;

	if (b->n == 0)
		return;
	if (__builtin_expect(w->tap != NULL, 0))
		look_frames(w, b->pkts, b->n);
	sent = port_tx_burst(p, (uint16_t)w->id, b->pkts, (uint16_t)b->n);
	w->counters.tx_packets += sent;
	w->counters.tx_bytes += b->bytes * sent / b->n;
	if (kind == TX_ORIGINATED) {
		w->counters.originated += sent;
		w->counters.originated_dropped += b->n - sent;
	} else {
		w->counters.drops[DROP_tx_full] += b->n - sent;
	}
	b->n = 0;
	b->bytes = 0;
}

/* A port with fewer queues than workers: the frame goes to the worker that has the queue. */
static void to_queue_owner(struct worker *w, unsigned port, struct rte_mbuf *m)
{
	unsigned owner = w->id % w->edge->ports[port]->n_queues;

	m->port = (uint16_t)port;
	worker_handoff(w, owner, w->edge->workers[owner]->in_tx, m);
}

void tx_append(struct worker *w, unsigned port, struct rte_mbuf *m)
{
	enum tx_kind kind = pkt_meta(m)->flags & PKT_ORIGINATED ? TX_ORIGINATED : TX_FORWARDED;
	struct tx_buffer *b = &w->tx[port][kind];

	if (w->id >= w->edge->ports[port]->n_queues) {
		to_queue_owner(w, port, m);
		return;
	}
	b->pkts[b->n++] = m;
	b->bytes += m->data_len;
	if (b->n == BURST_MAX)
		send_buffer(w, port, kind);
}

void stage_tx(struct worker *w)
{
	for (unsigned port = 0; port < w->edge->n_ports; port++) {
		struct port *p = w->edge->ports[port];

		for (unsigned kind = 0; kind < TX_KINDS; kind++)
			send_buffer(w, port, (enum tx_kind)kind);
		if (w->id < p->n_queues)
			port_flush(p, (uint16_t)w->id);
	}
}
