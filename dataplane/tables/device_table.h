// SPDX-License-Identifier: BSD-3-Clause
// Whose device is this inner address: (account, address) → client. Pools of different accounts may
// overlap, so the account is part of the key. One writer (the control thread), lock-free readers.
#ifndef DATAPLANE_TABLES_DEVICE_TABLE_H
#define DATAPLANE_TABLES_DEVICE_TABLE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/tables/retire.h"

/** No client has this address. */
#define DEVICE_NONE UINT32_MAX

struct device_key {
	uint8_t addr[16]; /* network byte order; v4: first 4 bytes, rest zero */
	uint32_t account; /* account index */
	uint32_t family;  /* 4 or 6 */
} __attribute__((aligned(8)));
static_assert(sizeof(struct device_key) == 24, "key and client fit half a cache line");

struct device_config {
	uint32_t capacity;	  /* addresses (a client has up to two): 1 … 2^24 */
	uint64_t secret[6];	  /* random bits */
	struct retire_ops retire; /* .retire NULL: no readers */
};

struct device_table;

/** NULL with errno EINVAL or ENOMEM. */
struct device_table *device_table_create(const struct device_config *config);

/** No reader may be left, and nothing of it may wait in a retire queue. NULL is allowed. */
void device_table_destroy(struct device_table *dt);

/* ---- writer ---- */

/** 0 added, 1 replaced, -EINVAL (family, client DEVICE_NONE), -ENOSPC (at capacity, or retired
 * memory still waits). */
int device_set(struct device_table *dt, const struct device_key *key, uint32_t client);

/** 0 or -ENOENT. */
int device_remove(struct device_table *dt, const struct device_key *key);

uint32_t device_count(const struct device_table *dt);
size_t device_table_bytes(const struct device_table *dt);

/* ---- readers: any thread ---- */

/** clients[i] = the client that has keys[i], or DEVICE_NONE, for i < n ≤ 64. */
void device_lookup_bulk(const struct device_table *dt, const struct device_key *keys,
			uint32_t *clients, unsigned int n);

static inline uint32_t device_lookup(const struct device_table *dt, const struct device_key *key)
{
	uint32_t client;

	device_lookup_bulk(dt, key, &client, 1);
	return client;
}

static inline void device_key_v4(struct device_key *k, uint32_t account, uint32_t addr_be)
{
	uint64_t w[3] = {addr_be, 0, account | 4ull << 32}; /* in words, as it is read */

	static_assert(offsetof(struct device_key, account) == 16 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "");
	memcpy(k, w, sizeof(*k));
}

static inline void device_key_v6(struct device_key *k, uint32_t account, const uint8_t addr[16])
{
	uint64_t last = account | 6ull << 32;

	memcpy(k->addr, addr, 16);
	memcpy((uint8_t *)k + 16, &last, 8);
}

#endif
