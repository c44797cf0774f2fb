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
	uint64_t last_ms;
	bool answered;	    /* the origin has spoken */
	bool fin_up, fin_down; /* TCP: seen from device, from origin */
	bool reset;
	struct flow *next;		   /* in its bucket */
	struct flow *older, *newer;	   /* in the list of its kind, by last_ms */
};

struct flows_counts {
	unsigned tcp, udp, icmp;
	uint64_t total; /* ever made */
	uint64_t refused; /* for want of room */
};

struct flows;

/* `capacity` 1…1,000,000. NULL: no memory. */
struct flows *flows_create(unsigned capacity);
void flows_destroy(struct flows *f);

/* The key of a packet from the edge, or (from_origin) of one on its way back. */
struct flow_key flow_key_of(const struct packet *p, bool from_origin);

/* The flow of a packet from the edge, made if `may_make` and there is room; updates it. NULL otherwise. A TCP packet that is
 * neither a SYN nor of a known flow makes none where `may_make` is false; with it, it does (the stack answers). */
struct flow *flows_up(struct flows *f, const struct packet *p, void *session, bool may_make, uint64_t now_ms);

/* The flow that an outgoing packet answers (an ICMP error: the one it quotes), updated; or NULL. */
struct flow *flows_down(struct flows *f, const struct packet *p, uint64_t now_ms);

/* Forgets flows that are over or idle, a bounded number a call; returns how many. */
unsigned flows_expire(struct flows *f, uint64_t now_ms);

/* Takes a dying session out of all flows: they continue on what brings them next, or on NULL. */
void flows_forget_session(struct flows *f, const void *session);

unsigned flows_active(const struct flows *f);
void flows_counts_get(const struct flows *f, struct flows_counts *out);

#endif
