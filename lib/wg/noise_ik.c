// SPDX-License-Identifier: BSD-3-Clause
// The tokens of Noise_IKpsk2: what each of the two messages mixes into chaining key and transcript.
#include "lib/wg/noise_ik.h"

#include "lib/wg/crypto.h"

static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";

void noise_ik_initial_key(uint8_t out[WG_HASH_BYTES])
{
	wg_hash2(out, construction, sizeof(construction) - 1, NULL, 0);
}

void noise_ik_initial_hash(uint8_t out[WG_HASH_BYTES], const void *prologue, size_t prologue_len,
			   const uint8_t responder_public[WG_KEY_BYTES])
{
	noise_ik_initial_key(out);
	wg_hash2(out, out, WG_HASH_BYTES, prologue, prologue_len);
	wg_hash2(out, out, WG_HASH_BYTES, responder_public, WG_KEY_BYTES);
}

static void mix_hash(struct noise_handshake *hs, const void *data, size_t len)
{
	wg_hash2(hs->hash, hs->hash, sizeof(hs->hash), data, len);
}

/* Ephemeral public key: into chaining key (as in all patterns with a psk) and transcript. */
static void mix_ephemeral(struct noise_handshake *hs, const uint8_t public_key[WG_KEY_BYTES])
{
	wg_kdf(hs->chaining_key, NULL, NULL, hs->chaining_key, public_key, WG_KEY_BYTES);
	mix_hash(hs, public_key, WG_KEY_BYTES);
}

/* A DH result; key may be NULL where the next token replaces it unused. */
static void mix_secret(struct noise_handshake *hs, uint8_t *key, const uint8_t secret[WG_KEY_BYTES])
{
	wg_kdf(hs->chaining_key, key, NULL, hs->chaining_key, secret, WG_KEY_BYTES);
}

static bool mix_dh(struct noise_handshake *hs, uint8_t *key,
		   const uint8_t private_key[WG_KEY_BYTES], const uint8_t public_key[WG_KEY_BYTES])
{
	uint8_t secret[WG_KEY_BYTES];
	bool right = wg_dh(secret, private_key, public_key);

	if (right)
		mix_secret(hs, key, secret);
	wg_wipe(secret, sizeof(secret));
	return right;
}

static void mix_psk(struct noise_handshake *hs, uint8_t key[WG_KEY_BYTES],
		    const uint8_t psk[WG_KEY_BYTES])
{
	uint8_t temporary[WG_HASH_BYTES];

	wg_kdf(hs->chaining_key, temporary, key, hs->chaining_key, psk, WG_KEY_BYTES);
	mix_hash(hs, temporary, sizeof(temporary));
	wg_wipe(temporary, sizeof(temporary));
}

static void seal(struct noise_handshake *hs, uint8_t *out, const uint8_t key[WG_KEY_BYTES],
		 const void *in, size_t len)
{
	wg_aead_seal(out, key, 0, in, len, hs->hash, sizeof(hs->hash));
	mix_hash(hs, out, len + WG_TAG_BYTES);
}

static bool unseal(struct noise_handshake *hs, void *out, const uint8_t key[WG_KEY_BYTES],
		   const uint8_t *in, size_t len)
{
	if (!wg_aead_open(out, key, 0, in, len, hs->hash, sizeof(hs->hash)))
		return false;
	mix_hash(hs, in, len + WG_TAG_BYTES);
	return true;
}

static void take_ephemeral(struct noise_handshake *hs, const uint8_t ephemeral[WG_KEY_BYTES],
			   uint8_t public_key[WG_KEY_BYTES])
{
	memcpy(hs->ephemeral_private, ephemeral, WG_KEY_BYTES);
	wg_clamp(hs->ephemeral_private);
	wg_public_key(public_key, hs->ephemeral_private);
	mix_ephemeral(hs, public_key);
}

