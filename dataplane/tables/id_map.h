// SPDX-License-Identifier: BSD-3-Clause
// String ids of the configuration (uuids, names, keys) → dense indexes, which is what the
// dataplane's tables hold. One map per kind (accounts, vnets, tunnels, clients, connectors).
// Control thread only.
//
// An index stays taken after its id is removed until it is released: readers may still hold it.
#ifndef DATAPLANE_TABLES_ID_MAP_H
#define DATAPLANE_TABLES_ID_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** No such id. */
#define ID_NONE UINT32_MAX

/** Longest id, without the terminating zero. */
#define ID_MAX_BYTES 255

struct id_map;

/** Indexes 0 … capacity − 1, 1 ≤ capacity ≤ 2^26. NULL when out of memory or out of range. */
struct id_map *id_map_create(uint32_t capacity);
void id_map_destroy(struct id_map *m);

/**
 * The index of `id`, giving it one (the lowest never used, else the one released longest ago) when
 * it has none. 0 new, 1 it had one, -EINVAL (empty or longer than ID_MAX_BYTES), -ENOSPC (all
 * indexes in use or not released), -ENOMEM. *index is set on 0 and 1.
 */
int id_map_add(struct id_map *m, const char *id, uint32_t *index);

/** The index of `id`, or ID_NONE. */
uint32_t id_map_get(const struct id_map *m, const char *id);

/** The id of a live index; NULL otherwise. Valid until it is removed. */
const char *id_map_id(const struct id_map *m, uint32_t index);

/**
 * Removes `id`: it is not found any more, and a new id_map_add() of the same string gets another
 * index. The index rests until id_map_release(). Returns the index, or ID_NONE when there is no
 * such id.
 */
uint32_t id_map_remove(struct id_map *m, const char *id);

/**
 * Lets a removed index be handed out again. The signature is that of a retire_free_fn: pass it, the
 * map and the index to retire_ops.retire. An index that is live, or was never removed, is left
 * alone.
 */
void id_map_release(void *map, uint64_t index);

/** Walks live ids in order of index: *cursor starts with 0; false at the end. Removing what was
 * returned is allowed. */
bool id_map_next(const struct id_map *m, uint32_t *cursor, uint32_t *index, const char **id);

/** Live ids; removed ids whose index is not released yet; indexes ever used (all are below it). */
uint32_t id_map_count(const struct id_map *m);
uint32_t id_map_resting(const struct id_map *m);
uint32_t id_map_bound(const struct id_map *m);

#endif
