// SPDX-License-Identifier: BSD-3-Clause
// Replay window: a ring of 8,192 bits indexed by the counter, cleared exactly as it moves on.
#include "lib/wg/replay.h"

#define WORDS (WG_REPLAY_WINDOW / 64)

/* Clears the bits of counters from … to - 1, fewer than a window apart. */
static void clear_range(struct wg_replay_window *window, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t word_end = (from | 63) + 1;
		uint64_t end = word_end < to ? word_end : to;
		uint64_t mask = ~UINT64_C(0) << (from % 64);

		if (end < word_end)
			mask &= (UINT64_C(1) << (end % 64)) - 1;
		window->bits[from / 64 % WORDS] &= ~mask;
		from = end;
	}
}

bool wg_replay_accept_any(struct wg_replay_window *window, uint64_t counter)
{
	if (!wg_replay_check(window, counter))
		return false;
	if (counter >= window->next) {
		if (counter - window->next >= WG_REPLAY_WINDOW)
			memset(window->bits, 0, sizeof(window->bits));
		else
			clear_range(window, window->next, counter);
		window->next = counter + 1;
	}
	window->bits[counter / 64 % WORDS] |= UINT64_C(1) << (counter % 64);
	return true;
}
