/* SPDX-License-Identifier: BSD-3-Clause */
/* Outer headers for data and handshake messages alike, and the port's send buffer. Owner worker. */
#ifndef DATAPLANE_STAGES_OUTER_HEADERS_H
#define DATAPLANE_STAGES_OUTER_HEADERS_H

#include "dataplane/stages/stage.h"

struct outer_addr;

/* Resolves the way to ep into path unless that is of the current generation already. */
void outer_path_refresh(struct worker *w, const struct endpoint *ep, struct outer_path *path);

/*
 * Prepends Ethernet, IP and UDP headers to a UDP payload; `tos` is DSCP and ECN. False: no headroom. The endpoint's
 * family must be 4 or 6 and path.status 0.
 */
bool outer_encapsulate(struct rte_mbuf *m, const struct endpoint *ep, const struct outer_path *path, uint8_t tos);

/* Asks the control thread to have the kernel resolve a next hop; bounded, lossy (asked again with the next packet). */
void neighbour_wanted(struct worker *w, uint32_t ifindex, const struct outer_addr *next_hop);

/* Puts a complete frame into the port's send buffer; sends when that is full. */
void tx_append(struct worker *w, unsigned port, struct rte_mbuf *m);

#endif
