// SPDX-License-Identifier: BSD-3-Clause
/* Opening and closing of the AF_XDP port: umem over the mempool, sockets, XDP program. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/loader.h"
#include "dataplane/ports/xsk.h"

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif

#define XDP_ROOM       256U  /* the kernel keeps this before the data (XDP_PACKET_HEADROOM) */
#define MAX_CHUNK      4096U /* the kernel refuses larger ones */
#define SEND_BUFFER    (8 << 20)
#define DRAIN_TRIES    100
#define DRAIN_US       1000
#define BUSY_POLL_US   20
#define BUSY_POLL_PKTS 64

/* Frames of the fill ring that the kernel has not taken. */
static void drain_fill(struct xsk_queue *q)
{
	uint32_t idx = __atomic_load_n(q->fill.consumer, __ATOMIC_ACQUIRE);

	for (; idx != q->fill.cached_prod; idx++)
		rte_pktmbuf_free(xsk_frame_mbuf(q, *xsk_ring_prod__fill_addr(&q->fill, idx)));
}

/* Waits a moment for frames on their way out, then gives back what the rings still hold. */
static void drain_socket(struct xsk_port *xp, uint16_t queue)
{
	struct xsk_queue *q = &xp->queues[queue];
	uint32_t idx;

	for (int tries = 0; tries < DRAIN_TRIES && q->stats.tx_packets != q->completed; tries++) {
		xsk_flush(&xp->port, queue);
		if (q->stats.tx_packets != q->completed)
			usleep(DRAIN_US);
	}
	while (xsk_ring_cons__peek(&q->rx, 1, &idx)) {
		rte_pktmbuf_free(xsk_frame_mbuf(q, xsk_ring_cons__rx_desc(&q->rx, idx)->addr));
		xsk_ring_cons__release(&q->rx, 1);
	}
	idx = __atomic_load_n(q->tx.consumer, __ATOMIC_ACQUIRE);
	for (; idx != q->tx.cached_prod; idx++)
		rte_pktmbuf_free(xsk_frame_mbuf(q, xsk_ring_prod__tx_desc(&q->tx, idx)->addr));
}

/* The rings are unmapped with the socket. Nothing comes in any more once it is out of the map: they
 * are emptied before. */
static void close_queue(struct xsk_port *xp, uint16_t queue)
{
	struct xsk_queue *q = &xp->queues[queue];

	if (xp->steer)
		steer_set_socket(xp->steer, queue, -1);
	if (q->socket)
		drain_socket(xp, queue);
	if (q->umem)
		drain_fill(q);
	if (q->socket)
		xsk_socket__delete(q->socket);
	if (q->umem)
		xsk_umem__delete(q->umem);
}

void xsk_close(struct port *port)
{
	struct xsk_port *xp = to_xsk(port);

	if (xp->steer)
		steer_set_endpoints(xp->steer, NULL, 0);
	for (uint16_t i = 0; i < port->n_queues; i++)
		close_queue(xp, i);
	steer_close(xp->steer);
	free(xp);
}

struct span {
	char *start, *end;
	unsigned chunks;
};

static void widen_span(struct rte_mempool *mp, void *arg, struct rte_mempool_memhdr *mem,
		       unsigned idx)
{
	struct span *span = arg;
	char *start = mem->addr;

	(void)mp;
	(void)idx;
	if (!span->start || start < span->start)
		span->start = start;
	if (start + mem->len > span->end)
		span->end = start + mem->len;
	span->chunks++;
}

