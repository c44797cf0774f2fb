// SPDX-License-Identifier: BSD-3-Clause
// Cases up, down, newflow, blocked and io: the worker's own loop over packets that are there when the clock starts.
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "dataplane/stages/outer_headers.h"
#include "pktgen/bench_bed.h"

#define REP_ROUNDS   4  /* rounds of BENCH_ROUND packets in a repetition: longer ones are seldom left alone on a shared machine */
#define MIN_REPS     16
#define VERIFY_EVERY 61 /* outputs: one in so many is opened */
#define EXTRA_FLOWS  (1u << 17)

struct data_case {
	enum bench_case number;
	enum bench_kind kind;
};

static const struct data_case data_cases[] = {
	{BENCH_up, BENCH_KIND_UP}, {BENCH_down, BENCH_KIND_DOWN}, {BENCH_newflow, BENCH_KIND_NEW}, {BENCH_blocked, BENCH_KIND_UP}};

/* Bursts of a round; its cycles, from the first time the worker asked for packets to the last. */
static uint64_t take_bursts(struct bench_queue *q, struct bench_measure *m)
{
	for (unsigned t = 0; t + 1 < q->n_turns; t++) {
		unsigned left = q->n_in - t * BURST_MAX;

		bench_measure_burst(m, q->turns[t + 1] - q->turns[t], left < BURST_MAX ? left : BURST_MAX);
	}
	return q->turns[q->n_turns - 1] - q->turns[0];
}

/* Counts what is missing and opens a sample of what is there. */
static void check_round(struct bench_bed *bb, const struct data_case *c, struct bench_row *row, uint64_t blocked)
{
	struct bench_queue *q = &bb->port->queues[0];

	if (c->number == BENCH_blocked) {
		row->verified += blocked;
		row->lost += BENCH_ROUND - blocked; /* what is sent are answers */
		return;
	}
	row->lost += BENCH_ROUND - q->n_out;
	for (unsigned i = (unsigned)(bench_random(&bb->seed) % VERIFY_EVERY); i < q->n_out; i += VERIFY_EVERY) {
		if (bench_verify(bb, 0, i, row->size))
			row->verified++;
		else
			row->lost++;
	}
}

static void repetition(struct bench_bed *bb, const struct data_case *c, struct bench_row *row, struct bench_measure *m)
{
	const struct worker_counters *counters = worker_counters(bb->bed->edge.workers[0]);
	uint64_t cycles = 0, aead = counters->aead_cycles;

	for (unsigned round = 0; round < REP_ROUNDS; round++) {
		uint64_t blocked = counters->drops[DROP_policy_block];

		bench_fill(bb, 0, c->kind, row->size, BENCH_ROUND);
		bench_run_worker(bb, 0);
		cycles += take_bursts(&bb->port->queues[0], m);
		check_round(bb, c, row, counters->drops[DROP_policy_block] - blocked);
		bench_drain(bb, 0);
	}
	bench_measure_rep(m, cycles, counters->aead_cycles - aead, (uint64_t)REP_ROUNDS * BENCH_ROUND);
}

/* `--stages`: where the cycles of a repetition went. */
static void print_stages(const struct stage_counters *stages)
{
	for (unsigned i = 0; i < STAGE_COUNT; i++)
		if (stages[i].packets > 0)
			printf("  %-12s %8.1f cycles/packet %6.1f packets/call\n", worker_stage_name(i),
			       (double)stages[i].cycles / (double)stages[i].packets,
			       (double)stages[i].packets / (double)stages[i].calls);
}

/* What a repetition added to the worker's counters. */
static void stages_between(const struct stage_counters *before, const struct stage_counters *after, struct stage_counters *out)
{
	for (unsigned i = 0; i < STAGE_COUNT; i++)
		out[i] = (struct stage_counters){.calls = after[i].calls - before[i].calls,
						 .packets = after[i].packets - before[i].packets,
						 .cycles = after[i].cycles - before[i].cycles};
}

static void make_room(struct bench *b, struct bench_bed *bb)
{
	if (bb->next_flow + REP_ROUNDS * BENCH_ROUND <= bb->scale.flows + EXTRA_FLOWS)
		return;
	bench_forget_new_flows(bb, 0);
	bench_make_flows(b, bb);
}

