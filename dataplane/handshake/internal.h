/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The handshake thread's own structures. Everything here is touched with hs->lock held: by the thread itself for one
 * batch of events or one slice of the timers at a time, by the control thread for one call.
 */
#ifndef DATAPLANE_HANDSHAKE_INTERNAL_H
#define DATAPLANE_HANDSHAKE_INTERNAL_H

#include <pthread.h>

#include "dataplane/handshake.h"
#include "dataplane/peers.h"
#include "dataplane/tables/peer_index.h"
#include "dataplane/worker.h"
#include "lib/ctlmsg.h"
#include "lib/wg/cookie.h"
#include "lib/wg/noise.h"
#include "lib/wg/tai64n.h"
#include "lib/wg/timers.h"


/* A peer as the handshake side knows it. */
struct hs_peer {
	bool used, enabled;
	bool dirty;     /* to be reported */
	bool migrating; /* MSG_MIGRATE_OUT is under way */
	bool settled;   /* connector session: hello with the settled flag came */
	bool dead;      /* connector session: probes go unanswered */
	bool draining;  /* connector session: said that it takes no new flows */
	uint8_t owner;  /* worker that messages go to; PEER_UNOWNED at first */
	uint8_t identity; /* slot of our identity that it talked to last */
	enum peer_kind kind;
	uint32_t connector; /* PEER_CONNECTOR */
	uint32_t session_index;
	uint16_t mtu;
	struct noise_remote remote;
	struct noise_handshake pending; /* initiation of ours under way */
	struct cookie_jar jar;
	struct wg_timers timers;
	struct endpoint endpoint;
	uint64_t stamp_tx_ns;            /* last TAI64N stamp sent to it, unix ns */
	uint64_t slots_tat_ns;           /* limits slots a peer may use up (GCRA) */
	uint64_t last_handshake_unix_s;
	uint64_t startup_rank;           /* unix s of its last activity in an earlier run; 0: not in the start queue */
	uint64_t probe_sent_ns, probe_first_ns, probe_reply_ns, rtt_ns;
	uint64_t reported_ns;
};

struct handshake {
	struct edge *edge;
	pthread_t thread;
	pthread_mutex_t lock;
	bool started;
	struct rte_ring *events; /* struct message * */
	int wake_fd;
	_Atomic bool sleeping;

	unsigned n_identities;
	struct noise_identity identities[NOISE_IDENTITIES];
	struct cookie_checker cookies;
	struct tai64n_clock stamps;
	struct peer_slots *slots[EDGE_MAX_WORKERS];
	uint32_t *slot_peer; /* [worker * cap_sessions + slot] → peer, RECORD_NONE when free */

	struct hs_peer *peers; /* [cap_peers] */
	uint32_t *by_key;      /* open addressing: peer index + 1, 0 empty */
	uint32_t by_key_mask;
	uint32_t n_used, scan; /* where the timers' round robin stands */

	struct handshake_runtime *runtime; /* of an earlier run, sorted by public key */
	size_t n_runtime;

	uint64_t loaded_until_ns; /* under load until then */
	uint64_t initiation_tat_ns, unknown_tat_ns; /* global limits (GCRA) */
	struct handshake_counters counters;
	uint64_t sessions_counted; /* of the last full round; counters.sessions is being counted */
};

/* ---- peers.c: the table ---- */
struct hs_peer *hs_peer_by_key(struct handshake *hs, const uint8_t key[WG_KEY_BYTES], uint32_t *index);
struct hs_peer *hs_peer_get(struct handshake *hs, uint32_t index); /* NULL when not used */
/* Takes a slot on worker for peer and gives its receiver index; false with handshake_no_slot or handshake_rate. */
bool hs_slot_take(struct handshake *hs, uint32_t peer, uint8_t worker, uint32_t *local_index,
		  enum drop_reason *reason, uint64_t now_ns);
void hs_slot_give(struct handshake *hs, uint32_t local_index, uint64_t now_ns);
/* Peer whose slot a receiver index names, or RECORD_NONE. */
uint32_t hs_peer_by_index(struct handshake *hs, uint32_t local_index);

/* ---- exchange.c: messages 1 to 3 ---- */
/* Judges a received handshake message; DROP_REASON_COUNT when it was of use. */
enum drop_reason hs_receive(struct handshake *hs, struct message *event, uint64_t now_ns);
/* Sends an initiation to the peer's endpoint; false when that was not possible now. */
bool hs_send_initiation(struct handshake *hs, uint32_t index, uint64_t now_ns);

/* ---- links.c: connector sessions ---- */
enum drop_reason hs_control_datagram(struct handshake *hs, struct message *event, uint64_t now_ns);
/* Tells the connector where its session landed. */
void hs_send_landed(struct handshake *hs, uint32_t index);
/* Probes and liveness of one connector session; called by the timers. */
void hs_probe(struct handshake *hs, uint32_t index, uint64_t now_ns);
/* Recomputes edge->connector_live of a connector. */
void hs_connector_refresh(struct handshake *hs, uint32_t connector);

/* ---- timers.c ---- */
/* One slice of the round robin over all peers. */
void hs_timers(struct handshake *hs, uint64_t now_ns);

/* ---- thread.c ---- */
/* A message to the worker that owns peer (PEER_UNOWNED: worker 0). Frees it and counts when the inbox is full. */
void hs_post(struct handshake *hs, const struct hs_peer *peer, struct message *message);
/* Shorthand: a message without payload. */
void hs_tell(struct handshake *hs, uint32_t index, enum message_type type, bool flag);
/* A packet of len bytes in a fresh message of the given type for peer; NULL (counted) without buffers. */
struct message *hs_packet(struct handshake *hs, uint32_t index, enum message_type type, const void *bytes,
			  unsigned len);
uint64_t hs_unix_ns(void);
bool hs_allow(uint64_t *tat_ns, uint64_t now_ns, uint64_t period_ns, uint64_t burst);

#endif
