// SPDX-License-Identifier: BSD-3-Clause
// ICMP echo for devices through unprivileged ping sockets, IPv4 and IPv6. One thread.
#ifndef SLUICE_CONNECTOR_PING_H
#define SLUICE_CONNECTOR_PING_H

#include "connector/stack.h"

#define PING_SOCKETS_MAX 256
#define PING_IDLE_MS (10 * 1000)

struct ping;

/* Tries whether this process may ping and warns, naming net.ipv4.ping_group_range, where it may not. `epoll_fd`: where its
 * sockets are watched with `tag` as data.ptr. NULL: no memory. */
struct ping *ping_create(int epoll_fd, void *tag, const struct stack_callbacks *callbacks);
void ping_destroy(struct ping *ping);

/* Sends a device's echo request on. */
void ping_request(struct ping *ping, const struct packet *p, uint64_t now_ms);
/* Takes the answers that have come and gives them out; closes idle sockets. */
void ping_run(struct ping *ping, uint64_t now_ms);
/* Adds its numbers. */
void ping_stats(const struct ping *ping, struct stack_stats *out);
/* Whether this process may ping over that family (4 or 6). */
bool ping_permitted(const struct ping *ping, int family);

#endif
