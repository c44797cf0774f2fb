// SPDX-License-Identifier: BSD-3-Clause
// Flows that a name decides: what passes before the verdict, what is held, and what either side sees of it.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/stages/hold.h"
#include "dataplane/stages/inner.h"
#include "dataplane/testbed/testbed.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

#define CLIENT "100.96.0.10"
#define SERVER "198.51.100.101"
#define ISN    0xfffffe00u /* the client's numbers wrap within the first segment */
#define SRV    7000u

static struct testbed *bed;
static uint8_t p[2048], q[2048];
static uint8_t hello[4096]; /* kubectl: two segments */
static unsigned hello_len;

static uint16_t udp_port; /* of the server */

static int setup(void **state)
{
	(void)state;
	udp_port = 443;
	bed = testbed_create(2, 8);
	return 0;
}

static uint64_t count(size_t offset)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < bed->edge.n_workers; i++)
		n += *(const uint64_t *)(const void *)((const uint8_t *)worker_counters(bed->edge.workers[i]) + offset);
	return n;
}
#define COUNT(field) count(offsetof(struct worker_counters, field))
#define ENDS(end)    count(offsetof(struct worker_counters, inspect_ends) + INSPECT_END_##end * sizeof(uint64_t))

static int teardown(void **state)
{
	bool ok = testbed_conserved(bed) && COUNT(inspect_active) == 0;

	(void)state;
	testbed_destroy(bed);
	return ok ? 0 : -1;
}

static struct settings_record *settings(void)
{
	return (struct settings_record *)(uintptr_t)bed->edge.records->settings;
}

static struct far_end *connector(void)
{
	return &bed->connectors[0][0];
}

#define set_rules(allow, ...)                                                                               \
	do {                                                                                                \
		const struct bed_rule rules_[] = {__VA_ARGS__};                                             \
		testbed_rules(bed, 0, (allow), rules_, sizeof(rules_) / sizeof(rules_[0]));                 \
	} while (0)
#define RULE(filter_, name_, action_, traffic_)                                                             \
	{                                                                                                   \
		.name = name_, .filter = POLICY_##filter_, .action = POLICY_##action_, .traffic = traffic_  \
	}
#define ALLOW_API RULE(L4, "api", ALLOW, "net.sni.host == \"api.example\"")
#define BLOCK_API RULE(L4, "no api", BLOCK, "net.sni.host == \"api.example\"")

/* ---- packets ---- */

static void put32(uint8_t *at, uint32_t v)
{
	v = htonl(v);
	memcpy(at, &v, 4);
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, 4);
	return ntohl(v);
}

static void fix_tcp_sum(uint8_t *packet, unsigned len)
{
	uint16_t sum;

	memset(packet + 36, 0, 2);
	sum = inner_l4_checksum(4, packet + 12, packet + 16, INNER_TCP, packet + 20, len - 20);
	memcpy(packet + 36, &sum, 2);
}

static unsigned tcp(bool up, uint8_t flags, uint32_t seq, uint32_t ack, const void *data, unsigned n)
{
	unsigned len = packet_tcp4(p, up ? CLIENT : SERVER, up ? SERVER : CLIENT, up ? 5000 : 443, up ? 443 : 5000, flags, n);

	put32(p + 24, seq);
	put32(p + 28, ack);
	memcpy(p + 40, data, n);
	fix_tcp_sum(p, len);
	return len;
}

static unsigned udp(bool up, const void *data, unsigned n)
{
	unsigned len = packet_udp4(p, up ? CLIENT : SERVER, up ? SERVER : CLIENT, up ? 5000 : udp_port, up ? udp_port : 5000, n);
	uint16_t sum;

	memcpy(p + 28, data, n);
	memset(p + 26, 0, 2);
	sum = inner_l4_checksum(4, p + 12, p + 16, INNER_UDP, p + 20, len - 20);
	memcpy(p + 26, &sum, 2);
	return len;
}

