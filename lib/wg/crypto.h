/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The primitives of the WireGuard handshake over libsodium and libb2 (paper, 5.4). Pure; any thread, after sodium_init().
 */
#ifndef LIB_WG_CRYPTO_H
#define LIB_WG_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/wg/wire.h"

/* out = BLAKE2s-256(a || b). b may be NULL when b_len is 0. out may be a. */
void wg_hash2(uint8_t out[WG_HASH_BYTES], const void *a, size_t a_len, const void *b, size_t b_len);
/* BLAKE2s (RFC 7693) of any output length 1 … 32, keyed unless key_len is 0. */
void wg_blake2s(uint8_t *out, size_t out_len, const void *key, size_t key_len, const void *in,
		size_t len);
/* out = keyed BLAKE2s-128; key_len 1 … 32. */
void wg_mac(uint8_t out[WG_MAC_BYTES], const void *key, size_t key_len, const void *in, size_t len);
/* out = HMAC-BLAKE2s-256 (RFC 2104); key_len 0 … 64. */
void wg_hmac(uint8_t out[WG_HASH_BYTES], const void *key, size_t key_len, const void *in,
	     size_t len);
/*
 * KDF1, KDF2, KDF3: HKDF (RFC 5869) with an empty info. Each output is 32 bytes; c may be NULL, or b and
 * c. An output may be the chaining key.
 */
void wg_kdf(uint8_t *a, uint8_t *b, uint8_t *c, const uint8_t chaining_key[WG_HASH_BYTES],
	    const void *in, size_t len);

/* Clamps 32 random bytes to an X25519 private key (RFC 7748, 5). */
void wg_clamp(uint8_t private_key[WG_KEY_BYTES]);
void wg_public_key(uint8_t public_key[WG_KEY_BYTES], const uint8_t private_key[WG_KEY_BYTES]);
/* X25519; false, and out zeroed, when the shared secret is all zero (a point of low order). */
bool wg_dh(uint8_t out[WG_KEY_BYTES], const uint8_t private_key[WG_KEY_BYTES],
	   const uint8_t public_key[WG_KEY_BYTES]);

/* ChaCha20-Poly1305 with nonce 4 zero bytes || counter; out has len + 16 bytes. */
void wg_aead_seal(uint8_t *out, const uint8_t key[WG_KEY_BYTES], uint64_t counter, const void *in,
		  size_t len, const void *ad, size_t ad_len);
/* in has len + 16 bytes; false, and out zeroed, when the tag is wrong. */
bool wg_aead_open(void *out, const uint8_t key[WG_KEY_BYTES], uint64_t counter, const uint8_t *in,
		  size_t len, const void *ad, size_t ad_len);
/* The same with any 12-byte nonce (RFC 8439). */
void wg_aead_seal_nonce(uint8_t *out, const uint8_t key[WG_KEY_BYTES], const uint8_t nonce[12],
			const void *in, size_t len, const void *ad, size_t ad_len);
bool wg_aead_open_nonce(void *out, const uint8_t key[WG_KEY_BYTES], const uint8_t nonce[12],
			const uint8_t *in, size_t len, const void *ad, size_t ad_len);
/* XChaCha20-Poly1305 with a 24-byte nonce; lengths as above. */
void wg_xaead_seal(uint8_t *out, const uint8_t key[WG_KEY_BYTES],
		   const uint8_t nonce[WG_COOKIE_NONCE_BYTES], const void *in, size_t len,
		   const void *ad, size_t ad_len);
bool wg_xaead_open(void *out, const uint8_t key[WG_KEY_BYTES],
		   const uint8_t nonce[WG_COOKIE_NONCE_BYTES], const uint8_t *in, size_t len,
		   const void *ad, size_t ad_len);

/* Constant-time comparison. */
bool wg_equal(const void *a, const void *b, size_t len);
void wg_wipe(void *secret, size_t len);

#endif
