/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of a flow whose connector is gone (decision 32). Datagrams and connections that the private network routes
 * (preserve-source) move to another connector with their next packet. A connection that lived in its connector is lost: the
 * client is told by a reset, at once, also where it only waits for data.
 */
#ifndef DATAPLANE_STAGES_FAILOVER_H
#define DATAPLANE_STAGES_FAILOVER_H

#include "dataplane/stages/stage.h"

/* Whether the session that carries the flow is still up. */
bool failover_session_usable(const struct worker *w, const struct flow_entry *f);

/* The flow goes over this session (or RECORD_NONE) from now on; notes whether it could move on from there. */
void failover_carry(struct worker *w, struct flow_entry *f, uint32_t session);

/* Another session of the flow's connector where that lives and only the session is gone; RECORD_NONE otherwise. */
uint32_t failover_sibling(const struct worker *w, const struct flow_entry *f);

/* Whether the flow, whose session is not usable, has ended with it: then it is marked so, and its packets are answered by resets. */
bool failover_ends(const struct worker *w, struct flow_entry *f);

/*
 * Looks for connections that have ended so since a connector was lost (edge->losses), a part of the table in each turn, and
 * asks their clients for an acknowledgment: an empty segment outside of the window (RFC 9293 3.10.7.4), since no sequence
 * numbers are kept. The answer is met by an exact reset. Returns how many were asked.
 */
unsigned failover_turn(struct worker *w);

#endif
