/* SPDX-License-Identifier: BSD-3-Clause */
/* flood: bad packets as fast as they can be made. What its files share. */
#ifndef TOPOLOGY_FLOOD_H
#define TOPOLOGY_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/wg/wire.h"

#define FRAME_MAX 1514
#define INDEXES_MAX 64

struct frame {
	uint32_t len;
	uint8_t bytes[FRAME_MAX];
};

/* What the frames are made from. Addresses and port in network byte order. */
struct flood {
	uint8_t src_mac[6], dst_mac[6];
	uint32_t src, dst; /* src: for the kinds that come from one source */
	uint16_t port;
	uint8_t edge_key[WG_KEY_BYTES];
	uint32_t index[INDEXES_MAX]; /* live receiver indices, for data with valid ones */
	unsigned n_indexes;
	uint8_t datagram[FRAME_MAX]; /* for replays */
	uint32_t datagram_len;
};

/* Makes one frame of a kind. False: there is no such kind. */
bool flood_frame(const struct flood *flood, const char *kind, struct frame *frame);
/* Whether frames of this kind come from random sources, so that each copy gets a new one. */
bool flood_spoofs(const char *kind);
/* Gives the frame another source; the header checksum is kept right. */
void flood_new_source(struct frame *frame, uint32_t src);
/* The names of all kinds, for a usage text. */
const char *flood_kinds(void);

#endif
