// SPDX-License-Identifier: BSD-3-Clause
// Proofs of registration over libsodium's HMAC-SHA-256.
#include "lib/register_proof.h"

#include <string.h>

#include <sodium.h>

static void add(crypto_auth_hmacsha256_state *state, const void *data, size_t bytes)
{
	uint8_t length[4] = {(uint8_t)(bytes >> 24), (uint8_t)(bytes >> 16), (uint8_t)(bytes >> 8),
			     (uint8_t)bytes};

	crypto_auth_hmacsha256_update(state, length, sizeof(length));
	crypto_auth_hmacsha256_update(state, data, bytes);
}

static void add_text(crypto_auth_hmacsha256_state *state, const char *text)
{
	add(state, text, strlen(text));
}

static void start(crypto_auth_hmacsha256_state *state, const char *label, const uint8_t *secret,
		  size_t secret_bytes, const struct register_proof_fields *f)
{
	crypto_auth_hmacsha256_init(state, secret, secret_bytes);
	crypto_auth_hmacsha256_update(state, (const uint8_t *)label, strlen(label));
	add(state, f->nonce, REGISTER_NONCE_BYTES);
	add_text(state, f->account_tag);
	add_text(state, f->tunnel_id);
	add_text(state, f->connector_id);
}

static void finish(crypto_auth_hmacsha256_state *state, const struct register_proof_fields *f,
		   uint8_t proof[REGISTER_PROOF_BYTES])
{
	add(state, f->cert_sha256, REGISTER_CERT_HASH_BYTES);
	crypto_auth_hmacsha256_final(state, proof);
	sodium_memzero(state, sizeof(*state));
}

void register_proof_register(const uint8_t *secret, size_t secret_bytes,
			     const struct register_proof_fields *f,
			     uint8_t proof[REGISTER_PROOF_BYTES])
{
	crypto_auth_hmacsha256_state state;

	start(&state, "sluice-register-v1", secret, secret_bytes, f);
	for (size_t i = 0; i < f->session_key_count; i++)
		add(&state, f->session_keys[i], REGISTER_KEY_BYTES);
	add_text(&state, f->hostname);
	add_text(&state, f->client_version);
	add_text(&state, f->mode);
	finish(&state, f, proof);
}

void register_proof_goodbye(const uint8_t *secret, size_t secret_bytes,
			    const struct register_proof_fields *f,
			    uint8_t proof[REGISTER_PROOF_BYTES])
{
	crypto_auth_hmacsha256_state state;

	start(&state, "sluice-goodbye-v1", secret, secret_bytes, f);
	finish(&state, f, proof);
}

bool register_proof_equal(const uint8_t a[REGISTER_PROOF_BYTES],
			  const uint8_t b[REGISTER_PROOF_BYTES])
{
	return sodium_memcmp(a, b, REGISTER_PROOF_BYTES) == 0;
}
