/* SPDX-License-Identifier: BSD-3-Clause */
/* How snapshots are made. Inside dataplane/outer/ only; control thread only. */
#ifndef SLUICE_DATAPLANE_OUTER_SNAPSHOT_H
#define SLUICE_DATAPLANE_OUTER_SNAPSHOT_H

#include "dataplane/outer/outer_tables.h"

/* The routes of a snapshot, shared by snapshots that differ in other things. */
struct outer_fib;

/* Sorts and links routes. Routes whose every link is down or unknown are left out. One reference;
 * NULL: out of memory. */
struct outer_fib *outer_fib_build(const struct outer_tables *tables);
void outer_fib_release(struct outer_fib *fib);
bool outer_fib_equal(const struct outer_fib *a, const struct outer_fib *b);

/* A snapshot of the tables; takes a reference of fib. NULL: out of memory. */
struct outer_snapshot *outer_snapshot_build(const struct outer_tables *tables,
					    struct outer_fib *fib, const struct outer_port *ports,
					    size_t n_ports, uint64_t generation);
/* void *: fits `retire`. */
void outer_snapshot_free(void *snapshot);
/* Whether workers would get the same answers from both. */
bool outer_snapshot_equal(const struct outer_snapshot *a, const struct outer_snapshot *b);
/* Carries into the tables which neighbours workers have asked for. */
void outer_snapshot_harvest(const struct outer_snapshot *snap, struct outer_tables *tables);

#endif
