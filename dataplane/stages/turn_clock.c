// SPDX-License-Identifier: BSD-3-Clause
// Longest turn of a worker's loop, in CPU time and in wall time.
#include "dataplane/stages/turn_clock.h"

#include <time.h>

#include <rte_cycles.h>

#include "dataplane/worker.h"

#define SUSPICIOUS_DIVISOR 20 /* a turn above 1/20 ms is looked at */
#define PREEMPTED_DIVISOR  2  /* less than half of a turn on the CPU: it was preempted */

static uint64_t thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void mark(struct turn_clock *c, uint64_t now_tsc)
{
	c->mark_tsc = now_tsc;
	c->mark_cpu_ns = thread_cpu_ns();
}

void turn_clock_init(struct turn_clock *c)
{
	c->tsc_per_ms = rte_get_tsc_hz() / 1000;
	mark(c, rte_rdtsc());
}

void turn_clock_resume(struct turn_clock *c)
{
	mark(c, rte_rdtsc());
}

static uint64_t to_ns(const struct turn_clock *c, uint64_t tsc)
{
	return tsc * 1000000 / c->tsc_per_ms;
}

void turn_clock_measure(struct turn_clock *c, uint64_t begin, uint64_t end, struct worker_counters *counters)
{
	uint64_t wall = end - begin, wall_ns, since_ns, cpu_ns, stolen, turn_ns;

	if (wall < c->tsc_per_ms / SUSPICIOUS_DIVISOR) {
		if (end - c->mark_tsc > c->tsc_per_ms)
			mark(c, end);
		return;
	}
	/* All that was stolen since the mark is laid at this turn's door: it is the one that stands out. */
	wall_ns = to_ns(c, wall);
	since_ns = to_ns(c, end - c->mark_tsc);
	cpu_ns = c->mark_cpu_ns;
	mark(c, end);
	cpu_ns = c->mark_cpu_ns - cpu_ns;
	stolen = since_ns > cpu_ns ? since_ns - cpu_ns : 0;
	turn_ns = wall_ns > stolen ? wall_ns - stolen : 0;
	if (turn_ns < wall_ns / PREEMPTED_DIVISOR)
		counters->preempted_turns++;
	if (turn_ns > counters->max_turn_cpu_ns)
		counters->max_turn_cpu_ns = turn_ns;
	if (wall_ns > counters->max_turn_wall_ns)
		counters->max_turn_wall_ns = wall_ns;
}

void turn_clock_reset(struct turn_clock *c, struct worker_counters *counters)
{
	(void)c;
	counters->max_turn_cpu_ns = 0;
	counters->max_turn_wall_ns = 0;
	counters->preempted_turns = 0;
}
