// SPDX-License-Identifier: BSD-3-Clause
/* A port on any DPDK device: a NIC by its PCI address, or a virtual device by its vdev string. */
#include <errno.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/ports/port_kinds.h"

struct ethdev_queue {
	struct port_stats stats; /* written by the queue's thread */
} __rte_cache_aligned;

struct ethdev_port {
	struct port port;
	bool probed; /* we brought the device, we remove it */
	bool started;
	struct ethdev_queue queues[PORT_MAX_QUEUES];
};

static struct ethdev_port *to_ethdev(const struct port *port)
{
	return (struct ethdev_port *)(uintptr_t)port;
}

static uint16_t ethdev_rx_burst(struct port *port, uint16_t queue, struct rte_mbuf **mbufs,
				uint16_t n)
{
	struct port_stats *stats = &to_ethdev(port)->queues[queue].stats;
	uint16_t kept = 0, got;
	uint64_t bytes = 0;

	got = rte_eth_rx_burst(port->ethdev_id, queue, mbufs,
			       n > PORT_MAX_BURST ? PORT_MAX_BURST : n);
	for (uint16_t i = 0; i < got; i++) {
		if (unlikely(mbufs[i]->nb_segs != 1)) {
			stats->rx_nic_missed++;
			rte_pktmbuf_free(mbufs[i]);
			continue;
		}
		mbufs[i]->port = port->id;
		bytes += mbufs[i]->pkt_len;
		mbufs[kept++] = mbufs[i];
	}
	stats->rx_packets += kept;
	stats->rx_bytes += bytes;
	return kept;
}

static uint16_t ethdev_tx_burst(struct port *port, uint16_t queue, struct rte_mbuf **mbufs,
				uint16_t n)
{
	struct port_stats *stats = &to_ethdev(port)->queues[queue].stats;
	const uint32_t max = port_max_frame(port);
	uint16_t kept = 0, sent;
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (unlikely(mbufs[i]->nb_segs != 1 || !mbufs[i]->data_len ||
			     mbufs[i]->data_len > max)) {
			stats->tx_unsendable++;
			stats->tx_dropped++;
			rte_pktmbuf_free(mbufs[i]);
			continue;
		}
		bytes += mbufs[i]->data_len;
		mbufs[kept++] = mbufs[i];
	}
	sent = kept ? rte_eth_tx_burst(port->ethdev_id, queue, mbufs, kept) : 0;
	for (uint16_t i = sent; i < kept; i++)
		bytes -= mbufs[i]->data_len;
	stats->tx_packets += sent;
	stats->tx_bytes += bytes;
	if (sent < kept) {
		stats->tx_dropped += (uint64_t)(kept - sent);
		rte_pktmbuf_free_bulk(mbufs + sent, kept - sent);
	}
	return sent;
}

static void ethdev_flush(struct port *port, uint16_t queue)
{
	(void)port;
	(void)queue;
}

static int ethdev_rx_fd(const struct port *port, uint16_t queue)
{
	(void)port;
	(void)queue;
	return -1;
}

static bool ethdev_before_sleep(struct port *port, uint16_t queue)
{
	(void)port;
	(void)queue;
	return true;
}

/* What the device itself missed is known per device only: it is told with queue 0. */
static int ethdev_read_stats(struct port *port, uint16_t queue, struct port_stats *out)
{
	struct rte_eth_stats dev;

	if (queue >= port->n_queues)
		return -EINVAL;
	port_stats_copy(out, &to_ethdev(port)->queues[queue].stats);
	if (queue == 0 && !rte_eth_stats_get(port->ethdev_id, &dev))
		out->rx_nic_missed += dev.imissed + dev.ierrors + dev.rx_nombuf;
	return 0;
}

static void ethdev_close(struct port *port)
{
	struct ethdev_port *ep = to_ethdev(port);

	if (port->ethdev_id != UINT16_MAX) {
		struct rte_eth_dev_info info;
		struct rte_device *dev =
			rte_eth_dev_info_get(port->ethdev_id, &info) ? NULL : info.device;

		if (ep->started)
			rte_eth_dev_stop(port->ethdev_id);
		rte_eth_dev_close(port->ethdev_id);
		if (ep->probed && dev)
			rte_dev_remove(dev);
	}
	free(ep);
}

static const struct port_ops ethdev_ops = {
	.rx_burst = ethdev_rx_burst,
	.tx_burst = ethdev_tx_burst,
	.flush = ethdev_flush,
	.rx_fd = ethdev_rx_fd,
	.before_sleep = ethdev_before_sleep,
	.read_stats = ethdev_read_stats,
	.close = ethdev_close,
};

