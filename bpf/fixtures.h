/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outer frames for tests, each described by what is odd about it, and what the front door must do
 * with it. The tests of the parser (user space) and of the XDP program (kernel) walk the same
 * table.
 */
#ifndef SLUICE_BPF_FIXTURES_H
#define SLUICE_BPF_FIXTURES_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bpf/outer_parse.h"
#include "bpf/steer.h"

#define FIXTURE_PORT	51820
#define FIXTURE_V4	"203.0.113.1"
#define FIXTURE_V6	"2001:db8:e::1"
#define FIXTURE_PEER_V4 "192.0.2.7"
#define FIXTURE_PEER_V6 "2001:db8:77::7"
#define FIXTURE_DENY_V4 "192.0.2.66"
#define FIXTURE_DENY_V6 "2001:db8:66::7"
#define FIXTURE_MAX	8192

/* One IPv6 extension header. */
struct fixture_ext {
	uint8_t type;  /* next-header number of this one; 0 in units == 0 ends the list */
	uint8_t units; /* length in 8 bytes, 1 or more */
	uint8_t byte3; /* routing: segments left */
	uint16_t frag; /* fragment: offset and flags, host order */
};

struct fixture {
	const char *name;
	int expect; /* a counter that grows beside STEER_RX, or EXPECT_PASS: none at all */
	int family; /* 4 or 6 */
	int vlans;
	uint16_t vlan_type; /* of the first tag; 0: 0x8100 */
	int options;	    /* IPv4 option bytes, a multiple of 4 */
	struct fixture_ext ext[9];
	uint16_t frag;	 /* IPv4 flags and offset, host order */
	uint8_t proto;	 /* 0: UDP */
	const char *src; /* NULL: the peer */
	const char *dst; /* NULL: the listen address */
	uint16_t port;	 /* 0: the listen port */
	uint8_t type;	 /* first payload byte */
	uint8_t reserved[3];
	uint16_t payload;   /* bytes */
	int udp_len;	    /* added to the true UDP length */
	int ip_len;	    /* added to the true IP length */
	int tail;	    /* bytes added to the frame (padding), or cut off it when negative */
	uint8_t first;	    /* replaces the first byte of the IP header unless 0 */
	uint16_t ethertype; /* replaces it unless 0 */
	uint16_t sum_xor;   /* flips bits of the IPv4 header checksum */
	bool no_mac2;	    /* the last 16 bytes are zero */
};

#define EXPECT_PASS (-1)

