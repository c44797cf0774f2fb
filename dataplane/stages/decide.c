// SPDX-License-Identifier: BSD-3-Clause
// Stage decide: a packet without a flow, or with one decided under older tables, is decided before it goes anywhere:
// destination, route, verdict, connector. Blocked packets never leave (decision 9).
#include "dataplane/stages/decide.h"

#include "dataplane/peers.h"
#include "dataplane/stages/ahead.h"
#include "dataplane/stages/failover.h"
#include "dataplane/stages/hold.h"
#include "dataplane/stages/icmp_error.h"
#include "dataplane/stages/limits.h"
#include "dataplane/stages/refuse.h"
#include "dataplane/stages/story.h"
#include "dataplane/stages/verdict.h"

#define NS_PER_TICK (1000000000ull / FLOW_TICKS_PER_S)

/* A connector and session for the flow. Within the restart window the pick ignores liveness, so that a flow comes
 * back to the connector that has its state. */
static enum drop_reason choose(struct worker *w, const struct flow_key *key, const struct decision *d, bool mid_stream,
			       uint32_t *session)
{
	uint32_t connector = connector_pick(w->edge, d->tunnel, key, d->client_address, mid_stream);

	*session = connector == RECORD_NONE ? RECORD_NONE : connector_session(w->edge, connector, w->id);
	return *session == RECORD_NONE ? DROP_no_connector : DROP_REASON_COUNT;
}

/* Decisions 13 and 14: any session of this tunnel, and of no other. */
static bool comes_from(const struct worker *w, const struct pkt_meta *meta, uint32_t tunnel)
{
	const struct peer_record *from = peer_record_get(w->edge->records, meta->peer);

	return from != NULL && from->tunnel == tunnel;
}

static enum drop_reason wrong_tunnel(const struct pkt_meta *meta)
{
	return meta->flags & PKT_ICMP_ERROR ? DROP_icmp_no_flow : DROP_flow_wrong_tunnel;
}

void decide_allow(struct worker *w, struct flow_entry *f, const struct decision *d)
{
	if (d->tunnel->index != f->tunnel)
		f->session = RECORD_NONE;
	verdict_stamp(f, d);
	f->tunnel = d->tunnel->index;
	limits_set_verdict(w, f, d->pending ? FLOW_VERDICT_PENDING : FLOW_VERDICT_ALLOW);
	if (!d->pending)
		hold_release(w, f);
	story_decided(w, f, d->route);
}

/* What neither rule nor setting decided is looked at again with each packet. */
void decide_block(struct worker *w, struct flow_entry *f, const struct decision *d, enum drop_reason reason)
{
	limits_set_verdict(w, f, FLOW_VERDICT_BLOCK);
	f->timeout_class = FLOW_CLASS_BLOCKED;
	f->last_seen = (uint32_t)(w->now_ns / NS_PER_TICK);
	f->gen_client = 0; /* never current */
	if (reason != DROP_policy_block && reason != DROP_inspect_limit)
		return;
	verdict_stamp(f, d);
	f->tunnel = d->tunnel->index;
	f->flags = (uint8_t)((f->flags & ~FLOW_FLAG_SILENT) | (d->silent ? FLOW_FLAG_SILENT : 0));
	story_decided(w, f, d->route);
}

/* The names that a flow is decided by again. While a UDP flow is pending each datagram has its own. */
static const struct names *names_of(const struct worker *w, const struct flow_entry *f, struct names *known)
{
	return f->verdict == FLOW_VERDICT_PENDING && f->key.proto == INNER_UDP ? NULL : hold_names(w, f, known);
}

static enum drop_reason decide_again(struct worker *w, struct flow_entry *f, struct decision *d, struct denial *why)
{
	bool from_private = f->flags & FLOW_FLAG_FROM_REMOTE, was_allowed = f->verdict == FLOW_VERDICT_ALLOW;
	struct names known;
	enum drop_reason reason = verdict_of(w, &f->key, from_private, names_of(w, f, &known), d);

