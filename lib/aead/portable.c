// SPDX-License-Identifier: BSD-3-Clause
// The AEAD by libsodium, one packet after the other: runs everywhere, and is what others are compared with.
#include <sodium.h>

#include "lib/aead/aead_impl.h"

static const char *portable_create(void **state)
{
	*state = NULL;
	return sodium_init() < 0 ? "libsodium does not start" : NULL;
}

static void portable_destroy(void *state)
{
	(void)state;
}

static void portable_seal(void *state, struct aead_op *ops, unsigned n)
{
	uint8_t nonce[12];

	(void)state;
	for (struct aead_op *op = ops; op < ops + n; op++) {
		aead_nonce(nonce, op->counter);
		crypto_aead_chacha20poly1305_ietf_encrypt_detached(op->data, op->data + op->len,
								   NULL, op->data, op->len, NULL, 0,
								   NULL, nonce, op->key);
	}
}

static void portable_open(void *state, struct aead_op *ops, unsigned n)
{
	uint8_t nonce[12];

	(void)state;
	for (struct aead_op *op = ops; op < ops + n; op++) {
		aead_nonce(nonce, op->counter);
		op->ok = crypto_aead_chacha20poly1305_ietf_decrypt_detached(
				 op->data, NULL, op->data, op->len, op->data + op->len, NULL, 0,
				 nonce, op->key) == 0;
		if (!op->ok)
			sodium_memzero(op->data, op->len);
	}
}

const struct aead_impl aead_portable = {
	.name = "portable",
	.create = portable_create,
	.destroy = portable_destroy,
	.seal = portable_seal,
	.open = portable_open,
};
