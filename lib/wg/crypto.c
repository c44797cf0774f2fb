// SPDX-License-Identifier: BSD-3-Clause
// The primitives of the WireGuard handshake, over libsodium and libb2.
#include "lib/wg/crypto.h"

#include <blake2.h>
#include <sodium.h>

#define BLOCK_BYTES 64

void wg_wipe(void *secret, size_t len)
{
	sodium_memzero(secret, len);
}

bool wg_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void wg_hash2(uint8_t out[WG_HASH_BYTES], const void *a, size_t a_len, const void *b, size_t b_len)
{
	blake2s_state state;

	blake2s_init(&state, WG_HASH_BYTES);
	blake2s_update(&state, a, a_len);
	if (b_len)
		blake2s_update(&state, b, b_len);
	blake2s_final(&state, out, WG_HASH_BYTES);
	wg_wipe(&state, sizeof(state));
}

void wg_blake2s(uint8_t *out, size_t out_len, const void *key, size_t key_len, const void *in,
		size_t len)
{
	blake2s_state state;

	if (key_len)
		blake2s_init_key(&state, out_len, key, key_len);
	else
		blake2s_init(&state, out_len);
	if (len)
		blake2s_update(&state, in, len);
	blake2s_final(&state, out, out_len);
	wg_wipe(&state, sizeof(state));
}

void wg_mac(uint8_t out[WG_MAC_BYTES], const void *key, size_t key_len, const void *in, size_t len)
{
	wg_blake2s(out, WG_MAC_BYTES, key, key_len, in, len);
}

void wg_hmac(uint8_t out[WG_HASH_BYTES], const void *key, size_t key_len, const void *in,
	     size_t len)
{
	uint8_t inner[BLOCK_BYTES], outer[BLOCK_BYTES], digest[WG_HASH_BYTES];
	const uint8_t *k = key;

	for (size_t i = 0; i < BLOCK_BYTES; i++) {
		uint8_t byte = i < key_len ? k[i] : 0;

		inner[i] = byte ^ 0x36;
		outer[i] = byte ^ 0x5c;
	}
	wg_hash2(digest, inner, sizeof(inner), in, len);
	wg_hash2(out, outer, sizeof(outer), digest, sizeof(digest));
	wg_wipe(inner, sizeof(inner));
	wg_wipe(outer, sizeof(outer));
	wg_wipe(digest, sizeof(digest));
}

void wg_kdf(uint8_t *a, uint8_t *b, uint8_t *c, const uint8_t chaining_key[WG_HASH_BYTES],
	    const void *in, size_t len)
{
	uint8_t secret[WG_HASH_BYTES], step[WG_HASH_BYTES + 1];

	wg_hmac(secret, chaining_key, WG_HASH_BYTES, in, len);
	step[0] = 1;
	wg_hmac(step, secret, sizeof(secret), step, 1);
	memcpy(a, step, WG_HASH_BYTES);
	if (b) {
		step[WG_HASH_BYTES] = 2;
		wg_hmac(step, secret, sizeof(secret), step, sizeof(step));
		memcpy(b, step, WG_HASH_BYTES);
	}
	if (b && c) {
		step[WG_HASH_BYTES] = 3;
		wg_hmac(step, secret, sizeof(secret), step, sizeof(step));
		memcpy(c, step, WG_HASH_BYTES);
	}
	wg_wipe(secret, sizeof(secret));
	wg_wipe(step, sizeof(step));
}

void wg_clamp(uint8_t private_key[WG_KEY_BYTES])
{
	private_key[0] &= 248;
	private_key[31] &= 127;
	private_key[31] |= 64;
}

void wg_public_key(uint8_t public_key[WG_KEY_BYTES], const uint8_t private_key[WG_KEY_BYTES])
{
	crypto_scalarmult_curve25519_base(public_key, private_key);
}

bool wg_dh(uint8_t out[WG_KEY_BYTES], const uint8_t private_key[WG_KEY_BYTES],
	   const uint8_t public_key[WG_KEY_BYTES])
{
	/* libsodium refuses low-order points; the result is looked at all the same. */
	if (crypto_scalarmult_curve25519(out, private_key, public_key) == 0 &&
	    !sodium_is_zero(out, WG_KEY_BYTES))
		return true;
	wg_wipe(out, WG_KEY_BYTES);
	return false;
}

void wg_aead_seal_nonce(uint8_t *out, const uint8_t key[WG_KEY_BYTES], const uint8_t nonce[12],
			const void *in, size_t len, const void *ad, size_t ad_len)
{
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, len, ad, ad_len, NULL, nonce, key);
}

bool wg_aead_open_nonce(void *out, const uint8_t key[WG_KEY_BYTES], const uint8_t nonce[12],
			const uint8_t *in, size_t len, const void *ad, size_t ad_len)
{
	uint8_t none[1];

	if (crypto_aead_chacha20poly1305_ietf_decrypt(len ? out : none, NULL, NULL, in,
						      len + WG_TAG_BYTES, ad, ad_len, nonce,
						      key) == 0)
		return true;
	if (len)
		wg_wipe(out, len);
	return false;
}

void wg_aead_seal(uint8_t *out, const uint8_t key[WG_KEY_BYTES], uint64_t counter, const void *in,
		  size_t len, const void *ad, size_t ad_len)
{
	uint8_t nonce[12] = {0};

	wg_put_le64(nonce + 4, counter);
	wg_aead_seal_nonce(out, key, nonce, in, len, ad, ad_len);
}

bool wg_aead_open(void *out, const uint8_t key[WG_KEY_BYTES], uint64_t counter, const uint8_t *in,
		  size_t len, const void *ad, size_t ad_len)
{
	uint8_t nonce[12] = {0};

	wg_put_le64(nonce + 4, counter);
	return wg_aead_open_nonce(out, key, nonce, in, len, ad, ad_len);
}

void wg_xaead_seal(uint8_t *out, const uint8_t key[WG_KEY_BYTES],
		   const uint8_t nonce[WG_COOKIE_NONCE_BYTES], const void *in, size_t len,
		   const void *ad, size_t ad_len)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in, len, ad, ad_len, NULL, nonce,
						   key);
}

bool wg_xaead_open(void *out, const uint8_t key[WG_KEY_BYTES],
		   const uint8_t nonce[WG_COOKIE_NONCE_BYTES], const uint8_t *in, size_t len,
		   const void *ad, size_t ad_len)
{
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len + WG_TAG_BYTES, ad,
						       ad_len, nonce, key) == 0)
		return true;
	wg_wipe(out, len);
	return false;
}
