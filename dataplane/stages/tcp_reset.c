// SPDX-License-Identifier: BSD-3-Clause
// TCP resets as bytes.
#include "dataplane/stages/tcp_reset.h"

#include <string.h>

#include "dataplane/stages/inner.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10
#define TCP_BYTES 20

/* What the reset says. */
struct reset {
	uint32_t seq, ack;
	uint8_t flags;
};

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/* RFC 9293 3.10.7.1: seq from the segment's ACK, or zero and an ACK of all that the segment occupies. */
static struct reset for_sender(const uint8_t *tcp, unsigned payload)
{
	uint32_t occupied = payload + ((tcp[13] & SYN) != 0) + ((tcp[13] & FIN) != 0);

	if (tcp[13] & ACK)
		return (struct reset){.seq = get32(tcp + 8), .flags = RST};
	return (struct reset){.ack = get32(tcp + 4) + occupied, .flags = RST | ACK};
}

/* RFC 9293 3.10.7.4: acceptable where the sequence number is exactly the next one expected (RFC 5961 3.2). */
static struct reset for_receiver(const uint8_t *tcp)
{
	struct reset r = {.seq = get32(tcp + 4), .flags = RST};

	if (tcp[13] & ACK) {
		r.ack = get32(tcp + 8);
		r.flags |= ACK;
	}
	return r;
}

/* IP header without checksums; addresses of `packet`, swapped or not. */
static unsigned put_ip(const uint8_t *packet, uint8_t family, bool swap, uint8_t *out)
{
	unsigned alen = family == 4 ? 4 : 16, at = family == 4 ? 12 : 8, header = family == 4 ? 20 : 40;

	memset(out, 0, header);
	if (family == 4) {
		out[0] = 0x45;
		out[3] = (uint8_t)(header + TCP_BYTES);
		out[6] = 0x40;
		out[8] = 64;
		out[9] = INNER_TCP;
	} else {
		out[0] = 0x60;
		out[5] = TCP_BYTES;
		out[6] = INNER_TCP;
		out[7] = 64;
	}
	memcpy(out + at, packet + at + (swap ? alen : 0), alen);
	memcpy(out + at + alen, packet + at + (swap ? 0 : alen), alen);
	return header;
}

unsigned tcp_reset_build(const uint8_t *packet, unsigned len, bool to_sender, uint8_t *out)
{
	const uint8_t *tcp;
	struct inner_info info;
	struct reset r;
	unsigned ip, header;
	uint16_t sum;

	if (inner_parse(packet, len, &info) != INNER_OK || info.proto != INNER_TCP || info.fragment)
		return 0;
	tcp = packet + info.l4_offset;
	header = (tcp[12] >> 4) * 4u;
	if ((tcp[13] & RST) || header < TCP_BYTES || info.l4_offset + header > info.length)
		return 0;
	r = to_sender ? for_sender(tcp, info.length - info.l4_offset - header) : for_receiver(tcp);
	ip = put_ip(packet, info.family, to_sender, out);
	memset(out + ip, 0, TCP_BYTES);
	memcpy(out + ip, tcp + (to_sender ? 2 : 0), 2);
	memcpy(out + ip + 2, tcp + (to_sender ? 0 : 2), 2);
	put32(out + ip + 4, r.seq);
	put32(out + ip + 8, r.ack);
	out[ip + 12] = 0x50;
	out[ip + 13] = r.flags;
	sum = inner_l4_checksum(info.family, inner_src(out, info.family), inner_dst(out, info.family), INNER_TCP, out + ip,
				TCP_BYTES);
	memcpy(out + ip + 16, &sum, 2);
	if (info.family == 4) {
		sum = inner_sum_fold(inner_sum(out, 20, 0));
		memcpy(out + 10, &sum, 2);
	}
	return ip + TCP_BYTES;
}
