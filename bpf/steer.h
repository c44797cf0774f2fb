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

/* Key of the deny and allow tries: prefix over family octet then address, so 8 + 0..128 bits. */
struct steer_deny_key {
	__u32 prefixlen;
	__u8 family; /* 4 or 6 */
	__u8 addr[16];
	__u8 zero[3];
};

/*
 * Handshake messages under load are metered by theoretical arrival times (GCRA, as ATM Forum TM 4.0 annex C has it): one
 * message each interval_ns, and as many at once as fit in window_ns. An interval of 0 meters nothing.
 */
struct steer_rate {
	__u64 interval_ns;
	__u64 window_ns;
};

/* Who shares a global bucket: a budget each for those we know and for those who show a cookie (decision 33). */
enum steer_class {
	STEER_CLASS_NEW,   /* anybody */
	STEER_CLASS_MAC2,  /* the message carries a MAC2, whatever it is worth */
	STEER_CLASS_KNOWN, /* source address is a known endpoint's */
	STEER_CLASSES
};

/* The only entry of the settings map. */
struct steer_settings {
	__u32 deny_active;  /* deny list is not empty */
	__u32 allow_active; /* allow list is not empty: sources that are not on it are dropped */
	__u32 under_load;   /* the buckets are in force */
	__u32 zero;
	struct steer_rate source;    /* of one IPv4 address, one IPv6 /64 */
	struct steer_rate aggregate; /* of one IPv4 /24, one IPv6 /48 */
	struct steer_rate global[STEER_CLASSES];
};

/* Key of the source buckets and of the known endpoints; what lies behind the prefix is zero. */
struct steer_source_key {
	__u8 addr[16];
	__u8 family; /* 4 or 6 */
	__u8 len;    /* bits */
	__u8 zero[2];
};

/* Why XDP dropped: names and meaning as in dataplane/drop_reasons.def. */
#define STEER_DROPS(X)   \
	X(xdp_malformed) \
	X(xdp_fragment)  \
	X(xdp_checksum)  \
	X(xdp_type)      \
	X(xdp_length)    \
	X(xdp_denied)    \
	X(xdp_not_allowed) \
	X(xdp_source_rate) \
	X(xdp_global_rate)

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
