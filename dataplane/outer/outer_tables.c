// SPDX-License-Identifier: BSD-3-Clause
/* Arrays that grow, and the sorted array of neighbours. */
#include "dataplane/outer/outer_tables.h"

#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>

void *outer_vec_push(struct outer_vec *vec)
{
	if (vec->n == vec->capacity) {
		size_t capacity = vec->capacity ? 2 * vec->capacity : 16;
		void *items = reallocarray(vec->items, capacity, vec->size);

		if (!items)
			return NULL;
		vec->items = items;
		vec->capacity = capacity;
	}
	return memset((char *)vec->items + vec->size * vec->n++, 0, vec->size);
}

void outer_vec_free(struct outer_vec *vec)
{
	free(vec->items);
	vec->items = NULL;
	vec->n = vec->capacity = 0;
}

void outer_tables_init(struct outer_tables *tables)
{
	memset(tables, 0, sizeof(*tables));
	tables->links.size = sizeof(struct outer_link);
	tables->locals.size = sizeof(struct outer_local);
	tables->neighs.size = sizeof(struct outer_neigh);
	tables->routes.size = sizeof(struct outer_route);
	tables->hops.size = sizeof(struct outer_next_hop);
}

void outer_tables_free(struct outer_tables *tables)
{
	outer_vec_free(&tables->links);
	outer_vec_free(&tables->locals);
	outer_vec_free(&tables->neighs);
	outer_vec_free(&tables->routes);
	outer_vec_free(&tables->hops);
}

struct outer_neigh *outer_neigh_find(const struct outer_tables *tables,
				     const struct outer_neigh_key *key, size_t *where)
{
	struct outer_neigh *neighs = tables->neighs.items;
	size_t low = 0, high = tables->neighs.n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = memcmp(key, &neighs[mid].key, sizeof(*key));

		if (!order)
			return &neighs[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	if (where)
		*where = low;
	return NULL;
}

bool outer_neigh_put(struct outer_tables *tables, const struct outer_neigh *neigh)
{
	size_t where = 0;
	struct outer_neigh *known = outer_neigh_find(tables, &neigh->key, &where);

	if (known) {
		known->state = neigh->state;
		known->has_mac = neigh->has_mac;
		memcpy(known->mac, neigh->mac, sizeof(known->mac));
		return true;
	}
	if (!outer_vec_push(&tables->neighs))
		return false;
	struct outer_neigh *neighs = tables->neighs.items;

	memmove(&neighs[where + 1], &neighs[where],
		(tables->neighs.n - 1 - where) * sizeof(*neighs));
	neighs[where] = *neigh;
	return true;
}

void outer_neigh_remove(struct outer_tables *tables, const struct outer_neigh_key *key)
{
	struct outer_neigh *neighs = tables->neighs.items;
	const struct outer_neigh *known = outer_neigh_find(tables, key, NULL);

	if (!known)
		return;
	size_t at = (size_t)(known - neighs);

	memmove(&neighs[at], &neighs[at + 1], (tables->neighs.n - at - 1) * sizeof(*neighs));
	tables->neighs.n--;
}

bool outer_neigh_usable(const struct outer_neigh *neigh)
{
	return neigh->has_mac && (neigh->state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY |
						  NUD_PROBE | NUD_PERMANENT | NUD_NOARP));
}