static const struct fixture fixtures[] = {
	/* what gets in */
	{"v4 initiation", STEER_REDIRECTED, 4, .type = 1, .payload = 148},
	{"v4 response", STEER_REDIRECTED, 4, .type = 2, .payload = 92},
	{"v4 cookie", STEER_REDIRECTED, 4, .type = 3, .payload = 64},
	{"v4 keepalive", STEER_REDIRECTED, 4, .type = 4, .payload = 32},
	{"v4 data, cut at the MTU", STEER_REDIRECTED, 4, .type = 4, .payload = 1452},
	{"v6 initiation", STEER_REDIRECTED, 6, .type = 1, .payload = 148},
	{"v6 response", STEER_REDIRECTED, 6, .type = 2, .payload = 92},
	{"v6 cookie", STEER_REDIRECTED, 6, .type = 3, .payload = 64},
	{"v6 keepalive", STEER_REDIRECTED, 6, .type = 4, .payload = 32},
	{"v4 one VLAN tag", STEER_REDIRECTED, 4, .vlans = 1, .type = 4, .payload = 32},
	{"v4 QinQ", STEER_REDIRECTED, 4, .vlans = 2, .vlan_type = 0x88a8, .type = 4, .payload = 64},
	{"v6 two VLAN tags", STEER_REDIRECTED, 6, .vlans = 2, .type = 4, .payload = 64},
	{"v4 4 bytes of options", STEER_REDIRECTED, 4, .options = 4, .type = 4, .payload = 64},
	{"v4 40 bytes of options", STEER_REDIRECTED, 4, .options = 40, .type = 4, .payload = 64},
	{"v4 don't fragment", STEER_REDIRECTED, 4, .frag = 0x4000, .type = 4, .payload = 64},
	{"v4 ethernet padding", STEER_REDIRECTED, 4, .type = 4, .payload = 32, .tail = 7},
	{"v6 hop-by-hop", STEER_REDIRECTED, 6, .ext = {{0, 1, 0, 0}}, .type = 4, .payload = 64},
	{"v6 destination options, long", STEER_REDIRECTED, 6, .ext = {{60, 31, 0, 0}}, .type = 4,
	 .payload = 64},
	{"v6 routing, no segments left", STEER_REDIRECTED, 6, .ext = {{43, 3, 0, 0}}, .type = 4,
	 .payload = 64},
	{"v6 atomic fragment", STEER_REDIRECTED, 6, .ext = {{44, 1, 0, 0}}, .type = 4,
	 .payload = 64},
	{"v6 six headers", STEER_REDIRECTED, 6,
	 .ext = {{0, 1, 0, 0},
		 {60, 1, 0, 0},
		 {43, 1, 0, 0},
		 {60, 2, 0, 0},
		 {60, 1, 0, 0},
		 {60, 1, 0, 0}},
	 .type = 4, .payload = 64},
	{"v4 jumbo in several buffers", STEER_REDIRECTED, 4, .type = 4, .payload = 6000},
	/* the kernel's */
	{"v4 other port", EXPECT_PASS, 4, .port = 53, .type = 4, .payload = 64},
	{"v4 port zero", EXPECT_PASS, 4, .port = 0xffff, .type = 4, .payload = 64},
	{"v4 other address (transit)", EXPECT_PASS, 4, .dst = "203.0.113.2", .type = 4,
	 .payload = 64},
	{"v6 other port", EXPECT_PASS, 6, .port = 53, .type = 4, .payload = 64},
	{"v6 other address (transit)", EXPECT_PASS, 6, .dst = "2001:db8:e::2", .type = 4,
	 .payload = 64},
	{"v4 TCP", EXPECT_PASS, 4, .proto = 6, .type = 4, .payload = 64},
	{"v4 ICMP", EXPECT_PASS, 4, .proto = 1, .type = 8, .payload = 64},
	{"v6 TCP", EXPECT_PASS, 6, .proto = 6, .type = 4, .payload = 64},
	{"v6 ICMPv6", EXPECT_PASS, 6, .proto = 58, .type = 4, .payload = 64},
	{"ARP", EXPECT_PASS, 4, .ethertype = 0x0806, .type = 4, .payload = 64},
	{"three VLAN tags", EXPECT_PASS, 4, .vlans = 3, .type = 4, .payload = 64},
	{"v4 version 5", EXPECT_PASS, 4, .first = 0x55, .type = 4, .payload = 64},
	{"v4 IHL 4", EXPECT_PASS, 4, .first = 0x44, .type = 4, .payload = 64},
	{"v4 IHL 0, total length as the port", EXPECT_PASS, 4, .first = 0x40, .ip_len = 51820 - 92,
	 .type = 4, .payload = 64},
	{"v6 version 5", EXPECT_PASS, 6, .first = 0x50, .type = 4, .payload = 64},
	{"v4 IP header cut", EXPECT_PASS, 4, .type = 4, .payload = 64, .tail = -(64 + 8 + 1)},
	{"v4 options cut", EXPECT_PASS, 4, .options = 8, .type = 4, .payload = 64,
	 .tail = -(64 + 8 + 1)},
	{"v4 UDP header cut", EXPECT_PASS, 4, .type = 4, .payload = 64, .tail = -(64 + 1)},
	{"v6 IP header cut", EXPECT_PASS, 6, .type = 4, .payload = 64, .tail = -(64 + 8 + 1)},
	{"v6 extension cut", EXPECT_PASS, 6, .ext = {{0, 1, 0, 0}}, .type = 4, .payload = 64,
	 .tail = -(64 + 8 + 1)},
	{"VLAN tag cut", EXPECT_PASS, 4, .vlans = 1, .type = 4, .payload = 64,
	 .tail = -(64 + 8 + 20 + 1)},
	{"second VLAN tag cut", EXPECT_PASS, 4, .vlans = 2, .type = 4, .payload = 64,
	 .tail = -(64 + 8 + 20 + 1)},
	{"v6 seven headers", EXPECT_PASS, 6,
	 .ext = {{0, 1, 0, 0},
		 {60, 1, 0, 0},
		 {43, 1, 0, 0},
		 {60, 2, 0, 0},
		 {60, 1, 0, 0},
		 {60, 1, 0, 0},
		 {60, 1, 0, 0}},
	 .type = 4, .payload = 64},
	{"v6 segments left", EXPECT_PASS, 6, .ext = {{43, 3, 1, 0}}, .type = 4, .payload = 64},
	{"v6 no next header", EXPECT_PASS, 6, .ext = {{60, 1, 0, 0}}, .proto = 59, .type = 4,
	 .payload = 64},
	{"v4 TCP fragment", EXPECT_PASS, 4, .frag = 0x2000, .proto = 6, .type = 4, .payload = 64},
	{"v6 TCP fragment", EXPECT_PASS, 6, .ext = {{44, 1, 0, 1}}, .proto = 6, .type = 4,
	 .payload = 64},
	{"v4 fragment, transit", EXPECT_PASS, 4, .frag = 0x2000, .dst = "203.0.113.2", .type = 4,
	 .payload = 64},
	{"v6 fragment, transit", EXPECT_PASS, 6, .ext = {{44, 1, 0, 1}}, .dst = "2001:db8:e::2",
	 .type = 4, .payload = 64},
	{"v4 denied source, other port", EXPECT_PASS, 4, .src = FIXTURE_DENY_V4, .port = 53,
	 .type = 4, .payload = 64},
	{"v6 denied source, transit", EXPECT_PASS, 6, .src = FIXTURE_DENY_V6,
	 .dst = "2001:db8:e::2", .type = 4, .payload = 64},
	/* fragments */
	{"v4 first fragment", STEER_DROP_xdp_fragment, 4, .frag = 0x2000, .type = 4, .payload = 64},
	{"v4 middle fragment", STEER_DROP_xdp_fragment, 4, .frag = 0x2010, .type = 4,
	 .payload = 64},
	{"v4 last fragment", STEER_DROP_xdp_fragment, 4, .frag = 0x0001, .type = 4, .payload = 64},
	{"v6 first fragment", STEER_DROP_xdp_fragment, 6, .ext = {{44, 1, 0, 1}}, .type = 4,
	 .payload = 64},
	{"v6 last fragment", STEER_DROP_xdp_fragment, 6, .ext = {{44, 1, 0, 8}}, .type = 4,
	 .payload = 64},
	{"v6 hop-by-hop then fragment", STEER_DROP_xdp_fragment, 6,
	 .ext = {{0, 1, 0, 0}, {44, 1, 0, 9}}, .type = 4, .payload = 64},
	/* lengths that contradict each other */
	{"v4 UDP longer than IP", STEER_DROP_xdp_malformed, 4, .type = 4, .payload = 64,
	 .udp_len = 1},
	{"v4 UDP shorter than its header", STEER_DROP_xdp_malformed, 4, .type = 4, .payload = 64,
	 .udp_len = -65},
	{"v4 UDP length zero", STEER_DROP_xdp_malformed, 4, .type = 4, .payload = 64,
	 .udp_len = -72},
	{"v4 IP longer than the frame", STEER_DROP_xdp_malformed, 4, .type = 4, .payload = 64,
	 .ip_len = 1},
	{"v4 IP shorter than its header", STEER_DROP_xdp_malformed, 4, .type = 4, .payload = 64,
	 .ip_len = -73},
	{"v4 frame cut in the payload", STEER_DROP_xdp_malformed, 4, .type = 4, .payload = 64,
	 .tail = -1},
	{"v4 frame cut in the type", STEER_DROP_xdp_malformed, 4, .type = 4, .payload = 64,
	 .tail = -61},
	{"v6 UDP longer than IP", STEER_DROP_xdp_malformed, 6, .type = 4, .payload = 64,
	 .udp_len = 1},
	{"v6 IP longer than the frame", STEER_DROP_xdp_malformed, 6, .type = 4, .payload = 64,
	 .ip_len = 1},
	{"v6 extension longer than IP", STEER_DROP_xdp_malformed, 6, .ext = {{0, 2, 0, 0}},
	 .type = 4, .payload = 64, .ip_len = -75},
	{"v6 frame cut in the payload", STEER_DROP_xdp_malformed, 6, .type = 4, .payload = 64,
	 .tail = -1},
	/* header checksum */
	{"v4 checksum, a bit flipped", STEER_DROP_xdp_checksum, 4, .type = 4, .payload = 64, .sum_xor = 1},
	{"v4 checksum, the top bit flipped", STEER_DROP_xdp_checksum, 4, .type = 4, .payload = 64, .sum_xor = 0x8000},
	{"v4 checksum with options", STEER_DROP_xdp_checksum, 4, .options = 40, .type = 4, .payload = 64,
	 .sum_xor = 0x0100},
	{"v4 wrong checksum, fragment", STEER_DROP_xdp_fragment, 4, .frag = 0x2000, .type = 4, .payload = 64,
	 .sum_xor = 1},
	{"v4 wrong checksum, malformed", STEER_DROP_xdp_malformed, 4, .type = 4, .payload = 64, .udp_len = 1,
	 .sum_xor = 1},
	{"v4 wrong checksum, bad type", STEER_DROP_xdp_checksum, 4, .type = 9, .payload = 64, .sum_xor = 1},
	{"v4 wrong checksum, denied", STEER_DROP_xdp_denied, 4, .src = FIXTURE_DENY_V4, .type = 4, .payload = 64,
	 .sum_xor = 1},
	{"v4 wrong checksum, other port", EXPECT_PASS, 4, .port = 53, .type = 4, .payload = 64, .sum_xor = 1},
	/* not WireGuard */
	{"type 0", STEER_DROP_xdp_type, 4, .type = 0, .payload = 64},
	{"type 5", STEER_DROP_xdp_type, 4, .type = 5, .payload = 64},
	{"type 255", STEER_DROP_xdp_type, 6, .type = 255, .payload = 64},
	{"reserved byte 1", STEER_DROP_xdp_type, 4, .type = 4, .reserved = {1}, .payload = 64},
	{"reserved byte 2", STEER_DROP_xdp_type, 4, .type = 4, .reserved = {0, 1}, .payload = 64},
	{"reserved byte 3", STEER_DROP_xdp_type, 6, .type = 4, .reserved = {0, 0, 1},
	 .payload = 64},
	{"empty", STEER_DROP_xdp_length, 4, .payload = 0},
	{"three bytes", STEER_DROP_xdp_length, 4, .type = 4, .payload = 3},
	{"initiation too short", STEER_DROP_xdp_length, 4, .type = 1, .payload = 147},
	{"initiation too long", STEER_DROP_xdp_length, 6, .type = 1, .payload = 149},
	{"response too short", STEER_DROP_xdp_length, 4, .type = 2, .payload = 91},
	{"response too long", STEER_DROP_xdp_length, 4, .type = 2, .payload = 93},
	{"cookie too short", STEER_DROP_xdp_length, 4, .type = 3, .payload = 63},
	{"cookie too long", STEER_DROP_xdp_length, 4, .type = 3, .payload = 65},
	{"data too short", STEER_DROP_xdp_length, 4, .type = 4, .payload = 31},
	/* deny list, which comes before every other check */
	{"v4 denied", STEER_DROP_xdp_denied, 4, .src = FIXTURE_DENY_V4, .type = 4, .payload = 64},
	{"v6 denied", STEER_DROP_xdp_denied, 6, .src = FIXTURE_DENY_V6, .type = 4, .payload = 64},
	{"v4 denied, bad type", STEER_DROP_xdp_denied, 4, .src = FIXTURE_DENY_V4, .type = 9,
	 .payload = 64},
};

