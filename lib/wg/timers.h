/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When to rekey, retry, keep alive, expire and give up (paper, section 6), as pure decisions over stamps. The data path,
 * maybe another thread, writes struct wg_stamps with plain stores through the helpers below; whoever runs handshakes
 * owns struct wg_timers, and asks poll. All times are monotonic ns, never 0; 0 in a stamp means never.
 */
#ifndef LIB_WG_TIMERS_H
#define LIB_WG_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/wg/wire.h"

/* One writer: the owner of the peer's data keypairs. Readers take single fields, each exact, not a consistent cut. */
struct wg_stamps {
	uint64_t data_tx_ns;       /* last data message with content sent */
	uint64_t data_rx_ns;       /* last data message with content received */
	uint64_t auth_tx_ns;       /* last data message sent, keepalives included */
	uint64_t auth_rx_ns;       /* last data message authenticated, keepalives included */
	uint64_t unanswered_tx_ns; /* first content sent since anything authenticated came; 0: none */
	uint64_t unacked_rx_ns;    /* first content received since anything was sent; 0: none */
};

/* A data message was encrypted and sent; `content` is false for a keepalive. */
static inline void wg_stamps_tx(struct wg_stamps *stamps, bool content, uint64_t now_ns)
{
	stamps->auth_tx_ns = now_ns;
	stamps->unacked_rx_ns = 0;
	if (content) {
		stamps->data_tx_ns = now_ns;
		if (!stamps->unanswered_tx_ns)
			stamps->unanswered_tx_ns = now_ns;
	}
}

/* A data message passed its tag and the replay window; `content` is false for a keepalive. */
static inline void wg_stamps_rx(struct wg_stamps *stamps, bool content, uint64_t now_ns)
{
	stamps->auth_rx_ns = now_ns;
	stamps->unanswered_tx_ns = 0;
	if (content) {
		stamps->data_rx_ns = now_ns;
		if (!stamps->unacked_rx_ns)
			stamps->unacked_rx_ns = now_ns;
	}
}

/* A new keypair was installed: the handshake was an answer, what went unanswered before it no longer counts. */
static inline void wg_stamps_session(struct wg_stamps *stamps)
{
	stamps->unanswered_tx_ns = 0;
}

/* What poll must know of the keypair that data is sent with now (the confirmed, current one). */
struct wg_keypair_info {
	bool present;
	bool initiator;
	uint64_t born_ns;
	uint64_t tx_counter; /* messages sent with it; a stale value is fine */
};

/* Owned by the handshake side. Zeroed is a peer without any session. */
struct wg_timers {
	uint64_t persistent_keepalive_ns; /* configuration; 0: off */
	uint64_t initiation_tx_ns;        /* last initiation sent */
	uint64_t handshake_rx_ns;         /* last authenticated handshake message received */
	uint64_t attempt_began_ns;        /* first initiation of this attempt; 0: none under way */
	uint64_t retry_ns;                /* when to send the next one of this attempt */
	uint64_t gave_up_ns;              /* when the last attempt ended without answer */
	uint64_t session_ns;              /* last session derived; 0: none, or wiped */
	uint64_t lastminute_born_ns;      /* keypair for which the receive rule has fired already */
	uint64_t jitter_ns;               /* of the last initiation */
	uint64_t keepalive_ns;            /* when SEND_KEEPALIVE was last reported */
	uint64_t unacked_seen_ns;         /* unacked_rx_ns that led to a handshake, for want of a session */
	uint64_t answer_base_ns;          /* what was sent up to here no longer waits for an answer */
	uint64_t unanswered_seen_ns;      /* first content seen sent after that */
	uint32_t attempts; /* initiations sent in this attempt */
	bool wanted;       /* somebody asked for a handshake */
};

enum wg_timer_action {
	WG_SEND_INITIATION = 1 << 0, /* send one, then call wg_timers_initiation_sent */
	WG_SEND_KEEPALIVE = 1 << 1,  /* send an empty data message (stamped by the data path) */
	WG_EXPIRE_KEYS = 1 << 2,     /* wipe all keypairs and the handshake under way */
	WG_GIVE_UP = 1 << 3,         /* Rekey-Attempt-Time is over: drop what waits for a session */
};

/*
 * What is due at now_ns: a mask of wg_timer_action, and in *next_ns the time of the next poll if nothing happens
 * (UINT64_MAX: none; events move it, so poll after each, or now and then). next_ns may be NULL. EXPIRE_KEYS and GIVE_UP
 * are reported once. SEND_INITIATION is reported until one was sent, so a caller under a budget may postpone it;
 * SEND_KEEPALIVE again after a second while the stamps have not moved.
 */
unsigned wg_timers_poll(struct wg_timers *timers, const struct wg_stamps *stamps,
			const struct wg_keypair_info *keypair, uint64_t now_ns, uint64_t *next_ns);

/* Whether data may still be sent with the keypair (Reject-After-Time, Reject-After-Messages). */
bool wg_keypair_usable(const struct wg_keypair_info *keypair, uint64_t now_ns);

/*
 * A packet waits and there is no usable keypair, or the owner wants a handshake: the next poll tells when. During an
 * attempt it restarts Rekey-Attempt-Time (6.4).
 */
void wg_timers_want(struct wg_timers *timers);
/* An initiation went out. jitter_ns: random, below WG_REKEY_JITTER_MAX_NS (larger values are cut). */
void wg_timers_initiation_sent(struct wg_timers *timers, uint64_t now_ns, uint64_t jitter_ns);
/* An initiation of the peer was accepted (as responder). */
void wg_timers_initiation_received(struct wg_timers *timers, uint64_t now_ns);
/* Keys were derived, in either role: as responder when the response is made, as initiator when it came. */
void wg_timers_session(struct wg_timers *timers, uint64_t now_ns);
/* The handshake we began is done (initiator), or the peer used a session that we answered: no more retries. */
void wg_timers_complete(struct wg_timers *timers, uint64_t now_ns);
/* Forgets an attempt under way (peer removed, endpoint lost). */
void wg_timers_stop(struct wg_timers *timers);

#endif
