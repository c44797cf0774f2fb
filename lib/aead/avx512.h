/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parts of the AVX-512 multi-buffer AEAD: ChaCha20 over 16 blocks of any packets, Poly1305 over 16 packets. Compiled for
 * AVX-512F/BW/VL/DQ/IFMA; called only after the CPU was asked.
 */
#ifndef LIB_AEAD_AVX512_H
#define LIB_AEAD_AVX512_H

#include "lib/aead/aead.h"

#define AVX512_LANES 16 /* blocks, or packets, at once */

/* 16 blocks that have nothing to do with each other. */
struct avx512_blocks {
	uint32_t counter[AVX512_LANES] __attribute__((aligned(64))); /* block number in its packet */
	uint32_t nonce_low[AVX512_LANES] __attribute__((aligned(64)));
	uint32_t nonce_high[AVX512_LANES] __attribute__((aligned(64)));
	const uint8_t *key[AVX512_LANES];
	uint8_t *data[AVX512_LANES]; /* XORed in place */
	uint32_t len[AVX512_LANES];  /* 0 … 64 */
};

/* XORs 16 blocks of key stream onto data; `full` says that all lengths are 64. */
void avx512_chacha(const struct avx512_blocks *blocks, bool full);
/* Stores the first 32 bytes of each block (a one-time Poly1305 key) at out[lane]; data and len are not looked at. */
void avx512_chacha_keys(const struct avx512_blocks *blocks, uint8_t *const out[AVX512_LANES]);

/* 16 packets, longest first; lanes past `n` are filled in by the callee. 16 bytes after the text are readable. */
struct avx512_packets {
	const uint8_t *text[AVX512_LANES];
	const uint8_t *key[AVX512_LANES]; /* 32 bytes of one-time key */
	uint8_t *tag[AVX512_LANES];	  /* written, 16 bytes */
	uint64_t len[AVX512_LANES];
	unsigned n; /* 1 … 16 */
};

/* Poly1305 tags of the AEAD without additional data: text, padding, lengths. */
void avx512_poly(struct avx512_packets *packets);

#endif
