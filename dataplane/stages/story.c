// SPDX-License-Identifier: BSD-3-Clause
// What the flow log is told of flows.
#include "dataplane/stages/story.h"

#include <unistd.h>

#include <rte_malloc.h>

#include "dataplane/flowlog/cards.h"
#include "dataplane/flowlog/flowlog.h"
#include "dataplane/stages/hits.h"
#include "dataplane/stages/hold.h"

#define NS_PER_TICK     (1000000000ull / FLOW_TICKS_PER_S)
#define REFUSAL_SETS    128 /* power of two */
#define REFUSAL_WAYS    4
#define REFUSAL_NS      1000000000ull
#define REFUSALS_A_TURN 8
#define STOP_WAIT_US    2000000
#define FOLD_TICKS      (60 * FLOW_TICKS_PER_S) /* more than a sweep takes when the worker is idle */

/* Refused packets of one client, by one rule, for one reason. */
struct refusal {
	uint32_t client, rule; /* cards */
	uint32_t count;        /* since told_ns */
	uint8_t reason, used;
	uint64_t told_ns; /* when it was told last */
	uint64_t revision;
	uint32_t account, vnet;
	struct flow_key key; /* of the last packet */
	uint8_t detected, host_len; /* what inspection had seen of its flow */
	char host[FLOW_HOST_MAX];
};

struct story {
	uint32_t sweep_cursor, refusal_cursor;
	uint64_t sequence;
	struct refusal refusals[REFUSAL_SETS][REFUSAL_WAYS];
};

bool story_create(struct worker *w)
{
	w->story = rte_zmalloc("story", sizeof(*w->story), 64);
	w->log = w->edge->flow_log == NULL ? NULL : flow_log_ring(w->edge->flow_log, w->id);
	return w->story != NULL;
}

void story_destroy(struct worker *w)
{
	rte_free(w->story);
	w->story = NULL;
}

static struct card_owner owner_of(const struct worker *w, enum card_kind kind, uint32_t index)
{
	struct card_owner nobody = {0};

	return w->edge->cards == NULL ? nobody : cards_of(w->edge->cards, kind, index);
}

/* The connector that carries the flow now; the one it had before when its session is somebody else's. */
static uint32_t connector_card(const struct worker *w, const struct flow_entry *f)
{
	const struct peer_record *p = peer_record_get(w->edge->records, f->session);

	if (p == NULL || p->kind != PEER_CONNECTOR || p->tunnel != f->tunnel)
		return f->card_connector;
	return owner_of(w, CARD_CONNECTOR, p->connector).card;
}

static uint32_t rule_card(const struct worker *w, uint32_t rule)
{
	return rule == RECORD_NONE ? CARD_DEFAULT : owner_of(w, CARD_RULE, rule).card;
}

/* ---- records ---- */

static void put_key(struct flow_record *r, const struct flow_key *key)
{
	memcpy(r->remote_addr, key->remote_addr, 16);
	r->client_port_be = key->client_port_be;
	r->remote_port_be = key->remote_port_be;
	r->proto = key->proto;
	r->family = key->family;
}

/* The name that a flow has: at most one of them is known. */
static void put_names(struct flow_record *r, const struct names *names)
{
	const struct name_text *t;

	r->detected = r->host_len = 0;
	if (names == NULL)
		return;
	t = names->sni.state == NAME_KNOWN ? &names->sni : names->http_host.state == NAME_KNOWN ? &names->http_host : &names->dns_fqdn;
	r->detected = names->protocol;
	if (t->state != NAME_KNOWN)
		return;
	r->host_len = (uint8_t)(t->len < FLOW_HOST_MAX ? t->len : FLOW_HOST_MAX);
	memcpy(r->host, t->text, r->host_len);
}

static void put_flow(struct flow_record *r, const struct worker *w, const struct flow_entry *f, enum flow_event event)
{
	uint64_t last_ns = (uint64_t)f->last_seen * NS_PER_TICK;
	struct names names;

	memset(r, 0, offsetof(struct flow_record, host));
	r->at_ns = w->now_ns;
	r->flow = f->id;
	r->start_ns = f->start_ns;
	r->last_ns = last_ns < f->start_ns ? f->start_ns : last_ns;
	r->packets_up = f->packets_up;
	r->bytes_up = f->bytes_up;
	r->packets_down = f->packets_down;
	r->bytes_down = f->bytes_down;
	r->revision = f->revision;
	r->client = f->card_client;
	r->account = f->card_account;
	r->vnet = f->card_vnet;
	r->rule = f->card_rule;
	r->tunnel = f->card_tunnel;
	r->connector = connector_card(w, f);
	put_key(r, &f->key);
	put_names(r, hold_names(w, f, &names));
	r->event = (uint8_t)event;
	r->flags = FLOW_RECORD_ALLOWED | (f->flags & FLOW_FLAG_MID_STREAM ? FLOW_RECORD_MID_STREAM : 0);
}

