/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replay window of one keypair (paper, 5.4.6): the last 8,192 counters, one bit each. One writer, no locks.
 * A zeroed struct is an empty window. Counters count only after the packet's tag has been verified.
 */
#ifndef LIB_WG_REPLAY_H
#define LIB_WG_REPLAY_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/wg/wire.h"

#define WG_REPLAY_WINDOW 8192 /* counters: the highest seen and the 8,191 before it */

struct wg_replay_window {
	uint64_t next; /* highest counter accepted + 1; 0: none yet */
	uint64_t bits[WG_REPLAY_WINDOW / 64];
};
static_assert(sizeof(struct wg_replay_window) <= 1536, "budget of a keypair");

/* Whether accept would take the counter now; changes nothing. Cheap enough to skip decrypting what is too old. */
static inline bool wg_replay_check(const struct wg_replay_window *window, uint64_t counter)
{
	if (counter >= WG_REJECT_AFTER_MESSAGES)
		return false;
	if (counter >= window->next)
		return true;
	if (window->next - counter > WG_REPLAY_WINDOW)
		return false;
	return !(window->bits[counter / 64 % (WG_REPLAY_WINDOW / 64)] >> (counter % 64) & 1);
}

/* wg_replay_accept for a counter that is not the next one. */
bool wg_replay_accept_any(struct wg_replay_window *window, uint64_t counter);

/*
 * Takes a counter: true once for each, false when it was seen, is older than the window, or reached
 * Reject-After-Messages.
 */
static inline bool wg_replay_accept(struct wg_replay_window *window, uint64_t counter)
{
	if (counter != window->next || counter >= WG_REJECT_AFTER_MESSAGES)
		return wg_replay_accept_any(window, counter);
	window->next = counter + 1;
	window->bits[counter / 64 % (WG_REPLAY_WINDOW / 64)] |= UINT64_C(1) << (counter % 64);
	return true;
}

#endif
