// SPDX-License-Identifier: BSD-3-Clause
// Payload of flows that a name could still decide.
#include "dataplane/stages/hold.h"

#include <rte_malloc.h>

#include "dataplane/inspect/inspect.h"
#include "dataplane/inspect/kept.h"
#include "dataplane/stages/decide.h"
#include "dataplane/stages/payload.h"
#include "dataplane/stages/story.h"
#include "dataplane/stages/verdict.h"
#include "lib/log.h"

#define NONE             UINT16_MAX
#define MS_NS            1000000ull
#define PACKETS_MAX      64 /* of one flow that inspection looks at */
#define EXPIRIES_A_TURN  4
#define MBUFS_SHARE      8 /* at most one in so many of the pool is held */
#define READY_SLACK      256

/* One inspected flow. */
struct held_flow {
	struct inspector in;
	struct flow_entry *flow;
	uint64_t deadline_ns;
	uint32_t client;
	uint16_t prev, next; /* by deadline; free ones by next */
	uint16_t n;
	struct rte_mbuf *pkts[HOLD_PACKETS]; /* in order of arrival */
};

struct hold {
	struct quic_crypto *crypto;
	struct kept_pool *kept;
	uint16_t first, last, free;
	uint32_t budget, held; /* packets, of all flows together, those that are ready included */
	uint32_t ready_head, ready_tail, ready_mask;
	struct rte_mbuf **ready; /* released, not yet taken */
	uint8_t *client_share;   /* objects in use, by client index */
	struct held_flow flows[HOLD_FLOWS];
};

/* ---- what a flow's `user` word says ---- */

enum user_kind { USER_NOTHING, USER_HELD /* index of a held_flow */, USER_KEPT /* slot of the kept names */ };

#define USER_BASE_KNOWN (1ull << 31) /* the upper half is the opener's first sequence number */
#define USER_KIND_SHIFT 29
#define USER_INDEX_MASK ((1u << USER_KIND_SHIFT) - 1)

static enum user_kind user_kind(const struct flow_entry *f)
{
	return (enum user_kind)(f->user >> USER_KIND_SHIFT & 3);
}

static uint32_t user_index(const struct flow_entry *f)
{
	return (uint32_t)f->user & USER_INDEX_MASK;
}

static void set_user(struct flow_entry *f, enum user_kind kind, uint32_t index)
{
	f->user = (f->user & ~(USER_BASE_KNOWN - 1)) | (uint64_t)kind << USER_KIND_SHIFT | index;
}

static void set_base(struct flow_entry *f, uint32_t seq)
{
	f->user = (uint64_t)seq << 32 | USER_BASE_KNOWN | (f->user & (USER_BASE_KNOWN - 1));
}

static uint32_t base_of(const struct flow_entry *f)
{
	return (uint32_t)(f->user >> 32);
}

static struct held_flow *held_of(const struct worker *w, const struct flow_entry *f)
{
	return user_kind(f) == USER_HELD ? &w->hold->flows[user_index(f)] : NULL;
}

/* ---- making and freeing ---- */

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

bool hold_create(struct worker *w)
{
	const struct edge_config *c = &w->edge->config;
	uint32_t kept = c->cap_flows / 4 < HOLD_KEPT_MAX ? c->cap_flows / 4 : HOLD_KEPT_MAX;
	struct hold *h = w->hold = rte_zmalloc("hold", sizeof(*h), 64);
	void *kept_memory = rte_malloc("names", kept_pool_size(kept), 64);

	if (h == NULL || kept_memory == NULL) {
		rte_free(kept_memory);
		return false;
	}
	h->kept = kept_pool_init(kept_memory, kept);
	h->budget = c->cap_mbufs / MBUFS_SHARE / (w->edge->n_workers > 0 ? w->edge->n_workers : 1);
	h->ready_mask = power_of_two(h->budget + READY_SLACK) - 1;
	h->ready = rte_malloc("ready", sizeof(h->ready[0]) * (h->ready_mask + 1), 64);
	h->client_share = rte_zmalloc("shares", w->edge->records->max_clients, 64);
	if (h->ready == NULL || h->client_share == NULL)
		return false;
	h->first = h->last = NONE;
	for (uint16_t i = 0; i < HOLD_FLOWS; i++)
		h->flows[i].next = i + 1 < HOLD_FLOWS ? (uint16_t)(i + 1) : NONE;
	h->crypto = quic_crypto_create();
	if (h->crypto == NULL)
		log_warn("worker %u: no AES instructions: names in QUIC are not seen", w->id);
	return true;
}

