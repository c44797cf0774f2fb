// SPDX-License-Identifier: BSD-3-Clause
// Counters of workers, handshake thread, XDP and ports in one place.
#include "dataplane/control/counters.h"

#include <string.h>

#include "bpf/loader.h"

static void add_stats(struct port_stats *sum, const struct port_stats *q)
{
	sum->rx_packets += q->rx_packets;
	sum->rx_bytes += q->rx_bytes;
	sum->tx_packets += q->tx_packets;
	sum->tx_bytes += q->tx_bytes;
	sum->tx_dropped += q->tx_dropped;
	sum->tx_unsendable += q->tx_unsendable;
	sum->rx_full += q->rx_full;
	sum->rx_nombuf += q->rx_nombuf;
	sum->rx_too_long += q->rx_too_long;
	sum->rx_nic_missed += q->rx_nic_missed;
	sum->fill_empty += q->fill_empty;
	sum->tx_wakeups += q->tx_wakeups;
}

static void read_port(struct port *port, struct counted_port *out)
{
	struct steer *steer = port_steer(port);

	*out = (struct counted_port){.name = port->name,
				     .iface_mode = port->mode,
				     .ethdev = port->kind == PORT_KIND_ETHDEV,
				     .queues = port->n_queues,
				     .mtu = port->mtu,
				     .ifindex = port->ifindex};
	memcpy(out->mac, port->mac, sizeof(out->mac));
	for (uint16_t q = 0; q < port->n_queues; q++) {
		struct port_stats stats;

		if (!port_read_stats(port, q, &stats))
			add_stats(&out->stats, &stats);
	}
	out->has_xdp = steer && !steer_read_counters(steer, &out->xdp);
	out->native = steer && steer_is_native(steer);
}

void counters_read(const struct edge *edge, struct counters *out)
{
	memset(out, 0, sizeof(*out));
	out->n_workers = edge->n_workers;
	out->n_ports = edge->n_ports;
	for (unsigned i = 0; i < edge->n_workers; i++) {
		out->workers[i].c = *worker_counters(edge->workers[i]);
		out->workers[i].core = edge->config.worker_cores[i];
		out->workers[i].flows = worker_flow_count(edge->workers[i]);
		out->workers[i].sessions = worker_session_count(edge->workers[i]);
	}
	for (unsigned i = 0; i < edge->n_ports; i++)
		read_port(edge->ports[i], &out->ports[i]);
	handshake_counters_get(edge->handshake, &out->handshake);
}
