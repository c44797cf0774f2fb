// SPDX-License-Identifier: BSD-3-Clause
// What the flow log says of packets that really went through: one start and one end for each flow, with exact counts, an end
// for each reason, refusals told once a second, and packets that pass whatever becomes of the log.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "dataplane/testbed/testbed.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

#define CLIENT "100.96.0.10"
#define SERVER "198.51.100.101"

static struct testbed *bed;
static json_t *line; /* the last one read */

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
	json_decref(line);
	line = NULL;
	testbed_destroy(bed);
	return conserved ? 0 : -1;
}

static struct settings_record *settings(void)
{
	return (struct settings_record *)(uintptr_t)bed->edge.records->settings;
}

static struct account_record *account(void)
{
	return (struct account_record *)(uintptr_t)bed->edge.records->accounts[0];
}

static struct client_record *client(uint32_t i)
{
	return (struct client_record *)(uintptr_t)bed->edge.records->clients[i];
}

/* ---- lines ---- */

static bool read_line(void)
{
	char text[8192];

	if (!testbed_log(bed, text, sizeof(text)))
		return false;
	json_decref(line);
	line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(line);
	return true;
}

static const char *field(const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text ? text : "";
}

static long long number(const char *key)
{
	json_t *v = json_object_get(line, key);

	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static void next_is(const char *event)
{
	assert_true(read_line());
	assert_string_equal(field("event"), event);
}

static void no_more(void)
{
	if (read_line())
		fail_msg("one line too many: %s", json_dumps(line, JSON_COMPACT));
}

/* Ages the tables until a line comes; waits for real time to pass, ten seconds at most. */
static void until_line(const char *event)
{
	for (unsigned i = 0; i < 1000; i++) {
		for (unsigned k = 0; k < 600; k++) {
			for (unsigned w = 0; w < bed->edge.n_workers; w++) {
				bed->edge.workers[w]->aged_ns = 0;
				worker_turn(bed->edge.workers[w]);
			}
		}
		if (read_line()) {
			assert_string_equal(field("event"), event);
			return;
		}
		usleep(10000);
	}
	fail_msg("no line of event %s", event);
}

static void ends(const char *reason)
{
	assert_string_equal(field("event"), "end");
	assert_string_equal(field("reason"), reason);
}

/* ---- packets ---- */

static unsigned sent_up, sent_down;

static unsigned up(const uint8_t *p, unsigned len)
{
	testbed_clear(bed);
	testbed_send(bed, 0, &bed->clients[0], p, len);
	testbed_run(bed);
	sent_up += len;
	return bed->n_out;
}

static unsigned down(const uint8_t *p, unsigned len)
{
	testbed_clear(bed);
	testbed_send(bed, 0, &bed->connectors[0][0], p, len);
	testbed_run(bed);
	sent_down += len;
	return bed->n_out;
}

static unsigned tcp_up(uint8_t flags, unsigned payload)
{
	uint8_t p[1500];

	return up(p, packet_tcp4(p, CLIENT, SERVER, 5000, 443, flags, payload));
}

static unsigned tcp_down(uint8_t flags, unsigned payload)
{
	uint8_t p[1500];

	return down(p, packet_tcp4(p, SERVER, CLIENT, 443, 5000, flags, payload));
}

static unsigned udp_up(uint16_t sport)
{
	uint8_t p[1500];

	return up(p, packet_udp4(p, CLIENT, SERVER, sport, 53, 100));
}

static void handshake(void)
{
	assert_int_equal(tcp_up(SYN, 0), 1);
	assert_int_equal(tcp_down(SYN | ACK, 0), 1);
	assert_int_equal(tcp_up(ACK, 0), 1);
}

/* ---- tests ---- */

static void tcp_closed(void **state)
{
	char flow[32];

	(void)state;
	settings()->flow_timeout_tcp_closing_s = 0;
	sent_up = sent_down = 0;
	handshake();
	next_is("start");
	assert_string_equal(field("client_id"), "client-0");
	assert_string_equal(field("account"), "account-0");
	assert_string_equal(field("vnet"), "vnet-0");
	assert_string_equal(field("src"), CLIENT);
	assert_string_equal(field("dst"), SERVER);
	assert_string_equal(field("proto"), "tcp");
	assert_string_equal(field("verdict"), "allow");
	assert_string_equal(field("rule"), "default");
	assert_string_equal(field("tunnel"), "tunnel-0");
	assert_string_equal(field("connector_id"), "connector-0");
	assert_int_equal(number("sport"), 5000);
	assert_int_equal(number("dport"), 443);
	snprintf(flow, sizeof(flow), "%s", field("flow"));
	for (unsigned i = 0; i < 10; i++) {
		tcp_up(ACK, i);
		tcp_down(ACK, 1000);
	}
	tcp_up(FIN | ACK, 0);
	tcp_down(FIN | ACK, 0);
	tcp_up(ACK, 0);
	no_more();
	until_line("end");
	ends("closed");
	assert_string_equal(field("flow"), flow);
	assert_int_equal(number("packets_up"), 14);
	assert_int_equal(number("packets_down"), 12);
	assert_int_equal(number("bytes_up"), sent_up);
	assert_int_equal(number("bytes_down"), sent_down);
	no_more();
}

static void tcp_reset(void **state)
{
	(void)state;
	settings()->flow_timeout_tcp_closing_s = 0;
	handshake();
	tcp_down(RST, 0);
	next_is("start");
	until_line("end");
	ends("reset");
	no_more();
}

/* The same ports at once again: two stories, each with its own counts. */
static void tcp_again(void **state)
{
	(void)state;
	handshake();
	tcp_down(RST, 0);
	sent_up = sent_down = 0;
	handshake();
	next_is("start");
	next_is("end");
	ends("reset");
	assert_int_equal(number("packets_up"), 2);
	assert_int_equal(number("packets_down"), 2);
	next_is("start");
	no_more();
	settings()->flow_timeout_tcp_s = 0;
	until_line("end");
	ends("idle_timeout");
	assert_int_equal(number("bytes_up"), sent_up);
	assert_int_equal(number("bytes_down"), sent_down);
	no_more();
}

static void idle_udp(void **state)
{
	(void)state;
	settings()->flow_timeout_udp_s = 0;
	udp_up(6000);
	next_is("start");
	assert_string_equal(field("proto"), "udp");
	until_line("end");
	ends("idle_timeout");
	assert_int_equal(number("bytes_up"), 128);
	assert_int_equal(number("packets_down"), 0);
	no_more();
	assert_int_equal(udp_up(6000), 1); /* and it may begin anew */
	next_is("start");
}

/* What the tables take away ends at once, is refused from then on, and begins anew when they give it back. */
static void policy_change(void **state)
{
	(void)state;
	udp_up(6000);
	next_is("start");
	testbed_rules(bed, 0, false, NULL, 0);
	account()->policy_revision = 9;
	assert_int_equal(udp_up(6000), 1); /* "prohibited" to the client */
	next_is("end");
	ends("policy_change");
	assert_string_equal(field("verdict"), "block");
	assert_int_equal(number("packets_up"), 1);
	next_is("blocked");
	assert_string_equal(field("reason"), "policy_block");
	assert_string_equal(field("rule"), "default");
	assert_string_equal(field("client_id"), "client-0");
	assert_int_equal(number("count"), 1);
	assert_int_equal(number("revision"), 9);
	for (unsigned i = 0; i < 50; i++)
		udp_up((uint16_t)(6000 + i % 7));
	no_more(); /* decision 15: the first at once, the others once a second */
	until_line("blocked");
	assert_int_equal(number("count"), 50);
	no_more();
	testbed_rules(bed, 0, true, NULL, 0);
	assert_int_equal(udp_up(6000), 1);
	next_is("start");
	settings()->flow_timeout_udp_s = 0;
	until_line("end");
	assert_int_equal(number("packets_up"), 1);
}

static void route_change(void **state)
{
	struct vnet_record *vnet = (struct vnet_record *)(uintptr_t)bed->edge.records->vnets[0];

	(void)state;
	udp_up(6000);
	next_is("start");
	testbed_remove_route(bed, 0, "198.51.100.0", 24);
	vnet->routes_generation++;
	udp_up(6000);
	next_is("end");
	ends("route_change");
	next_is("blocked");
	assert_string_equal(field("reason"), "no_route");
	assert_null(json_string_value(json_object_get(line, "rule")));
	no_more();
}

/* A disabled client's flows end without a packet of theirs. */
static void client_revoked(void **state)
{
	(void)state;
	udp_up(6000);
	next_is("start");
	client(0)->enabled = false;
	client(0)->generation++;
	until_line("end");
	ends("client_revoked");
	assert_string_equal(field("client_id"), "client-0");
	assert_int_equal(worker_flow_count(bed->edge.workers[0]), 0);
	no_more();
}

/* The client's index is somebody else's before anyone looked: the end names the first, the new flow the second. */
static void client_index_reused(void **state)
{
	struct card other = {.id = "client-x", .name = "x", .more = ""};

	(void)state;
	udp_up(6000);
	next_is("start");
	cards_drop(bed->edge.cards, CARD_CLIENT, 0);
	assert_int_equal(cards_put(bed->edge.cards, CARD_CLIENT, 0, &other), 1);
	client(0)->generation++;
	udp_up(6000);
	next_is("end");
	ends("client_revoked");
	assert_string_equal(field("client_id"), "client-0");
	assert_int_equal(number("packets_up"), 1);
	next_is("start");
	assert_string_equal(field("client_id"), "client-x");
	/* the same without a packet */
	cards_drop(bed->edge.cards, CARD_CLIENT, 0);
	until_line("end");
	ends("client_revoked");
	assert_string_equal(field("client_id"), "client-x");
	no_more();
}

static void connector_lost(void **state)
{
	(void)state;
	udp_up(6000);
	next_is("start");
	bed->edge.connector_live[0] = 0;
	udp_up(6000);
	next_is("end");
	ends("connector_lost");
	assert_string_equal(field("connector_id"), "connector-0");
	next_is("blocked");
	assert_string_equal(field("reason"), "no_connector");
	bed->edge.connector_live[0] = 1;
	assert_int_equal(udp_up(6000), 1);
	next_is("start");
	no_more();
}

static void table_full(void **state)
{
	unsigned lines = 0, blocked = 0;

	(void)state;
	for (unsigned i = 0; i < 4200; i++) {
		udp_up((uint16_t)(1000 + i));
		while (read_line())
			*(strcmp(field("event"), "blocked") ? &lines : &blocked) += 1;
	}
	assert_int_equal(lines, 4096);
	assert_true(blocked >= 1 && blocked < 20);
	assert_string_equal(field("reason"), "flow_table_full");
}

/* Martian and noise packets are no business of the log (decision 12), nor are spoofed ones or strays of a connector. */
static void not_logged(void **state)
{
	uint8_t p[1500];

	(void)state;
	up(p, packet_udp4(p, CLIENT, "224.0.0.251", 5353, 5353, 8));
	up(p, packet_udp4(p, CLIENT, "127.0.0.1", 1, 2, 8));
	up(p, packet_udp4(p, "100.96.0.99", SERVER, 1, 2, 8));
	down(p, packet_udp4(p, SERVER, CLIENT, 53, 7777, 8));
	up(p, packet_echo4(p, CLIENT, "100.96.0.1", true, 77)); /* answered by the edge itself */
	no_more();
	up(p, packet_udp4(p, CLIENT, "100.96.0.12", 1, 2, 8));
	next_is("blocked");
	assert_string_equal(field("reason"), "client_to_client");
	no_more();
}

/* A full ring costs lines, counted, and never a packet. */
static void ring_full(void **state)
{
	struct flow_log_stats s;
	unsigned lines = 0;

	(void)state;
	settings()->flow_timeout_udp_s = 3600;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 2100; i++) {
			assert_int_equal(tcp_up(SYN, 0), 1);
			assert_int_equal(tcp_down(RST, 0), 1);
		}
	}
	while (read_line())
		lines++;
	flow_log_stats(bed->edge.flow_log, &s);
	/* 4,200 starts and 4,199 ends */
	assert_int_equal(lines, FLOW_LOG_RING);
	assert_int_equal(s.ring_dropped, 8399 - FLOW_LOG_RING);
}

