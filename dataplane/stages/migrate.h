/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The verb migrate (decision 16): a peer moves to another worker with its sessions, counters and flows.
 *
 *   handshake thread ── MSG_MIGRATE_OUT ──▶ old owner ── MSG_MIGRATE_IN ──▶ new owner ── EV_MIGRATED ──▶ handshake thread
 *
 * The old owner stops using the peer's sessions before it changes their owner field; the new owner begins after it has
 * taken the message. Nonces go on where they stood, because the session itself, with its counter, is what moves.
 */
#ifndef DATAPLANE_STAGES_MIGRATE_H
#define DATAPLANE_STAGES_MIGRATE_H

#include "dataplane/stages/stage.h"

/* On the old owner: gives sessions and the client's flows to worker msg->migrate.target. */
void migrate_out(struct worker *w, struct message *msg);
/* On the new owner: takes them. */
void migrate_in(struct worker *w, struct message *msg);

/* Session of a receiver index whatever its state; NULL when the index is none of this edge. */
struct session *session_by_index(struct edge *edge, uint32_t index);

#endif
