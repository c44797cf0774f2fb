/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGHUP: the configuration file once more. What can change while packets flow does (log-level, advertise); what cannot is named
 * in the log and takes effect at the next start. Control thread.
 */
#ifndef DATAPLANE_CONTROL_REREAD_H
#define DATAPLANE_CONTROL_REREAD_H

#include "dataplane/control/config.h"

struct net;

/* A file that is wrong changes nothing and is said. `running`: what this run began with. */
void reread(const char *path, const struct edge_setup *running, struct edge *edge, struct net *net);

#endif
