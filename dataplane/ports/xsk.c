// SPDX-License-Identifier: BSD-3-Clause
/*
 * AF_XDP port. Every queue has its socket and its umem, and all umems are the same memory: that of
 * the mempool. So an mbuf is a frame in place: what one queue received another may send, without a
 * copy of ours.
 *
 * A frame begins at the mempool's object header and ends with the mbuf's buffer:
 *   | object header | rte_mbuf | private | RTE_PKTMBUF_HEADROOM | 256 for XDP | data …
 * Chunks are not aligned to their size, hence XDP_UMEM_UNALIGNED_CHUNK_FLAG: an address is that of
 * the frame, with the offset of the data in its upper 16 bits.
 */
#include <errno.h>
#include <linux/if_xdp.h>
#include <sys/socket.h>

#include "dataplane/ports/xsk.h"

#define MAX_KICKS 64

static inline struct xsk_queue *queue_of(struct port *port, uint16_t queue)
{
	return &to_xsk(port)->queues[queue];
}

static inline uint64_t mbuf_frame(const struct xsk_queue *q, const struct rte_mbuf *m)
{
	return (uint64_t)((const char *)m - q->base) - q->mbuf_off;
}

bool xsk_fill(struct xsk_queue *q, uint32_t n)
{
	struct rte_mbuf *mbufs[XSK_FILL_BATCH];
	uint32_t idx;

	if (rte_pktmbuf_alloc_bulk(q->pool, mbufs, n))
		return false;
	if (xsk_ring_prod__reserve(&q->fill, n, &idx) != n) {
		rte_pktmbuf_free_bulk(mbufs, n);
		return true;
	}
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&q->fill, idx + i) = mbuf_frame(q, mbufs[i]);
	xsk_ring_prod__submit(&q->fill, n);
	return true;
}

/* Keeps the fill ring full, in batches; the last few of the pool go in one by one only when the
 * ring runs dry. */
static void refill(struct xsk_queue *q)
{
	uint32_t room = xsk_prod_nb_free(&q->fill, XSK_FILL_BATCH);

	if (room < XSK_FILL_BATCH)
		return;
	for (; room >= XSK_FILL_BATCH; room -= XSK_FILL_BATCH) {
		if (xsk_fill(q, XSK_FILL_BATCH))
			continue;
		q->stats.fill_empty++;
		if (room > q->fill.size / 2)
			xsk_fill(q, 1);
		return;
	}
}

