/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP and ICMPv6 messages the edge itself sends to inner senders. */
#ifndef DATAPLANE_STAGES_ICMP_ERROR_H
#define DATAPLANE_STAGES_ICMP_ERROR_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct worker;

enum icmp_error {
	ICMP_ERROR_NO_ROUTE,         /* v4 3/0, v6 1/0 */
	ICMP_ERROR_HOST_UNREACHABLE, /* v4 3/1, v6 1/3 */
	ICMP_ERROR_PROHIBITED,       /* v4 3/13, v6 1/1 */
	ICMP_ERROR_TTL,              /* v4 11/0, v6 3/0 */
	ICMP_ERROR_TOO_BIG           /* v4 3/4, v6 2/0, with the MTU */
};

/* Largest error: RFC 1812 4.3.2.3 (576) and RFC 4443 2.4c (1,280). */
#define ICMP_ERROR_MAX_BYTES 1280

/*
 * Writes the error about `packet` (len bytes, well-formed inner packet) from `source` (4 or 16 bytes, network order) to the
 * packet's source into out (≥ ICMP_ERROR_MAX_BYTES). Returns its length, or 0 where RFC 1812 4.3.2.7 / RFC 4443 2.4e
 * forbid an error. `mtu` is for ICMP_ERROR_TOO_BIG. Pure.
 */
unsigned icmp_error_build(enum icmp_error error, const uint8_t *packet, unsigned len, const uint8_t *source,
			  uint32_t mtu, uint8_t *out);

/*
 * Builds the error about m and emits it to the peer that m came from; source is the account's edge address. Limited by
 * the settings' rate per worker and by a tenth of it per peer. Does not take m.
 */
void icmp_error_send(struct worker *w, const struct rte_mbuf *m, enum icmp_error error, uint32_t mtu);

/* Answers an echo request to the edge's own inner address: consumes m, emits the reply. False: m is none, untouched. */
bool icmp_echo_reply(struct worker *w, struct rte_mbuf *m);

#endif
