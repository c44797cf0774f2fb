// SPDX-License-Identifier: BSD-3-Clause
// Verdicts end to end in memory: what is blocked never leaves, who is told what, what makes a flow decide again, who may
// open flows, and the caps of a client. After each test every packet that came in is accounted for.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/stages/inner.h"
#include "dataplane/stages/limits.h"
#include "dataplane/tables/route_table.h"
#include "dataplane/testbed/testbed.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

#define CLIENT "100.96.0.10"
#define SERVER "198.51.100.101"

#define L4(name_, action_, traffic_, ...) {.name = (name_), .filter = POLICY_L4, .action = (action_), .traffic = (traffic_), ##__VA_ARGS__}

static struct testbed *bed;
static uint8_t p[2000], q[2000]; /* a packet to send, a packet received */

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

static struct settings_record *settings(void)
{
	return (struct settings_record *)(uintptr_t)bed->edge.records->settings;
}

static struct client_record *client(uint32_t i)
{
	return (struct client_record *)(uintptr_t)bed->edge.records->clients[i];
}

static struct far_end *connector(unsigned tunnel, unsigned worker)
{
	return &bed->connectors[tunnel][worker];
}

#define set_rules(account, allow, ...)                                                                      \
	do {                                                                                                \
		const struct bed_rule rules_[] = {__VA_ARGS__};                                             \
		testbed_rules(bed, (account), (allow), rules_, sizeof(rules_) / sizeof(rules_[0]));         \
	} while (0)

/* ---- sending and looking ---- */

/* Sends p from `from` on its own worker; how many frames came out. */
static unsigned pass(struct far_end *from, unsigned len)
{
	testbed_clear(bed);
	testbed_send(bed, bed->edge.peers[from->peer].owner, from, p, len);
	testbed_run(bed);
	return bed->n_out;
}

/* How many of the sent frames are for this far end; the last of them is in q. */
static unsigned got(const struct far_end *to)
{
	unsigned n = 0;

	for (unsigned i = 0; i < bed->n_out; i++)
		n += testbed_open(bed, i, to, q) > 0;
	return n;
}

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

/* A TCP segment into p; its length. */
static unsigned tcp(const char *src, const char *dst, uint16_t sport, uint16_t dport, uint8_t flags, uint32_t seq, uint32_t ack,
		    unsigned payload)
{
	unsigned len = packet_tcp4(p, src, dst, sport, dport, flags, payload);
	uint16_t sum;

	put32(p + 24, seq);
	put32(p + 28, ack);
	memset(p + 36, 0, 2);
	sum = inner_l4_checksum(4, p + 12, p + 16, INNER_TCP, p + 20, len - 20);
	memcpy(p + 36, &sum, 2);
	return len;
}

static unsigned up(uint8_t flags, uint32_t seq, uint32_t ack, unsigned payload)
{
	return pass(&bed->clients[0], tcp(CLIENT, SERVER, 5000, 443, flags, seq, ack, payload));
}

static unsigned down(uint8_t flags, uint32_t seq, uint32_t ack, unsigned payload)
{
	return pass(connector(0, 0), tcp(SERVER, CLIENT, 443, 5000, flags, seq, ack, payload));
}

/* The handshake of a connection that passes. */
static void establish(void)
{
	assert_int_equal(up(SYN, 1000, 0, 0), 1);
	assert_int_equal(got(connector(0, 0)), 1);
	assert_int_equal(down(SYN | ACK, 9000, 1001, 0), 1);
	assert_int_equal(got(&bed->clients[0]), 1);
	assert_int_equal(up(ACK, 1001, 9001, 0), 1);
}

/* q is a reset of these numbers, from src to dst, checksums right. */
static void is_reset(const char *src, const char *dst, uint16_t sport, uint16_t dport, uint8_t flags, uint32_t seq, uint32_t ack)
{
	uint8_t want[4];

	assert_int_equal(q[0], 0x45);
	assert_int_equal(q[2] << 8 | q[3], 40);
	assert_int_equal(q[9], INNER_TCP);
	assert_int_equal(inner_sum_fold(inner_sum(q, 20, 0)), 0);
	inet_pton(AF_INET, src, want);
	assert_memory_equal(q + 12, want, 4);
	inet_pton(AF_INET, dst, want);
	assert_memory_equal(q + 16, want, 4);
	assert_int_equal(q[20] << 8 | q[21], sport);
	assert_int_equal(q[22] << 8 | q[23], dport);
	assert_int_equal(get32(q + 24), seq);
	assert_int_equal(get32(q + 28), ack);
	assert_int_equal(q[33], flags);
	assert_int_equal(inner_l4_checksum(4, q + 12, q + 16, INNER_TCP, q + 20, 20), 0);
}

