/* SPDX-License-Identifier: BSD-3-Clause */
/* `show hits`: asks each worker to bring its counters up to date, without waiting, and answers when all did. Control thread. */
#ifndef DATAPLANE_CONTROL_HITS_QUERY_H
#define DATAPLANE_CONTROL_HITS_QUERY_H

#include <stdint.h>

#include "dataplane/edge.h"
#include "dataplane/flowlog/hits.h"
#include "lib/ipc/server.h"

struct hits_queries;
struct apply;

/* NULL when out of memory. */
struct hits_queries *hits_queries_create(struct edge *edge, const struct apply *apply);
void hits_queries_free(struct hits_queries *q);

enum hits_by { HITS_BY_RULE, HITS_BY_ROUTE, HITS_BY_CLIENT };

/* Answers `call` now or later with those that were hit, the most bytes first, at most `limit`. */
void hits_query_start(struct hits_queries *q, struct ipc_call *call, enum hits_by by, size_t limit, uint64_t now_ms);
/* Once a turn. Ms until it wants to be called again; −1 when nothing is under way. */
int hits_queries_turn(struct hits_queries *q, uint64_t now_ms);

#endif
