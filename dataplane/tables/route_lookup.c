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
	union {
		uint32_t four[BURST];
		struct route_key six[BURST];
	} key;
	uint8_t active[BURST]; /* the lanes that are still on the way */
};

/*
 * Choices by mask, all ones or zero: which lanes end where is as good as random, and a compiler
 * that makes branches of it costs more in mispredictions than the whole rest.
 */
static inline uint32_t pick(uint32_t mask, uint32_t yes, uint32_t no)
{
	return no ^ ((yes ^ no) & mask);
}

static inline uint32_t mask_child(uint32_t v)
{
	return 0 - (v >> 31); /* all ones where the top bit is set */
}

/* A leaf with a route. */
static inline uint32_t mask_route(uint32_t v)
{
	return -(uint32_t)((int32_t)v > 0);
}

/* Whether the bits that `n` skips are the address's; *slot: its slot if they are. */
static inline bool matches(const struct route_node *n, const struct lanes *l, unsigned int i,
			   bool six, unsigned int *slot)
{
	unsigned int depth = n->depth;

	if (six) {
		const struct route_key *k = &l->key.six[i];

		*slot = route_key_byte(k, depth);
		return !(((k->w[0] ^ n->prefix[0]) & prefix_mask[depth / 8][0]) |
			 ((k->w[1] ^ n->prefix[1]) & prefix_mask[depth / 8][1]));
	}
	*slot = l->key.four[i] >> ((24 - depth) & 31) & 0xff;
	return (uint64_t)(l->key.four[i] ^ (uint32_t)(n->prefix[0] >> 32)) >> ((32 - depth) & 63) ==
	       0;
}

/* Where each lane starts: its vnet's root, or its slot in a wide root. */
static inline void start(const struct route_table *rt, const uint32_t *vnet, struct lanes *l,
			 unsigned int n, bool six)
{
	for (unsigned int i = 0; i < n; i++) {
		uint32_t v =
			vnet[i] < rt->vnets ? value_load(&rt->roots[vnet[i]][six]) : VALUE_NONE;

		l->root[i] = v;
		l->at[i] = &l->root[i];
		l->best[i] = VALUE_NONE;
		l->active[i] = (uint8_t)i;
		if ((v & (VALUE_CHILD | VALUE_WIDE)) == (VALUE_CHILD | VALUE_WIDE)) {
			uint32_t bits = six ? (uint32_t)(l->key.six[i].w[0] >> (64 - WIDE_BITS))
					    : l->key.four[i] >> (32 - WIDE_BITS);

			l->at[i] = &route_pool_wide_slots(&rt->pool, v & VALUE_INDEX)[bits];
			__builtin_prefetch(l->at[i]);
		}
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
		uint32_t child = mask_child(v);

		l->best[i] = pick(mask_route(v), v, l->best[i]);
		l->node[i] = &rt->pool.nodes[v & VALUE_INDEX & child];
		__builtin_prefetch(l->node[i]);
		l->active[still] = (uint8_t)i;
		still += child & 1;
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
		unsigned int slot;
		bool still_on = matches(node, l, i, six, &slot);

		l->best[i] = pick(mask_route(inherited), inherited, l->best[i]);
		l->at[i] = &rt->pool.entries[node->base + route_node_run(node, slot)];
		__builtin_prefetch(l->at[i]);
		l->active[still] = (uint8_t)i;
		still += still_on;
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
		for (unsigned int i = 0; i < m; i++)
			l.key.four[i] = __builtin_bswap32(addr_be[done + i]);
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
			l.key.six[i] = route_key_of(addr[done + i], 6);
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