void hold_destroy(struct worker *w)
{
	struct hold *h = w->hold;
	struct rte_mbuf *pkts[BURST_MAX];
	unsigned n;

	if (h == NULL)
		return;
	for (unsigned i = 0; i < HOLD_FLOWS; i++)
		for (unsigned k = 0; k < h->flows[i].n; k++)
			rte_pktmbuf_free(h->flows[i].pkts[k]);
	while (h->ready != NULL && (n = hold_take(w, pkts)) > 0)
		rte_pktmbuf_free_bulk(pkts, n);
	quic_crypto_destroy(h->crypto);
	rte_free(h->kept);
	rte_free(h->ready);
	rte_free(h->client_share);
	rte_free(h);
	w->hold = NULL;
}

/* ---- objects ---- */

/* An inspector for the flow; NULL: none is free, or the client has its share. */
static struct held_flow *acquire(struct worker *w, struct flow_entry *f)
{
	const struct settings_record *s = settings_get(w->edge->records);
	const struct inspect_limits limits = {.bytes = s->inspect_max_bytes, .packets = PACKETS_MAX};
	struct hold *h = w->hold;
	struct held_flow *x;
	uint16_t i = h->free;

	if (user_kind(f) == USER_KEPT) { /* of the question before */
		kept_free(h->kept, user_index(f));
		hold_moved(f);
	}
	if (i == NONE || h->client_share[f->key.client] >= HOLD_CLIENT_SHARE)
		return NULL;
	x = &h->flows[i];
	h->free = x->next;
	h->client_share[f->key.client]++;
	x->client = f->key.client;
	x->flow = f;
	x->n = 0;
	x->deadline_ns = w->now_ns + s->inspect_timeout_ms * MS_NS;
	x->next = NONE;
	x->prev = h->last;
	if (h->last != NONE)
		h->flows[h->last].next = i;
	else
		h->first = i;
	h->last = i;
	inspect_start(&x->in, f->key.proto == INNER_TCP ? INSPECT_TCP : INSPECT_UDP, base_of(f), &limits);
	set_user(f, USER_HELD, i);
	w->counters.inspect_started++;
	w->counters.inspect_active++;
	return x;
}

/* Gives the object back; its packets have gone. */
static void give_back(struct worker *w, struct held_flow *x)
{
	struct hold *h = w->hold;
	uint16_t i = (uint16_t)(x - h->flows);
	unsigned end = x->in.end == INSPECT_RUNNING ? INSPECT_END_decided : x->in.end;

	if (x->prev != NONE)
		h->flows[x->prev].next = x->next;
	else
		h->first = x->next;
	if (x->next != NONE)
		h->flows[x->next].prev = x->prev;
	else
		h->last = x->prev;
	h->client_share[x->client]--;
	x->flow = NULL;
	x->next = h->free;
	h->free = i;
	w->counters.inspect_ends[end]++;
	w->counters.inspect_active--;
}

static bool put_packet(struct worker *w, struct held_flow *x, struct rte_mbuf *m)
{
	struct hold *h = w->hold;

	if (x->n == HOLD_PACKETS || h->held >= h->budget)
		return false;
	x->pkts[x->n++] = m;
	h->held++;
	return true;
}

static void put_ready(struct worker *w, struct rte_mbuf *m)
{
	struct hold *h = w->hold;

	if (h->ready_tail - h->ready_head > h->ready_mask) {
		h->held--;
		worker_drop(w, m, DROP_no_mbuf);
		return;
	}
	h->ready[h->ready_tail++ & h->ready_mask] = m;
}

unsigned hold_take(struct worker *w, struct rte_mbuf **pkts)
{
	struct hold *h = w->hold;
	unsigned n = 0;

	while (n < BURST_MAX && h->ready_head != h->ready_tail) {
		struct rte_mbuf *m = h->ready[h->ready_head++ & h->ready_mask];

		pkt_meta(m)->flow = NULL;
		pkts[n++] = m;
	}
	h->held -= n;
	return n;
}

static void drop_packets(struct worker *w, struct held_flow *x, enum drop_reason reason)
{
	for (unsigned i = 0; i < x->n; i++)
		worker_drop(w, x->pkts[i], reason);
	w->hold->held -= x->n;
	x->n = 0;
}

