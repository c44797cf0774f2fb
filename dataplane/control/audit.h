/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What operators do at this edge that sluice-ctrl's audit trail must know (decision 26): told to sluice-ctrl as edge.audit;
 * while it is not there, kept in audit.jsonl of the state directory and told when it is back. Control thread.
 */
#ifndef DATAPLANE_CONTROL_AUDIT_H
#define DATAPLANE_CONTROL_AUDIT_H

#include <jansson.h>

#include "lib/ipc/server.h"

struct control;

/* Who called what, with which params. False when it could neither be told nor kept: then it must not be done. */
bool audit_call(struct control *c, const struct ipc_call *call, const json_t *params);
/* sluice-ctrl is there again: tells it what was kept. */
void audit_flush(struct control *c);

#endif
