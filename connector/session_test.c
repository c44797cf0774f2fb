// SPDX-License-Identifier: BSD-3-Clause
// Tests of what goes into one segmented send.
#include "connector/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/uio.h>

#include <cmocka.h>

static unsigned of_lengths(const size_t *lengths, unsigned n)
{
	struct iovec iov[128] = {0};

	for (unsigned i = 0; i < n; i++)
		iov[i].iov_len = lengths[i];
	return session_segments(iov, n);
}

static void equal_lengths_and_a_shorter_last(void **state)
{
	static const struct {
		size_t lengths[6];
		unsigned n, want;
	} cases[] = {
		/* 0 */ {{100}, 1, 1},
		/* 1 */ {{100, 100, 100}, 3, 3},
		/* 2 */ {{100, 100, 60}, 3, 3},
		/* 3 */ {{100, 100, 60, 60}, 4, 3},
		/* 4 */ {{100, 100, 160}, 3, 2},
		/* 5 */ {{100, 60, 60}, 3, 1},
		/* 6 */ {{60, 100, 100}, 3, 1},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(of_lengths(cases[i].lengths, cases[i].n), cases[i].want);
}

static void never_more_than_the_kernel_takes(void **state)
{
	size_t lengths[128];

	(void)state;
	for (int i = 0; i < 128; i++)
		lengths[i] = 100;
	assert_int_equal(of_lengths(lengths, 128), SESSION_SEGMENTS_MAX);
	lengths[SESSION_SEGMENTS_MAX] = 60;
	assert_int_equal(of_lengths(lengths, 128), SESSION_SEGMENTS_MAX);
	for (int i = 0; i < 128; i++)
		lengths[i] = 1452;
	assert_int_equal(of_lengths(lengths, 128), SESSION_SEGMENTED_MAX_BYTES / 1452);
	lengths[SESSION_SEGMENTED_MAX_BYTES / 1452] = 1451;
	assert_int_equal(of_lengths(lengths, 128), SESSION_SEGMENTED_MAX_BYTES / 1452);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_lengths_and_a_shorter_last),
		cmocka_unit_test(never_more_than_the_kernel_takes),
	};

	return cmocka_run_group_tests_name("connector session", tests, NULL, NULL);
}
