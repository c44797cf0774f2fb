// SPDX-License-Identifier: BSD-3-Clause
// Replay window: a numbered table, and a random run against a naive model.
#include "lib/wg/replay.h"
#include "lib/wg/test_util.h"

#define W ((uint64_t)WG_REPLAY_WINDOW - 1) /* how far behind the highest a counter may be */
#define L (W + 1)
#define R WG_REJECT_AFTER_MESSAGES

/* Counters first … last (either direction) are offered in order; all give the same answer. New groups begin afresh. */
static const struct {
	unsigned group;
	uint64_t first, last;
	bool expected;
} cases[] = {
	/* 0 */ {1, 0, 0, true},
	/* 1 */ {1, 1, 1, true},
	/* 2 */ {1, 1, 1, false},
	/* 3 */ {1, 9, 9, true},
	/* 4 */ {1, 8, 8, true},
	/* 5 */ {1, 7, 7, true},
	/* 6 */ {1, 7, 7, false},
	/* 7 */ {1, L, L, true},
	/* 8 */ {1, L - 1, L - 1, true},
	/* 9 */ {1, L - 1, L - 1, false},
	/* 10 */ {1, L - 2, L - 2, true},
	/* 11 */ {1, 2, 2, true},
	/* 12 */ {1, 2, 2, false},
	/* 13 */ {1, L + 16, L + 16, true},
	/* 14 */ {1, 3, 3, false},
	/* 15 */ {1, L + 16, L + 16, false},
	/* 16 */ {1, L * 4, L * 4, true},
	/* 17 */ {1, L * 4 - (L - 1), L * 4 - (L - 1), true},
	/* 18 */ {1, 10, 10, false},
	/* 19 */ {1, L * 4 - L, L * 4 - L, false},
	/* 20 */ {1, L * 4 - (L + 1), L * 4 - (L + 1), false},
	/* 21 */ {1, L * 4 - (L - 2), L * 4 - (L - 2), true},
	/* 22 */ {1, L * 4 + 1 - L, L * 4 + 1 - L, false},
	/* 23 */ {1, 0, 0, false},
	/* 24 */ {1, R, R, false},
	/* 25 */ {1, R - 1, R - 1, true},
	/* 26 */ {1, R, R, false},
	/* 27 */ {1, R - 1, R - 1, false},
	/* 28 */ {1, R - 2, R - 2, true},
	/* 29 */ {1, R + 1, R + 1, false},
	/* 30 */ {1, R + 2, R + 2, false},
	/* 31 */ {1, R - 2, R - 2, false},
	/* 32 */ {1, R - 3, R - 3, true},
	/* 33 */ {1, 0, 0, false},
	/* 34 */ {1, UINT64_MAX, UINT64_MAX, false},
	/* 35 */ {2, 1, W, true},
	/* 36 */ {2, 0, 0, true},
	/* 37 */ {2, 0, 0, false},
	/* 38 */ {3, 2, W + 1, true},
	/* 39 */ {3, 1, 1, true},
	/* 40 */ {3, 0, 0, false},
	/* 41 */ {4, W + 1, 1, true},
	/* 42 */ {4, 1, W + 1, false},
	/* 43 */ {5, W, 0, true},
	/* 44 */ {5, W + 1, W + 1, true},
	/* 45 */ {5, 0, 0, false},
	/* 46 */ {5, 1, W + 1, false},
	/* 47 */ {6, W, 0, true},
	/* 48 */ {6, W + 2, W + 2, true},
	/* 49 */ {6, W + 1, W + 1, true},
	/* 50 */ {6, 0, W + 2, false},
	/* a jump of exactly a window, of one less and one more, forgets just what is too old */
	/* 51 */ {7, 0, 100, true},
	/* 52 */ {7, 100 + L, 100 + L, true},
	/* 53 */ {7, 0, 100, false},
	/* 54 */ {7, 101, 99 + L, true},
	/* 55 */ {8, 0, 100, true},
	/* 56 */ {8, 100 + W, 100 + W, true},
	/* 57 */ {8, 0, 100, false},
	/* 58 */ {8, 101, 99 + W, true},
	/* 59 */ {9, 0, 100, true},
	/* 60 */ {9, 101 + L, 101 + L, true},
	/* 61 */ {9, 0, 101, false},
	/* 62 */ {9, 102, 100 + L, true},
	/* jumps inside one word, and across one */
	/* 63 */ {10, 64, 64, true},
	/* 64 */ {10, 127, 127, true},
	/* 65 */ {10, 65, 126, true},
	/* 66 */ {10, 128 + 8192, 128 + 8192, true},
	/* 67 */ {10, 129, 8319, true},
	/* 68 */ {10, 65, 128, false},
};

static void test_table(void **state)
{
	struct wg_replay_window window = {0};
	unsigned group = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t counter = cases[i].first;
		uint64_t by = cases[i].first <= cases[i].last ? 1 : UINT64_MAX;

		if (cases[i].group != group)
			memset(&window, 0, sizeof(window));
		group = cases[i].group;
		for (;; counter += by) {
			if (wg_replay_check(&window, counter) != cases[i].expected)
				fail_msg("case %u: check of %lu", i, (unsigned long)counter);
			if (wg_replay_accept(&window, counter) != cases[i].expected)
				fail_msg("case %u: accept of %lu", i, (unsigned long)counter);
			if (counter == cases[i].last)
				break;
		}
	}
}

/* The model remembers every counter, in a map of bytes over the range that the run uses. */
#define RANGE 200000

static bool naive_accept(uint8_t *seen, uint64_t *highest, bool *any, uint64_t counter)
{
	if (*any && counter + WG_REPLAY_WINDOW <= *highest)
		return false;
	if (seen[counter])
		return false;
	seen[counter] = 1;
	if (!*any || counter > *highest)
		*highest = counter;
	*any = true;
	return true;
}

static uint64_t next_counter(uint64_t *seed, uint64_t highest)
{
	uint64_t r = test_random_next(seed);
	uint64_t back = r >> 8;

	switch (r % 8) {
	case 0:
		return highest + 1 + back % 10;
	case 1:
		return highest + 1 + back % (r % 64 ? 200 : 20000);
	case 2:
		back %= 64;
		break;
	case 3:
		back %= WG_REPLAY_WINDOW + 100;
		break;
	case 4:
		back = WG_REPLAY_WINDOW - 3 + back % 6;
		break;
	default:
		back %= 2000;
	}
	return back > highest ? 0 : highest - back;
}

static void test_differential(void **state)
{
	uint8_t *seen = malloc(RANGE);
	uint64_t seed = 99;

	(void)state;
	for (unsigned run = 0; run < 20; run++) {
		struct wg_replay_window window = {0};
		uint64_t highest = 0;
		bool any = false;

		memset(seen, 0, RANGE);
		for (;;) {
			uint64_t counter = next_counter(&seed, highest);
			struct wg_replay_window before = window;
			bool expected;

			if (counter >= RANGE)
				break;
			expected = naive_accept(seen, &highest, &any, counter);
			assert_int_equal(wg_replay_check(&window, counter), expected);
			assert_int_equal(wg_replay_accept(&window, counter), expected);
			if (!expected)
				assert_memory_equal(&before, &window, sizeof(window));
		}
	}
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_differential),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
