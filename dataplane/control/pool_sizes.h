/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes of what the edge allocates from DPDK, for the pools and for the estimate of memory. */
#ifndef DATAPLANE_CONTROL_POOL_SIZES_H
#define DATAPLANE_CONTROL_POOL_SIZES_H

#include <stdint.h>

#include "dataplane/edge.h"

#define POOL_META_BYTES 128  /* private area of an mbuf: PKT_META_SIZE of dataplane/stages/stage.h */
#define POOL_FRAME      2048 /* longest frame that a port takes, bytes */
#define POOL_XDP_ROOM   256  /* what XDP keeps before a frame */
#define POOL_DATA_ROOM  (128 /* RTE_PKTMBUF_HEADROOM */ + POOL_XDP_ROOM + POOL_FRAME)
#define POOL_MBUF_BYTES (64 + 128 + POOL_META_BYTES + POOL_DATA_ROOM + 64)
#define POOL_MESSAGE_BYTES 320
#define POOL_FLOW_BYTES    320            /* an entry and its part of the index */
#define POOL_WORKER_BYTES  (14u << 20)    /* rings, fragment slots, AEAD context, inspectors and names of flows */

/* A worker must always be able to tell that a slot is free: more messages than slots. */
static inline uint32_t pool_messages(const struct edge_config *c)
{
	return c->n_workers * c->cap_sessions + 16384;
}

#endif
