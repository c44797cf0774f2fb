// SPDX-License-Identifier: BSD-3-Clause
// Stage classify: outer Ethernet, IP and UDP headers, our listen address, the WireGuard message type. Data messages
// stay, with the mbuf's data at the WireGuard header; handshake messages go to the handshake thread. The parser and the
// judgement are the XDP program's own, so that a port without XDP decides alike.
#include "dataplane/stages/stage.h"

#include <endian.h>

#include "bpf/outer_parse.h"
#include "dataplane/handshake.h"
#include "dataplane/ports/port.h"
#include "lib/wg/wire.h"

enum classify_outcome { CLASSIFY_DATA, CLASSIFY_HANDSHAKE, CLASSIFY_DROP };

/* A fragment has no port to go by: its address alone decides. */
static bool listens_on(const struct edge_config *cfg, const struct outer_headers *h, bool any_port)
{
	static const uint8_t any[16];

	for (unsigned i = 0; i < cfg->n_listen; i++) {
		const struct listen_address *l = &cfg->listen[i];

		if (l->family == h->family && (any_port || htobe16(l->port) == h->dst_port_be16) &&
		    (memcmp(l->address, any, 16) == 0 || memcmp(l->address, h->dst, 16) == 0))
			return true;
	}
	return false;
}

static void note_source(struct pkt_meta *meta, const struct outer_headers *h)
{
	/* whole words at once: the replay stage compares words, and one written in pieces would have to wait */
	uint64_t tail = h->src_port_be16 | (uint64_t)h->dst_port_be16 << 16 | (uint64_t)h->family << 32;

	static_assert(offsetof(struct endpoint, remote_port_be) == 32 && offsetof(struct endpoint, local_port_be) == 34 &&
			      offsetof(struct endpoint, family) == 36 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
		      "the last word is made as a number");
	memcpy(meta->source.remote, h->src, 16);
	memcpy(meta->source.local, h->dst, 16);
	memcpy((uint8_t *)&meta->source + 32, &tail, 8);
	meta->ecn = h->tos & 3;
}

static enum classify_outcome classify(struct worker *w, struct rte_mbuf *m, enum drop_reason *reason)
{
	struct pkt_meta *meta = pkt_meta(m);
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	struct outer_headers h;
	enum outer_parse_result parsed;
	enum outer_verdict verdict;

	*reason = DROP_outer_malformed;
	if (m->nb_segs != 1)
		return CLASSIFY_DROP;
	parsed = outer_parse(p, p + m->data_len, m->data_len, &h);
	*reason = DROP_outer_not_ours;
	if (parsed == OUTER_PARSE_OTHER)
		return CLASSIFY_DROP;
	note_source(meta, &h);
	if (!listens_on(&w->edge->config, &h, parsed == OUTER_PARSE_FRAGMENT))
		return CLASSIFY_DROP;
	verdict = outer_judge(parsed, &h);
	switch (verdict) {
	case OUTER_DATA:
	case OUTER_HANDSHAKE:
		break;
	case OUTER_FRAGMENT:
		*reason = DROP_outer_fragment;
		return CLASSIFY_DROP;
	case OUTER_CHECKSUM:
		*reason = DROP_outer_checksum;
		return CLASSIFY_DROP;
	case OUTER_TYPE:
		*reason = DROP_wg_type;
		return CLASSIFY_DROP;
	case OUTER_LENGTH:
		*reason = DROP_wg_length;
		return CLASSIFY_DROP;
	case OUTER_MALFORMED:
	default:
		*reason = DROP_outer_malformed;
		return CLASSIFY_DROP;
	}
	rte_pktmbuf_adj(m, h.payload_off);
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - h.payload_len));
	return verdict == OUTER_DATA ? CLASSIFY_DATA : CLASSIFY_HANDSHAKE;
}

static void to_handshake(struct worker *w, struct rte_mbuf *m)
{
	struct message *msg = message_alloc(w->edge);

	if (msg == NULL) {
		worker_drop(w, m, DROP_handshake_queue_full);
		return;
	}
	msg->type = EV_HANDSHAKE;
	msg->mbuf = m;
	msg->endpoint = pkt_meta(m)->source;
	msg->worker = (uint8_t)w->id;
	if (!handshake_post(w->edge->handshake, msg)) {
		msg->mbuf = NULL;
		message_free(w->edge, msg);
		worker_drop(w, m, DROP_handshake_queue_full);
	}
}

unsigned stage_classify(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		enum drop_reason reason;

		fetch_ahead(pkts, i, n);
		switch (classify(w, pkts[i], &reason)) {
		case CLASSIFY_DATA:
			pkts[kept++] = pkts[i];
			break;
		case CLASSIFY_HANDSHAKE:
			to_handshake(w, pkts[i]);
			break;
		case CLASSIFY_DROP:
			worker_drop(w, pkts[i], reason);
			break;
		}
	}
	return kept;
}