static inline void wake_rx(struct xsk_queue *q)
{
	if (q->busy_poll || xsk_ring_prod__needs_wakeup(&q->fill))
		recvfrom(q->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/* Frees what the kernel has sent. */
static void complete(struct xsk_queue *q)
{
	struct rte_mbuf *mbufs[PORT_MAX_BURST];
	uint32_t idx, n;

	while ((n = xsk_ring_cons__peek(&q->comp, PORT_MAX_BURST, &idx))) {
		for (uint32_t i = 0; i < n; i++)
			mbufs[i] = xsk_frame_mbuf(q, *xsk_ring_cons__comp_addr(&q->comp, idx + i));
		xsk_ring_cons__release(&q->comp, n);
		rte_pktmbuf_free_bulk(mbufs, n);
		q->completed += n;
	}
}

static uint16_t xsk_rx_burst(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct xsk_queue *q = queue_of(port, queue);
	uint64_t bytes = 0;
	uint32_t idx;

	if (n > PORT_MAX_BURST)
		n = PORT_MAX_BURST;
	uint16_t got = (uint16_t)xsk_ring_cons__peek(&q->rx, n, &idx);

	for (uint16_t i = 0; i < got; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&q->rx, idx + i);
		struct rte_mbuf *m = xsk_frame_mbuf(q, desc->addr);

		rte_prefetch0(m);
		m->data_off = (uint16_t)(xsk_umem__extract_offset(desc->addr) - q->mbuf_off -
					 (uint64_t)((char *)m->buf_addr - (char *)m));
		m->pkt_len = desc->len;
		m->data_len = (uint16_t)desc->len;
		m->port = port->id;
		bytes += desc->len;
		mbufs[i] = m;
	}
	if (got) {
		xsk_ring_cons__release(&q->rx, got);
		q->stats.rx_packets += got;
		q->stats.rx_bytes += bytes;
	}
	refill(q);
	if (!got)
		wake_rx(q);
	return got;
}

/* Frames in the tx ring that the kernel has not taken yet. */
static inline uint32_t tx_waiting(const struct xsk_queue *q)
{
	return q->tx.cached_prod - __atomic_load_n(q->tx.consumer, __ATOMIC_ACQUIRE);
}

/* In copy mode a call sends some 32 frames and says EAGAIN while more wait; the rest stays for the
 * next turn. */
void xsk_flush(struct port *port, uint16_t queue)
{
	struct xsk_queue *q = queue_of(port, queue);

	for (int kicks = 0; kicks < MAX_KICKS && tx_waiting(q); kicks++) {
		uint32_t before = tx_waiting(q);

		if (!q->busy_poll && !xsk_ring_prod__needs_wakeup(&q->tx))
			break;
		q->stats.tx_wakeups++;
		if (sendto(q->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN &&
		    errno != EBUSY && errno != ENOBUFS && errno != EINTR)
			break; /* the link is down, say */
		complete(q);
		if (tx_waiting(q) == before)
			break;
	}
	complete(q);
}

static inline bool sendable(const struct xsk_queue *q, const struct rte_mbuf *m, uint32_t max)
{
	return m->nb_segs == 1 && m->pool == q->pool && RTE_MBUF_DIRECT(m) && m->data_len &&
	       m->data_len <= max;
}

/* Removes what cannot be sent; returns how many remain, in order. */
static uint16_t sift(const struct port *port, struct xsk_queue *q, struct rte_mbuf **mbufs,
		     uint16_t n)
{
	const uint32_t max = port_max_frame(port);
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (likely(sendable(q, mbufs[i], max))) {
			mbufs[kept++] = mbufs[i];
			continue;
		}
		q->stats.tx_unsendable++;
		q->stats.tx_dropped++;
		rte_pktmbuf_free(mbufs[i]);
	}
	return kept;
}

static uint16_t xsk_tx_burst(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct xsk_queue *q = queue_of(port, queue);
	uint64_t bytes = 0;
	uint32_t idx;

	n = sift(port, q, mbufs, n);
	if (xsk_prod_nb_free(&q->tx, n) < n)
		xsk_flush(port, queue);
	uint32_t room = xsk_prod_nb_free(&q->tx, n);
	uint16_t fit = room < n ? (uint16_t)room : n;

	if (fit && xsk_ring_prod__reserve(&q->tx, fit, &idx) == fit) {
		for (uint16_t i = 0; i < fit; i++) {
			struct xdp_desc *desc = xsk_ring_prod__tx_desc(&q->tx, idx + i);
			uint64_t frame = mbuf_frame(q, mbufs[i]);
			uint64_t data = (uint64_t)(rte_pktmbuf_mtod(mbufs[i], char *) - q->base);

			desc->addr = frame | (data - frame) << XSK_UNALIGNED_BUF_OFFSET_SHIFT;
			desc->len = mbufs[i]->data_len;
			desc->options = 0;
			bytes += desc->len;
		}
		xsk_ring_prod__submit(&q->tx, fit);
		q->stats.tx_packets += fit;
		q->stats.tx_bytes += bytes;
	}
	if (fit < n) {
		q->stats.tx_dropped += (uint64_t)(n - fit);
		rte_pktmbuf_free_bulk(mbufs + fit, n - fit);
	}
	return fit;
}

static int xsk_rx_fd(const struct port *port, uint16_t queue)
{
	return to_xsk(port)->queues[queue].fd;
}

static bool xsk_before_sleep(struct port *port, uint16_t queue)
{
	struct xsk_queue *q = queue_of(port, queue);

	xsk_flush(port, queue);
	refill(q);
	wake_rx(q);
	return !tx_waiting(q);
}

/*
 * In copy mode every failure to get a frame counts in rx_dropped, and in the fill ring's counter
 * when that was empty; what is left of rx_dropped are frames too long. A zero-copy driver finds the
 * fill ring empty without losing a packet; the NIC counts what it misses then.
 */
static int xsk_read_stats(struct port *port, uint16_t queue, struct port_stats *out)
{
	struct xsk_port *xp = to_xsk(port);
	struct xdp_statistics kernel = {0};
	socklen_t len = sizeof(kernel);

	if (queue >= port->n_queues)
		return -EINVAL;
	port_stats_copy(out, &xp->queues[queue].stats);
	if (getsockopt(xp->queues[queue].fd, SOL_XDP, XDP_STATISTICS, &kernel, &len) < 0)
		return -errno;
	out->rx_full = kernel.rx_ring_full;
	if (xp->zero_copy) {
		out->rx_too_long = kernel.rx_dropped;
	} else {
		out->rx_nombuf = kernel.rx_fill_ring_empty_descs < kernel.rx_dropped
					 ? kernel.rx_fill_ring_empty_descs
					 : kernel.rx_dropped;
		out->rx_too_long = kernel.rx_dropped - out->rx_nombuf;
	}
	return 0;
}

const struct port_ops xsk_ops = {
	.rx_burst = xsk_rx_burst,
	.tx_burst = xsk_tx_burst,
	.flush = xsk_flush,
	.rx_fd = xsk_rx_fd,
	.before_sleep = xsk_before_sleep,
	.read_stats = xsk_read_stats,
	.close = xsk_close,
};
