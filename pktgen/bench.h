/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `sluice-pktgen bench`: what a packet costs the edge's own code, in TSC cycles. Each case is one function that adds
 * rows; rows are printed as they come and written as JSON and as a picture at the end. One thread.
 */
#ifndef PKTGEN_BENCH_H
#define PKTGEN_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_MAX_SIZES 16
#define BENCH_MAX_ROWS  256
#define BENCH_BURST     64 /* a saturated worker's: BURST_MAX of dataplane/stages/stage.h */

/* The one list of cases: enum, names, help and functions. CASE(name, text); '_' in a name is '-' to the user. */
#define BENCH_CASES(CASE)                                                                   \
	CASE(handshake, "responder handshakes, and packets that only pretend, beside the curve alone")\
	CASE(io, "rx and tx alone: the floor of the in-memory port")                        \
	CASE(plain_aead, "the AEAD alone, each implementation, 32 keys")                    \
	CASE(lookup, "routes beside rte_fib and rte_lpm, flows beside rte_hash")            \
	CASE(policy, "decisions on new flows at 10, 1000 and 4096 rules, beside rte_acl")   \
	CASE(up, "client to connector: decrypt, decide, encrypt")                           \
	CASE(down, "connector to client")                                                   \
	CASE(newflow, "client to connector, each packet a new flow")                        \
	CASE(blocked, "client to a destination that policy blocks")                         \
	CASE(scale, "one worker, and two at once on two cores")

enum bench_case {
#define CASE(name, text) BENCH_##name,
	BENCH_CASES(CASE)
#undef CASE
	BENCH_CASE_COUNT
};

/* Mixed sizes: seven of 64 bytes, four of 594 and one of 1,420, by their number in the sequence. */
#define BENCH_IMIX	1
#define BENCH_IMIX_PARTS 12

/* How big the edge is; `rules` and `tenants` of account 0 and of all. */
struct bench_scale {
	unsigned clients, flows, routes, rules, tenants;
};

struct bench_options {
	bool cases[BENCH_CASE_COUNT];
	unsigned n_sizes, sizes[BENCH_MAX_SIZES]; /* bytes of the inner IP packet, or BENCH_IMIX */
	unsigned n_scales;
	struct bench_scale scales[2];
	bool quick, stages;
	bool rules_given; /* `policy` takes that number alone */
	int core; /* the process runs there; −1: where it happens to be */
	int second_core; /* another one it may use; −1: there is none */
	const char *json, *svg;
};

/* One line of the result. Cycles are TSC cycles a packet (an operation, where the case has no packets). */
struct bench_row {
	const char *name;
	unsigned size;
	struct bench_scale scale;
	uint64_t packets; /* measured */
	double total;     /* of the best repetition */
	double median;    /* over repetitions */
	double aead, rest; /* of `total` */
	double p50, p99;  /* over bursts */
	uint64_t lost, verified;
	double ratio; /* mixed sizes: to the sum of the parts; `scale`: to one worker. 0: none */
	unsigned workers; /* 0: one */
	const char *aead_impl; /* or what was measured instead */
};

struct bench {
	struct bench_options options;
	double tsc_hz, core_hz;
	char cpu[64];
	uint64_t began_ns;
	unsigned n_rows;
	struct bench_row rows[BENCH_MAX_ROWS];
};

/* `sluice-pktgen bench …`: the exit status. */
int bench_main(int argc, char **argv);
/* 0, or the exit status with a message printed (`help`: 0 and *done). */
int bench_read_options(int argc, char **argv, struct bench_options *o, bool *done);
const char *bench_case_name(enum bench_case c);
/* Seconds that one measurement may take. */
double bench_seconds(const struct bench *b);

/* ---- results ---- */

/* Bytes of packet number `sequence` of a size or mix; the mean of the mix. */
unsigned bench_size_of(unsigned size, uint32_t sequence);
double bench_mean_size(unsigned size);
/*
 * A row of mixed sizes over the parts' rows of the same case that were added before: its cycles by the mean of theirs. 0 where they
 * are missing.
 */
double bench_parts_ratio(const struct bench *b, const struct bench_row *row);
/* Copies the row, prints it. */
void bench_add(struct bench *b, const struct bench_row *row);
void bench_print_head(const struct bench *b);
/* A note about what is being prepared, on stderr when that is a terminal. */
void bench_progress(const struct bench *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* 0, or negative errno with a message printed. */
int bench_write_json(const struct bench *b, const char *path);
/* Draws with gnuplot; false with a message when that is not there or fails. */
bool bench_write_svg(const struct bench *b, const char *path);

/* ---- measuring ---- */

/* Repetitions and bursts of one measurement; grows on the heap. Zeroed is empty. */
struct bench_measure {
	double *reps, *bursts; /* cycles a packet */
	size_t n_reps, max_reps, n_bursts, max_bursts;
	double best, best_aead; /* of the repetition with the fewest cycles */
	uint64_t packets;
};

void bench_measure_burst(struct bench_measure *m, uint64_t cycles, unsigned packets);
/* A repetition is over: its cycles, those of the AEAD in them, its packets. */
void bench_measure_rep(struct bench_measure *m, uint64_t cycles, uint64_t aead_cycles, uint64_t packets);
/* Fills the numbers of a row and forgets the measurement. */
void bench_measure_end(struct bench_measure *m, struct bench_row *row);

/* TSC, after all before it and before all after it. */
uint64_t bench_clock(void);
/* Monotonic ns. */
uint64_t bench_now_ns(void);
/* The core's own frequency as of now, by a chain of instructions of known latency, from the TSC's. */
double bench_core_hz(double tsc_hz);
uint64_t bench_random(uint64_t *state);

/* ---- cases: each adds its rows ---- */
void bench_run_data(struct bench *b); /* up, down, newflow, blocked, io */
void bench_run_aead(struct bench *b);
void bench_run_handshake(struct bench *b);
void bench_run_workers(struct bench *b); /* scale */
void bench_run_lookup(struct bench *b);
void bench_run_policy(struct bench *b);

#endif