/* Sends p; how many frames came out. */
static unsigned deliver(bool up, unsigned len)
{
	struct far_end *from = up ? &bed->clients[0] : connector();

	testbed_clear(bed);
	testbed_send(bed, 0, from, p, len);
	testbed_run(bed);
	return bed->n_out;
}

static unsigned up(uint8_t flags, uint32_t seq, const void *data, unsigned n)
{
	return deliver(true, tcp(true, flags, seq, SRV + 1, data, n));
}

static unsigned down(uint8_t flags, uint32_t seq, const void *data, unsigned n)
{
	return deliver(false, tcp(false, flags, seq, ISN + 1, data, n));
}

/* The i-th sent frame, as the server (up) or the client got it, in q. */
static unsigned opened(unsigned i, bool at_server)
{
	int n = testbed_open(bed, i, at_server ? connector() : &bed->clients[0], q);

	assert_true(n > 0);
	return (unsigned)(q[2] << 8 | q[3]);
}

static void assert_segment(unsigned i, bool at_server, uint32_t seq, const void *data, unsigned n)
{
	assert_int_equal(opened(i, at_server), 40 + n);
	assert_int_equal(get32(q + 24), seq);
	assert_memory_equal(q + 40, data, n);
}

static void assert_reset(unsigned i, bool at_server, uint32_t seq)
{
	assert_int_equal(opened(i, at_server), 40);
	assert_true(q[33] & RST);
	assert_int_equal(get32(q + 24), seq);
}

static struct flow_entry *flow(uint8_t proto)
{
	struct worker *w = bed->edge.workers[0];
	struct flow_key key;
	uint32_t v4;

	inet_pton(AF_INET, SERVER, &v4);
	flow_key_v4(&key, 0, v4, proto, htons(5000), htons(proto == INNER_UDP ? udp_port : 443));
	return flow_lookup(w->flows, &key, flow_hash(w->flows, &key));
}

/* SYN, SYN+ACK, ACK: they pass though the verdict is open. */
static void handshake(void)
{
	assert_int_equal(up(SYN, ISN, "", 0), 1);
	assert_int_equal(opened(0, true), 40);
	assert_int_equal(down(SYN | ACK, SRV, "", 0), 1);
	assert_int_equal(opened(0, false), 40);
	assert_int_equal(up(ACK, ISN + 1, "", 0), 1);
	assert_int_equal(flow(INNER_TCP)->verdict, FLOW_VERDICT_PENDING);
	assert_int_equal(COUNT(inspect_started), 0); /* no payload yet: no inspector */
}

static unsigned fixture(const char *name, uint8_t *out, size_t size)
{
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.bin", FIXTURES, name);
	f = fopen(path, "rb");
	if (f == NULL)
		fail_msg("no fixture %s", path);
	n = fread(out, 1, size, f);
	fclose(f);
	return (unsigned)n;
}

#define FIRST 1200u
#define REST  (hello_len - FIRST)

/* ---- TLS ---- */

static void two_segments_allowed(void **state)
{
	(void)state;
	for (unsigned swapped = 0; swapped < 2; swapped++) {
		if (swapped) {
			testbed_destroy(bed);
			bed = testbed_create(2, 8);
		}
		set_rules(false, ALLOW_API);
		handshake();
		if (swapped) {
			assert_int_equal(up(ACK, ISN + 1 + FIRST, hello + FIRST, REST), 0);
			assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 2);
			assert_segment(0, true, ISN + 1 + FIRST, hello + FIRST, REST); /* as they came */
			assert_segment(1, true, ISN + 1, hello, FIRST);
		} else {
			assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 0);
			assert_int_equal(COUNT(inspect_active), 1);
			assert_int_equal(up(ACK, ISN + 1 + FIRST, hello + FIRST, REST), 2);
			assert_segment(0, true, ISN + 1, hello, FIRST);
			assert_segment(1, true, ISN + 1 + FIRST, hello + FIRST, REST);
		}
		assert_int_equal(flow(INNER_TCP)->verdict, FLOW_VERDICT_ALLOW);
		assert_int_equal(flow(INNER_TCP)->rule, 0);
		assert_int_equal(ENDS(names), 1);
		assert_int_equal(down(ACK, SRV + 1, "hello", 5), 1);
		assert_int_equal(up(ACK, ISN + 1 + hello_len, "x", 1), 1);
		assert_int_equal(COUNT(inspect_started), 1);
	}
}

