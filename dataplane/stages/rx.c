// SPDX-License-Identifier: BSD-3-Clause
// Stage rx: takes a burst of outer frames from one port.
#include "dataplane/stages/stage.h"

#include "dataplane/ports/port.h"

unsigned stage_rx(struct worker *w, unsigned port, struct rte_mbuf **pkts)
{
	struct port *p = w->edge->ports[port];
	uint16_t n;

	if (w->id >= p->n_queues)
		return 0;
	n = port_rx_burst(p, (uint16_t)w->id, pkts, BURST_MAX);
	for (unsigned i = 0; i < n; i++) {
		struct pkt_meta *meta = pkt_meta(pkts[i]);
		const uint8_t *frame = rte_pktmbuf_mtod(pkts[i], const uint8_t *);

		__builtin_prefetch(frame); /* outer headers and the data message's own */
		__builtin_prefetch(frame + 64);
		meta->flags = 0;
		meta->peer = RECORD_NONE;
		meta->wire_bytes = (uint16_t)pkts[i]->pkt_len;
		w->counters.rx_bytes += pkts[i]->pkt_len;
	}
	w->counters.rx_packets += n;
	return n;
}
