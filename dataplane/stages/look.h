/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where workers show packets to a tap (tap/tap.h). Each call stands behind a test of w->tap, which is set for a whole turn:
 *
 *   rx        look_received: keeps the frames as they came        act → encrypt   look_sent: whole inner packets
 *   decide    look_decided: notes the rule                        tx              look_frames: whole frames
 *   anywhere  look_left: dropped, consumed, handed to another worker
 */
#ifndef DATAPLANE_STAGES_LOOK_H
#define DATAPLANE_STAGES_LOOK_H

#include "dataplane/stages/stage.h"
#include "dataplane/tap/tap.h"

void look_received(struct worker *w, struct rte_mbuf **pkts, unsigned n);
/* Frames of the burst that nobody has told of went to the handshake thread. */
void look_received_end(struct worker *w);
/* Packets that other workers handed over: their frames have been told. */
void look_taken(struct rte_mbuf **pkts, unsigned n);
void look_decided(struct rte_mbuf **pkts, unsigned n);
void look_left(struct worker *w, const struct rte_mbuf *m, enum tap_outcome outcome, enum drop_reason reason);
/* Padded, with WireGuard's header before them, not encrypted yet. */
void look_sent(struct worker *w, struct rte_mbuf **pkts, unsigned n);
void look_frames(struct worker *w, struct rte_mbuf **pkts, unsigned n);

#endif
