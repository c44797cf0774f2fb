// SPDX-License-Identifier: BSD-3-Clause
// Inner packets as the connector sees them: enough of IPv4, IPv6, TCP, UDP and ICMP to know a flow. Pure.
#ifndef SLUICE_CONNECTOR_PACKET_H
#define SLUICE_CONNECTOR_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ip.h"

enum {
	PACKET_ICMP4 = 1,
	PACKET_TCP = 6,
	PACKET_UDP = 17,
	PACKET_ICMP6 = 58,
};

#define PACKET_TCP_FIN 0x01
#define PACKET_TCP_SYN 0x02
#define PACKET_TCP_RST 0x04
#define PACKET_TCP_ACK 0x10

struct packet {
	const uint8_t *bytes;
	uint32_t length; /* of the IP packet */
	uint32_t l4_at;	 /* offset of the transport header */
	uint32_t l4_bytes;
	uint8_t protocol; /* after IPv6 extension headers */
	bool fragment;	  /* part of a fragmented datagram */
	bool later;	  /* … and not its first: no ports */
	bool echo_request, echo_reply, icmp_error; /* whole ICMP messages only */
	uint8_t tcp_flags;
	struct ip_addr src, dst;
	uint16_t sport, dport; /* TCP, UDP; an echo has its identifier in both; else 0 */
};

/* Reads a packet of `length` bytes exactly as its header says (cut padding before: wg_inner_len). False where a header
 * is malformed or cut, a TCP header is short, or the IPv4 header's checksum is wrong. */
bool packet_parse(const uint8_t *bytes, uint32_t length, struct packet *out);

/* Whether source and destination may reach the stack: no loopback, link-local, multicast, unspecified, broadcast or
 * IPv4-mapped address (decision 31). */
bool packet_may_enter(const struct packet *p);

/* Ones' complement sum of bytes on top of `sum`, not folded. */
uint32_t packet_sum(const void *bytes, size_t n, uint32_t sum);
/* Folds and complements: the checksum, to be stored big-endian. */
uint16_t packet_fold(uint32_t sum);
/* Sum of the IPv6 pseudo header (RFC 8200, 8.1). */
uint32_t packet_pseudo6(const uint8_t src[16], const uint8_t dst[16], uint32_t l4_bytes, uint8_t protocol);

/* Sum of the pseudo header of either family (RFC 9293, 3.1; RFC 8200, 8.1). */
uint32_t packet_pseudo(const struct ip_addr *src, const struct ip_addr *dst, uint32_t l4_bytes, uint8_t protocol);

/* Headers (20 or 40 bytes) in front of `l4_bytes` of payload, IPv4 with checksum. `src` and `dst` of one family. Returns
 * the header's length. */
size_t packet_header(uint8_t *out, const struct ip_addr *src, const struct ip_addr *dst, uint8_t protocol,
		     uint8_t ttl, size_t l4_bytes);

static inline uint16_t packet_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void packet_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline uint32_t packet_get32(const uint8_t *p)
{
	return (uint32_t)packet_get16(p) << 16 | packet_get16(p + 2);
}

/* Of a TCP packet that packet_parse() has taken, not a later fragment. Host byte order. */
static inline uint32_t packet_tcp_seq(const struct packet *p)
{
	return packet_get32(p->bytes + p->l4_at + 4);
}

static inline uint32_t packet_tcp_ack(const struct packet *p)
{
	return packet_get32(p->bytes + p->l4_at + 8);
}

/* Whether it asks for a new TCP connection. */
static inline bool packet_is_syn(const struct packet *p)
{
	return p->protocol == PACKET_TCP && (p->tcp_flags & (PACKET_TCP_SYN | PACKET_TCP_ACK)) == PACKET_TCP_SYN;
}

#endif
