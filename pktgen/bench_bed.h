/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An edge for the bench: the testbed's, with a port of arrays that stamps each turn of the worker's loop, and packets of
 * its clients and connectors.
 *
 *   client i, on worker i % workers ── flow f: client f % clients, a random destination in 10/8 ──▶ tunnel 1
 */
#ifndef PKTGEN_BENCH_BED_H
#define PKTGEN_BENCH_BED_H

#include "dataplane/ports/port.h"
#include "dataplane/testbed/testbed.h"
#include "pktgen/bench.h"

#define BENCH_ROUND  256 /* packets between two stops of the clock; they lie in L2, where the kernel's copy leaves them, or L3 */
#define BENCH_TUNNEL 1    /* where 10/8 leads */

struct bench_queue {
	unsigned n_in, next, n_out;
	bool empty; /* the worker asked for packets and there were none */
	unsigned n_turns;
	struct rte_mbuf *in[BENCH_ROUND], *out[BENCH_ROUND];
	uint64_t turns[BENCH_ROUND + 2]; /* TSC when the worker asked for packets */
} __attribute__((aligned(64)));

struct bench_port {
	struct port port;
	struct bench_queue queues[EDGE_MAX_WORKERS];
};

struct bench_bed {
	struct testbed *bed;
	struct bench_port *port;
	struct port *own_port; /* the testbed's */
	struct bench_scale scale;
	unsigned workers;
	struct aead *sealer; /* another implementation than the worker's, where there is one */
	uint64_t seed;
	uint32_t sequence;
	uint32_t next_flow; /* for packets that begin a flow: numbers from scale.flows on */
	void *qsbr;
	void *rule_names; /* the policy refers to them */
};

/* What a packet is to be. */
enum bench_kind { BENCH_KIND_UP, BENCH_KIND_DOWN, BENCH_KIND_NEW };

/* Aborts with a message where memory is short. `extra_flows`: room beside scale.flows. */
struct bench_bed *bench_bed_create(const struct bench *b, const struct bench_scale *scale, unsigned workers, unsigned extra_flows);
/* DPDK's memory alone, for a case without an edge. */
void bench_start_dpdk(const struct bench *b);
void bench_bed_destroy(struct bench_bed *bb);

/* Makes n ≤ BENCH_ROUND sealed packets of `size` inner bytes and puts them into a worker's queue. */
void bench_fill(struct bench_bed *bb, unsigned worker, enum bench_kind kind, unsigned size, unsigned n);
/* Runs the worker's own loop in this thread until its queue is empty. */
void bench_run_worker(struct bench_bed *bb, unsigned worker);
/* Frees what came out of a queue; both arrays are empty then. */
void bench_drain(struct bench_bed *bb, unsigned worker);
/* Sends a packet of each flow, so that all are there. */
void bench_make_flows(const struct bench *b, struct bench_bed *bb);
/* Ends all flows numbered from scale.flows on. */
void bench_forget_new_flows(struct bench_bed *bb, unsigned worker);
/* Opens frame i that a worker sent with libsodium: true when all of it is as it must be. */
bool bench_verify(struct bench_bed *bb, unsigned worker, unsigned i, unsigned size);
/* Gives the clients' account scale.rules rules, none of which matches, and a default action; all flows decide again. */
void bench_set_rules(struct bench_bed *bb, bool default_allow);

#endif