static void reason_is(enum drop_reason reason, uint64_t times)
{
	assert_int_equal(testbed_drops(bed, reason), times);
}

static bool take_entry(void *arg, struct flow_entry *f)
{
	*(struct flow_entry **)arg = f;
	return false;
}

/* The only flow of worker 0. */
static struct flow_entry *entry(void)
{
	struct flow_entry *f = NULL;
	uint32_t cursor = 0;

	flow_iterate(bed->edge.workers[0]->flows, &cursor, UINT32_MAX, take_entry, &f);
	assert_non_null(f);
	return f;
}

/* ---- what is blocked ---- */

static void blocked_syn(void **state)
{
	(void)state;
	testbed_rules(bed, 0, false, NULL, 0);
	assert_int_equal(up(SYN, 1000, 0, 0), 1);
	assert_int_equal(got(&bed->clients[0]), 1);
	is_reset(SERVER, CLIENT, 443, 5000, RST | ACK, 0, 1001); /* RFC 9293 3.10.7.1 */
	reason_is(DROP_policy_block, 1);
	assert_int_equal(entry()->verdict, FLOW_VERDICT_BLOCK);
	assert_int_equal(entry()->timeout_class, FLOW_CLASS_BLOCKED);
	assert_int_equal(entry()->rule, RECORD_NONE);
	/* with data and FIN in it, all of it is acknowledged */
	assert_int_equal(up(SYN | FIN, 2000, 0, 10), 1);
	assert_int_equal(got(&bed->clients[0]), 1);
	is_reset(SERVER, CLIENT, 443, 5000, RST | ACK, 0, 2012);
	/* with an ACK: its number, and no ACK */
	assert_int_equal(up(ACK, 3000, 77777, 10), 1);
	assert_int_equal(got(&bed->clients[0]), 1);
	is_reset(SERVER, CLIENT, 443, 5000, RST, 77777, 0);
	/* a reset is not answered */
	assert_int_equal(up(RST, 3000, 0, 0), 0);
	reason_is(DROP_policy_block, 4);
}

/* Ten thousand tries, each from another port: the connector sees none, answers and entries are bounded. */
static void many_blocked(void **state)
{
	unsigned resets = 0;

	(void)state;
	set_rules(0, true, L4("no", POLICY_BLOCK, "net.dst.ip in {198.51.100.0/24}"));
	for (unsigned i = 0; i < 10000; i++) {
		pass(&bed->clients[0], tcp(CLIENT, SERVER, (uint16_t)(1000 + i), 443, SYN, 1, 0, 0));
		assert_int_equal(got(connector(0, 0)) + got(connector(0, 1)), 0);
		resets += bed->n_out;
	}
	reason_is(DROP_policy_block, 10000);
	assert_in_range(resets, RESETS_BURST, RESETS_BURST + 10 * RESETS_PER_S);
	assert_int_equal(worker_flow_count(bed->edge.workers[0]), BLOCKED_FLOWS_MAX);
	assert_int_equal(entry()->rule, 0);
}

static void silent_block(void **state)
{
	(void)state;
	set_rules(0, true, L4("hush", POLICY_BLOCK, NULL, .silent = true));
	assert_int_equal(up(SYN, 1000, 0, 0), 0);
	assert_int_equal(up(SYN, 1000, 0, 0), 0);
	assert_int_equal(pass(&bed->clients[0], packet_udp4(p, CLIENT, SERVER, 1, 2, 8)), 0);
	reason_is(DROP_policy_block, 3);
}

static void blocked_others(void **state)
{
	unsigned len;

	(void)state;
	testbed_rules(bed, 0, false, NULL, 0);
	assert_int_equal(pass(&bed->clients[0], packet_udp4(p, CLIENT, SERVER, 1, 2, 8)), 1);
	assert_int_equal(got(&bed->clients[0]), 1);
	assert_int_equal(q[20] << 8 | q[21], 0x030d);
	assert_int_equal(pass(&bed->clients[0], packet_echo4(p, CLIENT, SERVER, true, 9)), 1);
	assert_int_equal(got(&bed->clients[0]), 1);
	assert_int_equal(q[20] << 8 | q[21], 0x030d);
	len = packet_udp6(p, "fd00:a::a", "2001:db8::101", 1, 2, 8);
	assert_int_equal(pass(&bed->clients[0], len), 1);
	assert_int_equal(got(&bed->clients[0]), 1);
	assert_int_equal(q[40] << 8 | q[41], 0x0101);
	reason_is(DROP_policy_block, 3);
}

