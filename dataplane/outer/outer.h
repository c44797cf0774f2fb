/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outer network as the kernel has it: interfaces, local addresses, routes (main table) and
 * neighbours, read from netlink and kept current. The control thread writes (everything that takes
 * a struct outer); workers read immutable snapshots. Policy routing (ip rule) is not followed; of
 * an ECMP route the first usable next hop is taken.
 */
#ifndef SLUICE_DATAPLANE_OUTER_H
#define SLUICE_DATAPLANE_OUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outer;
struct outer_snapshot;

#define OUTER_MAX_PORTS 64

/* An address in network byte order; IPv4 in b[0..3], the rest zero. family is AF_INET or AF_INET6.
 */
struct outer_addr {
	uint8_t b[16];
	uint8_t family;
};

/* An interface that carries our packets: the kernel's index and our port number. */
struct outer_port {
	uint32_t ifindex;
	uint16_t port_id;
};

struct outer_config {
	const struct outer_port *ports;
	size_t n_ports; /* ≤ OUTER_MAX_PORTS */
	/*
	 * Called by the control thread after a new snapshot is published: call free_fn(ptr) once no
	 * worker can read ptr any more (rte_rcu_qsbr). NULL: freed at once (no workers: tests).
	 */
	void (*retire)(void *ptr, void (*free_fn)(void *));
	/* Called by the control thread after each publication; may be NULL. */
	void (*changed)(void *arg, const struct outer_snapshot *snap);
	void *arg;
};

/* Reads everything once and publishes the first snapshot. NULL with a sentence in err. */
struct outer *outer_open(const struct outer_config *cfg, char *err, size_t err_size);
/* Frees, the current snapshot at once: no worker may read any more. NULL is fine. */
void outer_close(struct outer *outer);

/* Replaces the set of our interfaces and republishes. 0, -EINVAL (too many). */
int outer_set_ports(struct outer *outer, const struct outer_port *ports, size_t n);

/* For poll(POLLIN); then outer_process(). */
int outer_fd(const struct outer *outer);

/*
 * Takes what netlink has, probes stale neighbours in use, and publishes if something that workers
 * see has changed. Call when outer_fd is readable and when the returned time has passed:
 * milliseconds until it wants to be called again (bursts of changes are gathered), or -1: only when
 * readable. Never blocks for long: reads dumps of the kernel on changes of links, addresses and
 * routes.
 */
int outer_process(struct outer *outer);

/*
 * Asks the kernel to resolve a neighbour, as if it had a packet for it. Call it for
 * outer_result.next_hop when a worker saw OUTER_NEIGH_UNRESOLVED. At most one request per neighbour
 * and second goes out, and 256 in all (-EAGAIN). When the kernel gives up on it, a new generation
 * is published, so that workers with a cached answer ask again. 0 or negative errno.
 */
int outer_request_neigh(struct outer *outer, uint32_t ifindex, const struct outer_addr *next_hop);

/* The current snapshot. Any thread; a worker may use it until its next quiescent state. Never NULL.
 */
const struct outer_snapshot *outer_snapshot_get(const struct outer *outer);
/* Grows by one with each publication that changes an answer; a cached outer_result is good while it
 * stands still. */
uint64_t outer_generation(const struct outer_snapshot *snap);

enum outer_status {
	OUTER_OK,
	OUTER_NO_ROUTE, /* no route, or an unreachable / blackhole / prohibit one, or the link is
			   down */
	OUTER_NEIGH_UNRESOLVED, /* next_hop and ifindex are set: have it resolved */
	OUTER_NOT_OUR_PORT, /* kernel would send it out of an interface that is no port of ours, or
			       it is local */
};

struct outer_result {
	enum outer_status status;
	uint16_t port_id; /* OK only */
	uint16_t mtu; /* IP bytes: the smaller of interface and route; without learned path MTU */
	uint32_t ifindex;
	uint8_t src_mac[6];
	uint8_t dst_mac[6];
	struct outer_addr src;	    /* src_hint, or the address the kernel would choose */
	struct outer_addr next_hop; /* gateway, or the destination itself */
};

/*
 * How to send to dst. src_hint is the local address the packet will carry (NULL: choose); among
 * equal next hops one on the interface of src_hint is preferred. No system call, no lock, no
 * allocation: some tens to hundreds of ns; cache it.
 */
void outer_resolve(const struct outer_snapshot *snap, const struct outer_addr *dst,
		   const struct outer_addr *src_hint, struct outer_result *out);

/* Whether addr is an address of this host (any interface). */
bool outer_is_local(const struct outer_snapshot *snap, const struct outer_addr *addr);

struct outer_local {
	struct outer_addr addr;
	uint32_t ifindex;
	uint8_t prefix_len;
	bool tentative; /* IPv6 address that is not usable yet */
};

/* The local addresses, in no order; n is set. To expand "0.0.0.0:51820" into listen endpoints. */
const struct outer_local *outer_locals(const struct outer_snapshot *snap, size_t *n);

struct outer_link {
	uint32_t ifindex;
	uint32_t mtu;
	uint8_t mac[6];
	bool up; /* administratively up and carrier */
	char name[16];
};

/* The interface, or NULL. */
const struct outer_link *outer_link_get(const struct outer_snapshot *snap, uint32_t ifindex);

#endif
