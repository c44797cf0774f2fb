/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard runs it (paper, 5.4.1 - 5.4.5), both roles. Pure: the caller brings
 * time, randomness (ephemeral private keys), receiver indices and the table of peers. Not thread safe per object;
 * objects are independent. MACs are lib/wg/cookie.h's: messages made here have zero MACs, messages consumed here were
 * checked before.
 */
#ifndef LIB_WG_NOISE_H
#define LIB_WG_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/wg/wire.h"

#define NOISE_IDENTITIES 2 /* own static keys that may be valid at once (rotation) */

/* An own static key and what is derived from it once. Holds a secret: noise_identity_wipe when done. */
struct noise_identity {
	uint8_t private_key[WG_KEY_BYTES]; /* clamped */
	uint8_t public_key[WG_KEY_BYTES];
	uint8_t mac1_key[WG_HASH_BYTES];   /* of messages sent to us */
	uint8_t cookie_key[WG_HASH_BYTES]; /* of cookies we give out */
	uint8_t hash[WG_HASH_BYTES];       /* transcript of a handshake that we answer, up to our key */
	uint8_t slot;                      /* 0 … NOISE_IDENTITIES - 1: which static_static of a remote is ours */
};

/*
 * A peer's static side. public_key and psk are configuration; the rest is derived, or state of its initiations.
 * Written by whoever runs handshakes. Holds secrets: noise_remote_wipe.
 */
struct noise_remote {
	uint8_t public_key[WG_KEY_BYTES];
	uint8_t psk[WG_KEY_BYTES]; /* all zero: none */
	uint8_t static_static[NOISE_IDENTITIES][WG_KEY_BYTES];
	bool bound[NOISE_IDENTITIES];
	uint8_t mac1_key[WG_HASH_BYTES];   /* of messages to it */
	uint8_t cookie_key[WG_HASH_BYTES]; /* of cookies from it */
	uint8_t hash[WG_HASH_BYTES];       /* transcript of a handshake that it answers, up to its key */
	uint8_t tai64n_rx[WG_TAI64N_BYTES]; /* stamp of the last initiation accepted; all zero: none. Persistable. */
	uint64_t initiation_rx_ns;          /* when that was, monotonic; 0: never */
};

enum noise_result {
	NOISE_OK = 0,
	NOISE_BAD_STATE,  /* no such handshake is under way, or index not ours */
	NOISE_LOW_ORDER,  /* a shared secret was all zero */
	NOISE_DECRYPT,    /* authentication failed */
	NOISE_WRONG_PEER, /* finish was called with a remote whose key is not the one in the message */
	NOISE_REPLAY,     /* stamp not above the last accepted */
	NOISE_RATE,       /* more than WG_INITIATIONS_PER_SECOND from this peer */
};

/* A short fixed text for logs. */
const char *noise_result_text(enum noise_result result);

enum noise_state {
	NOISE_NONE = 0,
	NOISE_INITIATION_CREATED,
	NOISE_INITIATION_CONSUMED,
	NOISE_RESPONSE_CREATED,
	NOISE_RESPONSE_CONSUMED,
};

/* One handshake under way; zeroed is none. Holds secrets: noise_handshake_wipe. */
struct noise_handshake {
	enum noise_state state;
	uint8_t identity_slot;  /* which of our identities it runs with */
	uint32_t local_index;   /* ours, set when we create a message */
	uint32_t remote_index;  /* theirs, from the message consumed */
	uint8_t chaining_key[WG_HASH_BYTES];
	uint8_t hash[WG_HASH_BYTES];
	uint8_t ephemeral_private[WG_KEY_BYTES];
	uint8_t remote_ephemeral[WG_KEY_BYTES];
};

/* First phase's result of consuming an initiation: whose it claims to be. Wiped by the second phase. */
struct noise_initiation {
	struct noise_handshake handshake;
	uint8_t remote_static[WG_KEY_BYTES]; /* look the peer up by this */
	uint8_t enc_timestamp[WG_TAI64N_BYTES + WG_TAG_BYTES];
};

/* Transport keys of a finished handshake. */
struct noise_keys {
	uint8_t send[WG_KEY_BYTES];
	uint8_t receive[WG_KEY_BYTES];
};

/* Derives the identity of a private key (clamped here). slot < NOISE_IDENTITIES. */
void noise_identity_init(struct noise_identity *identity, const uint8_t private_key[WG_KEY_BYTES],
			 uint8_t slot);
void noise_identity_wipe(struct noise_identity *identity);

/* Whether a public key has low order (any shared secret with it is zero): never to be configured. */
bool noise_key_low_order(const uint8_t public_key[WG_KEY_BYTES]);

/* Sets the configuration of a peer; psk NULL is none. Forgets stamps and bindings. */
void noise_remote_init(struct noise_remote *remote, const uint8_t public_key[WG_KEY_BYTES],
		       const uint8_t psk[WG_KEY_BYTES]);
/* Computes the static-static secret with one identity (one X25519). NOISE_LOW_ORDER or NOISE_OK. */
enum noise_result noise_remote_bind(struct noise_remote *remote,
				    const struct noise_identity *identity);
void noise_remote_wipe(struct noise_remote *remote);

/*
 * Message 1 (5.4.2). ephemeral_private: 32 fresh random bytes (clamped here; the caller wipes its copy). stamp: TAI64N,
 * above all stamps sent to this peer before. On any result but NOISE_OK handshake and out are wiped.
 * remote must be bound to identity.
 */
enum noise_result noise_create_initiation(struct noise_handshake *handshake,
					  const struct noise_identity *identity,
					  const struct noise_remote *remote, uint32_t local_index,
					  const uint8_t ephemeral_private[WG_KEY_BYTES],
					  const uint8_t stamp[WG_TAI64N_BYTES],
					  struct wg_initiation *out);

/*
 * Message 1 at the responder, first phase: one X25519, gives the initiator's static key, which is not proven yet.
 * NOISE_OK, NOISE_LOW_ORDER, NOISE_DECRYPT.
 */
enum noise_result noise_consume_initiation(struct noise_initiation *initiation,
					   const struct noise_identity *identity,
					   const struct wg_initiation *message);

/*
 * Second phase, with the peer that the first phase named: proves it, then checks stamp and rate, and only then changes
 * remote and handshake. initiation is wiped in any case. now_ns monotonic, not 0.
 */
enum noise_result noise_finish_initiation(struct noise_initiation *initiation,
					  struct noise_remote *remote, uint64_t now_ns,
					  struct noise_handshake *handshake);

/* Message 2 (5.4.3), after noise_finish_initiation: two X25519. On failure handshake and out are wiped. */
enum noise_result noise_create_response(struct noise_handshake *handshake,
					const struct noise_remote *remote, uint32_t local_index,
					const uint8_t ephemeral_private[WG_KEY_BYTES],
					struct wg_response *out);

/* Message 2 at the initiator. On failure handshake is unchanged: a forged response does not end it. */
enum noise_result noise_consume_response(struct noise_handshake *handshake,
					 const struct noise_identity *identity,
					 const struct noise_remote *remote,
					 const struct wg_response *message);

/* Transport keys (5.4.5) of a handshake after message 2; wipes it. NOISE_OK or NOISE_BAD_STATE. */
enum noise_result noise_derive_keys(struct noise_handshake *handshake, struct noise_keys *keys);

void noise_handshake_wipe(struct noise_handshake *handshake);

#endif
