/* SPDX-License-Identifier: BSD-3-Clause */
/* Decision 14: for so long after start a mid-stream packet may bring its flow back. */
#ifndef DATAPLANE_STAGES_DECIDE_H
#define DATAPLANE_STAGES_DECIDE_H

#include "dataplane/stages/inner.h"
#include "dataplane/stages/stage.h"

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

#endif
