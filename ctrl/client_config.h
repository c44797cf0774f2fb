// SPDX-License-Identifier: BSD-3-Clause
// What a stock WireGuard client must be told: made from the account, the vnet's routes and the edges known.
#ifndef SLUICE_CTRL_CLIENT_CONFIG_H
#define SLUICE_CTRL_CLIENT_CONFIG_H

#include "ctrl/api.h"

/* Puts "config" into r->result: {addresses, edge_public_key, endpoints, allowed_ips, mtu}. full: default routes.
 * issue: remembers in doc (which the caller puts) the routes that went into it; else warns when they have changed since. */
int client_config_make(struct req *r, json_t *doc, bool full, bool issue);

#endif
