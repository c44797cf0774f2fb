// SPDX-License-Identifier: BSD-3-Clause
// TAI64N: encoding, whitening, and a clock that never steps back.
#include "lib/wg/tai64n.h"
#include "lib/wg/test_util.h"

static void test_encoding(void **state)
{
	/* 1970-01-01 is 10 s of TAI; then the example of a whole second and the last nanosecond of it. */
	static const struct {
		uint64_t unix_ns;
		const char *stamp;
	} cases[] = {
		{0, "400000000000000a00000000"},
		{UINT64_C(1), "400000000000000a00000001"},
		{UINT64_C(935584019000000123), "4000000037c3e11d0000007b"},
		{UINT64_C(1699999999999999999), "400000006553f1093b9ac9ff"},
	};
	uint8_t expected[12], got[12];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unhex(expected, 12, cases[i].stamp);
		tai64n_encode(got, cases[i].unix_ns);
		assert_memory_equal(got, expected, 12);
		assert_int_equal(tai64n_decode(got), cases[i].unix_ns);
	}
	memset(got, 0xff, sizeof(got));
	assert_int_equal(tai64n_decode(got), 0);
	memset(got, 0, sizeof(got));
	assert_int_equal(tai64n_decode(got), 0);
	unhex(got, 12, "400000000000000b3b9aca00");
	assert_int_equal(tai64n_decode(got), 0);
}

static void test_order(void **state)
{
	uint8_t a[12], b[12];
	uint64_t seed = 5;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t x = test_random_next(&seed) >> (2 + test_random_next(&seed) % 60);
		uint64_t y = i % 2 ? x + 1 : test_random_next(&seed) >> 2;

		tai64n_encode(a, x);
		tai64n_encode(b, y);
		assert_int_equal(tai64n_compare(a, b) < 0, x < y);
		assert_int_equal(tai64n_compare(a, b) == 0, x == y);
	}
}

/* Stamps 10 ns … 10 ms apart are one; 20 ms later is later. */
static void test_whitening(void **state)
{
	uint64_t base = T0_UNIX_NS, seed = 6;

	(void)state;
	assert_int_equal(tai64n_whiten(base), base);
	assert_int_equal(tai64n_whiten(base + 10), base);
	assert_int_equal(tai64n_whiten(base + 10000), base);
	assert_int_equal(tai64n_whiten(base + 10 * WG_NS_PER_MS), base);
	assert_true(tai64n_whiten(base + 20 * WG_NS_PER_MS) > base);
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t x = T0_UNIX_NS + test_random_next(&seed) % (10 * WG_NS_PER_S);
		uint64_t white = tai64n_whiten(x), next = tai64n_step_after(x);

		assert_true(white <= x && x - white < 0x1000000);
		assert_true(next > x && next - white <= 0x1000000);
		assert_int_equal(tai64n_whiten(next), next);
		assert_int_equal(white % WG_NS_PER_S % 0x1000000, 0);
	}
}

static void test_clock(void **state)
{
	struct tai64n_clock clock = {0, 0};
	uint64_t first, second;

	(void)state;
	first = tai64n_clock_next(&clock, T0_UNIX_NS + 5 * WG_NS_PER_S, 0);
	assert_int_equal(first, tai64n_whiten(T0_UNIX_NS + 5 * WG_NS_PER_S));
	/* Same moment: the same stamp for another peer, a later one for the same peer. */
	assert_int_equal(tai64n_clock_next(&clock, T0_UNIX_NS + 5 * WG_NS_PER_S, 0), first);
	second = tai64n_clock_next(&clock, T0_UNIX_NS + 5 * WG_NS_PER_S, first);
	assert_true(second > first);
	/* The wall clock steps back a year: stamps do not. */
	assert_int_equal(tai64n_clock_next(&clock, T0_UNIX_NS / 2, 0), second);
	assert_true(tai64n_clock_next(&clock, T0_UNIX_NS / 2, second) > second);
}

static void test_restart(void **state)
{
	struct tai64n_clock before = {0, 0}, after = {0, 0}, fresh = {0, 0};
	uint64_t last = tai64n_clock_next(&before, T0_UNIX_NS, 0), next;
	uint8_t a[12], b[12];

	(void)state;
	tai64n_clock_load(&after, before.high_water_ns);
	next = tai64n_clock_next(&after, T0_UNIX_NS - WG_NS_PER_S, 0);
	tai64n_encode(a, last);
	tai64n_encode(b, next);
	assert_true(tai64n_compare(b, a) > 0);
	/* A clock that is ahead is taken as it is; nothing loaded changes nothing; an older mark does not lower a newer. */
	assert_int_equal(tai64n_clock_next(&after, T0_UNIX_NS + 60 * WG_NS_PER_S, 0),
			 tai64n_whiten(T0_UNIX_NS + 60 * WG_NS_PER_S));
	tai64n_clock_load(&fresh, 0);
	assert_int_equal(tai64n_clock_next(&fresh, T0_UNIX_NS, 0), tai64n_whiten(T0_UNIX_NS));
	tai64n_clock_load(&after, T0_UNIX_NS - WG_NS_PER_S);
	assert_true(tai64n_clock_next(&after, T0_UNIX_NS, 0) >= T0_UNIX_NS + 59 * WG_NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encoding), cmocka_unit_test(test_order),
		cmocka_unit_test(test_whitening), cmocka_unit_test(test_clock),
		cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests_name("tai64n", tests, NULL, NULL);
}
