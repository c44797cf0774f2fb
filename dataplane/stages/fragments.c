// SPDX-License-Identifier: BSD-3-Clause
// Inner fragments: which flow later ones belong to, and cutting IPv4 packets for a smaller leg.
#include "dataplane/stages/fragments.h"

#include "dataplane/stages/inner.h"

#define FRAG_LIFETIME_NS (30ull * 1000 * 1000 * 1000)

static struct frag_slot *slot_of(struct worker *w, const struct pkt_meta *meta, uint32_t client)
{
	uint32_t h = (meta->fragment_id * 0x9e3779b1u) ^ (client * 0x85ebca6bu) ^ meta->direction;

	return &w->frags[(h ^ h >> 15) % FRAG_SLOTS];
}

static unsigned address_bytes(const struct pkt_meta *meta)
{
	return meta->inner_family == 4 ? 4 : 16;
}

void fragments_note(struct worker *w, const struct pkt_meta *meta, uint32_t client, const uint8_t *remote,
		    uint16_t client_port_be, uint16_t remote_port_be)
{
	struct frag_slot *s = slot_of(w, meta, client);

	memset(s, 0, sizeof(*s));
	memcpy(s->remote, remote, address_bytes(meta));
	s->expires_ns = w->now_ns + FRAG_LIFETIME_NS;
	s->client = client;
	s->id = meta->fragment_id;
	s->client_port_be = client_port_be;
	s->remote_port_be = remote_port_be;
	s->direction = meta->direction;
	s->proto = meta->proto;
	s->family = meta->inner_family;
}

bool fragments_find(struct worker *w, const struct pkt_meta *meta, uint32_t client, const uint8_t *remote,
		    uint16_t *client_port_be, uint16_t *remote_port_be)
{
	const struct frag_slot *s = slot_of(w, meta, client);

	if (s->expires_ns <= w->now_ns || s->client != client || s->id != meta->fragment_id ||
	    s->direction != meta->direction || s->proto != meta->proto || s->family != meta->inner_family ||
	    memcmp(s->remote, remote, address_bytes(meta)) != 0)
		return false;
	*client_port_be = s->client_port_be;
	*remote_port_be = s->remote_port_be;
	return true;
}

static void set_fragment_header(uint8_t *p, unsigned ihl, unsigned payload, unsigned offset_field)
{
	uint16_t sum;

	p[2] = (uint8_t)((ihl + payload) >> 8);
	p[3] = (uint8_t)(ihl + payload);
	p[6] = (uint8_t)(offset_field >> 8);
	p[7] = (uint8_t)offset_field;
	p[10] = 0;
	p[11] = 0;
	sum = inner_sum_fold(inner_sum(p, ihl, 0));
	memcpy(p + 10, &sum, 2);
}

bool fragments_cut(struct worker *w, struct rte_mbuf *m, unsigned mtu)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
	unsigned ihl = (p[0] & 0xfu) * 4, payload = m->data_len - ihl;
	unsigned field = (unsigned)(p[6] << 8 | p[7]), piece;

	if (mtu < ihl + 8)
		return false;
	piece = (mtu - ihl) & ~7u;
	for (unsigned done = piece; done < payload; done += piece) {
		unsigned here = payload - done < piece ? payload - done : piece;
		bool last = done + here == payload;
		struct rte_mbuf *f = worker_new_packet(w);
		uint8_t *q;

		if (f == NULL)
			return false;
		q = (uint8_t *)rte_pktmbuf_append(f, (uint16_t)(ihl + here));
		memcpy(q, p, ihl);
		memcpy(q + ihl, p + ihl + done, here);
		set_fragment_header(q, ihl, here,
				    ((field & 0x1fff) + done / 8) | (last ? field & 0x2000u : 0x2000u));
		pkt_meta(f)->out_peer = pkt_meta(m)->out_peer;
		pkt_meta(f)->inner_family = 4;
		worker_emit(w, f);
	}
	rte_pktmbuf_trim(m, (uint16_t)(payload - piece));
	set_fragment_header(p, ihl, piece, (field & 0x1fff) | 0x2000);
	return true;
}
