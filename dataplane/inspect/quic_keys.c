// SPDX-License-Identifier: BSD-3-Clause
// Keys and AEAD of QUIC Initial packets.
#include "dataplane/inspect/quic_keys.h"

#include <string.h>

#include <intel-ipsec-mb.h>
#include <sodium.h>

#define SECRET_BYTES 32
#define LABEL_MAX    32

struct quic_crypto {
	IMB_MGR *manager; /* only its functions on single buffers are used: they keep no state in it */
};

struct quic_crypto *quic_crypto_create(void)
{
	struct quic_crypto *c = calloc(1, sizeof(*c));
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (c == NULL)
		return NULL;
	c->manager = alloc_mb_mgr(0);
	if (c->manager != NULL)
		init_mb_mgr_auto(c->manager, &arch);
	if (arch != IMB_ARCH_NONE && arch != IMB_ARCH_NOAESNI && imb_get_errno(c->manager) == 0)
		return c;
	quic_crypto_destroy(c);
	return NULL;
}

void quic_crypto_destroy(struct quic_crypto *c)
{
	if (c == NULL)
		return;
	if (c->manager != NULL)
		free_mb_mgr(c->manager);
	free(c);
}

static void hmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len, uint8_t out[SECRET_BYTES])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, key_len);
	crypto_auth_hmacsha256_update(&state, data, len);
	crypto_auth_hmacsha256_final(&state, out);
}

/* HKDF-Expand-Label without context (RFC 8446 7.1), of at most one block. */
static void expand(const uint8_t secret[SECRET_BYTES], const char *label, uint8_t *out, size_t len)
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
	hmac(secret, SECRET_BYTES, info, n, block);
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
		uint8_t initial[SECRET_BYTES], client[SECRET_BYTES];

		if (v->number != version)
			continue;
		hmac(v->salt, sizeof(v->salt), dcid, dcid_len, initial); /* HKDF-Extract */
		expand(initial, "client in", client, sizeof(client));
		expand(client, v->key, keys->key, sizeof(keys->key));
		expand(client, v->iv, keys->iv, sizeof(keys->iv));
		expand(client, v->hp, keys->hp, sizeof(keys->hp));
		return true;
	}
	return false;
}

void quic_header_mask(const struct quic_crypto *c, const struct quic_keys *keys, const uint8_t sample[QUIC_SAMPLE_BYTES],
		      uint8_t mask[5])
{
	DECLARE_ALIGNED(uint8_t enc[16 * 11], 16);
	DECLARE_ALIGNED(uint8_t dec[16 * 11], 16);
	uint8_t zero[16] = {0}, block[16];

	IMB_AES_KEYEXP_128(c->manager, keys->hp, enc, dec);
	/* one block of CFB over zeros is ECB of its IV */
	IMB_AES128_CFB_ONE(c->manager, block, zero, sample, enc, sizeof(zero));
	memcpy(mask, block, 5);
}

bool quic_open(const struct quic_crypto *c, const struct quic_keys *keys, uint64_t packet_number, const uint8_t *header,
	       size_t header_len, const uint8_t *sealed, size_t len, uint8_t *plain)
{
	struct gcm_context_data ctx;
	struct gcm_key_data gcm;
	uint8_t nonce[QUIC_IV_BYTES], tag[QUIC_TAG_BYTES];

	if (len < QUIC_TAG_BYTES)
		return false;
	memcpy(nonce, keys->iv, sizeof(nonce));
	for (unsigned i = 0; i < 8; i++)
		nonce[QUIC_IV_BYTES - 1 - i] ^= (uint8_t)(packet_number >> (8 * i));
	IMB_AES128_GCM_PRE(c->manager, keys->key, &gcm);
	IMB_AES128_GCM_DEC(c->manager, &gcm, &ctx, plain, sealed, len - QUIC_TAG_BYTES, nonce, header, header_len, tag,
			   sizeof(tag));
	return sodium_memcmp(tag, sealed + len - QUIC_TAG_BYTES, sizeof(tag)) == 0;
}
