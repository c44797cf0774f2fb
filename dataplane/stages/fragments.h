/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Later inner fragments carry no ports: they follow the first fragment of the same datagram, remembered for 30 s in a
 * bounded, direct-mapped table of the worker. Cutting a packet into fragments is here too.
 */
#ifndef DATAPLANE_STAGES_FRAGMENTS_H
#define DATAPLANE_STAGES_FRAGMENTS_H

#include "dataplane/stages/stage.h"

/*
 * Remembers a first fragment; ports in network order, the client's view. DROP_REASON_COUNT, or DROP_fragment_overlap: the
 * datagram has one already (RFC 5722: all of it is refused from then on).
 */
enum drop_reason fragments_first(struct worker *w, const struct pkt_meta *meta, uint32_t client, const uint8_t *remote,
				 uint16_t client_port_be, uint16_t remote_port_be);
/*
 * The ports of the datagram that a later fragment belongs to. DROP_REASON_COUNT; DROP_fragment_no_first; or
 * DROP_fragment_overlap: it overlaps another piece, contradicts the last one, or makes more than FRAG_RANGES gaps.
 */
enum drop_reason fragments_later(struct worker *w, const struct pkt_meta *meta, uint32_t client, const uint8_t *remote,
				 uint16_t *client_port_be, uint16_t *remote_port_be);

/*
 * Cuts an IPv4 packet without DF into fragments of at most mtu bytes (RFC 791, 3.2). The first piece stays in m;
 * further ones are new packets, originated, with m's destination, appended to the worker's out list. Options are
 * repeated in each piece. False, m untouched: no buffer, or mtu leaves no room for 8 bytes.
 */
bool fragments_cut(struct worker *w, struct rte_mbuf *m, unsigned mtu);

#endif
