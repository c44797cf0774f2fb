// SPDX-License-Identifier: BSD-3-Clause
// What carries inner packets into the private network and back: libslirp (userspace) or a TUN device. Driven by one
// thread through one descriptor and one timeout.
#ifndef SLUICE_CONNECTOR_STACK_H
#define SLUICE_CONNECTOR_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connector/packet.h"

struct stack_callbacks {
	/* A packet for the device (valid during the call). May be called from every stack function below. */
	void (*output)(void *arg, const uint8_t *packet, uint32_t length);
	void *arg;
};

struct stack_config {
	unsigned mtu;	      /* of the tunnel */
	bool preserve_source; /* TUN: no masquerade */
	const struct ip_prefix *device_networks; /* TUN: where devices are */
	size_t device_network_count;
};

struct stack_stats {
	uint64_t echo_requests, echo_replies, echo_dropped;
	uint64_t fragments_refused; /* that the stack cannot reassemble */
	uint64_t no_room;	    /* packets refused for want of an instance */
	unsigned instances;
};

struct stack;

struct stack_ops {
	/* A TCP connection has its buffers here, and lives and dies here. */
	bool heavy;
	/* Whether this process may do what create() will; false with a sentence in err that says what to grant. NULL: always. */
	bool (*check)(char *err, size_t err_len);
	/* NULL with a sentence in err. */
	struct stack *(*create)(const struct stack_config *config, const struct stack_callbacks *callbacks, char *err,
				size_t err_len);
	void (*destroy)(struct stack *s);
	/* A parsed packet from the edge that may enter. */
	void (*input)(struct stack *s, const struct packet *p, uint64_t now_ms);
	/* Readable when run() has work. */
	int (*fd)(const struct stack *s);
	/* Does what is due; returns ms until it must run again at the latest. */
	int (*run)(struct stack *s, uint64_t now_ms);
	void (*stats)(const struct stack *s, struct stack_stats *out);
};

extern const struct stack_ops stack_slirp, stack_tun;

#endif
