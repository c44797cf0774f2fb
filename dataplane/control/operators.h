/* SPDX-License-Identifier: BSD-3-Clause */
/* edge.sock: what operators ask and order (docs/ipc-edge.md). Control thread. */
#ifndef DATAPLANE_CONTROL_OPERATORS_H
#define DATAPLANE_CONTROL_OPERATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/control/counters.h"
#include "dataplane/control/show.h"

struct control;
struct operators;

/* Opens the socket. NULL with a sentence in err. */
struct operators *operators_create(struct control *control, char *err, size_t err_len);
void operators_free(struct operators *o);
/* Once a turn: flow dumps under way. Ms until it wants to be called again; −1 for no hurry. */
int operators_turn(struct operators *o, uint64_t now_ms);
/* Once a second: samples how busy the workers are. */
void operators_second(struct operators *o);

/* For the metrics: counters with the sampled busy_percent, who this is, and what show.health needs. */
void operators_counters(struct operators *o, struct counters *out);
void operators_identity(struct operators *o, struct show_identity *out);
void operators_flow_log(struct operators *o, struct show_flow_log *out);
void operators_health(struct operators *o, struct show_health_facts *out);

#endif
