/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * What the XDP program and user space share: layout of map keys, numbers of counters. Seen by
 * `clang -target bpf` too, so only kernel types here.
 */
#ifndef SLUICE_BPF_STEER_H
#define SLUICE_BPF_STEER_H

#include <linux/types.h>

#define STEER_MAX_QUEUES 64
#define STEER_PROG_NAME	 "sluice_steer" /* 15 bytes are all that the kernel keeps */

/*
 * Key of the listen map. IPv4 in addr[0..3], the rest zero. port_be16 = 0 says "some port of this
 * address listens" (fragments are judged by address alone). The value is a __u32, 1.
 */
struct steer_endpoint_key {
	__u8 addr[16];
	__be16 port_be16;
	__u8 family; /* 4 or 6 */
	__u8 zero;
};

/* Key of the deny trie: prefix over family octet then address, so 8 + 0..128 bits. */
struct steer_deny_key {
	__u32 prefixlen;
	__u8 family; /* 4 or 6 */
	__u8 addr[16];
	__u8 zero[3];
};

/* The only entry of the settings map. */
struct steer_settings {
	__u32 deny_active; /* deny list is not empty */
};

/* Why XDP dropped: names and meaning as in dataplane/drop_reasons.def. */
#define STEER_DROPS(X)   \
	X(xdp_malformed) \
	X(xdp_fragment)  \
	X(xdp_type)      \
	X(xdp_length)    \
	X(xdp_denied)

/* rx = redirected + kernel + every drop, of packets to a listen endpoint (or fragments to its
 * address). */
enum steer_counter {
	STEER_RX,	  /* every packet for us, at XDP entry */
	STEER_RX_BYTES,	  /* frame bytes of these */
	STEER_REDIRECTED, /* given to the AF_XDP socket (which may still refuse: see the port's
			     counters) */
	STEER_KERNEL,	  /* passed to the kernel, no socket on this queue */
#define X(name) STEER_DROP_##name,
	STEER_DROPS(X)
#undef X
		STEER_COUNTERS
};

struct steer_counters {
	__u64 c[STEER_COUNTERS];
};

#endif
