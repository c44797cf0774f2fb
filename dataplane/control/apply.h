/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Synced rows (docs/protocols.md, 1.2) into what the workers read. Control thread.
 *
 * A change is apply_begin, any number of apply_rows, apply_end, then apply_step until it says that all is done. Rows
 * take effect as they come; a row that cannot be applied is refused by name, what it would have replaced stays, and it
 * is tried again at the end of each later change. References go before what they refer to: addresses and keys, then
 * clients and connectors, then routes, then tunnels, vnets and accounts; nothing that a worker may still hold is freed
 * or its index given out again before all workers have passed a quiescent state.
 */
#ifndef DATAPLANE_CONTROL_APPLY_H
#define DATAPLANE_CONTROL_APPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "dataplane/edge.h"
#include "lib/ip.h"

struct apply;
struct reclaim;

struct apply_config {
	struct edge *edge; /* records, routes, devices, handshake are set */
	struct reclaim *reclaim;
	/* The deny list changed. 0 or negative errno. May be NULL. */
	int (*deny)(void *arg, const struct ip_prefix *prefixes, size_t n);
	void *arg;
};

/* NULL when out of memory. */
struct apply *apply_create(const struct apply_config *config);
/* Frees the rows; the records stay with edge->records. */
void apply_destroy(struct apply *a);

/* now_s: unix seconds, for rows that expire. A change that has begun and not ended is given up: its rows stay. */
void apply_begin(struct apply *a, uint64_t revision, bool snapshot, int64_t now_s);
/* put: array of rows; del: array of keys; either may be NULL. An unknown table is refused as such. */
void apply_rows(struct apply *a, const char *table, const json_t *put, const json_t *del);
void apply_end(struct apply *a);
/* Gives up a change whose end will not come: rows that came stay, deletions of accounts, vnets, tunnels are forgotten. */
void apply_abort(struct apply *a);
/* True between changes: nothing is open, nothing is left to do. */
bool apply_idle(const struct apply *a);

/* Does a bounded piece (about a millisecond) of what a change's end leaves to do. True when nothing is left. */
bool apply_step(struct apply *a);
/* What changes by time alone at now_s (unix s): clients and posture checks that expire. Cheap before apply_due. */
void apply_expire(struct apply *a, int64_t now_s);
/* When it is to be called next, unix s; 0: nothing waits. */
int64_t apply_due(const struct apply *a);

/* What the change since apply_begin could not apply: [{table, key, code, message}], new reference; at most 1,000. */
json_t *apply_errors(const struct apply *a);
/* What the change applied and its author should know, the same form; borrowed, until the next apply_begin. */
json_t *apply_warnings(const struct apply *a);
/* What is refused now, over all changes; the same form. */
json_t *apply_refused(const struct apply *a);
uint32_t apply_refused_count(const struct apply *a);

/* Grows with each change of rows: for the state file. */
uint64_t apply_version(const struct apply *a);

struct apply_table_info {
	const char *table;
	uint32_t used, capacity; /* capacity 0: bounded by memory alone */
	size_t bytes;
	uint32_t refused;
};
/* Fills at most max; returns how many tables there are. */
size_t apply_tables(const struct apply *a, struct apply_table_info *out, size_t max);

/* Walks the routes: *cursor starts with 0; false at the end. */
struct apply_route {
	uint32_t index, vnet, tunnel; /* indexes */
	struct ip_prefix prefix;
};
bool apply_route_next(const struct apply *a, uint32_t *cursor, struct apply_route *out);

/*
 * Writes the rows as lines {"table": …, "put": [rows]} for the state file, piece by piece: *cursor begins zeroed. True
 * when more is to come. Rows must not change between the pieces.
 */
struct apply_cursor {
	unsigned table;
	const void *row;
	uint32_t slot;
	uint64_t lines; /* written so far */
};
bool apply_write(const struct apply *a, struct apply_cursor *cursor, FILE *out);

#endif
