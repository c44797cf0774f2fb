// SPDX-License-Identifier: BSD-3-Clause
// Reassembly: cases by hand, and random pieces against a byte-wise model.
#include "dataplane/inspect/stream.h"

#include "dataplane/inspect/test_util.h"

static struct stream s;

static enum stream_add add(uint64_t offset, const char *text)
{
	return stream_add(&s, offset, (const uint8_t *)text, strlen(text));
}

static void assert_prefix(const char *text)
{
	assert_int_equal(stream_prefix(&s), strlen(text));
	assert_memory_equal(s.bytes, text, strlen(text));
}

static void test_in_order(void **state)
{
	(void)state;
	stream_init(&s, 100);
	assert_int_equal(stream_prefix(&s), 0);
	assert_int_equal(add(0, "abc"), STREAM_NEW);
	assert_int_equal(add(3, "def"), STREAM_NEW);
	assert_prefix("abcdef");
	assert_int_equal(s.n_ranges, 1);
}

static void test_out_of_order(void **state)
{
	(void)state;
	stream_init(&s, 100);
	assert_int_equal(add(3, "def"), STREAM_NEW);
	assert_int_equal(stream_prefix(&s), 0);
	assert_int_equal(add(8, "i"), STREAM_NEW);
	assert_int_equal(s.n_ranges, 2);
	assert_int_equal(add(0, "abc"), STREAM_NEW);
	assert_prefix("abcdef");
	assert_int_equal(add(6, "gh"), STREAM_NEW);
	assert_prefix("abcdefghi");
	assert_int_equal(s.n_ranges, 1);
}

static void test_same_again(void **state)
{
	(void)state;
	stream_init(&s, 100);
	add(0, "abcdef");
	assert_int_equal(add(0, "abcdef"), STREAM_SEEN);
	assert_int_equal(add(2, "cd"), STREAM_SEEN);
	assert_int_equal(add(0, ""), STREAM_SEEN);
	assert_int_equal(add(4, "efg"), STREAM_NEW);
	assert_prefix("abcdefg");
}

static void test_first_wins(void **state)
{
	(void)state;
	stream_init(&s, 100);
	add(2, "cd");
	assert_int_equal(add(0, "abXd"), STREAM_CONFLICT);
	assert_int_equal(add(3, "Xe"), STREAM_CONFLICT);
	assert_int_equal(s.n_ranges, 1); /* nothing of them was taken */
	assert_int_equal(add(0, "abcde"), STREAM_NEW);
	assert_prefix("abcde");
}

static void test_limit(void **state)
{
	(void)state;
	stream_init(&s, 4);
	assert_int_equal(add(2, "cdef"), STREAM_NEW);
	assert_int_equal(add(4, "x"), STREAM_SEEN);
	assert_int_equal(add(UINT64_MAX, "x"), STREAM_SEEN);
	assert_int_equal(add(0, "abcdXX"), STREAM_NEW); /* beyond the limit nothing is compared */
	assert_prefix("abcd");
	stream_init(&s, 1u << 20);
	assert_int_equal(s.limit, STREAM_MAX_BYTES);
}

static void test_too_many_ranges(void **state)
{
	(void)state;
	stream_init(&s, 1000);
	for (unsigned i = 0; i < STREAM_MAX_RANGES; i++)
		assert_int_equal(add(2 * i + 1, "x"), STREAM_NEW);
	assert_int_equal(add(2 * STREAM_MAX_RANGES + 1, "x"), STREAM_FULL);
	assert_int_equal(s.n_ranges, STREAM_MAX_RANGES);
	assert_int_equal(add(2, "y"), STREAM_NEW); /* joins two: there is room again */
	assert_int_equal(s.n_ranges, STREAM_MAX_RANGES - 1);
}

static void test_random_pieces(void **state)
{
	static uint8_t truth[2048], seen[2048];

	(void)state;
	srandom(7);
	for (size_t i = 0; i < sizeof(truth); i++)
		truth[i] = (uint8_t)random();
	for (unsigned round = 0; round < 300; round++) {
		unsigned limit = 1 + (unsigned)random() % sizeof(truth), prefix = 0;

		stream_init(&s, limit);
		memset(seen, 0, sizeof(seen));
		for (unsigned i = 0; i < 60; i++) {
			unsigned at = (unsigned)random() % sizeof(truth), n = (unsigned)random() % 200, fresh = 0;
			enum stream_add got;

			n = n < sizeof(truth) - at ? n : (unsigned)sizeof(truth) - at;
			for (unsigned k = at; k < at + n && k < limit; k++) {
				fresh += !seen[k];
				seen[k] = 1;
			}
			got = stream_add(&s, at, truth + at, n);
			assert_int_equal(got, fresh > 0 ? STREAM_NEW : STREAM_SEEN);
		}
		while (prefix < limit && seen[prefix])
			prefix++;
		assert_int_equal(stream_prefix(&s), prefix);
		assert_memory_equal(s.bytes, truth, prefix);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),   cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_same_again), cmocka_unit_test(test_first_wins),
		cmocka_unit_test(test_limit),	   cmocka_unit_test(test_too_many_ranges),
		cmocka_unit_test(test_random_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