/* Before an account's rules are compiled, all is blocked and nobody is told: connections wait for them. */
static void not_ready(void **state)
{
	struct account_record *a = (struct account_record *)(uintptr_t)bed->edge.records->accounts[0];

	(void)state;
	a->policy_ready = false;
	assert_int_equal(up(SYN, 1000, 0, 0), 0);
	reason_is(DROP_policy_block, 1);
	a->policy_ready = true;
	a->policy_generation++;
	assert_int_equal(up(SYN, 1000, 0, 0), 1);
	assert_int_equal(got(connector(0, 0)), 1);
}

/* ---- rules ---- */

static void by_group(void **state)
{
	(void)state;
	testbed_identity(bed, 0, "ada@example.org", "ops", NULL);
	testbed_identity(bed, 2, "bob@example.org", "sales", NULL);
	set_rules(0, false, L4("ops only", POLICY_ALLOW, "net.dst.ip in {198.51.100.0/24} and net.dst.port == 443",
			       .identity = "any(identity.groups.name[*] == \"ops\")"));
	establish();
	assert_int_equal(entry()->rule, 0);
	assert_int_equal(pass(&bed->clients[2], tcp("100.96.0.12", SERVER, 5000, 443, SYN, 1, 0, 0)), 1);
	assert_int_equal(got(&bed->clients[2]), 1);
	assert_int_equal(q[33], RST | ACK);
	/* another port: no */
	assert_int_equal(pass(&bed->clients[0], tcp(CLIENT, SERVER, 5000, 22, SYN, 1, 0, 0)), 1);
	assert_int_equal(got(connector(0, 0)), 0);
	/* another account's rules do not apply */
	assert_int_equal(pass(&bed->clients[8], tcp(CLIENT, SERVER, 5000, 22, SYN, 1, 0, 0)), 1);
	assert_int_equal(got(connector(2, 0)), 1);
}

/* A name that can never come: the rule does not match (what can come is hold_test.c). */
static void unknown_name(void **state)
{
	(void)state;
	set_rules(0, true, L4("no evil", POLICY_BLOCK, "net.sni.host == \"evil.example\""));
	assert_int_equal(pass(&bed->clients[0], packet_echo4(p, CLIENT, SERVER, true, 7)), 1);
	assert_int_equal(got(connector(0, 0)), 1);
}

/* ---- deciding again ---- */

/* A download that runs is cut by the next packet, and both sides hear of it. */
static void cut_download(void)
{
	uint64_t before = testbed_drops(bed, DROP_policy_block);

	assert_int_equal(down(ACK, 9001, 1001, 1000), 2);
	assert_int_equal(got(&bed->clients[0]), 1); /* not the packet: the reset in its place */
	is_reset(SERVER, CLIENT, 443, 5000, RST | ACK, 9001, 1001);
	assert_int_equal(got(connector(0, 0)), 1);
	is_reset(CLIENT, SERVER, 5000, 443, RST, 1001, 0);
	assert_int_equal(testbed_drops(bed, DROP_policy_block), before + 1);
	/* what comes later is answered to its sender alone */
	assert_int_equal(down(ACK, 10001, 1001, 1000), 1);
	assert_int_equal(got(connector(0, 0)), 1);
	assert_int_equal(up(ACK, 1001, 9001, 0), 1);
	assert_int_equal(got(&bed->clients[0]), 1);
	is_reset(SERVER, CLIENT, 443, 5000, RST, 9001, 0);
}

static void cut_by_rule(void **state)
{
	(void)state;
	establish();
	set_rules(0, true, L4("stop", POLICY_BLOCK, "net.dst.port == 443"));
	cut_download();
}

static void cut_by_default(void **state)
{
	(void)state;
	establish();
	testbed_rules(bed, 0, false, NULL, 0);
	cut_download();
}

static void cut_by_list(void **state)
{
	(void)state;
	testbed_list(bed, 0, "11112222-3333-4444-5555-666677778888", (const char *[]){"192.0.2.0/24", NULL});
	set_rules(0, true, L4("listed", POLICY_BLOCK, "net.dst.ip in $11112222-3333-4444-5555-666677778888"));
	establish();
	testbed_list(bed, 0, "11112222-3333-4444-5555-666677778888", (const char *[]){"192.0.2.0/24", SERVER, NULL});
	cut_download();
	testbed_list(bed, 0, "11112222-3333-4444-5555-666677778888", (const char *[]){"192.0.2.0/24", NULL});
	assert_int_equal(down(ACK, 9001, 1001, 1000), 1); /* and back */
	assert_int_equal(got(&bed->clients[0]), 1);
	assert_int_equal(q[33], ACK);
}

