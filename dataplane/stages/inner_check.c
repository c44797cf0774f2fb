// SPDX-License-Identifier: BSD-3-Clause
// Stage inner check: the decrypted packet is well-formed, comes from its peer's own address, and is no martian
// (decision 12); ECN of the outer header is carried in (RFC 6040). Control datagrams of connectors leave here.
#include "dataplane/stages/stage.h"

#include "dataplane/handshake.h"
#include "dataplane/stages/inner.h"
#include "lib/ctlmsg.h"

/* The control datagram goes to the handshake thread; only inside a connector session. */
static void to_control(struct worker *w, struct rte_mbuf *m)
{
	struct message *msg = message_alloc(w->edge);

	if (msg == NULL) {
		worker_drop(w, m, DROP_handshake_queue_full);
		return;
	}
	msg->type = EV_CONTROL;
	msg->peer = pkt_meta(m)->peer;
	msg->endpoint = pkt_meta(m)->source;
	msg->worker = (uint8_t)w->id;
	msg->mbuf = m;
	if (!handshake_post(w->edge->handshake, msg)) {
		msg->mbuf = NULL;
		message_free(w->edge, msg);
		worker_drop(w, m, DROP_handshake_queue_full);
	}
}

/* DROP_REASON_COUNT: the source is one the client may use. */
static enum drop_reason check_client(const struct peer_record *record, const uint8_t *p, uint8_t family)
{
	const uint8_t *src = inner_src(p, family), *dst = inner_dst(p, family);

	if (!inner_is_plain(family, src) || !inner_is_plain(family, dst)) {
		if (inner_is_noise(family, dst) || inner_is_noise(family, src))
			return DROP_inner_noise;
		if (inner_is_martian(family, src) || inner_is_martian(family, dst))
			return DROP_inner_martian;
	}
	if (family == 4 ? !record->has_v4 || memcmp(src, record->v4, 4) != 0
			: !record->has_v6 || memcmp(src, record->v6, 16) != 0)
		return DROP_inner_spoofed;
	return DROP_REASON_COUNT;
}

static enum drop_reason check(struct worker *w, struct rte_mbuf *m)
{
	struct pkt_meta *meta = pkt_meta(m);
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
	const struct peer_record *record = peer_record_get(w->edge->records, meta->peer);
	struct inner_info info;
	enum drop_reason reason;

	if (record == NULL)
		return DROP_peer_disabled;
	switch (inner_parse(p, m->data_len, &info)) {
	case INNER_MALFORMED:
		return DROP_inner_malformed;
	case INNER_BAD_CHECKSUM:
		return DROP_inner_checksum;
	case INNER_OK:
		break;
	}
	if (record->kind == PEER_CLIENT) {
		reason = check_client(record, p, info.family);
		if (reason != DROP_REASON_COUNT)
			return reason;
		meta->direction = PKT_UP;
	} else {
		const uint8_t *src = inner_src(p, info.family), *dst = inner_dst(p, info.family);

		if ((!inner_is_plain(info.family, src) && inner_is_martian(info.family, src)) ||
		    (!inner_is_plain(info.family, dst) && inner_is_martian(info.family, dst)))
			return DROP_inner_martian;
		meta->direction = PKT_DOWN;
	}
	if (!inner_ecn_decapsulate(p, info.family, meta->ecn))
		return DROP_ecn_ce_not_ect;
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - info.length));
	meta->inner_family = info.family;
	meta->proto = info.proto;
	meta->l4_offset = info.l4_offset;
	meta->src_port_be = info.src_port_be;
	meta->dst_port_be = info.dst_port_be;
	meta->fragment_id = info.fragment_id;
	meta->fragment_from = info.fragment_from;
	meta->fragment_to = info.fragment_to;
	meta->tcp_flags = info.tcp_flags;
	meta->flags &= (uint8_t)~(PKT_FRAGMENT | PKT_LATER_FRAGMENT | PKT_MORE_FRAGMENTS | PKT_ICMP_ERROR);
	if (info.fragment)
		meta->flags |= PKT_FRAGMENT;
	if (info.more_fragments)
		meta->flags |= PKT_MORE_FRAGMENTS;
	if (info.later_fragment)
		meta->flags |= PKT_LATER_FRAGMENT;
	if (info.icmp_error)
		meta->flags |= PKT_ICMP_ERROR;
	return DROP_REASON_COUNT;
}

unsigned stage_inner_check(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct peer_record *record = peer_record_get(w->edge->records, pkt_meta(pkts[i])->peer);
		enum drop_reason reason;

		if (record != NULL && record->kind == PEER_CONNECTOR &&
		    ctlmsg_is_addressed(rte_pktmbuf_mtod(pkts[i], const uint8_t *), pkts[i]->data_len)) {
			to_control(w, pkts[i]);
			continue;
		}
		reason = check(w, pkts[i]);
		if (reason != DROP_REASON_COUNT) {
			worker_drop(w, pkts[i], reason);
			continue;
		}
		pkts[kept++] = pkts[i];
	}
	return kept;
}
