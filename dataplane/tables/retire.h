// SPDX-License-Identifier: BSD-3-Clause
// The seam between a table that readers walk without locks and whoever knows when they have all
// moved on: a table hands over what it no longer needs, and takes it back after a grace period.
#ifndef DATAPLANE_TABLES_RETIRE_H
#define DATAPLANE_TABLES_RETIRE_H

#include <stdint.h>

/** Gives piece `what` back to its table `owner`. Called once, by the writer's thread. */
typedef void (*retire_free_fn)(void *owner, uint64_t what);

/**
 * How a table defers a free. `retire` must arrange that `free_fn(owner, what)` is called exactly
 * once, on the writer's thread, after every reader has passed a quiescent state. It may not fail:
 * an implementation that is full waits for the readers and then frees, from inside the call, what
 * was retired before (`reclaim.h` does). A table that is given NULL instead frees at once: for
 * tests and for set-up before the first reader.
 */
struct retire_ops {
	void (*retire)(void *ctx, retire_free_fn free_fn, void *owner, uint64_t what);
	void *ctx;
};

#endif
