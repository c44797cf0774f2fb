// SPDX-License-Identifier: BSD-3-Clause
// Stage replay: the replay window, and all that an authentic packet changes: stamps, counters, endpoint (roaming), the
// first packet of a session we answered. Keepalives end here.
#include "dataplane/stages/stage.h"

#include "dataplane/handshake.h"

/* Hand-offs of a peer after which it is considered whether it should move. */
#define HANDOFFS_PER_EVENT 4096

/* Paper, 6.3 and 5.4.6: the responder's new keypair becomes current with the first data it brings. */
static void confirm(struct worker *w, struct peer *peer, struct session *s)
{
	s->confirmed = true;
	if (peer->next != s)
		return;
	if (peer->previous != NULL)
		worker_free_session(w, peer->previous);
	peer->previous = peer->current;
	peer->current = s;
	peer->next = NULL;
	worker_event(w, EV_CONFIRMED, s->peer, NULL, s->local_index);
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	uint64_t x[5], y[5];

	static_assert(sizeof(x) == sizeof(*a), "all of it is compared");
	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

static void roam(struct worker *w, struct peer *peer, const struct pkt_meta *meta)
{
	if (same_endpoint(&peer->endpoint, &meta->source))
		return;
	peer->endpoint = meta->source;
	peer->path.generation = 0;
	peer->path_mtu = 0;
	worker_event(w, EV_ENDPOINT, meta->peer, &meta->source, 0);
}

/*
 * An authentic packet came by another worker. When most of the last HANDOFFS_PER_EVENT did, the peer should live there
 * (decision 16).
 */
static void note_handoff(struct worker *w, struct peer *peer, const struct pkt_meta *meta)
{
	struct message *msg;

	peer->handoffs++;
	if (peer->handoffs - peer->handoffs_mark < HANDOFFS_PER_EVENT)
		return;
	if (peer->rx_packets - peer->rx_mark < HANDOFFS_PER_EVENT + HANDOFFS_PER_EVENT / 4) {
		msg = message_alloc(w->edge);
		if (msg != NULL) {
			msg->type = EV_HANDOFFS;
			msg->peer = meta->peer;
			msg->worker = meta->arrival;
			if (!handshake_post(w->edge->handshake, msg))
				message_free(w->edge, msg);
		}
	}
	peer->handoffs_mark = peer->handoffs;
	peer->rx_mark = peer->rx_packets;
}

unsigned stage_replay(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct pkt_meta *meta = pkt_meta(m);
		struct session *s = meta->session;
		struct peer *peer = &w->edge->peers[meta->peer];

		if (!wg_replay_accept(&s->replay, meta->counter)) {
			worker_drop(w, m, DROP_replayed);
			continue;
		}
		if (!s->confirmed)
			confirm(w, peer, s);
		roam(w, peer, meta);
		peer->rx_packets++;
		peer->rx_bytes += m->data_len;
		if (meta->flags & PKT_HANDED_OFF) {
			meta->flags &= (uint8_t)~PKT_HANDED_OFF;
			note_handoff(w, peer, meta);
		}
		wg_stamps_rx(&peer->stamps, m->data_len != 0, w->now_ns);
		meta->session = NULL;
		if (m->data_len == 0) {
			worker_consume(w, m);
			continue;
		}
		pkts[kept++] = m;
	}
	return kept;
}
