// SPDX-License-Identifier: BSD-3-Clause
// How many flows fit: into the memory limit of our control group, into the descriptors we may open.
#ifndef SLUICE_CONNECTOR_CAPACITY_H
#define SLUICE_CONNECTOR_CAPACITY_H

#include <stdbool.h>
#include <stdint.h>

#define CAPACITY_NO_MEMORY_LIMIT UINT64_MAX

/* What one flow of the userspace stack may take, KiB: libslirp's two buffers of 128 KiB and a kernel socket. */
#define CAPACITY_TCP_FLOW_KIB 266
#define CAPACITY_OTHER_FLOW_KIB 4
#define CAPACITY_OTHER_PER_TCP 4
/* The connector itself: code, libraries, tables, bursts of eight sessions. */
#define CAPACITY_BASE_KIB (17 * 1024)

struct capacity {
	unsigned flows; /* of all kinds */
	unsigned tcp;	/* of these */
};

/* The lowest memory limit of the control groups (v1 or v2) that hold this process, bytes; CAPACITY_NO_MEMORY_LIMIT: none.
 * `cgroup_file`: /proc/self/cgroup, `root`: /sys/fs/cgroup (a test's otherwise). What cannot be read does not limit. */
uint64_t capacity_memory_bytes(const char *cgroup_file, const char *root);

/* Flows that fit. `wanted`: max-active-flows, 0 for as many as fit; `capacity`: the most there may be; `descriptors`: what we
 * may open; `heavy`: TCP flows have buffers here (userspace). `wanted` is taken at its word but for descriptors. Never below
 * 16 flows. */
struct capacity capacity_flows(unsigned wanted, unsigned capacity, uint64_t memory_bytes, uint64_t descriptors, bool heavy);

#endif
