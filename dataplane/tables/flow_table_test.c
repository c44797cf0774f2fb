// SPDX-License-Identifier: BSD-3-Clause
// The flow table against a naive model, at and past capacity, with colliding hashes, and each verb
// alone.
#include "dataplane/tables/flow_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/tables/test_random.h"

static struct flow_table *make(uint32_t capacity, struct flow_hooks hooks)
{
	struct flow_config config = {
		.capacity = capacity, .secret = {1, 22, 333, 4444, 55555, 666666}, .hooks = hooks};
	void *mem = aligned_alloc(64, flow_table_size(capacity));
	struct flow_table *ft = flow_table_init(mem, &config);

	assert_non_null(ft);
	return ft;
}

static struct flow_key key_of(uint32_t n)
{
	struct flow_key k;

	if (n & 1) {
		uint8_t remote[16] = {0x20, 0x01, 0x0d, 0xb8};

		memcpy(remote + 12, &n, 4);
		flow_key_v6(&k, n % 7, remote, 6, (uint16_t)(n >> 3), 443);
	} else {
		flow_key_v4(&k, n % 7, n, n & 2 ? 6 : 17, (uint16_t)(n >> 3), 53);
	}
	return k;
}

static void test_sizes(void **state)
{
	static const uint32_t refused[] = {0, 1, 8, 15, 17, 100, 65535, 1u << 25, UINT32_MAX};
	struct flow_config config = {.capacity = 16};
	char *mem = aligned_alloc(64, flow_table_size(16) + 64);

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		config.capacity = refused[i];
		assert_int_equal(flow_table_size(refused[i]), 0);
		assert_null(flow_table_init(mem, &config));
	}
	config.capacity = 16;
	assert_null(flow_table_init(NULL, &config));
	assert_null(flow_table_init(mem + 16, &config));
	assert_non_null(flow_table_init(mem, &config));
	assert_int_equal(flow_table_size(16) % 64, 0);
	assert_true(flow_table_size(1 << 20) <= (size_t)216 << 20);
	free(mem);
}

