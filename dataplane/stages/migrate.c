// SPDX-License-Identifier: BSD-3-Clause
// A peer moves from one worker to another.
#include "dataplane/stages/migrate.h"

#include <stdlib.h>

#include "dataplane/stages/hold.h"
#include "dataplane/stages/story.h"
#include "lib/log.h"

#define INBOX_RESERVE 64

static struct session *const *sessions_of(const struct peer *peer, struct session *out[3])
{
	out[0] = peer->current;
	out[1] = peer->next;
	out[2] = peer->previous;
	return out;
}

/* The client's flows leave this worker's table as flat copies. */
static bool export_flows(struct worker *w, uint32_t client, struct message *to)
{
	uint32_t cursor = 0, max = w->edge->config.cap_flows, n = 0, step;
	struct flow_entry *flows = NULL, *grown;
	struct flow_entry part[BURST_MAX];
	bool more = true;

	while (more) {
		step = flow_export_client(w->flows, client, &cursor, max, part, BURST_MAX, &more);
		if (step == 0)
			continue;
		grown = realloc(flows, (size_t)(n + step) * sizeof(*flows));
		if (grown == NULL) { /* the flows of this step end here; they are opened again by their next packets */
			for (uint32_t i = 0; i < step; i++)
				story_lost(w, &part[i]);
			break;
		}
		flows = grown;
		memcpy(flows + n, part, step * sizeof(*flows));
		n += step;
	}
	to->migrate.flows = flows;
	to->migrate.n_flows = n;
	return true;
}

void migrate_out(struct worker *w, struct message *msg)
{
	struct peer *peer = &w->edge->peers[msg->peer];
	const struct peer_record *record = peer_record_get(w->edge->records, msg->peer);
	uint8_t target = msg->migrate.target;
	struct session *sessions[3];
	struct message *in;

	if (target >= w->edge->n_workers || target == w->id || peer->owner != w->id ||
	    rte_ring_free_count(w->edge->workers[target]->inbox) < INBOX_RESERVE) {
		worker_event(w, EV_MIGRATED, msg->peer, NULL, 0); /* it stays; asked again when hand-offs go on */
		return;
	}
	in = message_alloc(w->edge);
	if (in == NULL) {
		worker_event(w, EV_MIGRATED, msg->peer, NULL, 0);
		return;
	}
	in->type = MSG_MIGRATE_IN;
	in->peer = msg->peer;
	in->worker = (uint8_t)w->id;
	if (record != NULL && record->kind == PEER_CLIENT)
		export_flows(w, record->client, in);
	/* From here on this worker hands the peer's packets over; nothing of it is in flight on this core. */
	sessions_of(peer, sessions);
	for (unsigned i = 0; i < 3; i++) {
		if (sessions[i] == NULL)
			continue;
		__atomic_store_n(&sessions[i]->owner, target, __ATOMIC_RELEASE);
		w->sessions_live--;
	}
	__atomic_store_n(&peer->owner, target, __ATOMIC_RELEASE);
	while (!worker_post(w->edge->workers[target], in))
		rte_pause(); /* INBOX_RESERVE places were free: it is not two workers that wait for each other */
}

void migrate_in(struct worker *w, struct message *msg)
{
	struct peer *peer = &w->edge->peers[msg->peer];
	struct session *sessions[3];
	uint32_t lost = 0;

	sessions_of(peer, sessions);
	for (unsigned i = 0; i < 3; i++)
		w->sessions_live += sessions[i] != NULL;
	for (uint32_t i = 0; i < msg->migrate.n_flows; i++) {
		hold_moved(&msg->migrate.flows[i]);
		/* refusals are made anew where the client is now */
		if (msg->migrate.flows[i].verdict == FLOW_VERDICT_BLOCK ||
		    flow_import(w->flows, &msg->migrate.flows[i]) != NULL)
			continue;
		story_lost(w, &msg->migrate.flows[i]);
		lost++;
	}
	free(msg->migrate.flows);
	msg->migrate.flows = NULL;
	peer->path.generation = 0;
	if (lost > 0)
		log_rated(LOG_LEVEL_WARN, "worker %u: flow table full: %u flows of a migrated peer are opened again", w->id,
			  lost);
	worker_event(w, EV_MIGRATED, msg->peer, NULL, 0);
}
