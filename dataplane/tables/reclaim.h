// SPDX-License-Identifier: BSD-3-Clause
// Retired pieces of all tables in one queue, freed in batches behind rte_rcu_qsbr: one token for a
// whole batch of changes. Control thread only.
#ifndef DATAPLANE_TABLES_RECLAIM_H
#define DATAPLANE_TABLES_RECLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tables/retire.h"

struct rte_rcu_qsbr;
struct reclaim;

/**
 * A queue for at most `capacity` (≥ 2) retired pieces. `qsbr` is the variable that every worker
 * reports its quiescent states on; the calling thread must not be registered on it. It must outlive
 * the queue. NULL when memory is out. Freed by reclaim_destroy().
 */
struct reclaim *reclaim_create(struct rte_rcu_qsbr *qsbr, uint32_t capacity);

/** Waits for all readers, frees all pieces, then the queue. NULL is allowed. */
void reclaim_destroy(struct reclaim *r);

/** What the tables' configurations take: valid as long as `r` is. */
struct retire_ops reclaim_ops(struct reclaim *r);

/**
 * Starts the grace period of everything retired since the last seal. Call at the end of each batch
 * of changes (at the latest every few thousand). Cheap when nothing was retired.
 */
void reclaim_seal(struct reclaim *r);

/** Frees what every worker has passed by now, without waiting. Returns the number of pieces freed.
 */
uint32_t reclaim_poll(struct reclaim *r);

/** reclaim_seal(), then waits until every worker has passed, then frees all. */
void reclaim_drain(struct reclaim *r);

/** Pieces that wait, sealed or not. */
uint32_t reclaim_pending(const struct reclaim *r);

#endif