static void blocked_name(void **state)
{
	(void)state;
	set_rules(true, BLOCK_API);
	handshake();
	assert_int_equal(up(ACK, ISN + 1 + FIRST, hello + FIRST, REST), 0);
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 2); /* two resets, and not one byte of the client's */
	assert_reset(0, false, SRV + 1);
	assert_reset(1, true, ISN + 1);
	assert_int_equal(testbed_drops(bed, DROP_policy_block), 2);
	assert_int_equal(flow(INNER_TCP)->verdict, FLOW_VERDICT_BLOCK);
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 1); /* again: answered by the verdict that is kept */
	assert_reset(0, false, SRV + 1);
	assert_int_equal(COUNT(inspect_started), 1);
}

static void silent_block(void **state)
{
	(void)state;
	set_rules(true, {.name = "no", .action = POLICY_BLOCK, .silent = true, .traffic = "net.sni.host == \"api.example\""});
	handshake();
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 0);
	assert_int_equal(up(ACK, ISN + 1 + FIRST, hello + FIRST, REST), 0);
	assert_int_equal(testbed_drops(bed, DROP_policy_block), 2);
}

static void other_name(void **state)
{
	(void)state;
	set_rules(false, RULE(L4, "other", ALLOW, "net.sni.host == \"other.example\""));
	handshake();
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 0);
	assert_int_equal(up(ACK, ISN + 1 + FIRST, hello + FIRST, REST), 2);
	assert_int_equal(flow(INNER_TCP)->rule, POLICY_RULE_DEFAULT);
}

/* What is known early decides early. */
static void early_decision(void **state)
{
	(void)state;
	set_rules(false, RULE(HTTP, "no put", BLOCK, "http.request.method == \"PUT\""),
		  RULE(L4, "all", ALLOW, "net.dst.ip in {198.51.100.0/24}"));
	handshake();
	assert_int_equal(up(ACK, ISN + 1, "\x16", 1), 1); /* no HTTP any more */
	assert_int_equal(flow(INNER_TCP)->verdict, FLOW_VERDICT_ALLOW);
	assert_int_equal(ENDS(decided), 1);
}

static void addresses_alone_take_no_inspector(void **state)
{
	(void)state;
	set_rules(true, RULE(HTTP, "off", OFF, "any(http.conn.dst_ip[*] in {198.51.100.0/24})"),
		  RULE(HTTP, "no evil", BLOCK, "http.request.host == \"evil.example\""));
	assert_int_equal(up(SYN, ISN, "", 0), 1);
	assert_int_equal(flow(INNER_TCP)->verdict, FLOW_VERDICT_ALLOW);
	down(SYN | ACK, SRV, "", 0);
	assert_int_equal(up(ACK, ISN + 1, "GET / HTTP/1.1\r\n", 16), 1);
	assert_int_equal(COUNT(inspect_started), 0);
}

static void blocked_by_address_never_leaves(void **state)
{
	(void)state;
	set_rules(false, RULE(L4, "api", ALLOW, "net.dst.port == 8443 and net.sni.host == \"api.example\""));
	assert_int_equal(up(SYN, ISN, "", 0), 1);
	assert_reset(0, false, 0);
	assert_int_equal(flow(INNER_TCP)->verdict, FLOW_VERDICT_BLOCK);
}

