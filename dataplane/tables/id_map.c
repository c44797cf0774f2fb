// SPDX-License-Identifier: BSD-3-Clause
// Ids → dense indexes: a chained hash over the indexes themselves, and a queue of released ones.
#include "dataplane/tables/id_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CAPACITY (1u << 26)

enum slot_state { NEVER_USED, LIVE, RESTING, RELEASED };

struct slot {
	char *id;      /* LIVE: own copy */
	uint32_t hash; /* LIVE */
	uint32_t next; /* LIVE: in its chain; RELEASED: in the queue */
	uint8_t state; /* enum slot_state */
};

struct id_map {
	uint32_t capacity, mask;
	uint32_t bound; /* indexes ever used */
	uint32_t live, resting;
	uint32_t released_head, released_tail; /* queue; ID_NONE: empty */
	struct slot *slots;		       /* [capacity] */
	uint32_t *heads;		       /* [mask + 1], ID_NONE: empty */
};

/* FNV-1a. Ids come from our own store, made by sluice-ctrl: no keyed hash is needed. */
static uint32_t hash_of(const char *id)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *id; id++)
		h = (h ^ (uint8_t)*id) * 0x100000001b3ull;
	return (uint32_t)(h ^ h >> 32);
}

struct id_map *id_map_create(uint32_t capacity)
{
	struct id_map *m;
	uint32_t n = 16;

	if (capacity == 0 || capacity > MAX_CAPACITY)
		return NULL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	while (n < capacity)
		n <<= 1;
	m->capacity = capacity;
	m->mask = n - 1;
	m->released_head = m->released_tail = ID_NONE;
	m->slots = calloc(capacity, sizeof(*m->slots));
	m->heads = malloc(n * sizeof(*m->heads));
	if (!m->slots || !m->heads) {
		id_map_destroy(m);
		return NULL;
	}
	memset(m->heads, 0xff, n * sizeof(*m->heads));
	return m;
}

void id_map_destroy(struct id_map *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < m->bound; i++)
		free(m->slots[i].id);
	free(m->slots);
	free(m->heads);
	free(m);
}

/* The link that points at `id`'s slot, or at ID_NONE at the end of its chain. */
static uint32_t *link_of(const struct id_map *m, const char *id, uint32_t hash)
{
	uint32_t *link = &m->heads[hash & m->mask];

	while (*link != ID_NONE &&
	       (m->slots[*link].hash != hash || strcmp(m->slots[*link].id, id) != 0))
		link = &m->slots[*link].next;
	return link;
}

/* An index that nobody holds; ID_NONE when there is none. */
static uint32_t take_index(struct id_map *m)
{
	uint32_t index = m->released_head;

	if (m->bound < m->capacity)
		return m->bound++;
	if (index != ID_NONE) {
		m->released_head = m->slots[index].next;
		if (m->released_head == ID_NONE)
			m->released_tail = ID_NONE;
	}
	return index;
}

int id_map_add(struct id_map *m, const char *id, uint32_t *index)
{
	size_t len = strnlen(id, ID_MAX_BYTES + 1);
	uint32_t hash, i, *link;
	char *copy;

	if (len == 0 || len > ID_MAX_BYTES)
		return -EINVAL;
	hash = hash_of(id);
	link = link_of(m, id, hash);
	if (*link != ID_NONE) {
		*index = *link;
		return 1;
	}
	if (m->bound == m->capacity && m->released_head == ID_NONE)
		return -ENOSPC;
	copy = strdup(id);
	if (!copy)
		return -ENOMEM;
	i = take_index(m);
	m->slots[i] = (struct slot){.id = copy, .hash = hash, .next = ID_NONE, .state = LIVE};
	*link = i;
	m->live++;
	*index = i;
	return 0;
}

uint32_t id_map_get(const struct id_map *m, const char *id)
{
	return *link_of(m, id, hash_of(id));
}

const char *id_map_id(const struct id_map *m, uint32_t index)
{
	return index < m->bound ? m->slots[index].id : NULL;
}

uint32_t id_map_remove(struct id_map *m, const char *id)
{
	uint32_t *link = link_of(m, id, hash_of(id)), index = *link;
	struct slot *slot;

	if (index == ID_NONE)
		return ID_NONE;
	slot = &m->slots[index];
	*link = slot->next;
	free(slot->id); /* `id` may have been this very string: not read after here */
	slot->id = NULL;
	slot->state = RESTING;
	m->live--;
	m->resting++;
	return index;
}

void id_map_release(void *map, uint64_t index)
{
	struct id_map *m = map;
	uint32_t i = (uint32_t)index;

	if (index >= m->bound || m->slots[i].state != RESTING)
		return;
	m->slots[i].state = RELEASED;
	m->slots[i].next = ID_NONE;
	if (m->released_tail == ID_NONE)
		m->released_head = i;
	else
		m->slots[m->released_tail].next = i;
	m->released_tail = i;
	m->resting--;
}

bool id_map_next(const struct id_map *m, uint32_t *cursor, uint32_t *index, const char **id)
{
	while (*cursor < m->bound) {
		uint32_t i = (*cursor)++;

		if (m->slots[i].state == LIVE) {
			*index = i;
			*id = m->slots[i].id;
			return true;
		}
	}
	return false;
}

uint32_t id_map_count(const struct id_map *m)
{
	return m->live;
}

uint32_t id_map_resting(const struct id_map *m)
{
	return m->resting;
}

uint32_t id_map_bound(const struct id_map *m)
{
	return m->bound;
}
