// SPDX-License-Identifier: BSD-3-Clause
// Poly1305 over 16 packets: two vectors of eight, one packet in each 64-bit lane, limbs of 44, 44 and 42 bits in the
// 52-bit multiplier. No limb that is multiplied exceeds 51 bits, and no sum 56.
#include <immintrin.h>
#include <string.h>

#include "lib/aead/avx512.h"

#define INLINE static inline __attribute__((always_inline))
#define MASK44 _mm512_set1_epi64(0xfffffffffff)
#define MASK42 _mm512_set1_epi64(0x3ffffffffff)
#define ADD(a, b) _mm512_add_epi64(a, b)
#define AND(a, b) _mm512_and_si512(a, b)
#define OR(a, b) _mm512_or_si512(a, b)
#define SHL(a, n) _mm512_slli_epi64(a, n)
#define SHR(a, n) _mm512_srli_epi64(a, n)
#define MUL_LOW(sum, a, b) _mm512_madd52lo_epu64(sum, a, b)
#define MUL_HIGH(sum, a, b) _mm512_madd52hi_epu64(sum, a, b)

/* Eight packets: accumulator, r, and 20 r (5 r for what wraps around at 2^130, times 4 for the limbs' two spare bits). */
struct poly {
	__m512i h0, h1, h2, r0, r1, r2, s1, s2;
};

/* 16 bytes at each of eight addresses: low words and high words, lane i from address i. */
INLINE void load8(const uint8_t *const p[8], size_t offset, __m512i *low, __m512i *high)
{
#define LOAD(i) _mm_loadu_si128((const void *)(p[i] + offset))
	__m512i even = _mm512_castsi128_si512(LOAD(0)), odd = _mm512_castsi128_si512(LOAD(1));

	even = _mm512_inserti32x4(even, LOAD(2), 1);
	odd = _mm512_inserti32x4(odd, LOAD(3), 1);
	even = _mm512_inserti32x4(even, LOAD(4), 2);
	odd = _mm512_inserti32x4(odd, LOAD(5), 2);
	even = _mm512_inserti32x4(even, LOAD(6), 3);
	odd = _mm512_inserti32x4(odd, LOAD(7), 3);
#undef LOAD
	*low = _mm512_unpacklo_epi64(even, odd);
	*high = _mm512_unpackhi_epi64(even, odd);
}

/* h = (h + block + 2^128) r, carried once. */
INLINE void absorb(struct poly *p, __m512i low, __m512i high)
{
	const __m512i zero = _mm512_setzero_si512(), bit128 = _mm512_set1_epi64(1LL << 40);
	__m512i h0 = ADD(p->h0, AND(low, MASK44));
	__m512i h1 = ADD(p->h1, AND(OR(SHR(low, 44), SHL(high, 20)), MASK44));
	__m512i h2 = ADD(p->h2, OR(SHR(high, 24), bit128));
	__m512i l0 = MUL_LOW(zero, h2, p->s1), u0 = MUL_HIGH(zero, h2, p->s1);
	__m512i l1 = MUL_LOW(zero, h2, p->s2), u1 = MUL_HIGH(zero, h2, p->s2);
	__m512i l2 = MUL_LOW(zero, h2, p->r0), u2 = MUL_HIGH(zero, h2, p->r0);
	__m512i carry;

	l0 = MUL_LOW(l0, h1, p->s2);
	u0 = MUL_HIGH(u0, h1, p->s2);
	l1 = MUL_LOW(l1, h1, p->r0);
	u1 = MUL_HIGH(u1, h1, p->r0);
	l2 = MUL_LOW(l2, h1, p->r1);
	u2 = MUL_HIGH(u2, h1, p->r1);
	l0 = MUL_LOW(l0, h0, p->r0);
	u0 = MUL_HIGH(u0, h0, p->r0);
	l1 = MUL_LOW(l1, h0, p->r1);
	u1 = MUL_HIGH(u1, h0, p->r1);
	l2 = MUL_LOW(l2, h0, p->r2);
	u2 = MUL_HIGH(u2, h0, p->r2);

	l1 = ADD(l1, ADD(SHR(l0, 44), SHL(u0, 8)));
	l2 = ADD(l2, ADD(SHR(l1, 44), SHL(u1, 8)));
	carry = ADD(SHR(l2, 42), SHL(u2, 10));
	p->h0 = ADD(AND(l0, MASK44), ADD(carry, SHL(carry, 2)));
	p->h1 = AND(l1, MASK44);
	p->h2 = AND(l2, MASK42);
}

