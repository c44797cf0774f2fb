// SPDX-License-Identifier: BSD-3-Clause
// Stage classify: outer Ethernet, IP and UDP headers, our listen address, the WireGuard message type. Data messages
// stay, with the mbuf's data at the WireGuard header; handshake messages go to the handshake thread.
// The UDP checksum is not looked at: MAC1 and the AEAD tag cover all that matters.
#include "dataplane/stages/stage.h"

#include <endian.h>

#include "dataplane/handshake.h"
#include "dataplane/ports/port.h"
#include "lib/wg/wire.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8
#define PROTO_UDP      17
#define PROTO_FRAGMENT 44

enum classify_outcome { CLASSIFY_DATA, CLASSIFY_HANDSHAKE, CLASSIFY_DROP };

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static bool header_sum_ok(const uint8_t *ip, unsigned len)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < len; i += 2)
		sum += be16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* Offset of the UDP header behind an IPv4 header, or 0 with *reason. *end is where the IP packet ends. */
static unsigned outer_ipv4(struct pkt_meta *meta, const uint8_t *ip, unsigned len, unsigned *end,
			   enum drop_reason *reason)
{
	unsigned ihl = len >= 20 ? (ip[0] & 0xfu) * 4 : 0;
	unsigned total = len >= 20 ? be16(ip + 2) : 0;

	*reason = DROP_outer_malformed;
	if (ihl < 20 || ip[0] >> 4 != 4 || total < ihl + 8 || total > len)
		return 0;
	*reason = DROP_outer_checksum;
	if (!header_sum_ok(ip, ihl))
		return 0;
	*reason = DROP_outer_fragment;
	if (be16(ip + 6) & 0x3fff)
		return 0;
	*reason = DROP_outer_not_ours;
	if (ip[9] != PROTO_UDP)
		return 0;
	meta->source.family = 4;
	memcpy(meta->source.remote, ip + 12, 4);
	memcpy(meta->source.local, ip + 16, 4);
	meta->ecn = ip[1] & 3;
	*end = total;
	return ihl;
}

static unsigned outer_ipv6(struct pkt_meta *meta, const uint8_t *ip, unsigned len, unsigned *end,
			   enum drop_reason *reason)
{
	unsigned offset = 40;
	uint8_t next;

	*reason = DROP_outer_malformed;
	if (len < 48 || ip[0] >> 4 != 6 || be16(ip + 4) + 40u > len)
		return 0;
	*end = be16(ip + 4) + 40u;
	next = ip[6];
	/* hop-by-hop (0), routing (43) and destination options (60), at most 4 of them */
	for (unsigned i = 0; i < 4 && (next == 0 || next == 43 || next == 60); i++) {
		if (offset + 8 > *end)
			return 0;
		next = ip[offset];
		offset += (ip[offset + 1] + 1u) * 8;
	}
	*reason = DROP_outer_fragment;
	if (next == PROTO_FRAGMENT)
		return 0;
	*reason = DROP_outer_not_ours;
	if (next != PROTO_UDP)
		return 0;
	*reason = DROP_outer_malformed;
	if (offset + 8 > *end)
		return 0;
	meta->source.family = 6;
	memcpy(meta->source.remote, ip + 8, 16);
	memcpy(meta->source.local, ip + 24, 16);
	meta->ecn = (uint8_t)((ip[1] >> 4) & 3);
	return offset;
}

static bool listens_on(const struct edge_config *cfg, const struct endpoint *source)
{
	static const uint8_t any[16];

	for (unsigned i = 0; i < cfg->n_listen; i++) {
		const struct listen_address *l = &cfg->listen[i];

		if (l->family == source->family && htobe16(l->port) == source->local_port_be &&
		    (memcmp(l->address, any, 16) == 0 || memcmp(l->address, source->local, 16) == 0))
			return true;
	}
	return false;
}

static enum classify_outcome classify(struct worker *w, struct rte_mbuf *m, enum drop_reason *reason)
{
	struct pkt_meta *meta = pkt_meta(m);
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	unsigned len = m->data_len, l3 = 14, udp, end, udp_len;
	uint16_t type;

	*reason = DROP_outer_malformed;
	if (len < 14 || m->nb_segs != 1)
		return CLASSIFY_DROP;
	type = be16(p + 12);
	for (unsigned tags = 0; tags < 2 && (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ); tags++) {
		l3 += 4;
		if (len < l3)
			return CLASSIFY_DROP;
		type = be16(p + l3 - 2);
	}
	memset(&meta->source, 0, sizeof(meta->source));
	if (type == ETHERTYPE_IPV4) {
		udp = outer_ipv4(meta, p + l3, len - l3, &end, reason);
	} else if (type == ETHERTYPE_IPV6) {
		udp = outer_ipv6(meta, p + l3, len - l3, &end, reason);
	} else {
		*reason = DROP_outer_not_ours;
		return CLASSIFY_DROP;
	}
	if (udp == 0)
		return CLASSIFY_DROP;
	udp_len = be16(p + l3 + udp + 4);
	*reason = DROP_outer_malformed;
	if (udp_len < 8 || udp + udp_len > end)
		return CLASSIFY_DROP;
	memcpy(&meta->source.remote_port_be, p + l3 + udp, 2);
	memcpy(&meta->source.local_port_be, p + l3 + udp + 2, 2);
	*reason = DROP_outer_not_ours;
	if (!listens_on(&w->edge->config, &meta->source))
		return CLASSIFY_DROP;
	rte_pktmbuf_adj(m, (uint16_t)(l3 + udp + 8));
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - (udp_len - 8)));

	switch (wg_message_type(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len)) {
	case WG_DATA:
		return CLASSIFY_DATA;
	case WG_INITIATION:
	case WG_RESPONSE:
	case WG_COOKIE_REPLY:
		return CLASSIFY_HANDSHAKE;
	case WG_BAD_LENGTH:
		*reason = DROP_wg_length;
		return CLASSIFY_DROP;
	case WG_BAD_TYPE:
	default:
		*reason = DROP_wg_type;
		return CLASSIFY_DROP;
	}
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
