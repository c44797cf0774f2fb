// SPDX-License-Identifier: BSD-3-Clause
// Codec of the control datagrams (docs/protocols.md, 3).
#include "lib/ctlmsg.h"

#include <errno.h>
#include <string.h>

const uint8_t ctlmsg_edge_addr[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 1};
const uint8_t ctlmsg_connector_addr[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 2};

enum {
	IP6_BYTES = 40,
	UDP_BYTES = 8,
	HEADER_BYTES = 8,
	PROTO_UDP = 17,
};

#define BY_EDGE (1u << CTLMSG_FROM_EDGE)
#define BY_CONNECTOR (1u << CTLMSG_FROM_CONNECTOR)

/* Indexed by type: what it is called, how long its body is, and who may send it. */
static const struct {
	const char *name;
	uint8_t body_bytes;
	uint8_t senders;
} types[] = {
	[CTLMSG_LANDED] = {"landed", 16, BY_EDGE},
	[CTLMSG_HELLO] = {"hello", 4, BY_CONNECTOR},
	[CTLMSG_PROBE] = {"probe", 8, BY_EDGE | BY_CONNECTOR},
	[CTLMSG_PROBE_REPLY] = {"probe_reply", 8, BY_EDGE | BY_CONNECTOR},
	[CTLMSG_GOODBYE] = {"goodbye", 2, BY_CONNECTOR},
	[CTLMSG_DRAIN] = {"drain", 2, BY_EDGE | BY_CONNECTOR},
	[CTLMSG_LIMITS] = {"limits", 8, BY_CONNECTOR},
};

