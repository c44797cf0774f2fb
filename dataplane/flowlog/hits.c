// SPDX-License-Identifier: BSD-3-Clause
// Counters by index and worker.
#include "dataplane/flowlog/hits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_WORKERS 16

struct hits {
	unsigned workers;
	uint32_t capacity[HIT_KINDS];
	struct hit *counts[MAX_WORKERS][HIT_KINDS];
	struct hit *base[HIT_KINDS]; /* at the time of hits_begin */
};

static size_t bytes_of(const struct hits *h, unsigned kind)
{
	return ((size_t)h->capacity[kind] + 1) * sizeof(struct hit);
}

/* Pages of rules, clients and accounts are there from the start; a million routes take theirs when they are hit. */
static struct hit *map(const struct hits *h, unsigned kind, bool worker)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (worker && kind != HIT_ROUTE ? MAP_POPULATE : MAP_NORESERVE);
	void *p = mmap(NULL, bytes_of(h, kind), PROT_READ | PROT_WRITE, flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

struct hits *hits_create(unsigned workers, const uint32_t capacity[HIT_KINDS])
{
	struct hits *h = workers > MAX_WORKERS ? NULL : calloc(1, sizeof(*h));
	bool ok = h != NULL;

	if (h)
		h->workers = workers;
	for (unsigned k = 0; ok && k < HIT_KINDS; k++) {
		h->capacity[k] = capacity[k];
		h->base[k] = map(h, k, false);
		ok = h->base[k] != NULL;
		for (unsigned w = 0; ok && w < workers; w++) {
			h->counts[w][k] = map(h, k, true);
			ok = h->counts[w][k] != NULL;
		}
	}
	if (ok)
		return h;
	hits_destroy(h);
	return NULL;
}

void hits_destroy(struct hits *h)
{
	if (!h)
		return;
	for (unsigned k = 0; k < HIT_KINDS; k++) {
		if (h->base[k])
			munmap(h->base[k], bytes_of(h, k));
		for (unsigned w = 0; w < h->workers; w++)
			if (h->counts[w][k])
				munmap(h->counts[w][k], bytes_of(h, k));
	}
	free(h);
}

uint32_t hits_capacity(const struct hits *h, enum hit_kind kind)
{
	return h->capacity[kind];
}

struct hit *hits_at(const struct hits *h, unsigned worker, enum hit_kind kind, uint32_t index)
{
	return index < h->capacity[kind] ? &h->counts[worker][kind][index] : NULL;
}

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void sum_all(const struct hits *h, enum hit_kind kind, uint32_t index, struct hit *out)
{
	*out = (struct hit){0};
	for (unsigned w = 0; w < h->workers; w++) {
		const struct hit *c = &h->counts[w][kind][index];

		out->packets_up += load(&c->packets_up);
		out->bytes_up += load(&c->bytes_up);
		out->packets_down += load(&c->packets_down);
		out->bytes_down += load(&c->bytes_down);
		out->allowed += load(&c->allowed);
		out->blocked += load(&c->blocked);
		out->blocked_packets += load(&c->blocked_packets);
	}
}

void hits_begin(struct hits *h, enum hit_kind kind, uint32_t index)
{
	if (index < h->capacity[kind])
		sum_all(h, kind, index, &h->base[kind][index]);
}

void hits_sum(const struct hits *h, enum hit_kind kind, uint32_t index, struct hit *out)
{
	const struct hit *base;

	*out = (struct hit){0};
	if (index >= h->capacity[kind])
		return;
	base = &h->base[kind][index];
	sum_all(h, kind, index, out);
	out->packets_up -= base->packets_up;
	out->bytes_up -= base->bytes_up;
	out->packets_down -= base->packets_down;
	out->bytes_down -= base->bytes_down;
	out->allowed -= base->allowed;
	out->blocked -= base->blocked;
	out->blocked_packets -= base->blocked_packets;
}
