// SPDX-License-Identifier: BSD-3-Clause
// Tests of the flow table: what makes a flow, how many there may be, which ended ones give way, what a drain waits for.
#include "connector/flows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIN PACKET_TCP_FIN
#define SYN PACKET_TCP_SYN
#define RST PACKET_TCP_RST
#define ACK PACKET_TCP_ACK
#define MS 1000000ull

static uint8_t bytes[64];
static int session;

/* A packet of the device, or (down) of the origin. TCP where flags are ≥ 0, else UDP. */
static struct packet make(uint16_t port, int flags, bool down)
{
	struct ip_addr device, origin;
	uint8_t l4[20] = {0};
	struct packet p;
	size_t n = flags >= 0 ? 20 : 8, header;

	ip_addr_parse("100.96.0.2", &device);
	ip_addr_parse("198.51.100.101", &origin);
	packet_put16(l4, down ? 443 : port);
	packet_put16(l4 + 2, down ? port : 443);
	if (flags >= 0) {
		l4[11] = 77; /* acknowledgment */
		l4[12] = 5 << 4;
		l4[13] = (uint8_t)flags;
	}
	header = packet_header(bytes, down ? &origin : &device, down ? &device : &origin, flags >= 0 ? PACKET_TCP : PACKET_UDP, 64,
			       n);
	memcpy(bytes + header, l4, n);
	assert_true(packet_parse(bytes, (uint32_t)(header + n), &p));
	return p;
}

static struct flow *up(struct flows *f, uint16_t port, int flags, enum flows_make how, bool *full)
{
	struct packet p = make(port, flags, false);

	return flows_up(f, &p, &session, how, full, 5 * MS);
}

static bool down(struct flows *f, uint16_t port, int flags)
{
	struct packet p = make(port, flags, true);
	bool first;

	assert_non_null(flows_down(f, &p, &first, 9 * MS));
	return first;
}

static void only_a_beginning_makes_a_flow(void **state)
{
	struct flows *f = flows_create(16, 16);
	bool full;

	(void)state;
	assert_null(up(f, 1000, ACK, FLOWS_MAKE_NEW, &full));
	assert_false(full);
	assert_null(up(f, 1000, SYN, FLOWS_MAKE_NONE, &full));
	assert_non_null(up(f, 1000, SYN, FLOWS_MAKE_NEW, &full));
	assert_non_null(up(f, 1000, ACK, FLOWS_MAKE_NONE, &full));
	assert_non_null(up(f, 1001, ACK, FLOWS_MAKE_ANY, &full));
	assert_non_null(up(f, 1002, -1, FLOWS_MAKE_NEW, &full));
	flows_destroy(f);
}

static void tcp_has_its_own_limit(void **state)
{
	struct flows *f = flows_create(4, 2);
	bool full;

	(void)state;
	assert_non_null(up(f, 1000, SYN, FLOWS_MAKE_NEW, &full));
	assert_non_null(up(f, 1001, SYN, FLOWS_MAKE_NEW, &full));
	assert_null(up(f, 1002, SYN, FLOWS_MAKE_NEW, &full));
	assert_true(full);
	assert_non_null(up(f, 2000, -1, FLOWS_MAKE_NEW, &full));
	assert_non_null(up(f, 2001, -1, FLOWS_MAKE_NEW, &full));
	assert_null(up(f, 2002, -1, FLOWS_MAKE_NEW, &full));
	assert_true(full);
	flows_destroy(f);
}

static void ended_ones_give_way_oldest_first(void **state)
{
	struct flows *f = flows_create(4, 4);
	struct flow gone;
	bool full;

	(void)state;
	for (uint16_t port = 1000; port < 1003; port++) {
		up(f, port, SYN, FLOWS_MAKE_NEW, &full);
		down(f, port, SYN | ACK);
	}
	assert_false(flows_evict(f, &gone));
	down(f, 1001, FIN | ACK);
	assert_false(flows_evict(f, &gone));
	up(f, 1001, FIN | ACK, FLOWS_MAKE_NONE, &full);
	down(f, 1002, RST | ACK);
	assert_true(flows_evict(f, &gone));
	assert_int_equal(gone.key.device_port, 1001);
	assert_int_equal(gone.device_next, 77);
	assert_true(flows_evict(f, &gone));
	assert_int_equal(gone.key.device_port, 1002);
	assert_false(flows_evict(f, &gone));
	assert_int_equal(flows_active(f), 1);
	flows_destroy(f);
}

static void the_first_answer_is_told_once(void **state)
{
	struct flows *f = flows_create(4, 4);
	struct flows_counts counts;
	bool full;

	(void)state;
	up(f, 1000, SYN, FLOWS_MAKE_NEW, &full);
	assert_true(down(f, 1000, SYN | ACK));
	assert_false(down(f, 1000, ACK));
	up(f, 1001, ACK, FLOWS_MAKE_ANY, &full);
	assert_false(down(f, 1001, ACK)); /* in mid-stream: nobody connects */
	up(f, 1002, SYN, FLOWS_MAKE_NEW, &full);
	assert_int_equal(flows_expire(f, 5 + FLOWS_TCP_OPENING_MS), 1);
	flows_counts_get(f, &counts);
	assert_int_equal(counts.unanswered, 1);
	flows_destroy(f);
}

static void a_drain_waits_for_open_tcp_and_busy_udp(void **state)
{
	struct flows *f = flows_create(8, 8);
	bool full;

	(void)state;
	assert_int_equal(flows_busy(f, 5), 0);
	up(f, 1000, SYN, FLOWS_MAKE_NEW, &full);
	up(f, 2000, -1, FLOWS_MAKE_NEW, &full);
	up(f, 2001, -1, FLOWS_MAKE_NEW, &full);
	assert_int_equal(flows_busy(f, 5), 2);
	assert_int_equal(flows_busy(f, 5 + FLOWS_BUSY_MS), 1);
	down(f, 1000, RST | ACK);
	assert_int_equal(flows_busy(f, 5 + FLOWS_BUSY_MS), 0);
	flows_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_beginning_makes_a_flow),
		cmocka_unit_test(tcp_has_its_own_limit),
		cmocka_unit_test(ended_ones_give_way_oldest_first),
		cmocka_unit_test(the_first_answer_is_told_once),
		cmocka_unit_test(a_drain_waits_for_open_tcp_and_busy_udp),
	};

	return cmocka_run_group_tests_name("connector flows", tests, NULL, NULL);
}
