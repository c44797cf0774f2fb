/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a stage sees: the worker it runs on, the packet's metadata, and how a packet leaves the pipeline.
 *
 * A stage is one function in one file: it takes a burst of at most BURST_MAX packets, deals with each, and returns how
 * many stay in `pkts` (compacted, order kept) for the next stage. A packet that does not stay has been dropped with a
 * reason, consumed, handed to another worker, or moved to the worker's out list.
 */
#ifndef DATAPLANE_STAGES_STAGE_H
#define DATAPLANE_STAGES_STAGE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/tables/flow_table.h"
#include "dataplane/worker.h"
#include "lib/aead/aead.h"

#define BURST_MAX     64
#define OUT_MAX       256 /* out list: forwards, ICMP errors and further fragments of a burst */
#define PKT_META_SIZE 128 /* private area of each mbuf, bytes */
#define HANDOFF_RING  2048
#define PARKED_MAX    64

enum pkt_direction { PKT_UP = 0 /* client → connector */, PKT_DOWN = 1 };

enum pkt_flags {
	PKT_ORIGINATED = 1,     /* made here, not one-for-one forwarded */
	PKT_FRAGMENT = 2,       /* inner packet is a fragment */
	PKT_LATER_FRAGMENT = 4, /* … and not the first one: no ports in it */
	PKT_ICMP_ERROR = 8,     /* inner packet is an ICMP error */
	PKT_HANDED_OFF = 16,
	PKT_MORE_FRAGMENTS = 32 /* … and not the last one */
};

/* Metadata in the mbuf's private area; travels with the packet between workers. */
struct pkt_meta {
	struct session *session; /* it came in on; valid until the replay stage */
	struct flow_entry *flow; /* set by the flow stage; this worker's table */
	uint64_t counter;        /* nonce of the data message */
	uint32_t peer;           /* it came from; RECORD_NONE when made here */
	uint32_t out_peer;       /* it goes to */
	uint32_t flow_hash;
	uint32_t fragment_id;
	uint16_t src_port_be, dst_port_be; /* as inner_parse gives them */
	uint16_t wire_bytes;               /* outer frame length */
	uint16_t l4_offset;                /* from the inner header */
	uint8_t direction, flags, inner_family, proto;
	uint8_t ecn; /* of the outer header as received; for a packet to send: what its outer header gets */
	uint8_t tcp_flags;
	uint8_t arrival; /* worker that took it from the port */
	uint8_t look;    /* while a tap is on: 1 + number of its frame in this turn's burst; 0: none (stages/look.h) */
	uint16_t fragment_from, fragment_to; /* PKT_FRAGMENT: bytes of the datagram in it, end exclusive */
	uint32_t rule; /* DROP_policy_block: the rule that refused it; RECORD_NONE: the account's default action */
	uint32_t route; /* of a packet that policy refused */
	union {
		struct endpoint source; /* outer source and the local address it contacted; until the replay stage */
		struct flow_key key;    /* from the flow stage on */
	};
};
static_assert(sizeof(struct pkt_meta) <= PKT_META_SIZE, "metadata must fit the mbuf's private area");

static inline const struct pkt_meta *pkt_meta_const(const struct rte_mbuf *m)
{
	return (const struct pkt_meta *)(m + 1);
}

static inline struct pkt_meta *pkt_meta(struct rte_mbuf *m)
{
	return (struct pkt_meta *)rte_mbuf_to_priv(m);
}

/* Asks for the packet a few places on: a burst is more than L1 holds, so each stage finds its packets in L2 again. */
#define FETCH_AHEAD 5
static inline void fetch_ahead(struct rte_mbuf **pkts, unsigned i, unsigned n)
{
	const struct pkt_meta *meta;

	if (i + FETCH_AHEAD >= n)
		return;
	meta = pkt_meta_const(pkts[i + FETCH_AHEAD]);
	__builtin_prefetch(pkts[i + FETCH_AHEAD]);
	__builtin_prefetch(meta, 1);
	__builtin_prefetch((const uint8_t *)meta + 64, 1);
}

/*
 * Where later fragments find their first one's flow, and what of the datagram has come. Direct-mapped, bounded; an entry
 * lives 30 s, or until the datagram is whole.
 */
#define FRAG_SLOTS  1024
#define FRAG_RANGES 6
struct frag_slot {
	uint8_t remote[16];
	uint64_t born_ns; /* 0: free */
	uint32_t client, id;
	uint16_t client_port_be, remote_port_be;
	uint8_t direction, proto, family;
	uint8_t refused; /* its pieces contradict each other: none of them passes any more */
	uint16_t total;  /* bytes of the datagram; 0: the last piece has not come */
	uint16_t n;
	struct {
		uint16_t from, to;
	} ranges[FRAG_RANGES]; /* apart from each other, in no order */
};

/* Kept apart by kind, so that what the port does not take is counted under the right name. */
enum tx_kind { TX_FORWARDED = 0, TX_ORIGINATED = 1, TX_KINDS };

struct tx_buffer {
	unsigned n;
	uint64_t bytes;
	struct rte_mbuf *pkts[BURST_MAX];
};

