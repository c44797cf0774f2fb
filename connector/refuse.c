// SPDX-License-Identifier: BSD-3-Clause
// Resets and prohibitions.
#include "connector/refuse.h"

#include <string.h>

enum { TTL = 64, TCP_BYTES = 20, ICMP_BYTES = 8 };

static void put32(uint8_t *p, uint32_t v)
{
	packet_put16(p, (uint16_t)(v >> 16));
	packet_put16(p + 2, (uint16_t)v);
}

static uint32_t build_rst(uint8_t *out, const struct ip_addr *src, const struct ip_addr *dst, uint16_t sport, uint16_t dport,
			  uint32_t seq, uint32_t ack, uint8_t flags)
{
	size_t header = packet_header(out, src, dst, PACKET_TCP, TTL, TCP_BYTES);
	uint8_t *tcp = out + header;
	uint32_t sum;

	memset(tcp, 0, TCP_BYTES);
	packet_put16(tcp, sport);
	packet_put16(tcp + 2, dport);
	put32(tcp + 4, seq);
	put32(tcp + 8, ack);
	tcp[12] = TCP_BYTES / 4 << 4;
	tcp[13] = flags;
	sum = packet_pseudo(src, dst, TCP_BYTES, PACKET_TCP);
	packet_put16(tcp + 16, packet_fold(packet_sum(tcp, TCP_BYTES, sum)));
	return (uint32_t)(header + TCP_BYTES);
}

/* RFC 9293, 3.10.7.1: from the acknowledgment where there is one, else from zero, acknowledging all that came. */
static uint32_t refuse_tcp(const struct packet *p, uint8_t *out)
{
	const uint8_t *tcp = p->bytes + p->l4_at;
	uint32_t length = p->l4_bytes - (tcp[12] >> 4) * 4u;

	if (p->tcp_flags & PACKET_TCP_RST)
		return 0;
	if (p->tcp_flags & PACKET_TCP_ACK)
		return build_rst(out, &p->dst, &p->src, p->dport, p->sport, packet_tcp_ack(p), 0, PACKET_TCP_RST);
	length += !!(p->tcp_flags & PACKET_TCP_SYN) + !!(p->tcp_flags & PACKET_TCP_FIN);
	return build_rst(out, &p->dst, &p->src, p->dport, p->sport, 0, packet_tcp_seq(p) + length,
			 PACKET_TCP_RST | PACKET_TCP_ACK);
}

uint32_t refuse_packet(const struct packet *p, uint8_t *out)
{
	bool v6 = p->src.family == 6;
	uint32_t quote = p->length < REFUSE_QUOTE_MAX_BYTES ? p->length : REFUSE_QUOTE_MAX_BYTES, sum = 0;
	uint8_t *icmp;
	size_t header;

	if (p->later || p->icmp_error)
		return 0;
	if (p->protocol == PACKET_TCP)
		return refuse_tcp(p, out);
	header = packet_header(out, &p->dst, &p->src, v6 ? PACKET_ICMP6 : PACKET_ICMP4, TTL, ICMP_BYTES + quote);
	icmp = out + header;
	memset(icmp, 0, ICMP_BYTES);
	icmp[0] = v6 ? 1 : 3;
	icmp[1] = v6 ? 1 : 13;
	memcpy(icmp + ICMP_BYTES, p->bytes, quote);
	if (v6)
		sum = packet_pseudo(&p->dst, &p->src, ICMP_BYTES + quote, PACKET_ICMP6);
	packet_put16(icmp + 2, packet_fold(packet_sum(icmp, ICMP_BYTES + quote, sum)));
	return (uint32_t)(header + ICMP_BYTES + quote);
}

uint32_t refuse_as_device(const struct ip_addr *device, const struct ip_addr *origin, uint16_t device_port,
			  uint16_t origin_port, uint32_t seq, uint8_t *out)
{
	return build_rst(out, device, origin, device_port, origin_port, seq, 0, PACKET_TCP_RST);
}
