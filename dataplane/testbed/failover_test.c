// SPDX-License-Identifier: BSD-3-Clause
// Connectors that are lost: what the client of each kind of flow is told, and when nobody is.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/peers.h"
#include "dataplane/stages/inner.h"
#include "dataplane/testbed/testbed.h"

#define SYN 0x02
#define RST 0x04
#define ACK 0x10
#define DEVICE "100.96.0.10"
#define ORIGIN "198.51.100.101"

static struct testbed *bed;

static int setup(void **state)
{
	(void)state;
	bed = testbed_create(2, 8);
	bed->edge.started_ns = 0; /* long ago: no flow comes back in mid-stream */
	return 0;
}

static int teardown(void **state)
{
	bool conserved = testbed_conserved(bed);

	(void)state;
	testbed_destroy(bed);
	return conserved ? 0 : -1;
}

static unsigned pass(struct far_end *from, const uint8_t *p, unsigned len)
{
	testbed_clear(bed);
	testbed_send(bed, bed->edge.peers[from->peer].owner, from, p, len);
	testbed_run(bed);
	return bed->n_out;
}

/* A connection of client 0 over tunnel 0's connector; `answered`: the origin has. */
static void connect_from(uint16_t port, bool answered)
{
	uint8_t p[1500];
	unsigned len = packet_tcp4(p, DEVICE, ORIGIN, port, 443, SYN, 0);

	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	if (!answered)
		return;
	len = packet_tcp4(p, ORIGIN, DEVICE, 443, port, SYN | ACK, 0);
	assert_int_equal(pass(&bed->connectors[0][0], p, len), 1);
	len = packet_tcp4(p, DEVICE, ORIGIN, port, 443, ACK, 0);
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
}

static void lose_connector(void)
{
	testbed_clear(bed);
	bed->edge.connector_live[0] = CONNECTOR_DEAD;
	bed->edge.losses++;
	testbed_run(bed);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Sent frame 0 is a TCP segment of the origin to client 0 with these flags and right checksums; its sequence number. */
static uint32_t client_hears(uint8_t flags, uint16_t port)
{
	uint8_t q[1500];
	uint16_t to;

	assert_true(testbed_open(bed, 0, &bed->clients[0], q) >= 40);
	assert_int_equal(q[9], INNER_TCP);
	assert_int_equal(inner_sum_fold(inner_sum(q, 20, 0)), 0);
	assert_int_equal(inner_l4_checksum(4, q + 12, q + 16, INNER_TCP, q + 20, 20), 0);
	assert_int_equal(q[33], flags);
	memcpy(&to, q + 22, 2);
	assert_int_equal(ntohs(to), port);
	return get32(q + 24);
}

/* The client waits for data: it is asked, answers, and gets a reset that fits its answer. */
static void a_waiting_connection_is_ended(void **state)
{
	uint8_t p[1500];
	unsigned len = packet_tcp4(p, DEVICE, ORIGIN, 5000, 443, ACK, 0);

	(void)state;
	connect_from(5000, true);
	lose_connector();
	assert_int_equal(bed->n_out, 1);
	client_hears(ACK, 5000);
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_int_equal(client_hears(RST, 5000), get32(p + 28));
	assert_int_equal(testbed_drops(bed, DROP_connector_lost), 1);
}

static void each_is_asked_but_ended_ones(void **state)
{
	uint8_t p[1500];
	unsigned len = packet_tcp4(p, DEVICE, ORIGIN, 5001, 443, RST | ACK, 0);

	(void)state;
	connect_from(5000, true);
	connect_from(5001, true);
	pass(&bed->clients[0], p, len);
	for (uint16_t port = 6000; port < 6200; port++)
		connect_from(port, true);
	lose_connector();
	assert_int_equal(bed->n_out, 201);
	testbed_clear(bed);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 0);
	/* once more after a while, for those who did not hear */
	usleep(520 * 1000);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 201);
}

/* A SYN that nobody answered yet may be sent again elsewhere; nobody lives here, so it is told at once. */
static void an_unanswered_syn_is_not_reset(void **state)
{
	uint8_t p[1500], q[1500];
	unsigned len = packet_tcp4(p, DEVICE, ORIGIN, 5000, 443, SYN, 0);

	(void)state;
	connect_from(5000, false);
	lose_connector();
	assert_int_equal(bed->n_out, 0);
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->clients[0], q) > 0);
	assert_int_equal(q[20] << 8 | q[21], 0x0301);
	assert_int_equal(testbed_drops(bed, DROP_no_connector), 1);
}

static void datagrams_move(void **state)
{
	uint8_t p[1500], q[1500];
	unsigned len = packet_udp4(p, DEVICE, ORIGIN, 5000, 53, 8);

	(void)state;
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	lose_connector();
	assert_int_equal(bed->n_out, 0);
	bed->edge.connector_live[0] = CONNECTOR_LIVE;
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->connectors[0][0], q) > 0);
}

static void a_routed_connection_waits_for_another(void **state)
{
	const struct connector_record *c = connector_get(bed->edge.records, 0);
	uint8_t p[1500], q[1500];
	unsigned len = packet_tcp4(p, DEVICE, ORIGIN, 5000, 443, ACK, 0);

	(void)state;
	((struct connector_record *)(uintptr_t)c)->preserve_source = true;
	connect_from(5000, true);
	lose_connector();
	assert_int_equal(bed->n_out, 0);
	bed->edge.connector_live[0] = CONNECTOR_LIVE;
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->connectors[0][0], q) > 0);
	assert_int_equal(testbed_drops(bed, DROP_connector_lost), 0);
	((struct connector_record *)(uintptr_t)c)->preserve_source = false;
}

/* Only a session is gone: its connector's other one carries the connection on. */
static void a_sibling_session_takes_over(void **state)
{
	uint8_t p[1500], q[1500];
	unsigned len = packet_tcp4(p, DEVICE, ORIGIN, 5000, 443, ACK, 0);

	(void)state;
	connect_from(5000, true);
	bed->edge.peers[bed->connectors[0][0].peer].settled = false;
	bed->edge.losses++;
	testbed_clear(bed);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 0);
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	assert_true(testbed_open(bed, 0, &bed->connectors[0][1], q) > 0);
}

/* After the edge's own start a connection waits for its connector. */
static void mid_stream_after_a_start_waits(void **state)
{
	uint8_t p[1500];
	unsigned len = packet_tcp4(p, DEVICE, ORIGIN, 5000, 443, ACK, 0);

	(void)state;
	bed->edge.started_ns = edge_now_ns();
	assert_int_equal(pass(&bed->clients[0], p, len), 1);
	lose_connector();
	assert_int_equal(bed->n_out, 0);
	pass(&bed->clients[0], p, len);
	assert_int_equal(testbed_drops(bed, DROP_connector_lost), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_waiting_connection_is_ended),
		T(each_is_asked_but_ended_ones),
		T(an_unanswered_syn_is_not_reset),
		T(datagrams_move),
		T(a_routed_connection_waits_for_another),
		T(a_sibling_session_takes_over),
		T(mid_stream_after_a_start_waits),
	};

	return cmocka_run_group_tests_name("failover", tests, NULL, NULL);
}
