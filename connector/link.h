// SPDX-License-Identifier: BSD-3-Clause
// The sessions to one edge: endpoints and failover, source ports until each worker owns a session, liveness.
#ifndef SLUICE_CONNECTOR_LINK_H
#define SLUICE_CONNECTOR_LINK_H

#include "connector/registration.h"
#include "connector/session.h"
#include "connector/settle.h"

/* ms */
#define LINK_CONNECT_MS 10000	 /* without an answer: the next endpoint */
#define LINK_RETRY_MS 1000	 /* after a socket's error */
#define LINK_REBIND_MS 25	 /* an edge takes 50 initiations a second from a peer */
#define LINK_HELLO_MS 1000	 /* until the edge says where a session landed */
#define LINK_QUIET_MS 6000	 /* without a word of the edge (it probes every 5 s): probe */
#define LINK_PROBE_MS 1000
#define LINK_DEAD_MS 10000	 /* without a word: gone */
#define LINK_BEAT_MS 10000	 /* settled flag, limits and round trip again */
#define LINK_FIRST_BEAT_MS 500
#define LINK_HELLO_REPEATS 2	 /* of a settled hello: it may be lost */

struct link;

/* What a link needs of its connector. Shared by all links. */
struct link_host {
	struct session_room room;
	struct noise_identity identities[SETTLE_SESSIONS_MAX]; /* fresh keys of this run, one per session */
	struct tai64n_clock clocks[SETTLE_SESSIONS_MAX];
	int epoll_fd;
	void *arg;
	/* a packet from the edge; as session_events.inner */
	void (*inner)(void *arg, struct session *s, const uint8_t *packet, uint32_t length);
	/* every session of the link has been gone for a while */
	void (*lost)(void *arg, struct link *link);
	/* fills the `limits` message */
	void (*limits)(void *arg, struct ctlmsg *msg);
	bool draining; /* tell the edges so */
};

struct link_slot {
	unsigned endpoint;
	uint64_t connect_ms;  /* when this socket was opened */
	uint64_t due_ms;      /* open a socket then; 0: not wanted */
	uint64_t hello_ms;    /* next hello; 0: none */
	unsigned hellos;      /* settled ones still to repeat */
	uint64_t probe_ms;    /* last probe sent */
	uint64_t beat_ms;     /* next beat */
	uint64_t rtt_us;      /* 0: not known */
	uint64_t ports;	      /* sockets opened */
};

struct link {
	struct link_host *host;
	struct session_events events;
	struct registration_edge edge;
	unsigned mtu;
	unsigned count; /* sessions in use */
	struct session sessions[SETTLE_SESSIONS_MAX];
	struct link_slot slots[SETTLE_SESSIONS_MAX];
	struct settle settle;
	bool edge_draining;
	uint64_t alive_ms; /* when a session last lived, or the link was made or complained */
};

/* Makes a link; its sockets open at the next link_tick(). NULL: no memory. */
struct link *link_create(struct link_host *host, const struct registration_edge *edge, unsigned sessions, unsigned mtu,
			 uint64_t now_ms);
void link_destroy(struct link *link);

/* The edge as a renewal describes it: other endpoints, keys, workers. Sessions that it does not touch go on. */
void link_update(struct link *link, const struct registration_edge *edge, unsigned sessions, unsigned mtu,
		 uint64_t now_ms);

/* Timers of all sessions. Returns ms until the next one is due, at most 1,000. */
int link_tick(struct link *link, uint64_t now_ns);

/* Sends what is queued. */
void link_flush(struct link *link, uint64_t now_ns);

/* Whether a session is settled and its edge was heard of late. */
bool link_live(const struct link *link, unsigned index, uint64_t now_ns);
unsigned link_live_count(const struct link *link, uint64_t now_ns);

/* Sends a message on every session that is up. */
void link_tell(struct link *link, const struct ctlmsg *msg, uint64_t now_ns);

#endif
