// SPDX-License-Identifier: BSD-3-Clause
// ICMP and ICMPv6 errors as bytes (RFC 792, 1812, 4443).
#include "dataplane/stages/icmp_error.h"

#include <string.h>

#include "dataplane/stages/inner.h"

struct icmp_code {
	uint8_t type4, code4, type6, code6;
};

static const struct icmp_code codes[] = {
	[ICMP_ERROR_NO_ROUTE] = {3, 0, 1, 0},   [ICMP_ERROR_HOST_UNREACHABLE] = {3, 1, 1, 3},
	[ICMP_ERROR_PROHIBITED] = {3, 13, 1, 1}, [ICMP_ERROR_TTL] = {11, 0, 3, 0},
	[ICMP_ERROR_TOO_BIG] = {3, 4, 2, 0},
};

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* RFC 1812 4.3.2.7, RFC 4443 2.4e: about these packets nobody gets an error. */
static bool forbidden(const uint8_t *p, const struct inner_info *info, enum icmp_error error)
{
	const uint8_t *src = inner_src(p, info->family), *dst = inner_dst(p, info->family);

	if (info->icmp_error || info->later_fragment)
		return true;
	if (inner_is_martian(info->family, src))
		return true;
	if (inner_is_noise(info->family, dst))
		return !(info->family == 6 && error == ICMP_ERROR_TOO_BIG);
	return info->family == 6 && info->proto == INNER_ICMPV6 && p[info->l4_offset] == 137;
}

static unsigned build_v4(const struct icmp_code *c, const uint8_t *packet, unsigned len, const uint8_t *source,
			 uint32_t mtu, uint8_t *out)
{
	unsigned quote = len < 576 - 28 ? len : 576 - 28;
	uint16_t sum;

	memset(out, 0, 28);
	out[0] = 0x45;
	out[1] = 0xc0; /* internetwork control (RFC 1812 4.3.2.5) */
	put16(out + 2, 28 + quote);
	out[8] = 64;
	out[9] = INNER_ICMP;
	memcpy(out + 12, source, 4);
	memcpy(out + 16, packet + 12, 4);
	sum = inner_sum_fold(inner_sum(out, 20, 0));
	memcpy(out + 10, &sum, 2);
	out[20] = c->type4;
	out[21] = c->code4;
	if (c->type4 == 3 && c->code4 == 4)
		put16(out + 26, mtu);
	memcpy(out + 28, packet, quote);
	sum = inner_l4_checksum(4, source, packet + 12, INNER_ICMP, out + 20, 8 + quote);
	memcpy(out + 22, &sum, 2);
	return 28 + quote;
}

static unsigned build_v6(const struct icmp_code *c, const uint8_t *packet, unsigned len, const uint8_t *source,
			 uint32_t mtu, uint8_t *out)
{
	unsigned quote = len < 1280 - 48 ? len : 1280 - 48;
	uint16_t sum;

	memset(out, 0, 48);
	out[0] = 0x60;
	put16(out + 4, 8 + quote);
	out[6] = INNER_ICMPV6;
	out[7] = 64;
	memcpy(out + 8, source, 16);
	memcpy(out + 24, packet + 8, 16);
	out[40] = c->type6;
	out[41] = c->code6;
	if (c->type6 == 2) {
		put16(out + 44, mtu >> 16);
		put16(out + 46, mtu);
	}
	memcpy(out + 48, packet, quote);
	sum = inner_l4_checksum(6, source, packet + 8, INNER_ICMPV6, out + 40, 8 + quote);
	memcpy(out + 42, &sum, 2);
	return 48 + quote;
}

unsigned icmp_error_build(enum icmp_error error, const uint8_t *packet, unsigned len, const uint8_t *source,
			  uint32_t mtu, uint8_t *out)
{
	struct inner_info info;

	if (inner_parse(packet, len, &info) != INNER_OK || forbidden(packet, &info, error))
		return 0;
	if (info.family == 4)
		return build_v4(&codes[error], packet, info.length, source, mtu, out);
	return build_v6(&codes[error], packet, info.length, source, mtu, out);
}
