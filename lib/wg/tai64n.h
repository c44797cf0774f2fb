/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TAI64N stamps of initiations (paper, 5.1): 8 bytes of seconds and 4 of nanoseconds, big-endian, so that memcmp orders
 * them. Nanoseconds are whitened to steps of 2^24 ns (about 17 ms), as other implementations do.
 */
#ifndef LIB_WG_TAI64N_H
#define LIB_WG_TAI64N_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/wg/wire.h"

/*
 * Gives out stamps that never fall behind what was given out before, also when the wall clock steps back and after a
 * restart. One per identity (a peer compares stamps of one public key). Zeroed: starts from the wall clock.
 */
struct tai64n_clock {
	uint64_t high_water_ns; /* highest stamp given out, unix ns, whitened; persist it */
	uint64_t floor_ns;      /* stamps start here: one step above what an earlier run gave out */
};

/* Whitens unix ns: rounds its nanoseconds down to a step. */
uint64_t tai64n_whiten(uint64_t unix_ns);
/* The first whitened value above unix_ns. */
uint64_t tai64n_step_after(uint64_t unix_ns);

/* The stamp of a whitened or exact unix time. */
void tai64n_encode(uint8_t out[WG_TAI64N_BYTES], uint64_t unix_ns);
/* Unix ns of a stamp; 0 for one before 1970 or past year 2500, or with nanoseconds out of range. */
uint64_t tai64n_decode(const uint8_t stamp[WG_TAI64N_BYTES]);
/* < 0, 0, > 0 as a is before, equal, after b. */
int tai64n_compare(const uint8_t a[WG_TAI64N_BYTES], const uint8_t b[WG_TAI64N_BYTES]);

/* Tells a new run what an earlier one had given out (0: nothing known). */
void tai64n_clock_load(struct tai64n_clock *clock, uint64_t high_water_ns);
/*
 * Next stamp in unix ns: the wall clock, whitened, unless that is not above the earlier run's high water, below this run's,
 * or not above after_ns (this peer's last stamp; 0: none). Updates the high water.
 */
uint64_t tai64n_clock_next(struct tai64n_clock *clock, uint64_t now_unix_ns, uint64_t after_ns);

#endif
