// SPDX-License-Identifier: BSD-3-Clause
// Inner fragments: which flow later ones belong to, and cutting IPv4 packets for a smaller leg.
#include "dataplane/stages/fragments.h"

#include "dataplane/stages/inner.h"

#define FRAG_LIFETIME_NS (30ull * 1000 * 1000 * 1000)
#define FRAG_REUSE_NS    (2ull * 1000 * 1000 * 1000)

static struct frag_slot *slot_of(struct worker *w, const struct pkt_meta *meta, uint32_t client)
{
	uint32_t h = (meta->fragment_id * 0x9e3779b1u) ^ (client * 0x85ebca6bu) ^ meta->direction;

	return &w->frags[(h ^ h >> 15) % FRAG_SLOTS];
}

static unsigned address_bytes(const struct pkt_meta *meta)
{
	return meta->inner_family == 4 ? 4 : 16;
}

static bool is_of(const struct worker *w, const struct frag_slot *s, const struct pkt_meta *meta, uint32_t client,
		  const uint8_t *remote)
{
	return s->born_ns != 0 && w->now_ns - s->born_ns < FRAG_LIFETIME_NS && s->client == client &&
	       s->id == meta->fragment_id && s->direction == meta->direction && s->proto == meta->proto &&
	       s->family == meta->inner_family && memcmp(s->remote, remote, address_bytes(meta)) == 0;
}

/* Joins ranges that touch range i; they do not overlap. */
static void join(struct frag_slot *s, unsigned i)
{
	for (unsigned k = 0; k < s->n;) {
		if (k == i || (s->ranges[k].to != s->ranges[i].from && s->ranges[k].from != s->ranges[i].to)) {
			k++;
			continue;
		}
		if (s->ranges[k].from < s->ranges[i].from)
			s->ranges[i].from = s->ranges[k].from;
		else
			s->ranges[i].to = s->ranges[k].to;
		s->ranges[k] = s->ranges[--s->n];
		if (i == s->n)
			i = k;
		k = 0;
	}
}

/* Adds a piece; false when it does not fit what has come. */
static bool add_piece(struct frag_slot *s, unsigned from, unsigned to, bool last)
{
	if (last && s->total != 0)
		return false;
	if (s->total != 0 && to > s->total)
		return false;
	for (unsigned i = 0; i < s->n; i++)
		if ((from < s->ranges[i].to && to > s->ranges[i].from) || (last && s->ranges[i].to > to))
			return false;
	if (last)
		s->total = (uint16_t)to;
	for (unsigned i = 0; i < s->n; i++) {
		if (s->ranges[i].to != from && s->ranges[i].from != to)
			continue;
		if (s->ranges[i].to == from)
			s->ranges[i].to = (uint16_t)to;
		else
			s->ranges[i].from = (uint16_t)from;
		join(s, i);
		return true;
	}
	if (s->n == FRAG_RANGES)
		return false;
	s->ranges[s->n].from = (uint16_t)from;
	s->ranges[s->n++].to = (uint16_t)to;
	return true;
}

static bool is_whole(const struct frag_slot *s)
{
	return s->n == 1 && s->ranges[0].from == 0 && s->total != 0 && s->ranges[0].to == s->total;
}

enum drop_reason fragments_first(struct worker *w, const struct pkt_meta *meta, uint32_t client, const uint8_t *remote,
				 uint16_t client_port_be, uint16_t remote_port_be)
{
	struct frag_slot *s = slot_of(w, meta, client);

	/* a sender that begins again after a while has used up its identifications */
	if (is_of(w, s, meta, client, remote) && w->now_ns - s->born_ns < FRAG_REUSE_NS) {
		s->refused = 1;
		return DROP_fragment_overlap;
	}
	memset(s, 0, sizeof(*s));
	memcpy(s->remote, remote, address_bytes(meta));
	s->born_ns = w->now_ns;
	s->client = client;
	s->id = meta->fragment_id;
	s->client_port_be = client_port_be;
	s->remote_port_be = remote_port_be;
	s->direction = meta->direction;
	s->proto = meta->proto;
	s->family = meta->inner_family;
	add_piece(s, meta->fragment_from, meta->fragment_to, false);
	return DROP_REASON_COUNT;
}

enum drop_reason fragments_later(struct worker *w, const struct pkt_meta *meta, uint32_t client, const uint8_t *remote,
				 uint16_t *client_port_be, uint16_t *remote_port_be)
{
	struct frag_slot *s = slot_of(w, meta, client);

	if (!is_of(w, s, meta, client, remote))
		return DROP_fragment_no_first;
	if (s->refused || !add_piece(s, meta->fragment_from, meta->fragment_to, !(meta->flags & PKT_MORE_FRAGMENTS))) {
		s->refused = 1;
		return DROP_fragment_overlap;
	}
	*client_port_be = s->client_port_be;
	*remote_port_be = s->remote_port_be;
	if (is_whole(s))
		s->born_ns = 0;
	return DROP_REASON_COUNT;
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
