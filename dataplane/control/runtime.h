/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this edge learned of its peers: endpoints, stamps, activity. No secrets. Told to sluice-ctrl, and kept in
 * state-dir/runtime.json, so that an edge that starts without sluice-ctrl knows where its peers were.
 */
#ifndef DATAPLANE_CONTROL_RUNTIME_H
#define DATAPLANE_CONTROL_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "dataplane/handshake.h"

struct runtime;

/* dir: the state directory. NULL when out of memory. */
struct runtime *runtime_create(struct edge *edge, const char *dir);
void runtime_free(struct runtime *r);

/* Reads the file, if there is one. */
void runtime_load_file(struct runtime *r);
/* Takes the `runtime` of a subscription: for each peer whichever is younger, ours or theirs. NULL is fine. */
void runtime_merge(struct runtime *r, const json_t *runtime);
/* Gives all that is known to the handshake thread. */
void runtime_give(struct runtime *r);

/* Collects from the handshake thread. */
void runtime_collect(struct runtime *r);
/*
 * What sluice-ctrl has not been told: the body of edge.report without edge_id and instance, at most 500 peers; NULL
 * when there is nothing. Then runtime_told() when it has been sent.
 */
json_t *runtime_report(struct runtime *r);
void runtime_told(struct runtime *r);
/* A new subscription: connectors' states are told again. */
void runtime_tell_all(struct runtime *r);

/* Writes the file if something changed and the last write is 5 s ago, or `now`. */
void runtime_save(struct runtime *r, uint64_t now_ms, bool now);

#endif