static void cut_by_posture(void **state)
{
	(void)state;
	testbed_identity(bed, 0, "ada@example.org", NULL, "disk");
	set_rules(0, false, L4("healthy", POLICY_ALLOW, NULL, .posture = "any(device_posture.checks.passed[*] == \"disk\")"));
	establish();
	testbed_identity(bed, 0, "ada@example.org", NULL, NULL);
	cut_download();
}

/* The other direction triggers it as well: the server hears the number that it expects next. */
static void cut_upload(void **state)
{
	(void)state;
	establish();
	testbed_rules(bed, 0, false, NULL, 0);
	assert_int_equal(up(ACK, 1001, 9001, 500), 2);
	assert_int_equal(got(connector(0, 0)), 1);
	is_reset(CLIENT, SERVER, 5000, 443, RST | ACK, 1001, 9001);
	assert_int_equal(got(&bed->clients[0]), 1);
	is_reset(SERVER, CLIENT, 443, 5000, RST, 9001, 0);
}

static void cut_silently(void **state)
{
	(void)state;
	establish();
	set_rules(0, true, L4("hush", POLICY_BLOCK, NULL, .silent = true));
	assert_int_equal(down(ACK, 9001, 1001, 1000), 0);
	assert_int_equal(down(ACK, 9001, 1001, 1000), 0);
	reason_is(DROP_policy_block, 2);
}

static void cut_by_route_and_client(void **state)
{
	struct vnet_record *v = (struct vnet_record *)(uintptr_t)bed->edge.records->vnets[0];
	struct route r = {
		.vnet = 0, .family = 4, .len = 24, .next_hop = TESTBED_FIRST_ROUTE, .addr = {198, 51, 100}};

	(void)state;
	establish();
	assert_int_equal(route_delete(bed->edge.routes, &r), 0);
	v->routes_generation++;
	assert_int_equal(down(ACK, 9001, 1001, 1000), 0);
	assert_int_equal(down(ACK, 9001, 1001, 1000), 0);
	reason_is(DROP_no_route, 2); /* the reason stays what it is */
	assert_int_equal(route_add(bed->edge.routes, &r), 0);
	v->routes_generation++;
	assert_int_equal(down(ACK, 9001, 1001, 1000), 1);
	client(0)->enabled = false;
	client(0)->generation++;
	assert_int_equal(up(ACK, 1001, 9001, 0), 0);
	reason_is(DROP_peer_disabled, 1);
}

/* Decision 11: what changes in one account makes no flow of another decide again. */
static void others_stay(void **state)
{
	struct flow_entry *f;
	uint32_t before;

	(void)state;
	pass(&bed->clients[8], packet_udp4(p, CLIENT, SERVER, 1, 2, 8));
	f = entry();
	before = f->gen_policy;
	testbed_rules(bed, 0, false, NULL, 0);
	testbed_identity(bed, 0, "x@example.org", NULL, NULL);
	f->rule = 4711; /* would be written again */
	pass(&bed->clients[8], packet_udp4(p, CLIENT, SERVER, 1, 2, 8));
	assert_int_equal(f->rule, 4711);
	assert_int_equal(f->gen_policy, before);
}

/* ---- who may open ---- */

