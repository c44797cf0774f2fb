// SPDX-License-Identifier: BSD-3-Clause
// Fuzzer: bursts of any lengths, keys and counters through every implementation that runs here, against libsodium.
// Input: per packet two bytes of length, one of key and alignment, one of counter, one of damage.
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aead/aead_impl.h"

#define SLOT_BYTES (AEAD_MAX_LEN + 64)
#define MAX_IMPLS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t keys[256][AEAD_KEY_BYTES];
static uint8_t *slots, *sealed;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static unsigned parse(const uint8_t *data, size_t size, struct aead_op *ops)
{
	unsigned n = 0;

	for (; size >= 5 && n < AEAD_MAX_BURST; data += 5, size -= 5, n++) {
		uint32_t len = ((uint32_t)data[0] << 8 | data[1]) % (AEAD_MAX_LEN + 2);

		ops[n] = (struct aead_op){.key = keys[data[2]], .len = len,
					  .counter = UINT64_C(0x0101010101010101) * data[3],
					  .data = slots + (size_t)n * SLOT_BYTES + data[2] % 32};
		memset(ops[n].data, data[4], len);
	}
	return n;
}

/* The whole burst through one implementation; `damage` is the fifth byte of each packet's record. */
static void run(struct aead *aead, const uint8_t *data, size_t size)
{
	struct aead_op ops[AEAD_MAX_BURST], ref[AEAD_MAX_BURST];
	unsigned n = parse(data, size, ops);

	memcpy(ref, ops, sizeof(ops));
	for (unsigned i = 0; i < n; i++) {
		ref[i].data = sealed + (size_t)i * SLOT_BYTES;
		memcpy(ref[i].data, ops[i].data, ops[i].len);
		if (ops[i].len <= AEAD_MAX_LEN)
			aead_portable.seal(NULL, &ref[i], 1);
	}
	aead_seal_burst(aead, ops, n);
	for (unsigned i = 0; i < n; i++) {
		require(ops[i].ok == (ops[i].len <= AEAD_MAX_LEN));
		require(memcmp(ops[i].data, ref[i].data, ops[i].len + (ops[i].ok ? 16 : 0)) == 0);
		if (data[i * 5 + 4] & 1)
			ops[i].data[(data[i * 5 + 4] * 77U) % (ops[i].len + 16)] ^= 4;
	}
	aead_open_burst(aead, ops, n);
	for (unsigned i = 0; i < n; i++) {
		bool good = ops[i].len <= AEAD_MAX_LEN && !(data[i * 5 + 4] & 1);

		require(ops[i].ok == good);
		for (uint32_t b = 0; ops[i].len <= AEAD_MAX_LEN && b < ops[i].len; b++)
			require(ops[i].data[b] == (good ? data[i * 5 + 4] : 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct aead *impls[MAX_IMPLS];
	static bool begun;

	if (!begun) {
		begun = true;
		require(sodium_init() >= 0);
		slots = calloc(AEAD_MAX_BURST, SLOT_BYTES);
		sealed = calloc(AEAD_MAX_BURST, SLOT_BYTES);
		require(slots && sealed);
		for (unsigned i = 0; i < 256; i++)
			for (unsigned k = 0; k < AEAD_KEY_BYTES; k++)
				keys[i][k] = (uint8_t)(i * 37 + k * (i % 5));
		for (unsigned i = 0; i < MAX_IMPLS && aead_known(i); i++)
			impls[i] = aead_create(aead_known(i), NULL, 0);
	}
	for (unsigned i = 0; i < MAX_IMPLS; i++)
		if (impls[i])
			run(impls[i], data, size);
	return 0;
}
