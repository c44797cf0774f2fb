// SPDX-License-Identifier: BSD-3-Clause
// The worker end to end in memory: real frames in, real frames out, opened with libsodium. After each test every packet
// that came in is accounted for (decision 28).
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/handshake.h"
#include "dataplane/stages/inner.h"
#include "dataplane/testbed/testbed.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static struct testbed *bed;

static int setup(void **state)
{
	(void)state;
	bed = testbed_create(2, 8);
	return 0;
}

static int teardown(void **state)
{
	bool conserved = testbed_conserved(bed);

	(void)state;
	testbed_destroy(bed);
	return conserved ? 0 : -1;
}

/* ---- packets that only these tests need ---- */

static void fix_sum4(uint8_t *p)
{
	uint16_t sum;

	memset(p + 10, 0, 2);
	sum = inner_sum_fold(inner_sum(p, 20, 0));
	memcpy(p + 10, &sum, 2);
}

/* Port unreachable about p, from src to p's source; its length. */
static unsigned icmp_error_about(const uint8_t *p, unsigned len, const char *src, uint8_t *e)
{
	char to[INET_ADDRSTRLEN];
	uint16_t sum;

	inet_ntop(AF_INET, p + 12, to, sizeof(to));
	packet_echo4(e, src, to, true, 0);
	e[2] = 0;
	e[3] = (uint8_t)(28 + len);
	memset(e + 20, 0, 8);
	e[20] = 3;
	e[21] = 3;
	memcpy(e + 28, p, len);
	sum = inner_sum_fold(inner_sum(e + 20, 8 + len, 0));
	memcpy(e + 22, &sum, 2);
	fix_sum4(e);
	return 28 + len;
}

static void set_fragment(uint8_t *p, unsigned payload, unsigned offset, bool more, uint16_t id)
{
	p[2] = (uint8_t)((20 + payload) >> 8);
	p[3] = (uint8_t)(20 + payload);
	p[4] = (uint8_t)(id >> 8);
	p[5] = (uint8_t)id;
	p[6] = (uint8_t)((more ? 0x20 : 0) | offset / 8 >> 8);
	p[7] = (uint8_t)(offset / 8);
	fix_sum4(p);
}

static void set_outer_tos(uint8_t *frame, uint8_t tos)
{
	frame[15] = tos;
	fix_sum4(frame + 14);
}

/* The sent frames are fragments for connector 0 that together carry p's payload. */
static void reassembles(const uint8_t *p, unsigned len)
{
	uint8_t whole[1600] = {0}, q[1600];
	unsigned got = 0;

	for (unsigned i = 0; i < bed->n_out; i++) {
		unsigned total, offset;

		assert_true(testbed_open(bed, i, &bed->connectors[0][0], q) > 0);
		assert_int_equal(inner_sum_fold(inner_sum(q, 20, 0)), 0);
		total = (unsigned)(q[2] << 8 | q[3]) - 20;
		offset = ((unsigned)(q[6] << 8 | q[7]) & 0x1fff) * 8;
		assert_true(total + 20 <= 1280);
		memcpy(whole + offset, q + 20, total);
		got += total;
	}
	assert_int_equal(got, len - 20);
	assert_memory_equal(whole, p + 20, len - 20);
}

static void move(struct edge *edge, uint32_t peer, unsigned worker)
{
	struct message *msg = message_alloc(edge);

	msg->type = MSG_MIGRATE_OUT;
	msg->peer = peer;
	msg->migrate.target = (uint8_t)worker;
	assert_true(worker_post(edge->workers[edge->peers[peer].owner], msg));
}

static struct far_end *connector(unsigned tunnel, unsigned worker)
{
	return &bed->connectors[tunnel][worker];
}

/* Sends one inner packet from `from` on its own worker and returns how many frames came out. */
static unsigned pass(struct far_end *from, const uint8_t *p, unsigned len)
{
	testbed_clear(bed);
	testbed_send(bed, bed->edge.peers[from->peer].owner, from, p, len);
	testbed_run(bed);
	return bed->n_out;
}