/* A flow that moves to another worker keeps its story. */
static void migrated(void **state)
{
	struct message *msg = message_alloc(&bed->edge);
	char flow[32];

	(void)state;
	udp_up(6000);
	next_is("start");
	snprintf(flow, sizeof(flow), "%s", field("flow"));
	msg->type = MSG_MIGRATE_OUT;
	msg->peer = 0;
	msg->migrate.target = 1;
	assert_true(worker_post(bed->edge.workers[0], msg));
	testbed_run(bed);
	assert_int_equal(udp_up(6000), 1);
	no_more();
	settings()->flow_timeout_udp_s = 0;
	until_line("end");
	assert_string_equal(field("flow"), flow);
	assert_int_equal(number("packets_up"), 2);
	no_more();
}

static void mid_stream(void **state)
{
	(void)state;
	bed->edge.started_ns = edge_now_ns();
	assert_int_equal(tcp_down(ACK, 100), 1);
	next_is("start");
	assert_true(json_is_true(json_object_get(line, "mid_stream")));
	no_more();
}

/* ---- counters ---- */

static struct hit counts_of(enum hit_kind kind, uint32_t index)
{
	struct hits_fold fold = {0};
	struct message *msg = message_alloc(&bed->edge);
	struct hit out;

	msg->type = MSG_FOLD_HITS;
	msg->peer = RECORD_NONE;
	msg->fold = &fold;
	assert_true(worker_post(bed->edge.workers[0], msg));
	testbed_run(bed);
	assert_true(fold.done && fold.cursor == UINT32_MAX);
	hits_sum(bed->edge.hits, kind, index, &out);
	return out;
}

