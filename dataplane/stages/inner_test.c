// SPDX-License-Identifier: BSD-3-Clause
// Tests of the inner packet parser: each check of inner.c has a packet here that passes without it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/stages/icmp_error.h"
#include "dataplane/stages/inner.h"
#include "dataplane/stages/tcp_reset.h"

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void fix4(uint8_t *p)
{
	uint16_t sum;

	memset(p + 10, 0, 2);
	sum = inner_sum_fold(inner_sum(p, (p[0] & 0xfu) * 4, 0));
	memcpy(p + 10, &sum, 2);
}

/* 198.18.0.1 → 198.51.100.101, `proto`, l4 bytes of payload; returns the total length. */
static unsigned make4(uint8_t *p, uint8_t proto, unsigned l4)
{
	static const uint8_t src[4] = {198, 18, 0, 1}, dst[4] = {198, 51, 100, 101};

	memset(p, 0, 20 + l4);
	p[0] = 0x45;
	put16(p + 2, 20 + l4);
	p[8] = 64;
	p[9] = proto;
	memcpy(p + 12, src, 4);
	memcpy(p + 16, dst, 4);
	if (proto == INNER_TCP && l4 >= 20) {
		p[32] = 0x50;
		p[33] = 0x02;
	}
	if (proto == INNER_UDP && l4 >= 8)
		put16(p + 24, l4);
	if (l4 >= 4) {
		put16(p + 20, 40000);
		put16(p + 22, 443);
	}
	if (proto == INNER_ICMP && l4 >= 8) {
		p[20] = 8;
		p[21] = 0;
		put16(p + 22, 0);
		put16(p + 24, 0x1234);
	}
	fix4(p);
	return 20 + l4;
}

static unsigned make6(uint8_t *p, uint8_t next, unsigned payload)
{
	memset(p, 0, 40 + payload);
	p[0] = 0x60;
	put16(p + 4, payload);
	p[6] = next;
	p[7] = 64;
	p[8] = 0xfd;
	p[23] = 1;
	p[24] = 0x20;
	p[25] = 0x01;
	p[39] = 0x65;
	return 40 + payload;
}

static enum inner_result parse(const uint8_t *p, unsigned len)
{
	struct inner_info info;

	return inner_parse(p, len, &info);
}

static void ipv4_good(void **state)
{
	uint8_t p[128];
	struct inner_info info;
	unsigned len = make4(p, INNER_TCP, 20);

	(void)state;
	assert_int_equal(inner_parse(p, len + 12, &info), INNER_OK); /* padding behind it */
	assert_int_equal(info.family, 4);
	assert_int_equal(info.length, 40);
	assert_int_equal(info.l4_offset, 20);
	assert_int_equal(info.proto, INNER_TCP);
	assert_int_equal(info.tcp_flags, 2);
	assert_memory_equal(&info.src_port_be, p + 20, 2);
	assert_memory_equal(&info.dst_port_be, p + 22, 2);
	assert_false(info.fragment || info.later_fragment || info.icmp_error);
}

static void ipv4_bad(void **state)
{
	uint8_t p[128] = {0};
	unsigned len;

	(void)state;
	/* 1: empty */
	assert_int_equal(parse(p, 0), INNER_MALFORMED);
	/* 2: version 5 */
	len = make4(p, INNER_UDP, 8);
	p[0] = 0x55;
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	/* 3: 19 bytes */
	make4(p, INNER_UDP, 8);
	assert_int_equal(parse(p, 19), INNER_MALFORMED);
	/* 4: IHL 4 */
	len = make4(p, INNER_UDP, 8);
	p[0] = 0x44;
	fix4(p);
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	/* 5: total length below IHL */
	len = make4(p, INNER_UDP, 8);
	put16(p + 2, 19);
	fix4(p);
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	/* 6: total length above the bytes there are */
	len = make4(p, INNER_UDP, 8);
	assert_int_equal(parse(p, len - 1), INNER_MALFORMED);
	/* 7: header checksum */
	len = make4(p, INNER_UDP, 8);
	p[8] ^= 1;
	assert_int_equal(parse(p, len), INNER_BAD_CHECKSUM);
	/* 8: TCP header cut short; 9: TCP data offset below 5 */
	len = make4(p, INNER_TCP, 19);
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	len = make4(p, INNER_TCP, 20);
	p[32] = 0x40;
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	/* 10: UDP cut short; 11: UDP length below 8; 12: above the packet */
	len = make4(p, INNER_UDP, 7);
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	len = make4(p, INNER_UDP, 8);
	put16(p + 24, 7);
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	put16(p + 24, 9);
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	/* 13: ICMP cut short; 14: ICMPv6 in IPv4 */
	len = make4(p, INNER_ICMP, 7);
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	len = make4(p, INNER_ICMPV6, 8);
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	/* 15: second TCP fragment at offset 8 would rewrite the flags (RFC 3128) */
	len = make4(p, INNER_TCP, 40);
	put16(p + 6, 1);
	fix4(p);
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	put16(p + 6, 2);
	fix4(p);
	assert_int_equal(parse(p, len), INNER_OK);
}

