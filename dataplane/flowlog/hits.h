/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each rule, route, client and account's default action let through and refused: arrays by index, one per worker, so
 * each has one writer. A flow's counts are folded into them when it ends, when it is decided again, within seconds
 * while it runs, and before an answer to `show hits` (stages/hits.h): per packet they cost nothing.
 *
 * An index that is given out again begins at zero: flows of its last owner fold nothing into it any more (they know their
 * owner by card or number), and what the arrays hold at that time is subtracted from then on.
 */
#ifndef DATAPLANE_FLOWLOG_HITS_H
#define DATAPLANE_FLOWLOG_HITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hit_kind { HIT_RULE, HIT_DEFAULT /* by account index */, HIT_CLIENT, HIT_ROUTE, HIT_KINDS };

/* Plain aligned words: any thread may read single fields, each exact. */
struct hit {
	uint64_t packets_up, bytes_up, packets_down, bytes_down; /* inner bytes of allowed flows */
	uint64_t allowed; /* flows */
	uint64_t blocked; /* flows: what was refused and would have been one */
	uint64_t blocked_packets;
	uint64_t pad;
};

struct hits;

/* counts[worker][kind][capacity[kind]]. NULL when memory is short. */
struct hits *hits_create(unsigned workers, const uint32_t capacity[HIT_KINDS]);
void hits_destroy(struct hits *h);

/* The worker's own counts of an index, or NULL (out of range). That worker alone writes them. */
struct hit *hits_at(const struct hits *h, unsigned worker, enum hit_kind kind, uint32_t index);

/* The index has a new owner from now on; nobody may fold into it for the old one. Control thread. */
void hits_begin(struct hits *h, enum hit_kind kind, uint32_t index);
/* What the owner of an index has, over all workers. Control thread. */
void hits_sum(const struct hits *h, enum hit_kind kind, uint32_t index, struct hit *out);
uint32_t hits_capacity(const struct hits *h, enum hit_kind kind);

#endif
