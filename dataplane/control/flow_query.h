/* SPDX-License-Identifier: BSD-3-Clause */
/* show.flows: asks every worker for its flows, a piece at a time, and answers when all have or their time is over. */
#ifndef DATAPLANE_CONTROL_FLOW_QUERY_H
#define DATAPLANE_CONTROL_FLOW_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/edge.h"
#include "lib/ip.h"
#include "lib/ipc/server.h"

struct flow_queries;

struct flow_filter {
	uint32_t client; /* or RECORD_NONE */
	bool has_dst;
	struct ip_prefix dst;
	size_t limit;
};

struct flow_queries *flow_queries_create(struct edge *edge);
/* Open calls are answered with what there is. A worker that still fills a piece must have ended, or never reads it. */
void flow_queries_free(struct flow_queries *q);
/* Takes the call over. */
void flow_query_start(struct flow_queries *q, struct ipc_call *call, const struct flow_filter *filter, uint64_t now_ms);
/* Ms until it wants to be called again; −1 when nothing is under way. */
int flow_queries_turn(struct flow_queries *q, uint64_t now_ms);

#endif