/* ---- HTTP ---- */

static void http_host(void **state)
{
	static const char head[] = "GET /x HTTP/1.1\r\nHost: app.example\r\n\r\n";

	(void)state;
	set_rules(true, RULE(HTTP, "no app", BLOCK, "http.request.host == \"app.example\""));
	handshake();
	assert_int_equal(up(PSH | ACK, ISN + 1, head, sizeof(head) - 1), 2);
	assert_reset(0, false, SRV + 1);
	assert_reset(1, true, ISN + 1);
	assert_int_equal(flow(INNER_TCP)->rule, 0);
}

/* ---- what is dropped while it is held ---- */

static void retransmissions_and_conflicts(void **state)
{
	(void)state;
	set_rules(false, RULE(HTTP, "app", BLOCK, "http.request.host == \"bad.example\""), RULE(L4, "all", ALLOW, NULL));
	handshake();
	assert_int_equal(up(ACK, ISN + 1, "GET / HTTP/1.1\r\nHost: go", 24), 0);
	assert_int_equal(up(ACK, ISN + 1, "GET / HTTP/1.1\r\nHost: go", 24), 0);
	assert_int_equal(testbed_drops(bed, DROP_inspect_again), 1);
	assert_int_equal(up(ACK, ISN + 1 + 22, "bad.example\r\n\r\n", 15), 0);
	assert_int_equal(testbed_drops(bed, DROP_inspect_conflict), 1);
	assert_int_equal(up(ACK, ISN + 1 + 24, "od.example\r\n\r\n", 14), 2);
	assert_segment(0, true, ISN + 1, "GET / HTTP/1.1\r\nHost: go", 24);
	assert_segment(1, true, ISN + 25, "od.example\r\n\r\n", 14);
}

static void bad_checksum(void **state)
{
	unsigned len;

	(void)state;
	set_rules(false, ALLOW_API);
	handshake();
	len = tcp(true, ACK, ISN + 1, SRV + 1, hello, FIRST);
	p[36] ^= 1;
	assert_int_equal(deliver(true, len), 0);
	assert_int_equal(testbed_drops(bed, DROP_inspect_checksum), 1);
	assert_int_equal(COUNT(inspect_started), 0);
}

static void data_on_syn(void **state)
{
	(void)state;
	set_rules(false, ALLOW_API);
	assert_int_equal(up(SYN, ISN, hello, 100), 0);
	assert_int_equal(testbed_drops(bed, DROP_inspect_syn_data), 1);
	handshake();
}

static void reset_while_held(void **state)
{
	(void)state;
	set_rules(false, ALLOW_API);
	handshake();
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 0);
	assert_int_equal(up(RST | ACK, ISN + 1 + FIRST, "", 0), 1);
	assert_int_equal(testbed_drops(bed, DROP_inspect_closed), 1);
	assert_int_equal(ENDS(closed), 1);
}

static void fin_ends_inspection(void **state)
{
	(void)state;
	set_rules(false, ALLOW_API);
	handshake();
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 0);
	assert_int_equal(up(FIN | ACK, ISN + 1 + FIRST, "", 0), 2);
	assert_reset(1, true, ISN + 1);
	assert_int_equal(ENDS(closed), 1);
	assert_int_equal(testbed_drops(bed, DROP_policy_block), 2);
}

static void keepalive_probe_passes(void **state)
{
	(void)state;
	set_rules(false, ALLOW_API);
	handshake();
	assert_int_equal(up(ACK, ISN, "x", 1), 1);
	assert_int_equal(COUNT(inspect_started), 0);
}

/* ---- limits ---- */

static void later(uint64_t ns)
{
	struct worker *w = bed->edge.workers[0];

	w->now_ns = edge_now_ns() + ns;
	testbed_clear(bed);
	w->tx_pending = hold_turn(w) > 0;
	testbed_run(bed);
}

