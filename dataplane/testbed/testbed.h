/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole edge in memory, for tests and the bench: real workers, tables and handshake code (its thread not started), a
 * port that is two arrays, and the far ends' keys, so that packets can be made and outputs opened with libsodium, an
 * implementation of its own. One thread plays everything; time is the machine's.
 *
 *   account 0: vnet 0, tunnels 0 and 1, clients 0 … n−1 (100.96.0.10 + i, fd00:a::10 + i), default allow
 *   account 1: vnet 1, tunnel 2, client n (100.96.0.10: the pools overlap), default allow
 *   route 198.51.100.0/24 and 2001:db8::/32 → tunnel 0, 203.0.113.0/24 → tunnel 1; in vnet 1: 198.51.100.0/24 → tunnel 2
 *   connectors: one per tunnel, with one session on each worker; client i lives on worker i % workers
 *
 * The flow log runs without its threads: testbed_log gives its lines.
 */
#ifndef DATAPLANE_TESTBED_H
#define DATAPLANE_TESTBED_H

#include "dataplane/flowlog/flowlog.h"
#include "dataplane/flowlog/hits.h"
#include "dataplane/stages/stage.h"
#include "dataplane/tables/policy.h"

#define TESTBED_FRAMES  1024 /* sent frames kept until testbed_clear; more are refused as by a full port */
#define TESTBED_TUNNELS 3
#define TESTBED_RULES   4096 /* of each account */
#define TESTBED_FIRST_ROUTE 100 /* route index of 198.51.100.0/24 in vnet 0; the others follow in the order above */
#define TESTBED_MAX_CLIENTS 1000000

/* A far end: a client's or connector session's keys and counters as the other side has them. */
struct far_end {
	uint32_t peer;
	struct endpoint endpoint; /* as the edge sees it: remote = the far end */
	uint8_t tx_key[32], rx_key[32];
	uint64_t tx_counter;
	uint32_t edge_index; /* receiver index to send to */
	uint32_t own_index;  /* receiver index that the edge sends to */
};

struct testbed {
	struct edge edge;
	struct port *port; /* id 0: an array in, an array out */
	uint16_t mtu;
	unsigned n_clients;
	struct far_end *clients;                              /* [n_clients + 1] */
	struct far_end connectors[TESTBED_TUNNELS][EDGE_MAX_WORKERS]; /* by tunnel and worker */
	struct tail_cursor log_cursor;
	uint32_t next_route;
	unsigned n_out; /* frames sent since the last testbed_clear */
	struct rte_mbuf *out[TESTBED_FRAMES];
};

/* How big a bed is; zero fields take the defaults of testbed_create. */
struct testbed_size {
	unsigned workers, clients;
	unsigned flows;  /* capacity of each worker, a power of two */
	/* random ones beside the bed's own, in vnet 0, inside 10/8 and 172/8, which lead to tunnel 1 as well; none covers 198.51.100.0/24 */
	unsigned routes;
	unsigned mtu; /* of all inner legs; 0: 1,280 */
	unsigned memory_mb;
	bool huge_pages;    /* transparent ones for what DPDK allocates, as a big table wants them */
	const char *lcores; /* as the EAL takes them ("0@1,1@0"); NULL: lcore 0 on core 0. Of the first bed only */
	bool no_log; /* workers without the flow log */
	unsigned spare_sessions; /* of each worker, beside those of the bed's own; 0: 1,024 */
};

/* Initialises DPDK once (no huge pages, no devices). Aborts with a message when something cannot be made. */
struct testbed *testbed_create(unsigned workers, unsigned clients);
struct testbed *testbed_create_sized(const struct testbed_size *size);
void testbed_destroy(struct testbed *bed);

/* Makes the data message of a far end: inner bytes sealed with libsodium, outer IPv4 headers; returns the frame length. */
unsigned testbed_seal(struct testbed *bed, struct far_end *from, const void *inner, unsigned len, uint8_t *frame);
/* Outer Ethernet, IPv4 and UDP headers of a far end around any UDP payload; returns the frame length. */
unsigned testbed_frame(const struct far_end *from, const uint8_t *udp_payload, unsigned len, uint8_t *frame);
/* Gives the outer headers of a frame another length of UDP payload; the frame's address fields stay. */
void testbed_frame_length(uint8_t *frame, unsigned len);
/* Puts a frame into a worker's receive queue. */
void testbed_inject(struct testbed *bed, unsigned worker, const void *frame, unsigned len);
/* Seal and inject at once. */
void testbed_send(struct testbed *bed, unsigned worker, struct far_end *from, const void *inner, unsigned len);
/* Turns all workers until nothing is left to do; drains events for the handshake thread. */
void testbed_run(struct testbed *bed);
/*
 * Opens sent frame number i as the far end `to`: checks addresses, index, tag; gives the inner bytes (padding included).
 * Returns their length, or −1 when the frame is not for it.
 */
int testbed_open(struct testbed *bed, unsigned i, const struct far_end *to, uint8_t *inner);
/* The same of any frame of `len` bytes. */
int testbed_open_frame(const uint8_t *frame, unsigned len, const struct far_end *to, uint8_t *inner);
/* Forgets sent frames. */
void testbed_clear(struct testbed *bed);

/* The next line of the flow log since the start, or the last call, without its newline; false: none. */
bool testbed_log(struct testbed *bed, char *line, size_t size);

/* Takes one of the bed's IPv4 routes away. */
void testbed_remove_route(struct testbed *bed, uint32_t vnet, const char *network, uint8_t len);

/* Sum of a drop reason over all workers and the handshake side. */
uint64_t testbed_drops(const struct testbed *bed, enum drop_reason reason);
/* True when rx = (tx − originated) + kernel + consumed + drops over everything. */
bool testbed_conserved(const struct testbed *bed);

/* A rule as people write it; expressions NULL: always true. Its index is its place in the array. */
struct bed_rule {
	const char *name, *traffic, *identity, *posture;
	enum policy_filter filter;
	enum policy_action action;
	bool silent;
};

/* Sets all rules of the account (precedence: their order) and its default action; its flows decide again. */
void testbed_rules(struct testbed *bed, uint32_t account, bool default_allow, const struct bed_rule *rules, size_t n);
/* Makes the IP list what `items` (NULL-terminated) say; the account's flows decide again. */
void testbed_list(struct testbed *bed, uint32_t account, const char *id, const char *const *items);
/* Gives client i another identity: e-mail, one group, one posture check that is passed (each may be NULL). */
void testbed_identity(struct testbed *bed, uint32_t client, const char *email, const char *group, const char *passed);

/* Frees what the rules of all beds point into; testbed_destroy calls it. */
void testbed_rules_free(void);

/* Inner packets. Addresses in text; returns the length. */
unsigned packet_udp4(uint8_t *p, const char *src, const char *dst, uint16_t sport, uint16_t dport, unsigned payload);
unsigned packet_tcp4(uint8_t *p, const char *src, const char *dst, uint16_t sport, uint16_t dport, uint8_t flags,
		     unsigned payload);
unsigned packet_udp6(uint8_t *p, const char *src, const char *dst, uint16_t sport, uint16_t dport, unsigned payload);
unsigned packet_echo4(uint8_t *p, const char *src, const char *dst, bool request, uint16_t id);

#endif