static void measure(struct bench *b, struct bench_bed *bb, const struct data_case *c, unsigned size)
{
	uint64_t end = bench_now_ns() + (uint64_t)(bench_seconds(b) * 1e9);
	struct bench_row row = {.name = bench_case_name(c->number),
				.size = size,
				.scale = bb->scale,
				.aead_impl = aead_name(bb->bed->edge.workers[0]->aead)};
	struct bench_measure m = {0}, warm = {0};
	struct bench_row ignored = row;
	const struct worker_counters *counters = worker_counters(bb->bed->edge.workers[0]);
	struct stage_counters before[STAGE_COUNT], stages[STAGE_COUNT] = {0};
	double best;

	bench_progress(b, "%s, %u bytes", row.name, size);
	repetition(bb, c, &ignored, &warm);
	bench_measure_end(&warm, &ignored);
	while (m.n_reps < MIN_REPS || bench_now_ns() < end) {
		if (c->kind == BENCH_KIND_NEW)
			make_room(b, bb);
		best = m.best;
		memcpy(before, counters->stages, sizeof(before));
		repetition(bb, c, &row, &m);
		if (m.n_reps == 1 || m.best < best)
			stages_between(before, counters->stages, stages);
	}
	bench_measure_end(&m, &row);
	row.ratio = bench_parts_ratio(b, &row);
	bench_add(b, &row);
	if (b->options.stages)
		print_stages(stages);
}

/* ---- rx and tx alone ---- */

static void io_repetition(struct bench_bed *bb, struct bench_measure *m)
{
	struct worker *w = bb->bed->edge.workers[0];
	struct rte_mbuf *pkts[BURST_MAX];
	uint64_t sum = 0;
	unsigned n;

	for (unsigned round = 0; round < REP_ROUNDS; round++) {
		bench_fill(bb, 0, BENCH_KIND_UP, 64, BENCH_ROUND);
		for (;;) {
			uint64_t begin = bench_clock(), took;

			n = stage_rx(w, 0, pkts);
			for (unsigned i = 0; i < n; i++)
				tx_append(w, 0, pkts[i]);
			stage_tx(w);
			took = bench_clock() - begin;
			if (n == 0)
				break;
			bench_measure_burst(m, took, n);
			sum += took;
		}
		bench_drain(bb, 0);
	}
	bench_measure_rep(m, sum, 0, (uint64_t)REP_ROUNDS * BENCH_ROUND);
}

static void measure_io(struct bench *b, struct bench_bed *bb)
{
	struct bench_row row = {.name = bench_case_name(BENCH_io), .size = 64, .aead_impl = "none"};
	struct bench_measure m = {0};

	for (unsigned i = 0; i < 3 * MIN_REPS; i++)
		io_repetition(bb, &m);
	bench_measure_end(&m, &row);
	bench_add(b, &row);
}

static void run_scale(struct bench *b, const struct bench_scale *scale, bool first)
{
	bool io = first && b->options.cases[BENCH_io], any = io;
	struct bench_bed *bb;

	for (unsigned i = 0; i < sizeof(data_cases) / sizeof(data_cases[0]); i++)
		any |= b->options.cases[data_cases[i].number];
	if (!any)
		return;
	bb = bench_bed_create(b, scale, 1, EXTRA_FLOWS);
	if (io)
		measure_io(b, bb);
	bench_make_flows(b, bb);
	for (unsigned i = 0; i < sizeof(data_cases) / sizeof(data_cases[0]); i++) {
		const struct data_case *c = &data_cases[i];

		if (!b->options.cases[c->number])
			continue;
		if (c->number == BENCH_blocked)
			bench_set_rules(bb, false);
		for (unsigned s = 0; s < b->options.n_sizes; s++)
			measure(b, bb, c, b->options.sizes[s]);
	}
	bench_bed_destroy(bb);
}

void bench_run_data(struct bench *b)
{
	for (unsigned i = 0; i < b->options.n_scales; i++)
		run_scale(b, &b->options.scales[i], i == 0);
}
