// SPDX-License-Identifier: BSD-3-Clause
// Inner packets for tests, checksums right.
#include <arpa/inet.h>

#include "dataplane/stages/inner.h"
#include "dataplane/testbed/testbed.h"

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void ipv4(uint8_t *p, const char *src, const char *dst, uint8_t proto, unsigned l4)
{
	uint16_t sum;

	memset(p, 0, 20 + l4);
	p[0] = 0x45;
	put16(p + 2, 20 + l4);
	p[6] = 0x40;
	p[8] = 64;
	p[9] = proto;
	inet_pton(AF_INET, src, p + 12);
	inet_pton(AF_INET, dst, p + 16);
	sum = inner_sum_fold(inner_sum(p, 20, 0));
	memcpy(p + 10, &sum, 2);
}

static void fill(uint8_t *p, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + 1);
}

unsigned packet_udp4(uint8_t *p, const char *src, const char *dst, uint16_t sport, uint16_t dport, unsigned payload)
{
	uint16_t sum;

	ipv4(p, src, dst, INNER_UDP, 8 + payload);
	put16(p + 20, sport);
	put16(p + 22, dport);
	put16(p + 24, 8 + payload);
	fill(p + 28, payload);
	sum = inner_l4_checksum(4, p + 12, p + 16, INNER_UDP, p + 20, 8 + payload);
	memcpy(p + 26, &sum, 2);
	return 28 + payload;
}

unsigned packet_tcp4(uint8_t *p, const char *src, const char *dst, uint16_t sport, uint16_t dport, uint8_t flags,
		     unsigned payload)
{
	uint16_t sum;

	ipv4(p, src, dst, INNER_TCP, 20 + payload);
	put16(p + 20, sport);
	put16(p + 22, dport);
	p[32] = 0x50;
	p[33] = flags;
	put16(p + 34, 65535);
	fill(p + 40, payload);
	sum = inner_l4_checksum(4, p + 12, p + 16, INNER_TCP, p + 20, 20 + payload);
	memcpy(p + 36, &sum, 2);
	return 40 + payload;
}

unsigned packet_udp6(uint8_t *p, const char *src, const char *dst, uint16_t sport, uint16_t dport, unsigned payload)
{
	uint16_t sum;

	memset(p, 0, 48);
	p[0] = 0x60;
	put16(p + 4, 8 + payload);
	p[6] = INNER_UDP;
	p[7] = 64;
	inet_pton(AF_INET6, src, p + 8);
	inet_pton(AF_INET6, dst, p + 24);
	put16(p + 40, sport);
	put16(p + 42, dport);
	put16(p + 44, 8 + payload);
	fill(p + 48, payload);
	sum = inner_l4_checksum(6, p + 8, p + 24, INNER_UDP, p + 40, 8 + payload);
	memcpy(p + 46, &sum, 2);
	return 48 + payload;
}

unsigned packet_echo4(uint8_t *p, const char *src, const char *dst, bool request, uint16_t id)
{
	uint16_t sum;

	ipv4(p, src, dst, INNER_ICMP, 8 + 32);
	p[20] = request ? 8 : 0;
	put16(p + 24, id);
	put16(p + 26, 1);
	fill(p + 28, 32);
	sum = inner_sum_fold(inner_sum(p + 20, 40, 0));
	memcpy(p + 22, &sum, 2);
	return 60;
}
