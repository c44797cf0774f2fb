// SPDX-License-Identifier: BSD-3-Clause
// Ids and indexes against a naive model, and each rule alone.
#include "dataplane/tables/id_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/tables/test_random.h"

static void test_rules(void **state)
{
	struct id_map *m = id_map_create(2);
	uint32_t i = 77;

	(void)state;
	assert_null(id_map_create(0));
	assert_null(id_map_create((1u << 26) + 1));
	assert_int_equal(id_map_add(m, "a", &i), 0); /* 1: dense from 0 */
	assert_int_equal(i, 0);
	assert_int_equal(id_map_add(m, "b", &i), 0);
	assert_int_equal(i, 1);
	assert_int_equal(id_map_add(m, "a", &i), 1); /* 2: stable */
	assert_int_equal(i, 0);
	i = 77;
	assert_int_equal(id_map_add(m, "c", &i), -ENOSPC); /* 3: full, nothing changes */
	assert_int_equal(i, 77);
	assert_int_equal(id_map_remove(m, "x"), ID_NONE);
	assert_int_equal(id_map_remove(m, "a"), 0);
	assert_int_equal(id_map_get(m, "a"), ID_NONE); /* 4: gone at once … */
	assert_null(id_map_id(m, 0));
	assert_int_equal(id_map_add(m, "a", &i), -ENOSPC); /* 5: … but its index rests */
	assert_int_equal(id_map_resting(m), 1);
	id_map_release(m, 1); /* 6: live: left alone */
	id_map_release(m, 9);
	assert_int_equal(id_map_add(m, "c", &i), -ENOSPC);
	id_map_release(m, 0);
	id_map_release(m, 0); /* 7: twice counts once */
	assert_int_equal(id_map_resting(m), 0);
	assert_int_equal(id_map_add(m, "c", &i), 0);
	assert_int_equal(i, 0);
	assert_int_equal(id_map_add(m, "d", &i), -ENOSPC);
	assert_string_equal(id_map_id(m, 0), "c");
	assert_int_equal(id_map_count(m), 2);
	assert_int_equal(id_map_bound(m), 2);
	id_map_destroy(m);
	id_map_destroy(NULL);
}

static void test_lengths(void **state)
{
	struct id_map *m = id_map_create(4);
	char longest[ID_MAX_BYTES + 2];
	uint32_t i;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[ID_MAX_BYTES + 1] = 0;
	assert_int_equal(id_map_add(m, "", &i), -EINVAL);
	assert_int_equal(id_map_add(m, longest, &i), -EINVAL);
	longest[ID_MAX_BYTES] = 0;
	assert_int_equal(id_map_add(m, longest, &i), 0);
	assert_string_equal(id_map_id(m, i), longest);
	id_map_destroy(m);
}

/* The string that id_map_id() gave may be what is removed; a walk may remove as it goes. */
static void test_remove_while_walking(void **state)
{
	struct id_map *m = id_map_create(10);
	uint32_t cursor = 0, index, n = 0;
	const char *id;

	(void)state;
	for (char name[2] = "a"; name[0] <= 'j'; name[0]++)
		assert_int_equal(id_map_add(m, name, &index), 0);
	while (id_map_next(m, &cursor, &index, &id)) {
		assert_int_equal(index, n);
		assert_int_equal(id[0], 'a' + (int)n);
		assert_int_equal(id_map_remove(m, id), index);
		n++;
	}
	assert_int_equal(n, 10);
	assert_int_equal(id_map_count(m), 0);
	assert_int_equal(id_map_resting(m), 10);
	id_map_destroy(m);
}

static void test_model(void **state)
{
	enum { IDS = 300, CAPACITY = 200 };
	struct id_map *m = id_map_create(CAPACITY);
	uint32_t index_of[IDS], resting[CAPACITY], n_resting = 0, live = 0;
	bool held[CAPACITY] = {false};
	uint64_t seed = 11;

	(void)state;
	memset(index_of, 0xff, sizeof(index_of));
	for (int step = 0; step < 200000; step++) {
		uint32_t n = test_below(&seed, IDS), index = ID_NONE;
		char id[40];

		snprintf(id, sizeof(id), "%08x-aaaa-4bbb-8ccc-%012x", n * 2654435761u, n);
		assert_int_equal(id_map_get(m, id), index_of[n]);
		switch (test_below(&seed, 3)) {
		case 0: {
			int rc = id_map_add(m, id, &index);

			if (index_of[n] != ID_NONE) {
				assert_int_equal(rc, 1);
				assert_int_equal(index, index_of[n]);
			} else if (live + n_resting == CAPACITY) {
				assert_int_equal(rc, -ENOSPC);
			} else {
				assert_int_equal(rc, 0);
				assert_true(index < CAPACITY);
				assert_false(held[index]); /* neither live nor resting */
				held[index] = true;
				index_of[n] = index;
				live++;
			}
			break;
		}
		case 1:
			assert_int_equal(id_map_remove(m, id), index_of[n]);
			if (index_of[n] != ID_NONE) {
				resting[n_resting++] = index_of[n];
				live--;
			}
			index_of[n] = ID_NONE;
			break;
		default:
			if (n_resting) {
				uint32_t r = test_below(&seed, n_resting);

				id_map_release(m, resting[r]);
				held[resting[r]] = false;
				resting[r] = resting[--n_resting];
			}
		}
		assert_int_equal(id_map_count(m), live);
		assert_int_equal(id_map_resting(m), n_resting);
	}
	id_map_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_remove_while_walking),
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
