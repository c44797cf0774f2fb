// SPDX-License-Identifier: BSD-3-Clause
// Longest prefix match for many virtual networks at once: (vnet, address) → next hop, IPv4 and
// IPv6, in one shared pool of fixed capacity. One writer (the control thread), any number of
// lock-free readers.
//
// A reader sees, for each address, the table as it was before or after a change, never between.
// Memory that a change replaces goes to `retire` (retire.h): readers may be in it until they pass a
// quiescent state, so a reader must not report one between the start and the end of a lookup call.
#ifndef DATAPLANE_TABLES_ROUTE_TABLE_H
#define DATAPLANE_TABLES_ROUTE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/tables/retire.h"

/** No route. */
#define ROUTE_NONE UINT32_MAX

/** The largest next hop that a route may have. */
#define ROUTE_NEXT_HOP_MAX ((1u << 26) - 1)

/** Errors name what ran out: see route_table_full(). */
enum route_full {
	ROUTE_FULL_NOTHING,
	ROUTE_FULL_ROUTES,  /* config.routes are in the table */
	ROUTE_FULL_NODES,   /* the trie's node pool is used up */
	ROUTE_FULL_ENTRIES, /* the trie's entry pool is used up */
};

struct route_config {
	uint32_t vnets;	 /* vnet indexes are 0 … vnets − 1; 1 … 1,000,000 */
	uint32_t routes; /* capacity over all vnets, v4 and v6 together; 1 … 16,777,216 */
	/* Trie nodes (64 bytes each). 0: so many that `routes` routes always fit, whatever they
	 * are. */
	uint32_t nodes;
	struct retire_ops retire; /* .retire NULL: no readers, memory is reused at once */
};

/** One route. `addr`: network byte order, v4 in the first 4 bytes, bits past `len` are zero. */
struct route {
	uint32_t vnet;
	uint32_t next_hop;
	uint8_t addr[16];
	uint8_t family; /* 4 or 6 */
	uint8_t len;	/* 0 … 32 or 128 */
};

struct route_stats {
	uint32_t routes_v4, routes_v6;
	uint32_t nodes_used, nodes_max;
	uint64_t entries_used, entries_max; /* u32 each */
	uint32_t wide_roots;		    /* vnets whose first 16 bits are one array */
	size_t bytes_used;     /* what the routes in the table take, readers' and writer's part */
	size_t bytes_reader;   /* of those, what lookups touch */
	size_t bytes_reserved; /* address space taken at creation */
};

struct route_table;

/** NULL with errno EINVAL (a field out of range) or ENOMEM. Freed by route_table_destroy(). */
struct route_table *route_table_create(const struct route_config *config);

/** No reader may be left, and nothing of it may wait in a retire queue. NULL is allowed. */
void route_table_destroy(struct route_table *rt);

/* ---- writer: one thread ---- */

/**
 * Adds `r`, or gives the prefix that is there a new next hop. 0 added, 1 replaced (also when
 * nothing changed), -EINVAL (vnet ≥ vnets, family, len, bits set past len, next hop >
 * ROUTE_NEXT_HOP_MAX), -ENOSPC (route_table_full() names what), -EAGAIN (memory that would do is
 * still retired: let readers pass, reclaim, call again). On an error nothing has changed. Bounded:
 * under 10 µs for most, under about 1 ms for a prefix shorter than /16 in a large vnet and for the
 * one step in which a vnet grows past 16,384 routes of a family.
 */
int route_add(struct route_table *rt, const struct route *r);

/** Removes the prefix of `r` (its next_hop is ignored). 0, -ENOENT, -EINVAL, -EAGAIN as above,
 * -ENOSPC. */
int route_delete(struct route_table *rt, const struct route *r);

/**
 * Removes up to `budget` routes of `vnet`, either family, and returns how many. Fewer than
 * `budget`: none is left, or (where route_count() still finds some) readers must pass before it can
 * go on.
 */
uint32_t route_delete_vnet(struct route_table *rt, uint32_t vnet, uint32_t budget);

/** What the last -ENOSPC or -EAGAIN was for. */
enum route_full route_table_full(const struct route_table *rt);

/** "routes", "nodes", "entries", "nothing". */
const char *route_full_name(enum route_full full);

/** The exact prefix of `r`: fills in r->next_hop. 0, -ENOENT, -EINVAL. */
int route_get(const struct route_table *rt, struct route *r);

/**
 * The longest prefix no longer than `max_len` that covers `addr` (network byte order): for
 * `explain` ("without this route, that one would hold"). Fills *out. 0, -ENOENT, -EINVAL.
 */
int route_lookup_covering(const struct route_table *rt, uint32_t vnet, uint8_t family,
			  const uint8_t *addr, uint8_t max_len, struct route *out);

/**
 * Walks the routes of one vnet in no particular order: start with *cursor = 0; true and *out filled
 * for each, false at the end. The route just returned may be deleted before the next call; other
 * changes to the vnet end the walk's guarantee to see each route once.
 */
bool route_iterate(const struct route_table *rt, uint32_t vnet, uint32_t *cursor,
		   struct route *out);

/** Routes of one family (4, 6) in one vnet; 0 for a vnet out of range. */
uint32_t route_count(const struct route_table *rt, uint32_t vnet, uint8_t family);

void route_table_stats(const struct route_table *rt, struct route_stats *out);

/* ---- readers: any thread, no lock ---- */

/**
 * next_hop[i] = the next hop of the longest prefix of vnet[i] that covers addr_be[i], or ROUTE_NONE
 * (also for vnet[i] out of range), for i < n; any n, bursts of 32 to 64 are best. addr_be: network
 * byte order.
 */
void route_lookup_v4_bulk(const struct route_table *rt, const uint32_t *vnet,
			  const uint32_t *addr_be, uint32_t *next_hop, unsigned int n);

/** The same for IPv6; addr[i] is 16 bytes in network byte order, any alignment. */
void route_lookup_v6_bulk(const struct route_table *rt, const uint32_t *vnet,
			  const uint8_t (*addr)[16], uint32_t *next_hop, unsigned int n);

/** One lookup. */
static inline uint32_t route_lookup_v4(const struct route_table *rt, uint32_t vnet,
				       uint32_t addr_be)
{
	uint32_t nh;

	route_lookup_v4_bulk(rt, &vnet, &addr_be, &nh, 1);
	return nh;
}

/** One IPv6 lookup; addr is 16 bytes. */
uint32_t route_lookup_v6(const struct route_table *rt, uint32_t vnet, const uint8_t *addr);

#endif
