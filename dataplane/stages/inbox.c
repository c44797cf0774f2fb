// SPDX-License-Identifier: BSD-3-Clause
// What other threads ask of a worker. All changes to its sessions, peers and flows from outside come through here, so
// each has one writer.
#include "dataplane/stages/outer_headers.h"

#include <stdlib.h>

#include <sodium.h>

#include "dataplane/outer/outer.h"
#include "dataplane/stages/hits.h"
#include "dataplane/stages/migrate.h"
#include "dataplane/tables/peer_index.h"
#include "lib/wg/wire.h"

#define PARKED_NS 1000000000ull /* the kernel gives up resolving after three tries of a second */

struct session *session_by_index(struct edge *edge, uint32_t index)
{
	uint32_t worker, slot;

	if (!peer_index_decode(edge->index, index, &worker, &slot))
		return NULL;
	return &edge->sessions[(size_t)worker * edge->config.cap_sessions + slot];
}

/*
 * Paper, 6: as initiator the new keypair is current at once; as responder it waits in `next` until the peer has used it.
 */
static void place(struct worker *w, struct peer *peer, struct session *s)
{
	if (!s->initiator) {
		if (peer->next != NULL)
			worker_free_session(w, peer->next);
		peer->next = s;
		return;
	}
	/* what waited in `next` is older than this one; it may still bring packets, so it becomes previous */
	if (peer->previous != NULL)
		worker_free_session(w, peer->previous);
	if (peer->next != NULL) {
		if (peer->current != NULL)
			worker_free_session(w, peer->current);
		peer->previous = peer->next;
		peer->next = NULL;
	} else {
		peer->previous = peer->current;
	}
	peer->current = s;
}

static void install_session(struct worker *w, struct message *msg)
{
	struct session *s = session_by_index(w->edge, msg->session.local_index);
	struct peer *peer = &w->edge->peers[msg->peer];

	if (s == NULL)
		return;
	sodium_memzero(s, sizeof(*s));
	s->peer = msg->peer;
	s->local_index = msg->session.local_index;
	s->remote_index = msg->session.remote_index;
	s->owner = (uint8_t)w->id;
	s->initiator = msg->session.initiator;
	s->confirmed = msg->session.initiator;
	s->born_ns = msg->session.born_ns;
	memcpy(s->rx_key, msg->session.rx_key, sizeof(s->rx_key));
	memcpy(s->tx_key, msg->session.tx_key, sizeof(s->tx_key));
	s->state = SESSION_LIVE;
	w->sessions_live++;
	wg_stamps_session(&peer->stamps);
	place(w, peer, s);
	/* an authenticated handshake message is where the peer is now */
	if (msg->endpoint.family != 0 && memcmp(&peer->endpoint, &msg->endpoint, sizeof(peer->endpoint)) != 0) {
		peer->endpoint = msg->endpoint;
		peer->path.generation = 0;
		peer->path_mtu = 0;
	}
}

static void remove_sessions(struct worker *w, struct peer *peer)
{
	struct session **all[] = {&peer->current, &peer->next, &peer->previous};

	for (unsigned i = 0; i < 3; i++) {
		if (*all[i] != NULL)
			worker_free_session(w, *all[i]);
		*all[i] = NULL;
	}
}

/* The peer is gone: its index may be another's next. */
static void forget(struct peer *peer)
{
	uint8_t owner = peer->owner;

	memset(peer, 0, sizeof(*peer));
	peer->owner = owner;
}

/* The message's mbuf, marked as made here and going to peer. */
static struct rte_mbuf *take_mbuf(struct message *msg)
{
	struct rte_mbuf *m = msg->mbuf;

	msg->mbuf = NULL;
	pkt_meta(m)->flags = PKT_ORIGINATED;
	pkt_meta(m)->peer = RECORD_NONE;
	pkt_meta(m)->out_peer = msg->peer;
	return m;
}

static void send_keepalive(struct worker *w, uint32_t peer)
{
	struct rte_mbuf *m;

	/* nothing to keep alive: the packet would only count as a failure */
	if (w->edge->peers[peer].current == NULL)
		return;
	m = worker_new_packet(w);
	if (m == NULL)
		return;
	pkt_meta(m)->out_peer = peer;
	worker_emit(w, m);
}

