/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * The one parser of outer headers: Ethernet, up to two VLAN tags, IPv4 with options, IPv6 with
 * extension headers, UDP. The XDP program and user space compile the same text, so it uses kernel
 * types only, no library, and proves every access against data_end.
 */
#ifndef SLUICE_BPF_OUTER_PARSE_H
#define SLUICE_BPF_OUTER_PARSE_H

#include <linux/types.h>

#define OUTER_PARSE_MAX_VLANS 2
#define OUTER_PARSE_MAX_EXT   6 /* IPv6 extension headers; more: OUTER_PARSE_OTHER */

#define OUTER_INLINE	      static inline __attribute__((always_inline, unused))

enum outer_parse_result {
	OUTER_PARSE_UDP,   /* every field is set */
	OUTER_PARSE_OTHER, /* not UDP over IP, or so cut that nobody can tell: the kernel's business
			    */
	OUTER_PARSE_FRAGMENT,  /* fragment of a UDP datagram: family, addresses set; ports 0 */
	OUTER_PARSE_MALFORMED, /* addresses and ports are set, lengths contradict each other or the
				  frame */
};

/* What a frame says. Addresses and ports in network byte order, the rest host order; IPv4 addresses
 * in [0..3], rest zero. */
struct outer_headers {
	__u8 src[16];
	__u8 dst[16];
	__be16 src_port_be16;
	__be16 dst_port_be16;
	__u8 family; /* 4 or 6 */
	__u8 tos;    /* DSCP and ECN */
	__u8 ttl;
	__u8 n_vlans;
	__u8 bad_sum; /* IPv4 header checksum is wrong (RFC 791 section 3.1) */
	__u16 l3_off; /* bytes from the start of the frame */
	__u16 l4_off;
	__u16 payload_off;
	__u16 payload_len; /* UDP payload bytes; padding of the frame is not counted */
	__u8 type[4];	   /* first four bytes of the payload; zero where payload_len < 4 */
};

/* Big-endian 16 bits at p. */
OUTER_INLINE __u16 outer_be16(const __u8 *p)
{
	return (__u16)((__u16)p[0] << 8 | p[1]);
}

/* Offsets into the frame are 64 bits wide: the kernel's verifier follows no pointer arithmetic
 * in 32. */

/* UDP at off; room is what the IP header says follows from there on, in bytes. */
OUTER_INLINE enum outer_parse_result outer_parse_udp(const __u8 *data, __u64 off,
						     const __u8 *data_end, __u32 frame_len,
						     __u32 room, struct outer_headers *h)
{
	const __u8 *p = data + off;

	if (p + 8 > data_end)
		return OUTER_PARSE_OTHER;
	__u32 udp_len = outer_be16(p + 4);

	__builtin_memcpy(&h->src_port_be16, p, 2);
	__builtin_memcpy(&h->dst_port_be16, p + 2, 2);
	h->l4_off = (__u16)off;
	h->payload_off = (__u16)(off + 8);
	if (udp_len < 8 || udp_len > room || off + room > frame_len)
		return OUTER_PARSE_MALFORMED;
	h->payload_len = (__u16)(udp_len - 8);
	if (h->payload_len >= 4) {
		if (p + 12 > data_end)
			return OUTER_PARSE_MALFORMED;
		__builtin_memcpy(h->type, p + 8, 4);
	}
	return OUTER_PARSE_UDP;
}

/* An address and the zeroes behind it in two whole words: who reads them next reads words, and need not wait. */
OUTER_INLINE void outer_put_ipv4(__u8 *to, const __u8 *p)
{
	__u8 bytes[8] = {0};
	__u64 words[2] = {0, 0};

	__builtin_memcpy(bytes, p, 4);
	__builtin_memcpy(words, bytes, 8);
	__builtin_memcpy(to, words, 16);
}