static void up_and_down(void **state)
{
	uint8_t p[1500], q[1500];
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5000, 53, 100);
	int n;

	(void)state;
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	n = testbed_open(bed, 0, connector(0, 0), q);
	assert_true(n >= (int)len && n < (int)len + 16 && n % 16 == 0);
	assert_int_equal(q[8], 63); /* TTL down by one, checksum kept */
	assert_int_equal(inner_sum_fold(inner_sum(q, 20, 0)), 0);
	assert_memory_equal(q + 12, p + 12, len - 12);
	/* back: the answer finds the flow by the reversed tuple */
	len = packet_udp4(p, "198.51.100.101", "100.96.0.10", 53, 5000, 300);
	assert_int_equal(pass(connector(0, 0), p, len), 1);
	n = testbed_open(bed, 0, &bed->clients[0], q);
	assert_true(n >= (int)len);
	assert_memory_equal(q + 20, p + 20, len - 20);
	assert_int_equal(worker_flow_count(bed->edge.workers[0]), 1);
}

static void ipv6_inner(void **state)
{
	uint8_t p[1500], q[1500];
	unsigned len = packet_udp6(p, "fd00:a::b", "2001:db8::101", 5000, 53, 64);

	(void)state;
	assert_int_equal(pass(&bed->clients[1], p, len), 1); /* client 1 lives on worker 1 */
	assert_true(testbed_open(bed, 0, connector(0, 1), q) >= (int)len);
	assert_int_equal(q[7], 63);
	len = packet_udp6(p, "2001:db8::101", "fd00:a::b", 53, 5000, 64);
	assert_int_equal(pass(connector(0, 1), p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->clients[1], q) >= (int)len);
}

/* A drop: nothing comes out, the reason counts one. */
static void drops(struct far_end *from, const uint8_t *p, unsigned len, enum drop_reason reason)
{
	uint64_t before = testbed_drops(bed, reason);

	assert_int_equal(pass(from, p, len), 0);
	assert_int_equal(testbed_drops(bed, reason), before + 1);
}

static void hostile_inner(void **state)
{
	uint8_t p[1500];
	unsigned len;

	(void)state;
	len = packet_udp4(p, "100.96.0.11", "198.51.100.101", 1, 2, 8); /* client 1's address */
	drops(&bed->clients[0], p, len, DROP_inner_spoofed);
	len = packet_udp6(p, "fd00:a::b", "2001:db8::101", 1, 2, 8);
	drops(&bed->clients[0], p, len, DROP_inner_spoofed);
	len = packet_udp4(p, "127.0.0.1", "198.51.100.101", 1, 2, 8);
	drops(&bed->clients[0], p, len, DROP_inner_martian);
	len = packet_udp4(p, "100.96.0.10", "127.0.0.1", 1, 2, 8);
	drops(&bed->clients[0], p, len, DROP_inner_martian);
	len = packet_udp4(p, "100.96.0.10", "224.0.0.251", 5353, 5353, 8);
	drops(&bed->clients[0], p, len, DROP_inner_noise);
	len = packet_udp6(p, "fe80::1", "ff02::2", 1, 2, 8);
	drops(&bed->clients[0], p, len, DROP_inner_noise);
	len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 1, 2, 8);
	p[9] ^= 1; /* protocol, without its checksum */
	drops(&bed->clients[0], p, len, DROP_inner_checksum);
	p[0] = 0x95;
	drops(&bed->clients[0], p, len, DROP_inner_malformed);
	len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 1, 2, 8);
	p[9] = 132; /* SCTP */
	fix_sum4(p);
	drops(&bed->clients[0], p, len, DROP_proto_unsupported);
	len = packet_udp4(p, "100.96.0.10", "100.96.0.12", 1, 2, 8);
	testbed_clear(bed);
	assert_int_equal(pass(&bed->clients[0], p, len), 1); /* "prohibited", and nothing to client 2 */
	assert_int_equal(testbed_drops(bed, DROP_client_to_client), 1);
}

