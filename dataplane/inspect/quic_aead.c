// SPDX-License-Identifier: BSD-3-Clause
// Header protection and AEAD of QUIC Initial packets.
#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>
#include <sodium.h>

#include "dataplane/inspect/quic_keys.h"

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
