// SPDX-License-Identifier: BSD-3-Clause
// Stage decide: a packet without a flow, or with one decided under older tables, is decided before it goes anywhere:
// destination, route, verdict, connector. Blocked packets never leave (decision 9).
#include "dataplane/stages/stage.h"

#include "dataplane/peers.h"
#include "dataplane/stages/icmp_error.h"
#include "dataplane/stages/inner.h"
#include "dataplane/stages/story.h"
#include "dataplane/tables/device_table.h"
#include "dataplane/tables/route_table.h"

/* Decision 14: for so long after start a mid-stream packet may bring its flow back. */
#define RECREATE_WINDOW_NS (120ull * 1000 * 1000 * 1000)

/* Everything that a decision is made of; one lookup each. */
struct decision {
	const struct client_record *client;
	const struct account_record *account;
	const struct vnet_record *vnet;
	const struct tunnel_record *tunnel;
	const uint8_t *client_address;
};

static bool in_recreate_window(const struct worker *w)
{
	return w->now_ns - w->edge->started_ns < RECREATE_WINDOW_NS;
}

static bool is_edge_address(const struct account_record *account, const struct flow_key *key)
{
	return key->family == 4 ? account->has_edge_v4 && memcmp(account->edge_v4, key->remote_addr, 4) == 0
				: account->has_edge_v6 && memcmp(account->edge_v6, key->remote_addr, 16) == 0;
}

static bool is_device_address(const struct edge *edge, uint32_t account, const struct flow_key *key)
{
	struct device_key device;
	uint32_t v4;

	if (key->family == 4) {
		memcpy(&v4, key->remote_addr, 4);
		device_key_v4(&device, account, v4);
	} else {
		device_key_v6(&device, account, key->remote_addr);
	}
	return device_lookup(edge->devices, &device) != DEVICE_NONE;
}

static uint32_t route_of(const struct edge *edge, const struct vnet_record *vnet, const struct flow_key *key)
{
	uint32_t v4;

	if (key->family == 6)
		return route_lookup_v6(edge->routes, vnet->index, key->remote_addr);
	memcpy(&v4, key->remote_addr, 4);
	return route_lookup_v4(edge->routes, vnet->index, v4);
}

/*
 * Evaluates the flow's key against the tables, in the client's direction whichever way the packet goes.
 * DROP_REASON_COUNT: it may pass, and d is whole.
 */
static enum drop_reason evaluate(struct worker *w, const struct flow_key *key, struct decision *d)
{
	const struct records *r = w->edge->records;
	uint32_t tunnel;

	d->client = client_get(r, key->client);
	if (d->client == NULL || !d->client->enabled)
		return DROP_peer_disabled;
	d->account = account_get(r, d->client->account);
	d->vnet = vnet_get(r, d->client->vnet);
	if (d->account == NULL || d->vnet == NULL)
		return DROP_no_route;
	d->client_address = key->family == 4 ? d->client->v4 : d->client->v6;
	if (is_edge_address(d->account, key))
		return DROP_to_edge;
	if (is_device_address(w->edge, d->account->index, key))
		return DROP_client_to_client;
	tunnel = route_of(w->edge, d->vnet, key);
	d->tunnel = tunnel == ROUTE_NONE ? NULL : tunnel_get(r, tunnel);
	if (d->tunnel == NULL || d->tunnel->account != d->account->index)
		return DROP_no_route;
	if (!d->account->default_allow)
		return DROP_policy_block;
	return DROP_REASON_COUNT;
}

/* A connector and session for the flow. Within the restart window the pick ignores liveness, so that a flow comes
 * back to the connector that has its state. */
static enum drop_reason choose(struct worker *w, const struct flow_key *key, const struct decision *d, bool mid_stream,
			       uint32_t *session)
{
	uint32_t connector = connector_pick(w->edge, d->tunnel, key, d->client_address, mid_stream);

	*session = connector == RECORD_NONE ? RECORD_NONE : connector_session(w->edge, connector, w->id);
	return *session == RECORD_NONE ? DROP_no_connector : DROP_REASON_COUNT;
}

static void stamp_generations(struct worker *w, struct flow_entry *f, const struct decision *d)
{
	f->gen_policy = d->account->policy_generation;
	f->gen_client = d->client->generation;
	f->gen_routes = d->vnet->routes_generation;
	f->revision = d->account->policy_revision;
	f->rule = RECORD_NONE;
	f->tunnel = d->tunnel->index;
	f->verdict = FLOW_VERDICT_ALLOW;
	story_decided(w, f);
}

static bool is_current(const struct worker *w, const struct flow_entry *f)
{
	const struct records *r = w->edge->records;
	const struct client_record *client = client_get(r, f->key.client);
	const struct account_record *account;
	const struct vnet_record *vnet;

	if (client == NULL || client->generation != f->gen_client)
		return false;
	account = account_get(r, client->account);
	vnet = vnet_get(r, client->vnet);
	return account != NULL && vnet != NULL && account->policy_generation == f->gen_policy &&
	       vnet->routes_generation == f->gen_routes;
}

/* The session that carries the flow is still up. */
static bool session_usable(const struct worker *w, const struct flow_entry *f)
{
	const struct peer_record *record = peer_record_get(w->edge->records, f->session);

	return record != NULL && record->kind == PEER_CONNECTOR && record->tunnel == f->tunnel && record->enabled &&
	       __atomic_load_n(&w->edge->peers[f->session].settled, __ATOMIC_RELAXED) &&
	       connector_alive(w->edge, record->connector);
}

