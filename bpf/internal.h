/* SPDX-License-Identifier: BSD-3-Clause */
/* What loader.c (attaching) and maps.c (feeding) share. */
#ifndef SLUICE_BPF_INTERNAL_H
#define SLUICE_BPF_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/steer.h"

struct bpf_object;
struct xdp_program;

struct steer {
	uint32_t ifindex;
	uint32_t prog_id;
	uint32_t max_endpoints, max_denied, max_allowed, max_known;
	int hold_fd;
	int prog_fd;
	/* maps; owned by the object */
	int listen_fd, deny_fd, allow_fd, known_fd, sockets_fd, settings_fd, counters_fd;
	struct steer_settings settings; /* as the map has it: each setter changes its own part */
	bool native, dispatcher;
	struct bpf_object *obj; /* libxdp leaves an object it was given to us */
	struct xdp_program *prog;
};

#endif
