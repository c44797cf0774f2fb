/* SPDX-License-Identifier: BSD-3-Clause */
/* Helpers of the tests beside this file: hex, a deterministic random source, a pair of identities. */
#ifndef LIB_WG_TEST_UTIL_H
#define LIB_WG_TEST_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wg/noise.h"
#include "lib/wg/wire.h"

#define T0_NS (UINT64_C(1000) * WG_NS_PER_S)
#define T0_UNIX_NS (UINT64_C(1700000000) * WG_NS_PER_S)

/* Decodes hex into out; returns the number of bytes. Fails the test when it is not hex or longer than max. */
static inline size_t unhex(uint8_t *out, size_t max, const char *hex)
{
	size_t len = 0;

	assert_int_equal(sodium_hex2bin(out, max, hex, strlen(hex), NULL, &len, NULL), 0);
	assert_int_equal(len * 2, strlen(hex));
	return len;
}

/* xorshift64*: the same on every run. */
static inline uint64_t test_random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

static inline void test_random_fill(void *arg, void *to, size_t len)
{
	uint8_t *out = to;

	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(test_random_next(arg) >> 56);
}

/* Path of a file of reference data, or NULL when it is not there: $SLUICE_DATA, else SLUICE_DATA_DEFAULT. */
static inline const char *test_data(const char *name)
{
	static char path[512];
	const char *base = getenv("SLUICE_DATA");
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", base ? base : SLUICE_DATA_DEFAULT, name);
	file = fopen(path, "r");
	if (!file)
		return NULL;
	fclose(file);
	return path;
}

/* Two sides that know each other. */
struct test_sides {
	uint64_t seed;
	struct noise_identity initiator, responder;
	struct noise_remote to_responder, to_initiator;
};

static inline void test_sides_init(struct test_sides *sides, uint64_t seed)
{
	uint8_t key[WG_KEY_BYTES], psk[WG_KEY_BYTES];

	sides->seed = seed;
	test_random_fill(&sides->seed, key, sizeof(key));
	noise_identity_init(&sides->initiator, key, 0);
	test_random_fill(&sides->seed, key, sizeof(key));
	noise_identity_init(&sides->responder, key, 1);
	test_random_fill(&sides->seed, psk, sizeof(psk));
	noise_remote_init(&sides->to_responder, sides->responder.public_key, psk);
	noise_remote_init(&sides->to_initiator, sides->initiator.public_key, psk);
	assert_int_equal(noise_remote_bind(&sides->to_responder, &sides->initiator), NOISE_OK);
	assert_int_equal(noise_remote_bind(&sides->to_initiator, &sides->responder), NOISE_OK);
}

#endif