static void ipv6_good_and_bad(void **state)
{
	uint8_t p[256];
	struct inner_info info;
	unsigned len = make6(p, INNER_UDP, 8);

	(void)state;
	put16(p + 44, 8);
	put16(p + 40, 5000);
	assert_int_equal(inner_parse(p, len + 8, &info), INNER_OK);
	assert_int_equal(info.length, 48);
	/* 1: 39 bytes; 2: payload above the bytes there are */
	assert_int_equal(parse(p, 39), INNER_MALFORMED);
	assert_int_equal(parse(p, len - 1), INNER_MALFORMED);
	/* 3: hop-by-hop header longer than the packet */
	len = make6(p, 0, 16);
	p[40] = INNER_UDP;
	p[41] = 2;
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	/* 4: good hop-by-hop, then UDP */
	len = make6(p, 0, 16);
	p[40] = INNER_UDP;
	put16(p + 52, 8);
	assert_int_equal(inner_parse(p, len, &info), INNER_OK);
	assert_int_equal(info.l4_offset, 48);
	/* 5: nine extension headers */
	len = make6(p, 60, 80);
	for (unsigned i = 0; i < 9; i++)
		p[40 + i * 8] = 60;
	p[40 + 8 * 8] = INNER_UDP;
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	/* 6: ICMP (v4) in IPv6 */
	len = make6(p, INNER_ICMP, 8);
	assert_int_equal(parse(p, len), INNER_MALFORMED);
	/* 7: a later fragment has no ports; 8: an atomic fragment is none (RFC 6946) */
	len = make6(p, 44, 24);
	p[40] = INNER_UDP;
	put16(p + 42, 8 * 3);
	assert_int_equal(inner_parse(p, len, &info), INNER_OK);
	assert_true(info.later_fragment && info.fragment);
	assert_int_equal(info.src_port_be, 0);
	put16(p + 42, 0);
	put16(p + 52, 8);
	assert_int_equal(inner_parse(p, len, &info), INNER_OK);
	assert_false(info.fragment);
	/* 9: fragment header cut off */
	len = make6(p, 44, 4);
	assert_int_equal(parse(p, len), INNER_MALFORMED);
}

/* Every truncation of good packets is refused: nothing is read past the end (ASan watches). */
static void truncations(void **state)
{
	uint8_t p[256];

	(void)state;
	for (unsigned kind = 0; kind < 5; kind++) {
		unsigned len = kind == 0   ? make4(p, INNER_TCP, 20)
			       : kind == 1 ? make4(p, INNER_UDP, 8)
			       : kind == 2 ? make4(p, INNER_ICMP, 8)
			       : kind == 3 ? make6(p, INNER_TCP, 20)
					   : make6(p, INNER_ICMPV6, 8);

		if (kind == 3)
			p[52] = 0x50;
		assert_int_equal(parse(p, len), INNER_OK);
		for (unsigned cut = 0; cut < len; cut++) {
			uint8_t *copy = malloc(cut + 1);

			memcpy(copy, p, cut);
			assert_int_not_equal(parse(copy, cut), INNER_OK);
			free(copy);
		}
	}
}

