// SPDX-License-Identifier: BSD-3-Clause
// Stage flow: the flow of each packet by the client's tuple, the same entry for both directions. A packet from a
// connector first finds its client: session → tunnel → account → device address → client (decision 2), and crosses to
// the worker that owns that client.
#include "dataplane/stages/stage.h"

#include "dataplane/peers.h"
#include "dataplane/stages/fragments.h"
#include "dataplane/stages/inner.h"
#include "dataplane/tables/device_table.h"

/* A tuple as the client sees it, before it becomes a key. */
struct tuple {
	const uint8_t *remote;
	uint16_t client_port_be, remote_port_be;
	uint8_t proto;
};

/* Decision 13: an ICMP error belongs to the flow that it quotes. */
static bool quoted_tuple(const struct rte_mbuf *m, struct tuple *t)
{
	const struct pkt_meta *meta = pkt_meta_const(m);
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint8_t *quote = p + meta->l4_offset + 8;
	unsigned len = m->data_len - meta->l4_offset;
	struct inner_info info;

	if (len < 8 || !inner_parse_quote(quote, len - 8, meta->inner_family, &info))
		return false;
	t->proto = info.proto;
	if (meta->direction == PKT_UP) {
		/* the client complains about a packet that the private side sent it */
		t->remote = inner_src(quote, info.family);
		t->client_port_be = info.dst_port_be;
		t->remote_port_be = info.src_port_be;
		return memcmp(inner_dst(quote, info.family), inner_src(p, info.family),
			      info.family == 4 ? 4 : 16) == 0;
	}
	t->remote = inner_dst(quote, info.family);
	t->client_port_be = info.src_port_be;
	t->remote_port_be = info.dst_port_be;
	return memcmp(inner_src(quote, info.family), inner_dst(p, info.family), info.family == 4 ? 4 : 16) == 0;
}

static enum drop_reason make_key(struct worker *w, struct rte_mbuf *m, uint32_t client)
{
	struct pkt_meta *meta = pkt_meta(m);
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	bool up = meta->direction == PKT_UP;
	struct tuple t = {
		.remote = up ? inner_dst(p, meta->inner_family) : inner_src(p, meta->inner_family),
		.client_port_be = up ? meta->src_port_be : meta->dst_port_be,
		.remote_port_be = up ? meta->dst_port_be : meta->src_port_be,
		.proto = meta->proto,
	};
	enum drop_reason reason = DROP_REASON_COUNT;
	uint32_t remote_v4;

	if (meta->proto != INNER_TCP && meta->proto != INNER_UDP && meta->proto != INNER_ICMP &&
	    meta->proto != INNER_ICMPV6)
		return DROP_proto_unsupported;
	if (meta->flags & PKT_LATER_FRAGMENT) {
		reason = fragments_later(w, meta, client, t.remote, &t.client_port_be, &t.remote_port_be);
	} else if (meta->flags & PKT_FRAGMENT) {
		reason = fragments_first(w, meta, client, t.remote, t.client_port_be, t.remote_port_be);
	}
	if (reason != DROP_REASON_COUNT)
		return reason;
	if ((meta->flags & PKT_ICMP_ERROR) && !quoted_tuple(m, &t))
		return DROP_icmp_no_flow;
	if (meta->inner_family == 4) {
		memcpy(&remote_v4, t.remote, 4);
		flow_key_v4(&meta->key, client, remote_v4, t.proto, t.client_port_be, t.remote_port_be);
	} else {
		flow_key_v6(&meta->key, client, t.remote, t.proto, t.client_port_be, t.remote_port_be);
	}
	return DROP_REASON_COUNT;
}

/*
 * The client of each packet: who sent it, or whose device it is for; RECORD_NONE: nobody's. What the rest of this stage
 * and the next one read of it is on its way into the cache.
 */
