// SPDX-License-Identifier: BSD-3-Clause
// Destination, route and rules of a flow (decisions 2, 7–9, 11–13).
#include "dataplane/stages/verdict.h"

#include <rte_byteorder.h>

#include "dataplane/stages/inner.h"
#include "dataplane/tables/device_table.h"
#include "dataplane/tables/route_table.h"

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

/* The opener's direction: source is who sent the first packet. */
void verdict_query(const struct flow_key *key, bool from_private, const struct decision *d, struct policy_query *q)
{
	unsigned alen = key->family == 4 ? 4 : 16;

	memset(q, 0, sizeof(*q));
	q->account = d->account->index;
	q->vnet = d->vnet->index;
	q->identity = d->client->identity;
	q->family = key->family;
	q->proto = key->proto;
	q->from_private = from_private;
	memcpy(from_private ? q->dst : q->src, d->client_address, alen);
	memcpy(from_private ? q->src : q->dst, key->remote_addr, alen);
	if (key->proto != INNER_TCP && key->proto != INNER_UDP)
		return;
	q->src_port = rte_be_to_cpu_16(from_private ? key->remote_port_be : key->client_port_be);
	q->dst_port = rte_be_to_cpu_16(from_private ? key->client_port_be : key->remote_port_be);
}

static enum drop_reason ask_rules(const struct edge *edge, const struct flow_key *key, bool from_private,
				  const struct names *names, struct decision *d)
{
	struct policy_result result;
	struct policy_query q;

	/* its rules are still on their way: an answer would end connections that they allow */
	if (!d->account->policy_ready)
		return DROP_policy_block;
	if (key->proto != INNER_TCP && key->proto != INNER_UDP)
		names = &names_missing; /* none can come */
	verdict_query(key, from_private, d, &q);
	policy_decide(edge->policy, &q, names, &result);
	d->rule = result.rule;
	d->silent = result.silent;
	d->pending = result.verdict == POLICY_PENDING;
	return result.verdict == POLICY_DENY ? DROP_policy_block : DROP_REASON_COUNT;
}

enum drop_reason verdict_way(const struct edge *edge, const struct flow_key *key, struct decision *d)
{
	const struct records *r = edge->records;

	d->rule = POLICY_RULE_DEFAULT;
	d->silent = true;
	d->pending = false;
	d->tunnel = NULL;
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
	if (is_device_address(edge, d->account->index, key))
		return DROP_client_to_client;
	d->route = route_of(edge, d->vnet, key);
	d->tunnel = d->route == ROUTE_NONE ? NULL : tunnel_get(r, route_record_get(r, d->route).tunnel);
	if (d->tunnel == NULL || d->tunnel->account != d->account->index)
		return DROP_no_route;
	return DROP_REASON_COUNT;
}

enum drop_reason verdict_of(const struct worker *w, const struct flow_key *key, bool from_private, const struct names *names,
			    struct decision *d)
{
	enum drop_reason reason = verdict_way(w->edge, key, d);

	return reason == DROP_REASON_COUNT ? ask_rules(w->edge, key, from_private, names, d) : reason;
}

bool verdict_is_current(const struct worker *w, const struct flow_entry *f)
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

void verdict_stamp(struct flow_entry *f, const struct decision *d)
{
	f->gen_policy = d->account->policy_generation;
	f->gen_client = d->client->generation;
	f->gen_routes = d->vnet->routes_generation;
	f->revision = d->account->policy_revision;
	f->rule = d->rule;
}
