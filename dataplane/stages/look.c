// SPDX-License-Identifier: BSD-3-Clause
// Packets shown to a tap.
#include "dataplane/stages/look.h"

#include "dataplane/flowlog/cards.h"
#include "dataplane/stages/inner.h"
#include "lib/wg/wire.h"

/* One packet as it is about to be told. */
struct sight {
	const struct rte_mbuf *m;
	const uint8_t *inner; /* NULL: none is known */
	unsigned inner_len;
	enum tap_outcome outcome;
	enum tap_direction direction;
	uint32_t client, connector; /* indexes, or RECORD_NONE */
};

static bool prefix_matches(const struct tap_filter *f, const uint8_t *address)
{
	unsigned whole = f->dst_len / 8, rest = f->dst_len % 8;

	if (memcmp(address, f->dst, whole) != 0)
		return false;
	return rest == 0 || ((address[whole] ^ f->dst[whole]) >> (8 - rest)) == 0;
}

/* The inner packet, if there are whole headers of one. */
static void set_inner(struct sight *s, const uint8_t *p, unsigned len)
{
	unsigned family = len > 0 ? p[0] >> 4 : 0;

	if ((family == 4 && len >= 20) || (family == 6 && len >= 40)) {
		s->inner = p;
		s->inner_len = len;
	}
}

/* Whose it is, by the peer it came from and the flow stage's key. */
static void set_owners(const struct worker *w, struct sight *s)
{
	const struct pkt_meta *meta = pkt_meta_const(s->m);
	const struct peer_record *from = peer_record_get(w->edge->records, meta->peer);

	s->client = s->connector = RECORD_NONE;
	s->direction = meta->flags & PKT_ORIGINATED ? TAP_OWN : TAP_UNKNOWN;
	if (from == NULL)
		return;
	s->direction = from->kind == PEER_CLIENT ? TAP_UP : TAP_DOWN;
	s->client = from->client;
	s->connector = from->connector;
	if (s->direction == TAP_DOWN && w->at_stage > STAGE_flow)
		s->client = meta->key.client;
}

/* And by the peer it goes to. */
static void set_target(const struct worker *w, struct sight *s)
{
	const struct peer_record *to = peer_record_get(w->edge->records, pkt_meta_const(s->m)->out_peer);

	if (to == NULL)
		return;
	if (to->kind == PEER_CLIENT)
		s->client = to->client;
	else
		s->connector = to->connector;
}

static bool wanted(const struct tap_filter *f, const struct sight *s)
{
	const uint8_t *address;
	uint8_t family;

	if (f->dropped && s->outcome != TAP_DROPPED)
		return false;
	if (f->client != RECORD_NONE && s->client != f->client)
		return false;
	if (!f->has_dst)
		return true;
	if (s->inner == NULL)
		return false;
	family = s->inner[0] >> 4;
	address = s->direction == TAP_UP ? inner_dst(s->inner, family) : inner_src(s->inner, family);
	return family == f->dst_family && prefix_matches(f, address);
}

static uint32_t card(const struct worker *w, enum card_kind kind, uint32_t index)
{
	return w->edge->cards == NULL || index == RECORD_NONE ? CARD_NONE : cards_of(w->edge->cards, kind, index).card;
}

static uint32_t tunnel_of(const struct worker *w, uint32_t connector)
{
	const struct connector_record *c = connector_get(w->edge->records, connector);

	return c == NULL ? RECORD_NONE : c->tunnel;
}

static void tell(struct worker *w, const struct sight *s, enum drop_reason reason, const uint8_t *data, unsigned len,
		 unsigned kept, bool received)
{
	const struct pkt_meta *meta = pkt_meta_const(s->m);
	struct tap_ring *ring = w->tap->rings[w->id];
	struct tap_record *r = tap_room(ring);

	if (r == NULL)
		return;
	memset(r, 0, offsetof(struct tap_record, data));
	r->at_ns = w->now_ns;
	r->client = card(w, CARD_CLIENT, s->client);
	r->connector = card(w, CARD_CONNECTOR, s->connector);
	r->tunnel = card(w, CARD_TUNNEL, tunnel_of(w, s->connector));
	if (w->at_stage >= STAGE_decide && s->direction != TAP_OWN && (s->outcome == TAP_SENT || reason == DROP_policy_block))
		r->rule = meta->rule == RECORD_NONE ? CARD_DEFAULT : card(w, CARD_RULE, meta->rule);
	r->outcome = (uint8_t)s->outcome;
	r->direction = (uint8_t)s->direction;
	r->stage = w->at_stage;
	r->reason = (uint8_t)reason;
	r->worker = (uint8_t)w->id;
	r->family = s->inner == NULL ? 0 : s->inner[0] >> 4;
	r->received = received;
	if (w->at_stage < STAGE_flow && w->at_stage > STAGE_rx && s->direction != TAP_OWN) {
		r->outer_family = meta->source.family;
		memcpy(r->remote, meta->source.remote, 16);
		r->remote_port_be = meta->source.remote_port_be;
	}
	r->length = (uint16_t)len;
	r->kept = (uint16_t)(kept < w->tap->filter.snap ? kept : w->tap->filter.snap);
	if (r->kept > TAP_SNAP)
		r->kept = TAP_SNAP;
	if (r->kept > 0)
		memcpy(r->data, data, r->kept);
	tap_push(ring);
}

