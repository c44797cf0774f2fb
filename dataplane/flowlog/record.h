/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker tells the flow log of a flow's start, its end, or refused packets: a record of fixed size, and the ring it
 * travels by. A record names people and things by card numbers (cards.h), which never mean anything else within a run;
 * indexes of tables do not appear in it, for they are given out again.
 */
#ifndef DATAPLANE_FLOWLOG_RECORD_H
#define DATAPLANE_FLOWLOG_RECORD_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum flow_event { FLOW_EVENT_START, FLOW_EVENT_END, FLOW_EVENT_BLOCKED };

/* Why a flow ended. One list feeds the enum, the log and the docs. FLOW_END(name, text) */
#define FLOW_ENDS(FLOW_END)                                                                                 \
	FLOW_END(closed, "both sides finished (TCP FIN), or the ports were taken for a new connection")     \
	FLOW_END(reset, "TCP RST")                                                                          \
	FLOW_END(not_opened, "TCP: the handshake was never completed")                                      \
	FLOW_END(idle_timeout, "silent for longer than the protocol's timeout")                             \
	FLOW_END(policy_change, "rules, lists, posture or the default action no longer allow it")           \
	FLOW_END(route_change, "no route leads there any more, or it leads through another tunnel")         \
	FLOW_END(client_revoked, "the client was revoked, disabled or deleted, or it expired")              \
	FLOW_END(connector_lost, "no connector of the tunnel is left to carry it")                          \
	FLOW_END(table_full, "moved to a worker whose flow table was full")                                 \
	FLOW_END(edge_stopped, "the edge was stopped")

enum flow_end {
#define FLOW_END(name, text) FLOW_END_##name,
	FLOW_ENDS(FLOW_END)
#undef FLOW_END
	FLOW_END_COUNT
};

/* NULL out of range. */
const char *flow_end_name(unsigned end);
const char *flow_end_text(unsigned end);

#define FLOW_RECORD_MID_STREAM 1 /* taken up without its beginning */
#define FLOW_RECORD_ALLOWED    2 /* verdict */

#define FLOW_HOST_MAX 255

struct flow_record {
	uint64_t at_ns;    /* the worker's clock (CLOCK_MONOTONIC) */
	uint64_t flow;     /* unique in this run; 0 for FLOW_EVENT_BLOCKED */
	uint64_t start_ns; /* first packet */
	uint64_t last_ns;  /* last packet, to 125 ms */
	uint64_t packets_up, bytes_up, packets_down, bytes_down; /* inner bytes, IP header included */
	/* ---- */
	uint64_t revision;
	uint32_t client, account, vnet, rule, tunnel, connector; /* card numbers; 0: none */
	uint32_t count; /* FLOW_EVENT_BLOCKED: packets since the last record of this client and rule */
	uint16_t client_port_be, remote_port_be;
	uint8_t remote_addr[16];
	uint8_t event, proto, family, flags;
	uint8_t reason;   /* END: enum flow_end; BLOCKED: enum drop_reason */
	uint8_t detected; /* enum detected_protocol */
	uint8_t host_len;
	uint8_t pad;
	char host[FLOW_HOST_MAX + 1]; /* the first host_len bytes; outside text, any bytes */
};
static_assert(offsetof(struct flow_record, revision) == 64, "counts fill the first line");
static_assert(offsetof(struct flow_record, host) == 128, "without a host name a record is two cache lines");

/* ---- the ring: one worker puts, the log's thread takes ---- */

struct flow_ring {
	/* worker */
	_Alignas(64) _Atomic uint32_t head; /* next to write */
	uint32_t tail_seen;
	_Atomic uint64_t dropped; /* records that found the ring full; written by the worker alone */
	uint64_t sequence;	  /* of flow ids; written by the worker alone */
	/* log's thread */
	_Alignas(64) _Atomic uint32_t tail; /* next to read */
	/* fixed */
	_Alignas(64) uint32_t mask;
	struct flow_record *records;
};

/* Room for the next record, or NULL: full, and counted. The worker. */
static inline struct flow_record *flow_ring_room(struct flow_ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - r->tail_seen > r->mask) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (head - r->tail_seen > r->mask) {
			uint64_t n = atomic_load_explicit(&r->dropped, memory_order_relaxed);

			atomic_store_explicit(&r->dropped, n + 1, memory_order_relaxed);
			return NULL;
		}
	}
	return &r->records[head & r->mask];
}

/* True when flow_ring_room() will not be NULL; counts nothing. The worker. */
static inline bool flow_ring_has_room(const struct flow_ring *r)
{
	return atomic_load_explicit(&r->head, memory_order_relaxed) -
		       atomic_load_explicit(&r->tail, memory_order_acquire) <= r->mask;
}

/* Hands over what flow_ring_room() gave. The worker. */
static inline void flow_ring_push(struct flow_ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

/* The oldest record, or NULL; it stays until flow_ring_pop(). The log's thread. */
static inline const struct flow_record *flow_ring_peek(const struct flow_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
		return NULL;
	return &r->records[tail & r->mask];
}

static inline void flow_ring_pop(struct flow_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

#endif
