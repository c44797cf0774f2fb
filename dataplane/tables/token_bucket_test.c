// SPDX-License-Identifier: BSD-3-Clause
// The token bucket against exact arithmetic, and its edges.
#include "dataplane/tables/token_bucket.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/tables/test_random.h"

#define HZ 2596000000ull

static void test_edges(void **state)
{
	struct token_bucket b;

	(void)state;
	/* 1 a burst, then nothing, then one per 1/rate */
	assert_int_equal(token_bucket_init(&b, 100, 50, HZ, 1000), 0);
	for (int i = 0; i < 50; i++)
		assert_true(token_bucket_take(&b, 1, 1000));
	assert_false(token_bucket_take(&b, 1, 1000));
	assert_false(token_bucket_take(&b, 1, 1000 + HZ / 100 - 1));
	assert_true(token_bucket_take(&b, 1, 1000 + HZ / 100));
	assert_false(token_bucket_take(&b, 1, 1000 + HZ / 100));
	/* 2 a refusal takes nothing */
	assert_true(token_bucket_take(&b, 3, 1000 + HZ / 25));
	/* 3 idle for long: the burst and no more, and no overflow on the way */
	assert_true(token_bucket_take(&b, 50, HZ * 1000000));
	assert_false(token_bucket_take(&b, 1, HZ * 1000000));
	/* 4 the counter steps back: no time passes, and none is lost after */
	assert_false(token_bucket_take(&b, 1, HZ * 1000000 - 5));
	assert_true(token_bucket_take(&b, 1, HZ * 1000000 + HZ / 100));
	/* 5 more than the burst never passes */
	assert_false(token_bucket_take(&b, 51, HZ * 2000000));
	assert_true(token_bucket_take(&b, 50, HZ * 2000000));
	assert_false(token_bucket_take(&b, UINT32_MAX, HZ * 3000000));
	/* 6 rate 0, and no limit */
	assert_int_equal(token_bucket_init(&b, 0, 50, HZ, 0), 0);
	assert_false(token_bucket_take(&b, 1, HZ * 100));
	assert_int_equal(token_bucket_init(&b, UINT64_MAX, 0, HZ, 0), 0);
	assert_true(token_bucket_take(&b, UINT32_MAX, 0));
	/* 7 arguments */
	assert_int_equal(token_bucket_init(&b, 1, 0, HZ, 0), -EINVAL);
	assert_int_equal(token_bucket_init(&b, 1, 1, 0, 0), -EINVAL);
	assert_int_equal(token_bucket_init(&b, 1, 54000, HZ, 0), 0);
	assert_int_equal(token_bucket_init(&b, 1, 55000, HZ, 0), -ERANGE);
	/* 8 a start near the counter's wrap */
	assert_int_equal(token_bucket_init(&b, 1000, 1, HZ, UINT64_MAX - 10), 0);
	assert_true(token_bucket_take(&b, 1, UINT64_MAX - 10));
	assert_false(token_bucket_take(&b, 1, 10));
	assert_true(token_bucket_take(&b, 1, HZ / 1000));
}

/* What passes in a long time is rate × time + burst, to 0.1 %, from 1/s to 10^11/s. */
static void test_rate(void **state)
{
	(void)state;
	for (uint64_t rate = 1; rate <= 100000000000ull; rate *= 10) {
		uint32_t piece = rate > 1000000 ? (uint32_t)(rate / 1000000) : 1;
		uint64_t burst = 10ull * piece, seed = rate, passed = 0, now = 5;
		uint64_t piece_cycles = HZ * piece / rate, end = now + 20000 * piece_cycles;
		struct token_bucket b;

		assert_int_equal(token_bucket_init(&b, rate, burst, HZ, now), 0);
		while (now < end) {
			if (token_bucket_take(&b, piece, now))
				passed += piece;
			else
				now += 1 + test_below(&seed, (uint32_t)piece_cycles);
		}
		double want = (double)rate * (double)(end - 5) / (double)HZ + (double)burst;

		if ((double)passed > want * 1.001 + piece || (double)passed < want * 0.999 - piece)
			fail_msg("rate %llu: %llu passed, %.0f expected", (unsigned long long)rate,
				 (unsigned long long)passed, want);
	}
}

/* Against saved-up time as a fraction without rounding. */
static void test_model(void **state)
{
	const uint64_t rate = 1000, burst = 16, hz = 1000 << 10; /* a cost with no remainder */
	uint64_t seed = 9, now = 0, credit = burst * 1024;
	struct token_bucket b;

	(void)state;
	assert_int_equal(token_bucket_init(&b, rate, burst, hz, 0), 0);
	for (int i = 0; i < 300000; i++) {
		uint64_t step = test_below(&seed, 2500), want = 1 + test_below(&seed, 4);
		bool pass;

		now += step;
		credit = credit + step > burst * 1024 ? burst * 1024 : credit + step;
		pass = credit >= want * 1024;
		credit -= pass ? want * 1024 : 0;
		assert_int_equal(token_bucket_take(&b, (uint32_t)want, now), pass);
	}
}

static void test_set(void **state)
{
	struct token_bucket b, before;

	(void)state;
	assert_int_equal(token_bucket_init(&b, 100, 100, HZ, 0), 0);
	assert_true(token_bucket_take(&b, 50, 0));
	assert_int_equal(token_bucket_set(&b, 10, 20, HZ, 0), 0); /* half of it stays half */
	assert_true(token_bucket_take(&b, 10, 0));
	assert_false(token_bucket_take(&b, 1, 0));
	before = b;
	assert_int_equal(token_bucket_set(&b, 10, 0, HZ, 7), -EINVAL);
	assert_memory_equal(&b, &before, sizeof(b));
	assert_int_equal(token_bucket_set(&b, 0, 0, HZ, 0), 0);
	assert_false(token_bucket_take(&b, 1, HZ));
	assert_int_equal(token_bucket_set(&b, 10, 20, HZ, HZ), 0); /* from nothing: full */
	assert_true(token_bucket_take(&b, 20, HZ));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
