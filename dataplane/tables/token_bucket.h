// SPDX-License-Identifier: BSD-3-Clause
// A token bucket on the cycle counter: no division and no clock call on the fast path. Saves up
// time, not tokens: a token costs so many cycles. One thread per bucket.
#ifndef DATAPLANE_TABLES_TOKEN_BUCKET_H
#define DATAPLANE_TABLES_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/** Costs are in 1/65,536 cycle, so that rates above the counter's frequency stay exact to 0.1 % up
 * to 10^11/s. */
#define TOKEN_BUCKET_SHIFT 16

struct token_bucket {
	uint64_t credit;      /* saved up, 1/65,536 cycles, ≤ credit_max */
	uint64_t credit_max;  /* the burst; 0: nothing ever passes */
	uint64_t cost;	      /* of one token; 0: everything passes */
	uint64_t last_cycles; /* when credit was counted last */
};

/**
 * `rate_per_s` tokens a second, at most `burst` at once, full at the start. rate 0: nothing passes;
 * UINT64_MAX: everything passes. hz: the counter's frequency. 0, or -ERANGE when burst tokens of
 * this rate do not fit (more than about 54,000 seconds' worth at 2.6 GHz), or -EINVAL when hz is 0
 * or burst is 0 with a rate.
 */
int token_bucket_init(struct token_bucket *b, uint64_t rate_per_s, uint64_t burst, uint64_t hz,
		      uint64_t now_cycles);

/** Changes rate and burst and keeps the share that is saved up. Errors as above, with the bucket as
 * it was. */
int token_bucket_set(struct token_bucket *b, uint64_t rate_per_s, uint64_t burst, uint64_t hz,
		     uint64_t now_cycles);

/** Takes `tokens`, or none and false. A now_cycles before the last one counts as no time passed. */
static inline bool token_bucket_take(struct token_bucket *b, uint32_t tokens, uint64_t now_cycles)
{
	uint64_t elapsed = now_cycles - b->last_cycles, room = b->credit_max - b->credit, price;

	if ((int64_t)elapsed > 0) {
		b->credit +=
			elapsed > room >> TOKEN_BUCKET_SHIFT ? room : elapsed << TOKEN_BUCKET_SHIFT;
		b->last_cycles = now_cycles;
	}
	if (__builtin_mul_overflow(b->cost, (uint64_t)tokens, &price) || b->credit < price)
		return false;
	b->credit -= price;
	return true;
}

#endif
