// SPDX-License-Identifier: BSD-3-Clause
// Everything the threads share, allocated once at its configured capacity.
#include "dataplane/control/eal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <sodium.h>

#include "dataplane/control/pool_sizes.h"
#include "dataplane/flowlog/flowlog.h"
#include "dataplane/flowlog/hits.h"
#include "dataplane/messages.h"
#include "dataplane/tables/device_table.h"
#include "dataplane/tables/peer_index.h"
#include "dataplane/tables/policy.h"
#include "dataplane/tables/reclaim.h"
#include "dataplane/tables/route_table.h"

#define CONTROL_INBOX   4096
#define RECLAIM_PIECES  (1u << 18)

static int fail(char *err, size_t err_len, const char *what)
{
	snprintf(err, err_len, "no memory for %s: %s", what, rte_strerror(rte_errno));
	return -ENOMEM;
}

static int create_pools(struct edge *edge, char *err, size_t err_len)
{
	const struct edge_config *c = &edge->config;

	edge->mbuf_pool = rte_pktmbuf_pool_create("mbufs", c->cap_mbufs, 256, POOL_META_BYTES, POOL_DATA_ROOM,
						  SOCKET_ID_ANY);
	if (!edge->mbuf_pool)
		return fail(err, err_len, "packet buffers (capacities.mbufs)");
	edge->message_pool = rte_mempool_create("messages", pool_messages(c), sizeof(struct message), 128, 0, NULL,
						NULL, NULL, NULL, SOCKET_ID_ANY, 0);
	if (!edge->message_pool)
		return fail(err, err_len, "messages");
	edge->control_inbox = rte_ring_create("control", CONTROL_INBOX, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (!edge->control_inbox)
		return fail(err, err_len, "the control thread's inbox");
	edge->control_wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return edge->control_wake_fd < 0 ? fail(err, err_len, "an eventfd") : 0;
}

/* Readers: the workers, then the handshake thread. */
static int create_rcu(struct edge *edge, struct reclaim **reclaim, char *err, size_t err_len)
{
	uint32_t threads = edge->config.n_workers + 1;

	edge->qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(threads), 64);
	if (!edge->qsbr || rte_rcu_qsbr_init(edge->qsbr, threads))
		return fail(err, err_len, "the RCU variable");
	*reclaim = reclaim_create(edge->qsbr, RECLAIM_PIECES);
	return *reclaim ? 0 : fail(err, err_len, "the reclaim queue");
}

static int create_tables(struct edge *edge, struct reclaim *reclaim, char *err, size_t err_len)
{
	const struct edge_config *c = &edge->config;
	struct route_config routes = {.vnets = c->cap_vnets, .routes = c->cap_routes, .retire = reclaim_ops(reclaim)};
	struct device_config devices = {.capacity = 2 * c->cap_clients, .retire = reclaim_ops(reclaim)};
	struct policy_limits policy = POLICY_LIMITS_DEFAULT;

	policy.accounts = c->cap_accounts;
	policy.vnets = c->cap_vnets;
	policy.rules_total = c->cap_rules;
	edge->records = records_create(c->cap_accounts, c->cap_vnets, c->cap_tunnels, c->cap_clients,
				       c->cap_connectors, c->cap_peers, c->cap_rules, c->cap_routes);
	if (!edge->records)
		return fail(err, err_len, "records (capacities)");
	edge->routes = route_table_create(&routes);
	if (!edge->routes)
		return fail(err, err_len, "routes (capacities.routes)");
	randombytes_buf(devices.secret, sizeof(devices.secret));
	edge->devices = device_table_create(&devices);
	if (!edge->devices)
		return fail(err, err_len, "device addresses (capacities.clients)");
	edge->policy = policy_create(&policy, reclaim_ops(reclaim));
	return edge->policy ? 0 : fail(err, err_len, "the policy (capacities.accounts)");
}

