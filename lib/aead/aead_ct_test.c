// SPDX-License-Identifier: BSD-3-Clause
// Constant time, by valgrind's memcheck (the idea of ctgrind, A. Langley 2010): keys and text are marked undefined, and a
// branch or an address that depends on them is an error. For the portable implementation: memcheck knows no AVX-512.
// Sealing only: opening ends in a branch on the verdict, which is public. Exit status 77 (skipped) outside valgrind.
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "lib/aead/aead.h"

#define N 8
#define SLOT 1536

static const uint32_t lengths[N] = {0, 1, 15, 16, 64, 257, 512, 1420};
static uint8_t keys[N][AEAD_KEY_BYTES], slots[N][SLOT];

/* Errors that sealing a burst of secret packets under secret keys adds. */
static unsigned seal_errors(struct aead *aead)
{
	struct aead_op ops[N];
	unsigned before = VALGRIND_COUNT_ERRORS;

	for (unsigned i = 0; i < N; i++)
		ops[i] = (struct aead_op){.key = keys[i], .counter = i, .data = slots[i], .len = lengths[i]};
	VALGRIND_MAKE_MEM_UNDEFINED(keys, sizeof(keys));
	VALGRIND_MAKE_MEM_UNDEFINED(slots, sizeof(slots));
	aead_seal_burst(aead, ops, N);
	return VALGRIND_COUNT_ERRORS - before;
}

/* Branches on a secret, as the code under test must not: shows that the method sees it. */
static unsigned branch_errors(void)
{
	unsigned before = VALGRIND_COUNT_ERRORS;
	volatile unsigned sink = 0;

	if (((volatile uint8_t *)keys[0])[0] & 1)
		sink = 1;
	(void)sink;
	return VALGRIND_COUNT_ERRORS - before;
}

int main(void)
{
	struct aead *aead;
	unsigned sealing, branch;

	if (!RUNNING_ON_VALGRIND) {
		puts("skipped: not under valgrind");
		return 77;
	}
	aead = aead_create("portable", NULL, 0);
	if (!aead)
		return 1;
	sealing = seal_errors(aead);
	branch = branch_errors();
	aead_destroy(aead);
	printf("secret branches: %u while sealing (0 wanted), %u in the counter-example (1 wanted)\n", sealing, branch);
	return sealing == 0 && branch == 1 ? 0 : 1;
}
