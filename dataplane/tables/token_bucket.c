// SPDX-License-Identifier: BSD-3-Clause
// The slow part of the token bucket: the one division, when a rate is set.
#include "dataplane/tables/token_bucket.h"

#include <errno.h>

/* credit_max and cost of a rate. */
static int price_of(uint64_t rate_per_s, uint64_t burst, uint64_t hz, uint64_t *cost,
		    uint64_t *credit_max)
{
	unsigned __int128 scaled = (unsigned __int128)hz << TOKEN_BUCKET_SHIFT;

	if (!hz)
		return -EINVAL;
	if (rate_per_s == 0) {
		*cost = UINT64_MAX;
		*credit_max = 0;
		return 0;
	}
	if (rate_per_s == UINT64_MAX) {
		*cost = 0;
		*credit_max = 0;
		return 0;
	}
	if (!burst)
		return -EINVAL;
	scaled = (scaled + rate_per_s / 2) / rate_per_s;
	if (scaled == 0) /* a rate that cannot be told from no limit */
		scaled = 1;
	if (scaled * burst > INT64_MAX)
		return -ERANGE;
	*cost = (uint64_t)scaled;
	*credit_max = (uint64_t)(scaled * burst);
	return 0;
}

int token_bucket_init(struct token_bucket *b, uint64_t rate_per_s, uint64_t burst, uint64_t hz,
		      uint64_t now_cycles)
{
	uint64_t cost, credit_max;
	int err = price_of(rate_per_s, burst, hz, &cost, &credit_max);

	if (err)
		return err;
	*b = (struct token_bucket){.credit = credit_max,
				   .credit_max = credit_max,
				   .cost = cost,
				   .last_cycles = now_cycles};
	return 0;
}

int token_bucket_set(struct token_bucket *b, uint64_t rate_per_s, uint64_t burst, uint64_t hz,
		     uint64_t now_cycles)
{
	struct token_bucket old = *b;
	int err;

	token_bucket_take(&old, 0, now_cycles);
	err = token_bucket_init(b, rate_per_s, burst, hz, now_cycles);
	if (!err && old.credit_max)
		b->credit =
			(uint64_t)((unsigned __int128)b->credit_max * old.credit / old.credit_max);
	return err;
}
