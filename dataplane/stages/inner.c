// SPDX-License-Identifier: BSD-3-Clause
// Inner packets as bytes: parse, classify addresses, ECN, TTL, checksums.
#include "dataplane/stages/inner.h"

#include <errno.h>
#include <string.h>

#define EXT_HOP_BY_HOP 0
#define EXT_ROUTING    43
#define EXT_FRAGMENT   44
#define EXT_DEST_OPTS  60
#define EXT_MAX        8

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* RFC 1071, 2(B): whether a header of 20 bytes sums up right is the same in any byte order. */
static bool plain_header_sum_ok(const uint8_t *p)
{
	uint32_t w[5];
	uint64_t sum;

	memcpy(w, p, sizeof(w));
	sum = (uint64_t)w[0] + w[1] + w[2] + w[3] + w[4];
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

uint32_t inner_sum(const uint8_t *data, unsigned len, uint32_t sum)
{
	unsigned i;

	for (i = 0; i + 1 < len; i += 2)
		sum += be16(data + i);
	if (i < len)
		sum += (uint32_t)data[i] << 8;
	return sum;
}

uint16_t inner_sum_fold(uint32_t sum)
{
	uint16_t host;
	uint8_t be[2];

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	host = (uint16_t)~sum;
	be[0] = (uint8_t)(host >> 8);
	be[1] = (uint8_t)host;
	memcpy(&host, be, 2);
	return host;
}

uint16_t inner_l4_checksum(uint8_t family, const uint8_t *src, const uint8_t *dst, uint8_t proto,
			   const uint8_t *payload, unsigned len)
{
	unsigned alen = family == 4 ? 4 : 16;
	uint32_t sum = 0;

	if (!(family == 4 && proto == INNER_ICMP)) {
		sum = inner_sum(src, alen, sum);
		sum = inner_sum(dst, alen, sum);
		sum += proto;
		sum += len;
	}
	return inner_sum_fold(inner_sum(payload, len, sum));
}

/* ICMP errors of RFC 792 (3, 4, 5, 11, 12) and RFC 4443 (types below 128). */
static bool icmp_type_is_error(uint8_t family, uint8_t type)
{
	if (family == 6)
		return type < 128;
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static bool icmp_ports(const uint8_t *l4, unsigned len, struct inner_info *info)
{
	uint8_t request = info->family == 4 ? 8 : 128, reply = info->family == 4 ? 0 : 129;

	if (len < 8)
		return false;
	info->icmp_error = icmp_type_is_error(info->family, l4[0]);
	if (l4[0] == request)
		memcpy(&info->src_port_be, l4 + 4, 2);
	else if (l4[0] == reply)
		memcpy(&info->dst_port_be, l4 + 4, 2);
	return true;
}

/* Ports of the transport header at l4; false when it is cut short. */
static bool transport(const uint8_t *l4, unsigned len, struct inner_info *info)
{
	switch (info->proto) {
	case INNER_TCP:
		if (len < 20 || (l4[12] >> 4) < 5)
			return false;
		info->tcp_flags = l4[13];
		break;
	case INNER_UDP:
		if (len < 8 || be16(l4 + 4) < 8 || (!info->fragment && be16(l4 + 4) > len))
			return false;
		break;
	case INNER_ICMP:
	case INNER_ICMPV6:
		return icmp_ports(l4, len, info);
	default:
		return true;
	}
	memcpy(&info->src_port_be, l4, 2);
	memcpy(&info->dst_port_be, l4 + 2, 2);
	return true;
}

/* Notes which bytes of its datagram a fragment carries; false when that cannot be. */
static bool fragment_range(struct inner_info *info, unsigned from, unsigned len, bool more)
{
	if (len == 0 || (more && len % 8 != 0) || from + len > 65535)
		return false;
	info->more_fragments = more;
	info->fragment_from = (uint16_t)from;
	info->fragment_to = (uint16_t)(from + len);
	return true;
}

static enum inner_result parse_ipv4(const uint8_t *p, unsigned len, struct inner_info *info)
{
	unsigned ihl, total, offset;

	if (len < 20)
		return INNER_MALFORMED;
	ihl = (p[0] & 0xfu) * 4;
	total = be16(p + 2);
	if (ihl < 20 || total < ihl || total > len)
		return INNER_MALFORMED;
	if (ihl == 20 ? !plain_header_sum_ok(p) : inner_sum_fold(inner_sum(p, ihl, 0)) != 0)
		return INNER_BAD_CHECKSUM;
	offset = (be16(p + 6) & 0x1fffu) * 8;
	info->family = 4;
	info->proto = p[9];
	info->length = (uint16_t)total;
	info->l4_offset = (uint16_t)ihl;
	info->fragment = offset != 0 || (p[6] & 0x20) != 0;
	info->later_fragment = offset != 0;
	info->fragment_id = be16(p + 4);
	/* an ICMPv6 header in IPv4, or ICMP in IPv6, is nobody's: parse_ipv6 says the same */
	if (info->proto == INNER_ICMPV6)
		return INNER_MALFORMED;
	if (info->fragment && !fragment_range(info, offset, total - ihl, p[6] & 0x20))
		return INNER_MALFORMED;
	if (info->later_fragment)
		return info->proto == INNER_TCP && offset < 16 ? INNER_MALFORMED : INNER_OK;
	return transport(p + ihl, total - ihl, info) ? INNER_OK : INNER_MALFORMED;
}

/* Walks the extension headers; false when they are cut short or too many. */
static bool ipv6_extensions(const uint8_t *p, unsigned total, struct inner_info *info)
{
	unsigned offset = 40;
	uint8_t next = p[6];

	for (unsigned i = 0; i < EXT_MAX; i++) {
		if (next == EXT_FRAGMENT) {
			unsigned frag;

			if (offset + 8 > total)
				return false;
			frag = be16(p + offset + 2);
			/* an atomic fragment (RFC 6946) is no fragment */
			info->fragment = (frag & 0xfff9) != 0;
			info->later_fragment = (frag & 0xfff8) != 0;
			memcpy(&info->fragment_id, p + offset + 4, 4);
			next = p[offset];
			offset += 8;
			if (info->fragment && !fragment_range(info, frag & 0xfff8, total - offset, frag & 1))
				return false;
			if (info->later_fragment)
				break;
		} else if (next == EXT_HOP_BY_HOP || next == EXT_ROUTING || next == EXT_DEST_OPTS) {
			if (offset + 8 > total)
				return false;
			next = p[offset];
			offset += (p[offset + 1] + 1u) * 8;
			if (offset > total)
				return false;
		} else {
			break;
		}
	}
	if (next == EXT_HOP_BY_HOP || next == EXT_ROUTING || next == EXT_DEST_OPTS || next == EXT_FRAGMENT)
		return info->later_fragment;
	info->proto = next;
	info->l4_offset = (uint16_t)offset;
	return offset <= total;
}

static enum inner_result parse_ipv6(const uint8_t *p, unsigned len, struct inner_info *info)
{
	unsigned total;

	if (len < 40)
		return INNER_MALFORMED;
	total = be16(p + 4) + 40u;
	if (total > len)
		return INNER_MALFORMED;
	info->family = 6;
	info->length = (uint16_t)total;
	if (!ipv6_extensions(p, total, info) || info->proto == INNER_ICMP)
		return INNER_MALFORMED;
	if (info->later_fragment)
		return INNER_OK;
	return transport(p + info->l4_offset, total - info->l4_offset, info) ? INNER_OK : INNER_MALFORMED;
}

enum inner_result inner_parse(const uint8_t *packet, unsigned len, struct inner_info *info)
{
	memset(info, 0, sizeof(*info));
	if (len < 1)
		return INNER_MALFORMED;
	switch (packet[0] >> 4) {
	case 4:
		return parse_ipv4(packet, len, info);
	case 6:
		return parse_ipv6(packet, len, info);
	default:
		return INNER_MALFORMED;
	}
}

bool inner_parse_quote(const uint8_t *quote, unsigned len, uint8_t family, struct inner_info *info)
{
	unsigned offset;

	memset(info, 0, sizeof(*info));
	info->family = family;
	if (family == 4) {
		if (len < 20 || quote[0] >> 4 != 4)
			return false;
		offset = (quote[0] & 0xfu) * 4;
		info->proto = quote[9];
		if (offset < 20 || (be16(quote + 6) & 0x1fff) != 0)
			return false;
	} else {
		if (len < 40 || quote[0] >> 4 != 6)
			return false;
		if (!ipv6_extensions(quote, len, info) || info->later_fragment)
			return false;
		offset = info->l4_offset;
	}
	if (offset + 8 > len)
		return false;
	info->l4_offset = (uint16_t)offset;
	switch (info->proto) {
	case INNER_TCP:
	case INNER_UDP:
		memcpy(&info->src_port_be, quote + offset, 2);
		memcpy(&info->dst_port_be, quote + offset + 2, 2);
		return true;
	case INNER_ICMP:
	case INNER_ICMPV6:
		return icmp_ports(quote + offset, len - offset, info) && !info->icmp_error;
	default:
		return false;
	}
}

bool inner_is_martian(uint8_t family, const uint8_t *a)
{
	static const uint8_t zeros[16], loopback[16] = {[15] = 1},
				 mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (family == 4)
		return a[0] == 0 || a[0] == 127 || (a[0] == 169 && a[1] == 254) || a[0] >= 224;
	return memcmp(a, zeros, 16) == 0 || memcmp(a, loopback, 16) == 0 ||
	       (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || a[0] == 0xff || memcmp(a, mapped, 12) == 0;
}

bool inner_is_noise(uint8_t family, const uint8_t *a)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if (family == 4)
		return (a[0] & 0xf0) == 224 || memcmp(a, broadcast, 4) == 0 || (a[0] == 169 && a[1] == 254);
	return a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80);
}

/* RFC 1624 eqn. 3 on bytes as stored: one 16-bit word of the header changed. */
static void fix_header_checksum(uint8_t *p, uint16_t from, uint16_t to)
{
	uint32_t sum = (uint32_t)(uint16_t)~be16(p + 10) + (uint32_t)(uint16_t)~from + to;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum;
	p[10] = (uint8_t)(sum >> 8);
	p[11] = (uint8_t)sum;
}

bool inner_ecn_decapsulate(uint8_t *p, uint8_t family, uint8_t outer)
{
	uint8_t inner = inner_ecn(p, family), result = inner;

	if (inner == 0)
		return outer != 3; /* Not-ECT stays Not-ECT; with an outer CE the packet goes */
	if (outer == 3)
		result = 3;
	else if (inner == 2 && outer == 1)
		result = 1; /* ECT(0) under ECT(1): the more severe */
	if (result == inner)
		return true;
	if (family == 4) {
		uint16_t from = be16(p);

		p[1] = (uint8_t)((p[1] & 0xfc) | result);
		fix_header_checksum(p, from, be16(p));
	} else {
		p[1] = (uint8_t)((p[1] & 0xcf) | result << 4);
	}
	return true;
}

bool inner_ttl_decrement(uint8_t *p, uint8_t family)
{
	if (family == 4) {
		uint16_t from = be16(p + 8);

		if (p[8] <= 1)
			return false;
		p[8]--;
		fix_header_checksum(p, from, be16(p + 8));
		return true;
	}
	if (p[7] <= 1)
		return false;
	p[7]--;
	return true;
}
