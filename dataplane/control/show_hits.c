// SPDX-License-Identifier: BSD-3-Clause
// Counters per rule, route and client: who has the index, and what it has.
#include "dataplane/control/show_hits.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/control/apply.h"
#include "dataplane/flowlog/cards.h"
#include "lib/ip.h"

/* One that was hit. */
struct entry {
	struct hit hit;
	enum hit_kind kind;
	uint32_t index;
	struct apply_route route; /* HIT_ROUTE */
};

/* At most `max` entries, those with the most bytes: a heap whose top is the least of them. */
struct top {
	struct entry *v;
	size_t n, max, seen;
};

static uint64_t weight(const struct entry *e)
{
	return e->hit.bytes_up + e->hit.bytes_down + e->hit.blocked_packets;
}

static void sift_down(struct top *t, size_t i)
{
	for (;;) {
		size_t least = i, l = 2 * i + 1, r = l + 1;
		struct entry e;

		if (l < t->n && weight(&t->v[l]) < weight(&t->v[least]))
			least = l;
		if (r < t->n && weight(&t->v[r]) < weight(&t->v[least]))
			least = r;
		if (least == i)
			return;
		e = t->v[i];
		t->v[i] = t->v[least];
		t->v[least] = e;
		i = least;
	}
}

static void put(struct top *t, const struct entry *e)
{
	size_t i = t->n;

	t->seen++;
	if (t->n == t->max) {
		if (t->max == 0 || weight(e) <= weight(&t->v[0]))
			return;
		t->v[0] = *e;
		sift_down(t, 0);
		return;
	}
	t->v[t->n++] = *e;
	while (i > 0 && weight(&t->v[i]) < weight(&t->v[(i - 1) / 2])) {
		struct entry up = t->v[(i - 1) / 2];

		t->v[(i - 1) / 2] = t->v[i];
		t->v[i] = up;
		i = (i - 1) / 2;
	}
}

static bool was_hit(const struct hit *h)
{
	return h->packets_up | h->packets_down | h->allowed | h->blocked_packets;
}

static bool has_owner(const struct edge *edge, enum card_kind kind, uint32_t index)
{
	struct card_owner o = cards_of(edge->cards, kind, index);

	return o.card != CARD_NONE && o.born != UINT32_MAX;
}

static void gather(const struct edge *edge, enum hit_kind kind, enum card_kind card, struct top *t)
{
	for (uint32_t i = 0; i < hits_capacity(edge->hits, kind); i++) {
		struct entry e = {.kind = kind, .index = i};

		if (!has_owner(edge, card, i))
			continue;
		hits_sum(edge->hits, kind, i, &e.hit);
		if (was_hit(&e.hit))
			put(t, &e);
	}
}

static void gather_routes(const struct edge *edge, const struct apply *apply, struct top *t)
{
	uint32_t cursor = 0;
	struct apply_route route;

	while (apply_route_next(apply, &cursor, &route)) {
		struct entry e = {.kind = HIT_ROUTE, .index = route.index, .route = route};

		hits_sum(edge->hits, HIT_ROUTE, route.index, &e.hit);
		if (was_hit(&e.hit))
			put(t, &e);
	}
}

/* ---- as JSON ---- */

static void put_text(json_t *o, const char *key, const char *text)
{
	json_object_set_new(o, key, text && text[0] ? json_string(text) : json_null());
}

static void put_names(json_t *o, const struct edge *edge, const struct entry *e)
{
	enum card_kind kind = e->kind == HIT_RULE ? CARD_RULE : e->kind == HIT_CLIENT ? CARD_CLIENT : CARD_ACCOUNT;
	const struct card *card;

	cards_lock(edge->cards);
	card = cards_find(edge->cards, cards_of(edge->cards, kind, e->index).card);
	if (e->kind == HIT_CLIENT) {
		put_text(o, "client", card ? card->name : NULL);
		put_text(o, "client_id", card ? card->id : NULL);
		put_text(o, "email", card ? card->more : NULL);
	} else {
		put_text(o, "rule", e->kind == HIT_DEFAULT ? "default" : card ? card->name : NULL);
		put_text(o, "rule_id", e->kind == HIT_RULE && card ? card->id : NULL);
		put_text(o, "account", e->kind == HIT_DEFAULT && card ? card->name : NULL);
	}
	cards_unlock(edge->cards);
}

static void put_route(json_t *o, const struct edge *edge, const struct apply_route *r)
{
	const struct vnet_record *vnet = vnet_get(edge->records, r->vnet);
	const struct tunnel_record *tunnel = tunnel_get(edge->records, r->tunnel);
	char text[IP_PREFIX_TEXT];

	put_text(o, "network", ip_prefix_format(&r->prefix, text));
	put_text(o, "vnet", vnet ? vnet->name : NULL);
	put_text(o, "tunnel", tunnel ? tunnel->name : NULL);
}

