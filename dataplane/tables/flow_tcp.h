// SPDX-License-Identifier: BSD-3-Clause
// What a flow needs to know of TCP: enough of the state to age it rightly (RFC 9293 3.3.2, RFC 5382
// REQ-5). Pure functions; no sequence numbers are tracked.
#ifndef DATAPLANE_TABLES_FLOW_TCP_H
#define DATAPLANE_TABLES_FLOW_TCP_H

#include <stdbool.h>
#include <stdint.h>

/** How long a flow may be silent: an index into struct flow_timeouts. */
enum flow_class {
	FLOW_CLASS_TCP_OPENING, /* no handshake yet */
	FLOW_CLASS_TCP_OPEN,	/* established, or one side has finished */
	FLOW_CLASS_TCP_CLOSING, /* both sides have finished, or a reset */
	FLOW_CLASS_UDP,
	FLOW_CLASS_ICMP,
	FLOW_CLASS_OTHER,
	FLOW_CLASS_BLOCKED, /* a verdict that is kept so that it need not be made again */
	FLOW_CLASS_COUNT,
};

enum flow_tcp_state {
	FLOW_TCP_NONE,	      /* not TCP, or nothing seen */
	FLOW_TCP_SYN_UP,      /* SYN from the client's side */
	FLOW_TCP_SYN_DOWN,    /* SYN from the private network */
	FLOW_TCP_SYN_BOTH,    /* both SYNs seen (SYN+ACK, or simultaneous open), last ACK not */
	FLOW_TCP_ESTABLISHED, /* also a flow that was taken up mid-stream */
	FLOW_TCP_FIN_UP,      /* the client has finished, the other side may still send */
	FLOW_TCP_FIN_DOWN,
	FLOW_TCP_FIN_BOTH,
	FLOW_TCP_RESET,
	FLOW_TCP_STATE_COUNT,
};

/** Flags as in the TCP header's 14th byte. */
#define FLOW_TCP_FLAG_FIN 0x01
#define FLOW_TCP_FLAG_SYN 0x02
#define FLOW_TCP_FLAG_RST 0x04
#define FLOW_TCP_FLAG_ACK 0x10

struct flow_tcp_step {
	uint8_t state; /* enum flow_tcp_state after the packet */
	bool fits; /* false: the packet does not belong in this state (and `state` is as it was) */
	bool new_start; /* a SYN on a flow that had ended: a new connection on old ports: decide it
			   again */
};

/**
 * The state after a packet with `flags` (other bits are ignored); `up`: client → private network.
 * In state NONE only a bare SYN fits: a mid-stream packet may start a flow only by
 * flow_tcp_mid_stream(). SYN together with FIN or RST never fits.
 */
struct flow_tcp_step flow_tcp_next(uint8_t state, uint8_t flags, bool up);

/** The state for a flow that is taken up mid-stream (after an edge's start): NONE when `flags`
 * cannot be. */
uint8_t flow_tcp_mid_stream(uint8_t flags, bool up);

/** The timeout class of a state. NONE gives FLOW_CLASS_TCP_OPENING. */
enum flow_class flow_tcp_class(uint8_t state);

/** The class for an IP protocol number; TCP by its state. */
enum flow_class flow_class_of(uint8_t proto, uint8_t tcp_state);

/** "established" …, for `show flows`; "?" out of range. */
const char *flow_tcp_name(uint8_t state);

#endif
