/* SPDX-License-Identifier: BSD-3-Clause */
/* Grace periods of the workers and the handshake thread. Control thread. */
#ifndef DATAPLANE_CONTROL_GRACE_H
#define DATAPLANE_CONTROL_GRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/edge.h"

/* A token; grace_passed says when all threads have passed a quiescent state since. Neither waits. */
uint64_t grace_start(const struct edge *edge);
bool grace_passed(const struct edge *edge, uint64_t token);

#endif