static int create_flow_log(struct edge *edge, char *err, size_t err_len)
{
	const struct edge_config *c = &edge->config;
	const uint32_t capacity[CARD_KINDS] = {
		[CARD_ACCOUNT] = c->cap_accounts, [CARD_VNET] = c->cap_vnets,           [CARD_TUNNEL] = c->cap_tunnels,
		[CARD_CLIENT] = c->cap_clients,   [CARD_CONNECTOR] = c->cap_connectors, [CARD_RULE] = c->cap_rules};
	const uint32_t hits[HIT_KINDS] = {[HIT_RULE] = c->cap_rules,
					  [HIT_DEFAULT] = c->cap_accounts,
					  [HIT_CLIENT] = c->cap_clients,
					  [HIT_ROUTE] = c->cap_routes};
	struct flow_log_config log = {
		.workers = c->n_workers, .max_bytes = c->flow_log.max_bytes, .keep = c->flow_log.keep};

	edge->cards = cards_create(capacity);
	edge->hits = hits_create(c->n_workers, hits);
	if (!edge->hits)
		return fail(err, err_len, "counters of rules, routes and clients (capacities)");
	memcpy(log.file, c->flow_log.file, sizeof(log.file));
	if (edge->cards && c->flow_log.on)
		edge->flow_log = flow_log_create(&log, edge->cards);
	return edge->cards && (edge->flow_log || !c->flow_log.on) ? 0 : fail(err, err_len, "the flow log");
}

static int create_arrays(struct edge *edge, char *err, size_t err_len)
{
	const struct edge_config *c = &edge->config;
	struct peer_index *codec = calloc(1, sizeof(*codec));
	uint8_t key[32];
	int rc;

	edge->index = codec;
	if (!codec)
		return fail(err, err_len, "the index codec");
	randombytes_buf(key, sizeof(key));
	rc = peer_index_init(codec, c->edge_number_bits, c->edge_number, c->n_workers, c->cap_sessions, key);
	sodium_memzero(key, sizeof(key));
	if (rc) {
		snprintf(err, err_len, "capacities.sessions %u: too many for %u workers and %u edge bits",
			 c->cap_sessions, c->n_workers, c->edge_number_bits);
		return rc;
	}
	edge->sessions = rte_zmalloc("sessions", sizeof(struct session) * c->cap_sessions * c->n_workers, 64);
	edge->peers = rte_zmalloc("peers", sizeof(struct peer) * c->cap_peers, 64);
	edge->connector_live = calloc(1, c->cap_connectors);
	if (!edge->sessions || !edge->peers || !edge->connector_live)
		return fail(err, err_len, "sessions and peers (capacities)");
	for (uint32_t i = 0; i < c->cap_peers; i++)
		edge->peers[i].owner = PEER_UNOWNED;
	return 0;
}

int edge_memory_create(struct edge *edge, struct reclaim **reclaim, char *err, size_t err_len)
{
	int rc;

	edge->control_wake_fd = -1;
	*reclaim = NULL;
	rc = create_pools(edge, err, err_len);
	if (!rc)
		rc = create_rcu(edge, reclaim, err, err_len);
	if (!rc)
		rc = create_tables(edge, *reclaim, err, err_len);
	if (!rc)
		rc = create_flow_log(edge, err, err_len);
	if (!rc)
		rc = create_arrays(edge, err, err_len);
	return rc;
}

void edge_memory_free(struct edge *edge, struct reclaim *reclaim)
{
	const struct edge_config *c = &edge->config;

	reclaim_destroy(reclaim);
	route_table_destroy(edge->routes);
	device_table_destroy(edge->devices);
	policy_destroy(edge->policy);
	records_destroy(edge->records);
	flow_log_destroy(edge->flow_log);
	cards_destroy(edge->cards);
	hits_destroy(edge->hits);
	if (edge->sessions)
		sodium_memzero(edge->sessions, sizeof(struct session) * c->cap_sessions * c->n_workers);
	rte_free(edge->sessions);
	rte_free(edge->peers);
	free(edge->connector_live);
	free((void *)(uintptr_t)edge->index);
	rte_free(edge->qsbr);
	if (edge->control_wake_fd >= 0)
		close(edge->control_wake_fd);
	rte_ring_free(edge->control_inbox);
	rte_mempool_free(edge->message_pool);
	rte_mempool_free(edge->mbuf_pool);
}
