// SPDX-License-Identifier: BSD-3-Clause
// TCP states of a flow as one table: state × what the packet is → state.
#include "dataplane/tables/flow_tcp.h"

/* What a packet is, from its flags and direction. */
enum event {
	EV_SYN_UP,
	EV_SYN_DOWN,
	EV_SYNACK_UP,
	EV_SYNACK_DOWN,
	EV_DATA_UP, /* with or without payload: neither SYN, FIN nor RST */
	EV_DATA_DOWN,
	EV_FIN_UP,
	EV_FIN_DOWN,
	EV_RST,
	EV_COUNT,
};

#define NO    255 /* does not fit */
#define NONE  FLOW_TCP_NONE
#define SYN_U FLOW_TCP_SYN_UP
#define SYN_D FLOW_TCP_SYN_DOWN
#define SYN_B FLOW_TCP_SYN_BOTH
#define EST   FLOW_TCP_ESTABLISHED
#define FIN_U FLOW_TCP_FIN_UP
#define FIN_D FLOW_TCP_FIN_DOWN
#define FIN_B FLOW_TCP_FIN_BOTH
#define RST   FLOW_TCP_RESET

/*
 * A SYN retransmitted in an open connection fits and changes nothing (RFC 5961 section 4: the peer
 * answers it with an ACK). A SYN+ACK belongs only where the other side's SYN is. A reset never
 * opens anything. After a reset, packets still fit: a blind reset that the endpoints ignored must
 * not cut them, and the short timeout does the rest.
 */
// clang-format off
static const uint8_t next_state[FLOW_TCP_STATE_COUNT][EV_COUNT] = {
	/*          SYN↑   SYN↓   S+A↑   S+A↓   data↑  data↓  FIN↑   FIN↓   RST */
	[NONE]  = {SYN_U, SYN_D, NO,    NO,    NO,    NO,    NO,    NO,    NO},
	[SYN_U] = {SYN_U, SYN_B, NO,    SYN_B, NO,    NO,    NO,    NO,    RST},
	[SYN_D] = {SYN_B, SYN_D, SYN_B, NO,    NO,    NO,    NO,    NO,    RST},
	[SYN_B] = {SYN_B, SYN_B, SYN_B, SYN_B, EST,   EST,   FIN_U, FIN_D, RST},
	[EST]   = {EST,   EST,   EST,   EST,   EST,   EST,   FIN_U, FIN_D, RST},
	[FIN_U] = {FIN_U, FIN_U, FIN_U, FIN_U, FIN_U, FIN_U, FIN_U, FIN_B, RST},
	[FIN_D] = {FIN_D, FIN_D, FIN_D, FIN_D, FIN_D, FIN_D, FIN_B, FIN_D, RST},
	[FIN_B] = {SYN_U, SYN_D, FIN_B, FIN_B, FIN_B, FIN_B, FIN_B, FIN_B, RST},
	[RST]   = {SYN_U, SYN_D, RST,   RST,   RST,   RST,   RST,   RST,   RST},
};
// clang-format on

/* EV_COUNT for combinations that no stack sends (RFC 9293 allows none of them). */
static enum event event_of(uint8_t flags, bool up)
{
	bool syn = flags & FLOW_TCP_FLAG_SYN, fin = flags & FLOW_TCP_FLAG_FIN;

	if (flags & FLOW_TCP_FLAG_RST)
		return syn || fin ? EV_COUNT : EV_RST;
	if (syn && fin)
		return EV_COUNT;
	if (syn && (flags & FLOW_TCP_FLAG_ACK))
		return up ? EV_SYNACK_UP : EV_SYNACK_DOWN;
	if (syn)
		return up ? EV_SYN_UP : EV_SYN_DOWN;
	if (!(flags & FLOW_TCP_FLAG_ACK)) /* every later segment carries one */
		return EV_COUNT;
	if (fin)
		return up ? EV_FIN_UP : EV_FIN_DOWN;
	return up ? EV_DATA_UP : EV_DATA_DOWN;
}

struct flow_tcp_step flow_tcp_next(uint8_t state, uint8_t flags, bool up)
{
	struct flow_tcp_step step = {.state = state};
	enum event ev = event_of(flags, up);

	if (ev == EV_COUNT || state >= FLOW_TCP_STATE_COUNT || next_state[state][ev] == NO)
		return step;
	step.state = next_state[state][ev];
	step.fits = true;
	step.new_start = (state == FIN_B || state == RST) && (ev == EV_SYN_UP || ev == EV_SYN_DOWN);
	return step;
}

uint8_t flow_tcp_mid_stream(uint8_t flags, bool up)
{
	switch (event_of(flags, up)) {
	case EV_DATA_UP:
	case EV_DATA_DOWN:
		return FLOW_TCP_ESTABLISHED;
	case EV_FIN_UP:
		return FLOW_TCP_FIN_UP;
	case EV_FIN_DOWN:
		return FLOW_TCP_FIN_DOWN;
	case EV_SYNACK_UP:
	case EV_SYNACK_DOWN:
		return FLOW_TCP_SYN_BOTH;
	default:
		return FLOW_TCP_NONE;
	}
}

enum flow_class flow_tcp_class(uint8_t state)
{
	switch (state) {
	case FLOW_TCP_ESTABLISHED:
	case FLOW_TCP_FIN_UP:
	case FLOW_TCP_FIN_DOWN:
		return FLOW_CLASS_TCP_OPEN;
	case FLOW_TCP_FIN_BOTH:
	case FLOW_TCP_RESET:
		return FLOW_CLASS_TCP_CLOSING;
	default:
		return FLOW_CLASS_TCP_OPENING;
	}
}

enum flow_class flow_class_of(uint8_t proto, uint8_t tcp_state)
{
	switch (proto) {
	case 6:
		return flow_tcp_class(tcp_state);
	case 17:
		return FLOW_CLASS_UDP;
	case 1:
	case 58:
		return FLOW_CLASS_ICMP;
	default:
		return FLOW_CLASS_OTHER;
	}
}

const char *flow_tcp_name(uint8_t state)
{
	static const char *const names[FLOW_TCP_STATE_COUNT] = {
		"none",	  "syn-up",   "syn-down", "syn-both", "established",
		"fin-up", "fin-down", "fin-both", "reset",
	};

	return state < FLOW_TCP_STATE_COUNT ? names[state] : "?";
}
