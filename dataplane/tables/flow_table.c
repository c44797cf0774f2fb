// SPDX-License-Identifier: BSD-3-Clause
// Flows of one worker: a signature index over an array of entries, and a stack of free slots.
#include "dataplane/tables/flow_table.h"

#include <stdint.h>

#include "dataplane/tables/keyed_hash.h"
#include "dataplane/tables/sig_index.h"

#define FLOW_MIN_CAPACITY 16u
#define FLOW_MAX_CAPACITY (1u << 24)
#define FLOW_BURST	  64
#define CACHE_LINE	  64

/* Lies at the start of the caller's memory; buckets, entries and the free stack follow. */
struct flow_table {
	struct sig_index index;
	struct flow_entry *entries;
	uint32_t *free_slots; /* stack; the top is free_slots[n_free - 1] */
	uint32_t n_free;
	uint32_t capacity;
	uint32_t age_cursor;
	uint64_t secret[KEYED_HASH_WORDS];
	struct flow_hooks hooks;
	struct flow_stats stats;
} __attribute__((aligned(CACHE_LINE)));

static bool capacity_allowed(uint32_t capacity)
{
	return capacity >= FLOW_MIN_CAPACITY && capacity <= FLOW_MAX_CAPACITY &&
	       (capacity & (capacity - 1)) == 0;
}

size_t flow_table_size(uint32_t capacity)
{
	if (!capacity_allowed(capacity))
		return 0;
	return sizeof(struct flow_table) + sig_index_buckets(capacity) * sizeof(struct sig_bucket) +
	       capacity * (sizeof(struct flow_entry) + sizeof(uint32_t));
}

struct flow_table *flow_table_init(void *mem, const struct flow_config *config)
{
	struct flow_table *ft = mem;
	uint32_t n_buckets;

	if (!mem || (uintptr_t)mem % CACHE_LINE || !capacity_allowed(config->capacity))
		return NULL;
	memset(mem, 0, flow_table_size(config->capacity));
	n_buckets = sig_index_buckets(config->capacity);
	ft->capacity = config->capacity;
	ft->hooks = config->hooks;
	memcpy(ft->secret, config->secret, sizeof(ft->secret));

	struct sig_bucket *buckets = (struct sig_bucket *)(ft + 1);

	sig_index_init(&ft->index, buckets, n_buckets);
	ft->entries = (struct flow_entry *)(buckets + n_buckets);
	ft->free_slots = (uint32_t *)(ft->entries + ft->capacity);
	for (uint32_t i = 0; i < ft->capacity; i++) /* slot 0 on top */
		ft->free_slots[i] = ft->capacity - 1 - i;
	ft->n_free = ft->capacity;
	return ft;
}

struct key_words {
	uint64_t w[4];
};

static inline struct key_words words_of(const struct flow_key *key)
{
	struct key_words k;

	static_assert(sizeof(k) == sizeof(*key), "the whole key is hashed and compared");
	memcpy(&k, key, sizeof(k));
	return k;
}

static inline bool key_equal(const struct flow_key *a, const struct flow_key *b)
{
	struct key_words x = words_of(a), y = words_of(b);

	return !((x.w[0] ^ y.w[0]) | (x.w[1] ^ y.w[1]) | (x.w[2] ^ y.w[2]) | (x.w[3] ^ y.w[3]));
}

uint32_t flow_hash(const struct flow_table *ft, const struct flow_key *key)
{
	struct key_words k = words_of(key);

	return keyed_hash(ft->secret, k.w[0], k.w[1], k.w[2], k.w[3]);
}

void flow_hash_bulk(const struct flow_table *ft, const struct flow_key *keys, uint32_t *hashes,
		    unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		hashes[i] = flow_hash(ft, &keys[i]);
}

struct flow_entry *flow_lookup(const struct flow_table *ft, const struct flow_key *key,
			       uint32_t hash)
{
	SIG_FOREACH_CANDIDATE(&ft->index, hash, slot, {
		struct flow_entry *e = &ft->entries[slot];

		if (key_equal(&e->key, key))
			return e;
	});
	return NULL;
}

/* The first candidate in the home bucket, its lines on their way; NULL when there is none. */
static inline struct flow_entry *fetch_candidate(const struct flow_table *ft, uint32_t hash)
{
	const struct sig_bucket *b = sig_home(&ft->index, hash);
	unsigned int m = sig_match(b, sig_of(hash));
	struct flow_entry *e;

	if (!m)
		return NULL;
	e = &ft->entries[sig_slot(b, (unsigned int)__builtin_ctz(m))];
	__builtin_prefetch(&e->key, 1);
	__builtin_prefetch(&e->packets_up, 1);
	return e;
}

void flow_lookup_bulk(const struct flow_table *ft, const struct flow_key *keys,
		      const uint32_t *hashes, unsigned int n, struct flow_entry **out)
{
	assert(n <= FLOW_BURST);
	for (unsigned int i = 0; i < n; i++)
		__builtin_prefetch(sig_home(&ft->index, hashes[i]));
	for (unsigned int i = 0; i < n; i++)
		out[i] = fetch_candidate(ft, hashes[i]);
	for (unsigned int i = 0; i < n; i++) {
		if (out[i] && key_equal(&out[i]->key, &keys[i]))
			continue;
		if (!out[i] && !sig_reach(sig_home(&ft->index, hashes[i])))
			continue;
		out[i] =
			flow_lookup(ft, &keys[i], hashes[i]); /* two of one signature, or spilled */
	}
}

