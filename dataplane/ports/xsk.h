/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the AF_XDP port: its data path (xsk.c) and its opening and closing (xsk_open.c). */
#ifndef SLUICE_DATAPLANE_XSK_H
#define SLUICE_DATAPLANE_XSK_H

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <xdp/xsk.h>

#include "dataplane/ports/port_kinds.h"

#define XSK_FILL_BATCH 32 /* the fill ring is refilled so many at a time */

struct xsk_queue {
	/* the queue's thread: read and write */
	struct xsk_ring_cons rx;
	struct xsk_ring_prod fill;
	struct xsk_ring_prod tx;
	struct xsk_ring_cons comp;
	struct port_stats stats;
	uint64_t completed; /* frames that came back; tx_packets - completed are with the kernel */
	/* constant after open */
	char *base;	   /* first byte of the umem */
	uint32_t mbuf_off; /* from a frame's start to its rte_mbuf */
	int fd;
	bool busy_poll;
	struct rte_mempool *pool;
	struct xsk_socket *socket;
	struct xsk_umem *umem;
} __rte_cache_aligned;

struct xsk_port {
	struct port port;
	struct steer *steer;
	bool zero_copy;
	char *umem_base;
	uint64_t umem_size;
	uint32_t chunk, headroom; /* bytes; headroom without XDP_ROOM */
	struct xsk_queue queues[];
};

static inline struct xsk_port *to_xsk(const struct port *port)
{
	return (struct xsk_port *)(uintptr_t)port;
}

/* The mbuf in a frame whose address a ring gave (with or without offset). */
static inline struct rte_mbuf *xsk_frame_mbuf(const struct xsk_queue *q, uint64_t addr)
{
	return (struct rte_mbuf *)(void *)(q->base + xsk_umem__extract_addr(addr) + q->mbuf_off);
}

/* Puts n ≤ XSK_FILL_BATCH fresh mbufs into the fill ring; false when the pool has not so many. */
bool xsk_fill(struct xsk_queue *q, uint32_t n);

extern const struct port_ops xsk_ops;
void xsk_flush(struct port *port, uint16_t queue);
void xsk_close(struct port *port);

#endif
