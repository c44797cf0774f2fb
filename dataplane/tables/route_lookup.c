// SPDX-License-Identifier: BSD-3-Clause
// Lookups in the trie: a burst goes down level by level, so that the memory of all its addresses is
// fetched at once.
#include "dataplane/tables/route_internal.h"

#define BURST 32u

/* Bits of the first `depth` (in bytes) of an IPv6 address. */
static const uint64_t prefix_mask[17][2] = {
	{0, 0},
	{~0ull << 56, 0},
	{~0ull << 48, 0},
	{~0ull << 40, 0},
	{~0ull << 32, 0},
	{~0ull << 24, 0},
	{~0ull << 16, 0},
	{~0ull << 8, 0},
	{~0ull, 0},
	{~0ull, ~0ull << 56},
	{~0ull, ~0ull << 48},
	{~0ull, ~0ull << 40},
	{~0ull, ~0ull << 32},
	{~0ull, ~0ull << 24},
	{~0ull, ~0ull << 16},
	{~0ull, ~0ull << 8},
	{~0ull, ~0ull},
};

struct lanes {
	const uint32_t *at[BURST]; /* the value that each address has come to */
	const struct route_node *node[BURST];
	uint32_t root[BURST]; /* the vnet's root as it was read, once */
	uint32_t best[BURST]; /* leaf value of the longest prefix so far */
	struct route_key key[BURST];
	uint8_t active[BURST]; /* the lanes that are still on the way */
};

static const uint32_t no_route = VALUE_NONE;

static inline bool matches(const struct route_node *n, const struct route_key *k, bool six)
{
	if (!six)
		return ((k->w[0] ^ n->prefix[0]) >> 32 >> (32 - n->depth)) == 0;
	return !(((k->w[0] ^ n->prefix[0]) & prefix_mask[n->depth / 8][0]) |
		 ((k->w[1] ^ n->prefix[1]) & prefix_mask[n->depth / 8][1]));
}

/* Where each lane starts: its vnet's root, or its slot in a wide root. */
static inline void start(const struct route_table *rt, const uint32_t *vnet, struct lanes *l,
			 unsigned int n, bool six)
{
	for (unsigned int i = 0; i < n; i++) {
		l->at[i] = vnet[i] < rt->vnets ? &rt->roots[vnet[i]][six] : &no_route;
		__builtin_prefetch(l->at[i]);
	}
	for (unsigned int i = 0; i < n; i++) {
		uint32_t v = value_load(l->at[i]);
		const uint32_t *slots = route_pool_wide_slots(&rt->pool, v & VALUE_INDEX);
		bool wide = (v & (VALUE_CHILD | VALUE_WIDE)) == (VALUE_CHILD | VALUE_WIDE);

		l->root[i] = v;
		l->at[i] = wide ? &slots[l->key[i].w[0] >> (64 - WIDE_BITS)] : &l->root[i];
		__builtin_prefetch(l->at[i]);
		l->best[i] = VALUE_NONE;
		l->active[i] = (uint8_t)i;
	}
}

/* Reads the values of the active lanes. Leaves end a lane, nodes are fetched. */
static inline unsigned int read_values(const struct route_table *rt, struct lanes *l,
				       unsigned int n)
{
	unsigned int still = 0;

	for (unsigned int j = 0; j < n; j++) {
		unsigned int i = l->active[j];
		uint32_t v = value_load(l->at[i]);
		bool child = value_is_child(v);

		l->best[i] = child || v == VALUE_NONE ? l->best[i] : v;
		l->node[i] = &rt->pool.nodes[child ? v & VALUE_INDEX : 0];
		__builtin_prefetch(l->node[i]);
		l->active[still] = (uint8_t)i;
		still += child;
	}
	return still;
}

static inline unsigned int enter_nodes(const struct route_table *rt, struct lanes *l,
				       unsigned int n, bool six)
{
	unsigned int still = 0;

	for (unsigned int j = 0; j < n; j++) {
		unsigned int i = l->active[j];
		const struct route_node *node = l->node[i];
		uint32_t inherited = value_load(&node->inherited);
		unsigned int run = route_node_run(node, route_key_byte(&l->key[i], node->depth));

		l->best[i] = inherited == VALUE_NONE ? l->best[i] : inherited;
		l->at[i] = &rt->pool.entries[node->base + run];
		__builtin_prefetch(l->at[i]);
		l->active[still] = (uint8_t)i;
		still += matches(node, &l->key[i], six);
	}
	return still;
}

static inline void lookup_burst(const struct route_table *rt, const uint32_t *vnet, struct lanes *l,
				uint32_t *next_hop, unsigned int n, bool six)
{
	unsigned int active = n;

	start(rt, vnet, l, n, six);
	for (;;) {
		active = read_values(rt, l, active);
		if (!active)
			break;
		active = enter_nodes(rt, l, active, six);
	}
	for (unsigned int i = 0; i < n; i++)
		next_hop[i] = l->best[i] == VALUE_NONE ? ROUTE_NONE : l->best[i] & VALUE_NEXT_HOP;
}

void route_lookup_v4_bulk(const struct route_table *rt, const uint32_t *vnet,
			  const uint32_t *addr_be, uint32_t *next_hop, unsigned int n)
{
	struct lanes l;

	for (unsigned int done = 0, m; done < n; done += m) {
		m = n - done < BURST ? n - done : BURST;
		for (unsigned int i = 0; i < m; i++) {
			l.key[i].w[0] = (uint64_t)__builtin_bswap32(addr_be[done + i]) << 32;
			l.key[i].w[1] = 0;
		}
		lookup_burst(rt, vnet + done, &l, next_hop + done, m, false);
	}
}

void route_lookup_v6_bulk(const struct route_table *rt, const uint32_t *vnet,
			  const uint8_t (*addr)[16], uint32_t *next_hop, unsigned int n)
{
	struct lanes l;

	for (unsigned int done = 0, m; done < n; done += m) {
		m = n - done < BURST ? n - done : BURST;
		for (unsigned int i = 0; i < m; i++)
			l.key[i] = route_key_of(addr[done + i], 6);
		lookup_burst(rt, vnet + done, &l, next_hop + done, m, true);
	}
}

uint32_t route_lookup_v6(const struct route_table *rt, uint32_t vnet, const uint8_t *addr)
{
	uint8_t copy[1][16];
	uint32_t next_hop;

	__builtin_memcpy(copy[0], addr, 16);
	route_lookup_v6_bulk(rt, &vnet, (const uint8_t(*)[16])copy, &next_hop, 1);
	return next_hop;
}
