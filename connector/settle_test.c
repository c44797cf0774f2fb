// SPDX-License-Identifier: BSD-3-Clause
// Tests of the placement of sessions on workers.
#include "connector/settle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void the_first_landing_is_taken(void **state)
{
	struct settle s;

	(void)state;
	settle_init(&s, 2);
	assert_int_equal(settle_landed(&s, 0, 1, 2, 7), SETTLE_TELL);
	assert_int_equal(settle_landed(&s, 0, 1, 2, 7), SETTLE_NONE);
	assert_int_equal(settle_settled(&s), 1);
	/* sticky, whatever a rekey says */
	assert_int_equal(settle_landed(&s, 0, 0, 2, 7), SETTLE_NONE);
	assert_int_equal(s.slot[0].worker, 1);
}

static void a_taken_worker_makes_it_look_on(void **state)
{
	struct settle s;

	(void)state;
	settle_init(&s, 2);
	assert_int_equal(settle_landed(&s, 0, 0, 2, 7), SETTLE_TELL);
	assert_int_equal(settle_landed(&s, 1, 0, 2, 7), SETTLE_REBIND);
	assert_int_equal(settle_landed(&s, 1, 0, 2, 7), SETTLE_REBIND);
	assert_int_equal(settle_settled(&s), 1);
	assert_int_equal(settle_landed(&s, 1, 1, 2, 7), SETTLE_TELL);
	assert_int_equal(settle_covered(&s), 2);
	assert_int_equal(s.slot[1].tries, 2);
}

static void it_stays_after_64_tries(void **state)
{
	struct settle s;

	(void)state;
	settle_init(&s, 2);
	settle_landed(&s, 0, 0, 2, 7);
	for (int i = 0; i < SETTLE_TRIES_MAX; i++)
		assert_int_equal(settle_landed(&s, 1, 0, 2, 7), SETTLE_REBIND);
	assert_int_equal(settle_landed(&s, 1, 0, 2, 7), SETTLE_TELL);
	assert_true(s.slot[1].crowded);
	assert_int_equal(settle_settled(&s), 2);
	assert_int_equal(settle_covered(&s), 1);
}

static void no_try_where_none_is_left_to_find(void **state)
{
	struct settle s;

	(void)state;
	settle_init(&s, 3);
	assert_int_equal(settle_landed(&s, 0, 0, 2, 7), SETTLE_TELL);
	assert_int_equal(settle_landed(&s, 1, 1, 2, 7), SETTLE_TELL);
	assert_int_equal(settle_landed(&s, 2, 1, 2, 7), SETTLE_TELL); /* crowded at once */
	assert_true(s.slot[2].crowded);
}

static void an_edge_that_starts_anew_is_looked_at_anew(void **state)
{
	struct settle s;

	(void)state;
	settle_init(&s, 2);
	settle_landed(&s, 0, 0, 2, 7);
	settle_landed(&s, 1, 1, 2, 7);
	assert_int_equal(settle_landed(&s, 1, 0, 2, 8), SETTLE_TELL);
	assert_int_equal(settle_settled(&s), 1);
	assert_int_equal(settle_landed(&s, 0, 0, 2, 8), SETTLE_REBIND);
}

static void a_lost_session_has_all_its_tries(void **state)
{
	struct settle s;

	(void)state;
	settle_init(&s, 2);
	settle_landed(&s, 0, 0, 2, 7);
	settle_landed(&s, 1, 0, 2, 7);
	settle_lost(&s, 1);
	assert_int_equal(s.slot[1].tries, 0);
	settle_lost(&s, 0);
	assert_int_equal(settle_settled(&s), 0);
	assert_int_equal(settle_landed(&s, 1, 0, 2, 7), SETTLE_TELL);
}

static void nonsense_is_ignored(void **state)
{
	struct settle s;

	(void)state;
	settle_init(&s, 2);
	assert_int_equal(settle_landed(&s, 2, 0, 2, 7), SETTLE_NONE);
	assert_int_equal(settle_landed(&s, 0, 2, 2, 7), SETTLE_NONE);
	assert_int_equal(settle_landed(&s, 0, 0, 0, 7), SETTLE_NONE);
	assert_int_equal(settle_settled(&s), 0);
}

/* Ports land on random workers: each worker gets its session, in few tries. */
static void random_landings_cover_every_worker(void **state)
{
	(void)state;
	srandom(1);
	for (int run = 0; run < 1000; run++) {
		struct settle s;
		unsigned workers = 1 + (unsigned)random() % 8;

		settle_init(&s, workers);
		for (unsigned i = 0; i < workers; i++)
			while (settle_landed(&s, i, (uint16_t)((unsigned)random() % workers), (uint16_t)workers, 1) ==
			       SETTLE_REBIND)
				assert_true(s.slot[i].tries <= SETTLE_TRIES_MAX);
		assert_int_equal(settle_settled(&s), workers);
		/* the chance to miss one of 8 in 64 tries is below 2 in 10,000 */
		assert_true(settle_covered(&s) + 1 >= workers);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_landing_is_taken),
		cmocka_unit_test(a_taken_worker_makes_it_look_on),
		cmocka_unit_test(it_stays_after_64_tries),
		cmocka_unit_test(no_try_where_none_is_left_to_find),
		cmocka_unit_test(an_edge_that_starts_anew_is_looked_at_anew),
		cmocka_unit_test(a_lost_session_has_all_its_tries),
		cmocka_unit_test(nonsense_is_ignored),
		cmocka_unit_test(random_landings_cover_every_worker),
	};

	return cmocka_run_group_tests_name("connector_settle", tests, NULL, NULL);
}
