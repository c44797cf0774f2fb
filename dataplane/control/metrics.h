/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /metrics in Prometheus' text form on config.metrics. A responder of its own: one request a connection, at most
 * 2 KiB of it, at most 16 connections, 5 s each. Control thread.
 */
#ifndef DATAPLANE_CONTROL_METRICS_H
#define DATAPLANE_CONTROL_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/control/show.h"

struct control;
struct metrics;

/* NULL with a sentence in err. */
struct metrics *metrics_create(struct control *control, char *err, size_t err_len);
void metrics_free(struct metrics *m);
/* Once a turn: closes connections whose time is over. */
void metrics_turn(struct metrics *m, uint64_t now_ms);

/* The text. Pure. */
void metrics_write(FILE *out, const struct show_identity *id, const struct counters *c,
		   const struct apply_table_info *tables, size_t n_tables, uint32_t refused,
		   const struct show_flow_log *log);

#endif
