/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an implementation of lib/aead provides. A new one is a file with a struct aead_impl and a line in the table of
 * aead.c; the self-test and all tests of the folder then run over it.
 */
#ifndef LIB_AEAD_IMPL_H
#define LIB_AEAD_IMPL_H

#include "lib/aead/aead.h"

struct aead_impl {
	const char *name;
	/* State of one context into *state; NULL, or a short text that says why this machine cannot run it. */
	const char *(*create)(void **state);
	void (*destroy)(void *state); /* wipes and frees */
	/* n is 1 … AEAD_MAX_BURST, lengths are in range. seal sets nothing but data and tag; open sets ok and zeroes. */
	void (*seal)(void *state, struct aead_op *ops, unsigned n);
	void (*open)(void *state, struct aead_op *ops, unsigned n);
};

extern const struct aead_impl aead_portable;
extern const struct aead_impl aead_ipsec_mb;
extern const struct aead_impl aead_avx512; /* where the build has it: AEAD_HAVE_AVX512 */

/* Nonce of a data message: four zero bytes, then the counter, little-endian. */
static inline void aead_nonce(uint8_t nonce[12], uint64_t counter)
{
	for (unsigned i = 0; i < 12; i++)
		nonce[i] = i < 4 ? 0 : (uint8_t)(counter >> (8 * (i - 4)));
}

/* NULL when the implementation encrypts and decrypts as published and as libsodium does, else what went wrong. */
const char *aead_self_test(const struct aead_impl *impl, void *state);

#endif
