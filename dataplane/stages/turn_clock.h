/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a turn of the worker's loop took, told apart by whose fault it was (decision 22): the thread's CPU clock is
 * a system call, so it is read once a millisecond and whenever a turn was suspiciously long; what wall time exceeds CPU
 * time by was stolen by other threads of the machine.
 */
#ifndef DATAPLANE_STAGES_TURN_CLOCK_H
#define DATAPLANE_STAGES_TURN_CLOCK_H

#include <stdint.h>

struct worker_counters;

struct turn_clock {
	uint64_t tsc_per_ms;
	uint64_t mark_tsc;    /* when CPU time was read last */
	uint64_t mark_cpu_ns;
};

void turn_clock_init(struct turn_clock *clock);
/* After a sleep: time away from the CPU until now was wanted. */
void turn_clock_resume(struct turn_clock *clock);
/* Takes a turn from TSC `begin` to `end` into max_turn_cpu_ns, max_turn_wall_ns and preempted_turns. Owner worker. */
void turn_clock_measure(struct turn_clock *clock, uint64_t begin, uint64_t end, struct worker_counters *counters);
/* Zeroes the maxima. */
void turn_clock_reset(struct turn_clock *clock, struct worker_counters *counters);

#endif