static void hostile_outer(void **state)
{
	uint64_t not_ours;
	uint8_t p[1500], frame[2048];
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 1, 2, 8), n;
	struct far_end wrong = bed->clients[0];

	(void)state;
	/* every flipped bit of the message: dropped, and nothing disturbed */
	n = testbed_seal(bed, &bed->clients[0], p, len, frame);
	for (unsigned bit = 0; bit < (n - 42) * 8; bit++) {
		frame[42 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		testbed_inject(bed, 0, frame, n);
		testbed_run(bed);
		frame[42 + bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(bed->n_out, 0);
	assert_true(testbed_drops(bed, DROP_aead_failed) >= (n - 42 - 16) * 8);
	testbed_inject(bed, 0, frame, n);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 1);
	/* replayed */
	testbed_inject(bed, 0, frame, n);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 1);
	assert_int_equal(testbed_drops(bed, DROP_replayed), 1);
	/* wrong key */
	wrong.tx_key[0] ^= 1;
	wrong.tx_counter = 100;
	n = testbed_seal(bed, &wrong, p, len, frame);
	testbed_clear(bed);
	testbed_inject(bed, 0, frame, n);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 0);
	/* every truncation of the frame */
	n = testbed_seal(bed, &bed->clients[0], p, len, frame);
	for (unsigned cut = 0; cut < n; cut++) {
		testbed_inject(bed, 0, frame, cut);
		testbed_run(bed);
	}
	assert_int_equal(bed->n_out, 0);
	/* not our port, a wrong outer checksum */
	not_ours = testbed_drops(bed, DROP_outer_not_ours);
	frame[36] ^= 1;
	testbed_inject(bed, 0, frame, n);
	frame[36] ^= 1;
	frame[22] ^= 1; /* TTL */
	testbed_inject(bed, 0, frame, n);
	testbed_run(bed);
	frame[22] ^= 1;
	assert_int_equal(testbed_drops(bed, DROP_outer_not_ours), not_ours + 1);
	assert_int_equal(testbed_drops(bed, DROP_outer_checksum), 1);
	assert_int_equal(bed->n_out, 0);
	testbed_inject(bed, 0, frame, n);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 1); /* untouched, it passes */
}

static void routing(void **state)
{
	uint8_t p[1500], q[1500];
	unsigned len = packet_udp4(p, "100.96.0.10", "192.0.2.1", 1, 2, 8);

	(void)state;
	/* no route: told with ICMP 3/0 from the edge's inner address */
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->clients[0], q) > 0);
	assert_int_equal(q[9], INNER_ICMP);
	assert_int_equal(q[20] << 8 | q[21], 0x0300);
	assert_memory_equal(q + 12, bed->edge.records->accounts[0]->edge_v4, 4);
	assert_int_equal(testbed_drops(bed, DROP_no_route), 1);
	/* 203.0.113.0/24 is the other tunnel's */
	len = packet_udp4(p, "100.96.0.10", "203.0.113.7", 1, 2, 8);
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, connector(1, 0), q) > 0);
	/* echo to the edge's own inner address */
	len = packet_echo4(p, "100.96.0.10", "100.96.0.1", true, 77);
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->clients[0], q) > 0);
	assert_int_equal(q[20], 0);
	assert_int_equal(inner_sum_fold(inner_sum(q + 20, len - 20, 0)), 0);
	/* anything else to it is not for sale */
	len = packet_udp4(p, "100.96.0.10", "100.96.0.1", 1, 2, 8);
	drops(&bed->clients[0], p, len, DROP_to_edge);
}

/* Decisions 3 and 13: between tunnels, vnets and accounts. */
static void isolation(void **state)
{
	uint8_t p[1500], q[1500];
	struct far_end *other = &bed->clients[8]; /* account 1, the same address as client 0 */
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5000, 53, 8);

	(void)state;
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, connector(0, 0), q) > 0);
	/* same packet from the other account: its own vnet's route, its own tunnel */
	assert_int_equal(pass(other, p, len), 1);
	assert_true(testbed_open(bed, 0, connector(2, 0), q) > 0);
	/* an answer for account 0's flow from tunnel 1: refused; from tunnel 2: goes to account 1's flow */
	len = packet_udp4(p, "198.51.100.101", "100.96.0.10", 53, 5000, 8);
	drops(connector(1, 0), p, len, DROP_flow_wrong_tunnel);
	assert_int_equal(pass(connector(2, 0), p, len), 1);
	assert_true(testbed_open(bed, 0, other, q) > 0);
	assert_int_equal(testbed_open(bed, 0, &bed->clients[0], q), -1);
	/* connectors open nothing, and reach no unknown device */
	len = packet_udp4(p, "198.51.100.101", "100.96.0.10", 53, 5001, 8);
	drops(connector(0, 0), p, len, DROP_no_flow);
	len = packet_udp4(p, "198.51.100.101", "100.96.0.99", 53, 5000, 8);
	drops(connector(0, 0), p, len, DROP_unknown_device);
	/* account 1 has no client at account 0's other addresses */
	len = packet_udp4(p, "198.51.100.101", "100.96.0.12", 53, 5000, 8);
	drops(connector(2, 0), p, len, DROP_unknown_device);
}