/* The object goes, its names stay. */
static void keep_names(struct worker *w, struct held_flow *x)
{
	struct flow_entry *f = x->flow;
	uint32_t slot;

	inspect_end(&x->in, INSPECT_END_decided);
	slot = kept_put(w->hold->kept, &x->in.names);
	if (slot == KEPT_NONE)
		set_user(f, USER_NOTHING, 0);
	else
		set_user(f, USER_KEPT, slot);
	give_back(w, x);
}

void hold_release(struct worker *w, struct flow_entry *f)
{
	struct held_flow *x = held_of(w, f);

	if (x == NULL)
		return;
	for (unsigned i = 0; i < x->n; i++)
		put_ready(w, x->pkts[i]);
	x->n = 0;
	keep_names(w, x);
}

void hold_forget(struct worker *w, const struct flow_entry *f)
{
	struct held_flow *x = held_of(w, f);

	if (x != NULL) {
		inspect_end(&x->in, INSPECT_END_closed);
		drop_packets(w, x, DROP_inspect_closed);
		give_back(w, x);
	} else if (user_kind(f) == USER_KEPT) {
		kept_free(w->hold->kept, user_index(f));
	}
}

void hold_drop(struct worker *w, struct flow_entry *f, enum drop_reason reason)
{
	struct held_flow *x = held_of(w, f);

	if (x != NULL)
		drop_packets(w, x, reason);
	hold_forget(w, f);
	hold_moved(f);
}

void hold_moved(struct flow_entry *f)
{
	set_user(f, USER_NOTHING, 0);
}

const struct names *hold_names(const struct worker *w, const struct flow_entry *f, struct names *out)
{
	const struct held_flow *x = held_of(w, f);

	if (x != NULL)
		*out = x->in.names;
	else if (user_kind(f) == USER_KEPT)
		kept_get(w->hold->kept, user_index(f), out);
	else
		return NULL;
	return out;
}

const struct names *hold_too_late(struct worker *w)
{
	w->counters.inspect_ends[INSPECT_END_mid_stream]++;
	return &names_missing;
}

/* ---- the verdict ---- */

static bool from_opener(const struct rte_mbuf *m, const struct flow_entry *f)
{
	return (pkt_meta_const(m)->direction == PKT_UP) != ((f->flags & FLOW_FLAG_FROM_REMOTE) != 0);
}

/* What resets are made about: of the packets that are held, that which its receiver waits for. */
static struct rte_mbuf *first_in_sequence(const struct held_flow *x)
{
	struct rte_mbuf *first = NULL;
	uint32_t lowest = 0;

	for (unsigned i = 0; i < x->n; i++) {
		struct rte_mbuf *m = x->pkts[i];
		const struct pkt_meta *meta = pkt_meta_const(m);
		struct payload p;

		if (!payload_read(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, meta->proto, meta->l4_offset, &p))
			continue;
		/* the opener's before the other side's: there the first number is known */
		if (first != NULL && from_opener(first, x->flow) && !from_opener(m, x->flow))
			continue;
		if (first != NULL && from_opener(first, x->flow) == from_opener(m, x->flow) && (int32_t)(p.seq - lowest) >= 0)
			continue;
		first = m;
		lowest = p.seq;
	}
	return first;
}

/* For the log and the counters: who refuses the packet. */
static void note_decision(struct pkt_meta *meta, const struct decision *d)
{
	meta->rule = d->rule;
	meta->route = d->tunnel == NULL ? RECORD_NONE : d->route;
}

/* Refuses the flow: its packets are dropped, both sides hear it. */
static void deny(struct worker *w, struct held_flow *x, const struct decision *d, enum drop_reason reason)
{
	const struct denial why = {.reason = reason, .silent = d->silent, .cut = x->flow->key.proto == INNER_TCP};
	struct rte_mbuf *m = first_in_sequence(x);
	struct flow_entry *f = x->flow;

	decide_block(w, f, d, reason);
	if (m != NULL) {
		struct pkt_meta *meta = pkt_meta(m);

		if (meta->proto == INNER_TCP && from_opener(m, f))
			payload_set_seq(rte_pktmbuf_mtod(m, uint8_t *), meta->l4_offset, x->in.base_seq);
		note_decision(meta, d);
		meta->flow = f;
		story_verdict(w, meta, reason);
		refuse_answer(w, m, &why);
	}
	hold_drop(w, f, reason);
}