/* The layout of frames in the pool's memory. */
static int plan_umem(struct xsk_port *xp, struct rte_mempool *pool, char *err, size_t err_size)
{
	struct span span = {0};
	uint32_t before_data =
		pool->header_size + (uint32_t)sizeof(struct rte_mbuf) + rte_pktmbuf_priv_size(pool);
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	rte_mempool_mem_iter(pool, widen_span, &span);
	xp->umem_base = (char *)((uintptr_t)span.start & ~(page - 1));
	xp->umem_size = (uint64_t)(span.end - xp->umem_base);
	xp->headroom = before_data + RTE_PKTMBUF_HEADROOM;
	xp->chunk = before_data + rte_pktmbuf_data_room_size(pool);
	if (xp->chunk > MAX_CHUNK)
		xp->chunk = MAX_CHUNK;
	uint32_t need = PORT_L2_OVERHEAD + 1280;

	if (xp->chunk < xp->headroom + XDP_ROOM + need) {
		snprintf(err, err_size, "port %s: packet buffers of %u bytes are too small",
			 xp->port.name, rte_pktmbuf_data_room_size(pool));
		return -EINVAL;
	}
	xp->port.buffer_room = xp->chunk - xp->headroom - XDP_ROOM;
	if (span.chunks > 1 && rte_eal_iova_mode() != RTE_IOVA_VA) {
		snprintf(err, err_size,
			 "port %s: packet buffers lie in %u pieces; start with --iova-mode=va",
			 xp->port.name, span.chunks);
		return -EINVAL;
	}
	return 0;
}

static int open_umem(struct xsk_port *xp, struct xsk_queue *q, const struct port_config *cfg)
{
	const struct xsk_umem_config umem = {
		.fill_size = cfg->ring_size,
		.comp_size = cfg->ring_size,
		.frame_size = xp->chunk,
		.frame_headroom = xp->headroom,
		.flags = XDP_UMEM_UNALIGNED_CHUNK_FLAG,
	};

	return xsk_umem__create(&q->umem, xp->umem_base, xp->umem_size, &q->fill, &q->comp, &umem);
}

static void set_busy_poll(struct xsk_queue *q)
{
	const int one = 1, us = BUSY_POLL_US, budget = BUSY_POLL_PKTS;

	q->busy_poll = !setsockopt(q->fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &one, sizeof(one)) &&
		       !setsockopt(q->fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us)) &&
		       !setsockopt(q->fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof(budget));
}

static int open_queue(struct xsk_port *xp, uint16_t queue, const struct port_config *cfg, char *err,
		      size_t err_size)
{
	struct xsk_queue *q = &xp->queues[queue];
	const struct xsk_socket_config sock = {
		.rx_size = cfg->ring_size,
		.tx_size = cfg->ring_size,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_USE_NEED_WAKEUP | (cfg->force_copy ? XDP_COPY : 0),
	};
	const int send_buffer = SEND_BUFFER;

	q->pool = cfg->pool;
	q->base = xp->umem_base;
	q->mbuf_off = cfg->pool->header_size;
	int res = open_umem(xp, q, cfg);

	if (res) {
		snprintf(err, err_size, "port %s: cannot register the packet buffers: %s",
			 cfg->name, strerror(-res));
		return res;
	}
	/* filled before it is bound, so that the first packet finds a frame */
	for (uint32_t i = 0; i < cfg->ring_size / XSK_FILL_BATCH; i++)
		if (!xsk_fill(q, XSK_FILL_BATCH)) {
			snprintf(err, err_size, "port %s: too few packet buffers for queue %u",
				 cfg->name, queue);
			return -ENOMEM;
		}
	res = xsk_socket__create(&q->socket, cfg->name, queue, q->umem, &q->rx, &q->tx, &sock);
	if (res) {
		snprintf(err, err_size, "port %s: cannot bind queue %u: %s%s", cfg->name, queue,
			 strerror(-res), res == -EINVAL ? " (has the interface so many?)" : "");
		return res;
	}
	q->fd = xsk_socket__fd(q->socket);
	if (setsockopt(q->fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof(send_buffer)))
		setsockopt(q->fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
	if (cfg->busy_poll)
		set_busy_poll(q);
	res = steer_set_socket(xp->steer, queue, q->fd);
	if (res)
		snprintf(err, err_size, "port %s: cannot steer queue %u: %s", cfg->name, queue,
			 strerror(-res));
	return res;
}

static int ask_device(const char *name, unsigned long request, struct ifreq *req)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memccpy(req->ifr_name, name, 0, sizeof(req->ifr_name) - 1); /* req is zero */
	int res = ioctl(fd, request, req) < 0 ? -errno : 0;

	close(fd);
	return res;
}