/* An ICMP error of the private side must quote a live flow of its tunnel. */
static void icmp_quotes(void **state)
{
	uint8_t p[1500], e[600], q[1500];
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5000, 53, 8), n;

	(void)state;
	pass(&bed->clients[0], p, len);
	n = icmp_error_about(p, len, "198.51.100.1", e);
	drops(connector(1, 0), e, n, DROP_icmp_no_flow); /* a live flow, but of another tunnel */
	assert_int_equal(pass(connector(0, 0), e, n), 1);
	assert_true(testbed_open(bed, 0, &bed->clients[0], q) > 0);
	len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5001, 53, 8);
	n = icmp_error_about(p, len, "198.51.100.1", e);
	drops(connector(0, 0), e, n, DROP_icmp_no_flow);
	/* quotes another's packet */
	len = packet_udp4(p, "100.96.0.11", "198.51.100.101", 5000, 53, 8);
	n = icmp_error_about(p, len, "198.51.100.1", e);
	memcpy(e + 16, "\x64\x60\x00\x0a", 4);
	fix_sum4(e);
	drops(connector(0, 0), e, n, DROP_icmp_no_flow);
}

static void ttl_and_mtu(void **state)
{
	uint8_t p[1600], q[1600];
	unsigned len;

	(void)state;
	/* TTL 1: 11/0 back */
	len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 1, 2, 8);
	p[8] = 1;
	fix_sum4(p);
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->clients[0], q) > 0);
	assert_int_equal(q[20], 11);
	assert_int_equal(testbed_drops(bed, DROP_ttl_exceeded), 1);
	/* 1,281 bytes with DF over a leg of 1,280: 3/4 with 1,280; 1,280 passes */
	len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 1, 2, 1281 - 28);
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->clients[0], q) > 0);
	assert_int_equal(q[20] << 8 | q[21], 0x0304);
	assert_int_equal(q[26] << 8 | q[27], 1280);
	assert_int_equal(testbed_drops(bed, DROP_too_big), 1);
	len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 1, 2, 1280 - 28);
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_int_equal(testbed_open(bed, 0, connector(0, 0), q), 1280);
	/* v6: packet too big */
	len = packet_udp6(p, "fd00:a::a", "2001:db8::101", 1, 2, 1300);
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->clients[0], q) > 0);
	assert_int_equal(q[40], 2);
	/* without DF: two fragments that make up the packet */
	len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 1, 2, 1400 - 28);
	p[6] = 0;
	fix_sum4(p);
	assert_int_equal(pass(&bed->clients[0], p, len), 2);
	reassembles(p, len);
}

static void fragments(void **state)
{
	uint8_t p[1500], first[1500], later[1500];
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 700, 53, 800);

	(void)state;
	memcpy(first, p, 20 + 400);
	set_fragment(first, 400, 0, true, 0x4242);
	memcpy(later, p, 20);
	memcpy(later + 20, p + 420, len - 420);
	set_fragment(later, len - 420, 400, false, 0x4242);
	drops(&bed->clients[0], later, len - 400, DROP_fragment_no_first);
	assert_int_equal(pass(&bed->clients[0], first, 420), 1);
	assert_int_equal(pass(&bed->clients[0], later, len - 400), 1);
	assert_int_equal(worker_flow_count(bed->edge.workers[0]), 1);
	set_fragment(later, len - 420, 400, false, 0x4243);
	drops(&bed->clients[0], later, len - 400, DROP_fragment_no_first);
}

