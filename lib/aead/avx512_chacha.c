// SPDX-License-Identifier: BSD-3-Clause
// ChaCha20 over 16 independent blocks: one state word of all blocks per vector, transposed on the way out.
#include <immintrin.h>

#include "lib/aead/avx512.h"

#define ADD(a, b) _mm512_add_epi32(a, b)
#define XOR_ROL(d, a, n) _mm512_rol_epi32(_mm512_xor_si512(d, a), n)
#define INLINE static inline __attribute__((always_inline))

/* The four quarter rounds of a column or diagonal round, interleaved so that their latencies overlap. */
INLINE void quarter4(__m512i *a0, __m512i *b0, __m512i *c0, __m512i *d0, __m512i *a1, __m512i *b1,
		     __m512i *c1, __m512i *d1, __m512i *a2, __m512i *b2, __m512i *c2, __m512i *d2,
		     __m512i *a3, __m512i *b3, __m512i *c3, __m512i *d3)
{
#define STEP(x, y, z, n)                                                                           \
	*x##0 = ADD(*x##0, *y##0);                                                                 \
	*x##1 = ADD(*x##1, *y##1);                                                                 \
	*x##2 = ADD(*x##2, *y##2);                                                                 \
	*x##3 = ADD(*x##3, *y##3);                                                                 \
	*z##0 = XOR_ROL(*z##0, *x##0, n);                                                          \
	*z##1 = XOR_ROL(*z##1, *x##1, n);                                                          \
	*z##2 = XOR_ROL(*z##2, *x##2, n);                                                          \
	*z##3 = XOR_ROL(*z##3, *x##3, n)
	STEP(a, b, d, 16);
	STEP(c, d, b, 12);
	STEP(a, b, d, 8);
	STEP(c, d, b, 7);
#undef STEP
}

INLINE void double_round(__m512i x[16])
{
	quarter4(&x[0], &x[4], &x[8], &x[12], &x[1], &x[5], &x[9], &x[13], &x[2], &x[6], &x[10],
		 &x[14], &x[3], &x[7], &x[11], &x[15]);
	quarter4(&x[0], &x[5], &x[10], &x[15], &x[1], &x[6], &x[11], &x[12], &x[2], &x[7], &x[8],
		 &x[13], &x[3], &x[4], &x[9], &x[14]);
}

/* Eight words of key of each lane: word i of all lanes into k[i]. */
INLINE void load_keys(const uint8_t *const *key, __m512i k[8])
{
	const __m512i low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
	const __m512i high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
	__m512i a[8], t[8];

	for (int i = 0; i < 8; i++)
		a[i] = _mm512_inserti64x4(
			_mm512_castsi256_si512(_mm256_loadu_si256((const void *)key[i])),
			_mm256_loadu_si256((const void *)key[i + 8]), 1);
	for (int i = 0; i < 4; i++) {
		t[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
		t[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
	}
	for (int i = 0; i < 2; i++) {
		a[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
		a[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
		a[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
		a[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
	}
	for (int i = 0; i < 4; i++) {
		k[i] = _mm512_permutex2var_epi64(a[i], low, a[i + 4]);
		k[i + 4] = _mm512_permutex2var_epi64(a[i], high, a[i + 4]);
	}
}

/* 16 × 16 words: from one word of all blocks per vector to one block per vector. */
INLINE void transpose(__m512i y[16])
{
	__m512i z[16];

	for (int i = 0; i < 16; i += 4) {
		__m512i u0 = _mm512_unpacklo_epi32(y[i], y[i + 1]);
		__m512i u1 = _mm512_unpackhi_epi32(y[i], y[i + 1]);
		__m512i u2 = _mm512_unpacklo_epi32(y[i + 2], y[i + 3]);
		__m512i u3 = _mm512_unpackhi_epi32(y[i + 2], y[i + 3]);

		z[i] = _mm512_unpacklo_epi64(u0, u2);
		z[i + 1] = _mm512_unpackhi_epi64(u0, u2);
		z[i + 2] = _mm512_unpacklo_epi64(u1, u3);
		z[i + 3] = _mm512_unpackhi_epi64(u1, u3);
	}
	for (int j = 0; j < 4; j++) {
		__m512i p = _mm512_shuffle_i32x4(z[j], z[4 + j], 0x88);
		__m512i q = _mm512_shuffle_i32x4(z[j], z[4 + j], 0xdd);
		__m512i r = _mm512_shuffle_i32x4(z[8 + j], z[12 + j], 0x88);
		__m512i s = _mm512_shuffle_i32x4(z[8 + j], z[12 + j], 0xdd);

		y[j] = _mm512_shuffle_i32x4(p, r, 0x88);
		y[8 + j] = _mm512_shuffle_i32x4(p, r, 0xdd);
		y[4 + j] = _mm512_shuffle_i32x4(q, s, 0x88);
		y[12 + j] = _mm512_shuffle_i32x4(q, s, 0xdd);
	}
}

/* Key stream of the 16 blocks, block i in x[i]. */
INLINE void key_stream(const struct avx512_blocks *blocks, __m512i x[16])
{
	const __m512i c0 = _mm512_set1_epi32(0x61707865), c1 = _mm512_set1_epi32(0x3320646e);
	const __m512i c2 = _mm512_set1_epi32(0x79622d32), c3 = _mm512_set1_epi32(0x6b206574);
	const __m512i counter = _mm512_load_si512(blocks->counter);
	const __m512i low = _mm512_load_si512(blocks->nonce_low);
	const __m512i high = _mm512_load_si512(blocks->nonce_high);
	__m512i k[8];

	load_keys(blocks->key, k);
	x[0] = c0;
	x[1] = c1;
	x[2] = c2;
	x[3] = c3;
	for (int i = 0; i < 8; i++)
		x[4 + i] = k[i];
	x[12] = counter;
	x[13] = _mm512_setzero_si512();
	x[14] = low;
	x[15] = high;
	for (int round = 0; round < 10; round++)
		double_round(x);
	x[0] = ADD(x[0], c0);
	x[1] = ADD(x[1], c1);
	x[2] = ADD(x[2], c2);
	x[3] = ADD(x[3], c3);
	for (int i = 0; i < 8; i++)
		x[4 + i] = ADD(x[4 + i], k[i]);
	x[12] = ADD(x[12], counter);
	x[14] = ADD(x[14], low);
	x[15] = ADD(x[15], high);
	transpose(x);
}

void avx512_chacha(const struct avx512_blocks *blocks, bool full)
{
	__m512i x[16];

	key_stream(blocks, x);
	if (full) {
		for (int i = 0; i < AVX512_LANES; i++)
			_mm512_storeu_si512(blocks->data[i],
					    _mm512_xor_si512(x[i],
							     _mm512_loadu_si512(blocks->data[i])));
		return;
	}
	for (int i = 0; i < AVX512_LANES; i++) {
		__mmask64 mask = _bzhi_u64(~UINT64_C(0), blocks->len[i]);
		__m512i text = _mm512_maskz_loadu_epi8(mask, blocks->data[i]);

		_mm512_mask_storeu_epi8(blocks->data[i], mask, _mm512_xor_si512(x[i], text));
	}
}

void avx512_chacha_keys(const struct avx512_blocks *blocks, uint8_t *const out[AVX512_LANES])
{
	__m512i x[16];

	key_stream(blocks, x);
	for (int i = 0; i < AVX512_LANES; i++)
		_mm256_storeu_si256((void *)out[i], _mm512_castsi512_si256(x[i]));
}