static void private_side(void **state)
{
	(void)state;
	/* whatever the default action: not without a rule */
	assert_int_equal(pass(connector(0, 0), tcp(SERVER, CLIENT, 900, 22, SYN, 1, 0, 0)), 0);
	assert_int_equal(pass(connector(0, 0), packet_udp4(p, SERVER, CLIENT, 900, 22, 8)), 0);
	assert_int_equal(pass(connector(0, 0), packet_echo4(p, SERVER, CLIENT, true, 5)), 0);
	reason_is(DROP_no_flow, 3);
	set_rules(0, false, L4("call back", POLICY_ALLOW, "net.src.ip in {198.51.100.0/24} and net.dst.ip == 100.96.0.10"));
	assert_int_equal(pass(connector(0, 0), tcp(SERVER, CLIENT, 900, 22, SYN, 1, 0, 0)), 1);
	assert_int_equal(got(&bed->clients[0]), 1);
	assert_true(entry()->flags & FLOW_FLAG_FROM_REMOTE);
	assert_int_equal(pass(&bed->clients[0], tcp(CLIENT, SERVER, 22, 900, SYN | ACK, 1, 2, 0)), 1);
	assert_int_equal(got(connector(0, 0)), 1);
	assert_int_equal(pass(connector(0, 0), packet_udp4(p, SERVER, CLIENT, 900, 22, 8)), 1);
	assert_int_equal(pass(connector(0, 0), packet_echo4(p, SERVER, CLIENT, true, 5)), 1);
	/* the rule is for that direction alone */
	assert_int_equal(pass(&bed->clients[0], tcp(CLIENT, SERVER, 901, 22, SYN, 1, 0, 0)), 1);
	assert_int_equal(got(connector(0, 0)), 0);
	/* decision 13: the source's longest prefix must lead to this tunnel */
	assert_int_equal(pass(connector(1, 0), tcp(SERVER, CLIENT, 902, 22, SYN, 1, 0, 0)), 0);
	reason_is(DROP_flow_wrong_tunnel, 1);
	/* nothing but a beginning begins */
	assert_int_equal(pass(connector(0, 0), tcp(SERVER, CLIENT, 903, 22, SYN | ACK, 1, 0, 0)), 0);
	assert_int_equal(pass(connector(0, 0), tcp(SERVER, CLIENT, 903, 22, ACK, 1, 0, 0)), 0);
	assert_int_equal(pass(connector(0, 0), packet_echo4(p, SERVER, CLIENT, false, 6)), 0);
	reason_is(DROP_no_flow, 6);
	/* the rule goes, so does the flow */
	testbed_rules(bed, 0, true, NULL, 0);
	assert_int_equal(pass(connector(0, 0), tcp(SERVER, CLIENT, 900, 22, ACK, 2, 2, 100)), 2);
	assert_int_equal(got(connector(0, 0)), 1);
	assert_int_equal(q[33], RST);
}

/* A connection that has ended leaves its ports open to nobody: the next SYN is decided as what it is. */
static void old_ports(void **state)
{
	(void)state;
	establish();
	assert_int_equal(up(RST, 1001, 0, 0), 1);
	assert_int_equal(down(SYN, 5, 0, 0), 0);
	reason_is(DROP_no_flow, 1);
	assert_int_equal(up(SYN, 2000, 0, 0), 1); /* the client may */
	assert_int_equal(got(connector(0, 0)), 1);
	assert_int_equal(worker_counters(bed->edge.workers[0])->flows_created, 2);
	assert_int_equal(worker_counters(bed->edge.workers[0])->flows_ended, 1);
	assert_int_equal(entry()->packets_up, 1);
	up(RST, 2001, 0, 0);
	testbed_rules(bed, 0, false, NULL, 0);
	assert_int_equal(up(SYN, 3000, 0, 0), 1);
	assert_int_equal(got(connector(0, 0)), 0);
}

/* A client's refused try keeps the private side from nothing that it may, on the same ports, and the other way round. */
static void refused_ports(void **state)
{
	(void)state;
	set_rules(0, false, L4("call back", POLICY_ALLOW, "net.src.ip == 198.51.100.101"));
	pass(&bed->clients[0], packet_udp4(p, CLIENT, SERVER, 22, 900, 8));
	assert_int_equal(entry()->verdict, FLOW_VERDICT_BLOCK);
	assert_int_equal(pass(connector(0, 0), packet_udp4(p, SERVER, CLIENT, 900, 22, 8)), 1);
	assert_int_equal(got(&bed->clients[0]), 1);
	assert_true(entry()->flags & FLOW_FLAG_FROM_REMOTE);
	assert_int_equal(worker_flow_count(bed->edge.workers[0]), 1);
	assert_int_equal(bed->edge.workers[0]->clients[0].blocked, 0);
	set_rules(0, false, L4("call out", POLICY_ALLOW, "net.dst.ip == 198.51.100.101"));
	assert_int_equal(pass(connector(0, 0), packet_udp4(p, SERVER, CLIENT, 900, 22, 8)), 0);
	assert_int_equal(pass(&bed->clients[0], packet_udp4(p, CLIENT, SERVER, 22, 900, 8)), 1);
	assert_int_equal(got(connector(0, 0)), 1);
}

