/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The story of a flow: what the flow log is told of it. The stages call one line each:
 *
 *   decide   story_verdict for each packet, story_decided when tables were asked, story_restarted when a SYN takes a flow's
 *            ports again
 *   worker   story_aged, story_turn, story_stop;  migrate: story_lost
 *
 * All on the worker that owns the flow; no lock, no allocation, no system call. A record that finds the ring full is
 * dropped and counted (flowlog/record.h). Refused packets are told at once, then once a second with their number, for each
 * client, rule and reason (decision 15).
 */
#ifndef DATAPLANE_STAGES_STORY_H
#define DATAPLANE_STAGES_STORY_H

#include "dataplane/drop_reasons.h"
#include "dataplane/flowlog/record.h"
#include "dataplane/stages/stage.h"

/* Makes and frees what worker w needs; false when memory is short. */
bool story_create(struct worker *w);
void story_destroy(struct worker *w);

/* The tables have (again) decided flow f: notes the cards of client, account, vnet, rule (f->rule), tunnel (f->tunnel) and route (index). */
void story_decided(struct worker *w, struct flow_entry *f, uint32_t route);

void story_begin(struct worker *w, struct flow_entry *f);
void story_refuse(struct worker *w, const struct pkt_meta *meta, enum drop_reason reason);

/* What decide says of a packet; DROP_REASON_COUNT: it passes. meta->flow may be NULL when it does not. */
static inline void story_verdict(struct worker *w, const struct pkt_meta *meta, enum drop_reason reason)
{
	if (reason != DROP_REASON_COUNT)
		story_refuse(w, meta, reason);
	else if (__builtin_expect(!(meta->flow->flags & FLOW_FLAG_LOGGED), 0) &&
		 meta->flow->verdict == FLOW_VERDICT_ALLOW)
		story_begin(w, meta->flow);
}

/* The flow ends here and now; it may begin again with its next packet. */
void story_end(struct worker *w, struct flow_entry *f, enum flow_end why);
/* A SYN on a flow that had finished: its story ends; the next begins where that one is allowed. */
void story_restarted(struct worker *w, struct flow_entry *f);
/* The flow was silent for too long and is about to be removed. */
void story_aged(struct worker *w, struct flow_entry *f);
/* The flow found no place in this worker's table. */
void story_lost(struct worker *w, struct flow_entry *f);

/* A slice of what is due by time: flows of clients that are gone end, refusals of the last second are told. */
void story_turn(struct worker *w, uint32_t budget);
/* The worker ends: so do all its flows. Waits for the log, at most two seconds. */
void story_stop(struct worker *w);

#endif
