// SPDX-License-Identifier: BSD-3-Clause
// The flows that run through the connector: which session brought each, and when it is over. One thread. Fixed capacity,
// nothing is allocated after flows_create().
#ifndef SLUICE_CONNECTOR_FLOWS_H
#define SLUICE_CONNECTOR_FLOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connector/packet.h"

#define FLOWS_CAPACITY 16384 /* where the configuration gives no lower limit */

/* Idle times, ms. UDP as long as libslirp keeps its socket; TCP as the edge does. */
#define FLOWS_TCP_IDLE_MS (7200 * 1000)
#define FLOWS_TCP_OPENING_MS (75 * 1000) /* no answer yet */
#define FLOWS_TCP_CLOSING_MS (10 * 1000)
#define FLOWS_UDP_IDLE_MS (240 * 1000)
#define FLOWS_ICMP_IDLE_MS (30 * 1000)

/* As the device sends: `device` is the source of what the edge brings. */
struct flow_key {
	struct ip_addr device, origin;
	uint16_t device_port, origin_port;
	uint8_t protocol;
	uint8_t zero; /* keys are hashed and compared as bytes: no holes */
};

struct flow {
	struct flow_key key;
	void *session; /* that brought the last packet; the caller's */
	uint64_t start_ns;
	uint64_t last_ms;
	bool answered;	    /* the origin has spoken, or an ICMP error has for it */
	bool fin_up, fin_down; /* TCP: seen from device, from origin */
	bool reset;
	bool begun; /* by a packet of the device that asks for it: its first answer tells how long connecting took */
	uint32_t device_next; /* TCP: what the origin's side last acknowledged, the next sequence number of the device */
	struct flow *next;		   /* in its bucket */
	struct flow *older, *newer;	   /* in the list of its kind, by last_ms */
};

struct flows_counts {
	unsigned tcp, udp, icmp;
	uint64_t tcp_total, udp_total, icmp_total; /* ever made */
	uint64_t refused;			   /* for want of room */
	uint64_t evicted;			   /* ended ones that made room before their time */
	uint64_t unanswered;			   /* TCP flows that the origin never answered */
};

struct flows;

/* `capacity` 1…1,000,000, of which at most `tcp_max` are TCP. NULL: no memory. */
struct flows *flows_create(unsigned capacity, unsigned tcp_max);
void flows_destroy(struct flows *f);

/* The key of a packet from the edge, or (from_origin) of one on its way back. */
struct flow_key flow_key_of(const struct packet *p, bool from_origin);

enum flows_make {
	FLOWS_MAKE_NONE,   /* known flows only */
	FLOWS_MAKE_NEW,	   /* for any packet but TCP in mid-stream */
	FLOWS_MAKE_ANY,	   /* TCP in mid-stream too: its connection lives elsewhere (routing) */
};

/* The flow of a packet from the edge, made if `make` says so and there is room; updates it. NULL: there is none; then *full says
 * whether it would have been made but for want of room. */
struct flow *flows_up(struct flows *f, const struct packet *p, void *session, enum flows_make make, bool *full,
		      uint64_t now_ns);

/* Gives up the oldest TCP flow that is over but still kept (it may hold memory in the stack). False: there is none. */
bool flows_evict(struct flows *f, struct flow *gone);

/* The flow that an outgoing packet answers (an ICMP error: the one it quotes), updated; or NULL. *first: it is the first
 * answer of a flow that a device's packet began. */
struct flow *flows_down(struct flows *f, const struct packet *p, bool *first, uint64_t now_ns);

/* Counts one that was refused for want of room. */
void flows_count_refused(struct flows *f);

/* Forgets flows that are over or idle, a bounded number a call; returns how many. */
unsigned flows_expire(struct flows *f, uint64_t now_ms);

/* Takes a dying session out of all flows: they continue on what brings them next, or on NULL. */
void flows_forget_session(struct flows *f, const void *session);

unsigned flows_active(const struct flows *f);

/* Flows that a drain waits for: open TCP connections, and UDP in use within the last FLOWS_BUSY_MS (counted as one). */
#define FLOWS_BUSY_MS 3000
unsigned flows_busy(const struct flows *f, uint64_t now_ms);
void flows_counts_get(const struct flows *f, struct flows_counts *out);

#endif