/* What the tables and the setting say of the names so far. DROP_REASON_COUNT: it may pass, or (d->pending) is still open. */
static enum drop_reason ask(struct worker *w, const struct flow_entry *f, const struct names *names, bool limit,
			    struct decision *d)
{
	bool from_private = f->flags & FLOW_FLAG_FROM_REMOTE;
	enum drop_reason reason = verdict_of(w, &f->key, from_private, names, d);

	if (!limit || reason != DROP_REASON_COUNT || settings_get(w->edge->records)->inspect_unknown_continue)
		return reason;
	d->rule = POLICY_RULE_DEFAULT;
	d->silent = false;
	return DROP_inspect_limit;
}

/* Decides an inspected flow if it can be. False: it waits on. */
static bool settle(struct worker *w, struct held_flow *x)
{
	struct flow_entry *f = x->flow;
	struct decision d;
	enum drop_reason reason = ask(w, f, &x->in.names, inspect_end_is_limit(x->in.end), &d);

	if (reason != DROP_REASON_COUNT) {
		deny(w, x, &d, reason);
		return true;
	}
	if (d.pending)
		return false;
	decide_allow(w, f, &d); /* releases it */
	return true;
}

/* Decides a flow without an inspector, by this packet alone. */
static enum hold_outcome settle_without(struct worker *w, struct rte_mbuf *m, enum inspect_end end, struct denial *why)
{
	struct flow_entry *f = pkt_meta(m)->flow;
	struct decision d;
	enum drop_reason reason = ask(w, f, &names_missing, inspect_end_is_limit(end), &d);

	w->counters.inspect_ends[end]++;
	if (reason == DROP_REASON_COUNT) {
		decide_allow(w, f, &d);
		return HOLD_PASS;
	}
	decide_block(w, f, &d, reason);
	note_decision(pkt_meta(m), &d);
	*why = (struct denial){.reason = reason, .silent = d.silent, .cut = f->key.proto == INNER_TCP};
	return HOLD_REFUSED;
}

/* An inspector that has seen m answered step: m is held, or goes with the verdict. */
static enum hold_outcome after_step(struct worker *w, struct held_flow *x, struct rte_mbuf *m, enum inspect_step step,
				    struct denial *why)
{
	struct flow_entry *f = x->flow;

	if (step == INSPECT_REFUSE || step == INSPECT_AGAIN) {
		why->reason = step == INSPECT_REFUSE ? DROP_inspect_conflict : DROP_inspect_again;
		return HOLD_REFUSED;
	}
	if (!put_packet(w, x, m)) {
		inspect_end(&x->in, INSPECT_END_limit_held);
		settle(w, x);
		if (f->verdict == FLOW_VERDICT_ALLOW) {
			w->hold->held++;
			put_ready(w, m);
		} else {
			worker_drop(w, m, DROP_inspect_limit);
		}
		return HOLD_TAKEN;
	}
	settle(w, x);
	return HOLD_TAKEN;
}

/* ---- packets ---- */

static enum hold_outcome refuse(struct denial *why, enum drop_reason reason)
{
	why->reason = reason;
	return HOLD_REFUSED;
}

static bool checksum_ok(const struct rte_mbuf *m)
{
	const struct pkt_meta *meta = pkt_meta_const(m);

	return payload_checksum_ok(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, meta->inner_family, meta->proto,
				   meta->l4_offset);
}

/* A SYN tells where the opener's bytes begin. Data in it would reach the far end before the verdict. */
static enum hold_outcome hold_syn(struct worker *w, struct flow_entry *f, const struct payload *p, bool opener,
				  struct denial *why)
{
	const struct held_flow *x = held_of(w, f);

	if (p->len > 0)
		return refuse(why, DROP_inspect_syn_data);
	if (!opener)
		return HOLD_PASS;
	if (x != NULL && x->in.base_seq != p->seq + 1)
		hold_drop(w, f, DROP_inspect_closed); /* another connection on the same ports */
	set_base(f, p->seq + 1);
	return HOLD_PASS;
}

static enum hold_outcome hold_tcp(struct worker *w, struct rte_mbuf *m, const struct payload *p, struct denial *why)
{
	struct flow_entry *f = pkt_meta(m)->flow;
	bool opener = from_opener(m, f), fin = p->flags & FLOW_TCP_FLAG_FIN;
	struct held_flow *x = held_of(w, f);

