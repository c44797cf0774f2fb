// SPDX-License-Identifier: BSD-3-Clause
// Inside route_table: nodes from a free list, entries from a buddy allocator, both over memory that
// is only touched when used.
#include "dataplane/tables/route_pool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define TOP_ORDER  (BLOCK_ORDERS - 1)
#define TOP_BLOCKS (1u << TOP_ORDER)

/* Kept back from additions, so that a full table can be made smaller: a deletion builds before it
 * gives back. */
#define SPARE_NODES  16u
#define SPARE_BLOCKS (16u * TOP_BLOCKS)

/* What is retired, in 64 bits: a node with or without its entries, or a wide root. */
#define TOKEN_ENTRIES (1ull << 32)
#define TOKEN_WIDE    (1ull << 33)

static void *map(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		return NULL;
	if (bytes >= 2u << 20)
		madvise(mem, bytes,
			MADV_HUGEPAGE); /* a wish: without it lookups only miss the TLB more */
	return mem;
}

static void unmap(void *mem, size_t bytes)
{
	if (mem)
		munmap(mem, bytes);
}

static size_t nodes_bytes(const struct route_pool *p)
{
	return (size_t)p->nodes_max * sizeof(*p->nodes);
}

static size_t entries_bytes(const struct route_pool *p)
{
	return (size_t)p->blocks_max * BLOCK_WORDS * sizeof(*p->entries);
}

static size_t wide_bytes(const struct route_pool *p)
{
	return (size_t)p->wide_max * WIDE_SLOTS * sizeof(*p->wide);
}

int route_pool_init(struct route_pool *p, uint32_t nodes, uint64_t words, uint32_t wide,
		    struct retire_ops retire)
{
	memset(p, 0, sizeof(*p));
	p->nodes_max = nodes + SPARE_NODES;
	p->nodes_free_head = POOL_NONE;
	p->blocks_max =
		(uint32_t)((words / BLOCK_WORDS + TOP_BLOCKS - 1) / TOP_BLOCKS * TOP_BLOCKS) +
		SPARE_BLOCKS;
	p->wide_max = wide;
	p->retire = retire;
	memset(p->free_head, 0xff, sizeof(p->free_head));

	p->nodes = map(nodes_bytes(p));
	p->entries = map(entries_bytes(p));
	p->wide = map(wide_bytes(p));
	p->free_order = map(p->blocks_max);
	p->wide_taken = map(wide);
	if (!p->nodes || !p->entries || !p->wide || !p->free_order || !p->wide_taken) {
		route_pool_fini(p);
		return -ENOMEM;
	}
	p->bytes_reserved =
		nodes_bytes(p) + entries_bytes(p) + wide_bytes(p) + p->blocks_max + wide;
	return 0;
}

void route_pool_fini(struct route_pool *p)
{
	unmap(p->nodes, nodes_bytes(p));
	unmap(p->entries, entries_bytes(p));
	unmap(p->wide, wide_bytes(p));
	unmap(p->free_order, p->blocks_max);
	unmap(p->wide_taken, p->wide_max);
	memset(p, 0, sizeof(*p));
}

/* Links of a free block, in its own first words. */
static uint32_t *links_of(const struct route_pool *p, uint32_t block)
{
	return &p->entries[(size_t)block * BLOCK_WORDS];
}

static void list_push(struct route_pool *p, uint32_t block, unsigned int order)
{
	uint32_t *links = links_of(p, block);

	links[0] = p->free_head[order];
	links[1] = POOL_NONE;
	if (links[0] != POOL_NONE)
		links_of(p, links[0])[1] = block;
	p->free_head[order] = block;
	p->free_order[block] = (uint8_t)(order + 1);
}

static void list_remove(struct route_pool *p, uint32_t block, unsigned int order)
{
	const uint32_t *links = links_of(p, block);

	if (links[1] == POOL_NONE)
		p->free_head[order] = links[0];
	else
		links_of(p, links[1])[0] = links[0];
	if (links[0] != POOL_NONE)
		links_of(p, links[0])[1] = links[1];
	p->free_order[block] = 0;
}

