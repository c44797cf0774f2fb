// SPDX-License-Identifier: BSD-3-Clause
// TAI64N stamps: encoding, whitening, and a clock that never steps back.
#include "lib/wg/tai64n.h"

#define TAI64N_BASE UINT64_C(0x400000000000000a) /* 1970 in TAI: 10 s ahead of unix time */
#define STEP_NS UINT64_C(0x1000000)
#define MAX_UNIX_S UINT64_C(16725225600) /* 2500-01-01; keeps nanoseconds inside 64 bits */

uint64_t tai64n_whiten(uint64_t unix_ns)
{
	return unix_ns - unix_ns % WG_NS_PER_S % STEP_NS;
}

uint64_t tai64n_step_after(uint64_t unix_ns)
{
	uint64_t second = unix_ns - unix_ns % WG_NS_PER_S;
	uint64_t next = tai64n_whiten(unix_ns) + STEP_NS;

	/* The last step of a second is a short one. */
	return next - second < WG_NS_PER_S ? next : second + WG_NS_PER_S;
}

void tai64n_encode(uint8_t out[WG_TAI64N_BYTES], uint64_t unix_ns)
{
	uint64_t seconds = TAI64N_BASE + unix_ns / WG_NS_PER_S;
	uint32_t ns = (uint32_t)(unix_ns % WG_NS_PER_S);

	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(seconds >> (56 - 8 * i));
	for (int i = 0; i < 4; i++)
		out[8 + i] = (uint8_t)(ns >> (24 - 8 * i));
}

uint64_t tai64n_decode(const uint8_t stamp[WG_TAI64N_BYTES])
{
	uint64_t seconds = 0, ns = 0;

	for (int i = 0; i < 8; i++)
		seconds = seconds << 8 | stamp[i];
	for (int i = 0; i < 4; i++)
		ns = ns << 8 | stamp[8 + i];
	if (seconds < TAI64N_BASE || seconds - TAI64N_BASE >= MAX_UNIX_S || ns >= WG_NS_PER_S)
		return 0;
	return (seconds - TAI64N_BASE) * WG_NS_PER_S + ns;
}

int tai64n_compare(const uint8_t a[WG_TAI64N_BYTES], const uint8_t b[WG_TAI64N_BYTES])
{
	return memcmp(a, b, WG_TAI64N_BYTES);
}

void tai64n_clock_load(struct tai64n_clock *clock, uint64_t high_water_ns)
{
	uint64_t floor_ns = high_water_ns ? tai64n_step_after(high_water_ns) : 0;

	if (floor_ns > clock->floor_ns)
		clock->floor_ns = floor_ns;
	if (high_water_ns > clock->high_water_ns)
		clock->high_water_ns = high_water_ns;
}

uint64_t tai64n_clock_next(struct tai64n_clock *clock, uint64_t now_unix_ns, uint64_t after_ns)
{
	uint64_t stamp = tai64n_whiten(now_unix_ns);

	if (stamp < clock->floor_ns)
		stamp = clock->floor_ns;
	if (stamp < clock->high_water_ns)
		stamp = clock->high_water_ns;
	if (after_ns && stamp <= after_ns)
		stamp = tai64n_step_after(after_ns);
	clock->high_water_ns = stamp;
	return stamp;
}
