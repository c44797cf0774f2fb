/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that new flows of a burst will want, fetched for all of them at once. */
#ifndef DATAPLANE_STAGES_AHEAD_H
#define DATAPLANE_STAGES_AHEAD_H

#include "dataplane/stages/stage.h"

/*
 * Touches clients, device addresses and routes of the packets that have no flow, so that their cache misses overlap. Changes
 * nothing; a burst with few such packets is left alone.
 */
void ahead_of_decisions(struct worker *w, struct rte_mbuf *const *pkts, unsigned n);

#endif