/* The same for the lanes of a mask. */
INLINE void absorb_masked(struct poly *p, __mmask8 mask, __m512i low, __m512i high)
{
	struct poly before = *p;

	absorb(p, low, high);
	p->h0 = _mm512_mask_mov_epi64(before.h0, mask, p->h0);
	p->h1 = _mm512_mask_mov_epi64(before.h1, mask, p->h1);
	p->h2 = _mm512_mask_mov_epi64(before.h2, mask, p->h2);
}

INLINE void begin(struct poly *p, const uint8_t *const key[8])
{
	__m512i low, high;

	load8(key, 0, &low, &high);
	low = AND(low, _mm512_set1_epi64(0x0ffffffc0fffffff));
	high = AND(high, _mm512_set1_epi64(0x0ffffffc0ffffffc));
	p->h0 = p->h1 = p->h2 = _mm512_setzero_si512();
	p->r0 = AND(low, MASK44);
	p->r1 = AND(OR(SHR(low, 44), SHL(high, 20)), MASK44);
	p->r2 = SHR(high, 24);
	p->s1 = ADD(SHL(p->r1, 4), SHL(p->r1, 2));
	p->s2 = ADD(SHL(p->r2, 4), SHL(p->r2, 2));
}

/* Full carry, reduction modulo 2^130 - 5, plus the second half of the key: low and high words of the tags. */
INLINE void reduce(const struct poly *p, const uint8_t *const key[8], __m512i *low, __m512i *high)
{
	__m512i h0 = p->h0, h1 = p->h1, h2 = p->h2, g0, g1, g2, c, pad_low, pad_high;
	__mmask8 above, carry;

	for (int i = 0; i < 2; i++) {
		h1 = ADD(h1, SHR(h0, 44));
		h0 = AND(h0, MASK44);
		h2 = ADD(h2, SHR(h1, 44));
		h1 = AND(h1, MASK44);
		c = SHR(h2, 42);
		h2 = AND(h2, MASK42);
		h0 = ADD(h0, ADD(c, SHL(c, 2)));
	}
	h1 = ADD(h1, SHR(h0, 44));
	h0 = AND(h0, MASK44);
	/* g = h + 5 - 2^130 where that is not negative */
	g0 = ADD(h0, _mm512_set1_epi64(5));
	g1 = ADD(h1, SHR(g0, 44));
	g0 = AND(g0, MASK44);
	g2 = ADD(h2, SHR(g1, 44));
	g1 = AND(g1, MASK44);
	above = _mm512_cmpge_epu64_mask(g2, _mm512_set1_epi64(1LL << 42));
	h0 = _mm512_mask_mov_epi64(h0, above, g0);
	h1 = _mm512_mask_mov_epi64(h1, above, g1);
	h2 = _mm512_mask_mov_epi64(h2, above, AND(g2, MASK42));

	load8(key, 16, &pad_low, &pad_high);
	*low = ADD(OR(h0, SHL(h1, 44)), pad_low);
	carry = _mm512_cmplt_epu64_mask(*low, pad_low);
	*high = ADD(OR(SHR(h1, 20), SHL(h2, 24)), pad_high);
	*high = _mm512_mask_add_epi64(*high, carry, *high, _mm512_set1_epi64(1));
}

INLINE void finish(const struct poly *p, const uint8_t *const key[8], uint8_t *const tag[8])
{
	__m512i low, high, even, odd;

	reduce(p, key, &low, &high);
	even = _mm512_unpacklo_epi64(low, high);
	odd = _mm512_unpackhi_epi64(low, high);
	_mm_storeu_si128((void *)tag[0], _mm512_castsi512_si128(even));
	_mm_storeu_si128((void *)tag[1], _mm512_castsi512_si128(odd));
	_mm_storeu_si128((void *)tag[2], _mm512_extracti32x4_epi32(even, 1));
	_mm_storeu_si128((void *)tag[3], _mm512_extracti32x4_epi32(odd, 1));
	_mm_storeu_si128((void *)tag[4], _mm512_extracti32x4_epi32(even, 2));
	_mm_storeu_si128((void *)tag[5], _mm512_extracti32x4_epi32(odd, 2));
	_mm_storeu_si128((void *)tag[6], _mm512_extracti32x4_epi32(even, 3));
	_mm_storeu_si128((void *)tag[7], _mm512_extracti32x4_epi32(odd, 3));
}

