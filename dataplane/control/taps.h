/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trace and capture on edge.sock: packets as notifications while the connection lives. One at a time: a tap sees everybody's
 * payloads and costs workers cycles. Each start is an audit row (decision 26). Control thread.
 */
#ifndef DATAPLANE_CONTROL_TAPS_H
#define DATAPLANE_CONTROL_TAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tap/tap.h"
#include "lib/ipc/server.h"

struct taps;
struct control;

/* NULL when out of memory. */
struct taps *taps_create(struct control *control);
/* Takes a tap that is on off, and waits for the workers. */
void taps_free(struct taps *t);

/* With `data`: notifications capture.packets that hold the packets; else trace.packets. Ends, and answers, after `count` packets (0: never). */
void taps_start(struct taps *t, struct ipc_call *call, const struct tap_filter *filter, bool data, uint64_t count);
void taps_closed(struct taps *t, const struct ipc_conn *conn);
/* Once a turn. Ms until it wants to be called again; −1 when none is on. */
int taps_turn(struct taps *t);

#endif
