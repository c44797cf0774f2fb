// SPDX-License-Identifier: BSD-3-Clause
// Stage session: receiver index → session. What another worker owns crosses to it by ring, still encrypted.
#include "dataplane/stages/stage.h"

#include "dataplane/tables/peer_index.h"
#include "lib/wg/wire.h"

/* Unknown indexes are told to the handshake thread at most this often: a known peer may be back after our restart. */
#define UNKNOWN_EVENT_PERIOD_NS 1000000ull
#define UNKNOWN_EVENT_BURST     64

static struct session *find(const struct edge *edge, uint32_t index)
{
	uint32_t worker, slot;

	if (!peer_index_decode(edge->index, index, &worker, &slot))
		return NULL;
	return &edge->sessions[(size_t)worker * edge->config.cap_sessions + slot];
}

static void unknown(struct worker *w, struct rte_mbuf *m)
{
	if (gcra_allow(&w->unknown_index_tat_ns, w->now_ns, UNKNOWN_EVENT_PERIOD_NS, UNKNOWN_EVENT_BURST))
		worker_event(w, EV_UNKNOWN_INDEX, RECORD_NONE, &pkt_meta(m)->source, 0);
	worker_drop(w, m, DROP_session_unknown);
}

/* The reason against using session s for this packet, or DROP_REASON_COUNT. */
static enum drop_reason refuse(const struct worker *w, const struct session *s, const struct pkt_meta *meta)
{
	const struct peer_record *record = peer_record_get(w->edge->records, s->peer);

	if (record == NULL || !record->enabled)
		return DROP_peer_disabled;
	if (w->now_ns - s->born_ns >= WG_REJECT_AFTER_TIME_NS || meta->counter >= WG_REJECT_AFTER_MESSAGES)
		return DROP_session_expired;
	return DROP_REASON_COUNT;
}

/* Sessions of all packets, on their way into the cache with all that the next stages need of them and their peers. */
static void fetch(const struct edge *edge, struct rte_mbuf **pkts, unsigned n, struct session *sessions[BURST_MAX])
{
	const struct records *records = edge->records;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *message = rte_pktmbuf_mtod(pkts[i], const uint8_t *);
		struct session *s = find(edge, wg_data_receiver(message));

		sessions[i] = s;
		if (s == NULL)
			continue;
		__builtin_prefetch(s, 1);
		__builtin_prefetch(&s->replay.bits[wg_data_counter(message) / 64 % (WG_REPLAY_WINDOW / 64)], 1);
	}
	for (unsigned i = 0; i < n; i++) {
		uint32_t peer = sessions[i] == NULL ? RECORD_NONE : sessions[i]->peer;

		if (peer >= edge->config.cap_peers || peer >= records->max_peers)
			continue;
		__builtin_prefetch(&records->peers[peer]);
		__builtin_prefetch(&edge->peers[peer], 1);
		__builtin_prefetch(&edge->peers[peer].stamps, 1);
	}
	for (unsigned i = 0; i < n; i++)
		if (sessions[i] != NULL)
			__builtin_prefetch(peer_record_get(records, sessions[i]->peer));
}

unsigned stage_session(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	struct edge *edge = w->edge;
	struct session *sessions[BURST_MAX];
	unsigned kept = 0;

	fetch(edge, pkts, n, sessions);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *message = rte_pktmbuf_mtod(pkts[i], const uint8_t *);
		struct pkt_meta *meta = pkt_meta(pkts[i]);
		struct session *s = sessions[i];
		enum drop_reason reason;
		uint8_t owner;

		if (s == NULL || s->state != SESSION_LIVE || s->local_index != wg_data_receiver(message)) {
			unknown(w, pkts[i]);
			continue;
		}
		owner = __atomic_load_n(&s->owner, __ATOMIC_RELAXED);
		if (owner != w->id) {
			meta->flags |= PKT_HANDED_OFF;
			meta->arrival = (uint8_t)w->id;
			worker_handoff(w, owner, edge->workers[owner]->in_session, pkts[i]);
			continue;
		}
		meta->session = s;
		meta->peer = s->peer;
		meta->counter = wg_data_counter(message);
		reason = refuse(w, s, meta);
		if (reason != DROP_REASON_COUNT) {
			worker_drop(w, pkts[i], reason);
			continue;
		}
		pkts[kept++] = pkts[i];
	}
	return kept;
}
