// SPDX-License-Identifier: BSD-3-Clause
// Stage encrypt: the out list gets the session of the peer it goes to, WireGuard header and padding, and is encrypted as
// one burst (paper, 5.4.6). A packet for a peer that another worker owns crosses to it by ring, still in the clear.
#include "dataplane/stages/stage.h"

#include <rte_cycles.h>

#include "dataplane/stages/inner.h"
#include "dataplane/stages/look.h"
#include "lib/wg/wire.h"

/* A handshake is asked for at most this often for a peer; the handshake thread has its own limits. */
#define ASK_PERIOD_NS 1000000000ull

static void ask_for_handshake(struct worker *w, struct peer *peer, uint32_t index)
{
	if (peer->handshake_asked_ns != 0 && w->now_ns - peer->handshake_asked_ns < ASK_PERIOD_NS)
		return;
	peer->handshake_asked_ns = w->now_ns;
	worker_event(w, EV_NEED_HANDSHAKE, index, NULL, 0);
}

/* The session to send with, or NULL with the reason. */
static struct session *session_for(struct worker *w, uint32_t index, enum drop_reason *reason)
{
	const struct peer_record *record = peer_record_get(w->edge->records, index);
	struct peer *peer = &w->edge->peers[index];
	struct session *s = peer->current;

	*reason = DROP_peer_disabled;
	if (record == NULL || !record->enabled)
		return NULL;
	*reason = DROP_no_session;
	if (s == NULL) {
		ask_for_handshake(w, peer, index);
		return NULL;
	}
	*reason = DROP_tx_session_expired;
	if (w->now_ns - s->born_ns >= WG_REJECT_AFTER_TIME_NS || s->tx_counter >= WG_REJECT_AFTER_MESSAGES) {
		ask_for_handshake(w, peer, index);
		return NULL;
	}
	*reason = DROP_no_endpoint;
	return peer->endpoint.family == 0 ? NULL : s;
}

/* Pads, prepends the header, appends room for the tag, fills op. False: no room in the buffer. */
static bool frame(struct rte_mbuf *m, struct session *s, unsigned mtu, struct aead_op *op)
{
	unsigned inner = m->data_len, padded = wg_padded_len(inner, mtu);
	uint8_t *tail, *header;

	tail = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(padded - inner + WG_TAG_BYTES));
	header = tail == NULL ? NULL : (uint8_t *)rte_pktmbuf_prepend(m, WG_DATA_HEADER_BYTES);
	if (header == NULL)
		return false;
	memset(tail, 0, WG_TAG_BYTES); /* the padding is shorter, and the tag comes later: a store, no loop */
	op->key = s->tx_key;
	op->counter = s->tx_counter++;
	op->data = header + WG_DATA_HEADER_BYTES;
	op->len = padded;
	wg_data_header(header, s->remote_index, op->counter);
	return true;
}

unsigned stage_encrypt(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	struct aead_op ops[BURST_MAX];
	unsigned kept = 0;
	uint64_t begin;

	for (unsigned i = 0; i < n; i++) {
		const struct peer *peer = &w->edge->peers[pkt_meta(pkts[i])->out_peer];
		struct session *s = __atomic_load_n(&peer->owner, __ATOMIC_RELAXED) == w->id ? peer->current : NULL;

		if (s == NULL)
			continue;
		__builtin_prefetch(s);
		__builtin_prefetch(&s->tx_counter, 1);
	}
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct pkt_meta *meta = pkt_meta(m);
		struct peer *peer = &w->edge->peers[meta->out_peer];
		uint8_t owner = __atomic_load_n(&peer->owner, __ATOMIC_RELAXED);
		unsigned inner = m->data_len;
		enum drop_reason reason;
		struct session *s;

		if (owner != w->id && owner != PEER_UNOWNED) {
			worker_handoff(w, owner, w->edge->workers[owner]->in_encrypt, m);
			continue;
		}
		s = session_for(w, meta->out_peer, &reason);
		if (s == NULL) {
			worker_drop(w, m, reason);
			continue;
		}
		/* outer ECN = inner ECN (RFC 6040, normal mode) */
		meta->ecn = inner == 0 ? 0 : inner_ecn(rte_pktmbuf_mtod(m, const uint8_t *), meta->inner_family);
		if (!frame(m, s, peer_record_get(w->edge->records, meta->out_peer)->mtu, &ops[kept])) {
			worker_drop(w, m, DROP_no_mbuf);
			continue;
		}
		wg_stamps_tx(&peer->stamps, inner != 0, w->now_ns);
		peer->tx_packets++;
		peer->tx_bytes += inner;
		pkts[kept++] = m;
	}
	if (__builtin_expect(w->tap != NULL, 0))
		look_sent(w, pkts, kept);
	begin = rte_rdtsc();
	aead_seal_burst(w->aead, ops, kept);
	w->counters.aead_cycles += rte_rdtsc() - begin;
	return kept;
}
