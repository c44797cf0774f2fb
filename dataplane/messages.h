/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What threads of the edge tell each other. Messages come from one pool (message_alloc / message_free, any thread) and
 * travel by rte_ring: handshake and control thread → worker (`inbox`), worker → handshake thread (`events`), worker → control thread (edge->control_inbox).
 */
#ifndef DATAPLANE_MESSAGES_H
#define DATAPLANE_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/peer.h"

struct rte_mbuf;
struct flow_entry;

enum message_type {
	/* to a worker */
	MSG_INSTALL_SESSION = 1, /* session: a keypair is ready in `slot` */
	MSG_REMOVE_PEER,         /* peer: drop all its sessions (expired keys); with `flag` also all else (removed) */
	MSG_SET_ENDPOINT,        /* peer, endpoint: known from an earlier run */
	MSG_SETTLED,             /* peer, flag: connector session carries flows or not */
	MSG_KEEPALIVE,           /* peer: send an empty data packet */
	MSG_SEND_RAW,            /* mbuf: UDP payload (handshake message), endpoint; originated */
	MSG_SEND_INNER,          /* mbuf: inner packet for peer (control datagram); originated */
	MSG_DUMP_FLOWS,          /* dump: copy out flows from a cursor */
	MSG_FOLD_HITS,           /* fold: bring counters up to date from a cursor */
	MSG_PATH_MTU,            /* endpoint.remote: outer path MTU learned, mtu */
	MSG_MIGRATE_OUT,         /* peer: hand sessions and flows over to worker `target` */
	MSG_MIGRATE_IN,          /* peer: take them (sent by the worker that hands over) */
	/* to the handshake thread */
	EV_HANDSHAKE,      /* mbuf: handshake message at its data start; endpoint, worker */
	EV_CONTROL,        /* mbuf: inner control datagram of peer */
	EV_NEED_HANDSHAKE, /* peer: a packet waits for a session */
	EV_UNKNOWN_INDEX,  /* endpoint: data of a session we do not have */
	EV_CONFIRMED,      /* peer, session.local_index: first data on a session we answered */
	EV_ENDPOINT,       /* peer, endpoint: roamed */
	EV_SLOT_FREE,      /* session.local_index: the worker has forgotten it */
	EV_HANDOFFS,       /* peer: its packets keep arriving at `worker`; consider migrate */
	EV_MIGRATED,       /* peer: worker `worker` owns it now */
	/* to the control thread */
	CTL_NEIGHBOUR /* endpoint.remote: next hop on interface `peer` (ifindex) wants resolving */
};

struct hits_fold; /* dataplane/worker.h */
struct flow_dump; /* dataplane/flow_dump.h */

struct message {
	enum message_type type;
	uint32_t peer;
	struct rte_mbuf *mbuf; /* owned by the message */
	struct endpoint endpoint;
	uint8_t worker;
	bool flag;
	uint16_t mtu;
	union {
		struct {
			uint32_t local_index, remote_index;
			bool initiator;
			uint64_t born_ns;
			uint8_t rx_key[32], tx_key[32]; /* wiped by message_free */
		} session;
		struct flow_dump *dump;
		struct hits_fold *fold;
		struct {
			uint8_t target;
			struct flow_entry *flows; /* flat copies, malloc'ed by the sender, freed by the receiver */
			uint32_t n_flows;
		} migrate;
	};
};

#endif
