// SPDX-License-Identifier: BSD-3-Clause
// Counts of flows into those of their rule, client and route.
#include "dataplane/stages/hits.h"

#include "dataplane/flowlog/cards.h"
#include "dataplane/flowlog/hits.h"

/* Counts of an index as long as it is still its owner's who has this card. */
static struct hit *owned(const struct worker *w, enum hit_kind hit, enum card_kind kind, uint32_t index, uint32_t card)
{
	return card < cards_of(w->edge->cards, kind, index).born ? NULL : hits_at(w->edge->hits, w->id, hit, index);
}

static struct hit *of_account(const struct worker *w, uint32_t client_index)
{
	const struct client_record *client = client_get(w->edge->records, client_index);

	return client == NULL ? NULL : hits_at(w->edge->hits, w->id, HIT_DEFAULT, client->account);
}

static struct hit *of_rule(const struct worker *w, const struct flow_entry *f)
{
	if (f->counted_rule == RECORD_NONE)
		return of_account(w, f->key.client);
	return owned(w, HIT_RULE, CARD_RULE, f->counted_rule, f->card_rule);
}

static struct hit *of_client(const struct worker *w, const struct flow_entry *f)
{
	return owned(w, HIT_CLIENT, CARD_CLIENT, f->key.client, f->card_client);
}

static struct hit *of_route(const struct worker *w, const struct flow_entry *f)
{
	return route_record_get(w->edge->records, f->route).born != f->route_born
		       ? NULL
		       : hits_at(w->edge->hits, w->id, HIT_ROUTE, f->route);
}

static void add(struct hit *h, const struct hit *delta)
{
	if (h == NULL)
		return;
	h->packets_up += delta->packets_up;
	h->bytes_up += delta->bytes_up;
	h->packets_down += delta->packets_down;
	h->bytes_down += delta->bytes_down;
}

void hits_fold(struct worker *w, struct flow_entry *f)
{
	const struct hit delta = {.packets_up = (uint32_t)f->packets_up - f->folded_packets_up,
				  .packets_down = (uint32_t)f->packets_down - f->folded_packets_down,
				  .bytes_up = f->bytes_up - f->folded_bytes_up,
				  .bytes_down = f->bytes_down - f->folded_bytes_down};

	if ((delta.packets_up | delta.packets_down) == 0)
		return;
	f->folded_packets_up = (uint32_t)f->packets_up;
	f->folded_packets_down = (uint32_t)f->packets_down;
	f->folded_bytes_up = f->bytes_up;
	f->folded_bytes_down = f->bytes_down;
	if (w->edge->hits == NULL)
		return;
	add(of_rule(w, f), &delta);
	add(of_client(w, f), &delta);
	add(of_route(w, f), &delta);
}

void hits_decided(struct worker *w, struct flow_entry *f, uint32_t route)
{
	f->counted_rule = f->rule;
	f->route = route;
	f->route_born = route_record_get(w->edge->records, route).born;
}

void hits_began(struct worker *w, struct flow_entry *f)
{
	struct hit *rule, *client, *route;

	f->flags &= (uint8_t)~FLOW_FLAG_REFUSED;
	if (w->edge->hits == NULL)
		return;
	rule = of_rule(w, f);
	client = of_client(w, f);
	route = of_route(w, f);
	if (route != NULL)
		route->allowed++;
	if (rule != NULL)
		rule->allowed++;
	if (client != NULL)
		client->allowed++;
}

static void count_refused(struct hit *h, bool flow)
{
	if (h == NULL)
		return;
	h->blocked_packets++;
	h->blocked += flow;
}

void hits_refused(struct worker *w, const struct pkt_meta *meta, bool policy)
{
	struct flow_entry *f = meta->flow;
	bool flow = f == NULL || !(f->flags & FLOW_FLAG_REFUSED);

	if (f != NULL)
		f->flags |= FLOW_FLAG_REFUSED;
	if (w->edge->hits == NULL)
		return;
	/* decided in this turn: rule and client are whose index they have now */
	count_refused(hits_at(w->edge->hits, w->id, HIT_CLIENT, meta->key.client), flow);
	if (policy)
		count_refused(meta->rule == RECORD_NONE ? of_account(w, meta->key.client)
							: hits_at(w->edge->hits, w->id, HIT_RULE, meta->rule),
			      flow);
	if (policy && meta->route != RECORD_NONE)
		count_refused(hits_at(w->edge->hits, w->id, HIT_ROUTE, meta->route), flow);
}

static bool fold_one(void *arg, struct flow_entry *f)
{
	hits_fold(arg, f);
	return true;
}

bool hits_fold_slice(struct worker *w, uint32_t *cursor, uint32_t budget)
{
	return flow_iterate(w->flows, cursor, budget, fold_one, w);
}
