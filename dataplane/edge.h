/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The running edge: everything its threads share. Built once at start by dataplane/main.c, never reallocated.
 *
 *   control thread   configuration, sync with sluice-ctrl, edge.sock, netlink, RCU reclaim      (dataplane/control/)
 *   handshake thread Noise, cookies, timers, liveness of connectors                             (dataplane/handshake/)
 *   workers          packets                                                                    (dataplane/stages/)
 */
#ifndef DATAPLANE_EDGE_H
#define DATAPLANE_EDGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/drop_reasons.h"
#include "dataplane/peer.h"
#include "dataplane/records.h"

#define EDGE_MAX_WORKERS 16
#define EDGE_MAX_PORTS   8
#define EDGE_MAX_LISTEN  16
#define EDGE_MAX_KEYS    2

struct rte_mempool;
struct rte_ring;
struct rte_rcu_qsbr;
struct port;
struct route_table;
struct device_table;
struct peer_index;
struct policy_set;
struct outer_snapshot;
struct worker;
struct handshake;
struct cards;
struct flow_log;
struct hits;
struct tap;

struct listen_address {
	uint8_t family;      /* 4 or 6 */
	uint8_t address[16]; /* network order, v4 in the first four bytes; all zero = any local address */
	uint16_t port;       /* host order */
};

/* What the YAML file says (docs/protocols.md, 4), checked. Owned by control, read-only once the workers run. */
struct edge_config {
	char edge_id[64];
	char ctrl_socket[108];
	char socket[108];
	char state_dir[256];
	char metrics[64];
	unsigned n_workers;
	unsigned worker_cores[EDGE_MAX_WORKERS];
	unsigned control_core;
	unsigned n_listen;
	struct listen_address listen[EDGE_MAX_LISTEN];
	unsigned n_advertise;
	char advertise[EDGE_MAX_LISTEN][64]; /* "host:port" */
	unsigned n_keys;
	uint8_t private_keys[EDGE_MAX_KEYS][32]; /* wiped once the handshake thread has them */
	unsigned edge_number_bits, edge_number;
	bool busy_poll;
	struct {
		bool on;
		char file[256]; /* "": lines stay in memory */
		uint64_t max_bytes;
		unsigned keep;
	} flow_log;
	unsigned cap_peers, cap_sessions /* a worker */, cap_flows /* a worker */, cap_vnets, cap_accounts, cap_tunnels,
		cap_clients, cap_connectors, cap_routes, cap_mbufs, cap_rules;
};

struct edge {
	struct edge_config config;

	unsigned n_workers;
	struct worker *workers[EDGE_MAX_WORKERS];
	struct handshake *handshake;

	unsigned n_ports;
	struct port *ports[EDGE_MAX_PORTS];
	struct rte_mempool *mbuf_pool; /* one pool: any mbuf may leave by any port and queue */
	struct rte_mempool *message_pool;
	/* workers → control thread: struct message * of type CTL_*; the eventfd is written after each */
	struct rte_ring *control_inbox;
	int control_wake_fd;
	struct rte_rcu_qsbr *qsbr; /* workers are reader threads 0 … n_workers−1; the handshake thread is n_workers */

	/* tables: control writes, workers and the handshake thread read */
	struct records *records;
	struct route_table *routes;      /* (vnet, address) → route index: records->routes */
	struct device_table *devices;    /* (account, address) → client index */
	struct policy_set *policy;       /* who may open which flow; per account */
	const struct outer_snapshot *outer; /* kernel's routes and neighbours; acquire load, RCU */

	struct cards *cards;       /* names for the flow log (flowlog/cards.h); NULL: none are kept */
	struct flow_log *flow_log; /* NULL: off */
	struct hits *hits;         /* counters per rule, route, client (flowlog/hits.h); NULL: none are kept */

	struct tap *tap; /* packets are shown to it; NULL: none is on. Release store, acquire load; freed behind RCU */

	/* sessions[worker * cap_sessions + slot]; see peer.h */
	struct session *sessions;
	struct peer *peers; /* [cap_peers] */
	const struct peer_index *index; /* codec of receiver indexes */

	/*
	 * Byte per connector index: enum connector_life (peers.h). Handshake thread writes, workers read.
	 */
	uint8_t *connector_live;
	uint32_t losses; /* connectors that stopped to live; handshake thread writes, workers read (atomic) */

	uint64_t instance;   /* random, of this run */
	uint64_t started_ns; /* edge_now_ns at start: mid-stream packets may recreate flows for 120 s */
	_Atomic bool stop;
};

/* Monotonic time in ns of CLOCK_MONOTONIC (by TSC). Any thread. */
uint64_t edge_now_ns(void);

#endif