/* In the window after a restart the private side's own flows come back too, by packets of either side. */
static void private_side_back(void **state)
{
	(void)state;
	set_rules(0, false, L4("call back", POLICY_ALLOW, "net.src.ip == 198.51.100.101"));
	assert_int_equal(pass(&bed->clients[0], tcp(CLIENT, SERVER, 22, 900, ACK, 1, 2, 10)), 1);
	assert_int_equal(got(connector(0, 0)), 0);
	bed->edge.started_ns = edge_now_ns();
	bed->edge.workers[0]->now_ns = edge_now_ns();
	assert_int_equal(pass(&bed->clients[0], tcp(CLIENT, SERVER, 23, 900, ACK, 1, 2, 10)), 1);
	assert_int_equal(got(connector(0, 0)), 1);
	assert_int_equal(pass(connector(0, 0), tcp(SERVER, CLIENT, 901, 22, ACK, 1, 2, 10)), 1);
	assert_int_equal(got(&bed->clients[0]), 1);
}

/* ---- caps of a client ---- */

static unsigned open_udp(unsigned client_index, const char *src, unsigned port)
{
	return pass(&bed->clients[client_index], packet_udp4(p, src, SERVER, (uint16_t)port, 53, 8));
}

static void cap_flows(void **state)
{
	(void)state;
	settings()->client_max_flows = 3;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(open_udp(0, CLIENT, 100 + i), 1);
	assert_int_equal(open_udp(0, CLIENT, 103), 0);
	reason_is(DROP_client_flow_limit, 1);
	assert_int_equal(open_udp(0, CLIENT, 100), 1); /* those that are there go on */
	assert_int_equal(open_udp(2, "100.96.0.12", 103), 1); /* another client of the same worker is not meant */
	/* blocked ones take nothing from it */
	set_rules(0, true, L4("no", POLICY_BLOCK, "net.dst.port == 99"));
	settings()->client_max_flows = 4;
	for (unsigned i = 0; i < 20; i++)
		pass(&bed->clients[0], packet_udp4(p, CLIENT, SERVER, (uint16_t)(500 + i), 99, 8));
	assert_int_equal(open_udp(0, CLIENT, 104), 1);
	assert_int_equal(got(connector(0, 0)), 1);
	assert_int_equal(open_udp(0, CLIENT, 105), 0);
}

static void cap_new_flows(void **state)
{
	unsigned opened = 0;

	(void)state;
	settings()->client_new_flows_per_second = 5;
	for (unsigned i = 0; i < 50; i++)
		opened += open_udp(0, CLIENT, 100 + i);
	assert_in_range(opened, 5, 7); /* at once, and what a slow machine's time has earned */
	reason_is(DROP_client_flow_limit, 50 - opened);
	assert_int_equal(open_udp(2, "100.96.0.12", 103), 1);
}

static void cap_packets(void **state)
{
	unsigned passed = 0, back = 0;

	(void)state;
	client(0)->rate_pps = 1;
	for (unsigned i = 0; i < 40; i++)
		passed += open_udp(0, CLIENT, 100);
	assert_in_range(passed, 16, 17);
	reason_is(DROP_client_rate, 40 - passed);
	/* the other direction has its own */
	for (unsigned i = 0; i < 40; i++)
		back += pass(connector(0, 0), packet_udp4(p, SERVER, CLIENT, 53, 100, 8));
	assert_in_range(back, 16, 17);
	assert_int_equal(open_udp(2, "100.96.0.12", 103), 1);
	client(0)->rate_pps = 0;
	assert_int_equal(open_udp(0, CLIENT, 100), 1);
}

static void cap_bits(void **state)
{
	unsigned passed = 0;

	(void)state;
	client(0)->rate_bps = 1000;
	for (unsigned i = 0; i < 100; i++)
		passed += pass(&bed->clients[0], packet_udp4(p, CLIENT, SERVER, 100, 53, 1000 - 28));
	assert_in_range(passed, 64, 66); /* a burst of 65,536 bytes */
	reason_is(DROP_client_rate, 100 - passed);
}

/* The count of flows follows whatever happens to them. */
static void counts_hold(void **state)
{
	const struct client_state *s = &bed->edge.workers[0]->clients[0];
	struct message *msg = message_alloc(&bed->edge);

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		open_udp(0, CLIENT, 100 + i);
	assert_int_equal(s->flows, 5);
	testbed_rules(bed, 0, false, NULL, 0);
	open_udp(0, CLIENT, 100);
	open_udp(0, CLIENT, 101);
	open_udp(0, CLIENT, 200);
	assert_int_equal(s->flows, 6);
	assert_int_equal(s->blocked, 3);
	testbed_rules(bed, 0, true, NULL, 0);
	open_udp(0, CLIENT, 100);
	assert_int_equal(s->blocked, 2);
	msg->type = MSG_MIGRATE_OUT;
	msg->peer = 0;
	msg->migrate.target = 1;
	assert_true(worker_post(bed->edge.workers[0], msg));
	testbed_run(bed);
	assert_int_equal(s->flows, 0);
	assert_int_equal(s->blocked, 0);
	s = &bed->edge.workers[1]->clients[0];
	assert_int_equal(s->flows, 4); /* refusals do not move */
	assert_int_equal(s->blocked, 0);
}

