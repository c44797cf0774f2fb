// SPDX-License-Identifier: BSD-3-Clause
// Choice of an AEAD implementation, and the checks that all of them share.
#include "lib/aead/aead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aead/aead_impl.h"

struct aead {
	const struct aead_impl *impl;
	void *state;
};

/* Fastest first: `auto` takes the first that runs here and passes its self-test. */
static const struct aead_impl *const impls[] = {
#ifdef AEAD_HAVE_AVX512
	&aead_avx512,
#endif
	&aead_ipsec_mb,
	&aead_portable,
};

#define N_IMPLS (sizeof(impls) / sizeof(impls[0]))

const char *aead_known(unsigned i)
{
	return i < N_IMPLS ? impls[i]->name : NULL;
}

const char *aead_name(const struct aead *aead)
{
	return aead->impl->name;
}

/* Appends a line to error, as far as it has room. */
static void complain(char *error, size_t size, const char *name, const char *why)
{
	size_t used = error && size ? strlen(error) : 0;

	if (error && size)
		snprintf(error + used, size - used, "%saead %s: %s", used ? "\n" : "", name, why);
}

/* False, with a line, when the implementation does not run here; self_failed tells whether that is a wrong result. */
static bool try_impl(struct aead *aead, const struct aead_impl *impl, const char **why,
		     bool *self_failed)
{
	*self_failed = false;
	*why = impl->create(&aead->state);
	if (*why)
		return false;
	aead->impl = impl;
	*why = aead_self_test(impl, aead->state);
	if (!*why)
		return true;
	*self_failed = true;
	impl->destroy(aead->state);
	return false;
}

struct aead *aead_create(const char *name, char *error, size_t error_size)
{
	bool any = !name || strcmp(name, "auto") == 0, known = false, self_failed;
	struct aead *aead = calloc(1, sizeof(*aead));
	const char *why = NULL;

	if (error && error_size)
		error[0] = '\0';
	if (!aead) {
		complain(error, error_size, any ? "auto" : name, "no memory");
		return NULL;
	}
	for (unsigned i = 0; i < N_IMPLS; i++) {
		if (!any && strcmp(name, impls[i]->name) != 0)
			continue;
		known = true;
		if (try_impl(aead, impls[i], &why, &self_failed))
			return aead;
		if (!any || self_failed)
			complain(error, error_size, impls[i]->name, why);
	}
	if (!known)
		complain(error, error_size, name, "no such implementation");
	free(aead);
	return NULL;
}

void aead_destroy(struct aead *aead)
{
	if (!aead)
		return;
	aead->impl->destroy(aead->state);
	free(aead);
}

/* Calls burst over the runs of packets whose length is in range; the others get ok = false. */
static void checked(struct aead *aead, struct aead_op *ops, unsigned n,
		    void (*burst)(void *, struct aead_op *, unsigned))
{
	unsigned begin = 0;

	for (unsigned i = 0; i <= n; i++) {
		if (i < n && ops[i].len <= AEAD_MAX_LEN) {
			ops[i].ok = true;
			continue;
		}
		if (i < n)
			ops[i].ok = false;
		if (i > begin)
			burst(aead->state, ops + begin, i - begin);
		begin = i + 1;
	}
}

void aead_seal_burst(struct aead *aead, struct aead_op *ops, unsigned n)
{
	checked(aead, ops, n, aead->impl->seal);
}

void aead_open_burst(struct aead *aead, struct aead_op *ops, unsigned n)
{
	checked(aead, ops, n, aead->impl->open);
}
