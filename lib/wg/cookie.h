/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MAC1, MAC2 and cookies (paper, 5.4.4 and 5.4.7). The checker is the responder's side under load, the jar what one holds
 * of a peer's cookies. Source addresses are opaque bytes: address and port in one fixed layout of the caller.
 */
#ifndef LIB_WG_COOKIE_H
#define LIB_WG_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/wg/noise.h"
#include "lib/wg/wire.h"

/* One per handshake thread or per edge (one writer). Zeroed: no secret yet. */
struct cookie_checker {
	uint8_t secret[WG_HASH_BYTES];
	uint64_t secret_ns; /* when it was drawn, monotonic */
	bool has_secret;
};

/* What we know of one peer's cookie, for messages to it. Zeroed: nothing. */
struct cookie_jar {
	uint8_t cookie[WG_COOKIE_BYTES];
	uint8_t last_mac1[WG_MAC_BYTES]; /* of the last message sent: binds a reply to it */
	uint64_t cookie_ns;              /* when the cookie came */
	bool has_cookie;
	bool has_last_mac1;
};

enum cookie_verdict {
	COOKIE_BAD_MAC1,
	COOKIE_MAC1_ONLY, /* MAC1 right, MAC2 absent, stale or wrong */
	COOKIE_MAC2_OK,
};

/*
 * MAC1 alone: whether a handshake message is meant for this identity. One BLAKE2s of the message, constant-time compare.
 * len must be WG_INITIATION_BYTES or WG_RESPONSE_BYTES, else false.
 */
bool wg_mac1_check(const struct noise_identity *identity, const void *message, size_t len);

/* Draws a new secret when there is none or it is older than WG_COOKIE_LIFETIME_NS. Call before check or reply. */
void cookie_checker_rotate(struct cookie_checker *checker, const struct wg_random *random,
			   uint64_t now_ns);

/* MAC1 and MAC2 of an initiation or response from src. now_ns monotonic. A stale secret proves nothing. */
enum cookie_verdict cookie_check(const struct cookie_checker *checker,
				 const struct noise_identity *identity, const void *message,
				 size_t len, const void *src, size_t src_len, uint64_t now_ns);

/*
 * Answers a message whose MAC1 was right with a cookie bound to src. nonce: 24 random bytes, never used twice.
 * The checker must have a secret. The reply is 64 bytes for a message of 92 or 148: never amplifies.
 */
void cookie_create_reply(const struct cookie_checker *checker,
			 const struct noise_identity *identity, const void *message, size_t len,
			 const void *src, size_t src_len,
			 const uint8_t nonce[WG_COOKIE_NONCE_BYTES], struct wg_cookie_reply *out);

/*
 * Fills both MACs of an initiation or response to remote (its other fields are complete) and remembers MAC1. MAC2 is zero
 * without a fresh cookie.
 */
void cookie_sign(struct cookie_jar *jar, const struct noise_remote *remote, void *message,
		 size_t len, uint64_t now_ns);

/*
 * Takes a cookie reply whose receiver index is ours. False, and nothing changed, when it does not answer our last
 * message or fails authentication. One reply for each message sent.
 */
bool cookie_consume_reply(struct cookie_jar *jar, const struct noise_remote *remote,
			  const struct wg_cookie_reply *reply, uint64_t now_ns);

void cookie_jar_wipe(struct cookie_jar *jar);
void cookie_checker_wipe(struct cookie_checker *checker);

#endif
