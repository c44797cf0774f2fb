/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "topology/peers.h"

#define IP_BYTES 20
#define UDP_BYTES 8
#define TCP_BYTES 20
#define ECHO_BYTES 64

static void put16(uint8_t *to, unsigned value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

uint16_t packet_checksum(const uint8_t *data, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	if (len & 1)
		sum += (uint32_t)data[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void ip_header(uint8_t *to, uint32_t src, uint32_t dst, uint8_t proto, uint32_t payload)
{
	memset(to, 0, IP_BYTES);
	to[0] = 0x45;
	put16(to + 2, IP_BYTES + payload);
	to[6] = 0x40; /* don't fragment */
	to[8] = 64;
	to[9] = proto;
	memcpy(to + 12, &src, 4);
	memcpy(to + 16, &dst, 4);
	put16(to + 10, packet_checksum(to, IP_BYTES, 0));
}

/* Checksum of a transport header and its data, with the pseudo header of the IPv4 header before it. */
static uint16_t transport_checksum(const uint8_t *ip, uint32_t len)
{
	uint32_t sum = ip[9] + len;

	for (unsigned i = 12; i < IP_BYTES; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	return packet_checksum(ip + IP_BYTES, len, sum);
}

uint32_t packet_echo(uint8_t *to, uint32_t src, uint32_t dst, uint16_t id, uint16_t seq)
{
	uint8_t *icmp = to + IP_BYTES;

	ip_header(to, src, dst, IPPROTO_ICMP, ECHO_BYTES);
	memset(icmp, 0, ECHO_BYTES);
	icmp[0] = 8;
	put16(icmp + 4, id);
	put16(icmp + 6, seq);
	put16(icmp + 2, packet_checksum(icmp, ECHO_BYTES, 0));
	return IP_BYTES + ECHO_BYTES;
}

uint32_t packet_udp(uint8_t *to, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, const void *data, uint32_t len)
{
	uint8_t *udp = to + IP_BYTES;
	uint16_t sum;

	ip_header(to, src, dst, IPPROTO_UDP, UDP_BYTES + len);
	put16(udp, sport);
	put16(udp + 2, dport);
	put16(udp + 4, UDP_BYTES + len);
	put16(udp + 6, 0);
	memcpy(udp + UDP_BYTES, data, len);
	sum = transport_checksum(to, UDP_BYTES + len);
	put16(udp + 6, sum ? sum : 0xffff);
	return IP_BYTES + UDP_BYTES + len;
}

uint32_t packet_syn(uint8_t *to, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, uint32_t seq)
{
	uint8_t *tcp = to + IP_BYTES;

	ip_header(to, src, dst, IPPROTO_TCP, TCP_BYTES);
	memset(tcp, 0, TCP_BYTES);
	put16(tcp, sport);
	put16(tcp + 2, dport);
	put16(tcp + 4, seq >> 16);
	put16(tcp + 6, seq & 0xffff);
	tcp[12] = 5 << 4;
	tcp[13] = 2; /* SYN */
	put16(tcp + 14, 65535);
	put16(tcp + 16, transport_checksum(to, TCP_BYTES));
	return IP_BYTES + TCP_BYTES;
}
