/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One whole WireGuard peer for a single thread: handshakes in both roles, cookies, three keypairs, timers. No I/O: the
 * caller moves datagrams and time, and knows endpoints. The connector and the traffic generator use this; the edge, whose
 * keypairs live on other threads, uses noise, cookie, replay and timers directly.
 *
 * Typical loop:
 *   datagram came:  result = wg_peer_input(peer, datagram, len, src, src_len, now, &out); send out.tx[]; use out.inner
 *   packet to send: n = wg_peer_send(peer, buffer, len, mtu, now, &out); -EAGAIN: queue it, send out.tx[]
 *   timer:          next = wg_peer_tick(peer, now, &out); send out.tx[]; call again at next, or sooner
 */
#ifndef LIB_WG_PEER_H
#define LIB_WG_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/wg/cookie.h"
#include "lib/wg/noise.h"
#include "lib/wg/replay.h"
#include "lib/wg/tai64n.h"
#include "lib/wg/timers.h"
#include "lib/wg/wire.h"

/* One session. A plain struct; zeroed is empty. Holds secrets. */
struct wg_keypair {
	bool valid;
	bool initiator;
	uint32_t local_index;
	uint32_t remote_index;
	uint64_t born_ns;
	uint64_t tx_counter; /* next nonce */
	uint8_t send_key[WG_KEY_BYTES];
	uint8_t receive_key[WG_KEY_BYTES];
	struct wg_replay_window replay;
};
static_assert(sizeof(struct wg_keypair) <= 1536, "budget of a keypair");

enum wg_slot { WG_CURRENT, WG_PREVIOUS, WG_NEXT, WG_SLOTS };

struct wg_peer_counters {
	uint64_t tx_packets, tx_bytes; /* data messages with content; bytes of inner packets */
	uint64_t rx_packets, rx_bytes;
	uint64_t keepalives_tx, keepalives_rx;
	uint64_t initiations_tx, initiations_rx, responses_tx, responses_rx, cookies_rx, cookies_tx;
	uint64_t handshakes; /* sessions that became usable, both roles */
	uint64_t dropped;    /* inputs with a result other than consumed or data */
};

struct wg_peer_config {
	const struct noise_identity *identity; /* ours; outlives the peer */
	const uint8_t *remote_public_key;      /* 32 bytes, copied */
	const uint8_t *psk;                    /* 32 bytes, copied, or NULL */
	struct wg_random random;
	/* Shared by all peers of an identity, outlives the peer; NULL: the peer keeps its own. */
	struct tai64n_clock *tai64n;
	/* Unix ns minus monotonic ns. Later jumps of the wall clock do not matter. */
	int64_t unix_offset_ns;
	uint64_t persistent_keepalive_ns; /* 0: off */
	/*
	 * Receiver indices: new_index gives one that nobody uses, free_index takes it back. NULL: random ones, unique
	 * in this peer (right when each peer has its own socket).
	 */
	uint32_t (*new_index)(void *arg);
	void (*free_index)(void *arg, uint32_t index);
	void *index_arg;
	/* Answers with cookies while *under_load; both NULL: never. Shared, outlive the peer. */
	struct cookie_checker *checker;
	const bool *under_load;
};

struct wg_peer {
	struct wg_peer_config config;
	struct noise_remote remote;
	struct cookie_jar jar;
	struct noise_handshake handshake; /* the one we began; one that we answer is done at once */
	bool has_handshake_index;
	struct wg_keypair pairs[WG_SLOTS];
	struct wg_timers timers;
	struct wg_stamps stamps;
	struct tai64n_clock own_tai64n;
	uint64_t tai64n_tx_ns; /* last stamp sent to this peer */
	struct wg_peer_counters counters;
};

/* A message to send to the peer's endpoint (or, for `to_source`, to where the input came from). */
struct wg_datagram {
	uint16_t len;
	bool to_source;
	uint8_t bytes[WG_INITIATION_BYTES];
};

#define WG_OUT_MAX 2

/* What an event caused. Reset by each call. */
struct wg_out {
	struct wg_datagram tx[WG_OUT_MAX];
	unsigned n_tx;
	uint8_t *inner;     /* decrypted packet, inside the caller's datagram buffer; NULL: none */
	uint32_t inner_len; /* with padding; cut it by wg_inner_len */
	bool authenticated; /* the source proved to be the peer: it is its endpoint now (roaming) */
	bool ready;         /* a session became usable for sending: flush what waits */
	bool give_up;       /* the attempt ended without answer: drop what waits */
	bool expired;       /* all keys were wiped */
};

