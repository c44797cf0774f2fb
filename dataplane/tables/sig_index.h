// SPDX-License-Identifier: BSD-3-Clause
// Hash → slot numbers, the part that the flow and device tables share: buckets of one cache line,
// each with eight 16-bit signatures and the slots they stand for. The keys are the caller's; a
// match is a candidate.
//
// One writer. Readers on other threads need no lock if slots are not reused before they have moved
// on. A full bucket spills into those after it; its own line says how far a reader has to look.
#ifndef DATAPLANE_TABLES_SIG_INDEX_H
#define DATAPLANE_TABLES_SIG_INDEX_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define SIG_WAYS       8
#define SIG_NO_SLOT    UINT32_MAX
#define SIG_PER_BUCKET 4 /* entries a bucket is sized for: half of its ways */

struct sig_bucket {
	union {
		uint16_t sig[SIG_WAYS]; /* 0: free */
		uint64_t sig_words[SIG_WAYS / 4];
	};
	uint32_t slot[SIG_WAYS];
	uint32_t spilled; /* entries of this bucket that stand in a later one; writer only */
	uint32_t reach;	  /* how many buckets past this one may hold them */
	uint32_t unused[2];
} __attribute__((aligned(64)));
static_assert(sizeof(struct sig_bucket) == 64, "a bucket is one cache line");

struct sig_index {
	struct sig_bucket *buckets;
	uint32_t mask; /* buckets − 1 */
};

/** How many buckets (a power of two) serve `capacity` ≤ 2^24 entries. */
static inline uint32_t sig_index_buckets(uint32_t capacity)
{
	uint32_t n = 4;

	while (n < capacity / SIG_PER_BUCKET)
		n <<= 1;
	return n;
}

/** `buckets`: sig_index_buckets() of them, aligned to 64. Clears them. */
void sig_index_init(struct sig_index *x, struct sig_bucket *buckets, uint32_t n_buckets);

/** Enters `slot` under `hash`. False only when every way of every bucket is taken. */
bool sig_index_insert(struct sig_index *x, uint32_t hash, uint32_t slot);

/** Takes it out. False when it is not there. */
bool sig_index_remove(struct sig_index *x, uint32_t hash, uint32_t slot);

static inline uint16_t sig_of(uint32_t hash)
{
	uint16_t sig = (uint16_t)(hash >> 16);

	return sig ? sig : 1;
}

static inline struct sig_bucket *sig_home(const struct sig_index *x, uint32_t hash)
{
	return &x->buckets[hash & x->mask];
}

/** The ways of `b` whose signature is `sig`, as bits. */
static inline unsigned int sig_match(const struct sig_bucket *b, uint16_t sig)
{
	uint64_t lo = __atomic_load_n(&b->sig_words[0], __ATOMIC_ACQUIRE);
	uint64_t hi = __atomic_load_n(&b->sig_words[1], __ATOMIC_ACQUIRE);
#ifdef __SSE2__
	__m128i eq = _mm_cmpeq_epi16(_mm_set_epi64x((int64_t)hi, (int64_t)lo),
				     _mm_set1_epi16((int16_t)sig));

	return (unsigned int)_mm_movemask_epi8(_mm_packs_epi16(eq, _mm_setzero_si128()));
#else
	unsigned int m = 0;

	for (unsigned int i = 0; i < 4; i++) {
		m |= (unsigned int)((uint16_t)(lo >> 16 * i) == sig) << i;
		m |= (unsigned int)((uint16_t)(hi >> 16 * i) == sig) << (i + 4);
	}
	return m;
#endif
}

static inline uint32_t sig_slot(const struct sig_bucket *b, unsigned int way)
{
	return __atomic_load_n(&b->slot[way], __ATOMIC_ACQUIRE);
}

static inline uint32_t sig_reach(const struct sig_bucket *b)
{
	return __atomic_load_n(&b->reach, __ATOMIC_ACQUIRE);
}

/**
 * Runs `body` with `slot` for each candidate of `hash`, home bucket first; `body` may leave by
 * return. For the rare cases; the first candidate of a home bucket is what bulk lookups fetch
 * ahead.
 */
#define SIG_FOREACH_CANDIDATE(x, hash, slot_var, body)                                             \
	do {                                                                                       \
		const struct sig_bucket *home_ = sig_home(x, hash), *b_ = home_;                   \
		for (uint32_t far_ = 0, reach_ = sig_reach(home_); far_ <= reach_; far_++) {       \
			b_ = &(x)->buckets[((hash) + far_) & (x)->mask];                           \
			for (unsigned int m_ = sig_match(b_, sig_of(hash)); m_; m_ &= m_ - 1) {    \
				uint32_t slot_var = sig_slot(b_, (unsigned int)__builtin_ctz(m_)); \
				if (slot_var != SIG_NO_SLOT)                                       \
					body                                                       \
			}                                                                          \
		}                                                                                  \
	} while (0)

#endif