static void counters_while_it_runs(void **state)
{
	struct hit h;

	(void)state;
	sent_up = sent_down = 0;
	handshake();
	tcp_down(ACK, 500);
	for (unsigned kind = HIT_DEFAULT; kind <= HIT_ROUTE; kind++) {
		h = counts_of((enum hit_kind)kind, kind == HIT_ROUTE ? TESTBED_FIRST_ROUTE : 0);
		assert_int_equal(h.packets_up, 2);
		assert_int_equal(h.packets_down, 2);
		assert_int_equal(h.bytes_up, sent_up);
		assert_int_equal(h.bytes_down, sent_down);
		assert_int_equal(h.allowed, 1);
		assert_int_equal(h.blocked_packets, 0);
	}
	/* asked again: nothing is counted twice; its end adds nothing either */
	settings()->flow_timeout_tcp_s = 0;
	next_is("start");
	until_line("end");
	h = counts_of(HIT_CLIENT, 0);
	assert_int_equal(h.packets_up, 2);
	assert_int_equal(h.bytes_down, sent_down);
	assert_int_equal(counts_of(HIT_CLIENT, 1).packets_up, 0);
	assert_int_equal(counts_of(HIT_DEFAULT, 1).packets_up, 0);
}

static void counters_of_refusals(void **state)
{
	struct hit h;

	(void)state;
	testbed_rules(bed, 0, false, NULL, 0);
	for (unsigned i = 0; i < 9; i++)
		udp_up((uint16_t)(6000 + i % 3));
	h = counts_of(HIT_DEFAULT, 0);
	assert_int_equal(h.blocked_packets, 9);
	assert_int_equal(h.blocked, 3);
	assert_int_equal(h.allowed, 0);
	assert_int_equal(h.packets_up, 0);
	assert_int_equal(counts_of(HIT_CLIENT, 0).blocked_packets, 9);
	assert_int_equal(counts_of(HIT_CLIENT, 0).blocked, 3);
	assert_int_equal(counts_of(HIT_ROUTE, TESTBED_FIRST_ROUTE).blocked, 3);
}