/* ---- TCP and fragments ---- */

/* A segment out of state passes and keeps nothing alive. */
static void out_of_state(void **state)
{
	(void)state;
	assert_int_equal(up(SYN, 1000, 0, 0), 1);
	entry()->last_seen -= 100;
	assert_int_equal(down(ACK, 1, 1, 0), 1); /* a challenge ACK, say */
	assert_int_equal(entry()->tcp_state, FLOW_TCP_SYN_UP);
	assert_true((int32_t)(bed->edge.workers[0]->now_ns / (1000000000 / FLOW_TICKS_PER_S) - entry()->last_seen) >= 99);
	assert_int_equal(down(SYN | ACK, 9000, 1001, 0), 1);
	assert_int_equal(entry()->tcp_state, FLOW_TCP_SYN_BOTH);
	assert_true((int32_t)(bed->edge.workers[0]->now_ns / (1000000000 / FLOW_TICKS_PER_S) - entry()->last_seen) <= 1);
	assert_int_equal(entry()->timeout_class, FLOW_CLASS_TCP_OPENING);
	up(ACK, 1001, 9001, 0);
	assert_int_equal(entry()->timeout_class, FLOW_CLASS_TCP_OPEN);
	up(FIN | ACK, 1001, 9001, 0);
	down(FIN | ACK, 9001, 1002, 0);
	assert_int_equal(entry()->timeout_class, FLOW_CLASS_TCP_CLOSING);
	assert_int_equal(down(SYN | FIN, 1, 1, 0), 1);
	assert_int_equal(entry()->tcp_state, FLOW_TCP_FIN_BOTH);
}

static void fix_sum4(void)
{
	uint16_t sum;

	memset(p + 10, 0, 2);
	sum = inner_sum_fold(inner_sum(p, 20, 0));
	memcpy(p + 10, &sum, 2);
}

/* A UDP fragment of a datagram from client 0, `payload` bytes at `offset`. */
static unsigned fragment(uint16_t id, uint16_t dport, unsigned offset, unsigned payload, bool more)
{
	packet_udp4(p, CLIENT, SERVER, 700, dport, offset == 0 ? payload - 8 : payload);
	p[2] = (uint8_t)((20 + payload) >> 8);
	p[3] = (uint8_t)(20 + payload);
	p[4] = (uint8_t)(id >> 8);
	p[5] = (uint8_t)id;
	p[6] = (uint8_t)((more ? 0x20 : 0) | offset / 8 >> 8);
	p[7] = (uint8_t)(offset / 8);
	fix_sum4();
	return 20 + payload;
}

static void fragments_of_blocked(void **state)
{
	(void)state;
	set_rules(0, true, L4("no", POLICY_BLOCK, "net.dst.port == 99"));
	pass(&bed->clients[0], fragment(1, 99, 0, 400, true));
	assert_int_equal(got(connector(0, 0)), 0);
	pass(&bed->clients[0], fragment(1, 99, 400, 400, false));
	assert_int_equal(got(connector(0, 0)), 0);
	reason_is(DROP_policy_block, 2);
	/* a later one opens nothing that its first could not */
	settings()->client_max_flows = 0;
	assert_int_equal(pass(&bed->clients[0], fragment(2, 53, 0, 400, true)), 0);
	settings()->client_max_flows = 100;
	assert_int_equal(pass(&bed->clients[0], fragment(2, 53, 400, 400, false)), 0);
	reason_is(DROP_client_flow_limit, 1);
	reason_is(DROP_fragment_no_first, 1);
}

/* A fragment passes when the connector gets it. */
static bool passes(unsigned len)
{
	pass(&bed->clients[0], len);
	return got(connector(0, 0)) == 1;
}

