// SPDX-License-Identifier: BSD-3-Clause
// Case scale: the same worker alone, and beside a second one on another core, in turn. Both have packets when they start, at the
// same instant; making and checking them is off the clock. What two move is the sum of their rates.
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "pktgen/bench_bed.h"

#define MIN_REPS     16
#define ROUNDS	     4
#define VERIFY_EVERY 61
#define LEAD_CYCLES  40000 /* from the call to the start: both have woken by then */

struct second {
	struct bench_bed *bb;
	int core;
	pthread_t thread;
	pthread_barrier_t begin, end;
	pthread_mutex_t lock; /* packets are made and checked by one at a time, each by the core that has them in its caches */
	unsigned workers;     /* that run in this round */
	_Atomic unsigned arrived;
	_Atomic uint64_t start_tsc;
	struct bench_row *row;
	uint64_t cycles[2];
	bool stop, fine;
};

static uint64_t round_cycles(const struct bench_queue *q)
{
	return q->turns[q->n_turns - 1] - q->turns[0];
}

static void check(struct bench_bed *bb, unsigned worker, struct bench_row *row)
{
	struct bench_queue *q = &bb->port->queues[worker];

	row->lost += BENCH_ROUND - q->n_out;
	for (unsigned i = (unsigned)(bench_random(&bb->seed) % VERIFY_EVERY); i < q->n_out; i += VERIFY_EVERY) {
		bool good = bench_verify(bb, worker, i, row->size);

		row->verified += good;
		row->lost += !good;
	}
	bench_drain(bb, worker);
}

/* The last who has packets names the instant at which all start. */
static void start_together(struct second *s)
{
	uint64_t start;

	if (atomic_fetch_add(&s->arrived, 1) + 1 == s->workers)
		atomic_store(&s->start_tsc, rte_rdtsc() + LEAD_CYCLES);
	while ((start = atomic_load(&s->start_tsc)) == 0 || rte_rdtsc() < start)
		rte_pause();
}

static void one_round(struct second *s, unsigned worker)
{
	pthread_mutex_lock(&s->lock);
	bench_fill(s->bb, worker, BENCH_KIND_UP, s->row->size, BENCH_ROUND);
	pthread_mutex_unlock(&s->lock);
	start_together(s);
	bench_run_worker(s->bb, worker);
	pthread_mutex_lock(&s->lock);
	s->cycles[worker] += round_cycles(&s->bb->port->queues[worker]);
	check(s->bb, worker, s->row);
	pthread_mutex_unlock(&s->lock);
}

static void *second_worker(void *arg)
{
	struct second *s = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(s->core, &set);
	s->fine = pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0 && rte_thread_register() == 0;
	pthread_barrier_wait(&s->end);
	while (s->fine) {
		pthread_barrier_wait(&s->begin);
		if (s->stop)
			break;
		one_round(s, 1);
		pthread_barrier_wait(&s->end);
	}
	rte_thread_unregister();
	return NULL;
}

/* A repetition of one or two workers; its cycles are those per core that give the sum of their rates. */
static void repetition(struct second *s, unsigned workers, struct bench_row *row, struct bench_measure *m)
{
	double rate = 0;

	s->workers = workers;
	s->row = row;
	memset(s->cycles, 0, sizeof(s->cycles));
	for (unsigned round = 0; round < ROUNDS; round++) {
		atomic_store(&s->arrived, 0);
		atomic_store(&s->start_tsc, 0);
		if (workers == 2)
			pthread_barrier_wait(&s->begin);
		one_round(s, 0);
		if (workers == 2)
			pthread_barrier_wait(&s->end);
	}
	for (unsigned w = 0; w < workers; w++)
		rate += 1.0 / (double)s->cycles[w];
	bench_measure_burst(m, (uint64_t)(workers / rate), ROUNDS * BENCH_ROUND);
	bench_measure_rep(m, (uint64_t)(workers / rate), 0, ROUNDS * BENCH_ROUND);
	m->packets += (workers - 1) * ROUNDS * BENCH_ROUND;
}

static void measure(struct bench *b, struct second *s, unsigned size)
{
	uint64_t end = bench_now_ns() + (uint64_t)(2 * bench_seconds(b) * 1e9);
	struct bench_row rows[2];
	struct bench_measure m[2] = {0};

	bench_progress(b, "scale, %u bytes", size);
	for (unsigned i = 0; i < 2; i++)
		rows[i] = (struct bench_row){.name = bench_case_name(BENCH_scale), .size = size, .scale = s->bb->scale,
					     .workers = i + 1, .aead_impl = i == 0 ? "1 worker" : "2 workers"};
	while (m[0].n_reps < MIN_REPS || bench_now_ns() < end)
		for (unsigned i = 0; i < 2; i++)
			repetition(s, i + 1, &rows[i], &m[i]);
	for (unsigned i = 0; i < 2; i++)
		bench_measure_end(&m[i], &rows[i]);
	rows[1].ratio = 2 * rows[0].total / rows[1].total;
	for (unsigned i = 0; i < 2; i++)
		bench_add(b, &rows[i]);
}

void bench_run_workers(struct bench *b)
{
	struct second s = {.core = b->options.second_core};

	if (!b->options.cases[BENCH_scale])
		return;
	if (s.core < 0) {
		fprintf(stderr, "sluice-pktgen: scale: left out, there is one core only\n");
		return;
	}
	s.bb = bench_bed_create(b, &b->options.scales[0], 2, 0);
	bench_make_flows(b, s.bb);
	pthread_barrier_init(&s.begin, NULL, 2);
	pthread_barrier_init(&s.end, NULL, 2);
	pthread_mutex_init(&s.lock, NULL);
	if (pthread_create(&s.thread, NULL, second_worker, &s) != 0) {
		fprintf(stderr, "sluice-pktgen: scale: no second thread\n");
		exit(1);
	}
	pthread_barrier_wait(&s.end);
	if (!s.fine)
		fprintf(stderr, "sluice-pktgen: scale: left out, core %d is not to be had\n", s.core);
	for (unsigned i = 0; s.fine && i < b->options.n_sizes; i++)
		measure(b, &s, b->options.sizes[i]);
	s.stop = true;
	if (s.fine)
		pthread_barrier_wait(&s.begin);
	pthread_join(s.thread, NULL);
	pthread_barrier_destroy(&s.begin);
	pthread_barrier_destroy(&s.end);
	pthread_mutex_destroy(&s.lock);
	bench_bed_destroy(s.bb);
}
