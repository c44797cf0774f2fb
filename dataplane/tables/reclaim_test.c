// SPDX-License-Identifier: BSD-3-Clause
// Nothing is freed before every reader has passed, everything is freed after, once and in order.
#include "dataplane/tables/reclaim.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/tables/device_table.h"
#include "dataplane/tables/route_table.h"
#include "dataplane/tables/test_random.h"

static struct rte_rcu_qsbr *make_qsbr(uint32_t readers)
{
	size_t size = rte_rcu_qsbr_get_memsize(readers);
	struct rte_rcu_qsbr *v = aligned_alloc(64, (size + 63) & ~63ul);

	assert_int_equal(rte_rcu_qsbr_init(v, readers), 0);
	for (uint32_t i = 0; i < readers; i++) {
		assert_int_equal(rte_rcu_qsbr_thread_register(v, i), 0);
		rte_rcu_qsbr_thread_online(v, i);
	}
	return v;
}

struct freed {
	uint64_t what[100];
	uint32_t n;
};

static void note(void *owner, uint64_t what)
{
	struct freed *f = owner;

	f->what[f->n++] = what;
}

static void test_grace(void **state)
{
	struct rte_rcu_qsbr *v = make_qsbr(2);
	struct reclaim *r = reclaim_create(v, 10);
	struct retire_ops ops = reclaim_ops(r);
	struct freed f = {.n = 0};

	(void)state;
	assert_null(reclaim_create(NULL, 10));
	assert_null(reclaim_create(v, 1));
	ops.retire(ops.ctx, note, &f, 1);
	ops.retire(ops.ctx, note, &f, 2);
	rte_rcu_qsbr_quiescent(v, 0);
	rte_rcu_qsbr_quiescent(v, 1);
	assert_int_equal(reclaim_poll(r), 0); /* 1: what is not sealed is not freed */
	reclaim_seal(r);
	ops.retire(ops.ctx, note, &f, 3);
	assert_int_equal(reclaim_poll(r), 0); /* 2: a pass before the seal does not count */
	rte_rcu_qsbr_quiescent(v, 0);
	assert_int_equal(reclaim_poll(r), 0); /* 3: all readers, not one */
	assert_int_equal(reclaim_pending(r), 3);
	rte_rcu_qsbr_quiescent(v, 1);
	assert_int_equal(reclaim_poll(r), 2); /* 4: the batch, not what came after it */
	assert_int_equal(f.n, 2);
	assert_true(f.what[0] == 1 && f.what[1] == 2);
	reclaim_seal(r);
	rte_rcu_qsbr_thread_offline(v, 0); /* 5: a reader that sleeps holds nothing up */
	rte_rcu_qsbr_quiescent(v, 1);
	assert_int_equal(reclaim_poll(r), 1);
	assert_int_equal(f.n, 3);
	assert_int_equal(reclaim_pending(r), 0);
	rte_rcu_qsbr_thread_offline(v, 1);
	ops.retire(ops.ctx, note, &f, 4);
	reclaim_destroy(r); /* 6: what is left is freed with the queue */
	assert_int_equal(f.n, 4);
	reclaim_destroy(NULL);
	free(v);
}

/* A batch larger than the queue waits for the readers instead of dropping or freeing early. */
static void test_full(void **state)
{
	struct rte_rcu_qsbr *v = make_qsbr(1);
	struct reclaim *r = reclaim_create(v, 4);
	struct retire_ops ops = reclaim_ops(r);
	struct freed f = {.n = 0};

	(void)state;
	rte_rcu_qsbr_thread_offline(v, 0); /* so that the wait ends */
	for (uint64_t i = 0; i < 50; i++) {
		ops.retire(ops.ctx, note, &f, i);
		assert_in_range(reclaim_pending(r), 1, 4);
	}
	reclaim_drain(r);
	assert_int_equal(f.n, 50);
	for (uint64_t i = 0; i < 50; i++)
		assert_int_equal(f.what[i], i);
	reclaim_destroy(r);
	free(v);
}

/* Both tables behind one queue, with a reader that never rests: what is always there is always
 * found. */
struct race {
	struct rte_rcu_qsbr *v;
	struct route_table *rt;
	struct device_table *dt;
	_Atomic bool stop;
	uint64_t passes, wrong;
};

static void *race_reader(void *arg)
{
	struct race *r = arg;
	struct device_key key;

	device_key_v4(&key, 0, 7);
	while (!r->stop) {
		r->wrong += route_lookup_v4(r->rt, 0, 0x0100000a) != 1;
		r->wrong += device_lookup(r->dt, &key) != 7;
		rte_rcu_qsbr_quiescent(r->v, 0);
		r->passes++;
	}
	rte_rcu_qsbr_thread_offline(r->v, 0);
	return NULL;
}

static void test_tables(void **state)
{
	struct race race = {.v = make_qsbr(1)};
	struct reclaim *q = reclaim_create(race.v, 64);
	struct route_config routes = {
		.vnets = 1, .routes = 100, .nodes = 64, .retire = reclaim_ops(q)};
	struct device_config devices = {.capacity = 20, .retire = reclaim_ops(q)};
	struct route r = {.family = 4, .len = 32, .next_hop = 1, .addr = {10, 0, 0, 1}};
	struct device_key key;
	uint64_t seed = 3;
	pthread_t reader;

	(void)state;
	race.rt = route_table_create(&routes);
	race.dt = device_table_create(&devices);
	assert_int_equal(route_add(race.rt, &r), 0);
	device_key_v4(&key, 0, 7);
	assert_int_equal(device_set(race.dt, &key, 7), 0);
	assert_int_equal(pthread_create(&reader, NULL, race_reader, &race), 0);
	for (uint32_t i = 0; i < 20000; i++) {
		r.next_hop = 2;
		r.addr[3] = (uint8_t)(2 + test_below(&seed, 20));
		device_key_v4(&key, 0, 8 + test_below(&seed, 10));
		if (test_below(&seed, 2)) {
			assert_in_range(route_add(race.rt, &r), 0, 1);
			assert_in_range(device_set(race.dt, &key, 3), 0, 1);
		} else {
			route_delete(race.rt, &r);
			device_remove(race.dt, &key);
		}
		if (i % 8 == 0) {
			reclaim_seal(q);
			reclaim_poll(q);
		}
		if (i % 64 == 0)
			reclaim_drain(q);
	}
	race.stop = true;
	pthread_join(reader, NULL);
	assert_int_equal(race.wrong, 0);
	assert_true(race.passes > 300);
	reclaim_destroy(q);
	route_table_destroy(race.rt);
	device_table_destroy(race.dt);
	free(race.v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grace),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