	/* a connection's first bytes are over; the next datagram tells as much as the first one did */
	if (d->pending && was_allowed && f->key.proto == INNER_TCP)
		reason = verdict_of(w, &f->key, from_private, hold_too_late(w), d);
	if (reason == DROP_REASON_COUNT) {
		decide_allow(w, f, d);
		return reason;
	}
	why->cut = was_allowed;
	decide_block(w, f, d, reason);
	hold_drop(w, f, reason);
	return reason;
}

/* A flow is there: decide again where tables moved on, choose again where its connector is gone. */
static enum drop_reason check_flow(struct worker *w, struct pkt_meta *meta, struct flow_entry *f, struct denial *why)
{
	bool current = verdict_is_current(w, f), down = meta->direction == PKT_DOWN;
	enum drop_reason reason = DROP_REASON_COUNT;
	struct names known;
	uint32_t session;
	struct decision d;

	if (!current)
		reason = decide_again(w, f, &d, why);
	else if (f->verdict == FLOW_VERDICT_BLOCK)
		reason = DROP_policy_block;
	if (down && !comes_from(w, meta, f->tunnel) && (reason == DROP_REASON_COUNT || reason == DROP_policy_block))
		return wrong_tunnel(meta);
	if (reason != DROP_REASON_COUNT) {
		meta->rule = f->rule;
		meta->route = f->route;
		why->silent = f->flags & FLOW_FLAG_SILENT;
		f->last_seen = (uint32_t)(w->now_ns / NS_PER_TICK);
		return reason;
	}
	if (down) {
		if ((f->flags & FLOW_FLAG_MID_STREAM) || !failover_session_usable(w, f))
			failover_carry(w, f, meta->peer);
		return DROP_REASON_COUNT;
	}
	if (f->session != RECORD_NONE && failover_session_usable(w, f))
		return DROP_REASON_COUNT;
	session = failover_sibling(w, f);
	if (session != RECORD_NONE) {
		failover_carry(w, f, session);
		return DROP_REASON_COUNT;
	}
	if (failover_ends(w, f))
		return DROP_connector_lost;
	if (current && verdict_of(w, &f->key, f->flags & FLOW_FLAG_FROM_REMOTE, names_of(w, f, &known), &d) != DROP_REASON_COUNT)
		return DROP_no_route;
	reason = choose(w, &f->key, &d, f->flags & FLOW_FLAG_MID_STREAM && decide_in_recreate_window(w), &session);
	failover_carry(w, f, session);
	return reason;
}

/* The TCP state a new flow begins in; false when this packet cannot begin one. */
static bool first_tcp_state(const struct pkt_meta *meta, struct flow_entry *f)
{
	bool up = meta->direction == PKT_UP;
	struct flow_tcp_step step;

	if (meta->key.proto != INNER_TCP || (meta->flags & PKT_LATER_FRAGMENT))
		return true;
	step = flow_tcp_next(FLOW_TCP_NONE, meta->tcp_flags, up);
	if (step.fits) {
		f->tcp_state = FLOW_TCP_NONE; /* act moves it on with each packet */
		return true;
	}
	f->tcp_state = flow_tcp_mid_stream(meta->tcp_flags, up);
	f->flags |= FLOW_FLAG_MID_STREAM;
	return f->tcp_state != FLOW_TCP_NONE;
}

/* What the private side may begin with: a bare SYN, a datagram, an echo request. */
static bool is_opening(const struct rte_mbuf *m)
{
	const struct pkt_meta *meta = pkt_meta_const(m);
	const uint8_t type = rte_pktmbuf_mtod(m, const uint8_t *)[meta->l4_offset];

	switch (meta->proto) {
	case INNER_TCP:
		return (meta->tcp_flags & (FLOW_TCP_FLAG_SYN | FLOW_TCP_FLAG_ACK | FLOW_TCP_FLAG_RST | FLOW_TCP_FLAG_FIN)) ==
		       FLOW_TCP_FLAG_SYN;
	case INNER_UDP:
		return true;
	case INNER_ICMP:
		return type == 8;
	default:
		return type == 128;
	}
}

