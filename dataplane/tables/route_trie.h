// SPDX-License-Identifier: BSD-3-Clause
// Inside route_table: the trie that lookups walk. Levels of 8 bits (16 for the first of a large
// vnet), compressed runs, skipped bits. Keys are 128 bits, first bits on top; an IPv4 address is
// the first 32 of them.
#ifndef DATAPLANE_TABLES_ROUTE_TRIE_H
#define DATAPLANE_TABLES_ROUTE_TRIE_H

#include <stdint.h>

#include "dataplane/tables/route_pool.h"

struct route_key {
	uint64_t w[2];
};

static inline struct route_key route_key_of(const uint8_t *addr, uint8_t family)
{
	struct route_key k = {{0, 0}};
	uint32_t four;

	if (family == 4) {
		__builtin_memcpy(&four, addr, 4);
		k.w[0] = (uint64_t)__builtin_bswap32(four) << 32;
	} else {
		__builtin_memcpy(k.w, addr, 16);
		k.w[0] = __builtin_bswap64(k.w[0]);
		k.w[1] = __builtin_bswap64(k.w[1]);
	}
	return k;
}

/** The key with all bits past the first `len` (0 … 128) zero. */
static inline struct route_key route_key_cut(struct route_key k, unsigned int len)
{
	k.w[0] &= len == 0 ? 0 : len >= 64 ? ~0ull : ~0ull << (64 - len);
	k.w[1] &= len <= 64 ? 0 : ~0ull << (128 - len);
	return k;
}

/** The 8 bits after the first `depth`. */
static inline unsigned int route_key_byte(const struct route_key *k, unsigned int depth)
{
	return (k->w[depth / 64] >> (56 - depth % 64)) & 0xff;
}

/** The run that slot `slot` of `n` belongs to: 0 … 255. */
static inline unsigned int route_node_run(const struct route_node *n, unsigned int slot)
{
	uint64_t upto = n->runs[slot / 64] & (~0ull >> (63 - slot % 64));

	return n->before[slot / 64] + (unsigned int)__builtin_popcountll(upto) - 1;
}

static inline uint32_t value_load(const uint32_t *v)
{
	return __atomic_load_n(v, __ATOMIC_ACQUIRE);
}

static inline void value_store(uint32_t *v, uint32_t to)
{
	__atomic_store_n(v, to, __ATOMIC_RELEASE);
}

/**
 * Enters a prefix that is not in the trie below `root`. 0, or -ENOSPC with nothing changed.
 */
int route_trie_add(struct route_pool *p, uint32_t *root, struct route_key key, unsigned int len,
		   uint32_t next_hop);

/** Gives a prefix that is in the trie another next hop. 0, or -ENOSPC with nothing changed. */
int route_trie_replace(struct route_pool *p, uint32_t *root, struct route_key key, unsigned int len,
		       uint32_t next_hop);

/**
 * Takes out a prefix that is in the trie. `cover_len` ≥ 0: the longest other prefix of the same
 * level (from route_trie_level() on) that covers it, and its next hop; -1: there is none. 0, or
 * -ENOSPC with nothing changed.
 */
int route_trie_delete(struct route_pool *p, uint32_t *root, struct route_key key, unsigned int len,
		      int cover_len, uint32_t cover_next_hop);

/** The shortest length that shares a level with `len`: a cover must be at least as long. */
unsigned int route_trie_level(uint32_t root, unsigned int len);

/** Gives `root` a wide first level, if the pool has what it takes. True: done. */
bool route_trie_widen(struct route_pool *p, uint32_t *root);

/** Gives the wide level back; there is no prefix left. */
void route_trie_clear(struct route_pool *p, uint32_t *root);

#endif