#define N_NAMED_FIXTURES (sizeof(fixtures) / sizeof(fixtures[0]))

/* Every message, right and wrong, in every plain wrapping: 2 families × 0 to 2 tags × with and without options. */
static const struct {
	const char *name;
	uint8_t type;
	uint16_t payload;
	int expect;
} fixture_messages[] = {
	{"initiation", 1, 148, STEER_REDIRECTED},
	{"initiation cut", 1, 132, STEER_DROP_xdp_length},
	{"initiation as long as a response", 1, 92, STEER_DROP_xdp_length},
	{"response", 2, 92, STEER_REDIRECTED},
	{"response as long as an initiation", 2, 148, STEER_DROP_xdp_length},
	{"cookie", 3, 64, STEER_REDIRECTED},
	{"cookie as long as a response", 3, 92, STEER_DROP_xdp_length},
	{"keepalive", 4, 32, STEER_REDIRECTED},
	{"data, not a multiple of 16", 4, 1001, STEER_REDIRECTED},
	{"data cut", 4, 16, STEER_DROP_xdp_length},
	{"type 0", 0, 148, STEER_DROP_xdp_type},
	{"type 5", 5, 64, STEER_DROP_xdp_type},
};

#define N_FIXTURE_MESSAGES (sizeof(fixture_messages) / sizeof(fixture_messages[0]))
#define N_FIXTURES	   (N_NAMED_FIXTURES + N_FIXTURE_MESSAGES * 12)