/* A fresh entry for the packet's key: in place of the ended flow that has it, or a new one. NULL: the table is full. */
static struct flow_entry *begin(struct worker *w, struct pkt_meta *meta)
{
	struct flow_entry *f = meta->flow;

	if (f == NULL) {
		f = flow_insert(w->flows, &meta->key, meta->flow_hash);
		if (f == NULL)
			return NULL;
	} else { /* not removed: earlier packets of this burst still point to it */
		story_restarted(w, f);
		hold_forget(w, f);
		f->user = 0;
		w->counters.flows_ended++;
		f->packets_up = f->bytes_up = f->packets_down = f->bytes_down = 0;
		f->tcp_state = FLOW_TCP_NONE;
	}
	f->flags = 0;
	f->session = RECORD_NONE;
	f->start_ns = w->now_ns;
	w->counters.flows_created++;
	return f;
}

/* A refused beginning of a client: kept where there is room. */
static void keep_blocked(struct worker *w, struct pkt_meta *meta, const struct decision *d)
{
	struct flow_entry *f;

	if ((meta->flags & PKT_LATER_FRAGMENT) ||
	    (meta->flow == NULL && !limits_may_keep_blocked(w, meta->key.client)))
		return;
	f = begin(w, meta);
	if (f == NULL)
		return;
	decide_block(w, f, d, DROP_policy_block);
	meta->flow = f;
}

/*
 * Whether the packet may open the flow, and as whose: a client may by the rules; the private side where a rule lets it; and
 * in the window after a restart either may bring back what either had opened.
 */
static enum drop_reason may_open(struct worker *w, const struct rte_mbuf *m, struct decision *d, bool *from_private)
{
	const struct pkt_meta *meta = pkt_meta_const(m);
	bool back = decide_in_recreate_window(w) && decide_is_mid_stream(meta), down = meta->direction == PKT_DOWN;
	enum drop_reason reason;

	if (down && !back && ((meta->flags & PKT_LATER_FRAGMENT) || !is_opening(m)))
		return DROP_no_flow;
	*from_private = down && !back;
	reason = verdict_of(w, &meta->key, *from_private, NULL, d);
	if (back && reason == DROP_policy_block && verdict_of(w, &meta->key, true, NULL, d) == DROP_REASON_COUNT) {
		*from_private = true;
		reason = DROP_REASON_COUNT;
	}
	if (down && (reason == DROP_policy_block || reason == DROP_no_route))
		return DROP_no_flow;
	return reason;
}

/* No flow yet, or one that has ended and whose ports begin anew. */
static enum drop_reason open_flow(struct worker *w, struct rte_mbuf *m, struct denial *why)
{
	struct pkt_meta *meta = pkt_meta(m);
	bool down = meta->direction == PKT_DOWN, from_private = false;
	struct flow_entry *f, first = {0};
	uint32_t session = meta->peer;
	enum drop_reason reason;
	struct decision d;

	if (meta->flags & PKT_ICMP_ERROR)
		return DROP_icmp_no_flow;
	reason = may_open(w, m, &d, &from_private);
	if (reason == DROP_policy_block) {
		meta->rule = d.rule;
		meta->route = d.tunnel == NULL ? RECORD_NONE : d.route;
		why->silent = d.silent;
		keep_blocked(w, meta, &d);
	}
	if (reason != DROP_REASON_COUNT)
		return reason;
	if (down && !comes_from(w, meta, d.tunnel->index))
		return DROP_flow_wrong_tunnel;
	if (meta->flags & PKT_LATER_FRAGMENT) /* its first one opened nothing */
		return DROP_fragment_no_first;
	if (!first_tcp_state(meta, &first))
		return DROP_no_flow;
	if (!down) {
		reason = choose(w, &meta->key, &d, decide_is_mid_stream(meta) && decide_in_recreate_window(w), &session);
		if (reason != DROP_REASON_COUNT)
			return reason;
	}
	if (!limits_may_open(w, meta->key.client))
		return DROP_client_flow_limit;
	f = begin(w, meta);
	if (f == NULL)
		return DROP_flow_table_full;
	f->tcp_state = first.tcp_state;
	f->flags = (uint8_t)(first.flags | (from_private ? FLOW_FLAG_FROM_REMOTE : 0));
	decide_allow(w, f, &d);
	failover_carry(w, f, session);
	meta->flow = f;
	return DROP_REASON_COUNT;
}

