// SPDX-License-Identifier: BSD-3-Clause
// What a TCP segment or UDP datagram carries.
#include "dataplane/stages/payload.h"

#include <string.h>

#include "dataplane/stages/inner.h"

#define TCP_HEADER 20
#define UDP_HEADER 8

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool payload_read(const uint8_t *packet, unsigned len, uint8_t proto, unsigned l4_offset, struct payload *out)
{
	const uint8_t *h = packet + l4_offset;
	unsigned left = len - l4_offset, header = UDP_HEADER, end = left;

	memset(out, 0, sizeof(*out));
	if (len < l4_offset || left < (proto == INNER_TCP ? TCP_HEADER : UDP_HEADER))
		return false;
	if (proto == INNER_TCP) {
		header = (h[12] >> 4) * 4u;
		if (header < TCP_HEADER)
			return false;
		out->seq = be32(h + 4);
		out->flags = h[13];
	} else if (proto == INNER_UDP) {
		end = (unsigned)(h[4] << 8 | h[5]);
	} else {
		return false;
	}
	if (end > left || header > end)
		return false;
	out->data = h + header;
	out->len = end - header;
	return true;
}

bool payload_checksum_ok(const uint8_t *packet, unsigned len, uint8_t family, uint8_t proto, unsigned l4_offset)
{
	const uint8_t *h = packet + l4_offset;
	unsigned n = len - l4_offset;

	if (proto == INNER_UDP) {
		if (h[6] == 0 && h[7] == 0)
			return family == 4; /* RFC 8200 8.1: forbidden in IPv6 */
		n = (unsigned)(h[4] << 8 | h[5]);
	}
	return inner_l4_checksum(family, inner_src(packet, family), inner_dst(packet, family), proto, h, n) == 0;
}

void payload_set_seq(uint8_t *packet, unsigned l4_offset, uint32_t seq)
{
	for (unsigned i = 0; i < 4; i++)
		packet[l4_offset + 4 + i] = (uint8_t)(seq >> (24 - 8 * i));
}