static void martians(void **state)
{
	static const struct {
		uint8_t a[4];
		bool martian, noise;
	} v4[] = {
		/* 1 */ {{0, 1, 2, 3}, true, false},	/* 2 */ {{127, 0, 0, 1}, true, false},
		/* 3 */ {{169, 254, 9, 9}, true, true}, /* 4 */ {{169, 253, 9, 9}, false, false},
		/* 5 */ {{224, 0, 0, 251}, true, true}, /* 6 */ {{239, 255, 255, 255}, true, true},
		/* 7 */ {{240, 0, 0, 1}, true, false},	/* 8 */ {{255, 255, 255, 255}, true, true},
		/* 9 */ {{198, 18, 0, 1}, false, false}, /* 10 */ {{203, 0, 113, 5}, false, false},
		/* 11 */ {{10, 0, 0, 1}, false, false}, /* 12 */ {{223, 255, 255, 255}, false, false},
	};
	uint8_t a[16];

	(void)state;
	for (unsigned i = 0; i < sizeof(v4) / sizeof(v4[0]); i++) {
		assert_int_equal(inner_is_martian(4, v4[i].a), v4[i].martian);
		assert_int_equal(inner_is_noise(4, v4[i].a), v4[i].noise);
	}
	memset(a, 0, 16);
	assert_true(inner_is_martian(6, a)); /* :: */
	a[15] = 1;
	assert_true(inner_is_martian(6, a)); /* ::1 */
	a[15] = 2;
	assert_false(inner_is_martian(6, a));
	a[10] = a[11] = 0xff;
	assert_true(inner_is_martian(6, a)); /* ::ffff:0.0.0.2 */
	memset(a, 0, 16);
	a[0] = 0xfe;
	a[1] = 0x80;
	assert_true(inner_is_martian(6, a) && inner_is_noise(6, a));
	a[1] = 0xbf;
	assert_true(inner_is_martian(6, a)); /* the end of fe80::/10 */
	a[1] = 0xc0;
	assert_false(inner_is_martian(6, a));
	a[0] = 0xff;
	assert_true(inner_is_martian(6, a) && inner_is_noise(6, a));
	a[0] = 0x20;
	a[1] = 0x01;
	a[2] = 0x0d;
	a[3] = 0xb8;
	assert_false(inner_is_martian(6, a)); /* documentation passes */
}

/* RFC 6040 Figure 4, all 16 cells, both families. */
static void ecn(void **state)
{
	static const int figure4[4][4] = {
		/* inner \ outer  Not-ECT ECT(1) ECT(0) CE; −1: drop */
		{0, 0, 0, -1},
		{1, 1, 1, 3},
		{2, 1, 2, 3},
		{3, 3, 3, 3},
	};
	uint8_t p[64];

	(void)state;
	for (uint8_t inner = 0; inner < 4; inner++) {
		for (uint8_t outer = 0; outer < 4; outer++) {
			int want = figure4[inner][outer];
			unsigned len = make4(p, INNER_UDP, 8);

			p[1] = (uint8_t)(0xb8 | inner);
			fix4(p);
			assert_int_equal(inner_ecn_decapsulate(p, 4, outer), want >= 0);
			if (want >= 0) {
				assert_int_equal(p[1], 0xb8 | want); /* DSCP untouched */
				assert_int_equal(parse(p, len), INNER_OK);
			}
			make6(p, INNER_UDP, 8);
			p[1] = (uint8_t)(0x8a | inner << 4);
			assert_int_equal(inner_ecn_decapsulate(p, 6, outer), want >= 0);
			if (want >= 0)
				assert_int_equal(p[1], 0x8a | want << 4);
		}
	}
}

static void ttl(void **state)
{
	uint8_t p[64];
	unsigned len;

	(void)state;
	for (unsigned t = 0; t < 256; t++) {
		len = make4(p, INNER_UDP, 8);
		p[8] = (uint8_t)t;
		fix4(p);
		assert_int_equal(inner_ttl_decrement(p, 4), t > 1);
		assert_int_equal(p[8], t > 1 ? t - 1 : t);
		assert_int_equal(parse(p, len), INNER_OK);
	}
	make6(p, INNER_UDP, 8);
	p[7] = 1;
	assert_false(inner_ttl_decrement(p, 6));
	p[7] = 2;
	assert_true(inner_ttl_decrement(p, 6));
	assert_int_equal(p[7], 1);
}