static void timeout_blocks_or_continues(void **state)
{
	(void)state;
	set_rules(true, BLOCK_API);
	handshake();
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 0);
	later(2900000000ull);
	assert_int_equal(bed->n_out, 0);
	later(3100000000ull);
	assert_int_equal(bed->n_out, 2);
	assert_reset(0, false, SRV + 1);
	assert_reset(1, true, ISN + 1);
	assert_int_equal(ENDS(timeout), 1);
	assert_int_equal(testbed_drops(bed, DROP_inspect_limit), 1);
	testbed_destroy(bed);
	bed = testbed_create(2, 8);
	settings()->inspect_unknown_continue = true;
	settings()->inspect_timeout_ms = 100;
	set_rules(true, BLOCK_API);
	handshake();
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 0);
	later(150000000ull);
	assert_int_equal(bed->n_out, 1);
	assert_segment(0, true, ISN + 1, hello, FIRST);
	assert_int_equal(ENDS(timeout), 1);
}

static void server_first(void **state)
{
	(void)state;
	settings()->inspect_unknown_continue = true;
	set_rules(true, BLOCK_API);
	handshake();
	assert_int_equal(down(ACK, SRV + 1, "220 mail\r\n", 10), 0);
	assert_int_equal(COUNT(inspect_active), 1);
	later(3100000000ull);
	assert_int_equal(bed->n_out, 1);
	assert_segment(0, false, SRV + 1, "220 mail\r\n", 10);
	assert_int_equal(up(ACK, ISN + 1, "EHLO x\r\n", 8), 1);
}

static void server_first_blocked(void **state)
{
	(void)state;
	set_rules(true, BLOCK_API);
	handshake();
	assert_int_equal(down(ACK, SRV + 1, "220 mail\r\n", 10), 0);
	later(3100000000ull);
	assert_int_equal(bed->n_out, 2);
	assert_reset(0, true, ISN + 1);
	assert_reset(1, false, SRV + 1);
}

static void ssh_server_first(void **state)
{
	(void)state;
	set_rules(true, RULE(L4, "no ssh", BLOCK, "net.detected_protocol == \"ssh\""));
	handshake();
	assert_int_equal(down(ACK, SRV + 1, "SSH-2.0-x\r\n", 11), 2);
	assert_int_equal(flow(INNER_TCP)->verdict, FLOW_VERDICT_BLOCK);
}

static void too_many_packets(void **state)
{
	uint8_t byte = 'a';

	(void)state;
	set_rules(true, RULE(HTTP, "no app", BLOCK, "http.request.host == \"app.example\""));
	handshake();
	for (unsigned i = 0; i < HOLD_PACKETS; i++)
		assert_int_equal(up(ACK, ISN + 10 + 2 * i, &byte, 1), 0);
	assert_int_equal(up(ACK, ISN + 10 + 2 * HOLD_PACKETS, &byte, 1), 2);
	assert_int_equal(ENDS(limit_held), 1);
	assert_int_equal(testbed_drops(bed, DROP_inspect_limit), HOLD_PACKETS + 1);
}

static void too_many_bytes(void **state)
{
	(void)state;
	settings()->inspect_max_bytes = 1024;
	settings()->inspect_unknown_continue = true;
	set_rules(true, BLOCK_API);
	handshake();
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 1); /* the hello says that it is longer */
	assert_int_equal(ENDS(limit_bytes), 1);
	assert_int_equal(flow(INNER_TCP)->verdict, FLOW_VERDICT_ALLOW);
}