/* A flow is there: decide again where tables moved on, choose again where its connector is gone. */
static enum drop_reason check_flow(struct worker *w, struct pkt_meta *meta, struct flow_entry *f)
{
	bool current = is_current(w, f), down = meta->direction == PKT_DOWN;
	enum drop_reason reason;
	struct decision d;

	if (current && f->verdict == FLOW_VERDICT_BLOCK)
		return DROP_policy_block;
	if (!current) {
		reason = evaluate(w, &f->key, &d);
		if (reason != DROP_REASON_COUNT) {
			f->verdict = FLOW_VERDICT_BLOCK;
			f->timeout_class = FLOW_CLASS_BLOCKED;
			return reason;
		}
		if (d.tunnel->index != f->tunnel)
			f->session = RECORD_NONE;
		stamp_generations(w, f, &d);
	}
	if (down) {
		const struct peer_record *from = peer_record_get(w->edge->records, meta->peer);

		/* decision 13 and 14: any session of the flow's tunnel, and of no other */
		if (from == NULL || from->tunnel != f->tunnel)
			return meta->flags & PKT_ICMP_ERROR ? DROP_icmp_no_flow : DROP_flow_wrong_tunnel;
		if ((f->flags & FLOW_FLAG_MID_STREAM) || !session_usable(w, f))
			f->session = meta->peer;
		return DROP_REASON_COUNT;
	}
	if (f->session != RECORD_NONE && session_usable(w, f))
		return DROP_REASON_COUNT;
	if (current && evaluate(w, &f->key, &d) != DROP_REASON_COUNT)
		return DROP_no_route;
	return choose(w, &f->key, &d, f->flags & FLOW_FLAG_MID_STREAM && in_recreate_window(w), &f->session);
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

static bool is_mid_stream(const struct pkt_meta *meta)
{
	return meta->key.proto == INNER_TCP && !(meta->tcp_flags & FLOW_TCP_FLAG_SYN);
}

/* No flow yet. From a client: it may open one. From a connector: only back, in the window after a restart. */
static enum drop_reason open_flow(struct worker *w, struct pkt_meta *meta)
{
	bool down = meta->direction == PKT_DOWN;
	uint32_t session = meta->peer;
	enum drop_reason reason;
	struct flow_entry *f, first = {0};
	struct decision d;

	if (meta->flags & PKT_ICMP_ERROR)
		return DROP_icmp_no_flow;
	/* only TCP shows that it is mid-stream; anything else from the private side could be a beginning */
	if (down && (!in_recreate_window(w) || !is_mid_stream(meta)))
		return DROP_no_flow;
	reason = evaluate(w, &meta->key, &d);
	if (reason != DROP_REASON_COUNT)
		return down && reason == DROP_no_route ? DROP_no_flow : reason;
	if (down) {
		const struct peer_record *from = peer_record_get(w->edge->records, meta->peer);

		if (from == NULL || from->tunnel != d.tunnel->index)
			return DROP_flow_wrong_tunnel;
	} else {
		reason = choose(w, &meta->key, &d, is_mid_stream(meta) && in_recreate_window(w), &session);
		if (reason != DROP_REASON_COUNT)
			return reason;
	}
	if (!first_tcp_state(meta, &first))
		return DROP_no_flow;
	f = flow_insert(w->flows, &meta->key, meta->flow_hash);
	if (f == NULL)
		return DROP_flow_table_full;
	f->tcp_state = first.tcp_state;
	f->flags = first.flags;
	f->session = session;
	f->start_ns = w->now_ns;
	stamp_generations(w, f, &d);
	meta->flow = f;
	w->counters.flows_created++;
	return DROP_REASON_COUNT;
}

/* Tells the sender where an ICMP error is due (RFC 1812 5.2.7.1, RFC 4443 3.1); silence where policy decided. */
static void answer(struct worker *w, const struct rte_mbuf *m, enum drop_reason reason)
{
	const struct pkt_meta *meta = pkt_meta_const(m);

	if (meta->direction != PKT_UP)
		return;
	/* just after a start, connectors are on their way back: a running connection should wait, not end */
	if (reason == DROP_no_connector && is_mid_stream(meta) && in_recreate_window(w))
		return;
	if (reason == DROP_no_route)
		icmp_error_send(w, m, ICMP_ERROR_NO_ROUTE, 0);
	else if (reason == DROP_no_connector)
		icmp_error_send(w, m, ICMP_ERROR_HOST_UNREACHABLE, 0);
	else if (reason == DROP_client_to_client)
		icmp_error_send(w, m, ICMP_ERROR_PROHIBITED, 0);
}

unsigned stage_decide(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct pkt_meta *meta = pkt_meta(m);
		enum drop_reason reason;

		meta->rule = RECORD_NONE;
		if (meta->flow == NULL) /* an earlier packet of this burst may have made it */
			meta->flow = flow_lookup(w->flows, &meta->key, meta->flow_hash);
		reason = meta->flow != NULL ? check_flow(w, meta, meta->flow) : open_flow(w, meta);
		if (reason == DROP_to_edge && icmp_echo_reply(w, m))
			continue;
		story_verdict(w, meta, reason);
		if (reason == DROP_REASON_COUNT) {
			pkts[kept++] = m;
			continue;
		}
		answer(w, m, reason);
		worker_drop(w, m, reason);
	}
	return kept;
}
