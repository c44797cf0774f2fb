// SPDX-License-Identifier: BSD-3-Clause
// Inside route_table: its parts, shared by the writer's side (route_table.c) and the readers'
// (route_lookup.c).
#ifndef DATAPLANE_TABLES_ROUTE_INTERNAL_H
#define DATAPLANE_TABLES_ROUTE_INTERNAL_H

#include "dataplane/tables/keyed_hash.h"
#include "dataplane/tables/route_table.h"
#include "dataplane/tables/route_trie.h"

/* A route as it was given: the truth that the trie is made from. Writer only. */
struct route_record {
	struct route_key key;
	uint32_t vnet;
	uint32_t next_hop;
	uint32_t chain;	     /* in its hash bucket */
	uint32_t next, prev; /* in its vnet's list; next: also in the free list */
	uint8_t len;
	uint8_t family;
};
static_assert(sizeof(struct route_record) == 40, "what a route costs the writer");

struct route_vnet {
	uint32_t first;	   /* record */
	uint32_t count[2]; /* v4, v6 */
};

struct route_table {
	/* readers and writer */
	uint32_t (*roots)[2]; /* [vnets]: values of v4 and v6 */
	uint32_t vnets;
	struct route_pool pool;

	/* writer only */
	struct route_vnet *vnet; /* [vnets] */
	struct route_record *records;
	uint32_t *heads; /* [head_mask + 1] */
	uint32_t head_mask;
	uint32_t records_max, records_touched, free_record, n_records;
	uint32_t total[2];
	uint64_t secret[KEYED_HASH_WORDS];
	uint32_t wide_from; /* routes of a family in a vnet that make its root wide; tests lower it
			     */
	enum route_full full;
	size_t writer_bytes; /* reserved for the above */
};

#endif
