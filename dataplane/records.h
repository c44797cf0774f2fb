/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration records as the workers read them: built by the control thread from synced rows, published by pointer
 * (records_* arrays below), immutable once published, freed after all workers passed a quiescent state.
 * Indexes are dense and stable while the row lives (dataplane/tables/id_map.h). Ids are NUL-terminated text.
 */
#ifndef DATAPLANE_RECORDS_H
#define DATAPLANE_RECORDS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_NONE           UINT32_MAX
#define RECORD_ID_LEN         40
#define RECORD_NAME_LEN       256
#define CONNECTOR_MAX_SESSIONS 8
#define TUNNEL_MAX_CONNECTORS 64
#define CLIENT_MAX_KEYS       2

struct account_record {
	uint32_t index;
	/* changes when the account's rules, lists or default action change: flows decide again */
	uint32_t policy_generation;
	bool default_allow;
	bool policy_ready; /* the rules are compiled; before, everything is blocked without an answer */
	bool has_edge_v4, has_edge_v6;
	uint8_t edge_v4[4];   /* the edge's own inner address: source of ICMP errors */
	uint8_t edge_v6[16];
	uint64_t policy_revision; /* revision that policy_generation came with; shown in flows */
	char id[RECORD_ID_LEN];
	char name[RECORD_NAME_LEN];
};

struct vnet_record {
	uint32_t index; /* unique across accounts; key of the route table */
	uint32_t account;
	uint32_t routes_generation; /* changes with each route change in this vnet */
	char id[RECORD_ID_LEN];
	char name[RECORD_NAME_LEN];
};

struct tunnel_record {
	uint32_t index;
	uint32_t account;
	bool affinity_client; /* all flows of a client to one connector */
	uint32_t connectors_generation;
	uint32_t n_connectors;
	uint32_t connectors[TUNNEL_MAX_CONNECTORS]; /* connector indexes */
	char id[RECORD_ID_LEN];
	char name[RECORD_NAME_LEN];
};

struct client_record {
	uint32_t index;
	uint32_t account;
	uint32_t vnet;
	uint32_t generation; /* changes with each change of this client */
	uint32_t identity;   /* of edge->policy: who this is, with the posture that holds now */
	bool enabled;
	bool has_v4, has_v6;
	uint32_t peers[CLIENT_MAX_KEYS]; /* peer indexes, RECORD_NONE where absent */
	uint64_t rate_pps, rate_bps; /* each direction, inner packets and bits; 0: no limit */
	uint8_t v4[4];
	uint8_t v6[16]; /* from here on for what is new or shown, not for each packet */
	char id[RECORD_ID_LEN];
	char name[RECORD_NAME_LEN];
	char email[RECORD_NAME_LEN];
};

static_assert(offsetof(struct client_record, v6) <= 64, "what packets need is on the first line");

struct connector_record {
	uint32_t index;
	uint32_t account;
	uint32_t tunnel;
	uint32_t weight; /* 0–256; 0 takes no new flows */
	bool draining;
	bool preserve_source; /* its flows survive a move to another connector */
	uint16_t mtu;         /* of the inner leg, bytes */
	uint32_t n_peers;
	uint32_t peers[CONNECTOR_MAX_SESSIONS]; /* one per session */
	char id[RECORD_ID_LEN];
	char hostname[RECORD_NAME_LEN];
};

enum peer_kind { PEER_CLIENT = 1, PEER_CONNECTOR = 2 };

/* One static public key that may talk WireGuard to this edge. */
struct peer_record {
	uint32_t index;
	enum peer_kind kind;
	uint32_t client;        /* PEER_CLIENT: client index, else RECORD_NONE */
	uint32_t connector;     /* PEER_CONNECTOR: connector index, else RECORD_NONE */
	uint32_t session_index; /* PEER_CONNECTOR: which of the connector's sessions */
	uint32_t account;
	uint32_t tunnel; /* PEER_CONNECTOR */
	uint32_t vnet;   /* PEER_CLIENT */
	bool enabled;
	bool has_v4, has_v6;
	bool has_psk;
	uint16_t mtu; /* of the inner leg towards this peer, bytes */
	uint8_t v4[4]; /* PEER_CLIENT: the only inner sources it may use */
	uint8_t v6[16];
	uint8_t public_key[32];
	uint8_t preshared_key[32]; /* wiped when the record is freed */
};