/* Each flow of its own port; all of one client, up to its share. */
static void share_of_a_client(void **state)
{
	struct worker *w = bed->edge.workers[0];

	(void)state;
	set_rules(true, BLOCK_API);
	for (unsigned i = 0; i <= HOLD_CLIENT_SHARE; i++) {
		for (unsigned k = 0; k < 2; k++) {
			unsigned len = tcp(true, k == 0 ? SYN : ACK, k == 0 ? ISN : ISN + 1, 0, hello, k == 0 ? 0 : 100);

			p[20] = 0x40;
			p[21] = (uint8_t)i;
			fix_tcp_sum(p, len);
			deliver(true, len);
		}
	}
	assert_int_equal(COUNT(inspect_active), HOLD_CLIENT_SHARE);
	assert_int_equal(ENDS(no_inspector), 1);
	assert_int_equal(testbed_drops(bed, DROP_inspect_limit), 1);
	for (unsigned i = 0; i < HOLD_CLIENT_SHARE; i++) /* a few a turn */
		later(3100000000ull);
	assert_int_equal(w->counters.inspect_active, 0);
	assert_int_equal(ENDS(timeout), HOLD_CLIENT_SHARE);
}

static void mid_stream(void **state)
{
	(void)state;
	bed->edge.started_ns = edge_now_ns(); /* just started: connections come back */
	set_rules(true, BLOCK_API);
	assert_int_equal(up(ACK, ISN + 5000, hello + 300, 100), 1);
	assert_int_equal(ENDS(mid_stream), 1);
	assert_int_equal(flow(INNER_TCP)->verdict, FLOW_VERDICT_ALLOW);
}

/* ---- tables that change ---- */

static void names_are_remembered(void **state)
{
	(void)state;
	set_rules(false, ALLOW_API);
	handshake();
	up(ACK, ISN + 1, hello, FIRST);
	assert_int_equal(up(ACK, ISN + 1 + FIRST, hello + FIRST, REST), 2);
	set_rules(false, RULE(L4, "port", BLOCK, "net.dst.port == 80"), ALLOW_API);
	assert_int_equal(up(ACK, ISN + 1 + hello_len, "more", 4), 1);
	assert_int_equal(flow(INNER_TCP)->rule, 1);
	assert_int_equal(COUNT(inspect_started), 1);
	set_rules(true, BLOCK_API);
	assert_int_equal(down(ACK, SRV + 1, "data", 4), 2); /* cut, by the name that came with the first bytes */
	assert_int_equal(flow(INNER_TCP)->verdict, FLOW_VERDICT_BLOCK);
}

static void rule_comes_too_late(void **state)
{
	(void)state;
	set_rules(true, RULE(L4, "none", BLOCK, "net.dst.port == 1"));
	assert_int_equal(up(SYN, ISN, "", 0), 1);
	down(SYN | ACK, SRV, "", 0);
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 1);
	set_rules(true, BLOCK_API);
	assert_int_equal(up(ACK, ISN + 1 + FIRST, hello + FIRST, REST), 1); /* nobody saw a name: it is missing */
	assert_int_equal(ENDS(mid_stream), 1);
}

static void rules_change_while_held(void **state)
{
	(void)state;
	set_rules(true, BLOCK_API);
	handshake();
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 0);
	set_rules(true, RULE(L4, "none", BLOCK, "net.dst.port == 1"));
	assert_int_equal(up(ACK, ISN + 1 + FIRST, hello + FIRST, REST), 2);
	assert_segment(0, true, ISN + 1, hello, FIRST);
	assert_segment(1, true, ISN + 1 + FIRST, hello + FIRST, REST);
	assert_int_equal(ENDS(decided), 1);
}

static void rules_block_while_held(void **state)
{
	(void)state;
	set_rules(true, BLOCK_API);
	handshake();
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 0);
	set_rules(true, RULE(L4, "all", BLOCK, "net.dst.port == 443"));
	assert_int_equal(up(ACK, ISN + 1 + FIRST, hello + FIRST, REST), 1); /* the client alone hears it with this packet */
	assert_int_equal(testbed_drops(bed, DROP_policy_block), 2);
}

/* ---- UDP ---- */