/* Every field of the key counts, also the padding. */
static void test_key_fields(void **state)
{
	struct flow_table *ft = make(64, (struct flow_hooks){0});
	struct flow_key k = key_of(12345);

	(void)state;
	assert_non_null(flow_insert(ft, &k, flow_hash(ft, &k)));
	for (size_t bit = 0; bit < sizeof(k) * 8; bit++) {
		struct flow_key other = k;
		uint32_t h = flow_hash(ft, &k);

		((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_null(flow_lookup(ft, &other, flow_hash(ft, &other)));
		assert_null(flow_lookup(ft, &other, h)); /* even with the same hash */
		assert_int_not_equal(flow_hash(ft, &other), h);
	}
	assert_non_null(flow_lookup(ft, &k, flow_hash(ft, &k)));
	free(ft);
}

/* Hashes under two secrets have nothing to do with each other: collisions do not carry over. */
static void test_secret(void **state)
{
	struct flow_config config = {.capacity = 16, .secret = {9, 8, 7, 6, 5, 4}};
	struct flow_table *a = make(16, (struct flow_hooks){0});
	struct flow_table *b = flow_table_init(aligned_alloc(64, flow_table_size(16)), &config);
	unsigned int same_bucket_a = 0, same_both = 0;
	struct flow_key first = key_of(0);

	(void)state;
	for (uint32_t n = 1; n < 200000; n++) {
		struct flow_key k = key_of(n);
		bool in_a = ((flow_hash(a, &k) ^ flow_hash(a, &first)) & 1023) == 0;
		bool in_b = ((flow_hash(b, &k) ^ flow_hash(b, &first)) & 1023) == 0;

		same_bucket_a += in_a;
		same_both += in_a && in_b;
	}
	assert_in_range(same_bucket_a, 130, 270); /* 195 expected */
	assert_in_range(same_both, 0, 5);	  /* 0.2 expected */
	free(a);
	free(b);
}

struct counts {
	uint32_t per_client[7];
};

static void count_in(void *ctx, const struct flow_entry *e)
{
	((struct counts *)ctx)->per_client[e->key.client]++;
}

static void count_out(void *ctx, const struct flow_entry *e)
{
	((struct counts *)ctx)->per_client[e->key.client]--;
}

/*
 * Random inserts, removals and lookups of KEYS keys in a table of 256, checked against an array.
 * `hash_bits` < 32 folds the hashes so that buckets overflow into each other.
 */
static void differential(uint32_t hash_mask, uint64_t seed)
{
	enum { KEYS = 400, CAPACITY = 256 };
	static struct flow_entry *model[KEYS];
	struct counts counts = {{0}}, want = {{0}};
	struct flow_table *ft = make(CAPACITY, (struct flow_hooks){count_in, count_out, &counts});
	uint32_t live = 0;

	memset(model, 0, sizeof(model));
	for (uint32_t step = 0; step < 60000; step++) {
		uint32_t n = test_below(&seed, KEYS);
		struct flow_key k = key_of(n);
		uint32_t h = flow_hash(ft, &k) & hash_mask;

		assert_ptr_equal(flow_lookup(ft, &k, h), model[n]);
		if (model[n] && test_below(&seed, 3) == 0) {
			flow_remove(ft, model[n]);
			model[n] = NULL;
			want.per_client[k.client]--;
			live--;
		} else if (!model[n]) {
			struct flow_entry *e = flow_insert(ft, &k, h);

			assert_int_equal(e == NULL, live == CAPACITY);
			model[n] = e;
			if (e) {
				assert_int_equal(e->packets_up | e->revision | e->verdict, 0);
				e->packets_up = e->revision = n + 1;
				want.per_client[k.client]++;
				live++;
			}
		} else {
			assert_int_equal(model[n]->revision, n + 1);
		}
		if (step % 97 == 0) { /* a burst, with repeats and absent keys */
			struct flow_key keys[64];
			struct flow_entry *out[64];
			uint32_t hashes[64], ids[64], burst = 1 + test_below(&seed, 64);

			for (uint32_t i = 0; i < burst; i++) {
				ids[i] = test_below(&seed, KEYS);
				keys[i] = key_of(ids[i]);
			}
			flow_hash_bulk(ft, keys, hashes, burst);
			for (uint32_t i = 0; i < burst; i++)
				hashes[i] &= hash_mask;
			flow_lookup_bulk(ft, keys, hashes, burst, out);
			for (uint32_t i = 0; i < burst; i++)
				assert_ptr_equal(out[i], model[ids[i]]);
		}
	}

	struct flow_stats stats;

	flow_table_stats(ft, &stats);
	assert_int_equal(stats.used, live);
	assert_int_equal(stats.inserted - stats.removed, live);
	assert_true(stats.refused_full > 0);
	assert_memory_equal(&counts, &want, sizeof(counts));
	free(ft);
}

static void test_differential(void **state)
{
	(void)state;
	differential(UINT32_MAX, 1);
	differential(UINT32_MAX, 2);
}

/* 16 different hashes, and 4 with one signature: everything spills, and still each key finds its
 * entry. */
static void test_differential_collisions(void **state)
{
	(void)state;
	differential(0x30003, 3);
	differential(0x3, 4);
}

/* A table takes exactly as many flows as it says, and all of them are found. */
static void test_full(void **state)
{
	enum { CAPACITY = 1 << 14 };
	struct flow_table *ft = make(CAPACITY, (struct flow_hooks){0});
	struct flow_stats stats;
	struct flow_key k;

	(void)state;
	for (uint32_t n = 0; n < CAPACITY; n++) {
		k = key_of(n);
		assert_non_null(flow_insert(ft, &k, flow_hash(ft, &k)));
	}
	k = key_of(CAPACITY);
	assert_null(flow_insert(ft, &k, flow_hash(ft, &k)));
	for (uint32_t n = 0; n < CAPACITY; n++) {
		k = key_of(n);
		assert_non_null(flow_lookup(ft, &k, flow_hash(ft, &k)));
	}
	flow_table_stats(ft, &stats);
	assert_int_equal(stats.capacity, CAPACITY);
	assert_int_equal(stats.used, CAPACITY);
	assert_int_equal(stats.refused_full, 1);

	k = key_of(77);
	flow_remove(ft, flow_lookup(ft, &k, flow_hash(ft, &k)));
	k = key_of(CAPACITY);
	assert_non_null(flow_insert(ft, &k, flow_hash(ft, &k)));
	free(ft);
}

struct seen {
	uint32_t n;
	uint32_t clients[32];
};

static void see(void *ctx, struct flow_entry *e)
{
	struct seen *s = ctx;

	s->clients[s->n++] = e->key.client;
}

static struct flow_entry *put(struct flow_table *ft, uint32_t client, uint16_t port)
{
	struct flow_key k;

	flow_key_v4(&k, client, 0x0100000a, 17, port, 53);
	return flow_insert(ft, &k, flow_hash(ft, &k));
}

static void test_age(void **state)
{
	/* class, timeout, silent for, goes */
	static const struct {
		uint8_t class;
		uint32_t timeout, last_seen, now;
		bool goes;
	} cases[] = {
		/* 1 */ {FLOW_CLASS_UDP, 10, 100, 110, false}, /* exactly as long as allowed */
		/* 2 */ {FLOW_CLASS_UDP, 10, 100, 111, true},
		/* 3 */ {FLOW_CLASS_TCP_OPEN, 57600, 0, 57600, false},
		/* 4 */ {FLOW_CLASS_TCP_OPEN, 57600, 0, 57601, true},
		/* 5 */ {FLOW_CLASS_BLOCKED, 8, UINT32_MAX - 2, 5, false}, /* across the wrap */
		/* 6 */ {FLOW_CLASS_BLOCKED, 8, UINT32_MAX - 2, 6, true},
		/* 7 */ {FLOW_CLASS_ICMP, 0, 100, 99, false}, /* seen after now was read */
		/* 8 */ {FLOW_CLASS_ICMP, 0, 100, 101, true},
		/* 9 */ {200, 5, 0, 6, true}, /* a class out of range ages as `other` */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct flow_table *ft = make(16, (struct flow_hooks){0});
		struct flow_timeouts timeouts;
		struct seen seen = {0};
		struct flow_stats stats;
		struct flow_entry *e = put(ft, (uint32_t)i, 1);

		memset(&timeouts, 0xff, sizeof(timeouts));
		timeouts.ticks
			[cases[i].class < FLOW_CLASS_COUNT ? cases[i].class : FLOW_CLASS_OTHER] =
			cases[i].timeout;
		e->timeout_class = cases[i].class;
		e->last_seen = cases[i].last_seen;
		assert_int_equal(flow_age(ft, cases[i].now, 16, &timeouts, see, &seen),
				 cases[i].goes);
		assert_int_equal(seen.n, cases[i].goes);
		if (cases[i].goes)
			assert_int_equal(seen.clients[0], i);
		flow_table_stats(ft, &stats);
		assert_int_equal(stats.used, !cases[i].goes);
		assert_int_equal(stats.aged, cases[i].goes);
		free(ft);
	}
}

/* The budget bounds a call, and the calls go round. */
static void test_age_budget(void **state)
{
	struct flow_table *ft = make(64, (struct flow_hooks){0});
	struct flow_timeouts timeouts = {{0}};
	uint32_t removed = 0;

	(void)state;
	for (uint16_t i = 0; i < 64; i++)
		put(ft, i, i);
	for (int call = 0; call < 8; call++) {
		uint32_t n = flow_age(ft, 1, 8, &timeouts, NULL, NULL);

		assert_int_equal(n, 8);
		removed += n;
	}
	assert_int_equal(removed, 64);
	put(ft, 1, 1);
	assert_int_equal(flow_age(ft, 1, UINT32_MAX, &timeouts, NULL, NULL), 1);
	free(ft);
}

static bool collect(void *ctx, struct flow_entry *e)
{
	struct seen *s = ctx;

	s->clients[s->n++] = e->key.client;
	return s->n % 5 != 0;
}

static void test_iterate(void **state)
{
	struct flow_table *ft = make(64, (struct flow_hooks){0});
	uint32_t cursor = 0, calls = 0;
	struct seen seen = {0};
	bool more = true;

	(void)state;
	for (uint16_t i = 0; i < 23; i++)
		put(ft, i, i);
	while (more) {
		uint32_t before = cursor;

		more = flow_iterate(ft, &cursor, 10, collect, &seen);
		assert_true(cursor - before <= 10);
		calls++;
	}
	assert_int_equal(seen.n, 23);
	for (uint32_t i = 0; i < 23; i++)
		assert_int_equal(seen.clients[i], i);
	assert_true(calls >= 7);
	free(ft);
}

static void test_migrate(void **state)
{
	struct counts in_a = {{0}}, in_b = {{0}};
	struct flow_table *a = make(64, (struct flow_hooks){count_in, count_out, &in_a});
	struct flow_config config = {.capacity = 64,
				     .secret = {7, 7, 7, 7, 7, 7},
				     .hooks = {count_in, count_out, &in_b}};
	struct flow_table *b = flow_table_init(aligned_alloc(64, flow_table_size(64)), &config);
	struct flow_entry moved[4];
	uint32_t cursor = 0, total = 0;
	bool more = true;

	(void)state;
	for (uint16_t i = 0; i < 30; i++) {
		struct flow_entry *e = put(a, i % 3, i);

		e->packets_down = 1000u + i;
		e->tcp_state = FLOW_TCP_FIN_UP;
		e->session = i;
	}
	while (more) {
		uint32_t n = flow_export_client(a, 1, &cursor, 16, moved, 4, &more);

		assert_true(n <= 4);
		for (uint32_t i = 0; i < n; i++) {
			struct flow_entry *e = flow_import(b, &moved[i]);

			assert_non_null(e);
			assert_int_equal(e->packets_down, 1000u + e->session);
			assert_int_equal(e->tcp_state, FLOW_TCP_FIN_UP);
			assert_ptr_equal(flow_lookup(b, &e->key, flow_hash(b, &e->key)), e);
			assert_null(flow_import(b, &moved[i])); /* twice is refused */
			assert_null(flow_lookup(a, &e->key, flow_hash(a, &e->key)));
		}
		total += n;
	}
	assert_int_equal(total, 10);
	assert_int_equal(in_a.per_client[1], 0);
	assert_int_equal(in_b.per_client[1], 10);
	assert_int_equal(in_a.per_client[0], 10);

	cursor = 0;
	total = 0;
	for (more = true; more;)
		total += flow_remove_client(a, 2, &cursor, 16, &more);
	assert_int_equal(total, 10);
	assert_int_equal(in_a.per_client[2], 0);
	assert_int_equal(in_a.per_client[0], 10);

	memset(&moved[0], 0, sizeof(moved[0]));
	assert_null(flow_import(b, &moved[0])); /* a free entry is no flow */
	free(a);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_key_fields),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_differential),
		cmocka_unit_test(test_differential_collisions),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_age_budget),
		cmocka_unit_test(test_iterate),
		cmocka_unit_test(test_migrate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