/* A SYN on a flow that has ended is a new connection on old ports, maybe the other way round: it is decided as new. */
static bool is_new_start(const struct pkt_meta *meta, const struct flow_entry *f)
{
	return meta->key.proto == INNER_TCP && (meta->tcp_flags & FLOW_TCP_FLAG_SYN) &&
	       !(meta->flags & (PKT_LATER_FRAGMENT | PKT_ICMP_ERROR)) &&
	       flow_tcp_next(f->tcp_state, meta->tcp_flags, meta->direction == PKT_UP).new_start;
}

/* A refusal of one side's beginning is none of the other side's: it may begin on the same ports where the rules let it. */
static bool is_other_side(struct worker *w, const struct rte_mbuf *m, const struct flow_entry *f)
{
	const struct pkt_meta *meta = pkt_meta_const(m);
	bool down = meta->direction == PKT_DOWN;
	struct decision d;

	return f->verdict == FLOW_VERDICT_BLOCK && down != !!(f->flags & FLOW_FLAG_FROM_REMOTE) &&
	       !(meta->flags & (PKT_LATER_FRAGMENT | PKT_ICMP_ERROR)) && is_opening(m) &&
	       verdict_of(w, &meta->key, down, NULL, &d) == DROP_REASON_COUNT;
}

/* How one packet fares: HOLD_PASS, HOLD_TAKEN, or HOLD_REFUSED as *why says. */
static enum hold_outcome decide(struct worker *w, struct rte_mbuf *m, struct denial *why)
{
	struct pkt_meta *meta = pkt_meta(m);
	const struct client_record *client;

	*why = (struct denial){.reason = DROP_REASON_COUNT};
	meta->rule = meta->route = RECORD_NONE;
	if (meta->flow == NULL) /* an earlier packet of this burst may have made it */
		meta->flow = flow_lookup(w->flows, &meta->key, meta->flow_hash);
	if (meta->flow != NULL && !is_new_start(meta, meta->flow) && !is_other_side(w, m, meta->flow))
		why->reason = check_flow(w, meta, meta->flow, why);
	else
		why->reason = open_flow(w, m, why);
	if (why->reason != DROP_REASON_COUNT)
		return HOLD_REFUSED;
	client = client_get(w->edge->records, meta->key.client);
	if (client == NULL || !limits_may_pass(w, m, client)) {
		why->reason = DROP_client_rate;
		return HOLD_REFUSED;
	}
	return __builtin_expect(meta->flow->verdict == FLOW_VERDICT_PENDING, 0) ? hold_packet(w, m, why) : HOLD_PASS;
}

unsigned stage_decide(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	unsigned kept = 0;

	ahead_of_decisions(w, pkts, n);
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct denial why;
		enum hold_outcome outcome = decide(w, m, &why);

		if (outcome == HOLD_TAKEN || (why.reason == DROP_to_edge && icmp_echo_reply(w, m)))
			continue;
		story_verdict(w, pkt_meta(m), why.reason);
		if (outcome == HOLD_PASS) {
			pkts[kept++] = m;
			continue;
		}
		refuse_answer(w, m, &why);
		worker_drop(w, m, why.reason);
	}
	return kept;
}
