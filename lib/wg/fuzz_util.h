/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzzers of message types share: two peers in a known state, and a true message that the input patches.
 * Input: one mode byte, then bytes that are either the datagram itself or XORed onto the true message.
 */
#ifndef LIB_WG_FUZZ_UTIL_H
#define LIB_WG_FUZZ_UTIL_H

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wg/crypto.h"
#include "lib/wg/peer.h"

#define FUZZ_NOW_NS (UINT64_C(1000) * WG_NS_PER_S)
#define FUZZ_RAW 1       /* the input is the datagram */
#define FUZZ_FIX_MAC1 2  /* MAC1 is made right again after patching: reaches what is behind it */
#define FUZZ_LOADED 4    /* the receiver is under load */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_pair {
	uint64_t seed;
	struct noise_identity identities[2];
	struct cookie_checker checkers[2];
	bool under_load;
	struct wg_peer peers[2];
	struct wg_out out;
};

static inline void fuzz_require(bool holds)
{
	if (!holds)
		abort();
}

static inline void fuzz_random(void *arg, void *to, size_t len)
{
	uint64_t *x = arg;

	for (size_t i = 0; i < len; i++) {
		*x = *x * UINT64_C(6364136223846793005) + 1442695040888963407U;
		((uint8_t *)to)[i] = (uint8_t)(*x >> 56);
	}
}

static inline void fuzz_pair_init(struct fuzz_pair *pair)
{
	uint8_t key[32];

	fuzz_require(sodium_init() >= 0);
	memset(pair, 0, sizeof(*pair));
	for (unsigned i = 0; i < 2; i++) {
		fuzz_random(&pair->seed, key, sizeof(key));
		noise_identity_init(&pair->identities[i], key, 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct wg_peer_config config = {
			.identity = &pair->identities[i],
			.remote_public_key = pair->identities[!i].public_key,
			.random = {fuzz_random, &pair->seed},
			.checker = &pair->checkers[i],
			.under_load = &pair->under_load,
		};

		fuzz_require(wg_peer_init(&pair->peers[i], &config) == 0);
	}
}

static inline enum wg_result fuzz_give(struct fuzz_pair *pair, unsigned to, const void *bytes,
				       size_t len)
{
	uint8_t copy[2048];

	memcpy(copy, bytes, len);
	return wg_peer_input(&pair->peers[to], copy, len, "source", 6, FUZZ_NOW_NS, &pair->out);
}

/* Message 1 of side 0, and what follows it. */
static inline struct wg_datagram fuzz_initiation(struct fuzz_pair *pair)
{
	wg_peer_connect(&pair->peers[0]);
	wg_peer_tick(&pair->peers[0], FUZZ_NOW_NS, &pair->out);
	fuzz_require(pair->out.n_tx == 1);
	return pair->out.tx[0];
}

static inline struct wg_datagram fuzz_answer(struct fuzz_pair *pair, unsigned to,
					     const struct wg_datagram *message)
{
	fuzz_give(pair, to, message->bytes, message->len);
	fuzz_require(pair->out.n_tx == 1);
	return pair->out.tx[0];
}

/*
 * Gives the patched message to side `to` of a copy of the pair's peer. Returns the result; *patched tells whether any byte
 * that this side authenticates differs from the true one. MAC2 counts under load only, and with a MAC1 made right again
 * the sender's index (bytes 4 … 7 of messages 1 and 2) is free, as anybody can compute MAC1.
 */
static inline enum wg_result fuzz_patched(struct fuzz_pair *pair, unsigned to,
					  const struct wg_datagram *truth, const uint8_t *data,
					  size_t size, bool *patched)
{
	struct wg_peer saved = pair->peers[to];
	bool has_macs = truth->bytes[0] == WG_INITIATION || truth->bytes[0] == WG_RESPONSE;
	size_t len = truth->len, end = has_macs ? len - 32 : len;
	uint8_t mode = data[0], bytes[2048];
	enum wg_result result;

	data++;
	size--;
	pair->under_load = mode & FUZZ_LOADED;
	if (mode & FUZZ_RAW) {
		len = size < sizeof(bytes) ? size : sizeof(bytes);
		memcpy(bytes, data, len);
	} else {
		memcpy(bytes, truth->bytes, len);
		for (size_t i = 0; i < len && i < size; i++)
			bytes[i] ^= data[i];
	}
	if (mode & FUZZ_FIX_MAC1 && has_macs && len == truth->len)
		wg_mac(bytes + end, pair->identities[to].mac1_key, 32, bytes, end);
	*patched = len != truth->len;
	for (size_t i = 0; !*patched && i < (has_macs ? len - 16 : len); i++)
		*patched = bytes[i] != truth->bytes[i] &&
			   !(mode & FUZZ_FIX_MAC1 && has_macs &&
			     ((i >= 4 && i < 8) || (i >= end && i < end + 16)));
	result = fuzz_give(pair, to, bytes, len);
	wg_peer_wipe(&pair->peers[to]);
	pair->peers[to] = saved;
	return result;
}

#endif