static bool tell_flow(struct worker *w, const struct flow_entry *f, enum flow_event event, enum flow_end why)
{
	struct flow_record *r = w->log == NULL ? NULL : flow_ring_room(w->log);

	if (r == NULL)
		return false;
	put_flow(r, w, f, event);
	r->reason = (uint8_t)why;
	/* taken off by the tables: it is they who refuse from now on */
	if (event == FLOW_EVENT_END && (why == FLOW_END_policy_change || why == FLOW_END_client_revoked))
		r->flags &= (uint8_t)~FLOW_RECORD_ALLOWED;
	flow_ring_push(w->log);
	return true;
}

/* ---- flows ---- */

static void forget_counts(struct worker *w, struct flow_entry *f)
{
	hits_fold(w, f);
	f->folded_packets_up = f->folded_packets_down = 0;
	f->folded_bytes_up = f->folded_bytes_down = 0;
	f->packets_up = f->bytes_up = f->packets_down = f->bytes_down = 0;
	f->start_ns = w->now_ns;
}

void story_decided(struct worker *w, struct flow_entry *f, uint32_t route)
{
	const struct client_record *client = client_get(w->edge->records, f->key.client);
	struct card_owner owner = owner_of(w, CARD_CLIENT, f->key.client);

	hits_fold(w, f); /* what it has so far is its last rule's */
	/* the index is another client's by now: the flow of the one before is over */
	if ((f->flags & FLOW_FLAG_LOGGED) && f->card_client < owner.born)
		story_end(w, f, FLOW_END_client_revoked);
	f->card_client = owner.card;
	f->card_account = client == NULL ? CARD_NONE : owner_of(w, CARD_ACCOUNT, client->account).card;
	f->card_vnet = client == NULL ? CARD_NONE : owner_of(w, CARD_VNET, client->vnet).card;
	f->card_rule = rule_card(w, f->rule);
	f->card_tunnel = owner_of(w, CARD_TUNNEL, f->tunnel).card;
	hits_decided(w, f, route);
}

void story_begin(struct worker *w, struct flow_entry *f)
{
	if (f->id != 0) /* it had ended before */
		forget_counts(w, f);
	f->id = (uint64_t)(w->id + 1) << 48 | ++w->story->sequence;
	f->flags |= FLOW_FLAG_LOGGED;
	f->card_connector = connector_card(w, f);
	hits_began(w, f);
	tell_flow(w, f, FLOW_EVENT_START, FLOW_END_closed);
}

void story_end(struct worker *w, struct flow_entry *f, enum flow_end why)
{
	if (!(f->flags & FLOW_FLAG_LOGGED))
		return;
	hits_fold(w, f);
	tell_flow(w, f, FLOW_EVENT_END, why);
	f->flags &= (uint8_t)~FLOW_FLAG_LOGGED;
}

void story_restarted(struct worker *w, struct flow_entry *f)
{
	story_end(w, f, f->tcp_state == FLOW_TCP_RESET ? FLOW_END_reset : FLOW_END_closed);
	forget_counts(w, f);
}

static enum flow_end aged_because(const struct flow_entry *f)
{
	switch (f->timeout_class) {
	case FLOW_CLASS_TCP_OPENING:
		return FLOW_END_not_opened;
	case FLOW_CLASS_TCP_CLOSING:
		return f->tcp_state == FLOW_TCP_RESET ? FLOW_END_reset : FLOW_END_closed;
	default:
		return FLOW_END_idle_timeout;
	}
}

void story_aged(struct worker *w, struct flow_entry *f)
{
	story_end(w, f, aged_because(f));
}

void story_lost(struct worker *w, struct flow_entry *f)
{
	story_end(w, f, FLOW_END_table_full);
}

/* ---- refusals ---- */

static void tell_refusal(struct worker *w, struct refusal *a)
{
	struct flow_record *r = w->log == NULL ? NULL : flow_ring_room(w->log);

	if (r != NULL) {
		memset(r, 0, offsetof(struct flow_record, host));
		r->at_ns = w->now_ns;
		r->revision = a->revision;
		r->client = a->client;
		r->account = a->account;
		r->vnet = a->vnet;
		r->rule = a->rule;
		r->count = a->count;
		put_key(r, &a->key);
		r->detected = a->detected;
		r->host_len = a->host_len;
		memcpy(r->host, a->host, a->host_len);
		r->event = FLOW_EVENT_BLOCKED;
		r->reason = a->reason;
		flow_ring_push(w->log);
		a->count = 0;
	}
	a->told_ns = w->now_ns;
}

/* Refusals that are lines of the log, and what they mean for a flow that was running. */
static bool is_logged(enum drop_reason reason, enum flow_end *why)
{
	switch (reason) {
	case DROP_policy_block:
	case DROP_inspect_limit:
	case DROP_client_to_client:
	case DROP_to_edge:
		*why = FLOW_END_policy_change;
		return true;
	case DROP_peer_disabled:
		*why = FLOW_END_client_revoked;
		return true;
	case DROP_no_route:
		*why = FLOW_END_route_change;
		return true;
	case DROP_no_connector:
		*why = FLOW_END_connector_lost;
		return true;
	case DROP_flow_table_full:
	case DROP_client_flow_limit:
		*why = FLOW_END_table_full;
		return true;
	default:
		return false;
	}
}

