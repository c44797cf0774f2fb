// SPDX-License-Identifier: BSD-3-Clause
// Receiver indexes: a small Feistel network over the bits below the edge number, and the slots
// behind them.
#include "dataplane/tables/peer_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_EDGE_BITS  8
#define MIN_SPARE_BITS 4

static unsigned int bits_for(uint32_t n) /* to count 0 … n − 1 */
{
	return n <= 1 ? 0 : 32 - (unsigned int)__builtin_clz(n - 1);
}

static uint64_t splitmix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

int peer_index_init(struct peer_index *c, unsigned int edge_bits, uint32_t edge_number,
		    uint32_t workers, uint32_t slots_per_worker, const uint8_t key[32])
{
	unsigned int rest = 32 - edge_bits, slot_bits = bits_for(slots_per_worker);
	uint64_t words[4];

	if (edge_bits > MAX_EDGE_BITS || edge_number >> edge_bits || !workers ||
	    !slots_per_worker || slot_bits + bits_for(workers) + MIN_SPARE_BITS > rest)
		return -EINVAL;
	memset(c, 0, sizeof(*c));
	c->rest_mask = rest == 32 ? UINT32_MAX : (1u << rest) - 1;
	c->edge_mask = ~c->rest_mask;
	c->edge = edge_bits ? edge_number << rest : 0;
	c->low_bits = (uint8_t)(rest / 2);
	c->low_mask = (1u << c->low_bits) - 1;
	c->high_mask = (1u << (rest - c->low_bits)) - 1;
	c->slot_bits = (uint8_t)slot_bits;
	c->workers = workers;
	c->slots = slots_per_worker;

	memcpy(words, key, sizeof(words));
	for (unsigned int r = 0; r < PEER_INDEX_ROUNDS; r++) {
		for (unsigned int i = 0; i < 3; i++) {
			uint64_t a = splitmix(&words[i]), b = splitmix(&words[3]);

			c->key[r][i] = a ^ (b << 32 | b >> 32);
		}
		c->key[r][1] |= 1; /* the multipliers */
		c->key[r][2] |= 1;
	}
	return 0;
}

/* A keyed function of at most 16 bits; its upper product bits depend on all of them. */
static inline uint32_t round_of(const struct peer_index *c, unsigned int r, uint32_t half)
{
	uint64_t t = (half + c->key[r][0]) * c->key[r][1];

	t = (t ^ t >> 29) * c->key[r][2];
	return (uint32_t)(t >> 40);
}

uint32_t peer_index_encode(const struct peer_index *c, uint32_t worker, uint32_t slot)
{
	uint32_t v = worker << c->slot_bits | slot;
	uint32_t low = v & c->low_mask, high = v >> c->low_bits;

	for (unsigned int r = 0; r < PEER_INDEX_ROUNDS; r += 2) {
		high ^= round_of(c, r, low) & c->high_mask;
		low ^= round_of(c, r + 1, high) & c->low_mask;
	}
	return c->edge | high << c->low_bits | low;
}

bool peer_index_decode(const struct peer_index *c, uint32_t index, uint32_t *worker, uint32_t *slot)
{
	uint32_t v = index & c->rest_mask;
	uint32_t low = v & c->low_mask, high = v >> c->low_bits, w, s;

	if ((index & c->edge_mask) != c->edge)
		return false;
	for (unsigned int r = PEER_INDEX_ROUNDS; r > 0; r -= 2) {
		low ^= round_of(c, r - 1, high) & c->low_mask;
		high ^= round_of(c, r - 2, low) & c->high_mask;
	}
	v = high << c->low_bits | low;
	w = v >> c->slot_bits;
	s = v & ((1u << c->slot_bits) - 1);
	if (w >= c->workers || s >= c->slots)
		return false;
	*worker = w;
	*slot = s;
	return true;
}

uint32_t peer_index_edge(const struct peer_index *c, uint32_t index)
{
	return c->edge_mask ? (index & c->edge_mask) >> __builtin_ctz(c->edge_mask) : 0;
}

/* Free slots in the order they were given back, each with the time from which it may be taken. */
struct peer_slots {
	uint32_t slots;
	uint32_t n_free;
	uint32_t head; /* of the ring of free slots: the one that has rested longest */
	uint64_t rest_ns;
	struct {
		uint64_t ready_ns;
		uint32_t slot;
	} * ring;
	bool *taken;
};

struct peer_slots *peer_slots_create(uint32_t slots, uint64_t rest_ns)
{
	struct peer_slots *s = slots ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return NULL;
	s->slots = s->n_free = slots;
	s->rest_ns = rest_ns;
	s->ring = calloc(slots, sizeof(*s->ring));
	s->taken = calloc(slots, sizeof(*s->taken));
	if (!s->ring || !s->taken) {
		peer_slots_destroy(s);
		return NULL;
	}
	for (uint32_t i = 0; i < slots; i++) /* ready since ever */
		s->ring[i].slot = i;
	return s;
}

void peer_slots_destroy(struct peer_slots *s)
{
	if (!s)
		return;
	free(s->ring);
	free(s->taken);
	free(s);
}

int64_t peer_slots_take(struct peer_slots *s, uint64_t now_ns)
{
	uint32_t slot;

	if (s->n_free == 0)
		return -ENOSPC;
	if (s->ring[s->head].ready_ns > now_ns)
		return -EAGAIN;
	slot = s->ring[s->head].slot;
	s->head = s->head + 1 == s->slots ? 0 : s->head + 1;
	s->n_free--;
	s->taken[slot] = true;
	return slot;
}

int peer_slots_give(struct peer_slots *s, uint32_t slot, uint64_t now_ns)
{
	uint64_t tail;

	if (slot >= s->slots || !s->taken[slot])
		return -EINVAL;
	tail = ((uint64_t)s->head + s->n_free) % s->slots;
	s->ring[tail].slot = slot;
	s->ring[tail].ready_ns = now_ns + s->rest_ns;
	s->taken[slot] = false;
	s->n_free++;
	return 0;
}

uint32_t peer_slots_used(const struct peer_slots *s)
{
	return s->slots - s->n_free;
}

uint32_t peer_slots_resting(const struct peer_slots *s, uint64_t now_ns)
{
	uint32_t lo = 0, hi = s->n_free;

	while (lo < hi) { /* ready times do not decrease along the ring */
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->ring[((uint64_t)s->head + mid) % s->slots].ready_ns > now_ns)
			hi = mid;
		else
			lo = mid + 1;
	}
	return s->n_free - lo;
}