	if (p->flags & FLOW_TCP_FLAG_RST) {
		hold_drop(w, f, DROP_inspect_closed);
		return HOLD_PASS;
	}
	if (p->flags & FLOW_TCP_FLAG_SYN)
		return hold_syn(w, f, p, opener, why);
	if (p->len == 0 && !(fin && opener))
		return HOLD_PASS;
	if (!(f->user & USER_BASE_KNOWN))
		return settle_without(w, m, INSPECT_END_mid_stream, why);
	if (opener && !fin && (int32_t)(p->seq + p->len - base_of(f)) <= 0)
		return HOLD_PASS; /* a keepalive probe: the far end has that byte */
	if (!checksum_ok(m))
		return refuse(why, DROP_inspect_checksum);
	if (x == NULL)
		x = acquire(w, f);
	if (x == NULL)
		return settle_without(w, m, INSPECT_END_no_inspector, why);
	return after_step(w, x, m,
			  opener ? inspect_segment(&x->in, p->seq, p->data, p->len, fin)
				 : inspect_server_first(&x->in, p->data, p->len),
			  why);
}

/* A question of DNS: its verdict is its own, and the flow stays as it is for the next. */
static enum hold_outcome settle_question(struct worker *w, struct held_flow *x, struct rte_mbuf *m, struct denial *why)
{
	struct flow_entry *f = x->flow;
	struct decision d;
	enum drop_reason reason = ask(w, f, &x->in.names, false, &d);

	if (reason == DROP_REASON_COUNT) {
		d.pending = true;
		decide_allow(w, f, &d);
		if (!(f->flags & FLOW_FLAG_LOGGED))
			story_begin(w, f);
	}
	keep_names(w, x); /* for the log */
	if (reason == DROP_REASON_COUNT)
		return HOLD_PASS;
	note_decision(pkt_meta(m), &d);
	*why = (struct denial){.reason = reason, .silent = d.silent};
	return HOLD_REFUSED;
}

static enum hold_outcome hold_udp(struct worker *w, struct rte_mbuf *m, const struct payload *p, struct denial *why)
{
	struct flow_entry *f = pkt_meta(m)->flow;
	struct held_flow *x = held_of(w, f);
	enum inspect_step step;

	if (!from_opener(m, f)) /* an answer to what was let through; before, there is nothing to answer */
		return f->packets_up + f->packets_down > 0 ? HOLD_PASS : refuse(why, DROP_no_flow);
	if (!checksum_ok(m))
		return refuse(why, DROP_inspect_checksum);
	if (x == NULL)
		x = acquire(w, f);
	if (x == NULL)
		return settle_without(w, m, INSPECT_END_no_inspector, why);
	step = inspect_datagram(&x->in, w->hold->crypto, p->data, p->len);
	if (x->in.names.protocol == DETECTED_DNS && x->n == 0)
		return settle_question(w, x, m, why);
	return after_step(w, x, m, step, why);
}

enum hold_outcome hold_packet(struct worker *w, struct rte_mbuf *m, struct denial *why)
{
	const struct pkt_meta *meta = pkt_meta_const(m);
	struct payload p;

	if (meta->flags & PKT_ICMP_ERROR)
		return HOLD_PASS;
	if (meta->flags & PKT_FRAGMENT) { /* what a fragment says cannot be known before all of them are there */
		struct held_flow *x = held_of(w, meta->flow);

		if (x == NULL)
			return settle_without(w, m, INSPECT_END_limit_held, why);
		inspect_end(&x->in, INSPECT_END_limit_held);
		return after_step(w, x, m, INSPECT_FINAL, why);
	}
	if (!payload_read(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, meta->proto, meta->l4_offset, &p))
		return refuse(why, DROP_inner_malformed);
	return meta->proto == INNER_TCP ? hold_tcp(w, m, &p, why) : hold_udp(w, m, &p, why);
}

unsigned hold_turn(struct worker *w)
{
	struct hold *h = w->hold;
	unsigned n = 0;

	while (n < EXPIRIES_A_TURN && h->first != NONE && h->flows[h->first].deadline_ns <= w->now_ns) {
		struct held_flow *x = &h->flows[h->first];

		inspect_end(&x->in, INSPECT_END_timeout);
		settle(w, x);
		n++;
	}
	return n;
}