static uint32_t block_take(struct route_pool *p, unsigned int order)
{
	unsigned int from = order;
	uint32_t block;

	while (from < BLOCK_ORDERS && p->free_head[from] == POOL_NONE)
		from++;
	if (from < BLOCK_ORDERS) {
		block = p->free_head[from];
		list_remove(p, block, from);
	} else if (p->blocks_touched < p->blocks_max - (p->spare ? 0 : SPARE_BLOCKS)) {
		block = p->blocks_touched;
		p->blocks_touched += TOP_BLOCKS;
		from = TOP_ORDER;
	} else {
		return POOL_NONE;
	}
	for (; from > order; from--) /* the upper half goes back */
		list_push(p, block + (1u << (from - 1)), from - 1);
	p->words_used += BLOCK_WORDS << order;
	return block;
}

static void block_give(struct route_pool *p, uint32_t block, unsigned int order)
{
	p->words_used -= BLOCK_WORDS << order;
	while (order < TOP_ORDER) {
		uint32_t buddy = block ^ 1u << order;

		if (p->free_order[buddy] != order + 1)
			break;
		list_remove(p, buddy, order);
		block &= ~(1u << order);
		order++;
	}
	list_push(p, block, order);
}

uint32_t route_pool_nodes_left(const struct route_pool *p)
{
	uint32_t max = p->nodes_max - (p->spare ? 0 : SPARE_NODES);

	return p->nodes_used < max ? max - p->nodes_used : 0;
}

uint32_t route_pool_bare_node(struct route_pool *p)
{
	uint32_t node = p->nodes_free_head;

	if (!route_pool_nodes_left(p))
		return POOL_NONE;
	if (node != POOL_NONE)
		p->nodes_free_head = p->nodes[node].base; /* the free list's link */
	else
		node = p->nodes_touched++;
	p->nodes_used++;
	return node;
}

static void node_give(struct route_pool *p, uint32_t node)
{
	p->nodes[node].base = p->nodes_free_head;
	p->nodes_free_head = node;
	p->nodes_used--;
}

uint32_t route_pool_node(struct route_pool *p, unsigned int words)
{
	unsigned int order = 0;
	uint32_t block, node;

	while (BLOCK_WORDS << order < words)
		order++;
	node = route_pool_bare_node(p);
	if (node == POOL_NONE)
		return POOL_NONE;
	block = block_take(p, order);
	if (block == POOL_NONE) {
		node_give(p, node);
		return POOL_NONE;
	}
	memset(&p->nodes[node], 0, sizeof(p->nodes[node]));
	p->nodes[node].base = block * BLOCK_WORDS;
	p->nodes[node].order = (uint8_t)order;
	return node;
}

uint32_t route_pool_wide(struct route_pool *p)
{
	for (uint32_t i = 0; i < p->wide_max; i++) {
		if (p->wide_taken[i])
			continue;
		p->wide_taken[i] = 1;
		p->wide_used++;
		return i;
	}
	return POOL_NONE;
}

void route_pool_drop(struct route_pool *p, uint32_t node, bool with_entries)
{
	if (with_entries)
		block_give(p, p->nodes[node].base / BLOCK_WORDS, p->nodes[node].order);
	node_give(p, node);
}

static void give_back(void *owner, uint64_t what)
{
	struct route_pool *p = owner;

	p->retired--;
	if (what & TOKEN_WIDE) {
		memset(route_pool_wide_slots(p, (uint32_t)what), 0, WIDE_SLOTS * sizeof(*p->wide));
		p->wide_taken[(uint32_t)what] = 0;
		p->wide_used--;
	} else {
		route_pool_drop(p, (uint32_t)what, what & TOKEN_ENTRIES);
	}
}

static void retire(struct route_pool *p, uint64_t what)
{
	p->retired++;
	if (p->retire.retire)
		p->retire.retire(p->retire.ctx, give_back, p, what);
	else
		give_back(p, what);
}

void route_pool_retire(struct route_pool *p, uint32_t node, bool with_entries)
{
	retire(p, node | (with_entries ? TOKEN_ENTRIES : 0));
}

void route_pool_retire_wide(struct route_pool *p, uint32_t wide)
{
	retire(p, wide | TOKEN_WIDE);
}
