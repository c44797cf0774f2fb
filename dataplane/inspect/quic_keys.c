// SPDX-License-Identifier: BSD-3-Clause
// Keys of QUIC Initial packets.
#include "dataplane/inspect/quic_keys.h"

#include <string.h>

/* Their calls on a context of the caller's allocate nothing, and use the CPU's SHA instructions: a fifth of libsodium's cycles. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#define SECRET_BYTES 32
#define LABEL_MAX    32

/* HMAC-SHA-256 (RFC 2104) with its key taken in already. */
struct hmac {
	SHA256_CTX inner, outer;
};

static void hmac_init(struct hmac *h, const uint8_t *key, size_t len)
{
	uint8_t pad[SHA256_CBLOCK] = {0};

	memcpy(pad, key, len);
	for (unsigned i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	SHA256_Init(&h->inner);
	SHA256_Update(&h->inner, pad, sizeof(pad));
	for (unsigned i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	SHA256_Init(&h->outer);
	SHA256_Update(&h->outer, pad, sizeof(pad));
}

static void hmac(const struct hmac *key, const uint8_t *data, size_t len, uint8_t out[SECRET_BYTES])
{
	struct hmac h = *key;

	SHA256_Update(&h.inner, data, len);
	SHA256_Final(out, &h.inner);
	SHA256_Update(&h.outer, out, SECRET_BYTES);
	SHA256_Final(out, &h.outer);
}

/* HKDF-Expand-Label without context (RFC 8446 7.1), of at most one block. */
static void expand(const struct hmac *secret, const char *label, uint8_t *out, size_t len)
{
	static const char prefix[] = "tls13 ";
	size_t label_len = strlen(label), n = 0;
	uint8_t info[2 + 1 + 6 + LABEL_MAX + 1 + 1], block[SECRET_BYTES];

	info[n++] = 0;
	info[n++] = (uint8_t)len;
	info[n++] = (uint8_t)(sizeof(prefix) - 1 + label_len);
	memcpy(info + n, prefix, sizeof(prefix) - 1);
	n += sizeof(prefix) - 1;
	memcpy(info + n, label, label_len);
	n += label_len;
	info[n++] = 0; /* context */
	info[n++] = 1; /* number of the block */
	hmac(secret, info, n, block);
	memcpy(out, block, len);
}

struct version {
	uint32_t number;
	uint8_t salt[20];
	const char *key, *iv, *hp;
};

static const struct version versions[] = {
	{QUIC_V1,
	 {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
	  0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
	 "quic key", "quic iv", "quic hp"},
	{QUIC_V2,
	 {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
	  0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9},
	 "quicv2 key", "quicv2 iv", "quicv2 hp"},
};

bool quic_client_keys(uint32_t version, const uint8_t *dcid, size_t dcid_len, struct quic_keys *keys)
{
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		const struct version *v = &versions[i];
		uint8_t secret[SECRET_BYTES];
		struct hmac h;

		if (v->number != version)
			continue;
		hmac_init(&h, v->salt, sizeof(v->salt));
		hmac(&h, dcid, dcid_len, secret); /* HKDF-Extract */
		hmac_init(&h, secret, sizeof(secret));
		expand(&h, "client in", secret, sizeof(secret));
		hmac_init(&h, secret, sizeof(secret));
		expand(&h, v->key, keys->key, sizeof(keys->key));
		expand(&h, v->iv, keys->iv, sizeof(keys->iv));
		expand(&h, v->hp, keys->hp, sizeof(keys->hp));
		return true;
	}
	return false;
}