/* Fixture i < N_FIXTURES. The name lives until the next call. */
static inline struct fixture fixture_get(size_t i)
{
	static char name[96];
	struct fixture f;

	if (i < N_NAMED_FIXTURES)
		return fixtures[i];
	i -= N_NAMED_FIXTURES;
	memset(&f, 0, sizeof(f));
	f.family = i % 2 ? 6 : 4;
	f.vlans = (int)(i / 2 % 3);
	if (i / 6 % 2 && f.family == 4)
		f.options = 12;
	else if (i / 6 % 2)
		f.ext[0] = (struct fixture_ext){.type = 60, .units = 2};
	f.type = fixture_messages[i / 12].type;
	f.payload = fixture_messages[i / 12].payload;
	f.expect = fixture_messages[i / 12].expect;
	snprintf(name, sizeof(name), "v%d %s, %d tags%s", f.family, fixture_messages[i / 12].name, f.vlans,
		 i / 6 % 2 ? ", options" : "");
	f.name = name;
	return f;
}

static inline void fixture_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* The checksum of an IPv4 header whose checksum field is zero (RFC 1071). */
static inline uint16_t fixture_sum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* IPv4 header; returns its length. */
static inline size_t fixture_ipv4(const struct fixture *f, uint8_t *p, size_t payload)
{
	size_t len = 20 + (size_t)f->options;

	p[0] = (uint8_t)(0x40 | len / 4);
	fixture_put16(p + 2, (uint32_t)((int)(len + payload) + f->ip_len));
	fixture_put16(p + 6, f->frag);
	p[8] = 64;
	p[9] = f->proto ? f->proto : 17;
	inet_pton(AF_INET, f->src ? f->src : FIXTURE_PEER_V4, p + 12);
	inet_pton(AF_INET, f->dst ? f->dst : FIXTURE_V4, p + 16);
	memset(p + 20, 1, (size_t)f->options); /* no-ops */
	fixture_put16(p + 10, fixture_sum(p, len) ^ f->sum_xor);
	return len;
}