struct worker {
	struct edge *edge;
	unsigned id;
	uint64_t now_ns; /* of this loop turn */
	struct aead *aead;
	struct flow_table *flows;
	struct rte_ring *inbox;      /* struct message * */
	struct rte_ring *in_session; /* mbufs whose session we own */
	struct rte_ring *in_flow;    /* decrypted mbufs from connectors whose client we own */
	struct rte_ring *in_encrypt; /* mbufs for a peer we own */
	struct rte_ring *in_tx;      /* frames for a queue we own, of workers that have none on that port */
	int wake_fd;
	_Atomic bool sleeping;
	_Atomic bool reset_turns;
	uint32_t sessions_live;
	bool tx_pending;
	uint64_t aged_ns;
	void *flow_memory;
	struct client_state *clients; /* by client index (limits.h) */
	struct {
		uint32_t losses; /* of the edge when the sweep began */
		uint32_t cursor, asked;
		bool sweeping, repeated;
		uint64_t again_ns;
	} failover;
	uint64_t unknown_index_tat_ns, icmp_tat_ns; /* GCRA states */
	struct flow_ring *log; /* this worker's ring of the flow log; NULL: off */
	struct story *story;
	struct hold *hold; /* flows that a name could still decide (hold.h) */
	struct flow_hooks client_hooks; /* of limits.h */
	struct tap *tap; /* of this turn; NULL: none is on */
	uint8_t at_stage; /* enum worker_stage that runs */
	uint64_t stage_tsc; /* when the last stage ended */
	unsigned n_out;
	struct rte_mbuf *out[OUT_MAX];
	struct tx_buffer tx[EDGE_MAX_PORTS][TX_KINDS];
	unsigned n_parked;
	uint64_t parked_generation; /* of the outer snapshot they were tried with last */
	struct message *parked[PARKED_MAX]; /* handshake messages that wait for a neighbour */
	struct frag_slot frags[FRAG_SLOTS];
	struct worker_counters counters;
};

/* ---- leaving the pipeline ---- */

/* Frees the packet and counts the reason; originated packets count as originated_dropped instead. */
void worker_drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason);
/* Frees the packet and counts it as consumed. */
void worker_consume(struct worker *w, struct rte_mbuf *m);
/* Appends a packet to the out list: encrypted and sent to meta.out_peer at the end of this turn. */
void worker_emit(struct worker *w, struct rte_mbuf *m);
/* Puts m on another worker's ring and wakes it; drops it with handoff_full when there is no room. */
void worker_handoff(struct worker *w, unsigned to, struct rte_ring *ring, struct rte_mbuf *m);
/* An event for the handshake thread about a peer; false when it could not be queued. */
bool worker_event(struct worker *w, enum message_type type, uint32_t peer, const struct endpoint *endpoint,
		  uint32_t local_index);
/* Allocates an mbuf with zeroed metadata marked originated, or NULL. */
struct rte_mbuf *worker_new_packet(struct worker *w);
/* Forgets a session: wipes it, tells the handshake thread that its slot is free. */
void worker_free_session(struct worker *w, struct session *s);

/*
 * Generic cell rate algorithm: one event of cost 1 is allowed when the theoretical arrival time kept in *tat_ns is not
 * more than (burst − 1) periods ahead of now. No division, one word of state.
 */
static inline bool gcra_allow(uint64_t *tat_ns, uint64_t now_ns, uint64_t period_ns, uint64_t burst)
{
	uint64_t tat = *tat_ns > now_ns ? *tat_ns : now_ns;

	if (tat - now_ns > (burst - 1) * period_ns)
		return false;
	*tat_ns = tat + period_ns;
	return true;
}

/* ---- the stages, in the order of the pipeline ---- */
unsigned stage_rx(struct worker *w, unsigned port, struct rte_mbuf **pkts);
unsigned stage_classify(struct worker *w, struct rte_mbuf **pkts, unsigned n);
unsigned stage_session(struct worker *w, struct rte_mbuf **pkts, unsigned n);
unsigned stage_decrypt(struct worker *w, struct rte_mbuf **pkts, unsigned n);
unsigned stage_replay(struct worker *w, struct rte_mbuf **pkts, unsigned n);
unsigned stage_inner_check(struct worker *w, struct rte_mbuf **pkts, unsigned n);
unsigned stage_flow(struct worker *w, struct rte_mbuf **pkts, unsigned n);
unsigned stage_decide(struct worker *w, struct rte_mbuf **pkts, unsigned n);
void stage_act(struct worker *w, struct rte_mbuf **pkts, unsigned n);
unsigned stage_encrypt(struct worker *w, struct rte_mbuf **pkts, unsigned n);
unsigned stage_outer(struct worker *w, struct rte_mbuf **pkts, unsigned n);
void stage_tx(struct worker *w);

/* ---- around the pipeline ---- */

/* One turn of the loop; how much there was to do. For worker_run, tests and the bench. */
unsigned worker_turn(struct worker *w);
/* The same with all that worker_run does around it: counted, its time taken, a quiescent state at its end. */
struct turn_clock;
unsigned worker_counted_turn(struct worker *w, struct turn_clock *clock);
/* Runs what is on the out list through encrypt and outer until the list is empty. */
void worker_run_out(struct worker *w);
/* Handles up to a burst of messages of the inbox; how many. */
unsigned worker_handle_inbox(struct worker *w);
/* Sends parked handshake messages whose next hop is known by now; drops those that waited for a second. */
void worker_retry_parked(struct worker *w);

#endif
