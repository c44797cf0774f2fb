/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ChaCha20-Poly1305 (RFC 8439) over bursts of data messages: no additional data, nonce = four zero bytes and the counter
 * as 8 little-endian bytes. In place, linear buffers only (a packet in several segments must be made linear first).
 * One context per thread; contexts are independent.
 */
#ifndef LIB_AEAD_H
#define LIB_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_BYTES 32
#define AEAD_TAG_BYTES 16
#define AEAD_MAX_BURST 64
#define AEAD_MAX_LEN 9216 /* bytes of plaintext of one packet */

struct aead_op {
	const uint8_t *key; /* 32 bytes, any alignment */
	uint64_t counter;
	uint8_t *data; /* len bytes of text in place, then 16 bytes of tag (written by seal, read by open) */
	uint32_t len;  /* of the text without the tag; 0 … AEAD_MAX_LEN */
	bool ok;       /* out */
};

struct aead;

/*
 * Picks an implementation by name ("portable", "ipsec-mb", …) or, with "auto" or NULL, the fastest one that this machine
 * has and that passes its self-test (a published vector and a comparison with libsodium over mixed lengths). NULL when the
 * name is unknown, or the implementation is not there or fails its self-test; error (may be NULL) then gets one line.
 * With "auto", error gets a line for each implementation that failed its self-test, "" when none. Allocates.
 */
struct aead *aead_create(const char *name, char *error, size_t error_size);
/* Wipes and frees; NULL is fine. */
void aead_destroy(struct aead *aead);

/* Name of the implementation in use. */
const char *aead_name(const struct aead *aead);
/* Name number i of all implementations that this build knows, fastest first; NULL past the end. */
const char *aead_known(unsigned i);

/*
 * Equivalent to encrypting ops[0 … n-1] one after the other; n ≤ AEAD_MAX_BURST (0 is fine). Buffers must not overlap.
 * ok is true unless len is above AEAD_MAX_LEN (then the packet is not touched).
 */
void aead_seal_burst(struct aead *aead, struct aead_op *ops, unsigned n);

/*
 * Equivalent to decrypting one after the other. ok tells whether the tag was right (compared in constant time); a packet
 * whose tag was wrong has its text zeroed.
 */
void aead_open_burst(struct aead *aead, struct aead_op *ops, unsigned n);

#endif
