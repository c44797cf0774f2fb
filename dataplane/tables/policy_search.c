// SPDX-License-Identifier: BSD-3-Clause
// First set bit of the AND of rows, a block of 512 bits at a time; blocks that some row has nothing in are not touched.
#include "dataplane/tables/policy_compiled.h"

#include <immintrin.h>

static inline uint64_t candidates(const struct policy_search *s, uint64_t blocks)
{
	for (unsigned i = 0; i < s->n; i++)
		blocks &= s->rows[i]->summary;
	return blocks;
}

static inline const uint64_t *block_of(const struct policy_row *row, unsigned b)
{
	return row->words + (size_t)__builtin_popcountll(row->summary & ((1ull << b) - 1)) * POLICY_BLOCK_WORDS;
}

int policy_search_portable(const struct policy_search *s, uint64_t blocks, uint64_t out[POLICY_BLOCK_WORDS])
{
	for (blocks = candidates(s, blocks); blocks; blocks &= blocks - 1) {
		unsigned b = (unsigned)__builtin_ctzll(blocks);
		uint64_t any = 0;

		for (unsigned w = 0; w < POLICY_BLOCK_WORDS; w++)
			out[w] = ~0ull;
		for (unsigned i = 0; i < s->n; i++) {
			const uint64_t *row = block_of(s->rows[i], b);

			for (unsigned w = 0; w < POLICY_BLOCK_WORDS; w++)
				out[w] &= row[w];
		}
		for (unsigned w = 0; w < POLICY_BLOCK_WORDS; w++)
			any |= out[w];
		if (any)
			return (int)b;
	}
	return -1;
}

__attribute__((target("avx512f"))) int policy_search_avx512(const struct policy_search *s, uint64_t blocks,
							    uint64_t out[POLICY_BLOCK_WORDS])
{
	for (blocks = candidates(s, blocks); blocks; blocks &= blocks - 1) {
		unsigned b = (unsigned)__builtin_ctzll(blocks);
		__m512i v = _mm512_set1_epi64(-1);

		for (unsigned i = 0; i < s->n; i++)
			v = _mm512_and_si512(v, _mm512_load_si512(block_of(s->rows[i], b)));
		if (_mm512_test_epi64_mask(v, v)) {
			_mm512_store_si512(out, v);
			return (int)b;
		}
	}
	return -1;
}

bool policy_search_has_avx512(void)
{
	return __builtin_cpu_supports("avx512f");
}
