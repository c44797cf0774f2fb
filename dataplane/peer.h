/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions (WireGuard keypairs) and peers as the owner worker holds them. Each is written by exactly one worker, its
 * owner; others read single fields for display only.
 */
#ifndef DATAPLANE_PEER_H
#define DATAPLANE_PEER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/wg/replay.h"
#include "lib/wg/timers.h"

/* UDP endpoint of a peer together with the local address it contacted; replies leave from there. */
struct endpoint {
	uint8_t remote[16]; /* network order; an IPv4 address is in the first four bytes, the rest zero */
	uint8_t local[16];
	uint16_t remote_port_be;
	uint16_t local_port_be;
	uint8_t family; /* 4, 6, or 0 when not known */
	uint8_t pad[3];
};
static_assert(sizeof(struct endpoint) == 40, "endpoint is copied as 40 bytes");

enum session_state { SESSION_FREE = 0, SESSION_LIVE = 1 };

/*
 * One keypair in its slot. Owner worker writes all; `owner` is written by the handing-over worker in migrate. Receiving
 * touches the first line and the one of the window's bits, sending the first and the last.
 */
struct session {
	uint32_t peer;
	uint32_t local_index; /* receiver index we gave out */
	uint8_t owner; /* worker that owns it now */
	uint8_t state; /* enum session_state */
	bool initiator; /* we began the handshake */
	bool confirmed; /* responder: the first data packet has come */
	uint32_t remote_index;
	uint64_t born_ns;
	uint8_t rx_key[32];
	struct wg_replay_window replay; /* `next` ends the first line */
	uint64_t tx_counter;		/* next nonce */
	uint8_t tx_key[32];
} __attribute__((aligned(64)));
static_assert(offsetof(struct session, replay.bits) == 64, "what each received packet needs is one line");
static_assert(offsetof(struct session, tx_counter) % 64 == 0, "what each sent packet changes is one line");
static_assert(sizeof(struct session) <= 1536, "budget of a keypair");

/* The way to a peer's endpoint as the kernel's tables gave it, valid for one generation of them. */
struct outer_path {
	uint64_t generation; /* of the outer snapshot; 0: not resolved */
	uint64_t asked_ns;   /* when it was resolved */
	uint16_t port;       /* index of the edge's port */
	uint16_t mtu;        /* of the path's first leg, bytes of IP */
	uint8_t l2[14];      /* Ethernet header, EtherType included */
	uint8_t status;      /* 0 ok, else a drop reason + 1 */
	uint8_t pad[5];
};

/*
 * Worker-owned state of a peer. One writer: the owner worker. Display reads are racy by single fields. A received packet
 * touches the first two lines, a sent one the first three.
 */
struct peer {
	struct session *current, *next;
	struct endpoint endpoint;
	uint16_t path_mtu; /* learned outer path MTU; 0: none */
	uint8_t owner;	   /* worker, or PEER_UNOWNED; written by the handshake thread */
	bool settled;	   /* connector session that carries flows */
	/* line 1 */
	struct wg_stamps stamps __attribute__((aligned(64))); /* read by the handshake thread */
	uint64_t rx_packets, rx_bytes;
	/* line 2 */
	struct outer_path path;
	uint64_t tx_packets, tx_bytes;
	uint64_t handshake_asked_ns; /* last EV_NEED_HANDSHAKE */
	/* line 3: seldom */
	struct session *previous;
	uint64_t icmp_tat_ns;		 /* limits ICMP errors to this peer (GCRA) */
	uint64_t handoffs;		 /* packets of this peer that came in on another worker */
	uint64_t handoffs_mark, rx_mark; /* where the last look at them stood */
} __attribute__((aligned(64)));
static_assert(offsetof(struct peer, path) == 128 && sizeof(struct peer) == 256, "four lines, as said above");

#define PEER_UNOWNED 0xff

#endif
