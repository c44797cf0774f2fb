// SPDX-License-Identifier: BSD-3-Clause
// A keyed hash of 32 bytes for tables whose keys come from outside: NH (RFC 4418 section 5.2) over
// 64-bit words, twice. Without the secret nobody can make keys that collide more often than chance.
#ifndef DATAPLANE_TABLES_KEYED_HASH_H
#define DATAPLANE_TABLES_KEYED_HASH_H

#include <stdint.h>

#define KEYED_HASH_WORDS 6

/** The hash of words w0 … w3 under `secret` (random bits). */
static inline uint32_t keyed_hash(const uint64_t secret[KEYED_HASH_WORDS], uint64_t w0, uint64_t w1,
				  uint64_t w2, uint64_t w3)
{
	unsigned __int128 nh = (unsigned __int128)(w0 + secret[0]) * (w1 + secret[1]) +
			       (unsigned __int128)(w2 + secret[2]) * (w3 + secret[3]);
	unsigned __int128 mix =
		(unsigned __int128)((uint64_t)nh + secret[4]) * ((uint64_t)(nh >> 64) + secret[5]);
	uint64_t h = (uint64_t)mix ^ (uint64_t)(mix >> 64);

	return (uint32_t)(h ^ h >> 32);
}

#endif
