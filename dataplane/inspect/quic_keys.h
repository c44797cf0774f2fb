/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys of a client's QUIC Initial packets: anyone who sees the first one has them (RFC 9001 5.2, RFC 9369 3.3). SHA-256 by
 * OpenSSL, AES-128 by intel-ipsec-mb. No allocation but in create.
 */
#ifndef DATAPLANE_INSPECT_QUIC_KEYS_H
#define DATAPLANE_INSPECT_QUIC_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUIC_V1 0x00000001u
#define QUIC_V2 0x6b3343cfu

#define QUIC_SAMPLE_BYTES 16
#define QUIC_TAG_BYTES    16
#define QUIC_IV_BYTES     12

/* The CPU's kernels; one may serve all threads. */
struct quic_crypto;
/* NULL: no memory, or a CPU without AES instructions. */
struct quic_crypto *quic_crypto_create(void);
void quic_crypto_destroy(struct quic_crypto *c);

struct quic_keys {
	uint8_t key[16], iv[QUIC_IV_BYTES], hp[16];
};

/* Keys of the client's Initials of `version` for the connection id that its first one was sent to. False: no such version. */
bool quic_client_keys(uint32_t version, const uint8_t *dcid, size_t dcid_len, struct quic_keys *keys);

/* Header protection (RFC 9001 5.4.3): AES-ECB of the sample. */
void quic_header_mask(const struct quic_crypto *c, const struct quic_keys *keys, const uint8_t sample[QUIC_SAMPLE_BYTES],
		      uint8_t mask[5]);

/* AEAD_AES_128_GCM: sealed is len bytes with the tag last; plain gets len − 16. False: wrong tag, or shorter than a tag. */
bool quic_open(const struct quic_crypto *c, const struct quic_keys *keys, uint64_t packet_number, const uint8_t *header,
	       size_t header_len, const uint8_t *sealed, size_t len, uint8_t *plain);

#endif