/* Pieces in any order after the first pass once, and what overlaps, contradicts or repeats ends the datagram. */
static void fragments_overlap(void **state)
{
	uint64_t overlaps = 0;

	(void)state;
	assert_true(passes(fragment(1, 53, 0, 80, true)));
	assert_true(passes(fragment(1, 53, 240, 80, true)));
	assert_true(passes(fragment(1, 53, 80, 160, true)));
	assert_true(passes(fragment(1, 53, 320, 5, false)));
	reason_is(DROP_fragment_overlap, 0);
	assert_false(passes(fragment(1, 53, 80, 80, true))); /* it was whole: nobody waits for more */
	reason_is(DROP_fragment_no_first, 1);
	/* one byte too many on either side; the rest of that datagram goes too */
	assert_true(passes(fragment(2, 53, 0, 80, true)));
	assert_true(passes(fragment(2, 53, 160, 80, true)));
	assert_false(passes(fragment(2, 53, 72, 8, true)));
	assert_false(passes(fragment(2, 53, 80, 80, true)));
	reason_is(DROP_fragment_overlap, overlaps += 2);
	assert_true(passes(fragment(3, 53, 0, 80, true)));
	assert_true(passes(fragment(3, 53, 160, 80, true)));
	assert_false(passes(fragment(3, 53, 80, 88, true)));
	reason_is(DROP_fragment_overlap, overlaps += 1);
	/* a second first one, with other ports */
	assert_true(passes(fragment(4, 53, 0, 80, true)));
	assert_false(passes(fragment(4, 99, 0, 80, true)));
	assert_false(passes(fragment(4, 53, 80, 8, false)));
	reason_is(DROP_fragment_overlap, overlaps += 2);
	/* two ends; something behind the end; an end before something */
	assert_true(passes(fragment(5, 53, 0, 80, true)));
	assert_true(passes(fragment(5, 53, 160, 8, false)));
	assert_false(passes(fragment(5, 53, 80, 8, false)));
	assert_true(passes(fragment(6, 53, 0, 80, true)));
	assert_true(passes(fragment(6, 53, 160, 8, false)));
	assert_false(passes(fragment(6, 53, 168, 8, true)));
	assert_true(passes(fragment(7, 53, 0, 80, true)));
	assert_true(passes(fragment(7, 53, 160, 8, true)));
	assert_false(passes(fragment(7, 53, 80, 8, false)));
	reason_is(DROP_fragment_overlap, overlaps += 3);
	/* bounded: no more gaps than there is room for */
	assert_true(passes(fragment(8, 53, 0, 80, true)));
	for (unsigned i = 1; i < FRAG_RANGES; i++)
		assert_true(passes(fragment(8, 53, 160 * i, 80, true)));
	assert_false(passes(fragment(8, 53, 160 * FRAG_RANGES, 80, true)));
	reason_is(DROP_fragment_overlap, overlaps += 1);
	/* pieces that cannot be */
	assert_false(passes(fragment(9, 53, 0, 81, true)));
	assert_false(passes(fragment(9, 53, 65528, 8, false)));
	reason_is(DROP_inner_malformed, 2);
	/* each client has its own */
	assert_true(passes(fragment(10, 53, 0, 80, true)));
	p[15] = 12;
	fix_sum4();
	pass(&bed->clients[2], 100);
	assert_int_equal(got(connector(0, 0)), 1);
}

/* Every order of five pieces: all pass, and the datagram is whole at the end, whatever the order of joining. */
static void fragments_any_order(void **state)
{
	static const struct {
		unsigned from, len;
	} pieces[5] = {{80, 8}, {88, 16}, {104, 8}, {112, 40}, {152, 3}};
	unsigned id = 100;

	(void)state;
	for (unsigned order = 0; order < 120; order++, id++) {
		unsigned left[5] = {0, 1, 2, 3, 4}, rest = order;

		assert_true(passes(fragment((uint16_t)id, 53, 0, 80, true)));
		for (unsigned n = 5; n > 0; n--) {
			unsigned at = rest % n, k = left[at];

			rest /= n;
			left[at] = left[n - 1];
			assert_true(passes(fragment((uint16_t)id, 53, pieces[k].from, pieces[k].len, k != 4)));
		}
		assert_false(passes(fragment((uint16_t)id, 53, 80, 8, true)));
	}
	reason_is(DROP_fragment_no_first, 120);
	reason_is(DROP_fragment_overlap, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(blocked_syn),	   T(many_blocked),   T(silent_block),	T(blocked_others), T(not_ready),
		T(by_group),	   T(unknown_name),   T(cut_by_rule),	T(cut_by_default), T(cut_by_list),
		T(cut_by_posture), T(cut_upload),     T(cut_silently),	T(cut_by_route_and_client), T(others_stay),
		T(private_side),   T(old_ports),      T(refused_ports), T(private_side_back), T(cap_flows), T(cap_new_flows),
		T(cap_packets),	   T(cap_bits),	      T(counts_hold),	T(out_of_state),   T(fragments_of_blocked),
		T(fragments_overlap), T(fragments_any_order),
	};

	return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
