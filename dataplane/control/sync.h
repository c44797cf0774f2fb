/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The edge's side of table sync (docs/protocols.md, 1.2): dials sluice-ctrl for ever, applies what comes, answers each
 * revision once all workers have passed a quiescent state, tells what was learned of peers. Control thread.
 */
#ifndef DATAPLANE_CONTROL_SYNC_H
#define DATAPLANE_CONTROL_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct control;
struct sync;

/* control: edge, setup, loop, net, apply, state, runtime, instance are set. NULL when out of memory. */
struct sync *sync_create(struct control *control);
void sync_free(struct sync *s);

/* Once a turn: connects, steps, answers. Ms until it wants to be called again. */
int sync_turn(struct sync *s, uint64_t now_ms);
/* Tells sluice-ctrl what has changed of peers (edge.report). */
void sync_report(struct sync *s);

/* Tells sluice-ctrl something else. False: it is not there. */
bool sync_notify(struct sync *s, const char *method, const json_t *params);

enum sync_source { SYNC_NONE, SYNC_FILE, SYNC_CTRL };

struct sync_status {
	bool connected;
	int64_t since_s; /* unix time of the last change of `connected` */
	enum sync_source source; /* of the tables in use */
	uint64_t configured, applied; /* revisions */
	const char *epoch; /* "" before the first subscription */
};
void sync_status_get(const struct sync *s, struct sync_status *out);

#endif