/* Whether the checksum of an IPv4 header of 20 ≤ ihl ≤ 60 bytes is wrong; what lies behind data_end counts as zero. */
OUTER_INLINE __u8 outer_ipv4_bad_sum(const __u8 *data, __u64 off, const __u8 *data_end, __u32 ihl)
{
	__u32 sum = 0;

#ifndef __bpf__
	if (ihl == 20) { /* nearly all; RFC 1071, 2(B): the same in any byte order */
		__u32 w[5];
		__u64 wide;

		__builtin_memcpy(w, data + off, sizeof(w));
		wide = (__u64)w[0] + w[1] + w[2] + w[3] + w[4];
		wide = (wide & 0xffffffff) + (wide >> 32);
		wide = (wide & 0xffff) + (wide >> 16);
		wide = (wide & 0xffff) + (wide >> 16);
		wide = (wide & 0xffff) + (wide >> 16);
		return wide != 0xffff;
	}
#endif
	for (__u32 i = 0; i < 60; i += 2) {
		const __u8 *p = data + off + i;

		if (i >= ihl || p + 2 > data_end)
			break;
		sum += outer_be16(p);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum != 0xffff;
}

OUTER_INLINE enum outer_parse_result outer_parse_ipv4(const __u8 *data, __u64 off,
						      const __u8 *data_end, __u32 frame_len,
						      struct outer_headers *h)
{
	const __u8 *p = data + off;

	if (p + 20 > data_end)
		return OUTER_PARSE_OTHER;
	__u32 ihl = (p[0] & 0xfU) * 4;

	if (p[0] >> 4 != 4 || ihl < 20 || p[9] != 17)
		return OUTER_PARSE_OTHER;
	h->family = 4;
	h->tos = p[1];
	h->ttl = p[8];
	outer_put_ipv4(h->src, p + 12);
	outer_put_ipv4(h->dst, p + 16);
	h->bad_sum = outer_ipv4_bad_sum(data, off, data_end, ihl);
	if (outer_be16(p + 6) & 0x3fff) /* more fragments, or an offset */
		return OUTER_PARSE_FRAGMENT;
	__u32 total = outer_be16(p + 2);

	return outer_parse_udp(data, off + ihl, data_end, frame_len, total < ihl ? 0 : total - ihl,
			       h);
}

OUTER_INLINE enum outer_parse_result outer_parse_ipv6(const __u8 *data, __u64 off,
						      const __u8 *data_end, __u32 frame_len,
						      struct outer_headers *h)
{
	const __u8 *p = data + off;

	if (p + 40 > data_end || p[0] >> 4 != 6)
		return OUTER_PARSE_OTHER;
	__u32 room = outer_be16(p + 4);
	__u8 next = p[6];

	h->family = 6;
	h->tos = (__u8)(p[0] << 4 | p[1] >> 4);
	h->ttl = p[7];
	__builtin_memcpy(h->src, p + 8, 16);
	__builtin_memcpy(h->dst, p + 24, 16);
	off += 40;
	for (int i = 0; i < OUTER_PARSE_MAX_EXT && next != 17; i++) {
		__u32 len = 8;

		p = data + off;
		if (p + 8 > data_end)
			return OUTER_PARSE_OTHER;
		if (next ==
		    44) { /* fragment; offset and more-flag zero is an atomic one (RFC 6946) */
			if (outer_be16(p + 2) & 0xfff9)
				return p[0] == 17 ? OUTER_PARSE_FRAGMENT : OUTER_PARSE_OTHER;
		} else if (next == 0 || next == 60 ||
			   next == 43) {	     /* hop-by-hop, destination, routing */
			if (next == 43 && p[3] != 0) /* segments left: on its way to elsewhere */
				return OUTER_PARSE_OTHER;
			len += p[1] * 8U;
		} else {
			return OUTER_PARSE_OTHER;
		}
		next = p[0];
		off += len;
		room = room < len ? 0 : room - len;
	}
	if (next != 17)
		return OUTER_PARSE_OTHER;
	return outer_parse_udp(data, off, data_end, frame_len, room, h);
}

/*
 * Parses a frame. data..data_end is what can be read (the first buffer), frame_len the whole frame
 * in bytes. *h is filled as the result says; fields it does not name are zero. The UDP checksum is not
 * looked at: MAC1 and the AEAD tag cover all that matters.
 */
OUTER_INLINE enum outer_parse_result outer_parse(const void *frame, const void *frame_end,
						 __u32 frame_len, struct outer_headers *h)
{
	const __u8 *data = (const __u8 *)frame, *data_end = (const __u8 *)frame_end;
	__u64 off = 12;

	__builtin_memset(h, 0, sizeof(*h));
	if (data + 14 > data_end)
		return OUTER_PARSE_OTHER;
	__u16 type = outer_be16(data + 12);

	for (int i = 0; i < OUTER_PARSE_MAX_VLANS && (type == 0x8100 || type == 0x88a8); i++) {
		off += 4;
		if (data + off + 2 > data_end)
			return OUTER_PARSE_OTHER;
		type = outer_be16(data + off);
		h->n_vlans++;
	}
	off += 2;
	h->l3_off = (__u16)off;
	if (type == 0x0800)
		return outer_parse_ipv4(data, off, data_end, frame_len, h);
	if (type == 0x86dd)
		return outer_parse_ipv6(data, off, data_end, frame_len, h);
	return OUTER_PARSE_OTHER;
}

/* What becomes of a packet to a listen endpoint, in the order in which faults are named. */
enum outer_verdict {
	OUTER_DATA,      /* type 4 */
	OUTER_HANDSHAKE, /* types 1 to 3 */
	OUTER_FRAGMENT,
	OUTER_MALFORMED,
	OUTER_CHECKSUM,
	OUTER_TYPE,   /* not 1..4, or reserved bytes are not zero */
	OUTER_LENGTH, /* not what the type demands (WireGuard paper, section 5.4) */
};

/*
 * Judges what outer_parse() gave (not OUTER_PARSE_OTHER), the same in the XDP program and on a worker. Data may be any
 * length from 32 on: senders cut the padding at their MTU.
 */
OUTER_INLINE enum outer_verdict outer_judge(enum outer_parse_result parsed, const struct outer_headers *h)
{
	__u16 len = h->payload_len;

	if (parsed == OUTER_PARSE_FRAGMENT)
		return OUTER_FRAGMENT;
	if (parsed == OUTER_PARSE_MALFORMED)
		return OUTER_MALFORMED;
	if (h->bad_sum)
		return OUTER_CHECKSUM;
	if (len < 4)
		return OUTER_LENGTH;
	if (h->type[1] | h->type[2] | h->type[3])
		return OUTER_TYPE;
	switch (h->type[0]) {
	case 1:
		return len == 148 ? OUTER_HANDSHAKE : OUTER_LENGTH;
	case 2:
		return len == 92 ? OUTER_HANDSHAKE : OUTER_LENGTH;
	case 3:
		return len == 64 ? OUTER_HANDSHAKE : OUTER_LENGTH;
	case 4:
		return len >= 32 ? OUTER_DATA : OUTER_LENGTH;
	default:
		return OUTER_TYPE;
	}
}

#endif
