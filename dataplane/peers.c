// SPDX-License-Identifier: BSD-3-Clause
// Which peer carries what.
#include "dataplane/peers.h"

#include <math.h>
#include <string.h>

#include "dataplane/tables/flow_table.h"

uint32_t peers_of_client(const struct edge *edge, const struct client_record *client)
{
	uint32_t best = RECORD_NONE;
	uint64_t best_ns = 0;

	if (client->peers[1] == RECORD_NONE) /* the usual case: one key, nothing to compare */
		return client->peers[0] != RECORD_NONE &&
				       __atomic_load_n(&edge->peers[client->peers[0]].owner, __ATOMIC_RELAXED) != PEER_UNOWNED
			       ? client->peers[0]
			       : RECORD_NONE;
	for (unsigned i = 0; i < CLIENT_MAX_KEYS; i++) {
		uint32_t p = client->peers[i];

		if (p == RECORD_NONE || __atomic_load_n(&edge->peers[p].owner, __ATOMIC_RELAXED) == PEER_UNOWNED)
			continue;
		if (best == RECORD_NONE || edge->peers[p].stamps.auth_rx_ns > best_ns) {
			best = p;
			best_ns = edge->peers[p].stamps.auth_rx_ns;
		}
	}
	return best;
}

bool connector_alive(const struct edge *edge, uint32_t connector)
{
	return connector < edge->records->max_connectors &&
	       __atomic_load_n(&edge->connector_live[connector], __ATOMIC_RELAXED) != 0;
}

bool connector_open(const struct edge *edge, uint32_t connector)
{
	return connector < edge->records->max_connectors &&
	       __atomic_load_n(&edge->connector_live[connector], __ATOMIC_RELAXED) == CONNECTOR_LIVE;
}

/* 64-bit finalizer of MurmurHash3. */
static uint64_t mix(uint64_t h)
{
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdull;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ull;
	return h ^ h >> 33;
}

static uint64_t hash_bytes(uint64_t h, const uint8_t *p, unsigned len)
{
	for (; len > 0; len -= len < 8 ? len : 8, p += 8) {
		uint64_t word = 0;

		memcpy(&word, p, len < 8 ? len : 8);
		h = mix(h ^ word);
	}
	return h;
}

static uint64_t flow_identity(const struct tunnel_record *tunnel, const struct flow_key *key,
			      const uint8_t *client_address)
{
	unsigned alen = key->family == 4 ? 4 : 16;
	uint64_t h = hash_bytes(0x5a17ce, client_address, alen);

	if (tunnel->affinity_client)
		return h;
	h = hash_bytes(h, key->remote_addr, 16);
	return mix(h ^ ((uint64_t)key->client_port_be << 32 | (uint64_t)key->remote_port_be << 16 | key->proto));
}

uint32_t connector_pick(const struct edge *edge, const struct tunnel_record *tunnel, const struct flow_key *key,
			const uint8_t *client_address, bool all)
{
	uint64_t flow = flow_identity(tunnel, key, client_address);
	uint32_t best = RECORD_NONE;
	double best_score = 0;

	for (unsigned i = 0; i < tunnel->n_connectors; i++) {
		const struct connector_record *c = connector_get(edge->records, tunnel->connectors[i]);
		double unit, score;
		uint64_t h;

		if (c == NULL || c->draining || c->weight == 0)
			continue;
		if (!all && !connector_open(edge, c->index))
			continue;
		h = hash_bytes(flow, (const uint8_t *)c->id, 36);
		/* in (0, 1); −weight / ln(unit) makes shares proportional to weights */
		unit = ((double)(h >> 11) + 0.5) * 0x1p-53;
		score = -(double)c->weight / log(unit);
		if (best == RECORD_NONE || score > best_score) {
			best = c->index;
			best_score = score;
		}
	}
	return best;
}

uint32_t connector_session(const struct edge *edge, uint32_t connector, unsigned worker)
{
	const struct connector_record *c = connector_get(edge->records, connector);
	uint32_t any = RECORD_NONE;

	for (unsigned i = 0; c != NULL && i < c->n_peers; i++) {
		const struct peer *p = &edge->peers[c->peers[i]];

		if (!__atomic_load_n(&p->settled, __ATOMIC_RELAXED) ||
		    __atomic_load_n(&p->current, __ATOMIC_RELAXED) == NULL)
			continue;
		if (__atomic_load_n(&p->owner, __ATOMIC_RELAXED) == worker)
			return c->peers[i];
		if (any == RECORD_NONE)
			any = c->peers[i];
	}
	return any;
}