/* A rule for display: who decided a flow. What it says is compiled into edge->policy. */
struct rule_record {
	uint32_t index; /* dense over all accounts, as in struct policy_rule */
	uint32_t account;
	int64_t precedence;
	char id[RECORD_ID_LEN];
	char name[RECORD_NAME_LEN];
};

/* A route, as its index in the route table leads here. One word: a route may change its tunnel and stay itself. */
struct route_record {
	uint32_t tunnel; /* tunnel index; RECORD_NONE: no route has the index */
	uint32_t born;   /* number of the route; never repeats within a run; 0: none */
};
static_assert(offsetof(struct peer_record, public_key) <= 64, "what packets need is on the first line");

struct settings_record {
	uint16_t mtu;
	uint32_t icmp_errors_per_second, icmp_errors_burst;
	uint32_t flow_timeout_tcp_s, flow_timeout_tcp_closing_s, flow_timeout_udp_s, flow_timeout_icmp_s;
	uint32_t client_max_flows, client_new_flows_per_second;
	uint8_t outer_dscp;
	uint32_t handshake_max_queue;
	uint32_t inspect_timeout_ms, inspect_max_bytes;
	bool inspect_unknown_continue; /* a name that cannot be had: decide without it, else block (decision 9) */
};

/*
 * The published arrays; each slot is NULL or an immutable record. Control writes with a release store, workers read
 * with records_get (acquire; a plain load on x86) and may keep the pointer until their next quiescent state.
 */
struct records {
	uint32_t max_accounts, max_vnets, max_tunnels, max_clients, max_connectors, max_peers, max_rules, max_routes;
	const struct account_record **accounts;
	const struct vnet_record **vnets;
	const struct tunnel_record **tunnels;
	const struct client_record **clients;
	const struct connector_record **connectors;
	const struct peer_record **peers;
	const struct rule_record **rules; /* [max_rules] */
	uint64_t *routes; /* [max_routes]: struct route_record as one word; by the route table's next hop */
	const struct settings_record *settings; /* never NULL after records_create */
};

/*
 * Zeroed memory for one record, on a line of its own: what packets need of a client or peer is its first 64 bytes. NULL
 * when there is none; free() frees it.
 */
void *record_alloc(size_t size);

/* Allocates the arrays, all NULL, with default settings. NULL when memory is short. Control thread. */
struct records *records_create(uint32_t accounts, uint32_t vnets, uint32_t tunnels, uint32_t clients,
			       uint32_t connectors, uint32_t peers, uint32_t rules, uint32_t routes);
/* Frees arrays and what they hold. After all workers ended. */
void records_destroy(struct records *records);

/* The record at index, or NULL (index out of range included). */
#define records_get(array, max, index)                                                                      \
	((index) < (max) ? __atomic_load_n(&(array)[(index)], __ATOMIC_ACQUIRE) : NULL)

static inline const struct account_record *account_get(const struct records *r, uint32_t i)
{
	return records_get(r->accounts, r->max_accounts, i);
}

static inline const struct vnet_record *vnet_get(const struct records *r, uint32_t i)
{
	return records_get(r->vnets, r->max_vnets, i);
}

static inline const struct tunnel_record *tunnel_get(const struct records *r, uint32_t i)
{
	return records_get(r->tunnels, r->max_tunnels, i);
}

static inline const struct client_record *client_get(const struct records *r, uint32_t i)
{
	return records_get(r->clients, r->max_clients, i);
}

static inline const struct connector_record *connector_get(const struct records *r, uint32_t i)
{
	return records_get(r->connectors, r->max_connectors, i);
}

static inline const struct peer_record *peer_record_get(const struct records *r, uint32_t i)
{
	return records_get(r->peers, r->max_peers, i);
}

static inline const struct rule_record *rule_get(const struct records *r, uint32_t i)
{
	return records_get(r->rules, r->max_rules, i);
}

static inline struct route_record route_record_get(const struct records *r, uint32_t i)
{
	uint64_t word = i < r->max_routes ? __atomic_load_n(&r->routes[i], __ATOMIC_ACQUIRE) : RECORD_NONE;

	return (struct route_record){.tunnel = (uint32_t)word, .born = (uint32_t)(word >> 32)};
}

/* Control thread. */
static inline void route_record_set(struct records *r, uint32_t i, uint32_t tunnel, uint32_t born)
{
	__atomic_store_n(&r->routes[i], (uint64_t)born << 32 | tunnel, __ATOMIC_RELEASE);
}

static inline const struct settings_record *settings_get(const struct records *r)
{
	return __atomic_load_n(&r->settings, __ATOMIC_ACQUIRE);
}

#endif
