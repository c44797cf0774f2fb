// SPDX-License-Identifier: BSD-3-Clause
// Cache misses of a burst's new flows, overlapped: with many clients and routes they are most of what a decision costs.
#include "dataplane/stages/ahead.h"

#include <rte_prefetch.h>

#include "dataplane/stages/limits.h"
#include "dataplane/tables/device_table.h"
#include "dataplane/tables/route_table.h"

#define FEW 8 /* below this the misses are worth less than the second look */

/* The keys of packets without a flow; how many. */
static unsigned collect(struct rte_mbuf *const *pkts, unsigned n, const struct flow_key **keys)
{
	unsigned k = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct pkt_meta *meta = pkt_meta_const(pkts[i]);

		if (meta->flow == NULL && meta->key.family == 4)
			keys[k++] = &meta->key;
	}
	return k;
}

static void fetch_clients(const struct worker *w, const struct flow_key *const *keys, unsigned n)
{
	const struct records *r = w->edge->records;

	for (unsigned i = 0; i < n; i++) {
		if (keys[i]->client >= r->max_clients)
			continue;
		rte_prefetch0(&r->clients[keys[i]->client]);
		rte_prefetch0(&w->clients[keys[i]->client]);
	}
	for (unsigned i = 0; i < n; i++) {
		const struct client_record *c = client_get(r, keys[i]->client);

		rte_prefetch0(c);
		rte_prefetch0((const char *)c + 64);
	}
}

void ahead_of_decisions(struct worker *w, struct rte_mbuf *const *pkts, unsigned n)
{
	const struct flow_key *keys[BURST_MAX];
	uint32_t vnets[BURST_MAX], addrs[BURST_MAX], found[BURST_MAX];
	struct device_key devices[BURST_MAX];
	unsigned k, m = 0;

	k = collect(pkts, n, keys);
	if (k < FEW)
		return;
	fetch_clients(w, keys, k);
	for (unsigned i = 0; i < k; i++) {
		const struct client_record *c = client_get(w->edge->records, keys[i]->client);

		if (c == NULL)
			continue;
		vnets[m] = c->vnet;
		memcpy(&addrs[m], keys[i]->remote_addr, 4);
		device_key_v4(&devices[m], c->account, addrs[m]);
		m++;
	}
	device_lookup_bulk(w->edge->devices, devices, found, m);
	route_lookup_v4_bulk(w->edge->routes, vnets, addrs, found, m);
}
