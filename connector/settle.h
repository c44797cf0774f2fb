// SPDX-License-Identifier: BSD-3-Clause
// Which session carries flows for which worker of an edge: sessions try source ports until each worker owns one
// (decision 18). Pure.
#ifndef SLUICE_CONNECTOR_SETTLE_H
#define SLUICE_CONNECTOR_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#define SETTLE_SESSIONS_MAX 8
#define SETTLE_TRIES_MAX 64 /* ports a session tries */

enum settle_state {
	SETTLE_LOOKING, /* for a worker that owns no session of ours */
	SETTLE_SETTLED, /* the edge was told to use it */
};

enum settle_action {
	SETTLE_NONE,
	SETTLE_TELL,   /* send hello with the settled flag */
	SETTLE_REBIND, /* take a new socket and shake hands again */
};

struct settle {
	unsigned sessions; /* ≤ SETTLE_SESSIONS_MAX */
	unsigned workers;  /* as the edge last said; 0: it has not yet */
	uint64_t edge_instance;
	struct {
		enum settle_state state;
		uint16_t worker;
		unsigned tries; /* ports given up */
		bool crowded;	/* settled on a worker that has another of our sessions: what it brings crosses by ring */
	} slot[SETTLE_SESSIONS_MAX];
};

/* Starts afresh. */
void settle_init(struct settle *s, unsigned sessions);

/* The edge says on which of its `workers` workers session `index` landed. Another edge_instance than before is an edge
 * that has started anew: every session looks again. */
enum settle_action settle_landed(struct settle *s, unsigned index, uint16_t worker, uint16_t workers,
				 uint64_t edge_instance);

/* Session `index` has lost its socket or its edge: it looks again, with all its tries. */
void settle_lost(struct settle *s, unsigned index);

/* How many sessions are settled, and how many workers those cover. */
unsigned settle_settled(const struct settle *s);
unsigned settle_covered(const struct settle *s);

#endif
