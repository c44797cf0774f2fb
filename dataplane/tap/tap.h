/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A look at packets as they pass, for `sluicectl trace` and `capture`. While one is on, edge->tap points to it: workers copy
 * what its filter wants into a ring each, the control thread takes it out. While none is on a worker tests one pointer a
 * burst. A ring that is full loses records and counts them; packets never wait.
 */
#ifndef DATAPLANE_TAP_TAP_H
#define DATAPLANE_TAP_TAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TAP_SNAP        2048 /* bytes kept of a packet at most */
#define TAP_RING        512  /* records of a worker, a power of two */
#define TAP_BURST       64
#define TAP_MAX_WORKERS 16

enum tap_outcome {
	TAP_SENT,      /* inner: encrypted for the other side. Outer: given to the port */
	TAP_DROPPED,
	TAP_CONSUMED,  /* for the edge itself */
	TAP_HANDED,    /* outer: to another worker, which owns the session */
};

enum tap_direction { TAP_UP /* client → connector */, TAP_DOWN, TAP_OWN /* made by the edge */, TAP_UNKNOWN };

/* Written before the tap is published, read by workers. */
struct tap_filter {
	uint32_t client; /* index, or RECORD_NONE: all */
	bool has_dst;
	uint8_t dst_family, dst_len; /* prefix of the private side's address */
	uint8_t dst[16];
	bool dropped; /* only what is dropped */
	bool outer;   /* frames as on the wire; else inner packets */
	uint16_t snap; /* bytes of each packet to keep */
};

struct tap_record {
	uint64_t at_ns; /* the worker's clock */
	uint32_t client, rule, tunnel, connector; /* name cards; 0: none */
	uint16_t length, kept; /* bytes of the packet, and of them in data */
	uint8_t outcome, direction, stage; /* enum tap_outcome, tap_direction, worker_stage where it left */
	uint8_t reason; /* TAP_DROPPED: enum drop_reason */
	uint8_t worker, family; /* 4, 6; 0: no inner packet is known */
	uint8_t outer_family;
	bool received; /* outer: it came in; else it went out */
	uint8_t remote[16]; /* outer address of the far end, where it is known */
	uint16_t remote_port_be;
	uint8_t data[TAP_SNAP];
};

struct tap_ring {
	_Alignas(64) _Atomic uint32_t head; /* worker */
	_Atomic uint64_t dropped;
	_Alignas(64) _Atomic uint32_t tail; /* control thread */
	struct tap_record *records; /* [TAP_RING] */
	/* frames of the burst that the worker has in hand, as they came from the port */
	struct {
		uint16_t length, kept;
		bool open; /* not told yet */
		uint8_t data[TAP_SNAP];
	} frames[TAP_BURST];
};

struct tap {
	struct tap_filter filter;
	unsigned workers;
	struct tap_ring *rings[TAP_MAX_WORKERS];
};

/* NULL when memory is short. Control thread. */
struct tap *tap_create(const struct tap_filter *filter, unsigned workers);
/* After all workers have passed a quiescent state since edge->tap was another. */
void tap_destroy(struct tap *tap);

/* The worker: room for a record, or NULL (counted); then tap_push. */
struct tap_record *tap_room(struct tap_ring *r);
void tap_push(struct tap_ring *r);
/* The control thread: the oldest record or NULL; then tap_pop. */
const struct tap_record *tap_peek(const struct tap_ring *r);
void tap_pop(struct tap_ring *r);
uint64_t tap_dropped(const struct tap *tap);

#endif
