// SPDX-License-Identifier: BSD-3-Clause
// The arrays of published records and the settings that hold until the first sync.
#include "dataplane/records.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const struct settings_record default_settings = {
	.mtu = 1280,
	.icmp_errors_per_second = 100,
	.icmp_errors_burst = 50,
	.flow_timeout_tcp_s = 7200,
	.flow_timeout_tcp_closing_s = 10,
	.flow_timeout_udp_s = 180,
	.flow_timeout_icmp_s = 30,
	.client_max_flows = 4096,
	.client_new_flows_per_second = 500,
	.inspect_timeout_ms = 3000,
	.inspect_max_bytes = 16384,
	.outer_dscp = 0,
	.handshake_max_queue = 1024,
};

void *record_alloc(size_t size)
{
	size_t rounded = (size + 63) & ~(size_t)63;
	void *record = aligned_alloc(64, rounded);

	return record ? memset(record, 0, rounded) : NULL;
}

static void free_array(const void **array, uint32_t n, size_t wipe)
{
	if (!array)
		return;
	for (uint32_t i = 0; i < n; i++) {
		void *record = (void *)(uintptr_t)array[i];

		if (record && wipe)
			sodium_memzero(record, wipe);
		free(record);
	}
	free(array);
}

void records_destroy(struct records *r)
{
	if (!r)
		return;
	free_array((const void **)r->accounts, r->max_accounts, 0);
	free_array((const void **)r->vnets, r->max_vnets, 0);
	free_array((const void **)r->tunnels, r->max_tunnels, 0);
	free_array((const void **)r->clients, r->max_clients, 0);
	free_array((const void **)r->connectors, r->max_connectors, 0);
	free_array((const void **)r->peers, r->max_peers, sizeof(struct peer_record));
	free_array((const void **)r->rules, r->max_rules, 0);
	free(r->routes);
	free((void *)(uintptr_t)r->settings);
	free(r);
}

struct records *records_create(uint32_t accounts, uint32_t vnets, uint32_t tunnels, uint32_t clients,
			       uint32_t connectors, uint32_t peers, uint32_t rules, uint32_t routes)
{
	struct records *r = calloc(1, sizeof(*r));
	struct settings_record *settings = malloc(sizeof(*settings));

	if (!r || !settings) {
		free(r);
		free(settings);
		return NULL;
	}
	*settings = default_settings;
	*r = (struct records){.max_accounts = accounts,
			      .max_vnets = vnets,
			      .max_tunnels = tunnels,
			      .max_clients = clients,
			      .max_connectors = connectors,
			      .max_peers = peers,
			      .max_rules = rules,
			      .max_routes = routes,
			      .accounts = calloc(accounts, sizeof(*r->accounts)),
			      .vnets = calloc(vnets, sizeof(*r->vnets)),
			      .tunnels = calloc(tunnels, sizeof(*r->tunnels)),
			      .clients = calloc(clients, sizeof(*r->clients)),
			      .connectors = calloc(connectors, sizeof(*r->connectors)),
			      .peers = calloc(peers, sizeof(*r->peers)),
			      .rules = calloc(rules, sizeof(*r->rules)),
			      .routes = calloc(routes + 1ull, sizeof(*r->routes)), /* pages are taken as routes come */
			      .settings = settings};
	if (!r->accounts || !r->vnets || !r->tunnels || !r->clients || !r->connectors || !r->peers || !r->rules ||
	    !r->routes) {
		records_destroy(r);
		return NULL;
	}
	return r;
}