/*
 * Whole blocks past those that every lane has: lanes are sorted, so that the active ones are the first. A lane that is
 * done reads the 16 bytes after its text, which are there, and ignores them.
 */
static void absorb_uneven(struct poly *a, struct poly *b, const struct avx512_packets *p,
			  size_t offset)
{
	unsigned active = p->n;

	for (;; offset += 16) {
		const uint8_t *at[AVX512_LANES];
		__m512i low, high;
		unsigned mask;

		while (active && p->len[active - 1] / 16 * 16 <= offset)
			active--;
		if (!active)
			return;
		mask = (1U << active) - 1;
		for (unsigned i = 0; i < AVX512_LANES; i++) {
			size_t whole = p->len[i] / 16 * 16;

			at[i] = p->text[i] + (offset < whole ? offset : whole);
		}
		load8(at, 0, &low, &high);
		absorb_masked(a, (__mmask8)mask, low, high);
		if (active <= 8)
			continue;
		load8(at + 8, 0, &low, &high);
		absorb_masked(b, (__mmask8)(mask >> 8), low, high);
	}
}

/* Last blocks of texts that are not a multiple of 16, padded with zeroes. */
static void absorb_ends(struct poly *a, struct poly *b, const struct avx512_packets *p)
{
	uint8_t ends[AVX512_LANES][16] __attribute__((aligned(64)));
	const uint8_t *at[AVX512_LANES];
	unsigned mask = 0;
	__m512i low, high;

	for (unsigned i = 0; i < AVX512_LANES; i++) {
		unsigned rest = p->len[i] % 16;

		at[i] = ends[i];
		mask |= (unsigned)(rest != 0) << i;
		_mm_store_si128((void *)ends[i],
				_mm_maskz_loadu_epi8((__mmask16)((1U << rest) - 1),
						     p->text[i] + p->len[i] / 16 * 16));
	}
	if (!mask)
		return;
	load8(at, 0, &low, &high);
	absorb_masked(a, (__mmask8)mask, low, high);
	load8(at + 8, 0, &low, &high);
	absorb_masked(b, (__mmask8)(mask >> 8), low, high);
}

/* Lanes without a packet work on zeroes. */
static void fill_lanes(struct avx512_packets *p, uint8_t scratch[16])
{
	static const uint8_t zeroes[32];

	for (unsigned i = p->n; i < AVX512_LANES; i++) {
		p->text[i] = zeroes;
		p->key[i] = zeroes;
		p->tag[i] = scratch;
		p->len[i] = 0;
	}
}

void avx512_poly(struct avx512_packets *packets)
{
	struct avx512_packets *p = packets;
	uint64_t odd_ends = 0;
	uint8_t scratch[16];
	struct poly a, b;
	size_t even;

	fill_lanes(p, scratch);
	begin(&a, p->key);
	begin(&b, p->key + 8);
	/* What all 16 have, at full speed. */
	even = p->n == AVX512_LANES ? p->len[AVX512_LANES - 1] / 16 * 16 : 0;
	for (size_t offset = 0; offset < even; offset += 16) {
		__m512i low, high, low2, high2;

		load8(p->text, offset, &low, &high);
		load8(p->text + 8, offset, &low2, &high2);
		absorb(&a, low, high);
		absorb(&b, low2, high2);
	}
	if (p->len[0] / 16 * 16 > even)
		absorb_uneven(&a, &b, p, even);
	for (unsigned i = 0; i < AVX512_LANES; i++)
		odd_ends |= p->len[i] % 16;
	if (odd_ends)
		absorb_ends(&a, &b, p);
	absorb(&a, _mm512_setzero_si512(), _mm512_loadu_si512(p->len));
	absorb(&b, _mm512_setzero_si512(), _mm512_loadu_si512(p->len + 8));
	finish(&a, p->key, p->tag);
	finish(&b, p->key + 8, p->tag + 8);
}
