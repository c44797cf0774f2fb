/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGHUP: the configuration file once more. What can change while packets flow does (log-level, advertise); what cannot is named
 * in the log and takes effect at the next start. Control thread.
 */
#ifndef DATAPLANE_CONTROL_REREAD_H
#define DATAPLANE_CONTROL_REREAD_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/edge.h"

struct net;

/* A file that is wrong changes nothing and is said. */
void reread(const char *path, struct edge *edge, struct net *net);

/* Pure: the keys that differ and want a restart, "listen, capacities"; "" where there is none. Keys of handshakes are not compared. */
void reread_needs_restart(const struct edge_config *old, const struct edge_config *fresh, char *out, size_t len);
/* Pure: takes over what may change. True when it did. */
bool reread_advertise(struct edge_config *config, const struct edge_config *fresh);

#endif
