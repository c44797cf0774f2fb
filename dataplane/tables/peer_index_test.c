// SPDX-License-Identifier: BSD-3-Clause
// Receiver indexes: encode and decode invert each other everywhere, guesses miss; slots rest.
#include "dataplane/tables/peer_index.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/tables/test_random.h"

static const uint8_t key_a[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t key_b[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17};

static void test_arguments(void **state)
{
	static const struct {
		unsigned int edge_bits;
		uint32_t edge, workers, slots;
		int want;
	} cases[] = {
		/* 1 */ {0, 0, 1, 1, 0},
		/* 2 */ {0, 1, 1, 1, -EINVAL}, /* a number that does not fit in no bits */
		/* 3 */ {8, 255, 16, 4096, 0},
		/* 4 */ {8, 256, 16, 4096, -EINVAL},
		/* 5 */ {9, 0, 1, 1, -EINVAL},
		/* 6 */ {0, 0, 0, 1, -EINVAL},
		/* 7 */ {0, 0, 1, 0, -EINVAL},
		/* 8 */ {0, 0, 16, 1u << 24, 0}, /* 4 + 24 + 4 spare */
		/* 9 */ {0, 0, 17, 1u << 24, -EINVAL},
		/* 10 */ {0, 0, 16, (1u << 24) + 1, -EINVAL},
		/* 11 */ {1, 1, 16, 1u << 24, -EINVAL},
		/* 12 */ {0, 0, UINT32_MAX, UINT32_MAX, -EINVAL},
	};
	struct peer_index c;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (peer_index_init(&c, cases[i].edge_bits, cases[i].edge, cases[i].workers,
				    cases[i].slots, key_a) != cases[i].want)
			fail_msg("case %zu", i + 1);
}

/* Every worker and slot: decodes to itself, carries the edge number, and no two are equal. */
static void test_inverse(void **state)
{
	static const struct {
		unsigned int edge_bits;
		uint32_t edge, workers, slots;
	} shapes[] = {{0, 0, 1, 1},   {0, 0, 2, 8192}, {0, 0, 3, 1000},	   {1, 1, 16, 4096},
		      {3, 5, 7, 777}, {7, 99, 2, 1},   {8, 255, 16, 65536}};

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct peer_index c;
		uint8_t *hit = calloc(1, 1u << 29); /* a bit per index */

		assert_non_null(hit);
		assert_int_equal(peer_index_init(&c, shapes[i].edge_bits, shapes[i].edge,
						 shapes[i].workers, shapes[i].slots, key_a),
				 0);
		for (uint32_t w = 0; w < shapes[i].workers; w++) {
			for (uint32_t s = 0; s < shapes[i].slots; s++) {
				uint32_t index = peer_index_encode(&c, w, s), w2 = ~w, s2 = ~s;

				assert_true(peer_index_decode(&c, index, &w2, &s2));
				assert_true(w2 == w && s2 == s);
				assert_int_equal(peer_index_edge(&c, index), shapes[i].edge);
				assert_false(hit[index >> 3] & 1u << (index & 7));
				hit[index >> 3] |= (uint8_t)(1u << (index & 7));
			}
		}
		free(hit);
	}
}

/* The other way round: whatever decodes, encodes to what it was; and how many do is what the widths
 * say. */
static void test_guesses(void **state)
{
	const uint32_t workers = 3, slots = 1000;
	struct peer_index c;
	uint64_t seed = 1;
	uint32_t hits = 0, w, s;

	(void)state;
	assert_int_equal(peer_index_init(&c, 0, 0, workers, slots, key_a), 0);
	for (uint32_t i = 0; i < 20000000; i++) {
		uint32_t guess = i < 10000000 ? i : (uint32_t)test_random(&seed);

		if (!peer_index_decode(&c, guess, &w, &s))
			continue;
		assert_true(w < workers && s < slots);
		assert_int_equal(peer_index_encode(&c, w, s), guess);
		hits++;
	}
	assert_in_range(hits, 4, 35); /* 20 M × 3,000 / 2^32 = 14 */
}

/* Small numbers, neighbours of a known index and another start's indexes are no better guesses than
 * others. */