static void icmp_errors(void **state)
{
	static const uint8_t edge4[4] = {100, 96, 0, 1};
	uint8_t p[1500], out[ICMP_ERROR_MAX_BYTES], edge6[16] = {0xfd, [15] = 1};
	struct inner_info info;
	unsigned len, n;

	(void)state;
	/* 1: too big for 1,280, quoted up to 576 bytes in all (R4), from the edge, to the sender */
	len = make4(p, INNER_UDP, 1380);
	n = icmp_error_build(ICMP_ERROR_TOO_BIG, p, len, edge4, 1280, out);
	assert_int_equal(n, 576);
	assert_int_equal(inner_parse(out, n, &info), INNER_OK);
	assert_true(info.icmp_error);
	assert_int_equal(out[20], 3);
	assert_int_equal(out[21], 4);
	assert_int_equal(out[24] << 8 | out[25], 0);
	assert_int_equal(out[26] << 8 | out[27], 1280);
	assert_memory_equal(out + 12, edge4, 4);
	assert_memory_equal(out + 16, p + 12, 4);
	assert_memory_equal(out + 28, p, 548);
	assert_int_equal(inner_sum_fold(inner_sum(out + 20, n - 20, 0)), 0);
	/* 2: v6, quoted up to 1,280 (R8), checksum with pseudo header */
	len = make6(p, INNER_UDP, 1400);
	put16(p + 44, 1400);
	n = icmp_error_build(ICMP_ERROR_TOO_BIG, p, len, edge6, 1280, out);
	assert_int_equal(n, 1280);
	assert_int_equal(out[40], 2);
	assert_int_equal(out[46] << 8 | out[47], 1280);
	assert_int_equal(inner_l4_checksum(6, out + 8, out + 24, INNER_ICMPV6, out + 40, n - 40), 0);
	/* 3: TTL: 11/0 and 3/0 */
	len = make4(p, INNER_UDP, 8);
	assert_true(icmp_error_build(ICMP_ERROR_TTL, p, len, edge4, 0, out) == 28 + len);
	assert_int_equal(out[20], 11);
	/* 4–8: nobody gets an error about an ICMP error, a later fragment, a martian source, multicast, a redirect */
	len = make4(p, INNER_ICMP, 8);
	p[20] = 3;
	assert_int_equal(icmp_error_build(ICMP_ERROR_TTL, p, len, edge4, 0, out), 0);
	len = make4(p, INNER_UDP, 8);
	put16(p + 6, 4);
	fix4(p);
	assert_int_equal(icmp_error_build(ICMP_ERROR_TTL, p, len, edge4, 0, out), 0);
	len = make4(p, INNER_UDP, 8);
	p[12] = 127;
	fix4(p);
	assert_int_equal(icmp_error_build(ICMP_ERROR_TTL, p, len, edge4, 0, out), 0);
	len = make4(p, INNER_UDP, 8);
	p[16] = 224;
	fix4(p);
	assert_int_equal(icmp_error_build(ICMP_ERROR_TTL, p, len, edge4, 0, out), 0);
	len = make6(p, INNER_ICMPV6, 8);
	p[40] = 137;
	assert_int_equal(icmp_error_build(ICMP_ERROR_TTL, p, len, edge6, 0, out), 0);
}

static void quotes(void **state)
{
	uint8_t p[64];
	struct inner_info info;
	unsigned len = make4(p, INNER_TCP, 20);

	(void)state;
	assert_true(inner_parse_quote(p, 28, 4, &info)); /* 8 bytes of TCP are enough */
	assert_memory_equal(&info.src_port_be, p + 20, 2);
	assert_false(inner_parse_quote(p, 27, 4, &info));
	assert_false(inner_parse_quote(p, 19, 4, &info));
	assert_false(inner_parse_quote(p, len, 6, &info));
	put16(p + 6, 1);
	assert_false(inner_parse_quote(p, len, 4, &info)); /* a later fragment names no flow */
	len = make4(p, INNER_ICMP, 8);
	assert_true(inner_parse_quote(p, len, 4, &info));
	p[20] = 11;
	assert_false(inner_parse_quote(p, len, 4, &info)); /* an error about an error */
	len = make6(p, INNER_UDP, 8);
	assert_true(inner_parse_quote(p, len, 6, &info));
	assert_false(inner_parse_quote(p, len - 1, 6, &info));
}