/* Tells of the frame that the packet came in as. */
static void tell_frame(struct worker *w, const struct sight *s, enum drop_reason reason)
{
	struct tap_ring *ring = w->tap->rings[w->id];
	unsigned slot = pkt_meta_const(s->m)->look;

	if (slot == 0 || slot > TAP_BURST || !ring->frames[slot - 1].open)
		return;
	ring->frames[slot - 1].open = false;
	if (wanted(&w->tap->filter, s))
		tell(w, s, reason, ring->frames[slot - 1].data, ring->frames[slot - 1].length, ring->frames[slot - 1].kept, true);
}

void look_received(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	struct tap_ring *ring = w->tap->rings[w->id];

	for (unsigned i = 0; i < n; i++) {
		unsigned len = pkts[i]->data_len;

		pkt_meta(pkts[i])->look = (uint8_t)(i + 1);
		ring->frames[i].open = w->tap->filter.outer;
		if (!w->tap->filter.outer)
			continue;
		ring->frames[i].length = (uint16_t)len;
		ring->frames[i].kept = (uint16_t)(len < TAP_SNAP ? len : TAP_SNAP);
		memcpy(ring->frames[i].data, rte_pktmbuf_mtod(pkts[i], const uint8_t *), ring->frames[i].kept);
	}
}

void look_received_end(struct worker *w)
{
	struct tap_ring *ring = w->tap->rings[w->id];

	for (unsigned i = 0; i < TAP_BURST; i++) {
		struct tap_record *r;

		if (!ring->frames[i].open)
			continue;
		ring->frames[i].open = false;
		/* no packet is left to say whose it was */
		if (w->tap->filter.dropped || w->tap->filter.client != RECORD_NONE || w->tap->filter.has_dst)
			continue;
		r = tap_room(ring);
		if (r == NULL)
			return;
		memset(r, 0, offsetof(struct tap_record, data));
		r->at_ns = w->now_ns;
		r->outcome = TAP_CONSUMED;
		r->direction = TAP_UNKNOWN;
		r->stage = STAGE_classify;
		r->worker = (uint8_t)w->id;
		r->received = true;
		r->length = ring->frames[i].length;
		r->kept = ring->frames[i].kept < w->tap->filter.snap ? ring->frames[i].kept : w->tap->filter.snap;
		memcpy(r->data, ring->frames[i].data, r->kept);
		tap_push(ring);
	}
}

void look_taken(struct rte_mbuf **pkts, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		pkt_meta(pkts[i])->look = 0;
}

void look_decided(struct rte_mbuf **pkts, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		pkt_meta(pkts[i])->rule = pkt_meta(pkts[i])->flow->rule;
}

void look_left(struct worker *w, const struct rte_mbuf *m, enum tap_outcome outcome, enum drop_reason reason)
{
	struct sight s = {.m = m, .outcome = outcome};

	set_owners(w, &s);
	/* before inner_check it is ciphertext, behind encrypt again */
	if (w->at_stage >= STAGE_inner_check && w->at_stage <= STAGE_encrypt)
		set_inner(&s, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
	if (w->tap->filter.outer)
		tell_frame(w, &s, reason);
	else if (outcome != TAP_HANDED && wanted(&w->tap->filter, &s))
		tell(w, &s, reason, s.inner, s.inner_len, s.inner_len, true);
}

static unsigned ip_length(const uint8_t *p, unsigned most)
{
	unsigned len = p[0] >> 4 == 4 ? (unsigned)(p[2] << 8 | p[3]) : 40u + (unsigned)(p[4] << 8 | p[5]);

	return len < most ? len : most;
}

void look_sent(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod_offset(pkts[i], const uint8_t *, WG_DATA_HEADER_BYTES);
		unsigned len = pkts[i]->data_len - WG_DATA_HEADER_BYTES - WG_TAG_BYTES;
		struct sight s = {.m = pkts[i], .outcome = TAP_SENT};

		set_owners(w, &s);
		set_target(w, &s);
		set_inner(&s, p, len);
		if (w->tap->filter.outer) {
			tell_frame(w, &s, DROP_REASON_COUNT);
			continue;
		}
		if (s.inner == NULL || !wanted(&w->tap->filter, &s)) /* keepalives are empty */
			continue;
		len = ip_length(p, len);
		tell(w, &s, DROP_REASON_COUNT, p, len, len, false);
	}
}

void look_frames(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	if (!w->tap->filter.outer)
		return;
	for (unsigned i = 0; i < n; i++) {
		struct sight s = {.m = pkts[i], .outcome = TAP_SENT, .direction = TAP_OWN, .client = RECORD_NONE,
				  .connector = RECORD_NONE};

		set_target(w, &s);
		if (wanted(&w->tap->filter, &s))
			tell(w, &s, DROP_REASON_COUNT, rte_pktmbuf_mtod(pkts[i], const uint8_t *), pkts[i]->data_len,
			     pkts[i]->data_len, false);
	}
}
