// SPDX-License-Identifier: BSD-3-Clause
// Answers to refused packets.
#include "dataplane/stages/refuse.h"

#include "dataplane/peers.h"
#include "dataplane/stages/decide.h"
#include "dataplane/stages/icmp_error.h"
#include "dataplane/stages/inner.h"
#include "dataplane/stages/limits.h"
#include "dataplane/stages/tcp_reset.h"

/* The peer on the other side of the flow; RECORD_NONE where there is none. */
static uint32_t receiver(const struct worker *w, const struct pkt_meta *meta)
{
	const struct client_record *client = client_get(w->edge->records, meta->key.client);

	if (meta->direction == PKT_UP)
		return meta->flow == NULL ? RECORD_NONE : meta->flow->session;
	return client == NULL ? RECORD_NONE : peers_of_client(w->edge, client);
}

static void send_reset(struct worker *w, const struct rte_mbuf *m, bool to_sender, bool limited)
{
	const struct pkt_meta *meta = pkt_meta_const(m);
	uint32_t peer = to_sender ? meta->peer : receiver(w, meta);
	struct rte_mbuf *r;
	unsigned len;

	if (peer == RECORD_NONE || (limited && !limits_may_reset(w, meta->key.client)))
		return;
	r = worker_new_packet(w);
	if (r == NULL)
		return;
	len = tcp_reset_build(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, to_sender, rte_pktmbuf_mtod(r, uint8_t *));
	if (len == 0) {
		rte_pktmbuf_free(r);
		return;
	}
	rte_pktmbuf_append(r, (uint16_t)len);
	pkt_meta(r)->out_peer = peer;
	pkt_meta(r)->inner_family = meta->inner_family;
	worker_emit(w, r);
}

/* A connection ends on both sides; anything else hears it from ICMP, the client alone. */
static void blocked(struct worker *w, const struct rte_mbuf *m, const struct denial *why)
{
	const struct pkt_meta *meta = pkt_meta_const(m);

	if (why->silent)
		return;
	if (meta->proto == INNER_TCP) {
		send_reset(w, m, true, true);
		if (why->cut)
			send_reset(w, m, false, true);
	} else if (meta->direction == PKT_UP) {
		icmp_error_send(w, m, ICMP_ERROR_PROHIBITED, 0);
	}
}

void refuse_answer(struct worker *w, const struct rte_mbuf *m, const struct denial *why)
{
	const struct pkt_meta *meta = pkt_meta_const(m);

	if (why->reason == DROP_policy_block || why->reason == DROP_inspect_limit) {
		blocked(w, m, why);
		return;
	}
	if (meta->direction != PKT_UP)
		return;
	if (why->reason == DROP_connector_lost) {
		send_reset(w, m, true, false); /* all its connections end at once, each is told once */
		return;
	}
	/* just after a start, connectors are on their way back: a running connection should wait, not end */
	if (why->reason == DROP_no_connector && decide_is_mid_stream(meta) && decide_in_recreate_window(w))
		return;
	if (why->reason == DROP_no_route)
		icmp_error_send(w, m, ICMP_ERROR_NO_ROUTE, 0);
	else if (why->reason == DROP_no_connector)
		icmp_error_send(w, m, ICMP_ERROR_HOST_UNREACHABLE, 0);
	else if (why->reason == DROP_client_to_client)
		icmp_error_send(w, m, ICMP_ERROR_PROHIBITED, 0);
}
