/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port: where outer packets come in and go out. Two kinds: `xsk` (AF_XDP of our own, on an
 * interface the kernel keeps) and `ethdev` (any DPDK device). Workers use the inline verbs; queue q
 * belongs to one thread at a time, both directions. Everything else (open, close, stats) is for the
 * control thread.
 */
#ifndef SLUICE_DATAPLANE_PORT_H
#define SLUICE_DATAPLANE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;
struct steer;
struct port;

#define PORT_MAX_QUEUES 64
#define PORT_NAME_SIZE	64
#define PORT_MAX_BURST	64

enum port_kind {
	PORT_KIND_XSK,
	PORT_KIND_ETHDEV,
};

/*
 * Counters of one queue. Written by the queue's thread alone, read by the control thread without a
 * lock (each is one aligned 64-bit word). rx_full, rx_nombuf and rx_too_long are drop reasons
 * (port_…) of packets that XDP has counted as rx; ports without XDP leave them 0 and know
 * rx_nic_missed alone. tx_dropped is reason tx_full.
 */
struct port_stats {
	uint64_t rx_packets; /* handed to the worker */
	uint64_t rx_bytes;
	uint64_t tx_packets; /* queued to the device */
	uint64_t tx_bytes;
	uint64_t tx_dropped;	/* freed instead of queued, whatever the cause */
	uint64_t tx_unsendable; /* of these: chained, too long, or not of the port's mempool */
	uint64_t rx_full;	/* receive ring was full */
	uint64_t rx_nombuf;	/* fill ring was empty */
	uint64_t rx_too_long;	/* longer than a buffer */
	uint64_t rx_nic_missed; /* missed by the device before rx is counted: kept apart */
	uint64_t fill_empty;	/* bursts that found no mbuf for the fill ring */
	uint64_t tx_wakeups;	/* system calls to send */
};

struct port_ops {
	uint16_t (*rx_burst)(struct port *port, uint16_t queue, struct rte_mbuf **mbufs,
			     uint16_t n);
	uint16_t (*tx_burst)(struct port *port, uint16_t queue, struct rte_mbuf **mbufs,
			     uint16_t n);
	void (*flush)(struct port *port, uint16_t queue);
	int (*rx_fd)(const struct port *port, uint16_t queue);
	bool (*before_sleep)(struct port *port, uint16_t queue);
	int (*read_stats)(struct port *port, uint16_t queue, struct port_stats *out);
	void (*close)(struct port *port);
};

/* Read-only after port_open(), except mtu and mac (control thread: port_refresh). */
struct port {
	const struct port_ops *ops;
	enum port_kind kind;
	uint16_t id;	     /* as given in the config: index in the edge's list of ports */
	uint16_t n_queues;   /* rx and tx alike */
	uint16_t dev_queues; /* rx queues of the device, 0: unknown; what comes on others is the
				kernel's */
	uint16_t mtu;	     /* bytes of IP packet */
	uint16_t ethdev_id;  /* DPDK's number; UINT16_MAX for xsk */
	uint8_t mac[6];
	uint32_t buffer_room; /* bytes of frame that one mbuf takes; see port_max_frame() */
	uint32_t ifindex;     /* the kernel's interface; 0 where there is none (PCI, ring, null) */
	char name[PORT_NAME_SIZE]; /* interface name, PCI address or vdev name */
	char mode[48]; /* for people: "native, zero-copy", "generic, copy", driver name */
};

struct port_config {
	enum port_kind kind;
	uint16_t id;
	/* xsk: 1..PORT_MAX_QUEUES, at most the interface's; ethdev: at most this, fewer if the
	 * device has fewer */
	uint16_t n_queues;
	/* power of two, 64..4,096; 0: 2,048. xsk holds up to 3 × ring_size × n_queues mbufs of the
	 * pool */
	uint16_t ring_size;
	const char *name; /* xsk: interface; ethdev: PCI address, or vdev string "net_ring0,…" */
	struct rte_mempool *pool; /* mbufs of one segment; outlives the port */
	/* xsk only */
	bool force_copy;    /* never zero-copy */
	bool force_generic; /* XDP generic mode */
	bool busy_poll;	    /* SO_PREFER_BUSY_POLL on the sockets */
};

/*
 * Opens a port and makes it ready: xsk loads the XDP program (nothing is steered before
 * steer_set_endpoints), creates one socket per queue, fills the fill rings; ethdev probes,
 * configures and starts the device. Returns the port, or NULL with a sentence in err that names the
 * port and what is wrong.
 */
struct port *port_open(const struct port_config *cfg, char *err, size_t err_size);

/*
 * Stops and frees; no worker may use it any more. Mbufs inside rings go back to their pool; those
 * that a zero-copy driver holds are lost until the pool is freed. NULL is fine.
 */
void port_close(struct port *port);

/* The XDP program of an xsk port, for endpoints, deny list and counters; NULL for others. */
struct steer *port_steer(const struct port *port);

/* Reads MTU and MAC of the device again. 0 or negative errno. */
int port_refresh(struct port *port);

/*
 * Largest frame (Ethernet header included) that the port can receive and send in one mbuf.
 */
uint32_t port_max_frame(const struct port *port);

/*
 * Up to n ≤ PORT_MAX_BURST received packets; each has one segment and ≥ RTE_PKTMBUF_HEADROOM (128)
 * bytes of headroom, pkt_len from the Ethernet header on, port field = port->id. Refills and
 * completes on the way; never blocks.
 */
static inline uint16_t port_rx_burst(struct port *port, uint16_t queue, struct rte_mbuf **mbufs,
				     uint16_t n)
{
	return port->ops->rx_burst(port, queue, mbufs, n);
}

/*
 * Queues packets to send; takes all n, whatever happens: those that do not fit or cannot be sent
 * (more than one segment, too long) are freed and counted. Returns how many were queued. xsk: call
 * flush at the end of a turn. Checksums are the caller's: ports offload none.
 */
static inline uint16_t port_tx_burst(struct port *port, uint16_t queue, struct rte_mbuf **mbufs,
				     uint16_t n)
{
	return port->ops->tx_burst(port, queue, mbufs, n);
}

/* Tells the device about what tx_burst queued (a system call where the kernel asks for one) and
 * reclaims sent mbufs. */
static inline void port_flush(struct port *port, uint16_t queue)
{
	port->ops->flush(port, queue);
}

/* File descriptor for poll(POLLIN) that wakes when the queue has packets; -1: there is none, sleep
 * for a time instead. */
static inline int port_rx_fd(const struct port *port, uint16_t queue)
{
	return port->ops->rx_fd(port, queue);
}

/*
 * Call right before sleeping on port_rx_fd: refills, flushes. poll() returns at once while packets
 * wait. False: the device has not taken all yet that is to be sent, so sleep a millisecond at most.
 */
static inline bool port_before_sleep(struct port *port, uint16_t queue)
{
	return port->ops->before_sleep(port, queue);
}

/* Counters of a queue since open. 0 or negative errno. */
static inline int port_read_stats(struct port *port, uint16_t queue, struct port_stats *out)
{
	return port->ops->read_stats(port, queue, out);
}

#endif
