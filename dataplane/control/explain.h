/* SPDX-License-Identifier: BSD-3-Clause */
/* `explain`: what the edge would do with a flow, and why, from the tables that the workers use. Control thread. */
#ifndef DATAPLANE_CONTROL_EXPLAIN_H
#define DATAPLANE_CONTROL_EXPLAIN_H

#include <stdint.h>

#include <jansson.h>

#include "dataplane/edge.h"

struct explain_query {
	const char *client;      /* name, e-mail or id */
	const char *dst;         /* address */
	const char *proto;       /* "tcp" (also NULL), "udp", "icmp" */
	const char *host;        /* the name that inspection would see; NULL: not given */
	int64_t dport;           /* −1: not given */
};

struct explain_error {
	const char *code, *field; /* IPC_E_*; the parameter at fault */
	char message[256];
};

/* docs/ipc-edge.md, "explain". A new reference, or NULL with *error. */
json_t *explain(const struct edge *edge, const struct explain_query *q, struct explain_error *error);

#endif
