// SPDX-License-Identifier: BSD-3-Clause
// Device addresses: a signature index over records that never change while a reader may see them,
// but for the client.
#include "dataplane/tables/device_table.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/tables/keyed_hash.h"
#include "dataplane/tables/sig_index.h"

#define MAX_CAPACITY (1u << 24)
#define BURST	     64

struct record {
	struct device_key key;
	uint32_t client; /* writer: atomic store; readers: atomic load */
	uint32_t hash;	 /* writer only */
};
static_assert(sizeof(struct record) == 32, "two records share a cache line");

struct device_table {
	struct sig_index index;
	struct record *records; /* [slots] */
	uint64_t secret[KEYED_HASH_WORDS];

	/* writer only */
	struct sig_bucket *buckets;
	uint32_t *free_slots; /* stack */
	uint32_t n_free;
	uint32_t slots; /* twice the capacity: what was removed rests while readers pass */
	uint32_t capacity;
	uint32_t used;
	struct retire_ops retire;
};

struct device_table *device_table_create(const struct device_config *config)
{
	struct device_table *dt;
	uint32_t n_buckets;

	if (config->capacity == 0 || config->capacity > MAX_CAPACITY) {
		errno = EINVAL;
		return NULL;
	}
	dt = calloc(1, sizeof(*dt));
	if (!dt)
		return NULL;
	dt->capacity = config->capacity;
	dt->slots = 2 * config->capacity;
	dt->retire = config->retire;
	memcpy(dt->secret, config->secret, sizeof(dt->secret));
	n_buckets =
		sig_index_buckets(dt->capacity + dt->capacity / 2); /* at most 8 × 3/8 … 6/8 full */
	dt->buckets = aligned_alloc(64, n_buckets * sizeof(*dt->buckets));
	dt->records = aligned_alloc(64, (dt->slots * sizeof(*dt->records) + 63) & ~63ull);
	dt->free_slots = calloc(dt->slots, sizeof(*dt->free_slots));
	if (!dt->buckets || !dt->records || !dt->free_slots) {
		device_table_destroy(dt);
		errno = ENOMEM;
		return NULL;
	}
	sig_index_init(&dt->index, dt->buckets, n_buckets);
	memset(dt->records, 0, dt->slots * sizeof(*dt->records));
	for (uint32_t i = 0; i < dt->slots; i++)
		dt->free_slots[i] = dt->slots - 1 - i;
	dt->n_free = dt->slots;
	return dt;
}

void device_table_destroy(struct device_table *dt)
{
	if (!dt)
		return;
	free(dt->buckets);
	free(dt->records);
	free(dt->free_slots);
	free(dt);
}

struct key_words {
	uint64_t w[3];
};

static inline struct key_words words_of(const struct device_key *key)
{
	struct key_words k;

	static_assert(sizeof(k) == sizeof(*key), "the whole key is hashed and compared");
	memcpy(&k, key, sizeof(k));
	return k;
}

static inline bool key_equal(const struct device_key *a, const struct device_key *b)
{
	struct key_words x = words_of(a), y = words_of(b);

	return !((x.w[0] ^ y.w[0]) | (x.w[1] ^ y.w[1]) | (x.w[2] ^ y.w[2]));
}

static inline uint32_t hash_of(const struct device_table *dt, const struct device_key *key)
{
	struct key_words k = words_of(key);

	return keyed_hash(dt->secret, k.w[0], k.w[1], k.w[2], 0);
}

static struct record *find(const struct device_table *dt, const struct device_key *key,
			   uint32_t hash)
{
	SIG_FOREACH_CANDIDATE(&dt->index, hash, slot, {
		if (key_equal(&dt->records[slot].key, key))
			return &dt->records[slot];
	});
	return NULL;
}

int device_set(struct device_table *dt, const struct device_key *key, uint32_t client)
{
	uint32_t hash, slot;
	struct record *r;

	if ((key->family != 4 && key->family != 6) || client == DEVICE_NONE)
		return -EINVAL;
	hash = hash_of(dt, key);
	r = find(dt, key, hash);
	if (r) {
		__atomic_store_n(&r->client, client, __ATOMIC_RELEASE);
		return 1;
	}
	if (dt->used == dt->capacity || dt->n_free == 0)
		return -ENOSPC;
	slot = dt->free_slots[dt->n_free - 1];
	dt->records[slot] = (struct record){.key = *key, .client = client, .hash = hash};
	if (!sig_index_insert(&dt->index, hash, slot)) /* releases the record with it */
		return -ENOSPC;
	dt->n_free--;
	dt->used++;
	return 0;
}

static void free_slot(void *owner, uint64_t slot)
{
	struct device_table *dt = owner;

	dt->free_slots[dt->n_free++] = (uint32_t)slot;
}

int device_remove(struct device_table *dt, const struct device_key *key)
{
	struct record *r = find(dt, key, hash_of(dt, key));
	uint32_t slot;

	if (!r)
		return -ENOENT;
	slot = (uint32_t)(r - dt->records);
	sig_index_remove(&dt->index, r->hash, slot);
	dt->used--;
	if (dt->retire.retire)
		dt->retire.retire(dt->retire.ctx, free_slot, dt, slot);
	else
		free_slot(dt, slot);
	return 0;
}

uint32_t device_count(const struct device_table *dt)
{
	return dt->used;
}

size_t device_table_bytes(const struct device_table *dt)
{
	return sizeof(*dt) + ((size_t)dt->index.mask + 1) * sizeof(*dt->buckets) +
	       dt->slots * (sizeof(*dt->records) + sizeof(*dt->free_slots));
}

void device_lookup_bulk(const struct device_table *dt, const struct device_key *keys,
			uint32_t *clients, unsigned int n)
{
	const struct record *candidate[BURST], *r;
	uint32_t hashes[BURST];

	assert(n <= BURST);
	for (unsigned int i = 0; i < n; i++) {
		hashes[i] = hash_of(dt, &keys[i]);
		__builtin_prefetch(sig_home(&dt->index, hashes[i]));
	}
	for (unsigned int i = 0; i < n; i++) {
		const struct sig_bucket *b = sig_home(&dt->index, hashes[i]);
		unsigned int m = sig_match(b, sig_of(hashes[i]));
		uint32_t slot = m ? sig_slot(b, (unsigned int)__builtin_ctz(m)) : SIG_NO_SLOT;

		candidate[i] = slot == SIG_NO_SLOT ? NULL : &dt->records[slot];
		__builtin_prefetch(candidate[i]);
	}
	for (unsigned int i = 0; i < n; i++) {
		r = candidate[i];
		if (!r ||
		    !key_equal(&r->key, &keys[i])) /* absent, two of one signature, or spilled */
			r = find(dt, &keys[i], hashes[i]);
		clients[i] = r ? __atomic_load_n(&r->client, __ATOMIC_ACQUIRE) : DEVICE_NONE;
	}
}