/* The place of a refusal: its own, else a free one, else that which was told longest ago. */
static struct refusal *refusal_of(struct story *s, uint32_t client, uint32_t rule, uint8_t reason)
{
	uint32_t h = client * 0x9e3779b1u ^ rule * 0x85ebca6bu ^ reason * 0xc2b2ae35u;
	struct refusal *set = s->refusals[(h ^ h >> 15) & (REFUSAL_SETS - 1)], *oldest = &set[0];

	for (unsigned i = 0; i < REFUSAL_WAYS; i++) {
		struct refusal *a = &set[i];

		if (a->used && a->client == client && a->rule == rule && a->reason == reason)
			return a;
		if (!a->used || (oldest->used && a->told_ns < oldest->told_ns))
			oldest = a;
	}
	return oldest;
}

static void note_names(const struct worker *w, struct refusal *a, const struct flow_entry *f)
{
	struct flow_record r;
	struct names names;

	put_names(&r, f == NULL ? NULL : hold_names(w, f, &names));
	a->detected = r.detected;
	a->host_len = r.host_len;
	memcpy(a->host, r.host, r.host_len);
}

static void count_refusal(struct worker *w, const struct pkt_meta *meta, enum drop_reason reason)
{
	const struct client_record *client = client_get(w->edge->records, meta->key.client);
	const struct account_record *account = client == NULL ? NULL : account_get(w->edge->records, client->account);
	uint32_t card = owner_of(w, CARD_CLIENT, meta->key.client).card;
	uint32_t rule = reason == DROP_policy_block ? rule_card(w, meta->rule) : CARD_NONE;
	struct refusal *a = refusal_of(w->story, card, rule, (uint8_t)reason);
	bool known = a->used && a->client == card && a->rule == rule && a->reason == (uint8_t)reason;

	if (!known) {
		if (a->used && a->count > 0)
			tell_refusal(w, a);
		*a = (struct refusal){.client = card, .rule = rule, .reason = (uint8_t)reason, .used = 1};
	}
	a->count++;
	a->key = meta->key;
	note_names(w, a, meta->flow);
	a->account = client == NULL ? CARD_NONE : owner_of(w, CARD_ACCOUNT, client->account).card;
	a->vnet = client == NULL ? CARD_NONE : owner_of(w, CARD_VNET, client->vnet).card;
	a->revision = account == NULL ? 0 : account->policy_revision;
	if (!known || w->now_ns - a->told_ns >= REFUSAL_NS)
		tell_refusal(w, a);
}

void story_refuse(struct worker *w, const struct pkt_meta *meta, enum drop_reason reason)
{
	enum flow_end why;

	if (!is_logged(reason, &why))
		return;
	if (meta->flow != NULL)
		story_end(w, meta->flow, why);
	hits_refused(w, meta, reason == DROP_policy_block);
	count_refusal(w, meta, reason);
}

/* ---- by time ---- */

static bool sweep_one(void *arg, struct flow_entry *f)
{
	struct worker *w = arg;
	const struct client_record *client = client_get(w->edge->records, f->key.client);

	if (client != NULL && client->enabled && f->card_client >= owner_of(w, CARD_CLIENT, f->key.client).born) {
		if ((uint32_t)(w->now_ns / NS_PER_TICK) - f->last_seen < FOLD_TICKS)
			hits_fold(w, f);
		return true;
	}
	story_end(w, f, FLOW_END_client_revoked);
	flow_remove(w->flows, f);
	w->counters.flows_ended++;
	return true;
}

void story_turn(struct worker *w, uint32_t budget)
{
	struct story *s = w->story;

	if (!flow_iterate(w->flows, &s->sweep_cursor, budget, sweep_one, w))
		s->sweep_cursor = 0;
	for (unsigned i = 0; i < REFUSALS_A_TURN; i++) {
		uint32_t at = s->refusal_cursor++ % (REFUSAL_SETS * REFUSAL_WAYS);
		struct refusal *a = &s->refusals[at / REFUSAL_WAYS][at % REFUSAL_WAYS];

		if (!a->used || w->now_ns - a->told_ns < REFUSAL_NS)
			continue;
		if (a->count > 0)
			tell_refusal(w, a);
		else
			a->used = 0;
	}
}

static bool stop_one(void *arg, struct flow_entry *f)
{
	struct worker *w = arg;

	for (unsigned waited = 0; !flow_ring_has_room(w->log) && waited < STOP_WAIT_US; waited += 1000)
		usleep(1000);
	story_end(w, f, FLOW_END_edge_stopped);
	return flow_ring_has_room(w->log);
}

void story_stop(struct worker *w)
{
	uint32_t cursor = 0;

	if (w->log == NULL)
		return;
	for (unsigned i = 0; i < REFUSAL_SETS * REFUSAL_WAYS; i++) {
		struct refusal *a = &w->story->refusals[i / REFUSAL_WAYS][i % REFUSAL_WAYS];

		if (a->used && a->count > 0)
			tell_refusal(w, a);
	}
	flow_iterate(w->flows, &cursor, UINT32_MAX, stop_one, w);
}
