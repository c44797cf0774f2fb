/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The routes that are applied, 32 bytes each, for sweeping after a snapshot and for the state file. Open addressing at
 * fixed capacity: memory is reserved at creation and touched as it fills. One thread.
 */
#ifndef DATAPLANE_CONTROL_ROUTE_ROWS_H
#define DATAPLANE_CONTROL_ROUTE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct route_row {
	uint8_t addr[16]; /* network order, bits past len zero */
	uint32_t vnet;
	uint32_t index; /* in records->routes, which has its tunnel */
	uint32_t mark; /* of the last snapshot that had it */
	uint8_t family; /* 4, 6; 0: free */
	uint8_t len;
};

struct route_rows {
	struct route_row *slots;
	uint32_t n_slots, count, capacity;
	uint64_t seed;
};

/* False when out of memory. */
bool route_rows_init(struct route_rows *r, uint32_t capacity, uint64_t seed);
void route_rows_free(struct route_rows *r);
/* The row with the prefix and vnet of `like`, or NULL. */
struct route_row *route_rows_find(const struct route_rows *r, const struct route_row *like);
/* Adds a copy; the prefix must not be there. NULL at capacity. Moves no other row. */
struct route_row *route_rows_add(struct route_rows *r, const struct route_row *row);
/* Removes; rows behind it may move into its slot, so a walk looks at the same slot again. */
void route_rows_remove(struct route_rows *r, struct route_row *row);
/* The row in a slot (slot < n_slots), or NULL. */
static inline struct route_row *route_rows_at(const struct route_rows *r, uint32_t slot)
{
	return r->slots[slot].family ? &r->slots[slot] : NULL;
}

#endif
