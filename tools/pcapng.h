// SPDX-License-Identifier: BSD-3-Clause
// Writes pcapng (draft-ietf-opsawg-pcapng): one section, two interfaces, enhanced packet blocks with comments. Pure but for
// the FILE it writes to, in the byte order of this machine as the format wants it.
#ifndef SLUICE_TOOLS_PCAPNG_H
#define SLUICE_TOOLS_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PCAPNG_LINK_ETHERNET 1
#define PCAPNG_LINK_RAW      101 /* IPv4 or IPv6 without a link-layer header */

/* Section header, and one interface of this link type with times in nanoseconds. False: it could not be written. */
bool pcapng_begin(FILE *f, uint16_t link_type, const char *interface);

/* received: came in (else it went out). length ≥ kept. comment may be NULL. */
bool pcapng_packet(FILE *f, int64_t time_ns, bool received, const void *data, uint32_t kept, uint32_t length,
		   const char *comment);

#endif