static void send_inner(struct worker *w, struct message *msg)
{
	struct rte_mbuf *m = take_mbuf(msg);

	pkt_meta(m)->inner_family = *rte_pktmbuf_mtod(m, const uint8_t *) >> 4;
	worker_emit(w, m);
}

/*
 * A handshake message: outer headers only, to the endpoint in the message. True: the message was parked, because the
 * next hop is still being resolved; losing an answer would cost the other side its Rekey-Timeout.
 */
static bool send_raw(struct worker *w, struct message *msg)
{
	struct outer_path path = {0};
	struct rte_mbuf *m;

	outer_path_refresh(w, &msg->endpoint, &path);
	if (path.status == 1 + DROP_outer_neighbour && w->n_parked < PARKED_MAX) {
		if (msg->session.born_ns == 0)
			msg->session.born_ns = w->now_ns; /* parked since */
		if (w->now_ns - msg->session.born_ns < PARKED_NS) {
			w->parked[w->n_parked++] = msg;
			return true;
		}
	}
	m = take_mbuf(msg);
	if (path.status != 0) {
		worker_drop(w, m, (enum drop_reason)(path.status - 1));
		return false;
	}
	/* DSCP of handshake messages as other implementations set it: AF41 */
	if (!outer_encapsulate(m, &msg->endpoint, &path, 0x88)) {
		worker_drop(w, m, DROP_no_mbuf);
		return false;
	}
	tx_append(w, path.port, m);
	w->tx_pending = true;
	return false;
}

/* Tries parked messages again when the kernel's tables have moved on, or their time is over. */
void worker_retry_parked(struct worker *w)
{
	uint64_t generation = outer_generation(__atomic_load_n(&w->edge->outer, __ATOMIC_ACQUIRE));
	struct message *msgs[PARKED_MAX];
	unsigned n = w->n_parked;

	if (n == 0 ||
	    (generation == w->parked_generation && w->now_ns - w->parked[0]->session.born_ns < PARKED_NS))
		return;
	w->parked_generation = generation;
	memcpy(msgs, w->parked, n * sizeof(msgs[0]));
	w->n_parked = 0;
	for (unsigned i = 0; i < n; i++)
		if (!send_raw(w, msgs[i]))
			message_free(w->edge, msgs[i]);
}

static uint64_t elapsed(uint64_t now_ns, uint64_t then_ns)
{
	return then_ns < now_ns ? now_ns - then_ns : 0;
}

struct dump_context {
	struct worker *w;
	struct flow_dump *dump;
};

static bool dump_one(void *arg, struct flow_entry *f)
{
	struct dump_context *ctx = arg;
	struct flow_dump *d = ctx->dump;
	const struct records *r = ctx->w->edge->records;
	const struct client_record *client = client_get(r, f->key.client);
	const struct peer_record *session = peer_record_get(r, f->session);
	struct flow_info *info;

	if (d->client != RECORD_NONE && f->key.client != d->client)
		return true;
	info = &d->flows[d->n++];
	memset(info, 0, sizeof(*info));
	info->family = f->key.family;
	info->proto = f->key.proto;
	info->verdict = f->verdict;
	info->tcp_state = f->tcp_state;
	memcpy(info->remote_addr, f->key.remote_addr, 16);
	if (client != NULL)
		memcpy(info->client_addr, f->key.family == 4 ? client->v4 : client->v6, f->key.family == 4 ? 4 : 16);
	info->client_port = rte_be_to_cpu_16(f->key.client_port_be);
	info->remote_port = rte_be_to_cpu_16(f->key.remote_port_be);
	info->client = f->key.client;
	info->tunnel = f->tunnel;
	info->connector = session == NULL ? RECORD_NONE : session->connector;
	info->session_peer = f->session;
	info->rule = f->rule;
	info->revision = f->revision;
	info->packets_up = f->packets_up;
	info->bytes_up = f->bytes_up;
	info->packets_down = f->packets_down;
	info->bytes_down = f->bytes_down;
	info->age_ns = elapsed(ctx->w->now_ns, f->start_ns);
	info->idle_ns = elapsed(ctx->w->now_ns, (uint64_t)f->last_seen * (1000000000ull / FLOW_TICKS_PER_S));
	return d->n < FLOW_DUMP_MAX;
}

