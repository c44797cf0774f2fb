// SPDX-License-Identifier: BSD-3-Clause
// Every length from 0 to 2,048 in every place of a burst of 64, with other lengths around it: all implementations that run
// here against libsodium and OpenSSL, which must agree with each other. One tag of each burst is wrong when opened.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aead/aead.h"
#include "lib/aead/aead_impl.h"

#define N_LENGTHS 2049 /* one round each; the stride has no factor in common with it */
#define STRIDE 641
#define SLOT (N_LENGTHS + AEAD_TAG_BYTES)
#define MAX_IMPLS 8
#define GUARD 0xa5

struct bursts {
	uint8_t keys[AEAD_MAX_BURST][AEAD_KEY_BYTES];
	uint8_t plain[AEAD_MAX_BURST][SLOT], sealed[AEAD_MAX_BURST][SLOT], work[AEAD_MAX_BURST][SLOT];
	struct aead_op ops[AEAD_MAX_BURST];
};

/* OpenSSL's idea of the sealed packet, tag included. */
static void openssl_seal(EVP_CIPHER_CTX *ctx, uint8_t *out, const struct aead_op *op, const uint8_t *text)
{
	uint8_t nonce[12];
	int len = 0;

	aead_nonce(nonce, op->counter);
	assert_int_equal(EVP_EncryptInit_ex(ctx, NULL, NULL, op->key, nonce), 1);
	if (op->len)
		assert_int_equal(EVP_EncryptUpdate(ctx, out, &len, text, (int)op->len), 1);
	assert_int_equal(len, op->len);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, out + len, &len), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, out + op->len), 1);
}

/* The packets of a round, and what they must become by both references. */
static void expect(struct bursts *b, EVP_CIPHER_CTX *ctx, unsigned round)
{
	uint8_t nonce[12], other[SLOT];

	for (unsigned i = 0; i < AEAD_MAX_BURST; i++) {
		struct aead_op *op = &b->ops[i];

		*op = (struct aead_op){.key = b->keys[i * round % AEAD_MAX_BURST],
				       .counter = ((uint64_t)round << 32) * (i % 3) + i,
				       .data = b->work[i], .len = (round + i * STRIDE) % N_LENGTHS};
		aead_nonce(nonce, op->counter);
		memset(b->sealed[i], GUARD, SLOT);
		crypto_aead_chacha20poly1305_ietf_encrypt_detached(b->sealed[i], b->sealed[i] + op->len, NULL,
								   b->plain[i], op->len, NULL, 0, NULL, nonce,
								   op->key);
		openssl_seal(ctx, other, op, b->plain[i]);
		assert_memory_equal(b->sealed[i], other, op->len + AEAD_TAG_BYTES);
	}
}

static void check(struct bursts *b, struct aead *aead, unsigned round)
{
	unsigned bad = round % AEAD_MAX_BURST;

	for (unsigned i = 0; i < AEAD_MAX_BURST; i++) {
		memset(b->work[i], GUARD, SLOT);
		memcpy(b->work[i], b->plain[i], b->ops[i].len);
	}
	aead_seal_burst(aead, b->ops, AEAD_MAX_BURST);
	/* The whole slot: nothing is written behind the tag either. */
	for (unsigned i = 0; i < AEAD_MAX_BURST; i++)
		if (!b->ops[i].ok || memcmp(b->work[i], b->sealed[i], SLOT) != 0)
			fail_msg("%s: seal: length %u in place %u", aead_name(aead), b->ops[i].len, i);
	b->work[bad][b->ops[bad].len + round % AEAD_TAG_BYTES] ^= 0x80;
	aead_open_burst(aead, b->ops, AEAD_MAX_BURST);
	for (unsigned i = 0; i < AEAD_MAX_BURST; i++) {
		const struct aead_op *op = &b->ops[i];
		bool right = i == bad ? sodium_is_zero(op->data, op->len)
				      : memcmp(op->data, b->plain[i], op->len) == 0;

		if (op->ok != (i != bad) || !right)
			fail_msg("%s: open: length %u in place %u", aead_name(aead), op->len, i);
	}
}

static void test_every_length_in_every_place(void **state)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	struct bursts *b = calloc(1, sizeof(*b));
	struct aead *impls[MAX_IMPLS];
	unsigned n = 0;
	static const uint8_t seed[randombytes_SEEDBYTES] = {20};

	(void)state;
	assert_non_null(ctx);
	assert_non_null(b);
	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_chacha20_poly1305(), NULL, NULL, NULL), 1);
	randombytes_buf_deterministic(b->plain, sizeof(b->plain), seed);
	randombytes_buf_deterministic(b->keys, sizeof(b->keys), seed);
	for (unsigned i = 0; aead_known(i) && n < MAX_IMPLS; i++) {
		impls[n] = aead_create(aead_known(i), NULL, 0);
		if (impls[n])
			n++;
		else
			print_message("does not run here: %s\n", aead_known(i));
	}
	assert_true(n > 0);
	for (unsigned round = 0; round < N_LENGTHS; round++) {
		expect(b, ctx, round);
		for (unsigned i = 0; i < n; i++)
			check(b, impls[i], round);
	}
	while (n > 0)
		aead_destroy(impls[--n]);
	free(b);
	EVP_CIPHER_CTX_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_length_in_every_place)};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("aead_lengths", tests, NULL, NULL);
}
