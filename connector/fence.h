// SPDX-License-Identifier: BSD-3-Clause
// Which destinations the owner of the private network lets devices reach: `allow` and `deny` of the configuration, a second
// fence behind the edge's policy. Pure.
#ifndef SLUICE_CONNECTOR_FENCE_H
#define SLUICE_CONNECTOR_FENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/ip.h"

#define FENCE_ENTRIES_MAX 1024 /* of each list */

struct fence {
	struct ip_prefix *allow, *deny; /* heap */
	size_t allow_count, deny_count;
};

/* Adds prefixes (a bare address is a host) to a list of the fence. `key`: its name in messages. 0, or -1 with a sentence. */
int fence_allow(struct fence *f, const char *const *texts, size_t n, const char *key, char *err, size_t err_len);
int fence_deny(struct fence *f, const char *const *texts, size_t n, const char *key, char *err, size_t err_len);
void fence_free(struct fence *f);

/* True where no `deny` holds the destination and `allow` is empty or holds it. */
bool fence_passes(const struct fence *f, const struct ip_addr *dst);

#endif
