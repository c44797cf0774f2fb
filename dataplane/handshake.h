/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The handshake thread: Noise, cookies, timers, connector liveness, landing of sessions on workers. The pure parts are
 * in lib/wg; here they meet rings and the clock. All functions are for the control thread unless said otherwise and
 * take the thread's lock for a short time.
 */
#ifndef DATAPLANE_HANDSHAKE_H
#define DATAPLANE_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/edge.h"
#include "dataplane/messages.h"

/* Takes edge->config.private_keys (wiped there). NULL with a log line on failure. */
struct handshake *handshake_create(struct edge *edge);
int handshake_start(struct handshake *hs); /* starts the thread; 0 or negative errno */
void handshake_stop(struct handshake *hs); /* joins it */
void handshake_destroy(struct handshake *hs);

/* Public keys of this edge, at most EDGE_MAX_KEYS; returns how many. Any thread. */
unsigned handshake_public_keys(const struct handshake *hs, uint8_t out[EDGE_MAX_KEYS][32]);

/*
 * Tells that the peer record at index changed: added, replaced (key, psk, enabled, mtu) or, with record == NULL,
 * removed. The record must already be published in edge->records. A removed or disabled peer loses its sessions at once.
 * -EEXIST when another peer has that public key, -EINVAL for a low-order key; 0 otherwise.
 */
int handshake_peer_changed(struct handshake *hs, uint32_t peer, const struct peer_record *record);
/* The connector record changed (weight, draining) or, NULL, went away. */
void handshake_connector_changed(struct handshake *hs, uint32_t connector, const struct connector_record *record);

/* What ctrl's runtime store knows of a peer from an earlier run. Endpoint family 0: not known. */
struct handshake_runtime {
	uint8_t public_key[32];
	struct endpoint endpoint;
	uint8_t tai64n_rx[12];
	bool has_tai64n_rx;
	uint64_t active_at_unix_s;
};

/*
 * Loads runtime facts, from the file of an earlier run and then, fresher, from sluice-ctrl. Begins handshakes with peers
 * not heard in this run, active senders first, limited per second.
 */
void handshake_load_runtime(struct handshake *hs, uint64_t tai64n_high_water_ns, const struct handshake_runtime *peers,
			    size_t n);

struct handshake_report {
	uint8_t public_key[32];
	struct endpoint endpoint;
	uint8_t tai64n_rx[12];
	bool has_tai64n_rx;
	uint64_t last_handshake_unix_s; /* 0: none in this run */
	uint64_t active_at_unix_s;
};

/* Fills up to max reports of peers that changed since the last call; returns how many. Also the high-water mark. */
size_t handshake_collect_reports(struct handshake *hs, struct handshake_report *out, size_t max,
				 uint64_t *tai64n_high_water_ns);

/* One session line of `show sessions`. */
struct handshake_peer_info {
	uint32_t peer;
	bool has_session;
	uint8_t worker; /* PEER_UNOWNED when none */
	bool settled;
	struct endpoint endpoint;
	uint64_t last_handshake_unix_s; /* 0: none */
	uint64_t session_age_ns;
	uint64_t rtt_ns; /* connectors: last probe; 0 unknown */
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, handoffs;
};

/* False when the peer is not known. */
bool handshake_peer_info(struct handshake *hs, uint32_t peer, struct handshake_peer_info *out);

/* Takes one batch of events without the thread: for tests and the bench, where one thread plays all. How many. */
unsigned handshake_turn(struct handshake *hs);
/* One full round of all peers' timers at now_ns (monotonic), likewise. */
void handshake_tick(struct handshake *hs, uint64_t now_ns);

struct handshake_counters {
	uint64_t initiations_rx, responses_rx, cookies_rx, initiations_tx, responses_tx, cookies_tx;
	uint64_t completed;        /* handshakes, both roles */
	uint64_t sessions;         /* peers with a live session now */
	uint64_t consumed;         /* received packets that ended here */
	uint64_t originated_failed; /* packets that could not be made (no mbuf, no message) */
	uint64_t drops[DROP_REASON_COUNT];
	bool under_load;
	uint32_t connectors_live;
};

/* A copy of the counters. Any thread. */
void handshake_counters_get(struct handshake *hs, struct handshake_counters *out);

/* An outer "packet too big" for a remote endpoint (decision 29): checked against live sessions, floors 576 / 1,280. */
void handshake_path_mtu(struct handshake *hs, uint8_t family, const uint8_t remote[16], uint16_t remote_port_be,
			uint16_t mtu);

/* Asks for migration of a peer to another worker; 0, -ENOENT, -EINVAL, -EAGAIN (no message). */
int handshake_migrate(struct handshake *hs, uint32_t peer, uint8_t worker);

/* Posts an event to the thread and wakes it; false when its queue is full (the message stays the caller's). Workers. */
bool handshake_post(struct handshake *hs, struct message *message);

#endif
