// SPDX-License-Identifier: BSD-3-Clause
// Challenges of the registration: nonces that carry their own time and binding under a key of this run, so
// that asking for many costs no memory and pushes nobody's out; only served ones are remembered, for
// their lifetime. Pure: the clock is passed in. challenge_make() and challenge_check() may run on any thread (they
// only read the key); challenge_spend() on one.
#ifndef SLUICE_CTRL_REGISTER_CHALLENGE_H
#define SLUICE_CTRL_REGISTER_CHALLENGE_H

#include <stdint.h>

#include "lib/register_proof.h"

#define CHALLENGE_LIFE_MS 30000
#define CHALLENGE_SPENT_MAX 8192 /* registrations served within one lifetime */

struct challenge_book {
	uint8_t key[32];
	uint64_t life_ms;
	struct {
		uint8_t nonce[REGISTER_NONCE_BYTES];
		uint64_t forget_ms;
	} spent[CHALLENGE_SPENT_MAX]; /* a ring in order of `forget_ms` of arrival */
	uint32_t first, count;
};

/* Takes a fresh random key. `life_ms`: how long a nonce serves. */
void challenge_init(struct challenge_book *b, uint64_t life_ms);

/* A nonce for that account and tunnel (any text), made at now_ms. */
void challenge_make(const struct challenge_book *b, const char *account_tag, const char *tunnel_id,
		    uint64_t now_ms, uint8_t nonce[REGISTER_NONCE_BYTES]);

/* 0; -EBADMSG: not made here for that account and tunnel; -ETIME: older than its life. */
int challenge_check(const struct challenge_book *b, const char *account_tag, const char *tunnel_id,
		    uint64_t now_ms, const uint8_t nonce[REGISTER_NONCE_BYTES]);

/* Marks a checked nonce as served. 0; -EALREADY: it served before; -ENOSPC: CHALLENGE_SPENT_MAX served within
 * one lifetime. */
int challenge_spend(struct challenge_book *b, uint64_t now_ms,
		    const uint8_t nonce[REGISTER_NONCE_BYTES]);

#endif
