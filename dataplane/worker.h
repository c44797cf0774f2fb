/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: one core, one rx queue of each port, its own sessions and flows. What other threads may call or read.
 * The stages' own view is dataplane/stages/stage.h.
 */
#ifndef DATAPLANE_WORKER_H
#define DATAPLANE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/edge.h"
#include "dataplane/inspect/ends.h"
#include "dataplane/messages.h"

/* One list of stages feeds the enum, `show stages` and the docs. STAGE(name, text) */
#define WORKER_STAGES(STAGE)                                                                                \
	STAGE(rx, "take a burst from the ports")                                                            \
	STAGE(classify, "outer headers, listen address, message type")                                      \
	STAGE(session, "receiver index to session; hand off what another worker owns")                      \
	STAGE(decrypt, "ChaCha20-Poly1305 over the burst")                                                  \
	STAGE(replay, "replay window, endpoint, keepalive")                                                 \
	STAGE(inner_check, "inner header, anti-spoof, martians, ECN")                                       \
	STAGE(flow, "flow by the client's tuple, both directions")                                          \
	STAGE(decide, "new flow: route, verdict, connector")                                                \
	STAGE(act, "TTL, MTU, ICMP errors")                                                                 \
	STAGE(encrypt, "session of the other side; ChaCha20-Poly1305 over the burst")                       \
	STAGE(outer, "outer headers")                                                                       \
	STAGE(tx, "hand the burst to the ports")

enum worker_stage {
#define STAGE(name, text) STAGE_##name,
	WORKER_STAGES(STAGE)
#undef STAGE
	STAGE_COUNT
};

const char *worker_stage_name(unsigned stage);
const char *worker_stage_text(unsigned stage);

struct stage_counters {
	uint64_t calls, packets, cycles; /* TSC cycles */
};

/*
 * Counters of a worker. One writer, the worker; anyone may read single fields (plain aligned loads, each exact, not a
 * consistent cut). rx = sent + kernel + consumed + drops holds over all workers at rest (decision 28).
 */
struct worker_counters {
	uint64_t rx_packets, rx_bytes; /* from the ports, outer bytes of Ethernet frames */
	uint64_t tx_packets, tx_bytes; /* taken by the ports, originated ones included */
	uint64_t originated, originated_dropped;
	uint64_t kernel;   /* handed to the kernel (exception path of non-AF_XDP ports) */
	uint64_t consumed; /* handshakes, keepalives, control datagrams, echo requests to the edge */
	uint64_t drops[DROP_REASON_COUNT];
	uint64_t handoff_in, handoff_out; /* packets that crossed by ring */
	uint64_t flows_created, flows_ended;
	uint64_t inspect_started, inspect_active; /* flows whose payload is or was looked at; those of now */
	uint64_t inspect_ends[INSPECT_END_COUNT]; /* how it ended; more than were started: some need no inspector */
	struct stage_counters stages[STAGE_COUNT];
	uint64_t loops, busy_cycles, sleeps;
	uint64_t aead_cycles; /* of decrypt and encrypt, what the AEAD itself took */
	/* longest turn of the loop, in ns of thread CPU time; and of wall time of turns that were preempted */
	uint64_t max_turn_cpu_ns, max_turn_wall_ns, preempted_turns;
};

/* Prepares worker `id`: tables, rings, AEAD context. NULL with a log line naming what failed. Main thread. */
struct worker *worker_create(struct edge *edge, unsigned id);
/* Frees what worker_create made, mbufs in its rings included. After the worker ended. */
void worker_destroy(struct worker *worker);
/* The lcore function (rte_eal_remote_launch); returns when edge->stop is set. */
int worker_run(void *worker);

const struct worker_counters *worker_counters(const struct worker *worker);
/* Live counts for display. */
uint32_t worker_flow_count(const struct worker *worker);
uint32_t worker_session_count(const struct worker *worker);
/* Resets max_turn_*; for measurements. Any thread (takes effect at the worker's next turn). */
void worker_reset_turns(struct worker *worker);

/*
 * Puts a message into the worker's inbox and wakes it. False when the inbox is full; the message stays the caller's.
 * Any thread.
 */
bool worker_post(struct worker *worker, struct message *message);

/* A zeroed message, or NULL when the pool is empty. Any thread. */
struct message *message_alloc(struct edge *edge);
/* Wipes and returns it; frees message->mbuf when set. Any thread. */
void message_free(struct edge *edge, struct message *message);

/*
 * `show flows`: a request that the worker fills from its own table, at most FLOW_DUMP_MAX a call.
 * The caller allocates it, posts MSG_DUMP_FLOWS, and polls `done`.
 */
#define FLOW_DUMP_MAX 64

struct flow_info {
	uint8_t family, proto, verdict, tcp_state;
	uint8_t client_addr[16], remote_addr[16];
	uint16_t client_port, remote_port; /* host order; ICMP: identifier, 0 */
	uint32_t client, tunnel, connector, session_peer, rule;
	uint64_t revision;
	uint64_t packets_up, bytes_up, packets_down, bytes_down;
	uint64_t age_ns, idle_ns;
};

struct flow_dump {
	uint32_t cursor; /* in: 0 to begin; out: where to go on, UINT32_MAX at the end */
	uint32_t client; /* only this client's, or RECORD_NONE */
	uint32_t n;
	struct flow_info flows[FLOW_DUMP_MAX];
	_Atomic bool done;
};

/* `show hits`: the same way, with MSG_FOLD_HITS. */
struct hits_fold {
	uint32_t cursor; /* in: 0 to begin; out: where to go on, UINT32_MAX at the end */
	_Atomic bool done;
};

#endif