/* A packet that lands on the wrong worker crosses by ring, once, and is counted. */
static void handoff(void **state)
{
	uint8_t p[1500], q[1500];
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5000, 53, 8);

	(void)state;
	testbed_send(bed, 1, &bed->clients[0], p, len);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 1);
	assert_true(testbed_open(bed, 0, connector(0, 0), q) > 0);
	assert_int_equal(worker_counters(bed->edge.workers[1])->handoff_out, 1);
	assert_int_equal(worker_counters(bed->edge.workers[0])->handoff_in, 1);
	assert_int_equal(bed->edge.peers[0].handoffs, 1);
	/* the answer comes by the other worker's session: the flow stays where its client is */
	len = packet_udp4(p, "198.51.100.101", "100.96.0.10", 53, 5000, 8);
	assert_int_equal(pass(connector(0, 1), p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->clients[0], q) > 0);
	assert_int_equal(worker_flow_count(bed->edge.workers[1]), 0);
	assert_int_equal(worker_flow_count(bed->edge.workers[0]), 1);
}

static uint64_t nonce_of(unsigned i)
{
	uint64_t n;

	memcpy(&n, rte_pktmbuf_mtod_offset(bed->out[i], const uint8_t *, 42 + 8), 8);
	return n;
}

/* Decision 16: sessions, counters and flows move; no nonce repeats. */
static void migration(void **state)
{
	uint8_t p[1500], q[1500];
	uint64_t next = 0;
	unsigned len;

	(void)state;
	len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5000, 53, 8);
	pass(&bed->clients[0], p, len);
	for (unsigned round = 0; round < 40; round++) {
		/* the packets always arrive at worker 0, wherever the client lives */
		len = packet_udp4(p, "198.51.100.101", "100.96.0.10", 53, 5000, 8);
		testbed_clear(bed);
		testbed_send(bed, 0, connector(0, 0), p, len);
		if (round % 4 == 3)
			move(&bed->edge, 0, (round / 4 + 1) % 2);
		testbed_send(bed, 0, connector(0, 0), p, len);
		testbed_run(bed);
		assert_int_equal(bed->n_out, 2);
		for (unsigned i = 0; i < 2; i++) {
			assert_true(testbed_open(bed, i, &bed->clients[0], q) > 0);
			if (next == 0)
				next = nonce_of(i);
			assert_int_equal(nonce_of(i), next);
			next++;
		}
		assert_int_equal(worker_flow_count(bed->edge.workers[0]) + worker_flow_count(bed->edge.workers[1]), 1);
	}
	assert_int_equal(testbed_drops(bed, DROP_no_flow), 0);
}

/* Decisions 6 and 11: a change of generation makes the next packet decide again. */
static void redecide(void **state)
{
	struct client_record *client = (struct client_record *)(uintptr_t)bed->edge.records->clients[0];
	uint8_t p[1500], q[1500];
	uint64_t before;
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5000, 53, 8);

	(void)state;
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	testbed_rules(bed, 0, false, NULL, 0);
	before = testbed_drops(bed, DROP_policy_block);
	assert_int_equal(pass(&bed->clients[0], p, len), 1); /* "prohibited" to the client, nothing to the connector */
	assert_true(testbed_open(bed, 0, &bed->clients[0], q) > 0);
	assert_int_equal(q[20] << 8 | q[21], 0x030d);
	assert_int_equal(testbed_drops(bed, DROP_policy_block), before + 1);
	len = packet_udp4(p, "198.51.100.101", "100.96.0.10", 53, 5000, 8);
	drops(connector(0, 0), p, len, DROP_policy_block);
	testbed_rules(bed, 0, true, NULL, 0);
	len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5000, 53, 8);
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	client->enabled = false;
	client->generation++;
	drops(&bed->clients[0], p, len, DROP_peer_disabled);
}

/* Decision 14: after a start, mid-stream packets bring their flow back, but only where the way out allows it. */
static void recreate(void **state)
{
	uint8_t p[1500], q[1500];
	unsigned len;

	(void)state;
	len = packet_tcp4(p, "198.51.100.101", "100.96.0.10", 443, 5000, ACK, 100);
	drops(connector(0, 0), p, len, DROP_no_flow);
	bed->edge.started_ns = edge_now_ns();
	drops(connector(1, 0), p, len, DROP_flow_wrong_tunnel);
	assert_int_equal(pass(connector(0, 0), p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->clients[0], q) > 0);
	len = packet_tcp4(p, "198.51.100.101", "100.96.0.10", 443, 5001, SYN, 0);
	drops(connector(0, 0), p, len, DROP_no_flow); /* not mid-stream */
	len = packet_tcp4(p, "192.0.2.1", "100.96.0.10", 443, 5002, ACK, 100);
	drops(connector(0, 0), p, len, DROP_no_flow); /* no route there */
	len = packet_udp4(p, "198.51.100.101", "100.96.0.10", 53, 5003, 8);
	drops(connector(0, 0), p, len, DROP_no_flow); /* UDP cannot show that it is mid-stream */
}

