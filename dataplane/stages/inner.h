/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inner packets as bytes: one parser for all stages. Pure functions, any thread, bounds checked at every step.
 */
#ifndef DATAPLANE_STAGES_INNER_H
#define DATAPLANE_STAGES_INNER_H

#include <stdbool.h>
#include <stdint.h>

#define INNER_ICMP   1
#define INNER_TCP    6
#define INNER_UDP    17
#define INNER_ICMPV6 58

/* What the stages need to know of an inner packet. Addresses stay in the packet. */
struct inner_info {
	uint8_t family;        /* 4 or 6 */
	uint8_t proto;         /* of the transport header, behind IPv6 extension headers */
	bool fragment;         /* more fragments, or an offset */
	bool later_fragment;   /* offset > 0: no transport header in it */
	bool more_fragments;
	uint16_t fragment_from, fragment_to; /* bytes of the datagram that it carries, end exclusive */
	bool icmp_error;       /* RFC 792 / 4443 error message */
	uint16_t length;       /* of the packet by its own header; ≤ the bytes given */
	uint16_t l4_offset;    /* from the start of the packet */
	uint32_t fragment_id;  /* network order */
	uint16_t src_port_be;  /* TCP, UDP; ICMP echo request: the identifier; else 0 */
	uint16_t dst_port_be;  /* TCP, UDP; ICMP echo reply: the identifier; else 0 */
	uint8_t tcp_flags;
};

enum inner_result { INNER_OK, INNER_MALFORMED, INNER_BAD_CHECKSUM };

/*
 * Parses an inner packet of len bytes (padding behind it allowed). RFC 1812 5.2.2 for IPv4 (version, IHL, total length,
 * header checksum), RFC 8200 for IPv6 with at most 8 extension headers; whole transport header required in a first
 * fragment (RFC 7112, 1858), offset ≥ 8 bytes × 2 in later TCP fragments; a fragment carries something, all but the last
 * whole units of 8 bytes, and ends within 65,535 (RFC 8200 4.5).
 */
enum inner_result inner_parse(const uint8_t *packet, unsigned len, struct inner_info *info);

/*
 * Parses the packet that an ICMP error quotes, `offset` bytes into its transport header's payload (8 for both versions).
 * Only what RFC 792 promises is needed: IP header and 8 bytes. Fills family, proto, ports; false when it is cut short.
 */
bool inner_parse_quote(const uint8_t *quote, unsigned len, uint8_t family, struct inner_info *info);

/* Decision 12: sources and destinations that never cross the edge. `address` of 4 or 16 bytes by family. */
bool inner_is_martian(uint8_t family, const uint8_t *address);

/* Multicast, limited broadcast, link-local: what stock clients' hosts send by themselves. */
bool inner_is_noise(uint8_t family, const uint8_t *address);

/* True for most: the first byte alone says that it is neither martian nor noise. */
static inline bool inner_is_plain(uint8_t family, const uint8_t *address)
{
	if (family == 6)
		return address[0] != 0 && address[0] < 0xfe;
	return address[0] != 0 && address[0] != 127 && address[0] != 169 && address[0] < 224;
}

/* Address fields in the packet. */
static inline const uint8_t *inner_src(const uint8_t *packet, uint8_t family)
{
	return packet + (family == 4 ? 12 : 8);
}

static inline const uint8_t *inner_dst(const uint8_t *packet, uint8_t family)
{
	return packet + (family == 4 ? 16 : 24);
}

/* ECN field (RFC 3168): 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE. */
static inline uint8_t inner_ecn(const uint8_t *packet, uint8_t family)
{
	return family == 4 ? packet[1] & 3 : (uint8_t)((packet[1] >> 4) & 3);
}

/*
 * RFC 6040 Figure 4 at decapsulation: sets the inner ECN field from the outer one, fixes the IPv4 header checksum.
 * False: the packet must be dropped (outer CE, inner Not-ECT).
 */
bool inner_ecn_decapsulate(uint8_t *packet, uint8_t family, uint8_t outer_ecn);

/* Lowers TTL or hop limit by one, fixes the IPv4 checksum. False, packet untouched: it would reach zero. */
bool inner_ttl_decrement(uint8_t *packet, uint8_t family);

/* Internet checksum helpers (RFC 1071); `sum` carries over; result in network order as stored. */
uint32_t inner_sum(const uint8_t *data, unsigned len, uint32_t sum);
uint16_t inner_sum_fold(uint32_t sum);
/* Checksum of an upper-layer payload with its pseudo header. */
uint16_t inner_l4_checksum(uint8_t family, const uint8_t *src, const uint8_t *dst, uint8_t proto,
			   const uint8_t *payload, unsigned len);

#endif
