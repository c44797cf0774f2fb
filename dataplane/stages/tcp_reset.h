/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP resets about packets that policy refuses (RFC 9293 3.5.2, 3.10.7.1). Pure. */
#ifndef DATAPLANE_STAGES_TCP_RESET_H
#define DATAPLANE_STAGES_TCP_RESET_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_RESET_MAX_BYTES 60

/*
 * Writes the reset that `packet` (len bytes, an inner packet) calls for into out (≥ TCP_RESET_MAX_BYTES): to its sender, as
 * a host without the connection answers; or on to its receiver, in the sender's name, with the sequence number that the
 * receiver expects next when the packet itself is not delivered. Returns its length, or 0: not TCP, a fragment, malformed,
 * or itself a reset.
 */
unsigned tcp_reset_build(const uint8_t *packet, unsigned len, bool to_sender, uint8_t *out);

#endif