/* RFC 9293 3.10.7.1: what is acknowledged, what is not answered, in IPv6 and behind options too. */
static void resets(void **state)
{
	uint8_t p[128], out[TCP_RESET_MAX_BYTES];
	unsigned len = make6(p, INNER_TCP, 20 + 12);

	(void)state;
	memcpy(p + 44, "\xff\xff\xff\xfe\0\0\0\x07", 8); /* the sequence number wraps */
	p[52] = 0x50;
	p[53] = 0x02;
	assert_int_equal(tcp_reset_build(p, len, true, out), 60);
	assert_memory_equal(out + 8, p + 24, 16);
	assert_memory_equal(out + 24, p + 8, 16);
	assert_memory_equal(out + 40, p + 42, 2);
	assert_memory_equal(out + 42, p + 40, 2);
	assert_memory_equal(out + 44, "\0\0\0\0\0\0\0\x0b", 8); /* 12 bytes and the SYN */
	assert_int_equal(out[53], 0x14);
	assert_int_equal(inner_l4_checksum(6, out + 8, out + 24, INNER_TCP, out + 40, 20), 0);
	p[52] = 0x80; /* twelve of those bytes are options */
	assert_int_equal(tcp_reset_build(p, len, true, out), 60);
	assert_memory_equal(out + 48, "\xff\xff\xff\xff", 4);
	p[53] = 0x11; /* FIN, ACK: to the other side in the sender's name */
	assert_int_equal(tcp_reset_build(p, len, false, out), 60);
	assert_memory_equal(out + 8, p + 8, 32);
	assert_memory_equal(out + 40, p + 40, 12);
	assert_int_equal(out[53], 0x14);
	p[53] = 0x14;
	assert_int_equal(tcp_reset_build(p, len, true, out), 0); /* a reset is not answered */
	p[53] = 0x02;
	p[52] = 0x90; /* a header longer than the segment */
	assert_int_equal(tcp_reset_build(p, len, true, out), 0);
	p[52] = 0x50;
	assert_int_equal(tcp_reset_build(p, len - 1, true, out), 0);
	len = make6(p, INNER_UDP, 20);
	assert_int_equal(tcp_reset_build(p, len, true, out), 0);
	len = make4(p, INNER_TCP, 24);
	put16(p + 6, 0x2000); /* a first fragment: how long the segment is nobody knows */
	fix4(p);
	assert_int_equal(tcp_reset_build(p, len, true, out), 0);
}

/* What a fragment carries, and what it cannot. */
static void fragment_ranges(void **state)
{
	uint8_t p[128];
	struct inner_info info;
	unsigned len = make4(p, INNER_UDP, 24);

	(void)state;
	put16(p + 6, 0x2000 | 100 / 4);
	fix4(p);
	assert_int_equal(inner_parse(p, len, &info), INNER_OK);
	assert_true(info.more_fragments && info.later_fragment);
	assert_int_equal(info.fragment_from, 200);
	assert_int_equal(info.fragment_to, 224);
	len = make4(p, INNER_UDP, 20); /* not the last, and not whole units of 8 */
	put16(p + 6, 0x2000 | 25);
	fix4(p);
	assert_int_equal(inner_parse(p, len, &info), INNER_MALFORMED);
	put16(p + 6, 25);
	fix4(p);
	assert_int_equal(inner_parse(p, len, &info), INNER_OK); /* the last may */
	len = make4(p, INNER_UDP, 0); /* nothing in it */
	put16(p + 6, 25);
	fix4(p);
	assert_int_equal(inner_parse(p, len, &info), INNER_MALFORMED);
	len = make4(p, INNER_UDP, 16); /* past the longest datagram */
	put16(p + 6, 0x1fff);
	fix4(p);
	assert_int_equal(inner_parse(p, len, &info), INNER_MALFORMED);
	len = make4(p, INNER_UDP, 7);
	put16(p + 6, 0x1fff);
	fix4(p);
	assert_int_equal(inner_parse(p, len, &info), INNER_OK);
	len = make6(p, 44, 8 + 16);
	memcpy(p + 40, "\x11\0\0\x09\0\0\0\1", 8); /* offset 8, more */
	assert_int_equal(inner_parse(p, len, &info), INNER_OK);
	assert_int_equal(info.fragment_from, 8);
	assert_int_equal(info.fragment_to, 24);
	len = make6(p, 44, 8 + 15);
	memcpy(p + 40, "\x11\0\0\x09\0\0\0\1", 8);
	assert_int_equal(inner_parse(p, len, &info), INNER_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_good), cmocka_unit_test(ipv4_bad), cmocka_unit_test(ipv6_good_and_bad),
		cmocka_unit_test(truncations), cmocka_unit_test(martians), cmocka_unit_test(ecn),
		cmocka_unit_test(ttl), cmocka_unit_test(icmp_errors), cmocka_unit_test(quotes),
		cmocka_unit_test(resets), cmocka_unit_test(fragment_ranges),
	};

	return cmocka_run_group_tests_name("inner", tests, NULL, NULL);
}