bool noise_ik_write1(struct noise_handshake *hs, const uint8_t remote_public[WG_KEY_BYTES],
		     const uint8_t own_public[WG_KEY_BYTES],
		     const uint8_t static_static[WG_KEY_BYTES],
		     const uint8_t ephemeral_private[WG_KEY_BYTES], uint8_t ephemeral[WG_KEY_BYTES],
		     uint8_t enc_static[WG_KEY_BYTES + WG_TAG_BYTES], uint8_t *enc_payload,
		     const void *payload, size_t payload_len)
{
	uint8_t key[WG_KEY_BYTES];

	take_ephemeral(hs, ephemeral_private, ephemeral);
	if (!mix_dh(hs, key, hs->ephemeral_private, remote_public))
		return false;
	seal(hs, enc_static, key, own_public, WG_KEY_BYTES);
	mix_secret(hs, key, static_static);
	seal(hs, enc_payload, key, payload, payload_len);
	wg_wipe(key, sizeof(key));
	return true;
}

enum noise_result noise_ik_read1_static(struct noise_handshake *hs,
					const uint8_t own_private[WG_KEY_BYTES],
					const uint8_t ephemeral[WG_KEY_BYTES],
					const uint8_t enc_static[WG_KEY_BYTES + WG_TAG_BYTES],
					uint8_t remote_static[WG_KEY_BYTES])
{
	uint8_t key[WG_KEY_BYTES];
	bool proven;

	mix_ephemeral(hs, ephemeral);
	if (!mix_dh(hs, key, own_private, ephemeral))
		return NOISE_LOW_ORDER;
	memcpy(hs->remote_ephemeral, ephemeral, WG_KEY_BYTES);
	proven = unseal(hs, remote_static, key, enc_static, WG_KEY_BYTES);
	wg_wipe(key, sizeof(key));
	return proven ? NOISE_OK : NOISE_DECRYPT;
}

bool noise_ik_read1_payload(struct noise_handshake *hs, const uint8_t static_static[WG_KEY_BYTES],
			    const uint8_t *enc_payload, void *payload, size_t payload_len)
{
	uint8_t key[WG_KEY_BYTES];
	bool proven;

	mix_secret(hs, key, static_static);
	proven = unseal(hs, payload, key, enc_payload, payload_len);
	wg_wipe(key, sizeof(key));
	return proven;
}

bool noise_ik_write2(struct noise_handshake *hs, const uint8_t remote_public[WG_KEY_BYTES],
		     const uint8_t psk[WG_KEY_BYTES], const uint8_t ephemeral_private[WG_KEY_BYTES],
		     uint8_t ephemeral[WG_KEY_BYTES], uint8_t *enc_payload, const void *payload,
		     size_t payload_len)
{
	uint8_t key[WG_KEY_BYTES];

	take_ephemeral(hs, ephemeral_private, ephemeral);
	if (!mix_dh(hs, NULL, hs->ephemeral_private, hs->remote_ephemeral) ||
	    !mix_dh(hs, NULL, hs->ephemeral_private, remote_public))
		return false;
	mix_psk(hs, key, psk);
	seal(hs, enc_payload, key, payload, payload_len);
	wg_wipe(key, sizeof(key));
	return true;
}

enum noise_result noise_ik_read2(struct noise_handshake *hs,
				 const uint8_t own_private[WG_KEY_BYTES],
				 const uint8_t psk[WG_KEY_BYTES],
				 const uint8_t ephemeral[WG_KEY_BYTES], const uint8_t *enc_payload,
				 void *payload, size_t payload_len)
{
	uint8_t key[WG_KEY_BYTES];
	bool proven;

	mix_ephemeral(hs, ephemeral);
	if (!mix_dh(hs, NULL, hs->ephemeral_private, ephemeral) ||
	    !mix_dh(hs, NULL, own_private, ephemeral))
		return NOISE_LOW_ORDER;
	mix_psk(hs, key, psk);
	memcpy(hs->remote_ephemeral, ephemeral, WG_KEY_BYTES);
	proven = unseal(hs, payload, key, enc_payload, payload_len);
	wg_wipe(key, sizeof(key));
	return proven ? NOISE_OK : NOISE_DECRYPT;
}
