// SPDX-License-Identifier: BSD-3-Clause
// Parsing of inner packets.
#include "connector/packet.h"

#include <string.h>

uint32_t packet_sum(const void *bytes, size_t n, uint32_t sum)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += packet_get16(p + i);
	if (n & 1)
		sum += (uint32_t)p[n - 1] << 8;
	return sum;
}

uint16_t packet_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint32_t packet_pseudo6(const uint8_t src[16], const uint8_t dst[16], uint32_t l4_bytes, uint8_t protocol)
{
	uint32_t sum = (l4_bytes >> 16) + (l4_bytes & 0xffff) + protocol;

	return packet_sum(dst, 16, packet_sum(src, 16, sum));
}

uint32_t packet_pseudo(const struct ip_addr *src, const struct ip_addr *dst, uint32_t l4_bytes, uint8_t protocol)
{
	if (src->family == 6)
		return packet_pseudo6(src->bytes, dst->bytes, l4_bytes, protocol);
	return packet_sum(dst->bytes, 4, packet_sum(src->bytes, 4, l4_bytes + protocol));
}

size_t packet_header(uint8_t *out, const struct ip_addr *src, const struct ip_addr *dst, uint8_t protocol,
		     uint8_t ttl, size_t l4_bytes)
{
	if (src->family == 4) {
		memset(out, 0, 20);
		out[0] = 0x45;
		packet_put16(out + 2, (uint16_t)(20 + l4_bytes));
		out[6] = 0x40; /* DF: the path inside is ours */
		out[8] = ttl;
		out[9] = protocol;
		memcpy(out + 12, src->bytes, 4);
		memcpy(out + 16, dst->bytes, 4);
		packet_put16(out + 10, packet_fold(packet_sum(out, 20, 0)));
		return 20;
	}
	memset(out, 0, 8);
	out[0] = 0x60;
	packet_put16(out + 4, (uint16_t)l4_bytes);
	out[6] = protocol;
	out[7] = ttl;
	memcpy(out + 8, src->bytes, 16);
	memcpy(out + 24, dst->bytes, 16);
	return 40;
}

static bool parse4(struct packet *p)
{
	const uint8_t *b = p->bytes;
	uint32_t header;
	uint16_t offset;

	if (p->length < 20)
		return false;
	header = (b[0] & 0x0fu) * 4;
	if (header < 20 || header > p->length || packet_get16(b + 2) != p->length ||
	    packet_fold(packet_sum(b, header, 0)))
		return false;
	offset = packet_get16(b + 6);
	p->fragment = offset & 0x3fff;
	p->later = offset & 0x1fff;
	p->protocol = b[9];
	p->src.family = p->dst.family = 4;
	memcpy(p->src.bytes, b + 12, 4);
	memcpy(p->dst.bytes, b + 16, 4);
	p->l4_at = header;
	return true;
}

static bool parse6(struct packet *p)
{
	const uint8_t *b = p->bytes;
	uint32_t at = 40;
	uint8_t next;

	if (p->length < 40 || packet_get16(b + 4) + 40u != p->length)
		return false;
	p->src.family = p->dst.family = 6;
	memcpy(p->src.bytes, b + 8, 16);
	memcpy(p->dst.bytes, b + 24, 16);
	next = b[6];
	for (int headers = 0; next == 0 || next == 43 || next == 44 || next == 60; headers++) {
		uint32_t bytes;

		if (headers == 8 || p->length - at < 8)
			return false;
		bytes = next == 44 ? 8 : 8 + 8u * b[at + 1];
		if (bytes > p->length - at)
			return false;
		if (next == 44) {
			uint16_t offset = packet_get16(b + at + 2);

			p->fragment |= (offset & 0xfff9) != 0;
			p->later |= (offset & 0xfff8) != 0;
		}
		next = b[at];
		at += bytes;
		if (p->later)
			break; /* what follows is not a header */
	}
	p->protocol = next;
	p->l4_at = at;
	return true;
}

static bool parse_l4(struct packet *p)
{
	const uint8_t *l4 = p->bytes + p->l4_at;
	bool v6 = p->src.family == 6;

	if (p->protocol == PACKET_TCP) {
		if (p->l4_bytes < 20 || (l4[12] >> 4) * 4u < 20 || (l4[12] >> 4) * 4u > p->l4_bytes)
			return false;
		p->tcp_flags = l4[13];
	} else if (p->protocol == PACKET_UDP) {
		if (p->l4_bytes < 8)
			return false;
	} else if (p->protocol == (v6 ? PACKET_ICMP6 : PACKET_ICMP4)) {
		if (p->l4_bytes < 8)
			return false;
		p->echo_request = l4[0] == (v6 ? 128 : 8) && !l4[1];
		p->echo_reply = l4[0] == (v6 ? 129 : 0) && !l4[1];
		p->icmp_error = v6 ? l4[0] < 128 : l4[0] == 3 || l4[0] == 11 || l4[0] == 12;
		if (p->echo_request || p->echo_reply)
			p->sport = p->dport = packet_get16(l4 + 4);
		return true;
	} else {
		return true;
	}
	p->sport = packet_get16(l4);
	p->dport = packet_get16(l4 + 2);
	return true;
}

bool packet_parse(const uint8_t *bytes, uint32_t length, struct packet *out)
{
	memset(out, 0, sizeof(*out));
	out->bytes = bytes;
	out->length = length;
	if (!length || !(bytes[0] >> 4 == 4 ? parse4(out) : bytes[0] >> 4 == 6 && parse6(out)))
		return false;
	out->l4_bytes = length - out->l4_at;
	return out->later || parse_l4(out);
}

bool packet_may_enter(const struct packet *p)
{
	return !ip_addr_is_martian(&p->src) && !ip_addr_is_martian(&p->dst);
}
