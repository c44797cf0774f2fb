// SPDX-License-Identifier: BSD-3-Clause
// `sluice-pktgen bench`: the run as a whole.
#include "pktgen/bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <sodium.h>

double bench_seconds(const struct bench *b)
{
	return b->options.quick ? 0.25 : 1.5;
}

static void read_cpu(struct bench *b)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(b->cpu, sizeof(b->cpu), "unknown CPU");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		char *value = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || value == NULL)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(b->cpu, sizeof(b->cpu), "%.60s", value + 2);
		break;
	}
	if (f != NULL)
		fclose(f);
}

static bool pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		return true;
	fprintf(stderr, "sluice-pktgen: --core %d: %s\n", core, strerror(errno));
	return false;
}

/* A core of this process beside the one it will be pinned to; −1: none. */
static int other_core(int core)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return -1;
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (i != core && CPU_ISSET(i, &set))
			return i;
	return -1;
}

/* TSC ticks a second, against the clock. */
static double measure_tsc(void)
{
	uint64_t ns = bench_now_ns(), tsc = rte_rdtsc();

	while (bench_now_ns() - ns < 100000000)
		;
	return (double)(rte_rdtsc() - tsc) * 1e9 / (double)(bench_now_ns() - ns);
}

static uint64_t lost(const struct bench *b)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < b->n_rows; i++)
		sum += b->rows[i].lost;
	return sum;
}

int bench_main(int argc, char **argv)
{
	static struct bench b;
	bool done, fine = true;
	int rc = bench_read_options(argc, argv, &b.options, &done);

	if (rc != 0 || done)
		return rc;
	if (b.options.core < 0)
		b.options.core = sched_getcpu();
	b.options.second_core = other_core(b.options.core);
	if (!pin(b.options.core))
		return 1;
	if (sodium_init() < 0) {
		fprintf(stderr, "sluice-pktgen: libsodium does not start\n");
		return 1;
	}
	b.began_ns = bench_now_ns();
	read_cpu(&b);
	b.tsc_hz = measure_tsc();
	b.core_hz = bench_core_hz(b.tsc_hz);
	bench_print_head(&b);
	bench_run_aead(&b);
	bench_run_lookup(&b);
	bench_run_policy(&b);
	bench_run_handshake(&b);
	bench_run_data(&b);
	bench_run_workers(&b);
	bench_progress(&b, "%s", "");
	printf("%u rows in %.1f s\n", b.n_rows, (double)(bench_now_ns() - b.began_ns) / 1e9);
	if (b.options.json != NULL)
		fine &= bench_write_json(&b, b.options.json) == 0;
	if (b.options.svg != NULL)
		fine &= bench_write_svg(&b, b.options.svg);
	if (lost(&b) > 0)
		fprintf(stderr, "sluice-pktgen: %lu packets lost: the numbers are not worth much\n", (unsigned long)lost(&b));
	return fine && lost(&b) == 0 ? 0 : 1;
}