static void find_clients(struct worker *w, struct rte_mbuf **pkts, unsigned n, uint32_t clients[BURST_MAX])
{
	const struct records *records = w->edge->records;
	uint32_t found[BURST_MAX], v4;
	struct device_key keys[BURST_MAX];
	unsigned at[BURST_MAX], downs = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct pkt_meta *meta = pkt_meta_const(pkts[i]);
		const struct peer_record *record = peer_record_get(records, meta->peer);
		const uint8_t *dst = inner_dst(rte_pktmbuf_mtod(pkts[i], const uint8_t *), meta->inner_family);

		clients[i] = RECORD_NONE;
		if (record == NULL)
			continue;
		if (meta->direction == PKT_UP) {
			clients[i] = record->client;
			continue;
		}
		memcpy(&v4, dst, 4);
		if (meta->inner_family == 4)
			device_key_v4(&keys[downs], record->account, v4);
		else
			device_key_v6(&keys[downs], record->account, dst);
		at[downs++] = i;
	}
	if (downs > 0)
		device_lookup_bulk(w->edge->devices, keys, found, downs);
	for (unsigned i = 0; i < downs; i++)
		clients[at[i]] = found[i];
	for (unsigned i = 0; i < n; i++)
		if (clients[i] < records->max_clients)
			__builtin_prefetch(&records->clients[clients[i]]);
	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(client_get(records, clients[i]));
	for (unsigned i = 0; i < downs; i++) {
		const struct client_record *client = client_get(records, found[i]);

		if (client != NULL && client->peers[0] < w->edge->config.cap_peers)
			__builtin_prefetch(&w->edge->peers[client->peers[0]], 1);
	}
}

/* The worker that owns the client that a connector's packet is for. False with a reason. */
static bool owner_of_down(struct worker *w, uint32_t index, unsigned *owner, enum drop_reason *reason)
{
	const struct client_record *client = client_get(w->edge->records, index);
	uint32_t peer;

	*reason = DROP_unknown_device;
	if (client == NULL)
		return false;
	*reason = DROP_peer_disabled;
	if (!client->enabled)
		return false;
	peer = peers_of_client(w->edge, client);
	*reason = DROP_no_session;
	if (peer == RECORD_NONE)
		return false;
	*owner = w->edge->peers[peer].owner;
	return true;
}

/* True when the packet stays on this worker, with its key made. */
static bool prepare(struct worker *w, struct rte_mbuf *m, uint32_t client)
{
	struct pkt_meta *meta = pkt_meta(m);
	enum drop_reason reason = DROP_peer_disabled;
	unsigned owner = w->id;

	meta->flow = NULL;
	if (peer_record_get(w->edge->records, meta->peer) == NULL ||
	    (meta->direction == PKT_UP ? client == RECORD_NONE : !owner_of_down(w, client, &owner, &reason))) {
		worker_drop(w, m, reason);
		return false;
	}
	if (owner != w->id && owner < w->edge->n_workers) {
		worker_handoff(w, owner, w->edge->workers[owner]->in_flow, m);
		return false;
	}
	reason = make_key(w, m, client);
	if (reason != DROP_REASON_COUNT) {
		worker_drop(w, m, reason);
		return false;
	}
	return true;
}

unsigned stage_flow(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	struct flow_entry *found[BURST_MAX];
	struct flow_key keys[BURST_MAX]; /* the first `kept` are set */
	uint32_t hashes[BURST_MAX], clients[BURST_MAX];
	unsigned kept = 0;

	find_clients(w, pkts, n, clients);
	for (unsigned i = 0; i < n; i++) {
		if (!prepare(w, pkts[i], clients[i]))
			continue;
		keys[kept] = pkt_meta(pkts[i])->key;
		pkts[kept++] = pkts[i];
	}
	if (kept == 0)
		return 0;
	flow_hash_bulk(w->flows, keys, hashes, kept);
	flow_lookup_bulk(w->flows, keys, hashes, kept, found);
	for (unsigned i = 0; i < kept; i++) {
		pkt_meta(pkts[i])->flow = found[i];
		pkt_meta(pkts[i])->flow_hash = hashes[i];
	}
	return kept;
}
