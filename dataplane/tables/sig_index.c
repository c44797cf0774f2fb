// SPDX-License-Identifier: BSD-3-Clause
// The writer's side of the signature index.
#include "dataplane/tables/sig_index.h"

#include <string.h>

/* Signatures are read as whole words, so they are written as such; only the writer changes them. */
static void sig_store(struct sig_bucket *b, unsigned int way, uint16_t sig)
{
	uint64_t word = b->sig_words[way / 4];
	unsigned int shift = 16 * (way % 4);

	word = (word & ~(0xffffull << shift)) | (uint64_t)sig << shift;
	__atomic_store_n(&b->sig_words[way / 4], word, __ATOMIC_RELEASE);
}

void sig_index_init(struct sig_index *x, struct sig_bucket *buckets, uint32_t n_buckets)
{
	x->buckets = buckets;
	x->mask = n_buckets - 1;
	for (uint32_t i = 0; i < n_buckets; i++) {
		memset(&buckets[i], 0, sizeof(buckets[i]));
		memset(buckets[i].slot, 0xff, sizeof(buckets[i].slot));
	}
}

bool sig_index_insert(struct sig_index *x, uint32_t hash, uint32_t slot)
{
	struct sig_bucket *home = sig_home(x, hash);

	for (uint32_t far = 0; far <= x->mask; far++) {
		struct sig_bucket *b = &x->buckets[(hash + far) & x->mask];
		unsigned int free_ways = sig_match(b, 0), way;

		if (!free_ways)
			continue;
		way = (unsigned int)__builtin_ctz(free_ways);
		if (far) {
			home->spilled++;
			if (home->reach < far)
				__atomic_store_n(&home->reach, far, __ATOMIC_RELEASE);
		}
		__atomic_store_n(&b->slot[way], slot, __ATOMIC_RELEASE);
		sig_store(b, way, sig_of(hash));
		return true;
	}
	return false;
}

bool sig_index_remove(struct sig_index *x, uint32_t hash, uint32_t slot)
{
	struct sig_bucket *home = sig_home(x, hash);

	for (uint32_t far = 0; far <= home->reach; far++) {
		struct sig_bucket *b = &x->buckets[(hash + far) & x->mask];

		for (unsigned int m = sig_match(b, sig_of(hash)); m; m &= m - 1) {
			unsigned int way = (unsigned int)__builtin_ctz(m);

			if (b->slot[way] != slot)
				continue;
			sig_store(b, way, 0);
			__atomic_store_n(&b->slot[way], SIG_NO_SLOT, __ATOMIC_RELEASE);
			if (far && --home->spilled == 0)
				__atomic_store_n(&home->reach, 0, __ATOMIC_RELEASE);
			return true;
		}
	}
	return false;
}
