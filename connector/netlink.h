// SPDX-License-Identifier: BSD-3-Clause
// What `mode: tun` asks of the kernel: the device up, routes to devices through it, masquerading of what comes out of it.
// All of it ends with the process, also after a crash: the device goes with its descriptor, its routes with it, the table with
// the socket that owns it.
#ifndef SLUICE_CONNECTOR_NETLINK_H
#define SLUICE_CONNECTOR_NETLINK_H

#include <stddef.h>

#include "lib/ip.h"

struct mnl_socket;

/* Sets MTU (bytes) and no link-local address of its own, and brings the link up. 0 or a negative errno. */
int netlink_link_up(unsigned ifindex, unsigned mtu);

/* A route to `to` through the device, behind any other (metric 4,096); one that is there already is fine. 0 or a negative errno. */
int netlink_route_add(unsigned ifindex, const struct ip_prefix *to);

/* Makes the nftables table inet `table`, owned by the socket, that masquerades what came in from `iface`. NULL with a sentence
 * in err; ends with mnl_socket_close(). Linux 5.12 or newer. */
struct mnl_socket *netlink_masquerade(const char *table, const char *iface, char *err, size_t err_len);

#endif
