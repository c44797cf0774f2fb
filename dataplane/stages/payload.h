/* SPDX-License-Identifier: BSD-3-Clause */
/* What a TCP segment or UDP datagram carries, for inspection. Pure functions. */
#ifndef DATAPLANE_STAGES_PAYLOAD_H
#define DATAPLANE_STAGES_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

struct payload {
	const uint8_t *data; /* into the packet */
	unsigned len;        /* bytes */
	uint32_t seq;        /* TCP: of the first byte, or of SYN; host order */
	uint8_t flags;       /* TCP flags, else 0 */
};

/*
 * Reads the TCP or UDP header at l4_offset of a whole, well-formed inner packet (inner_parse) that is no fragment. False: the
 * header's own lengths do not fit the packet, or another protocol.
 */
bool payload_read(const uint8_t *packet, unsigned len, uint8_t proto, unsigned l4_offset, struct payload *out);

/* The transport checksum is right (RFC 9293 3.1, RFC 768; none in IPv4 UDP is right too): the far end would take it. */
bool payload_checksum_ok(const uint8_t *packet, unsigned len, uint8_t family, uint8_t proto, unsigned l4_offset);

/* Writes another sequence number into a TCP header; the checksum is not kept. */
void payload_set_seq(uint8_t *packet, unsigned l4_offset, uint32_t seq);

#endif