struct flow_entry *flow_insert(struct flow_table *ft, const struct flow_key *key, uint32_t hash)
{
	struct flow_entry *e;
	uint32_t slot;

	if (ft->n_free == 0) {
		ft->stats.refused_full++;
		return NULL;
	}
	slot = ft->free_slots[ft->n_free - 1];
	if (!sig_index_insert(&ft->index, hash, slot)) {
		ft->stats.refused_full++;
		return NULL;
	}
	ft->n_free--;
	e = &ft->entries[slot];
	memset(e, 0, sizeof(*e));
	e->key = *key;
	e->hash = hash;
	ft->stats.inserted++;
	if (ft->hooks.inserted)
		ft->hooks.inserted(ft->hooks.ctx, e);
	return e;
}

void flow_remove(struct flow_table *ft, struct flow_entry *e)
{
	uint32_t slot = (uint32_t)(e - ft->entries);

	if (ft->hooks.removed)
		ft->hooks.removed(ft->hooks.ctx, e);
	sig_index_remove(&ft->index, e->hash, slot);
	e->key.family = 0;
	ft->free_slots[ft->n_free++] = slot;
	ft->stats.removed++;
}

static bool silent_too_long(const struct flow_entry *e, uint32_t now_tick,
			    const struct flow_timeouts *timeouts)
{
	uint8_t class = e->timeout_class < FLOW_CLASS_COUNT ? e->timeout_class : FLOW_CLASS_OTHER;
	int32_t age = (int32_t)(now_tick - e->last_seen);

	/* a stamp from the future (a clock read later in the same turn) is young, not ancient */
	return age > 0 && (uint32_t)age > timeouts->ticks[class];
}

uint32_t flow_age(struct flow_table *ft, uint32_t now_tick, uint32_t budget,
		  const struct flow_timeouts *timeouts,
		  void (*aged)(void *ctx, struct flow_entry *e), void *ctx)
{
	uint32_t removed = 0;

	if (budget > ft->capacity)
		budget = ft->capacity;
	for (; budget > 0; budget--) {
		struct flow_entry *e = &ft->entries[ft->age_cursor];

		ft->age_cursor = (ft->age_cursor + 1) & (ft->capacity - 1);
		if (!e->key.family || !silent_too_long(e, now_tick, timeouts))
			continue;
		if (aged)
			aged(ctx, e);
		flow_remove(ft, e);
		removed++;
	}
	ft->stats.aged += removed;
	return removed;
}

bool flow_iterate(struct flow_table *ft, uint32_t *cursor, uint32_t budget,
		  bool (*visit)(void *ctx, struct flow_entry *e), void *ctx)
{
	while (*cursor < ft->capacity && budget-- > 0) {
		struct flow_entry *e = &ft->entries[(*cursor)++];

		if (e->key.family && !visit(ctx, e))
			break;
	}
	return *cursor < ft->capacity;
}

/* What export and removal of one client's flows share. */
struct client_walk {
	struct flow_table *ft;
	uint32_t client;
	struct flow_entry *out; /* NULL: no copies */
	uint32_t max, n;
};

static bool take_client(void *ctx, struct flow_entry *e)
{
	struct client_walk *w = ctx;

	if (e->key.client != w->client)
		return true;
	if (w->out)
		w->out[w->n] = *e;
	w->n++;
	flow_remove(w->ft, e);
	return w->n < w->max;
}

uint32_t flow_export_client(struct flow_table *ft, uint32_t client, uint32_t *cursor,
			    uint32_t budget, struct flow_entry *out, uint32_t max, bool *more)
{
	struct client_walk w = {.ft = ft, .client = client, .out = out, .max = max};

	*more = max == 0 ? *cursor < ft->capacity
			 : flow_iterate(ft, cursor, budget, take_client, &w);
	return w.n;
}

uint32_t flow_remove_client(struct flow_table *ft, uint32_t client, uint32_t *cursor,
			    uint32_t budget, bool *more)
{
	struct client_walk w = {.ft = ft, .client = client, .max = UINT32_MAX};

	*more = flow_iterate(ft, cursor, budget, take_client, &w);
	return w.n;
}

struct flow_entry *flow_import(struct flow_table *ft, const struct flow_entry *from)
{
	uint32_t hash = flow_hash(ft, &from->key); /* the other table has another secret */
	struct flow_entry *e;

	if (!from->key.family || flow_lookup(ft, &from->key, hash))
		return NULL;
	e = flow_insert(ft, &from->key, hash);
	if (!e)
		return NULL;
	*e = *from;
	e->hash = hash;
	return e;
}

void flow_table_stats(const struct flow_table *ft, struct flow_stats *out)
{
	*out = ft->stats;
	out->capacity = ft->capacity;
	out->used = ft->capacity - ft->n_free;
}
