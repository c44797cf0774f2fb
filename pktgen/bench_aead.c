// SPDX-License-Identifier: BSD-3-Clause
// Case plain-aead: each implementation alone, in bursts of 32 with 32 keys, seal and open in turn over the same buffers.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "lib/aead/aead.h"
#include "pktgen/bench.h"

#define BURST  32
#define STRIDE 2048 /* as packet buffers lie */
#define REP    16   /* bursts in a repetition */

struct aead_bench {
	uint8_t *text, *before;
	uint8_t keys[BURST][32];
	struct aead_op ops[BURST];
	uint64_t counter;
};

static void prepare(struct aead_bench *x, unsigned len)
{
	for (unsigned i = 0; i < BURST; i++)
		x->ops[i] = (struct aead_op){.key = x->keys[i], .counter = x->counter + i, .data = x->text + i * STRIDE,
					   .len = bench_size_of(len, i)};
	x->counter += BURST;
}

/* Opens what the implementation sealed with libsodium; how many came out as they went in. */
static unsigned verify(struct aead_bench *x, struct aead *aead, unsigned len)
{
	uint8_t plain[STRIDE], nonce[12] = {0};
	unsigned good = 0;

	randombytes_buf(x->text, (size_t)BURST * STRIDE);
	memcpy(x->before, x->text, (size_t)BURST * STRIDE);
	prepare(x, len);
	aead_seal_burst(aead, x->ops, BURST);
	for (unsigned i = 0; i < BURST; i++) {
		for (unsigned j = 0; j < 8; j++)
			nonce[4 + j] = (uint8_t)(x->ops[i].counter >> 8 * j);
		good += crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, x->ops[i].data, x->ops[i].len + 16ull, NULL, 0,
								  nonce, x->keys[i]) == 0 &&
			memcmp(plain, x->before + i * STRIDE, x->ops[i].len) == 0;
	}
	return good;
}

static void measure(struct bench *b, struct aead_bench *x, struct aead *aead, unsigned len)
{
	struct bench_row row = {.name = "plain-aead", .size = len, .aead_impl = aead_name(aead)};
	uint64_t end = bench_now_ns() + (uint64_t)(bench_seconds(b) * 0.4e9);
	struct bench_measure m = {0};

	row.verified = verify(x, aead, len);
	row.lost = BURST - row.verified;
	while (bench_now_ns() < end) {
		uint64_t sum = 0;

		for (unsigned r = 0; r < REP; r++) {
			uint64_t begin, took;

			prepare(x, len);
			begin = bench_clock();
			aead_seal_burst(aead, x->ops, BURST);
			aead_open_burst(aead, x->ops, BURST);
			took = bench_clock() - begin;
			sum += took;
			bench_measure_burst(&m, took, 2 * BURST);
		}
		bench_measure_rep(&m, sum, sum, 2 * BURST * REP);
	}
	bench_measure_end(&m, &row);
	row.ratio = bench_parts_ratio(b, &row);
	bench_add(b, &row);
}

void bench_run_aead(struct bench *b)
{
	struct aead_bench x = {0};
	const char *name;

	if (!b->options.cases[BENCH_plain_aead])
		return;
	x.text = aligned_alloc(4096, (size_t)BURST * STRIDE);
	x.before = malloc((size_t)BURST * STRIDE);
	if (x.text == NULL || x.before == NULL) {
		fprintf(stderr, "sluice-pktgen: no memory\n");
		exit(1);
	}
	randombytes_buf(x.keys, sizeof(x.keys));
	for (unsigned i = 0; (name = aead_known(i)) != NULL; i++) {
		struct aead *aead = aead_create(name, NULL, 0);

		for (unsigned s = 0; aead != NULL && s < b->options.n_sizes; s++)
			measure(b, &x, aead, b->options.sizes[s]);
		aead_destroy(aead);
	}
	free(x.text);
	free(x.before);
}