int xsk_port_refresh(struct port *port)
{
	struct ifreq req = {0};
	int res = ask_device(port->name, SIOCGIFMTU, &req);

	if (res)
		return res;
	port->mtu = req.ifr_mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)req.ifr_mtu;
	res = ask_device(port->name, SIOCGIFHWADDR, &req);
	if (!res)
		memcpy(port->mac, req.ifr_hwaddr.sa_data, sizeof(port->mac));
	return res;
}

static uint16_t device_queues(const char *name)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq req = {.ifr_data = (void *)&channels};

	if (ask_device(name, SIOCETHTOOL, &req))
		return 0;
	return (uint16_t)(channels.rx_count + channels.combined_count);
}

/* Which way the packets come, for people. */
static void describe(struct xsk_port *xp)
{
	struct xdp_options options = {0};
	socklen_t len = sizeof(options);

	xp->zero_copy = !getsockopt(xp->queues[0].fd, SOL_XDP, XDP_OPTIONS, &options, &len) &&
			(options.flags & XDP_OPTIONS_ZEROCOPY);
	snprintf(xp->port.mode, sizeof(xp->port.mode), "%s, %s%s%s",
		 steer_is_native(xp->steer) ? "native" : "generic",
		 xp->zero_copy ? "zero-copy" : "copy", xp->queues[0].busy_poll ? ", busy poll" : "",
		 steer_has_dispatcher(xp->steer) ? ", dispatcher" : "");
}

static int open_all(struct xsk_port *xp, const struct port_config *cfg, char *err, size_t err_size)
{
	const struct steer_config steer = {
		.iface = cfg->name,
		.mode = cfg->force_generic ? STEER_MODE_GENERIC : STEER_MODE_AUTO,
	};
	int res = plan_umem(xp, cfg->pool, err, err_size);

	if (res)
		return res;
	xp->steer = steer_open(&steer, err, err_size);
	if (!xp->steer)
		return -ENODEV;
	xp->port.ifindex = if_nametoindex(cfg->name);
	xp->port.dev_queues = device_queues(cfg->name);
	res = xsk_port_refresh(&xp->port);
	if (res)
		snprintf(err, err_size, "port %s: %s", cfg->name, strerror(-res));
	for (uint16_t i = 0; i < cfg->n_queues && !res; i++) {
		xp->port.n_queues = (uint16_t)(i + 1);
		res = open_queue(xp, i, cfg, err, err_size);
	}
	if (!res && port_max_frame(&xp->port) < xp->port.mtu + 14U) {
		snprintf(err, err_size,
			 "port %s: MTU %u needs packet buffers with room for %u bytes, these have "
			 "%u",
			 cfg->name, xp->port.mtu, xp->port.mtu + PORT_L2_OVERHEAD,
			 xp->port.buffer_room);
		res = -EINVAL;
	}
	return res;
}

struct port *xsk_port_open(const struct port_config *cfg, char *err, size_t err_size)
{
	size_t size = sizeof(struct xsk_port) + cfg->n_queues * sizeof(struct xsk_queue);
	struct xsk_port *xp =
		aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(size, RTE_CACHE_LINE_SIZE));

	if (!xp) {
		snprintf(err, err_size, "port %s: out of memory", cfg->name);
		return NULL;
	}
	memset(xp, 0, size);
	xp->port.ops = &xsk_ops;
	xp->port.kind = PORT_KIND_XSK;
	xp->port.id = cfg->id;
	xp->port.ethdev_id = UINT16_MAX;
	snprintf(xp->port.name, sizeof(xp->port.name), "%s", cfg->name);
	if (open_all(xp, cfg, err, err_size)) {
		xsk_close(&xp->port);
		return NULL;
	}
	describe(xp);
	return &xp->port;
}

struct steer *xsk_port_steer(const struct port *port)
{
	return to_xsk(port)->steer;
}
