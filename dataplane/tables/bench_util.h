// SPDX-License-Identifier: BSD-3-Clause
// What the benches of this folder share: DPDK's memory on huge pages where there are any, and
// cycles as minimum and median.
#ifndef DATAPLANE_TABLES_BENCH_UTIL_H
#define DATAPLANE_TABLES_BENCH_UTIL_H

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eal_memconfig.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "dataplane/tables/test_random.h"

#define BENCH_BURST  32u
#define BENCH_ROUNDS 101u

/* Transparent huge pages for DPDK's heap, as route_table asks for its own pools: neither side gets
 * an advantage. */
static int bench_advise(const struct rte_memseg_list *list, void *arg)
{
	(void)arg;
	madvise(list->base_va, list->len, MADV_HUGEPAGE);
	return 0;
}

/* On the core that the process runs on: `taskset -c 1 x_bench` chooses it. */
static inline void bench_eal(unsigned int megabytes)
{
	char arg[9][32] = {"bench", "--no-huge", "--no-pci", "--no-telemetry",	 "--no-shconf",
			   "",	    "-m",	 "",	     "--log-level=error"};
	char *argv[9];

	snprintf(arg[5], sizeof(arg[5]), "--lcores=0@%d", sched_getcpu());
	snprintf(arg[7], sizeof(arg[7]), "%u", megabytes);
	for (unsigned int i = 0; i < 9; i++)
		argv[i] = arg[i];
	if (rte_eal_init(9, argv) < 0) {
		fprintf(stderr, "bench: the EAL does not start with %u MB\n", megabytes);
		exit(1);
	}
	rte_memseg_list_walk(bench_advise, NULL);
}

static inline size_t bench_heap_used(void)
{
	struct rte_malloc_socket_stats s;

	return rte_malloc_get_socket_stats(0, &s) ? 0 : s.heap_allocsz_bytes;
}

static int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct bench_result {
	double min, median; /* TSC cycles per lookup */
};

/*
 * Runs `burst(ctx, first, n)` over items 0 … total − 1 in bursts of 32, split into BENCH_ROUNDS
 * rounds of at least 2,048 items; the items go round if there are fewer.
 */
static inline struct bench_result bench_run(void (*burst)(void *ctx, uint32_t first, uint32_t n),
					    void *ctx, uint32_t total)
{
	uint32_t per_round = total / BENCH_ROUNDS / BENCH_BURST * BENCH_BURST, at = 0;
	double cycles[BENCH_ROUNDS];

	if (per_round < 8192)
		per_round = 8192;
	for (uint32_t i = 0; total <= 1u << 17 && i + BENCH_BURST <= total; i += BENCH_BURST)
		burst(ctx, i, BENCH_BURST); /* warm */
	for (uint32_t round = 0; round < BENCH_ROUNDS; round++) {
		uint64_t start = rte_rdtsc_precise();

		for (uint32_t i = 0; i < per_round; i += BENCH_BURST) {
			burst(ctx, at, BENCH_BURST);
			at = at + 2 * BENCH_BURST <= total ? at + BENCH_BURST : 0;
		}
		cycles[round] = (double)(rte_rdtsc_precise() - start) / per_round;
	}
	qsort(cycles, BENCH_ROUNDS, sizeof(cycles[0]), bench_compare);
	return (struct bench_result){cycles[0], cycles[BENCH_ROUNDS / 2]};
}

static inline void bench_print(const char *what, struct bench_result r, double mib)
{
	printf("  %-44s %7.1f %7.1f", what, r.min, r.median);
	if (mib >= 0)
		printf(" %10.1f", mib);
	printf("\n");
	fflush(stdout);
}

#endif
