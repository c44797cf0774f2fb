// SPDX-License-Identifier: BSD-3-Clause
// Whether a tunnel works, and since when: `inactive` (never had a connector), `healthy`, `degraded` (a connector is known to be
// gone), `down`. Changes are kept in the runtime file, the last TUNNEL_CHANGES_SHOWN of them are shown.
#ifndef SLUICE_CTRL_TUNNEL_STATE_H
#define SLUICE_CTRL_TUNNEL_STATE_H

#include "ctrl/ctrl.h"

#define TUNNEL_CHANGES_SHOWN 10

/* Of connectors without and with a live session as far as the edges have said, and whether there ever was one. */
const char *tunnel_status(unsigned alive, unsigned known_dead, bool seen);

/* Adds status, status_since, status_changes [{status, at}] (newest first) and, for a line of a table, `live`: "3 connectors, 6
 * sessions". `connectors`: the tunnel's, as shown. */
void tunnel_state_show(struct ctrl *c, const char *tunnel_id, const json_t *connectors, json_t *out);

/* Notes what changed since the last call. Once a second. */
void tunnel_state_run(struct ctrl *c);

#endif
