/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state-dir/tables.jsonl: the last tables, so that an edge that starts without sluice-ctrl forwards. It holds preshared
 * keys: mode 0600. Written beside and renamed when whole; the last line says that it is. Control thread.
 */
#ifndef DATAPLANE_CONTROL_STATE_H
#define DATAPLANE_CONTROL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/control/apply.h"

struct state;

/* Makes the directory if need be (0700). NULL with a sentence in err. */
struct state *state_create(const char *dir, const char *edge_id, struct apply *apply, char *err, size_t err_len);
/* Waits for a write that is under way; does not begin one. */
void state_free(struct state *s);

/*
 * Applies the file to its end. 1: there were tables, of *revision; 0: there is no file; -EINVAL: it cannot be used (a
 * sentence in err); rows applied before the fault stay until the next snapshot.
 */
int state_load(struct state *s, int64_t now_s, uint64_t *revision, char *err, size_t err_len);

/* The tables are those of this revision now; a write is due soon if they differ from the file. */
void state_changed(struct state *s, uint64_t revision, const char *epoch);
/* Does a piece of a write that is due. Ms until it wants to be called again; −1 for no hurry. */
int state_turn(struct state *s, uint64_t now_ms);
/* True while rows must not change. */
bool state_writing(const struct state *s);
/* Writes to the end now: before the edge stops. */
void state_flush(struct state *s);

#endif
