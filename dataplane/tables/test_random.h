// SPDX-License-Identifier: BSD-3-Clause
// Repeatable randomness for the tests and benches of this folder (splitmix64).
#ifndef DATAPLANE_TABLES_TEST_RANDOM_H
#define DATAPLANE_TABLES_TEST_RANDOM_H

#include <stdint.h>

static inline uint64_t test_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0 … n − 1 */
static inline uint32_t test_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((test_random(state) >> 32) * n >> 32);
}

#endif
