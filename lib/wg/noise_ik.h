/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tokens of Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s for any prologue and payload, so that published vectors of the
 * pattern reach the very code that WireGuard's messages go through. For lib/wg/noise.c and tests; everybody else uses
 * lib/wg/noise.h. Functions work on chaining_key, hash and ephemerals of a handshake; payload outputs are len + 16 bytes.
 */
#ifndef LIB_WG_NOISE_IK_H
#define LIB_WG_NOISE_IK_H

#include "lib/wg/noise.h"

/* Hash of the construction's name: chaining key before the first token. */
void noise_ik_initial_key(uint8_t out[WG_HASH_BYTES]);
/* Transcript before the first token: name, prologue, responder's static key. */
void noise_ik_initial_hash(uint8_t out[WG_HASH_BYTES], const void *prologue, size_t prologue_len,
			   const uint8_t responder_public[WG_KEY_BYTES]);

/* e, es, s, ss, payload. False on a zero shared secret. ephemeral_private is clamped and kept in hs. */
bool noise_ik_write1(struct noise_handshake *hs, const uint8_t remote_public[WG_KEY_BYTES],
		     const uint8_t own_public[WG_KEY_BYTES],
		     const uint8_t static_static[WG_KEY_BYTES],
		     const uint8_t ephemeral_private[WG_KEY_BYTES], uint8_t ephemeral[WG_KEY_BYTES],
		     uint8_t enc_static[WG_KEY_BYTES + WG_TAG_BYTES], uint8_t *enc_payload,
		     const void *payload, size_t payload_len);
/* e, es, s at the responder: gives the initiator's static key. NOISE_OK, NOISE_LOW_ORDER, NOISE_DECRYPT. */
enum noise_result noise_ik_read1_static(struct noise_handshake *hs,
					const uint8_t own_private[WG_KEY_BYTES],
					const uint8_t ephemeral[WG_KEY_BYTES],
					const uint8_t enc_static[WG_KEY_BYTES + WG_TAG_BYTES],
					uint8_t remote_static[WG_KEY_BYTES]);
/* ss, payload at the responder. False when the tag is wrong. */
bool noise_ik_read1_payload(struct noise_handshake *hs, const uint8_t static_static[WG_KEY_BYTES],
			    const uint8_t *enc_payload, void *payload, size_t payload_len);

/* e, ee, se, psk, payload. False on a zero shared secret. hs->remote_ephemeral is set. */
bool noise_ik_write2(struct noise_handshake *hs, const uint8_t remote_public[WG_KEY_BYTES],
		     const uint8_t psk[WG_KEY_BYTES], const uint8_t ephemeral_private[WG_KEY_BYTES],
		     uint8_t ephemeral[WG_KEY_BYTES], uint8_t *enc_payload, const void *payload,
		     size_t payload_len);
/* The same at the initiator. NOISE_OK, NOISE_LOW_ORDER, NOISE_DECRYPT. */
enum noise_result noise_ik_read2(struct noise_handshake *hs,
				 const uint8_t own_private[WG_KEY_BYTES],
				 const uint8_t psk[WG_KEY_BYTES],
				 const uint8_t ephemeral[WG_KEY_BYTES], const uint8_t *enc_payload,
				 void *payload, size_t payload_len);

#endif