/* Looks at a bounded part of the table; the asker calls again with the cursor. */
static void dump_flows(struct worker *w, struct flow_dump *dump)
{
	struct dump_context ctx = {.w = w, .dump = dump};

	dump->n = 0;
	if (!flow_iterate(w->flows, &dump->cursor, 4096, dump_one, &ctx))
		dump->cursor = UINT32_MAX;
	atomic_store_explicit(&dump->done, true, memory_order_release);
}

static void fold_hits(struct worker *w, struct hits_fold *fold)
{
	if (!hits_fold_slice(w, &fold->cursor, 4096))
		fold->cursor = UINT32_MAX;
	atomic_store_explicit(&fold->done, true, memory_order_release);
}

static void set_path_mtu(struct worker *w, const struct message *msg)
{
	struct peer *peer = &w->edge->peers[msg->peer];

	if (peer->path_mtu == 0 || msg->mtu < peer->path_mtu)
		peer->path_mtu = msg->mtu;
}

/*
 * A message about a peer that has moved on follows it, in order behind MSG_MIGRATE_IN. True: it is no longer ours.
 */
static bool forward(struct worker *w, struct message *msg)
{
	uint8_t owner;

	if (msg->type == MSG_DUMP_FLOWS || msg->type == MSG_FOLD_HITS || msg->type == MSG_MIGRATE_IN || msg->peer == RECORD_NONE)
		return false;
	owner = __atomic_load_n(&w->edge->peers[msg->peer].owner, __ATOMIC_ACQUIRE);
	if (owner == w->id || owner >= w->edge->n_workers)
		return false;
	return worker_post(w->edge->workers[owner], msg);
}

/* Does what the message asks; true when it keeps the message. */
static bool handle(struct worker *w, struct message *msg)
{
	struct peer *peer = msg->peer == RECORD_NONE ? NULL : &w->edge->peers[msg->peer];

	switch (msg->type) {
	case MSG_INSTALL_SESSION:
		install_session(w, msg);
		if (msg->session.initiator)
			send_keepalive(w, msg->peer); /* confirms the keypair to the responder */
		break;
	case MSG_REMOVE_PEER:
		remove_sessions(w, peer);
		if (msg->flag)
			forget(peer);
		break;
	case MSG_SET_ENDPOINT:
		if (peer->endpoint.family == 0) {
			peer->endpoint = msg->endpoint;
			peer->path.generation = 0;
		}
		break;
	case MSG_SETTLED:
		__atomic_store_n(&peer->settled, msg->flag, __ATOMIC_RELAXED);
		break;
	case MSG_KEEPALIVE:
		send_keepalive(w, msg->peer);
		break;
	case MSG_SEND_RAW:
		return send_raw(w, msg);
	case MSG_SEND_INNER:
		send_inner(w, msg);
		break;
	case MSG_DUMP_FLOWS:
		dump_flows(w, msg->dump);
		break;
	case MSG_FOLD_HITS:
		fold_hits(w, msg->fold);
		break;
	case MSG_PATH_MTU:
		set_path_mtu(w, msg);
		break;
	case MSG_MIGRATE_OUT:
		migrate_out(w, msg);
		break;
	case MSG_MIGRATE_IN:
		migrate_in(w, msg);
		break;
	default:
		break;
	}
	return false;
}

unsigned worker_handle_inbox(struct worker *w)
{
	void *msgs[32];
	unsigned n = rte_ring_sc_dequeue_burst(w->inbox, msgs, 32, NULL);

	for (unsigned i = 0; i < n; i++) {
		if (!forward(w, msgs[i]) && !handle(w, msgs[i]))
			message_free(w->edge, msgs[i]);
	}
	if (n > 0)
		worker_run_out(w);
	return n;
}
