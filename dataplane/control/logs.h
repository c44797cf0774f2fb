/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * logs.read and logs.follow on edge.sock: lines of the flow log as notifications. A reader takes what it can: at most
 * LOGS_QUEUE_MAX bytes wait for it; what the log overtakes is lost to it, and it is told how many lines. Control thread.
 */
#ifndef DATAPLANE_CONTROL_LOGS_H
#define DATAPLANE_CONTROL_LOGS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc/server.h"

#define LOGS_READERS_MAX 16
#define LOGS_QUEUE_MAX   (256u * 1024)

struct logs;
struct flow_log;

struct logs_filter {
	const char *client; /* name, e-mail or id; NULL: all */
	bool denied;        /* only what was refused */
	int64_t limit;      /* the last so many lines that there are; −1: all */
};

/* log: NULL where the flow log is off. NULL when out of memory. */
struct logs *logs_create(struct flow_log *log);
void logs_free(struct logs *l);

/* Sends the lines there are, then the reply {"lines": n, "lost": n}. */
void logs_read(struct logs *l, struct ipc_call *call, const struct logs_filter *filter);
/* Replies {"following": true}, then sends lines until the connection ends. */
void logs_follow(struct logs *l, struct ipc_call *call, const struct logs_filter *filter);
/* A connection has ended: before its memory is gone. */
void logs_closed(struct logs *l, const struct ipc_conn *conn);

/* Readers that are there. */
unsigned logs_readers(const struct logs *l);

/* Once a turn. Ms until it wants to be called again; −1 for no hurry. */
int logs_turn(struct logs *l);

#endif