static void test_no_structure(void **state)
{
	struct peer_index a, b;
	uint32_t near = 0, carried = 0, bit_flips = 0, w, s;

	(void)state;
	assert_int_equal(peer_index_init(&a, 0, 0, 2, 8192, key_a), 0);
	assert_int_equal(peer_index_init(&b, 0, 0, 2, 8192, key_b), 0);
	for (uint32_t slot = 0; slot < 8192; slot++) {
		uint32_t index = peer_index_encode(&a, 1, slot);

		for (uint32_t d = 1; d <= 32; d++)
			near += peer_index_decode(&a, index + d, &w, &s);
		for (uint32_t bit = 0; bit < 32; bit++)
			bit_flips += peer_index_decode(&a, index ^ 1u << bit, &w, &s);
		carried += peer_index_decode(&b, index, &w, &s);
	}
	assert_in_range(near, 0, 12); /* 262,144 × 2^-18 = 1 */
	assert_in_range(bit_flips, 0, 12);
	assert_in_range(carried, 0, 3);
}

static void test_other_edge(void **state)
{
	struct peer_index five, six;
	uint32_t w = 1, s = 2;

	(void)state;
	assert_int_equal(peer_index_init(&five, 3, 5, 2, 100, key_a), 0);
	assert_int_equal(peer_index_init(&six, 3, 6, 2, 100, key_a), 0);
	assert_false(peer_index_decode(&six, peer_index_encode(&five, 1, 1), &w, &s));
	assert_true(w == 1 && s == 2); /* untouched */
	assert_int_equal(peer_index_edge(&six, peer_index_encode(&five, 1, 1)), 5);
}

static void test_slots(void **state)
{
	struct peer_slots *p = peer_slots_create(3, 100);

	(void)state;
	assert_null(peer_slots_create(0, 100));
	assert_int_equal(peer_slots_take(p, 0), 0); /* 1: fresh slots need no rest */
	assert_int_equal(peer_slots_take(p, 0), 1);
	assert_int_equal(peer_slots_used(p), 2);
	assert_int_equal(peer_slots_give(p, 2, 0), -EINVAL); /* 2: not taken */
	assert_int_equal(peer_slots_give(p, 3, 0), -EINVAL); /* 3: no such slot */
	assert_int_equal(peer_slots_give(p, 0, 10), 0);
	assert_int_equal(peer_slots_give(p, 0, 10), -EINVAL); /* 4: given twice */
	assert_int_equal(peer_slots_take(p, 10), 2); /* 5: a rested one before a resting one */
	assert_int_equal(peer_slots_resting(p, 109), 1);
	assert_int_equal(peer_slots_take(p, 109), -EAGAIN); /* 6: one unit short */
	assert_int_equal(peer_slots_resting(p, 110), 0);
	assert_int_equal(peer_slots_take(p, 110), 0);	    /* 7: rested exactly */
	assert_int_equal(peer_slots_take(p, 110), -ENOSPC); /* 8: all in use */
	assert_int_equal(peer_slots_used(p), 3);
	peer_slots_destroy(p);
	peer_slots_destroy(NULL);
}

/* Random takes and gives against times kept by hand. */
static void test_slots_model(void **state)
{
	enum { SLOTS = 50, REST = 1000 };
	struct peer_slots *p = peer_slots_create(SLOTS, REST);
	uint64_t given[SLOTS] = {0}, now = REST, seed = 5;
	bool taken[SLOTS] = {false};

	(void)state;
	for (int step = 0; step < 200000; step++) {
		uint32_t resting = 0, used = 0, slot = test_below(&seed, SLOTS);

		now += test_below(&seed, 25);
		for (uint32_t i = 0; i < SLOTS; i++) {
			used += taken[i];
			resting += !taken[i] && given[i] && now - given[i] < REST;
		}
		assert_int_equal(peer_slots_used(p), used);
		assert_int_equal(peer_slots_resting(p, now), resting);
		if (test_below(&seed, 2)) {
			int64_t got = peer_slots_take(p, now);

			if (used == SLOTS) {
				assert_int_equal(got, -ENOSPC);
			} else if (used + resting == SLOTS) {
				assert_int_equal(got, -EAGAIN);
			} else {
				assert_in_range(got, 0, SLOTS - 1);
				assert_false(taken[got]);
				assert_true(!given[got] || now - given[got] >= REST);
				taken[got] = true;
			}
		} else {
			assert_int_equal(peer_slots_give(p, slot, now), taken[slot] ? 0 : -EINVAL);
			if (taken[slot])
				given[slot] = now;
			taken[slot] = false;
		}
	}
	peer_slots_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),   cmocka_unit_test(test_inverse),
		cmocka_unit_test(test_guesses),	    cmocka_unit_test(test_no_structure),
		cmocka_unit_test(test_other_edge),  cmocka_unit_test(test_slots),
		cmocka_unit_test(test_slots_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
