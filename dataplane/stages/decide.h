/* SPDX-License-Identifier: BSD-3-Clause */
/* What other stages need of the decision of flows. */
#ifndef DATAPLANE_STAGES_DECIDE_H
#define DATAPLANE_STAGES_DECIDE_H

#include "dataplane/stages/inner.h"
#include "dataplane/stages/stage.h"
#include "dataplane/stages/verdict.h"

/* Decision 14: for so long after start a mid-stream packet may bring its flow back. */
#define RECREATE_WINDOW_NS (120ull * 1000 * 1000 * 1000)

static inline bool decide_in_recreate_window(const struct worker *w)
{
	return w->now_ns - w->edge->started_ns < RECREATE_WINDOW_NS;
}

/* Only TCP shows that it is. */
static inline bool decide_is_mid_stream(const struct pkt_meta *meta)
{
	return meta->key.proto == INNER_TCP && !(meta->tcp_flags & FLOW_TCP_FLAG_SYN);
}

/* Writes a verdict into a flow: it may pass, or (d->pending) may until a name is seen; what is held of it goes on. */
void decide_allow(struct worker *w, struct flow_entry *f, const struct decision *d);
/* It may not, for `reason`. Kept for a moment, so that its next packets need no decision. */
void decide_block(struct worker *w, struct flow_entry *f, const struct decision *d, enum drop_reason reason);

#endif
