/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads the XDP program that steers UDP to listen endpoints into AF_XDP sockets, one instance per
 * interface, and keeps its maps: listen endpoints, sockets, deny list, counters. Everything here is
 * for the control thread.
 */
#ifndef SLUICE_BPF_LOADER_H
#define SLUICE_BPF_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/steer.h"

struct steer;

enum steer_mode {
	STEER_MODE_AUTO,    /* native where the driver can, else generic */
	STEER_MODE_NATIVE,  /* native or fail */
	STEER_MODE_GENERIC, /* generic or fail */
};

struct steer_config {
	const char *iface; /* name of the interface */
	enum steer_mode mode;
	uint32_t max_endpoints; /* capacity of the listen map in (address, port) pairs; 0: 1,024 */
	uint32_t max_denied;	/* capacity of the deny list in prefixes; 0: 65,536 */
	uint32_t max_allowed;	/* likewise of the allow list; 0: 65,536 */
	uint32_t max_known;	/* known endpoints; 0: 65,536 */
};

/* One local address and port. `family` is AF_INET or AF_INET6; IPv4 uses addr[0..3]; network byte
 * order. */
struct steer_endpoint {
	uint8_t addr[16];
	uint16_t port_be16;
	uint8_t family;
};

/* A prefix of sources, network byte order, host bits zero. */
struct steer_prefix {
	uint8_t addr[16];
	uint8_t len; /* 0..32 or 0..128 */
	uint8_t family;
};

/*
 * Loads the program and attaches it. A program that an earlier run of ours left on the interface
 * (after a crash) is replaced, native or generic; somebody else's program is never touched. Needs
 * no bpffs. Returns the instance, or NULL with a sentence in err: no such interface, a foreign
 * program is attached (names it), no permission, kernel refuses the program (with the verifier's
 * last line).
 */
struct steer *steer_open(const struct steer_config *cfg, char *err, size_t err_size);

/* Detaches (only if what is attached is still this instance's program) and frees. NULL is fine. */
void steer_close(struct steer *steer);

/* Detaches a program of ours that an earlier run left. 1: one was removed, 0: nothing there,
 * -EBUSY: somebody else's. */
int steer_cleanup(const char *iface);

/* What it runs on, for logs and `show ports`: native or generic, and whether libxdp's dispatcher is
 * in use. */
bool steer_is_native(const struct steer *steer);
bool steer_has_dispatcher(const struct steer *steer);

/*
 * Makes the listen map hold exactly these endpoints: new ones are added before old ones go, others
 * never miss a packet. Every address must be a local one (no wildcards: give each local address). n
 * = 0 stops all steering. Returns 0, -EINVAL (wildcard, family, port 0), -E2BIG (over capacity;
 * nothing changed), or the kernel's error.
 */
int steer_set_endpoints(struct steer *steer, const struct steer_endpoint *eps, size_t n);

/* Makes the deny list hold exactly these prefixes; it touches packets to listen endpoints only.
 * Same errors. */
int steer_set_denied(struct steer *steer, const struct steer_prefix *prefixes, size_t n);

/*
 * Makes the allow list hold exactly these prefixes: sources that are not on it are dropped at the listen endpoints. n = 0
 * lets everybody in again. Same errors.
 */
int steer_set_allowed(struct steer *steer, const struct steer_prefix *prefixes, size_t n);

/* What handshake messages are metered by while the edge is under load; all zero (nothing is metered) after steer_open(). */
struct steer_rates {
	struct steer_rate source;    /* of one IPv4 address, one IPv6 /64 */
	struct steer_rate aggregate; /* of one IPv4 /24, one IPv6 /48 */
	struct steer_rate global[STEER_CLASSES];
};

/* The buckets keep their state: a new rate holds from the next message on. 0 or negative errno. */
int steer_set_rates(struct steer *steer, const struct steer_rates *rates);

/* Puts the meters in force, or out of it. 0 or negative errno. */
int steer_set_under_load(struct steer *steer, bool under_load);

/*
 * Makes the known endpoints exactly these addresses (len 32 or 128): the source meters spare them, and they share a global
 * bucket of their own. Returns 0, -EINVAL (family, len), -E2BIG (over capacity; nothing changed), or the kernel's error.
 */
int steer_set_known(struct steer *steer, const struct steer_prefix *addresses, size_t n);

/* Puts an AF_XDP socket on an rx queue (queue < STEER_MAX_QUEUES), or removes it (fd -1). 0 or
 * negative errno. */
int steer_set_socket(struct steer *steer, uint32_t queue, int fd);

/* Sums the per-CPU counters. 0 or negative errno. Counters start at 0 with steer_open(). */
int steer_read_counters(const struct steer *steer, struct steer_counters *out);

/* The program's fd, for BPF_PROG_TEST_RUN in tests. */
int steer_prog_fd(const struct steer *steer);

#endif
