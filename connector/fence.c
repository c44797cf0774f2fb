// SPDX-License-Identifier: BSD-3-Clause
// Prefix lists, looked at once a flow: a scan is enough.
#include "connector/fence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(struct ip_prefix **list, size_t *count, const char *const *texts, size_t n, const char *key, char *err,
	       size_t err_len)
{
	char why[160];

	if (n > FENCE_ENTRIES_MAX - *count) {
		snprintf(err, err_len, "%s: more than %d entries", key, FENCE_ENTRIES_MAX);
		return -1;
	}
	if (!n)
		return 0;
	*list = realloc(*list, (*count + n) * sizeof(**list));
	for (size_t i = 0; *list && i < n; i++) {
		if (ip_prefix_parse(texts[i], true, &(*list)[*count], why, sizeof(why))) {
			snprintf(err, err_len, "%s: %s", key, why);
			return -1;
		}
		++*count;
	}
	if (!*list)
		snprintf(err, err_len, "out of memory");
	return *list ? 0 : -1;
}

int fence_allow(struct fence *f, const char *const *texts, size_t n, const char *key, char *err, size_t err_len)
{
	return add(&f->allow, &f->allow_count, texts, n, key, err, err_len);
}

int fence_deny(struct fence *f, const char *const *texts, size_t n, const char *key, char *err, size_t err_len)
{
	return add(&f->deny, &f->deny_count, texts, n, key, err, err_len);
}

void fence_free(struct fence *f)
{
	free(f->allow);
	free(f->deny);
	memset(f, 0, sizeof(*f));
}

static bool holds(const struct ip_prefix *list, size_t n, const struct ip_addr *dst)
{
	for (size_t i = 0; i < n; i++)
		if (ip_prefix_contains(&list[i], dst))
			return true;
	return false;
}

bool fence_passes(const struct fence *f, const struct ip_addr *dst)
{
	if (holds(f->deny, f->deny_count, dst))
		return false;
	return !f->allow_count || holds(f->allow, f->allow_count, dst);
}
