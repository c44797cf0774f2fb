/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A UDP socket per listen endpoint that receives nothing: it keeps the kernel from answering "port
 * unreachable" for packets that XDP passed, and brings path MTU errors for packets that were sent
 * past the kernel. Control thread only.
 */
#ifndef SLUICE_DATAPLANE_OUTER_SOCKET_H
#define SLUICE_DATAPLANE_OUTER_SOCKET_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/outer/outer.h"

struct outer_socket;

/*
 * An ICMP "fragmentation needed" or "packet too big" that quotes a packet from our endpoint.
 * Anybody can forge one: check quoted against a live session, and mtu against the floors (576,
 * 1,280) before believing it.
 */
struct outer_pmtu_event {
	struct outer_addr local;
	struct outer_addr remote; /* destination of the quoted packet */
	uint16_t local_port;	  /* host byte order */
	uint16_t remote_port;
	uint32_t mtu;	       /* IP bytes, as the router says; may be 0 (old routers) */
	const uint8_t *quoted; /* UDP payload that the error quotes, often cut short; valid during
				  the call */
	size_t quoted_len;     /* may be 0 */
};

typedef void (*outer_pmtu_fn)(void *arg, const struct outer_pmtu_event *ev);

/* Binds. NULL with a sentence in err (address not local, port taken). A wildcard address is
 * allowed. */
struct outer_socket *outer_socket_open(const struct outer_addr *local, uint16_t port, char *err,
				       size_t err_size);
void outer_socket_close(struct outer_socket *sock);

/* For poll: POLLERR says that outer_socket_process() has something to do. */
int outer_socket_fd(const struct outer_socket *sock);

/* Reads the error queue until empty (at most 64 a call). Returns how many path MTU events were
 * given, or negative errno. */
int outer_socket_process(struct outer_socket *sock, outer_pmtu_fn fn, void *arg);

#endif
