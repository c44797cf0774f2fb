/* SPDX-License-Identifier: BSD-3-Clause */
/* Which peer carries what: a client's freshest key, a tunnel's connector session for a flow. Any worker. */
#ifndef DATAPLANE_PEERS_H
#define DATAPLANE_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/edge.h"

struct flow_key;

/* The peer (public key) through which a client was heard last, among those that a worker owns; RECORD_NONE if none. */
uint32_t peers_of_client(const struct edge *edge, const struct client_record *client);

/* What edge->connector_live says of a connector; written by the handshake thread. */
enum connector_life { CONNECTOR_DEAD = 0, CONNECTOR_LIVE = 1, CONNECTOR_DRAINING = 2 /* live, but no new flows */ };

/* True when the connector has a live, settled session: its flows go on. */
bool connector_alive(const struct edge *edge, uint32_t connector);
/* True when it also takes new flows. */
bool connector_open(const struct edge *edge, uint32_t connector);

/*
 * Weighted rendezvous hashing (Thaler and Ravishankar 1998) of a flow over the tunnel's connectors. The hash uses addresses and
 * ids only, so every edge and every run of it picks the same. With `all`, connectors that are not alive take part too.
 * RECORD_NONE: no connector. `client_address`: 4 or 16 bytes by key->family.
 */
uint32_t connector_pick(const struct edge *edge, const struct tunnel_record *tunnel, const struct flow_key *key,
			const uint8_t *client_address, bool all);

/* The connector's session (peer) to use from `worker`: its own if there is one, else any that is up; RECORD_NONE. */
uint32_t connector_session(const struct edge *edge, uint32_t connector, unsigned worker);

#endif
