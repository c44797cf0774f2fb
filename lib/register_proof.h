// SPDX-License-Identifier: BSD-3-Clause
// The proofs of a connector's registration (docs/protocols.md, 2): HMAC-SHA-256 with the tunnel's
// secret over length-prefixed fields. Pure; any thread.
#ifndef SLUICE_LIB_REGISTER_PROOF_H
#define SLUICE_LIB_REGISTER_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTER_PROOF_BYTES 32
#define REGISTER_NONCE_BYTES 32
#define REGISTER_KEY_BYTES 32
#define REGISTER_CERT_HASH_BYTES 32
#define REGISTER_SESSION_KEYS_MAX 8

/* What a proof binds. Strings are NUL-terminated and enter without the NUL. */
struct register_proof_fields {
	const uint8_t *nonce; /* REGISTER_NONCE_BYTES */
	const char *account_tag;
	const char *tunnel_id;
	const char *connector_id;
	const uint8_t (*session_keys)[REGISTER_KEY_BYTES]; /* register only */
	size_t session_key_count;			   /* register only */
	const char *hostname;				   /* register only */
	const char *client_version;			   /* register only */
	const char *mode;				   /* register only */
	const uint8_t *cert_sha256; /* of the server's leaf, DER; REGISTER_CERT_HASH_BYTES */
};

/* The proof of `POST /v1/register`. Secrets of any length are taken, as HMAC does. */
void register_proof_register(const uint8_t *secret, size_t secret_bytes,
			     const struct register_proof_fields *f,
			     uint8_t proof[REGISTER_PROOF_BYTES]);

/* The proof of `POST /v1/goodbye`: nonce, account tag, tunnel, connector, certificate. */
void register_proof_goodbye(const uint8_t *secret, size_t secret_bytes,
			    const struct register_proof_fields *f,
			    uint8_t proof[REGISTER_PROOF_BYTES]);

/* True if both are equal; takes the same time whether or not they are. */
bool register_proof_equal(const uint8_t a[REGISTER_PROOF_BYTES],
			  const uint8_t b[REGISTER_PROOF_BYTES]);

#endif
