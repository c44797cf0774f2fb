/* SPDX-License-Identifier: BSD-3-Clause */
/* What peer.c (events, handshakes) and peer_data.c (sessions, data) share. Nobody else includes this. */
#ifndef LIB_WG_PEER_INTERNAL_H
#define LIB_WG_PEER_INTERNAL_H

#include "lib/wg/peer.h"

/* peer.c */
struct wg_datagram *wg_out_add(struct wg_out *out, uint16_t len, bool to_source);
void wg_peer_free_index(struct wg_peer *peer, uint32_t index);
/* Polls the timers when the current session is old enough that sending or receiving may ask for a new one. */
void wg_peer_rekey_if_due(struct wg_peer *peer, uint64_t now_ns, struct wg_out *out);

/* peer_data.c */
/* Turns a finished handshake into a session (wipes it): current as initiator, next as responder. */
void wg_peer_install(struct wg_peer *peer, struct noise_handshake *handshake, bool initiator,
		     uint64_t now_ns);
void wg_peer_drop_pair(struct wg_peer *peer, enum wg_slot slot);
struct wg_keypair_info wg_peer_current_info(const struct wg_peer *peer);
bool wg_peer_rekey_near(const struct wg_peer *peer, uint64_t now_ns);
/* Seals an inner packet; length of the datagram, or -EAGAIN. */
int wg_peer_seal(struct wg_peer *peer, uint8_t *buffer, uint32_t len, uint32_t mtu, uint64_t now_ns);
/* Adds a keepalive to out when a session is usable. */
void wg_peer_keepalive(struct wg_peer *peer, uint64_t now_ns, struct wg_out *out);
enum wg_result wg_peer_take_data(struct wg_peer *peer, uint8_t *datagram, size_t len,
				 uint64_t now_ns, struct wg_out *out);

#endif
