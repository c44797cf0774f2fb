// SPDX-License-Identifier: BSD-3-Clause
// Device addresses against a naive model; deferred frees; a reader beside the writer.
#include "dataplane/tables/device_table.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/tables/test_random.h"

static struct device_table *make(uint32_t capacity, struct retire_ops retire)
{
	struct device_config config = {
		.capacity = capacity, .secret = {3, 1, 4, 1, 5, 9}, .retire = retire};
	struct device_table *dt = device_table_create(&config);

	assert_non_null(dt);
	return dt;
}

static void test_arguments(void **state)
{
	struct device_config config = {.capacity = 0};
	struct device_table *dt = make(1, (struct retire_ops){0});
	struct device_key k;

	(void)state;
	assert_null(device_table_create(&config));
	assert_int_equal(errno, EINVAL);
	config.capacity = (1u << 24) + 1;
	assert_null(device_table_create(&config));
	device_key_v4(&k, 1, 2);
	assert_int_equal(device_set(dt, &k, DEVICE_NONE), -EINVAL);
	k.family = 5;
	assert_int_equal(device_set(dt, &k, 1), -EINVAL);
	device_table_destroy(dt);
	device_table_destroy(NULL);
}

/* The same address in two accounts, and in two families, is two devices. */
static void test_keys(void **state)
{
	struct device_table *dt = make(8, (struct retire_ops){0});
	const uint8_t six[16] = {10, 0, 0, 1}; /* the bytes of the v4 address, and zeros */
	struct device_key a, b, c, d;

	(void)state;
	device_key_v4(&a, 1, 0x0100000a);
	device_key_v4(&b, 2, 0x0100000a);
	device_key_v6(&c, 1, six);
	device_key_v4(&d, 1, 0x0200000a);
	assert_int_equal(device_set(dt, &a, 100), 0);
	assert_int_equal(device_set(dt, &b, 200), 0);
	assert_int_equal(device_set(dt, &c, 300), 0);
	assert_int_equal(device_lookup(dt, &a), 100);
	assert_int_equal(device_lookup(dt, &b), 200);
	assert_int_equal(device_lookup(dt, &c), 300);
	assert_int_equal(device_lookup(dt, &d), DEVICE_NONE);
	assert_int_equal(device_set(dt, &a, 101), 1);
	assert_int_equal(device_lookup(dt, &a), 101);
	assert_int_equal(device_remove(dt, &a), 0);
	assert_int_equal(device_remove(dt, &a), -ENOENT);
	assert_int_equal(device_lookup(dt, &a), DEVICE_NONE);
	assert_int_equal(device_lookup(dt, &b), 200);
	assert_int_equal(device_count(dt), 2);
	device_table_destroy(dt);
}

/* Retired slots, kept until told. */
struct waiting {
	retire_free_fn free_fn;
	void *owner;
	uint64_t what[64];
	uint32_t n;
};

static void keep(void *ctx, retire_free_fn free_fn, void *owner, uint64_t what)
{
	struct waiting *w = ctx;

	w->free_fn = free_fn;
	w->owner = owner;
	w->what[w->n++] = what;
}

static void test_retire(void **state)
{
	struct waiting w = {0};
	struct device_table *dt = make(2, (struct retire_ops){keep, &w});
	struct device_key k;

	(void)state;
	for (uint32_t i = 0; i < 4; i++) { /* 2 in use and 2 resting is what fits */
		device_key_v4(&k, 0, i % 2);
		assert_int_equal(device_set(dt, &k, i), 0);
		assert_int_equal(device_remove(dt, &k), 0);
	}
	assert_int_equal(w.n, 4);
	for (uint32_t i = 0; i < 4; i++)
		for (uint32_t j = i + 1; j < 4; j++)
			assert_true(w.what[i] != w.what[j]); /* no slot came back before its time */
	device_key_v4(&k, 0, 9);
	assert_int_equal(device_set(dt, &k, 9), -ENOSPC);
	w.free_fn(w.owner, w.what[0]);
	assert_int_equal(device_set(dt, &k, 9), 0);
	assert_int_equal(device_lookup(dt, &k), 9);
	device_table_destroy(dt);
}

