/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker's side of the counters per rule, route, client and account's default (flowlog/hits.h). On the flow's worker. */
#ifndef DATAPLANE_STAGES_HITS_H
#define DATAPLANE_STAGES_HITS_H

#include "dataplane/stages/stage.h"

/* Brings the counters up to what the flow has now: before it is decided again, and when it ends. */
void hits_fold(struct worker *w, struct flow_entry *f);
/* From now on the flow's packets are those of f->rule and of this route. After hits_fold. */
void hits_decided(struct worker *w, struct flow_entry *f, uint32_t route);
/* The flow begins, allowed. */
void hits_began(struct worker *w, struct flow_entry *f);
/* A packet of a client was refused; by meta->rule if it was policy. */
void hits_refused(struct worker *w, const struct pkt_meta *meta, bool policy);
/* Folds the flows of up to `budget` slots from *cursor on; false when all slots were seen. */
bool hits_fold_slice(struct worker *w, uint32_t *cursor, uint32_t budget);

#endif
