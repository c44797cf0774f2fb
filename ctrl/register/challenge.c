// SPDX-License-Identifier: BSD-3-Clause
// Nonce = time of making (8 bytes, big-endian ms) | random (8) | MAC over both, account and tunnel (16).
#include "ctrl/register/challenge.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

enum {
	STAMP_BYTES = 8,
	RANDOM_BYTES = 8,
	MAC_BYTES = 16,
};

static void mac(const struct challenge_book *b, const char *account_tag, const char *tunnel_id,
		const uint8_t nonce[REGISTER_NONCE_BYTES], uint8_t out[MAC_BYTES])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, b->key, sizeof(b->key), MAC_BYTES);
	crypto_generichash_update(&state, nonce, STAMP_BYTES + RANDOM_BYTES);
	/* with their NULs, so that the two cannot be cut differently */
	crypto_generichash_update(&state, (const uint8_t *)account_tag, strlen(account_tag) + 1);
	crypto_generichash_update(&state, (const uint8_t *)tunnel_id, strlen(tunnel_id) + 1);
	crypto_generichash_final(&state, out, MAC_BYTES);
}

void challenge_init(struct challenge_book *b, uint64_t life_ms)
{
	memset(b, 0, sizeof(*b));
	randombytes_buf(b->key, sizeof(b->key));
	b->life_ms = life_ms;
}

void challenge_make(const struct challenge_book *b, const char *account_tag, const char *tunnel_id,
		    uint64_t now_ms, uint8_t nonce[REGISTER_NONCE_BYTES])
{
	for (int i = 0; i < STAMP_BYTES; i++)
		nonce[i] = (uint8_t)(now_ms >> (56 - 8 * i));
	randombytes_buf(nonce + STAMP_BYTES, RANDOM_BYTES);
	mac(b, account_tag, tunnel_id, nonce, nonce + STAMP_BYTES + RANDOM_BYTES);
}

static uint64_t made_at(const uint8_t *nonce)
{
	uint64_t at = 0;

	for (int i = 0; i < STAMP_BYTES; i++)
		at = at << 8 | nonce[i];
	return at;
}

int challenge_check(const struct challenge_book *b, const char *account_tag, const char *tunnel_id,
		    uint64_t now_ms, const uint8_t nonce[REGISTER_NONCE_BYTES])
{
	uint8_t want[MAC_BYTES];
	uint64_t at = made_at(nonce);

	mac(b, account_tag, tunnel_id, nonce, want);
	if (sodium_memcmp(want, nonce + STAMP_BYTES + RANDOM_BYTES, MAC_BYTES))
		return -EBADMSG;
	if (at > now_ms || now_ms - at > b->life_ms)
		return -ETIME;
	return 0;
}

int challenge_spend(struct challenge_book *b, uint64_t now_ms,
		    const uint8_t nonce[REGISTER_NONCE_BYTES])
{
	uint32_t slot;

	while (b->count && b->spent[b->first].forget_ms < now_ms) {
		b->first = (b->first + 1) % CHALLENGE_SPENT_MAX;
		b->count--;
	}
	for (uint32_t i = 0; i < b->count; i++) {
		slot = (b->first + i) % CHALLENGE_SPENT_MAX;
		if (!memcmp(b->spent[slot].nonce, nonce, REGISTER_NONCE_BYTES))
			return -EALREADY;
	}
	if (b->count == CHALLENGE_SPENT_MAX)
		return -ENOSPC;
	slot = (b->first + b->count++) % CHALLENGE_SPENT_MAX;
	memcpy(b->spent[slot].nonce, nonce, REGISTER_NONCE_BYTES);
	b->spent[slot].forget_ms = now_ms + b->life_ms; /* ≥ the end of the nonce's own life */
	return 0;
}
