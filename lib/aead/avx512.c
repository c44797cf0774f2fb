// SPDX-License-Identifier: BSD-3-Clause
// The multi-buffer AEAD: blocks and packets of a whole burst, with any keys and lengths, share the lanes of AVX-512 vectors.
// A packet much longer than its neighbours would leave lanes idle: such a one goes to ipsec-mb.
#include <immintrin.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aead/aead_impl.h"
#include "lib/aead/avx512.h"

/* Costs in cycles, measured: they only decide who does what. */
#define STEP_CYCLES 40      /* one block of 16 packets in Poly1305 */
#define ONE_CYCLES 350      /* a packet through ipsec-mb, beside what its length costs */
#define MIN_BURST 4         /* fewer packets than that: ipsec-mb */

struct avx512 {
	struct avx512_blocks blocks;
	uint8_t one_time[AEAD_MAX_BURST + 1][64] __attribute__((aligned(64)));
	uint8_t tags[AEAD_MAX_BURST][AEAD_TAG_BYTES];
	uint8_t scratch[64]; /* where lanes without work read and write */
	void *ipsec_mb;
};

static bool cpu_has_it(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("bmi2");
}

static void avx512_destroy(void *state)
{
	struct avx512 *mb = state;

	if (mb->ipsec_mb)
		aead_ipsec_mb.destroy(mb->ipsec_mb);
	sodium_memzero(mb, sizeof(*mb));
	free(mb);
}

static const char *avx512_create(void **state)
{
	struct avx512 *mb;
	const char *why;

	if (!cpu_has_it())
		return "CPU has no AVX-512 with IFMA";
	mb = aligned_alloc(64, (sizeof(*mb) + 63) / 64 * 64);
	if (!mb)
		return "no memory";
	memset(mb, 0, sizeof(*mb));
	why = aead_ipsec_mb.create(&mb->ipsec_mb);
	if (why) {
		avx512_destroy(mb);
		return why;
	}
	*state = mb;
	return NULL;
}

static inline void set_block(struct avx512_blocks *blocks, unsigned lane, const struct aead_op *op,
			     uint32_t counter)
{
	blocks->counter[lane] = counter;
	blocks->nonce_low[lane] = (uint32_t)op->counter;
	blocks->nonce_high[lane] = (uint32_t)(op->counter >> 32);
	blocks->key[lane] = op->key;
}

/* One-time keys of all packets: block 0 of each. */
static void make_one_time(struct avx512 *mb, struct aead_op *const *ops, unsigned n)
{
	for (unsigned first = 0; first < n; first += AVX512_LANES) {
		uint8_t *out[AVX512_LANES];

		for (unsigned lane = 0; lane < AVX512_LANES; lane++) {
			unsigned i = first + lane;

			set_block(&mb->blocks, lane, ops[i < n ? i : 0], 0);
			out[lane] = mb->one_time[i < n ? i : AEAD_MAX_BURST];
		}
		avx512_chacha_keys(&mb->blocks, out);
	}
}

/* XORs the key stream onto all texts whose ok is set. */
static void crypt(struct avx512 *mb, struct aead_op *const *ops, unsigned n)
{
	struct avx512_blocks *blocks = &mb->blocks;
	unsigned lane = 0;
	bool full = true;

	for (unsigned i = 0; i < n; i++) {
		const struct aead_op *op = ops[i];
		uint32_t counter = 1;

		for (uint32_t offset = 0; op->ok && offset < op->len; offset += 64) {
			uint32_t len = op->len - offset;

			set_block(blocks, lane, op, counter++);
			blocks->data[lane] = op->data + offset;
			blocks->len[lane] = len < 64 ? len : 64;
			full &= len >= 64;
			if (++lane < AVX512_LANES)
				continue;
			avx512_chacha(blocks, full);
			lane = 0;
			full = true;
		}
	}
	if (!lane)
		return;
	for (; lane < AVX512_LANES; lane++) {
		set_block(blocks, lane, ops[0], 0);
		blocks->data[lane] = mb->scratch;
		blocks->len[lane] = 0;
	}
	avx512_chacha(blocks, false);
}