/* The device, already there (EAL arguments) or brought now. */
static int find_device(struct ethdev_port *ep, const char *devargs, char *err, size_t err_size)
{
	struct port *port = &ep->port;

	snprintf(port->name, sizeof(port->name), "%.*s", (int)strcspn(devargs, ","), devargs);
	if (!rte_eth_dev_get_port_by_name(port->name, &port->ethdev_id))
		return 0;
	int res = rte_dev_probe(devargs);

	if (!res) {
		ep->probed = true;
		res = rte_eth_dev_get_port_by_name(port->name, &port->ethdev_id);
	}
	if (res) {
		port->ethdev_id = UINT16_MAX;
		snprintf(err, err_size, "port %s: no such DPDK device: %s", port->name,
			 strerror(res < 0 ? -res : res));
	}
	return res;
}

int ethdev_port_refresh(struct port *port)
{
	struct rte_ether_addr mac;
	int res = rte_eth_dev_get_mtu(port->ethdev_id, &port->mtu);

	if (!res)
		res = rte_eth_macaddr_get(port->ethdev_id, &mac);
	if (!res)
		memcpy(port->mac, mac.addr_bytes, sizeof(port->mac));
	return res;
}

/* More than one queue: spread by addresses and ports, as far as the device can. */
static void want_rss(struct rte_eth_conf *conf, const struct rte_eth_dev_info *info)
{
	uint64_t hash = (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP) & info->flow_type_rss_offloads;

	if (!hash)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf = hash;
}

static uint16_t fewer(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

static int set_up(struct ethdev_port *ep, const struct port_config *cfg)
{
	struct port *port = &ep->port;
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	uint16_t rx_size = cfg->ring_size, tx_size = rx_size;
	int res = rte_eth_dev_info_get(port->ethdev_id, &info);

	if (res)
		return res;
	port->dev_queues = info.max_rx_queues;
	port->n_queues = fewer(cfg->n_queues, fewer(info.max_rx_queues, info.max_tx_queues));
	port->ifindex = info.if_index;
	snprintf(port->mode, sizeof(port->mode), "%s", info.driver_name);
	if (!port->n_queues)
		return -ENODEV;
	if (port->n_queues > 1)
		want_rss(&conf, &info);
	int socket = rte_eth_dev_socket_id(port->ethdev_id);

	res = rte_eth_dev_configure(port->ethdev_id, port->n_queues, port->n_queues, &conf);
	if (!res)
		res = rte_eth_dev_adjust_nb_rx_tx_desc(port->ethdev_id, &rx_size, &tx_size);
	for (uint16_t q = 0; q < port->n_queues && !res; q++) {
		res = rte_eth_rx_queue_setup(port->ethdev_id, q, rx_size, (unsigned)socket, NULL,
					     cfg->pool);
		if (!res)
			res = rte_eth_tx_queue_setup(port->ethdev_id, q, tx_size, (unsigned)socket,
						     NULL);
	}
	if (!res)
		res = rte_eth_dev_start(port->ethdev_id);
	ep->started = !res;
	return res ? res : ethdev_port_refresh(port);
}

struct port *ethdev_port_open(const struct port_config *cfg, char *err, size_t err_size)
{
	struct ethdev_port *ep = aligned_alloc(RTE_CACHE_LINE_SIZE,
					       RTE_ALIGN_CEIL(sizeof(*ep), RTE_CACHE_LINE_SIZE));

	if (!ep) {
		snprintf(err, err_size, "port %s: out of memory", cfg->name);
		return NULL;
	}
	memset(ep, 0, sizeof(*ep));
	ep->port.ops = &ethdev_ops;
	ep->port.kind = PORT_KIND_ETHDEV;
	ep->port.id = cfg->id;
	ep->port.ethdev_id = UINT16_MAX;
	ep->port.buffer_room =
		(uint32_t)rte_pktmbuf_data_room_size(cfg->pool) - RTE_PKTMBUF_HEADROOM;
	if (find_device(ep, cfg->name, err, err_size)) {
		ethdev_close(&ep->port);
		return NULL;
	}
	int res = set_up(ep, cfg);

	if (res) {
		snprintf(err, err_size, "port %s: cannot set up the device: %s", ep->port.name,
			 strerror(-res));
		ethdev_close(&ep->port);
		return NULL;
	}
	return &ep->port;
}
