/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The edge's side of the network: ports, what the kernel says of addresses, routes and neighbours, which local
 * addresses are steered to workers, and the sockets that keep the kernel quiet. Control thread.
 */
#ifndef DATAPLANE_CONTROL_NET_H
#define DATAPLANE_CONTROL_NET_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/control/config.h"
#include "dataplane/control/loop.h"
#include "lib/ip.h"

struct net;
struct reclaim;
struct outer_local;

#define NET_MAX_ENDPOINTS 1024

/*
 * Opens the ports (edge->ports, edge->n_ports), reads the kernel's tables (edge->outer) and begins to steer. `reclaim`
 * outlives it. NULL with a sentence in err; what was opened is closed again.
 */
struct net *net_open(struct edge *edge, const struct edge_setup *setup, struct reclaim *reclaim, char *err,
		     size_t err_len);
/* Stops steering first, then closes ports. No worker may run. */
void net_close(struct net *net);

/* Watches netlink and the sockets. 0 or negative errno. */
int net_watch(struct net *net, struct loop *loop);
void net_unwatch(struct net *net);

/* Once a turn: gathers netlink changes. Returns ms until it wants to be called again, −1 for no hurry. */
int net_turn(struct net *net);

/* A worker asked for a neighbour. */
void net_neighbour(struct net *net, uint32_t ifindex, uint8_t family, const uint8_t address[16]);

/* "host:port" of the endpoints that clients and connectors may use: config.advertise, or the addresses of the ports'
 * interfaces. How many (at most max). */
size_t net_endpoints(const struct net *net, char out[][IP_ENDPOINT_TEXT + 32], size_t max);
/* Grows whenever what net_endpoints gives may have changed. */
unsigned net_endpoints_version(const struct net *net);

/* config.advertise is another one: it is told again. */
void net_endpoints_changed(struct net *net);

/* How many (local address, port) pairs are steered now. */
size_t net_steered(const struct net *net);

/* Drops packets of these sources at the listen endpoints. 0, -E2BIG (nothing changed) or negative errno. */
int net_deny(struct net *net, const struct ip_prefix *prefixes, size_t n);

/*
 * Pure: the endpoints of `listen` on these local addresses. An "any" address stands for every usable local address of
 * its family (no loopback, link-local or tentative one). How many; at most max.
 */
size_t net_expand(const struct listen_address *listen, unsigned n_listen, const struct outer_local *locals,
		  size_t n_locals, struct ip_endpoint *out, size_t max);

#endif
