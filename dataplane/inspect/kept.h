/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of flows that inspection is through with: a flow is decided again when the tables change, and its first bytes do
 * not come again. A pool of fixed slots in memory of the caller's; no allocation. One thread.
 */
#ifndef DATAPLANE_INSPECT_KEPT_H
#define DATAPLANE_INSPECT_KEPT_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/inspect/names.h"

#define KEPT_NONE UINT32_MAX
#define KEPT_TEXT 368 /* method, and host name or URI; a longer URI is not kept, its host is */

struct kept_pool;

/* Bytes that a pool of n slots takes. */
size_t kept_pool_size(uint32_t n);
/* Makes a pool in mem (kept_pool_size(n) bytes, aligned to 4). */
struct kept_pool *kept_pool_init(void *mem, uint32_t n);

/* Copies names of which none is unseen. KEPT_NONE: no slot is free. What does not fit is missing in the copy. */
uint32_t kept_put(struct kept_pool *p, const struct names *names);
/* The names again; their texts stay until kept_free. */
void kept_get(const struct kept_pool *p, uint32_t slot, struct names *out);
void kept_free(struct kept_pool *p, uint32_t slot);

#endif
