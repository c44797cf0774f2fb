// SPDX-License-Identifier: BSD-3-Clause
// Answers to what is refused: a reset for TCP, "prohibited" for the rest. Pure.
#ifndef SLUICE_CONNECTOR_REFUSE_H
#define SLUICE_CONNECTOR_REFUSE_H

#include "connector/packet.h"

/* Quoted at most so many bytes; with headers below the least MTU of either family. */
#define REFUSE_QUOTE_MAX_BYTES 500
#define REFUSE_MAX_BYTES (40 + 8 + REFUSE_QUOTE_MAX_BYTES)

/* The answer to a packet of a device, from the address it was sent to, into `out` (REFUSE_MAX_BYTES): a RST for TCP (RFC 9293,
 * 3.5.2), else ICMP "administratively prohibited" (RFC 1812, 5.2.7.1; RFC 4443, 3.1). Returns its length; 0 where none is
 * due: a RST, an ICMP error, a later fragment. */
uint32_t refuse_packet(const struct packet *p, uint8_t *out);

/* A RST of a device's connection, as the device would send it (sequence number `seq`, host byte order) into `out` (60 bytes).
 * Returns its length. */
uint32_t refuse_as_device(const struct ip_addr *device, const struct ip_addr *origin, uint16_t device_port,
			  uint16_t origin_port, uint32_t seq, uint8_t *out);

#endif
