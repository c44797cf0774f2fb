// SPDX-License-Identifier: BSD-3-Clause
// One WireGuard session to an edge: its socket, its peer state, bursts in and out. One thread drives all of them.
#ifndef SLUICE_CONNECTOR_SESSION_H
#define SLUICE_CONNECTOR_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/aead/aead.h"
#include "lib/ctlmsg.h"
#include "lib/ip.h"
#include "lib/wg/peer.h"

#define SESSION_BURST 64
#define SESSION_INNER_MAX_BYTES 9216
#define SESSION_DATAGRAM_MAX_BYTES (SESSION_INNER_MAX_BYTES + WG_DATA_OVERHEAD_BYTES + WG_PADDING_BYTES)

#define SESSION_SEGMENTS_MAX 64		  /* of one segmented send (UDP_MAX_SEGMENTS of older kernels) */
#define SESSION_SEGMENTED_MAX_BYTES 65000 /* of an IP datagram, less headers */

struct iovec;
struct session;

/* How many of the datagrams from iov on (n ≥ 1) one call can send: of equal lengths, but the last may be shorter (UDP_SEGMENT
 * of udp(7)). Pure. */
unsigned session_segments(const struct iovec *iov, unsigned n);

struct session_events {
	void *arg;
	/* A decrypted inner packet, exactly as long as its header says, not a control datagram. Valid during the call. */
	void (*inner)(void *arg, struct session *s, const uint8_t *packet, uint32_t length);
	/* A control datagram of the edge, decoded. */
	void (*control)(void *arg, struct session *s, const struct ctlmsg *msg);
	/* A handshake is complete: data can be sent. */
	void (*ready)(void *arg, struct session *s);
};

/* Shared by the sessions of a process: buffers of one burst. */
struct session_room {
	struct aead *aead;
	bool no_segments; /* the kernel refused UDP_SEGMENT once: never again */
	uint8_t *rx; /* SESSION_BURST datagrams of SESSION_DATAGRAM_MAX_BYTES */
};

struct session_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; /* inner packets and their bytes */
	uint64_t rx_dropped; /* datagrams that were not authentic, replayed or malformed */
	uint64_t tx_dropped; /* no session, socket full, or longer than the tunnel's MTU */
	uint64_t control_bad, control_unknown;
};

struct session {
	/* set by session_init() */
	unsigned index;
	void *owner; /* the caller's */
	const struct session_events *events;
	struct session_room *room;
	unsigned mtu;
	/* state */
	int fd; /* connected UDP socket; -1: closed */
	unsigned generation; /* counts sockets: an event may have replaced it */
	struct wg_peer peer;
	uint64_t next_tick_ns;
	uint64_t heard_ns; /* last authentic datagram of the edge; 0: none on this socket */
	struct session_counters counters;
	/* packets that wait for session_flush() */
	uint8_t *tx;
	uint32_t tx_length[SESSION_BURST];
	unsigned tx_count;
};

/* False: no memory. */
bool session_room_init(struct session_room *room, char *err, size_t err_len);
void session_room_free(struct session_room *room);

/* Prepares a session without a socket. False: no memory. */
bool session_init(struct session *s, unsigned index, void *owner, const struct session_events *events,
		  struct session_room *room);
void session_free(struct session *s);

/* Opens a new socket (so a new source port) to the endpoint and starts a handshake on it; an old socket and its keys go.
 * `identity` and `clock` outlive the session. 0, -EINVAL (the key is of low order or our own), or a socket's error. */
int session_connect(struct session *s, const struct ip_endpoint *endpoint, const struct noise_identity *identity,
		    struct tai64n_clock *clock, const uint8_t edge_key[WG_KEY_BYTES], unsigned mtu, uint64_t now_ns);
/* Closes the socket and wipes the keys. */
void session_close(struct session *s);

/* Reads at most SESSION_BURST datagrams; true if there may be more. */
bool session_receive(struct session *s, uint64_t now_ns);

/* Queues an inner packet; a full queue is flushed. */
void session_send(struct session *s, const uint8_t *packet, uint32_t length, uint64_t now_ns);
/* Queues and flushes a control datagram. */
void session_send_control(struct session *s, const struct ctlmsg *msg, uint64_t now_ns);
/* Encrypts and sends what is queued. */
void session_flush(struct session *s, uint64_t now_ns);

/* Timers of WireGuard; call when s->next_tick_ns has come. */
void session_tick(struct session *s, uint64_t now_ns);

/* Whether data can be sent now. */
bool session_ready(const struct session *s, uint64_t now_ns);

#endif
