/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flows that a name could still decide (decision 9): their verdict is FLOW_VERDICT_PENDING. What carries no payload passes,
 * so that a TCP handshake comes about; payload is held here, in order, until inspection of the opener's first bytes gives
 * the verdict, a limit is reached or the time is over. Then all of it goes on, or none and both sides are reset.
 *
 * Objects of fixed number, made at start; a flow takes one with its first payload and gives it back with its verdict. Questions
 * of DNS over UDP are decided one by one, so such a flow stays pending. All on the worker that owns the flow.
 */
#ifndef DATAPLANE_STAGES_HOLD_H
#define DATAPLANE_STAGES_HOLD_H

#include "dataplane/inspect/names.h"
#include "dataplane/stages/refuse.h"
#include "dataplane/stages/stage.h"

#define HOLD_FLOWS        256  /* of a worker, inspected at the same time */
#define HOLD_CLIENT_SHARE 64   /* of those, of one client */
#define HOLD_PACKETS      32   /* of one flow */
#define HOLD_KEPT_MAX     16384 /* flows of a worker whose names are remembered */

/* Allocates w->hold; false: no memory. */
bool hold_create(struct worker *w);
/* Frees it with what it holds. */
void hold_destroy(struct worker *w);

enum hold_outcome {
	HOLD_PASS,   /* the packet goes on */
	HOLD_TAKEN,  /* it is held, went to what hold_take gives, or was dropped with the others */
	HOLD_REFUSED /* drop and answer it as *why says; the flow goes on */
};

/* A packet of a pending flow, which it may decide. */
enum hold_outcome hold_packet(struct worker *w, struct rte_mbuf *m, struct denial *why);

/* Packets of flows that were allowed, in order, at most BURST_MAX; to be decided again (their flow may be gone). */
unsigned hold_take(struct worker *w, struct rte_mbuf **pkts);

/* Decides a few of the flows whose time is over; how many. */
unsigned hold_turn(struct worker *w);

/*
 * The flow has a verdict by other means than hold_packet, ends, or leaves this worker: what is held of it goes on (allowed) or
 * is dropped with the reason. Names that were learned stay with an allowed flow.
 */
void hold_release(struct worker *w, struct flow_entry *f);
void hold_drop(struct worker *w, struct flow_entry *f, enum drop_reason reason);
/* Forgets everything about the flow: it is removed, or its ports begin anew. The entry itself is not written. */
void hold_forget(struct worker *w, const struct flow_entry *f);

/* The entry came from another worker, where it was forgotten. */
void hold_moved(struct flow_entry *f);

/*
 * What is known of the flow's names, in *out; NULL: nothing was inspected. Texts stay until the flow's next packet. Of a
 * pending UDP flow it is what the last datagram said; the next one has its own say.
 */
const struct names *hold_names(const struct worker *w, const struct flow_entry *f, struct names *out);

/* A running TCP flow came to depend on names, after its first bytes: counts it, and gives the names it is decided by. */
const struct names *hold_too_late(struct worker *w);

#endif
