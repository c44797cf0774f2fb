// SPDX-License-Identifier: BSD-3-Clause
// Linear probing with backward shift on removal.
#include "dataplane/control/route_rows.h"

#include <stdlib.h>
#include <string.h>

static uint32_t home_of(const struct route_rows *r, const struct route_row *row)
{
	uint64_t a, b, h;

	memcpy(&a, row->addr, 8);
	memcpy(&b, row->addr + 8, 8);
	h = (a ^ r->seed) * 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 32 ^ b) * 0xc4ceb9fe1a85ec53ull;
	h = (h ^ h >> 29 ^ ((uint64_t)row->vnet << 16 | (uint64_t)row->len << 8 | row->family)) * 0xff51afd7ed558ccdull;
	return (uint32_t)(h >> 32) & (r->n_slots - 1);
}

static bool same(const struct route_row *a, const struct route_row *b)
{
	return a->vnet == b->vnet && a->family == b->family && a->len == b->len && !memcmp(a->addr, b->addr, 16);
}

bool route_rows_init(struct route_rows *r, uint32_t capacity, uint64_t seed)
{
	uint32_t n = 16;

	while (n < capacity + capacity / 2)
		n *= 2;
	*r = (struct route_rows){.slots = calloc(n, sizeof(r->slots[0])), .n_slots = n, .capacity = capacity, .seed = seed};
	return r->slots != NULL;
}

void route_rows_free(struct route_rows *r)
{
	free(r->slots);
	memset(r, 0, sizeof(*r));
}

struct route_row *route_rows_find(const struct route_rows *r, const struct route_row *like)
{
	for (uint32_t i = home_of(r, like); r->slots[i].family; i = (i + 1) & (r->n_slots - 1))
		if (same(&r->slots[i], like))
			return &r->slots[i];
	return NULL;
}

struct route_row *route_rows_add(struct route_rows *r, const struct route_row *row)
{
	uint32_t i = home_of(r, row);

	if (r->count == r->capacity)
		return NULL;
	while (r->slots[i].family)
		i = (i + 1) & (r->n_slots - 1);
	r->slots[i] = *row;
	r->count++;
	return &r->slots[i];
}

void route_rows_remove(struct route_rows *r, struct route_row *row)
{
	uint32_t mask = r->n_slots - 1, hole = (uint32_t)(row - r->slots);

	r->count--;
	for (uint32_t i = (hole + 1) & mask; r->slots[i].family; i = (i + 1) & mask) {
		uint32_t home = home_of(r, &r->slots[i]);

		/* It may move back if its home is not between the hole (exclusive) and here. */
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		r->slots[hole] = r->slots[i];
		hole = i;
	}
	memset(&r->slots[hole], 0, sizeof(r->slots[hole]));
}