static bool type_known(uint8_t type)
{
	return type < sizeof(types) / sizeof(types[0]) && types[type].name;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

/* Internet checksum (RFC 1071) of pseudo header and datagram, folded; a datagram that carries its
 * right checksum sums to 0xffff. */
static uint16_t udp6_sum(const uint8_t *packet, size_t udp_bytes)
{
	const uint8_t *udp = packet + IP6_BYTES;
	uint32_t sum = (uint32_t)udp_bytes + PROTO_UDP;

	for (size_t i = 8; i < IP6_BYTES; i += 2)
		sum += get16(packet + i);
	for (size_t i = 0; i + 1 < udp_bytes; i += 2)
		sum += get16(udp + i);
	if (udp_bytes & 1)
		sum += (uint32_t)udp[udp_bytes - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

bool ctlmsg_is_addressed(const uint8_t *packet, size_t length_bytes)
{
	if (length_bytes < IP6_BYTES || packet[0] >> 4 != 6)
		return false;
	return (!memcmp(packet + 8, ctlmsg_edge_addr, 16) &&
		!memcmp(packet + 24, ctlmsg_connector_addr, 16)) ||
	       (!memcmp(packet + 8, ctlmsg_connector_addr, 16) &&
		!memcmp(packet + 24, ctlmsg_edge_addr, 16));
}

static void put_body(const struct ctlmsg *msg, uint8_t *body)
{
	switch ((enum ctlmsg_type)msg->type) {
	case CTLMSG_LANDED:
		put16(body, msg->landed.worker);
		put16(body + 2, msg->landed.workers);
		put16(body + 4, msg->landed.mtu);
		put16(body + 6, msg->landed.session_index);
		put64(body + 8, msg->landed.edge_instance);
		break;
	case CTLMSG_HELLO:
		put16(body, msg->hello.session_index);
		put16(body + 2, msg->hello.flags);
		break;
	case CTLMSG_PROBE:
	case CTLMSG_PROBE_REPLY:
		put64(body, msg->probe.stamp);
		break;
	case CTLMSG_GOODBYE:
		put16(body, msg->goodbye.reason);
		break;
	case CTLMSG_DRAIN:
		put16(body, msg->drain.on);
		break;
	case CTLMSG_LIMITS:
		put32(body, msg->limits.max_flows);
		put32(body + 4, msg->limits.active_flows);
		break;
	}
}

int ctlmsg_encode(const struct ctlmsg *msg, enum ctlmsg_side from, uint8_t *packet,
		  size_t capacity_bytes)
{
	bool edge = from == CTLMSG_FROM_EDGE;
	uint8_t *udp = packet + IP6_BYTES;
	size_t body, udp_bytes;
	uint16_t sum;

	if (!type_known(msg->type) || !(types[msg->type].senders & 1u << from))
		return -EINVAL;
	body = types[msg->type].body_bytes;
	udp_bytes = UDP_BYTES + HEADER_BYTES + body;
	if (capacity_bytes < IP6_BYTES + udp_bytes)
		return -ENOSPC;

	put32(packet, 6u << 28);
	put16(packet + 4, (uint16_t)udp_bytes);
	packet[6] = PROTO_UDP;
	packet[7] = CTLMSG_HOP_LIMIT;
	memcpy(packet + 8, edge ? ctlmsg_edge_addr : ctlmsg_connector_addr, 16);
	memcpy(packet + 24, edge ? ctlmsg_connector_addr : ctlmsg_edge_addr, 16);
	put16(udp, CTLMSG_PORT);
	put16(udp + 2, CTLMSG_PORT);
	put16(udp + 4, (uint16_t)udp_bytes);
	put16(udp + 6, 0);
	put32(udp + 8, CTLMSG_MAGIC);
	udp[12] = msg->type;
	udp[13] = msg->flags;
	put16(udp + 14, (uint16_t)body);
	put_body(msg, udp + 16);

	sum = (uint16_t)~udp6_sum(packet, udp_bytes);
	put16(udp + 6, sum ? sum : 0xffff); /* 0 would say "none" (RFC 8200, 8.1) */
	return (int)(IP6_BYTES + udp_bytes);
}

static void get_body(struct ctlmsg *msg, const uint8_t *body)
{
	switch ((enum ctlmsg_type)msg->type) {
	case CTLMSG_LANDED:
		msg->landed.worker = get16(body);
		msg->landed.workers = get16(body + 2);
		msg->landed.mtu = get16(body + 4);
		msg->landed.session_index = get16(body + 6);
		msg->landed.edge_instance = get64(body + 8);
		break;
	case CTLMSG_HELLO:
		msg->hello.session_index = get16(body);
		msg->hello.flags = get16(body + 2);
		break;
	case CTLMSG_PROBE:
	case CTLMSG_PROBE_REPLY:
		msg->probe.stamp = get64(body);
		break;
	case CTLMSG_GOODBYE:
		msg->goodbye.reason = get16(body);
		break;
	case CTLMSG_DRAIN:
		msg->drain.on = get16(body);
		break;
	case CTLMSG_LIMITS:
		msg->limits.max_flows = get32(body);
		msg->limits.active_flows = get32(body + 4);
		break;
	}
}

/* Everything ahead of our own header. Returns 0 and the UDP length, or as ctlmsg_decode(). */
static int check_headers(const uint8_t *packet, size_t length_bytes, enum ctlmsg_side from,
			 size_t *udp_bytes)
{
	bool edge = from == CTLMSG_FROM_EDGE;
	const uint8_t *udp = packet + IP6_BYTES;

	if (length_bytes < CTLMSG_HEADERS_BYTES || packet[0] >> 4 != 6)
		return -EBADMSG;
	if (memcmp(packet + 8, edge ? ctlmsg_edge_addr : ctlmsg_connector_addr, 16) ||
	    memcmp(packet + 24, edge ? ctlmsg_connector_addr : ctlmsg_edge_addr, 16))
		return -EBADMSG;
	*udp_bytes = get16(packet + 4);
	if (packet[6] != PROTO_UDP || packet[7] != CTLMSG_HOP_LIMIT ||
	    *udp_bytes < UDP_BYTES + HEADER_BYTES || *udp_bytes > length_bytes - IP6_BYTES)
		return -EBADMSG;
	if (get16(udp) != CTLMSG_PORT || get16(udp + 2) != CTLMSG_PORT ||
	    get16(udp + 4) != *udp_bytes)
		return -EBADMSG;
	if (!get16(udp + 6) || udp6_sum(packet, *udp_bytes) != 0xffff)
		return -EILSEQ;
	return 0;
}

int ctlmsg_decode(const uint8_t *packet, size_t length_bytes, enum ctlmsg_side from,
		  struct ctlmsg *msg)
{
	const uint8_t *header = packet + IP6_BYTES + UDP_BYTES;
	size_t udp_bytes, body;
	int err;

	err = check_headers(packet, length_bytes, from, &udp_bytes);
	if (err)
		return err;
	body = get16(header + 6);
	if (get32(header) != CTLMSG_MAGIC || body != udp_bytes - UDP_BYTES - HEADER_BYTES)
		return -EBADMSG;
	if (!type_known(header[4]))
		return -ENOTSUP;
	if (!(types[header[4]].senders & 1u << from))
		return -EPROTO;
	if (body < types[header[4]].body_bytes)
		return -EBADMSG;

	memset(msg, 0, sizeof(*msg));
	msg->type = header[4];
	msg->flags = header[5];
	get_body(msg, header + HEADER_BYTES);
	return 0;
}

const char *ctlmsg_type_name(uint8_t type)
{
	return type_known(type) ? types[type].name : "unknown";
}
