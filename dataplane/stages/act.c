// SPDX-License-Identifier: BSD-3-Clause
// Stage act: an allowed packet is counted in its flow, loses one hop, is fitted to the other leg's MTU, and goes to the
// out list for the peer on the other side. Errors go back to the inner sender.
#include "dataplane/stages/stage.h"

#include "dataplane/peers.h"
#include "dataplane/stages/fragments.h"
#include "dataplane/stages/icmp_error.h"
#include "dataplane/stages/inner.h"
#include "lib/wg/wire.h"

#define NS_PER_TICK (1000000000ull / FLOW_TICKS_PER_S)

static void account_packet(struct worker *w, const struct rte_mbuf *m)
{
	const struct pkt_meta *meta = pkt_meta_const(m);
	struct flow_entry *f = meta->flow;
	bool up = meta->direction == PKT_UP, alive = true;

	if (f->key.proto == INNER_TCP && !(meta->flags & (PKT_LATER_FRAGMENT | PKT_ICMP_ERROR))) {
		struct flow_tcp_step step = flow_tcp_next(f->tcp_state, meta->tcp_flags, up);

		/* out of state: it passes, for endpoints answer such segments (RFC 5961), but keeps nothing alive */
		alive = step.fits;
		f->tcp_state = step.state;
	}
	if (alive)
		f->last_seen = (uint32_t)(w->now_ns / NS_PER_TICK);
	if (up) {
		f->packets_up++;
		f->bytes_up += m->data_len;
	} else {
		f->packets_down++;
		f->bytes_down += m->data_len;
	}
	f->timeout_class = (uint8_t)flow_class_of(f->key.proto, f->tcp_state);
}

/* Peer on the other side, or RECORD_NONE. */
static uint32_t other_side(const struct worker *w, const struct pkt_meta *meta)
{
	const struct client_record *client;

	if (meta->direction == PKT_UP)
		return meta->flow->session;
	client = client_get(w->edge->records, meta->flow->key.client);
	return client == NULL ? RECORD_NONE : peers_of_client(w->edge, client);
}

/* Inner MTU of the leg to a peer: what was configured, and what the path to its endpoint carries (R17). */
static unsigned leg_mtu(const struct worker *w, const struct peer_record *record)
{
	const struct peer *peer = &w->edge->peers[record->index];
	unsigned overhead = peer->endpoint.family == 6 ? 80 : 60;
	unsigned mtu = record->mtu, path = peer->path_mtu;

	if (peer->path.generation != 0 && peer->path.status == 0 && (path == 0 || peer->path.mtu < path))
		path = peer->path.mtu;
	if (path > overhead && path - overhead < mtu)
		mtu = path - overhead;
	return mtu;
}

/* True: fits now. False: m was dropped. */
static bool fit(struct worker *w, struct rte_mbuf *m, unsigned mtu)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	bool may_fragment = pkt_meta(m)->inner_family == 4 && !(p[6] & 0x40);

	if (m->data_len <= mtu)
		return true;
	if (may_fragment) {
		if (fragments_cut(w, m, mtu))
			return true;
		worker_drop(w, m, DROP_no_mbuf);
		return false;
	}
	icmp_error_send(w, m, ICMP_ERROR_TOO_BIG, mtu);
	worker_drop(w, m, DROP_too_big);
	return false;
}

/* The other side of each packet, what this stage and the next two need of it on its way into the cache. */
static void find_other_sides(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	const struct records *records = w->edge->records;

	for (unsigned i = 0; i < n; i++) {
		struct pkt_meta *meta = pkt_meta(pkts[i]);

		__builtin_prefetch(&meta->flow->packets_up, 1);
		meta->out_peer = other_side(w, meta);
		if (meta->out_peer >= records->max_peers)
			continue;
		__builtin_prefetch(&records->peers[meta->out_peer]);
		__builtin_prefetch(&w->edge->peers[meta->out_peer], 1);
		__builtin_prefetch(&w->edge->peers[meta->out_peer].stamps, 1);
		__builtin_prefetch(&w->edge->peers[meta->out_peer].path, 1);
	}
	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(peer_record_get(records, pkt_meta(pkts[i])->out_peer));
}

void stage_act(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	find_other_sides(w, pkts, n);
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct pkt_meta *meta = pkt_meta(m);
		const struct peer_record *record;

		record = peer_record_get(w->edge->records, meta->out_peer);
		if (record == NULL || !record->enabled) {
			worker_drop(w, m, DROP_no_session);
			continue;
		}
		account_packet(w, m);
		if (!inner_ttl_decrement(rte_pktmbuf_mtod(m, uint8_t *), meta->inner_family)) {
			icmp_error_send(w, m, ICMP_ERROR_TTL, 0);
			worker_drop(w, m, DROP_ttl_exceeded);
			continue;
		}
		if (fit(w, m, leg_mtu(w, record)))
			worker_emit(w, m);
	}
}