static void quic_name(void **state)
{
	uint8_t initial[2048];
	unsigned n = fixture("quic-rfc9001", initial, sizeof(initial));

	(void)state;
	set_rules(true, RULE(L4, "no", BLOCK, "net.sni.host == \"example.com\" and net.detected_protocol == \"quic\""));
	assert_int_equal(deliver(true, udp(true, initial, n)), 1); /* ICMP: prohibited */
	assert_true(opened(0, false) > 0);
	assert_int_equal(q[9], INNER_ICMP);
	assert_int_equal(testbed_drops(bed, DROP_policy_block), 1);
}

static void quic_in_two_datagrams(void **state)
{
	uint8_t initial[2][2048];
	unsigned n[2] = {fixture("quic-split-1", initial[0], 2048), fixture("quic-split-2", initial[1], 2048)};

	(void)state;
	set_rules(false, RULE(L4, "pq", ALLOW, "net.sni.host == \"pq.example\""));
	assert_int_equal(deliver(true, udp(true, initial[1], n[1])), 0);
	assert_int_equal(deliver(false, udp(false, "x", 1)), 0); /* nothing that it could be an answer to */
	assert_int_equal(testbed_drops(bed, DROP_no_flow), 1);
	assert_int_equal(deliver(true, udp(true, initial[0], n[0])), 2);
	assert_int_equal(opened(0, true), 28 + n[1]);
	assert_memory_equal(q + 28, initial[1], n[1]);
	assert_int_equal(flow(INNER_UDP)->verdict, FLOW_VERDICT_ALLOW);
	assert_int_equal(deliver(false, udp(false, "x", 1)), 1);
}

/* Every question of a socket is decided by itself. */
static void dns_questions(void **state)
{
	uint8_t query[512];
	unsigned n = fixture("dns-udp-node", query, sizeof(query)); /* www.app.example */
	char other[] = "\0\1\1\0\0\1\0\0\0\0\0\0\4evil\7example\0\0\1\0\1";

	(void)state;
	udp_port = 53;
	set_rules(true, RULE(DNS, "no evil", BLOCK, "any(dns.domains[*] == \"evil.example\")"));
	assert_int_equal(deliver(true, udp(true, query, n)), 1);
	assert_int_equal(opened(0, true), 28 + n);
	assert_int_equal(deliver(false, udp(false, query, n)), 1);
	assert_int_equal(deliver(true, udp(true, other, sizeof(other) - 1)), 1);
	assert_int_equal(opened(0, false) > 0 ? q[9] : 0, INNER_ICMP);
	assert_int_equal(testbed_drops(bed, DROP_policy_block), 1);
	assert_int_equal(deliver(true, udp(true, query, n)), 1);
	assert_int_equal(opened(0, true), 28 + n);
	assert_int_equal(ENDS(names), 3);
	/* other rules: the last question does not speak for the next */
	set_rules(true, RULE(DNS, "no evil", BLOCK, "any(dns.domains[*] == \"evil.example\")"));
	assert_int_equal(deliver(true, udp(true, other, sizeof(other) - 1)), 1);
	assert_int_equal(opened(0, false) > 0 ? q[9] : 0, INNER_ICMP);
	set_rules(true, RULE(DNS, "no evil", BLOCK, "any(dns.domains[*] == \"evil.example\")"));
	assert_int_equal(deliver(true, udp(true, query, n)), 1);
	assert_int_equal(opened(0, true), 28 + n);
}

static void other_datagrams(void **state)
{
	(void)state;
	udp_port = 53;
	set_rules(true, RULE(DNS, "no evil", BLOCK, "any(dns.domains[*] == \"evil.example\")"));
	assert_int_equal(deliver(true, udp(true, "something else", 14)), 1);
	assert_int_equal(flow(INNER_UDP)->verdict, FLOW_VERDICT_ALLOW);
}

