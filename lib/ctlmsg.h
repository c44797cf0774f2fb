// SPDX-License-Identifier: BSD-3-Clause
// Control datagrams between edge and connector inside a session (docs/protocols.md, 3): whole inner
// IPv6/UDP packets in and out. Pure: no I/O, no state, any thread.
#ifndef SLUICE_LIB_CTLMSG_H
#define SLUICE_LIB_CTLMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTLMSG_MAGIC 0x534c4331u /* "SLC1" */
#define CTLMSG_PORT 51821
#define CTLMSG_HOP_LIMIT 255
#define CTLMSG_HEADERS_BYTES (40 + 8 + 8) /* IPv6, UDP, our own */
#define CTLMSG_BODY_MAX_BYTES 16	  /* of what we send */
#define CTLMSG_PACKET_MAX_BYTES (CTLMSG_HEADERS_BYTES + CTLMSG_BODY_MAX_BYTES)
#define CTLMSG_HELLO_SETTLED 1u /* hello.flags: carry flows on this session */

/* fe80::5:1 and fe80::5:2 as they stand in a packet. */
extern const uint8_t ctlmsg_edge_addr[16];
extern const uint8_t ctlmsg_connector_addr[16];

enum ctlmsg_side {
	CTLMSG_FROM_EDGE,
	CTLMSG_FROM_CONNECTOR,
};

enum ctlmsg_type {
	CTLMSG_LANDED = 1,
	CTLMSG_HELLO = 2,
	CTLMSG_PROBE = 3,
	CTLMSG_PROBE_REPLY = 4,
	CTLMSG_GOODBYE = 5,
	CTLMSG_DRAIN = 6,
	CTLMSG_LIMITS = 7,
};

/* One message, fields in host byte order. */
struct ctlmsg {
	uint8_t type;  /* enum ctlmsg_type */
	uint8_t flags; /* of the header; 0 in this version */
	union {
		struct {
			uint16_t worker;
			uint16_t workers;
			uint16_t mtu;
			uint16_t session_index;
			uint64_t edge_instance;
		} landed;
		struct {
			uint16_t session_index;
			uint16_t flags; /* CTLMSG_HELLO_… */
		} hello;
		struct {
			uint64_t stamp; /* opaque; a reply echoes it */
		} probe;		/* also of CTLMSG_PROBE_REPLY */
		struct {
			uint16_t reason;
		} goodbye;
		struct {
			uint16_t on; /* 1 draining, 0 not */
		} drain;
		struct {
			uint32_t max_flows; /* 0: no limit */
			uint32_t active_flows;
		} limits;
	};
};

/* True if the inner packet is IPv6 with both addresses the control pair's, in either direction.
 * Says only that ctlmsg_decode() is to judge it, nothing about its validity. `packet` may be of
 * any length and alignment. */
bool ctlmsg_is_addressed(const uint8_t *packet, size_t length_bytes);

/* Writes the whole inner packet (IPv6, UDP with checksum, header, body) of `msg` as sent by `from`.
 * Returns its length in bytes (≤ CTLMSG_PACKET_MAX_BYTES); -EINVAL: a type that does not exist or
 * that this side never sends; -ENOSPC: `capacity_bytes` is too small. */
int ctlmsg_encode(const struct ctlmsg *msg, enum ctlmsg_side from, uint8_t *packet,
		  size_t capacity_bytes);

/* Reads a whole inner packet sent by `from`. Bytes behind the IPv6 payload (WireGuard's padding) are
 * ignored, and so are bytes of a body behind the fields known here, so that fields may be added.
 * Returns 0;
 * -EBADMSG: not a control datagram from that side (addresses, ports, hop limit, lengths, magic);
 * -EILSEQ: the UDP checksum is wrong or absent; -ENOTSUP: unknown type (to be ignored and counted);
 * -EPROTO: a type that this side never sends. `msg` is written only on success. */
int ctlmsg_decode(const uint8_t *packet, size_t length_bytes, enum ctlmsg_side from,
		  struct ctlmsg *msg);

/* "landed", "hello", … or "unknown". */
const char *ctlmsg_type_name(uint8_t type);

#endif