static void no_connector(void **state)
{
	uint8_t p[1500], q[1500];
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5000, 53, 8);

	(void)state;
	bed->edge.connector_live[0] = 0;
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->clients[0], q) > 0);
	assert_int_equal(q[20] << 8 | q[21], 0x0301);
	assert_int_equal(testbed_drops(bed, DROP_no_connector), 1);
	bed->edge.connector_live[0] = 1;
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, connector(0, 0), q) > 0);
}

/* ICMP errors are limited per peer: a flood of hopeless packets is answered ten times. */
static void error_limit(void **state)
{
	uint8_t p[1500];
	unsigned len = packet_udp4(p, "100.96.0.10", "192.0.2.1", 1, 2, 8), answers = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		answers += pass(&bed->clients[0], p, len);
	assert_true(answers >= 10 && answers <= 15);
	assert_int_equal(testbed_drops(bed, DROP_no_route), 100);
}

/* Outer ECN is carried in, inner ECN carried out; CE on a packet that cannot say so is a drop. */
static void outer_ecn(void **state)
{
	uint8_t p[1500], q[1500], frame[2048];
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 1, 2, 8), n;

	(void)state;
	n = testbed_seal(bed, &bed->clients[0], p, len, frame);
	set_outer_tos(frame, 3);
	testbed_inject(bed, 0, frame, n);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 0);
	assert_int_equal(testbed_drops(bed, DROP_ecn_ce_not_ect), 1);
	p[1] = 2;
	fix_sum4(p);
	n = testbed_seal(bed, &bed->clients[0], p, len, frame);
	set_outer_tos(frame, 3);
	testbed_inject(bed, 0, frame, n);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 1);
	assert_true(testbed_open(bed, 0, connector(0, 0), q) > 0);
	assert_int_equal(q[1], 3);
	assert_int_equal(rte_pktmbuf_mtod(bed->out[0], const uint8_t *)[15], 3);
}

/* A thousand random packets, good and bad, from everywhere: the books still balance (teardown checks). */
static void random_conservation(void **state)
{
	uint8_t p[1600], frame[2048];

	(void)state;
	srand(7);
	for (unsigned i = 0; i < 4000; i++) {
		struct far_end *from = rand() % 2 ? &bed->clients[rand() % 9] : connector((unsigned)rand() % 3, (unsigned)rand() % 2);
		unsigned len = packet_udp4(p, rand() % 4 ? "100.96.0.10" : "198.51.100.101",
					   rand() % 4 ? "198.51.100.101" : "100.96.0.10", (uint16_t)(rand() % 50),
					   (uint16_t)(rand() % 3), (unsigned)rand() % 1400);

		if (rand() % 8 == 0)
			p[rand() % 28] ^= (uint8_t)(1 << rand() % 8);
		len = testbed_seal(bed, from, p, len, frame);
		if (rand() % 16 == 0)
			frame[rand() % (int)len] ^= (uint8_t)(1 << rand() % 8);
		testbed_inject(bed, (unsigned)rand() % 2, frame, len);
		if (i % 50 == 49)
			testbed_run(bed);
		if (bed->n_out > TESTBED_FRAMES / 2)
			testbed_clear(bed);
	}
	testbed_run(bed);
}

int main(void)
{
#define BED_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		BED_TEST(up_and_down),	 BED_TEST(ipv6_inner),	  BED_TEST(hostile_inner), BED_TEST(hostile_outer),
		BED_TEST(routing),	 BED_TEST(isolation),	  BED_TEST(icmp_quotes),   BED_TEST(ttl_and_mtu),
		BED_TEST(fragments),	 BED_TEST(handoff),	  BED_TEST(migration),	   BED_TEST(redecide),
		BED_TEST(recreate),	 BED_TEST(no_connector),  BED_TEST(error_limit),   BED_TEST(outer_ecn),
		BED_TEST(random_conservation),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
