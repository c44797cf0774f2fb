// SPDX-License-Identifier: BSD-3-Clause
// Sends ICMP errors to the inner sender, within limits, and echo replies of the edge's own inner address.
#include "dataplane/stages/icmp_error.h"

#include "dataplane/stages/inner.h"
#include "dataplane/stages/stage.h"

#define ONE_S_NS 1000000000ull
/* Of one peer: decision 15 limits inner ICMP errors per client; RFC 4443 2.4f's example values. */
#define PEER_ERRORS_PER_S 20
#define PEER_ERRORS_BURST 10

void icmp_error_send(struct worker *w, const struct rte_mbuf *m, enum icmp_error error, uint32_t mtu)
{
	const struct pkt_meta *meta = pkt_meta_const(m);
	const struct records *r = w->edge->records;
	const struct settings_record *settings = settings_get(r);
	const struct peer_record *record = peer_record_get(r, meta->peer);
	const struct account_record *account = record == NULL ? NULL : account_get(r, record->account);
	struct rte_mbuf *e;
	unsigned len;

	if (account == NULL || settings->icmp_errors_per_second == 0 ||
	    (meta->inner_family == 4 ? !account->has_edge_v4 : !account->has_edge_v6))
		return;
	if (!gcra_allow(&w->edge->peers[meta->peer].icmp_tat_ns, w->now_ns, ONE_S_NS / PEER_ERRORS_PER_S,
			PEER_ERRORS_BURST) ||
	    !gcra_allow(&w->icmp_tat_ns, w->now_ns, ONE_S_NS / settings->icmp_errors_per_second,
			settings->icmp_errors_burst))
		return;
	e = worker_new_packet(w);
	if (e == NULL)
		return;
	len = icmp_error_build(error, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len,
			       meta->inner_family == 4 ? account->edge_v4 : account->edge_v6, mtu,
			       rte_pktmbuf_mtod(e, uint8_t *));
	if (len == 0) {
		rte_pktmbuf_free(e);
		return;
	}
	rte_pktmbuf_append(e, (uint16_t)len);
	pkt_meta(e)->out_peer = meta->peer;
	pkt_meta(e)->inner_family = meta->inner_family;
	worker_emit(w, e);
}

bool icmp_echo_reply(struct worker *w, struct rte_mbuf *m)
{
	struct pkt_meta *meta = pkt_meta(m);
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), *q;
	unsigned l4 = meta->l4_offset, alen = meta->inner_family == 4 ? 4 : 16;
	bool v4 = meta->inner_family == 4;
	struct rte_mbuf *reply;
	uint16_t sum = 0;

	if (meta->proto != (v4 ? INNER_ICMP : INNER_ICMPV6) || p[l4] != (v4 ? 8 : 128) ||
	    (meta->flags & PKT_FRAGMENT) || (v4 && l4 != 20) || (!v4 && l4 != 40))
		return false;
	reply = worker_new_packet(w);
	if (reply == NULL)
		return false;
	q = (uint8_t *)rte_pktmbuf_append(reply, m->data_len);
	memcpy(q, p, m->data_len);
	memcpy(q + (v4 ? 12 : 8), inner_dst(p, meta->inner_family), alen);
	memcpy(q + (v4 ? 16 : 24), inner_src(p, meta->inner_family), alen);
	q[v4 ? 8 : 7] = 64;
	q[l4] = v4 ? 0 : 129;
	if (v4) {
		memset(q + 10, 0, 2);
		sum = inner_sum_fold(inner_sum(q, 20, 0));
		memcpy(q + 10, &sum, 2);
	}
	memset(q + l4 + 2, 0, 2);
	sum = inner_l4_checksum(meta->inner_family, inner_src(q, meta->inner_family),
				inner_dst(q, meta->inner_family), meta->proto, q + l4, m->data_len - l4);
	memcpy(q + l4 + 2, &sum, 2);
	pkt_meta(reply)->out_peer = meta->peer;
	pkt_meta(reply)->inner_family = meta->inner_family;
	worker_emit(w, reply);
	worker_consume(w, m);
	return true;
}
