// SPDX-License-Identifier: BSD-3-Clause
// Handing out device addresses: forwards from the last one, so that a freed one is met again as late as can be.
#include "ctrl/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/model.h"
#include "lib/ip.h"

#define FIRST_OFFSET 2

static bool usable(struct req *r, const char *addr)
{
	char value[KEY_MAX];

	unique_addr(r->account_id, addr, value);
	return !store_taken(r->st, value, NULL) && !store_rests(r->st, value, r->now);
}

json_t *pool_take(struct req *r)
{
	struct ip_prefix v4, v6;
	char err[128], meta[KEY_MAX], text[32], a4[IP_ADDR_TEXT], a6[IP_ADDR_TEXT];
	uint64_t last, count, start = FIRST_OFFSET;

	if (ip_prefix_parse(doc_str(r->account, "device_pool_v4"), false, &v4, err, sizeof(err)) < 0 ||
	    ip_prefix_parse(doc_str(r->account, "device_pool_v6"), false, &v6, err, sizeof(err)) < 0) {
		req_fail(r, IPC_E_INTERNAL, NULL, "device pool %s", err);
		return NULL;
	}
	last = (1ull << (32 - v4.len)) - 2;
	count = last - FIRST_OFFSET + 1;
	snprintf(meta, sizeof(meta), "pool:%s", r->account_id);
	if (store_meta_get(r->st, meta, text, sizeof(text)))
		start = strtoull(text, NULL, 10);
	if (start < FIRST_OFFSET || start > last)
		start = FIRST_OFFSET;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t offset = FIRST_OFFSET + (start - FIRST_OFFSET + i) % count;
		struct ip_addr x = v4.addr, y = v6.addr;

		ip_addr_add(&x, offset);
		ip_addr_add(&y, offset);
		if (!usable(r, ip_addr_format(&x, a4)) || !usable(r, ip_addr_format(&y, a6)))
			continue;
		snprintf(text, sizeof(text), "%llu", (unsigned long long)(offset + 1));
		store_meta_set(r->st, meta, text);
		return json_pack("[s, s]", a4, a6);
	}
	req_fail(r, IPC_E_LIMIT, NULL, "device pool %s: no address is free (a freed one rests for a day)", doc_str(r->account, "device_pool_v4"));
	return NULL;
}
