// SPDX-License-Identifier: BSD-3-Clause
// Tests of resets and prohibitions: every field that a peer checks.
#include "connector/refuse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct ip_addr device4, origin4, device6, origin6;

/* A packet of the device: header, then `l4`. */
static uint32_t make(uint8_t *out, bool v6, uint8_t protocol, const uint8_t *l4, size_t n)
{
	size_t header = packet_header(out, v6 ? &device6 : &device4, v6 ? &origin6 : &origin4, protocol, 64, n);

	memcpy(out + header, l4, n);
	return (uint32_t)(header + n);
}

static void tcp_segment(uint8_t tcp[20], uint8_t flags)
{
	memset(tcp, 0, 20);
	packet_put16(tcp, 40000);
	packet_put16(tcp + 2, 443);
	memcpy(tcp + 4, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
	tcp[12] = 5 << 4;
	tcp[13] = flags;
}

/* The answer, parsed; its transport checksum is right. */
static struct packet answer_to(const uint8_t *bytes, uint32_t length, uint8_t *out)
{
	struct packet p, r;
	uint32_t n, sum;

	assert_true(packet_parse(bytes, length, &p));
	n = refuse_packet(&p, out);
	assert_true(n > 0 && n <= REFUSE_MAX_BYTES);
	assert_true(packet_parse(out, n, &r));
	assert_int_equal(ip_addr_cmp(&r.src, &p.dst), 0);
	assert_int_equal(ip_addr_cmp(&r.dst, &p.src), 0);
	sum = r.protocol == PACKET_ICMP4 ? 0 : packet_pseudo(&r.src, &r.dst, r.l4_bytes, r.protocol);
	assert_int_equal(packet_fold(packet_sum(r.bytes + r.l4_at, r.l4_bytes, sum)), 0);
	return r;
}

static void a_syn_is_answered_from_zero(void **state)
{
	uint8_t tcp[20], bytes[64], out[REFUSE_MAX_BYTES];

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct packet r;

		tcp_segment(tcp, PACKET_TCP_SYN);
		r = answer_to(bytes, make(bytes, v6, PACKET_TCP, tcp, 20), out);
		assert_int_equal(r.tcp_flags, PACKET_TCP_RST | PACKET_TCP_ACK);
		assert_int_equal(packet_tcp_seq(&r), 0);
		assert_int_equal(packet_tcp_ack(&r), 0x11223345);
		assert_int_equal(r.sport, 443);
		assert_int_equal(r.dport, 40000);
	}
}

static void a_segment_is_answered_from_its_acknowledgment(void **state)
{
	uint8_t tcp[20], bytes[64], out[REFUSE_MAX_BYTES];
	struct packet r;

	(void)state;
	tcp_segment(tcp, PACKET_TCP_ACK);
	r = answer_to(bytes, make(bytes, false, PACKET_TCP, tcp, 20), out);
	assert_int_equal(r.tcp_flags, PACKET_TCP_RST);
	assert_int_equal(packet_tcp_seq(&r), 0x55667788);
}

static void udp_is_prohibited_and_quoted(void **state)
{
	uint8_t udp[1200] = {0x9c, 0x40, 0, 53, 0x04, 0xb0}, bytes[1300], out[REFUSE_MAX_BYTES];

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		uint32_t n = make(bytes, v6, PACKET_UDP, udp, sizeof(udp));
		struct packet r = answer_to(bytes, n, out);

		assert_true(r.icmp_error);
		assert_int_equal(r.bytes[r.l4_at], v6 ? 1 : 3);
		assert_int_equal(r.bytes[r.l4_at + 1], v6 ? 1 : 13);
		assert_memory_equal(r.bytes + r.l4_at + 8, bytes, REFUSE_QUOTE_MAX_BYTES);
		assert_int_equal(r.l4_bytes, 8 + REFUSE_QUOTE_MAX_BYTES);
	}
}

static void no_answer_to_resets_errors_and_later_fragments(void **state)
{
	uint8_t tcp[20], icmp[64] = {3, 1}, bytes[128], out[REFUSE_MAX_BYTES];
	struct packet p;

	(void)state;
	tcp_segment(tcp, PACKET_TCP_RST | PACKET_TCP_ACK);
	assert_true(packet_parse(bytes, make(bytes, false, PACKET_TCP, tcp, 20), &p));
	assert_int_equal(refuse_packet(&p, out), 0);
	assert_true(packet_parse(bytes, make(bytes, false, PACKET_ICMP4, icmp, sizeof(icmp)), &p));
	assert_int_equal(refuse_packet(&p, out), 0);
	tcp_segment(tcp, PACKET_TCP_SYN);
	assert_true(packet_parse(bytes, make(bytes, false, PACKET_TCP, tcp, 20), &p));
	p.later = true;
	assert_int_equal(refuse_packet(&p, out), 0);
}

static void a_reset_as_the_device(void **state)
{
	uint8_t out[60];
	struct packet r;
	uint32_t n;

	(void)state;
	n = refuse_as_device(&device4, &origin4, 40000, 443, 0xdeadbeef, out);
	assert_true(packet_parse(out, n, &r));
	assert_int_equal(r.tcp_flags, PACKET_TCP_RST);
	assert_int_equal(packet_tcp_seq(&r), 0xdeadbeef);
	assert_int_equal(ip_addr_cmp(&r.src, &device4), 0);
	assert_int_equal(r.sport, 40000);
	assert_int_equal(r.dport, 443);
	assert_int_equal(packet_fold(packet_sum(out + 20, 20, packet_pseudo(&r.src, &r.dst, 20, PACKET_TCP))), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_syn_is_answered_from_zero),
		cmocka_unit_test(a_segment_is_answered_from_its_acknowledgment),
		cmocka_unit_test(udp_is_prohibited_and_quoted),
		cmocka_unit_test(no_answer_to_resets_errors_and_later_fragments),
		cmocka_unit_test(a_reset_as_the_device),
	};

	ip_addr_parse("100.96.0.2", &device4);
	ip_addr_parse("198.51.100.101", &origin4);
	ip_addr_parse("fd00:96::2", &device6);
	ip_addr_parse("2001:db8::101", &origin6);
	return cmocka_run_group_tests_name("connector refuse", tests, NULL, NULL);
}