static json_t *entry_object(const struct edge *edge, const struct entry *e)
{
	json_t *o = json_object();

	if (e->kind == HIT_ROUTE)
		put_route(o, edge, &e->route);
	else
		put_names(o, edge, e);
	json_object_set_new(o, "packets_up", json_integer((json_int_t)e->hit.packets_up));
	json_object_set_new(o, "bytes_up", json_integer((json_int_t)e->hit.bytes_up));
	json_object_set_new(o, "packets_down", json_integer((json_int_t)e->hit.packets_down));
	json_object_set_new(o, "bytes_down", json_integer((json_int_t)e->hit.bytes_down));
	json_object_set_new(o, "flows_allowed", json_integer((json_int_t)e->hit.allowed));
	json_object_set_new(o, "flows_blocked", json_integer((json_int_t)e->hit.blocked));
	json_object_set_new(o, "packets_blocked", json_integer((json_int_t)e->hit.blocked_packets));
	return o;
}

static int heaviest_first(const void *a, const void *b)
{
	uint64_t x = weight(a), y = weight(b);

	return (x < y) - (x > y);
}

json_t *show_hits(const struct edge *edge, const struct apply *apply, enum hits_by by, size_t limit)
{
	struct top t = {.v = calloc(limit ? limit : 1, sizeof(struct entry)), .max = limit};
	json_t *list = json_array();

	if (t.v && by == HITS_BY_ROUTE) {
		gather_routes(edge, apply, &t);
	} else if (t.v && by == HITS_BY_CLIENT) {
		gather(edge, HIT_CLIENT, CARD_CLIENT, &t);
	} else if (t.v) {
		gather(edge, HIT_RULE, CARD_RULE, &t);
		gather(edge, HIT_DEFAULT, CARD_ACCOUNT, &t);
	}
	if (t.n)
		qsort(t.v, t.n, sizeof(*t.v), heaviest_first);
	for (size_t i = 0; i < t.n; i++)
		json_array_append_new(list, entry_object(edge, &t.v[i]));
	free(t.v);
	return json_pack("{s:o,s:b}", "hits", list, "truncated", t.seen > t.n);
}

/* ---- metrics ---- */

struct rule_metric {
	const char *name, *help;
	size_t up, down; /* fields that are summed */
};

static uint64_t field(const struct hit *h, size_t offset)
{
	uint64_t v;

	memcpy(&v, (const char *)h + offset, sizeof(v));
	return v;
}

static uint64_t value_of(const struct rule_metric *m, const struct hit *h)
{
	return field(h, m->up) + (m->down != m->up ? field(h, m->down) : 0);
}

/* A label: ids are of the configuration, without characters that would end it. */
static void write_entry(FILE *out, const struct rule_metric *m, const struct edge *edge, const struct entry *e)
{
	enum card_kind kind = e->kind == HIT_RULE ? CARD_RULE : CARD_ACCOUNT;
	const struct card *card;

	cards_lock(edge->cards);
	card = cards_find(edge->cards, cards_of(edge->cards, kind, e->index).card);
	if (card)
		fprintf(out, "%s{rule=\"%s%.40s\"} %llu\n", m->name, e->kind == HIT_DEFAULT ? "default:" : "", card->id,
			(unsigned long long)value_of(m, &e->hit));
	cards_unlock(edge->cards);
}

void metrics_write_rules(FILE *out, const struct edge *edge)
{
	static const struct rule_metric metrics[] = {
		{"sluice_rule_packets_total", "Packets of flows that a rule allowed, by rule id.",
		 offsetof(struct hit, packets_up), offsetof(struct hit, packets_down)},
		{"sluice_rule_bytes_total", "Inner bytes of flows that a rule allowed, by rule id.",
		 offsetof(struct hit, bytes_up), offsetof(struct hit, bytes_down)},
		{"sluice_rule_flows_allowed_total", "Flows that a rule allowed, by rule id.", offsetof(struct hit, allowed),
		 offsetof(struct hit, allowed)},
		{"sluice_rule_packets_blocked_total", "Packets that a rule refused, by rule id.",
		 offsetof(struct hit, blocked_packets), offsetof(struct hit, blocked_packets)},
	};
	struct top t = {.v = calloc(METRICS_RULES_MAX, sizeof(struct entry)), .max = METRICS_RULES_MAX};

	if (!t.v || !edge->hits) {
		free(t.v);
		return;
	}
	gather(edge, HIT_RULE, CARD_RULE, &t);
	gather(edge, HIT_DEFAULT, CARD_ACCOUNT, &t);
	for (size_t m = 0; m < sizeof(metrics) / sizeof(metrics[0]); m++) {
		fprintf(out, "# HELP %s %s\n# TYPE %s counter\n", metrics[m].name, metrics[m].help, metrics[m].name);
		for (size_t i = 0; i < t.n; i++)
			write_entry(out, &metrics[m], edge, &t.v[i]);
	}
	free(t.v);
}