/* Tags of all packets, to behind their texts or (open) to mb->tags. */
static void authenticate(struct avx512 *mb, struct aead_op *const *ops, unsigned n, bool sealing)
{
	struct avx512_packets packets;

	for (unsigned first = 0; first < n; first += packets.n) {
		packets.n = n - first < AVX512_LANES ? n - first : AVX512_LANES;
		for (unsigned lane = 0; lane < packets.n; lane++) {
			const struct aead_op *op = ops[first + lane];

			packets.text[lane] = op->data;
			packets.len[lane] = op->len;
			packets.key[lane] = mb->one_time[first + lane];
			packets.tag[lane] =
				sealing ? op->data + op->len : mb->tags[first + lane];
		}
		avx512_poly(&packets);
	}
}

/* Pointers to the packets, longest first. Equal lengths, the usual case, cost one pass. */
static void sort(struct aead_op *ops, struct aead_op **sorted, unsigned n)
{
	sorted[0] = ops;
	for (unsigned i = 1; i < n; i++) {
		unsigned at = i;

		for (; at > 0 && sorted[at - 1]->len < ops[i].len; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = &ops[i];
	}
}

/* How many of the longest packets are cheaper one by one, so that the rest fills its lanes. */
static unsigned stragglers(struct aead_op *const *sorted, unsigned n)
{
	unsigned best = 0, most = n < 8 ? n : 8;
	long best_gain = 0;

	if (n < MIN_BURST)
		return n;
	if (sorted[0]->len / 16 - sorted[n < AVX512_LANES ? n - 1 : AVX512_LANES - 1]->len / 16 <
	    ONE_CYCLES / STEP_CYCLES)
		return 0;
	for (unsigned k = 1; k <= most; k++) {
		uint32_t left = k < n ? sorted[k]->len / 16 : 0;
		long gain = (long)(sorted[0]->len / 16 - left) * STEP_CYCLES - (long)k * ONE_CYCLES;

		if (gain > best_gain) {
			best_gain = gain;
			best = k;
		}
	}
	return n - best < MIN_BURST ? n : best;
}

/* The packets that ipsec-mb takes, by copies of their records. */
static void one_by_one(struct avx512 *mb, struct aead_op *const *sorted, unsigned n, bool sealing)
{
	struct aead_op ops[AEAD_MAX_BURST];

	for (unsigned i = 0; i < n; i++)
		ops[i] = *sorted[i];
	(sealing ? aead_ipsec_mb.seal : aead_ipsec_mb.open)(mb->ipsec_mb, ops, n);
	for (unsigned i = 0; i < n; i++)
		sorted[i]->ok = ops[i].ok;
}

static bool tags_equal(const uint8_t *a, const uint8_t *b)
{
	__m128i difference = _mm_xor_si128(_mm_loadu_si128((const void *)a),
					   _mm_loadu_si128((const void *)b));

	return _mm_testz_si128(difference, difference);
}

static void avx512_seal(void *state, struct aead_op *ops, unsigned n)
{
	struct aead_op *sorted[AEAD_MAX_BURST], **rest;
	struct avx512 *mb = state;
	unsigned apart;

	sort(ops, sorted, n);
	apart = stragglers(sorted, n);
	if (apart)
		one_by_one(mb, sorted, apart, true);
	if (apart == n)
		return;
	rest = sorted + apart;
	n -= apart;
	for (unsigned i = 0; i < n; i++)
		rest[i]->ok = true;
	make_one_time(mb, rest, n);
	crypt(mb, rest, n);
	authenticate(mb, rest, n, true);
}

static void avx512_open(void *state, struct aead_op *ops, unsigned n)
{
	struct aead_op *sorted[AEAD_MAX_BURST], **rest;
	struct avx512 *mb = state;
	unsigned apart;

	sort(ops, sorted, n);
	apart = stragglers(sorted, n);
	if (apart)
		one_by_one(mb, sorted, apart, false);
	if (apart == n)
		return;
	rest = sorted + apart;
	n -= apart;
	make_one_time(mb, rest, n);
	authenticate(mb, rest, n, false);
	for (unsigned i = 0; i < n; i++) {
		rest[i]->ok = tags_equal(mb->tags[i], rest[i]->data + rest[i]->len);
		if (!rest[i]->ok)
			sodium_memzero(rest[i]->data, rest[i]->len);
	}
	crypt(mb, rest, n);
}

const struct aead_impl aead_avx512 = {
	.name = "avx512",
	.create = avx512_create,
	.destroy = avx512_destroy,
	.seal = avx512_seal,
	.open = avx512_open,
};
