// SPDX-License-Identifier: BSD-3-Clause
// Clocks, and what is made of their readings.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <rte_cycles.h>

#include "pktgen/bench.h"

uint64_t bench_clock(void)
{
	return rte_rdtsc_precise();
}

uint64_t bench_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

uint64_t bench_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

double bench_core_hz(double tsc_hz)
{
	enum { CHAIN = 1000000, LATENCY = 3 }; /* a 64-bit multiplication takes 3 cycles on all CPUs with AVX2 */
	uint64_t best = UINT64_MAX;

	for (unsigned run = 0; run < 20; run++) {
		uint64_t x = run + 3, begin = bench_clock(), took;

		for (unsigned i = 0; i < CHAIN / 10; i++)
			__asm__ volatile("imul %0, %0\n\timul %0, %0\n\timul %0, %0\n\timul %0, %0\n\timul %0, %0\n\t"
					 "imul %0, %0\n\timul %0, %0\n\timul %0, %0\n\timul %0, %0\n\timul %0, %0"
					 : "+r"(x));
		took = bench_clock() - begin;
		if (took < best)
			best = took;
	}
	return tsc_hz * CHAIN * LATENCY / (double)best;
}

static void push(double **array, size_t *n, size_t *max, double value)
{
	if (*n == *max) {
		*max = *max == 0 ? 1024 : *max * 2;
		*array = realloc(*array, *max * sizeof(double));
		if (*array == NULL) {
			fprintf(stderr, "sluice-pktgen: no memory for measurements\n");
			exit(1);
		}
	}
	(*array)[(*n)++] = value;
}

void bench_measure_burst(struct bench_measure *m, uint64_t cycles, unsigned packets)
{
	push(&m->bursts, &m->n_bursts, &m->max_bursts, (double)cycles / packets);
}

void bench_measure_rep(struct bench_measure *m, uint64_t cycles, uint64_t aead_cycles, uint64_t packets)
{
	double each = (double)cycles / (double)packets;

	push(&m->reps, &m->n_reps, &m->max_reps, each);
	m->packets += packets;
	if (m->n_reps > 1 && each >= m->best)
		return;
	m->best = each;
	m->best_aead = (double)aead_cycles / (double)packets;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(double *values, size_t n, unsigned percent)
{
	if (n == 0)
		return 0;
	qsort(values, n, sizeof(values[0]), compare);
	return values[(n - 1) * percent / 100];
}

void bench_measure_end(struct bench_measure *m, struct bench_row *row)
{
	row->packets = m->packets;
	row->total = m->best;
	row->aead = m->best_aead;
	row->rest = m->best - m->best_aead;
	row->median = percentile(m->reps, m->n_reps, 50);
	row->p50 = percentile(m->bursts, m->n_bursts, 50);
	row->p99 = percentile(m->bursts, m->n_bursts, 99);
	free(m->reps);
	free(m->bursts);
	*m = (struct bench_measure){0};
}
