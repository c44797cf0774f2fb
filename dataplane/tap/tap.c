// SPDX-License-Identifier: BSD-3-Clause
// The rings of a tap.
#include "dataplane/tap/tap.h"

#include <stdlib.h>
#include <string.h>

struct tap *tap_create(const struct tap_filter *filter, unsigned workers)
{
	struct tap *tap = workers > TAP_MAX_WORKERS ? NULL : calloc(1, sizeof(*tap));

	if (!tap)
		return NULL;
	tap->filter = *filter;
	tap->workers = workers;
	for (unsigned i = 0; i < workers; i++) {
		struct tap_ring *r = aligned_alloc(64, (sizeof(*r) + 63) / 64 * 64);

		tap->rings[i] = r;
		if (r) {
			memset(r, 0, sizeof(*r));
			r->records = calloc(TAP_RING, sizeof(*r->records));
		}
		if (!r || !r->records) {
			tap_destroy(tap);
			return NULL;
		}
	}
	return tap;
}

void tap_destroy(struct tap *tap)
{
	if (!tap)
		return;
	for (unsigned i = 0; i < tap->workers; i++) {
		if (tap->rings[i])
			free(tap->rings[i]->records);
		free(tap->rings[i]);
	}
	free(tap);
}

struct tap_record *tap_room(struct tap_ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) < TAP_RING)
		return &r->records[head & (TAP_RING - 1)];
	atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
	return NULL;
}

void tap_push(struct tap_ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

const struct tap_record *tap_peek(const struct tap_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	return tail == atomic_load_explicit(&r->head, memory_order_acquire) ? NULL : &r->records[tail & (TAP_RING - 1)];
}

void tap_pop(struct tap_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

uint64_t tap_dropped(const struct tap *tap)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < tap->workers; i++)
		n += atomic_load_explicit(&tap->rings[i]->dropped, memory_order_relaxed);
	return n;
}
