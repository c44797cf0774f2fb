/* SPDX-License-Identifier: BSD-3-Clause */
/* The kinds of ports, for the factory in port.c only. Each open returns NULL with a sentence in
 * err. */
#ifndef SLUICE_DATAPLANE_PORT_KINDS_H
#define SLUICE_DATAPLANE_PORT_KINDS_H

#include "dataplane/ports/port.h"

struct port *xsk_port_open(const struct port_config *cfg, char *err, size_t err_size);
struct port *ethdev_port_open(const struct port_config *cfg, char *err, size_t err_size);

/* What the XDP program of an xsk port is; the port must be of that kind. */
struct steer *xsk_port_steer(const struct port *port);
int xsk_port_refresh(struct port *port);
int ethdev_port_refresh(struct port *port);

/* Copies counters that another thread writes: each word whole. */
void port_stats_copy(struct port_stats *out, const struct port_stats *live);

/* Bytes of an Ethernet header with two VLAN tags: what a frame may have beyond the MTU. */
#define PORT_L2_OVERHEAD 22U

#endif