static void fragments_have_no_names(void **state)
{
	unsigned len;
	uint16_t sum;

	(void)state;
	udp_port = 53;
	set_rules(true, RULE(DNS, "no evil", BLOCK, "any(dns.domains[*] == \"evil.example\")"));
	len = udp(true, "something else..", 16);
	p[6] = 0x20; /* more follow */
	memset(p + 10, 0, 2);
	sum = inner_sum_fold(inner_sum(p, 20, 0));
	memcpy(p + 10, &sum, 2);
	deliver(true, len);
	assert_int_equal(ENDS(limit_held), 1);
	assert_int_equal(testbed_drops(bed, DROP_inspect_limit), 1);
}

/* ---- from the private side ---- */

static void opened_by_the_private_side(void **state)
{
	static const char head[] = "GET /x HTTP/1.1\r\nHost: app.example\r\n\r\n";

	(void)state;
	set_rules(false, RULE(L4, "back", ALLOW, "net.src.ip in {198.51.100.0/24}"),
		  RULE(HTTP, "no app", BLOCK, "http.request.host == \"app.example\""));
	assert_int_equal(down(SYN, SRV, "", 0), 1);
	assert_int_equal(flow(INNER_TCP)->verdict, FLOW_VERDICT_PENDING);
	assert_int_equal(up(SYN | ACK, ISN, "", 0), 1);
	assert_int_equal(down(ACK, SRV + 1, head, sizeof(head) - 1), 2);
	assert_reset(0, true, ISN + 1);
	assert_reset(1, false, SRV + 1);
}

/* ---- other ends ---- */

static void flow_moves_to_another_worker(void **state)
{
	struct message *msg;

	(void)state;
	set_rules(false, ALLOW_API);
	handshake();
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 0);
	msg = message_alloc(&bed->edge);
	msg->type = MSG_MIGRATE_OUT;
	msg->peer = bed->clients[0].peer;
	msg->migrate.target = 1;
	assert_true(worker_post(bed->edge.workers[0], msg));
	testbed_run(bed);
	assert_int_equal(testbed_drops(bed, DROP_inspect_closed), 1);
	/* the client sends it again, and the other worker begins anew where the client's bytes begin */
	assert_int_equal(up(ACK, ISN + 1 + FIRST, hello + FIRST, REST), 0);
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 2);
}

static void edge_stops_with_packets_held(void **state)
{
	(void)state;
	set_rules(false, ALLOW_API);
	handshake();
	assert_int_equal(up(ACK, ISN + 1, hello, FIRST), 0);
	testbed_destroy(bed); /* the sanitizer looks */
	bed = testbed_create(1, 1);
}

static int group_setup(void **state)
{
	(void)state;
	hello_len = fixture("tls-kubectl", hello, sizeof(hello));
	return hello_len > FIRST ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_segments_allowed),
		TEST(blocked_name),
		TEST(silent_block),
		TEST(other_name),
		TEST(early_decision),
		TEST(addresses_alone_take_no_inspector),
		TEST(blocked_by_address_never_leaves),
		TEST(http_host),
		TEST(retransmissions_and_conflicts),
		TEST(bad_checksum),
		TEST(data_on_syn),
		TEST(reset_while_held),
		TEST(fin_ends_inspection),
		TEST(keepalive_probe_passes),
		TEST(timeout_blocks_or_continues),
		TEST(server_first),
		TEST(server_first_blocked),
		TEST(ssh_server_first),
		TEST(too_many_packets),
		TEST(too_many_bytes),
		TEST(share_of_a_client),
		TEST(mid_stream),
		TEST(names_are_remembered),
		TEST(rule_comes_too_late),
		TEST(rules_change_while_held),
		TEST(rules_block_while_held),
		TEST(quic_name),
		TEST(quic_in_two_datagrams),
		TEST(dns_questions),
		TEST(other_datagrams),
		TEST(fragments_have_no_names),
		TEST(opened_by_the_private_side),
		TEST(flow_moves_to_another_worker),
		TEST(edge_stops_with_packets_held),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
