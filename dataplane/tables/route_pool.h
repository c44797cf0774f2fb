// SPDX-License-Identifier: BSD-3-Clause
// Inside route_table: the memory of the trie. Fixed pools, taken at creation: nodes of one cache
// line, runs of entries from a buddy allocator, and a few wide roots. Writer only, but for what
// nodes and entries hold.
#ifndef DATAPLANE_TABLES_ROUTE_POOL_H
#define DATAPLANE_TABLES_ROUTE_POOL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/tables/retire.h"

/*
 * A value stands for what is known of a set of addresses. Leaf: the route that holds for them on
 * this level of the trie (its length as a code relative to the level, and its next hop), 0 when the
 * level has none. Child: a node, or a wide root. The code lets a shorter route be added or removed
 * without asking whose a slot is.
 */
#define VALUE_NONE     0u
#define VALUE_CHILD    (1u << 31)
#define VALUE_WIDE     (1u << 30) /* with VALUE_CHILD, in a vnet's root only: index of a wide root */
#define VALUE_INDEX    (VALUE_WIDE - 1)
#define VALUE_CODE_BIT 26
#define VALUE_NEXT_HOP ((1u << VALUE_CODE_BIT) - 1)

static inline bool value_is_child(uint32_t v)
{
	return v & VALUE_CHILD;
}

static inline uint32_t value_leaf(unsigned int code, uint32_t next_hop)
{
	return code << VALUE_CODE_BIT | next_hop;
}

static inline unsigned int value_code(uint32_t leaf)
{
	return leaf >> VALUE_CODE_BIT;
}

/**
 * 256 slots for the 8 bits after the first `depth` of an address. Neighbours with one leaf value
 * are a run and share an entry; a child is a run of its own. `depth` may skip bits since the
 * parent: `prefix` says what they must be. Nothing but `inherited` changes while readers may see
 * the node; entries change one word at a time.
 */
struct route_node {
	uint64_t runs[4];   /* bit i: a run starts at slot i; bit 0 is set */
	uint64_t prefix[2]; /* the first `depth` bits, host order, first bits on top; the rest zero
			     */
	uint32_t base;	    /* index of the first run's entry */
	uint32_t inherited; /* leaf value of the parent's slot: for addresses that find nothing
			       here. Atomic */
	uint8_t before[4];  /* runs that start in earlier words */
	uint8_t depth;	    /* bits, 0 … 120, multiple of 8 */
	uint8_t order;	    /* the entries' block has 4 << order words */
} __attribute__((aligned(64)));
static_assert(sizeof(struct route_node) == 64, "a node is one cache line");

#define WIDE_BITS    16
#define WIDE_SLOTS   (1u << WIDE_BITS)

#define BLOCK_WORDS  4u /* the smallest block of entries */
#define BLOCK_ORDERS 7	/* 4 … 256 words */
#define POOL_NONE    UINT32_MAX

struct route_pool {
	/* readers and writer */
	struct route_node *nodes;
	uint32_t *entries;
	uint32_t *wide; /* [n_wide][WIDE_SLOTS], each all VALUE_NONE while it is free */

	/* writer only */
	uint32_t nodes_max, nodes_touched, nodes_free_head, nodes_used;
	uint32_t blocks_max, blocks_touched; /* in units of BLOCK_WORDS */
	uint32_t free_head[BLOCK_ORDERS]; /* a block's first words: next and previous of its list */
	uint8_t *free_order;		  /* [blocks_max]: 1 + order where a free block starts */
	uint64_t words_used;
	uint32_t wide_max, wide_used;
	uint8_t *wide_taken;
	uint64_t retired; /* pieces that wait to come back */
	bool spare; /* the last few nodes and blocks may be taken: to delete from a full table */
	struct retire_ops retire;
	size_t bytes_reserved;
};

/** 0 or -ENOMEM. Zeroed address space; pages are taken when touched. */
int route_pool_init(struct route_pool *p, uint32_t nodes, uint64_t words, uint32_t wide,
		    struct retire_ops retire);
void route_pool_fini(struct route_pool *p);

/** A node with an entries block of at least `words`; POOL_NONE when either is out (nothing taken).
 */
uint32_t route_pool_node(struct route_pool *p, unsigned int words);

/** How many nodes can be taken. */
uint32_t route_pool_nodes_left(const struct route_pool *p);

/** A node without entries, for a copy that takes over another's. */
uint32_t route_pool_bare_node(struct route_pool *p);

/** An index of a wide root, all VALUE_NONE, or POOL_NONE. */
uint32_t route_pool_wide(struct route_pool *p);

/** Back to the pool at once: no reader has seen it. */
void route_pool_drop(struct route_pool *p, uint32_t node, bool with_entries);

/** Back to the pool after a grace period. */
void route_pool_retire(struct route_pool *p, uint32_t node, bool with_entries);
void route_pool_retire_wide(struct route_pool *p, uint32_t wide);

static inline uint32_t *route_pool_wide_slots(const struct route_pool *p, uint32_t wide)
{
	return p->wide + (size_t)wide * WIDE_SLOTS;
}

#endif