enum wg_result {
	WG_CONSUMED,        /* handshake message or keepalive taken */
	WG_INNER,           /* out->inner is set */
	WG_DROP_TYPE,       /* not a WireGuard message */
	WG_DROP_LENGTH,
	WG_DROP_MAC1,
	WG_DROP_MAC2,       /* under load: a cookie was sent */
	WG_DROP_INDEX,      /* receiver index of no handshake or session of ours */
	WG_DROP_HANDSHAKE,  /* not from this peer, or failed authentication */
	WG_DROP_REPLAY,     /* old stamp, or counter seen before */
	WG_DROP_RATE,       /* initiations too fast */
	WG_DROP_EXPIRED,    /* session too old or used up */
	WG_DROP_TAG,        /* data message failed authentication */
	WG_RESULTS
};

/* A short fixed text for logs. */
const char *wg_result_text(enum wg_result result);

/* 0, or -EINVAL when the remote key is of low order or is our own. Copies config; does not allocate. */
int wg_peer_init(struct wg_peer *peer, const struct wg_peer_config *config);
/* Wipes everything. */
void wg_peer_wipe(struct wg_peer *peer);

/*
 * A datagram came (decrypted in place). src: opaque bytes of the source's address and port, for cookies; may be NULL
 * without a checker. now_ns monotonic, > 0.
 */
enum wg_result wg_peer_input(struct wg_peer *peer, uint8_t *datagram, size_t len, const void *src,
			     size_t src_len, uint64_t now_ns, struct wg_out *out);

/*
 * Encrypts an inner packet of len bytes that stands at buffer + WG_DATA_HEADER_BYTES; room for
 * WG_DATA_OVERHEAD_BYTES + padding (up to 15) around it. Pads as wg_padded_len does. Returns the length of the datagram
 * at buffer, or -EAGAIN when no session is usable: a handshake was asked for (out->tx may hold the initiation), keep the
 * packet until out->ready. len 0 sends a keepalive.
 */
int wg_peer_send(struct wg_peer *peer, uint8_t *buffer, uint32_t len, uint32_t mtu,
		 uint64_t now_ns, struct wg_out *out);

/* Does what is due; returns when to be called next (UINT64_MAX: after the next event only). */
uint64_t wg_peer_tick(struct wg_peer *peer, uint64_t now_ns, struct wg_out *out);

/* Asks for a handshake now (a tick sends it, at most one each Rekey-Timeout). */
void wg_peer_connect(struct wg_peer *peer);

/* Whether data can be sent now. */
bool wg_peer_ready(const struct wg_peer *peer, uint64_t now_ns);

/* Whether a receiver index of an incoming message (type 2, 3 or 4) is one of this peer's. */
bool wg_peer_has_index(const struct wg_peer *peer, uint32_t local_index);

/*
 * Burst access, for callers who seal and open many packets by lib/aead.
 *
 * Sending: reserve n counters of the session to send with (first in *counter); NULL: no usable session or not n left, and
 * a handshake is wanted. Then seal, then wg_peer_sent once for each packet.
 */
struct wg_keypair *wg_peer_reserve(struct wg_peer *peer, unsigned n, uint64_t now_ns,
				   uint64_t *counter);
void wg_peer_sent(struct wg_peer *peer, uint32_t inner_len, uint64_t now_ns);

/* Receiving: the keypair of an index that may still receive, or NULL. Then open, then wg_peer_received for good tags. */
struct wg_keypair *wg_peer_find(struct wg_peer *peer, uint32_t local_index, uint64_t now_ns);
/*
 * A data message of that keypair passed its tag: replay check, stamps, promotion of a session that we answered
 * (out->ready). WG_INNER, WG_CONSUMED (keepalive) or WG_DROP_REPLAY. keypair may move: find it again for the next packet.
 */
enum wg_result wg_peer_received(struct wg_peer *peer, struct wg_keypair *keypair, uint64_t counter,
				uint32_t inner_len, uint64_t now_ns, struct wg_out *out);

#endif