static void test_differential(void **state)
{
	enum { KEYS = 3000, CAPACITY = 2000 };
	static uint32_t model[KEYS];
	struct device_table *dt = make(CAPACITY, (struct retire_ops){0});
	uint32_t live = 0, refused = 0;
	uint64_t seed = 21;

	(void)state;
	memset(model, 0xff, sizeof(model));
	for (uint32_t step = 0; step < 200000; step++) {
		uint32_t n = test_below(&seed, KEYS), client = (uint32_t)test_random(&seed) >> 1;
		struct device_key keys[64];
		uint32_t ids[64], out[64], burst = 1 + test_below(&seed, 64);

		for (uint32_t i = 0; i < burst; i++) {
			uint8_t addr[16] = {0xfd};

			ids[i] = i ? test_below(&seed, KEYS) : n;
			memcpy(addr + 12, &ids[i], 4);
			if (ids[i] & 1)
				device_key_v6(&keys[i], ids[i] % 5, addr);
			else
				device_key_v4(&keys[i], ids[i] % 5, ids[i] << 8);
			if (step % 50)
				break;
		}
		if (step % 50 == 0) {
			device_lookup_bulk(dt, keys, out, burst);
			for (uint32_t i = 0; i < burst; i++)
				assert_int_equal(out[i], model[ids[i]]);
		}
		if (test_below(&seed, 4) == 0) {
			assert_int_equal(device_remove(dt, &keys[0]),
					 model[n] == DEVICE_NONE ? -ENOENT : 0);
			live -= model[n] != DEVICE_NONE;
			model[n] = DEVICE_NONE;
		} else {
			int want = model[n] != DEVICE_NONE ? 1 : live == CAPACITY ? -ENOSPC : 0;

			assert_int_equal(device_set(dt, &keys[0], client), want);
			if (want >= 0)
				model[n] = client;
			live += want == 0;
			refused += want == -ENOSPC;
		}
		assert_int_equal(device_count(dt), live);
	}
	assert_true(refused > 0);
	device_table_destroy(dt);
}

/*
 * A reader beside a writer that removes and adds every key but one in sixteen: those that stay are
 * always found, the others never have a client that was not theirs. Client of key n is n + 1000·k.
 */
struct race {
	struct device_table *dt;
	_Atomic bool stop;
	_Atomic uint64_t passes; /* the reader's quiescent states */
	uint64_t wrong;
};

enum { RACE_KEYS = 256 };

static void *race_reader(void *arg)
{
	struct race *r = arg;

	while (!r->stop) {
		struct device_key keys[64];
		uint32_t out[64];

		for (uint32_t base = 0; base < RACE_KEYS; base += 64) {
			for (uint32_t i = 0; i < 64; i++)
				device_key_v4(&keys[i], 0, base + i);
			device_lookup_bulk(r->dt, keys, out, 64);
			for (uint32_t i = 0; i < 64; i++) {
				uint32_t n = base + i;

				if (out[i] == DEVICE_NONE ? n % 16 == 0 : out[i] % 1000 != n)
					r->wrong++;
			}
		}
		r->passes++;
	}
	return NULL;
}

static void test_race(void **state)
{
	struct waiting w = {0};
	struct race r = {.dt = make(RACE_KEYS, (struct retire_ops){keep, &w})};
	struct device_key k;
	uint64_t seed = 4;
	pthread_t reader;

	(void)state;
	for (uint32_t n = 0; n < RACE_KEYS; n++) {
		device_key_v4(&k, 0, n);
		assert_int_equal(device_set(r.dt, &k, n), 0);
	}
	assert_int_equal(pthread_create(&reader, NULL, race_reader, &r), 0);
	for (uint32_t round = 0; round < 300; round++) {
		for (uint32_t i = 0; i < 50; i++) {
			uint32_t n = test_below(&seed, RACE_KEYS),
				 client = n + 1000 * test_below(&seed, 1000);

			device_key_v4(&k, 0, n);
			if (n % 16 && test_below(&seed, 2))
				device_remove(r.dt, &k);
			assert_true(device_set(r.dt, &k, client) >= 0);
		}
		for (uint64_t seen = r.passes; r.passes < seen + 2;)
			sched_yield();
		while (w.n)
			w.free_fn(w.owner, w.what[--w.n]);
	}
	r.stop = true;
	pthread_join(reader, NULL);
	assert_int_equal(r.wrong, 0);
	assert_true(r.passes > 300);
	device_table_destroy(r.dt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments), cmocka_unit_test(test_keys),
		cmocka_unit_test(test_retire),	  cmocka_unit_test(test_differential),
		cmocka_unit_test(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