static inline size_t fixture_ipv6(const struct fixture *f, uint8_t *p, size_t payload)
{
	uint8_t *next = p + 6;
	size_t len = 40;

	p[0] = 0x60;
	p[7] = 64;
	inet_pton(AF_INET6, f->src ? f->src : FIXTURE_PEER_V6, p + 8);
	inet_pton(AF_INET6, f->dst ? f->dst : FIXTURE_V6, p + 24);
	for (const struct fixture_ext *ext = f->ext; ext->units; ext++) {
		*next = ext->type;
		next = p + len;
		if (ext->type == 44)
			fixture_put16(p + len + 2, ext->frag);
		else
			p[len + 1] = (uint8_t)(ext->units - 1);
		if (ext->type == 43)
			p[len + 3] = ext->byte3;
		len += 8U * ext->units;
	}
	*next = f->proto ? f->proto : 17;
	fixture_put16(p + 4, (uint32_t)((int)(len - 40 + payload) + f->ip_len));
	return len;
}

/* Builds the frame into buf (FIXTURE_MAX bytes); returns its length. */
static inline size_t fixture_build(const struct fixture *f, uint8_t *buf)
{
	uint8_t *p = buf + 12;
	size_t udp_len = 8U + f->payload;

	memset(buf, 0, FIXTURE_MAX);
	memcpy(buf, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
	for (int i = 0; i < f->vlans; i++, p += 4) {
		fixture_put16(p, i == 0 && f->vlan_type ? f->vlan_type : 0x8100);
		fixture_put16(p + 2, 100U + (unsigned)i);
	}
	fixture_put16(p, f->ethertype ? f->ethertype : f->family == 4 ? 0x0800 : 0x86dd);
	p += 2;
	uint8_t *ip = p;

	p += f->family == 4 ? fixture_ipv4(f, p, udp_len) : fixture_ipv6(f, p, udp_len);
	if (f->first)
		ip[0] = f->first;
	fixture_put16(p, 40000);
	fixture_put16(p + 2, f->port == 0xffff ? 0 : f->port ? f->port : FIXTURE_PORT);
	fixture_put16(p + 4, (uint32_t)((int)udp_len + f->udp_len));
	p += 8;
	for (size_t i = 4; i < f->payload; i++)
		p[i] = (uint8_t)i;
	if (f->no_mac2)
		memset(p + f->payload - 16, 0, 16);
	if (f->payload) {
		p[0] = f->type;
		memcpy(p + 1, f->reserved, 3);
	}
	return (size_t)((p - buf) + f->payload + f->tail);
}

#endif