/* Flows that run are counted by the sweep, without anybody asking. */
static void counters_by_themselves(void **state)
{
	struct hit h = {0};

	(void)state;
	udp_up(6000);
	for (unsigned i = 0; i < 600; i++) {
		bed->edge.workers[0]->aged_ns = 0;
		worker_turn(bed->edge.workers[0]);
	}
	hits_sum(bed->edge.hits, HIT_CLIENT, 0, &h);
	assert_int_equal(h.packets_up, 1);
}

/* An index given out again begins at zero, and nothing of its last owner comes in later. */
static void counters_begin_at_zero(void **state)
{
	struct card other = {.id = "client-x", .name = "x", .more = ""};

	(void)state;
	udp_up(6000);
	udp_up(6000);
	assert_int_equal(counts_of(HIT_CLIENT, 0).packets_up, 2);
	udp_up(6000); /* not folded yet */
	cards_drop(bed->edge.cards, CARD_CLIENT, 0);
	hits_begin(bed->edge.hits, HIT_CLIENT, 0);
	assert_int_equal(cards_put(bed->edge.cards, CARD_CLIENT, 0, &other), 1);
	assert_int_equal(counts_of(HIT_CLIENT, 0).packets_up, 0);
	client(0)->generation++;
	udp_up(6000);
	assert_int_equal(counts_of(HIT_CLIENT, 0).packets_up, 1);
	assert_int_equal(counts_of(HIT_CLIENT, 0).allowed, 1);
	assert_int_equal(counts_of(HIT_DEFAULT, 0).packets_up, 4); /* the account is the same */
	/* the route's index likewise */
	assert_int_equal(counts_of(HIT_ROUTE, TESTBED_FIRST_ROUTE).packets_up, 4);
	udp_up(6000);
	route_record_set(bed->edge.records, TESTBED_FIRST_ROUTE, RECORD_NONE, 0);
	hits_begin(bed->edge.hits, HIT_ROUTE, TESTBED_FIRST_ROUTE);
	route_record_set(bed->edge.records, TESTBED_FIRST_ROUTE, 0, 4711);
	assert_int_equal(counts_of(HIT_ROUTE, TESTBED_FIRST_ROUTE).packets_up, 0);
	((struct vnet_record *)(uintptr_t)bed->edge.records->vnets[0])->routes_generation++;
	udp_up(6000);
	assert_int_equal(counts_of(HIT_ROUTE, TESTBED_FIRST_ROUTE).packets_up, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(tcp_closed),	    T(tcp_reset),      T(tcp_again),	       T(idle_udp),	  T(policy_change), T(route_change),
		T(client_revoked),  T(client_index_reused), T(connector_lost), T(table_full),	  T(not_logged),    T(ring_full),
		T(migrated),	    T(mid_stream),     T(counters_while_it_runs), T(counters_of_refusals), T(counters_by_themselves),
		T(counters_begin_at_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
