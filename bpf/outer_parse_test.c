// SPDX-License-Identifier: BSD-3-Clause
/* The parser of outer headers in user space: verdict of every fixture, fields, and no read behind
 * any end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/fixtures.h"

/* What the XDP program does, told by the same parser in plain words. */
static int judge(const uint8_t *frame, size_t readable, size_t len)
{
	struct outer_headers h;
	uint8_t listen[16] = {0}, denied[16] = {0};
	enum outer_parse_result res = outer_parse(frame, frame + readable, (uint32_t)len, &h);

	if (res == OUTER_PARSE_OTHER)
		return EXPECT_PASS;
	inet_pton(h.family == 4 ? AF_INET : AF_INET6, h.family == 4 ? FIXTURE_V4 : FIXTURE_V6,
		  listen);
	inet_pton(h.family == 4 ? AF_INET : AF_INET6,
		  h.family == 4 ? FIXTURE_DENY_V4 : FIXTURE_DENY_V6, denied);
	if (memcmp(h.dst, listen, 16) != 0)
		return EXPECT_PASS;
	if (res != OUTER_PARSE_FRAGMENT && ntohs(h.dst_port_be16) != FIXTURE_PORT)
		return EXPECT_PASS;
	if (!memcmp(h.src, denied, 16))
		return STEER_DROP_xdp_denied;
	switch (outer_judge(res, &h)) {
	case OUTER_FRAGMENT:
		return STEER_DROP_xdp_fragment;
	case OUTER_MALFORMED:
		return STEER_DROP_xdp_malformed;
	case OUTER_CHECKSUM:
		return STEER_DROP_xdp_checksum;
	case OUTER_TYPE:
		return STEER_DROP_xdp_type;
	case OUTER_LENGTH:
		return STEER_DROP_xdp_length;
	default:
		return STEER_REDIRECTED;
	}
}

static void test_fixtures(void **state)
{
	_Static_assert(N_FIXTURES >= 200, "every branch, in every wrapping");
	static uint8_t buf[FIXTURE_MAX];

	(void)state;
	for (size_t i = 0; i < N_FIXTURES; i++) {
		struct fixture f = fixture_get(i);
		size_t len = fixture_build(&f, buf);
		int got = judge(buf, len, len);

		if (got != f.expect)
			fail_msg("%s: %d, not %d", f.name, got, f.expect);
	}
}

static void test_fields_v4(void **state)
{
	const struct fixture f = {"fields",  .family = 4,   .vlans = 1, .options = 8,
				  .type = 4, .payload = 80, .tail = 5};
	static uint8_t buf[FIXTURE_MAX];
	size_t len = fixture_build(&f, buf);
	struct outer_headers h;

	(void)state;
	buf[18 + 1] = 0xb9;
	buf[18 + 8] = 57;
	assert_int_equal(outer_parse(buf, buf + len, (uint32_t)len, &h), OUTER_PARSE_UDP);
	assert_int_equal(h.family, 4);
	assert_int_equal(h.tos, 0xb9);
	assert_int_equal(h.ttl, 57);
	assert_int_equal(h.n_vlans, 1);
	assert_int_equal(h.l3_off, 18);
	assert_int_equal(h.l4_off, 46);
	assert_int_equal(h.payload_off, 54);
	assert_int_equal(h.payload_len, 80);
	assert_int_equal(ntohs(h.src_port_be16), 40000);
	assert_int_equal(ntohs(h.dst_port_be16), FIXTURE_PORT);
	assert_memory_equal(h.src, "\xc0\x00\x02\x07\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_memory_equal(h.dst, "\xcb\x00\x71\x01\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_memory_equal(h.type, "\x04\0\0\0", 4);
}

static void test_fields_v6(void **state)
{
	const struct fixture f = {"fields", .family = 6, .ext = {{0, 2, 0, 0}, {60, 1, 0, 0}},
				  .type = 1, .payload = 148};
	static uint8_t buf[FIXTURE_MAX];
	size_t len = fixture_build(&f, buf);
	struct outer_headers h;

	(void)state;
	buf[14] = 0x6a; /* traffic class 0xa5 */
	buf[15] = 0x50;
	buf[14 + 7] = 3;
	assert_int_equal(outer_parse(buf, buf + len, (uint32_t)len, &h), OUTER_PARSE_UDP);
	assert_int_equal(h.family, 6);
	assert_int_equal(h.tos, 0xa5);
	assert_int_equal(h.ttl, 3);
	assert_int_equal(h.l3_off, 14);
	assert_int_equal(h.l4_off, 14 + 40 + 24);
	assert_int_equal(h.payload_len, 148);
	assert_int_equal(h.src[15], 7);
	assert_int_equal(h.dst[15], 1);
}

/* Every prefix of every fixture, placed so that the byte after it faults; frame_len says the whole
 * or the cut length. */
static void test_every_cut(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t room = (FIXTURE_MAX / page + 1) * page;
	uint8_t *map =
		mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static uint8_t buf[FIXTURE_MAX];

	(void)state;
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + room, page, PROT_NONE), 0);
	for (size_t i = 0; i < N_FIXTURES; i++) {
		struct fixture f = fixture_get(i);
		size_t len = fixture_build(&f, buf);

		for (size_t cut = 0; cut < len && cut < 512; cut++) {
			uint8_t *frame = map + room - cut;

			memcpy(frame, buf, cut);
			int got = judge(frame, cut, cut);

			/* a cut frame never gets in, padding and long frames apart */
			if (got == STEER_REDIRECTED)
				assert_true(f.tail > 0 &&
					    cut + (size_t)f.tail >= len);
			judge(frame, cut, len); /* first buffer of a longer frame */
		}
	}
	munmap(map, room + page);
}

static void test_random_bytes(void **state)
{
	static uint8_t buf[FIXTURE_MAX];
	unsigned seed = 20260101;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		struct fixture f = fixture_get((unsigned)round % N_FIXTURES);
		size_t len = fixture_build(&f, buf);
		struct outer_headers h;

		for (int flips = rand_r(&seed) % 4; flips >= 0; flips--)
			buf[(size_t)rand_r(&seed) % (len < 120 ? len : 120)] =
				(uint8_t)rand_r(&seed);
		if (outer_parse(buf, buf + len, (uint32_t)len, &h) == OUTER_PARSE_UDP) {
			assert_true((size_t)h.payload_off + h.payload_len <= len);
			assert_true(h.l4_off + 8 == h.payload_off && h.l3_off < h.l4_off);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixtures),     cmocka_unit_test(test_fields_v4),
		cmocka_unit_test(test_fields_v6),    cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests_name("outer_parse", tests, NULL, NULL);
}
