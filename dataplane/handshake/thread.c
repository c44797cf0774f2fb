// SPDX-License-Identifier: BSD-3-Clause
// The handshake thread: takes events from the workers, runs the timers, posts messages back.
#include "dataplane/handshake/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <sodium.h>

#include "dataplane/stages/stage.h"
#include "lib/log.h"

#define EVENTS_SIZE     65536
#define EVENTS_BATCH    32
#define TICK_NS         (WG_NS_PER_S / 40)
/* Data of unknown sessions may begin at most so many handshakes. */
#define UNKNOWN_PER_S   100
#define UNKNOWN_BURST   50

uint64_t hs_unix_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * WG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

bool hs_allow(uint64_t *tat_ns, uint64_t now_ns, uint64_t period_ns, uint64_t burst)
{
	return gcra_allow(tat_ns, now_ns, period_ns, burst);
}

void hs_post(struct handshake *hs, const struct hs_peer *peer, struct message *message)
{
	unsigned worker = peer->owner == PEER_UNOWNED ? 0 : peer->owner;

	if (worker_post(hs->edge->workers[worker], message))
		return;
	if (message->type == MSG_SEND_RAW || message->type == MSG_SEND_INNER || message->type == MSG_KEEPALIVE)
		hs->counters.originated_failed++;
	message_free(hs->edge, message);
}

void hs_tell(struct handshake *hs, uint32_t index, enum message_type type, bool flag)
{
	struct message *msg = message_alloc(hs->edge);

	if (msg == NULL) {
		log_rated(LOG_LEVEL_WARN, "handshake: message pool is empty");
		return;
	}
	msg->type = type;
	msg->peer = index;
	msg->flag = flag;
	hs_post(hs, &hs->peers[index], msg);
}

struct message *hs_packet(struct handshake *hs, uint32_t index, enum message_type type, const void *bytes,
			  unsigned len)
{
	struct message *msg = message_alloc(hs->edge);
	struct rte_mbuf *m = rte_pktmbuf_alloc(hs->edge->mbuf_pool);

	if (msg == NULL || m == NULL) {
		hs->counters.originated_failed++;
		rte_pktmbuf_free(m);
		if (msg != NULL)
			message_free(hs->edge, msg);
		return NULL;
	}
	memset(pkt_meta(m), 0, sizeof(struct pkt_meta));
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
	msg->type = type;
	msg->peer = index;
	msg->mbuf = m;
	return msg;
}

static bool same_remote(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->remote_port_be == b->remote_port_be &&
	       memcmp(a->remote, b->remote, sizeof(a->remote)) == 0;
}

/* Data of a session that we do not have: if its endpoint is a known peer's, we begin the handshake (decision 20). */
static void unknown_index(struct handshake *hs, const struct message *event, uint64_t now_ns)
{
	if (!hs_allow(&hs->unknown_tat_ns, now_ns, WG_NS_PER_S / UNKNOWN_PER_S, UNKNOWN_BURST))
		return;
	for (uint32_t i = 0; i < hs->edge->config.cap_peers; i++) {
		struct hs_peer *p = &hs->peers[i];

		if (!p->used || !p->enabled || !same_remote(&p->endpoint, &event->endpoint))
			continue;
		if (__atomic_load_n(&hs->edge->peers[i].current, __ATOMIC_ACQUIRE) != NULL)
			return; /* it has a session with us: the packet is just late */
		wg_timers_want(&p->timers);
		return;
	}
}

static void confirmed(struct handshake *hs, uint32_t index, uint64_t now_ns)
{
	struct hs_peer *p = hs_peer_get(hs, index);

	if (p == NULL)
		return;
	wg_timers_complete(&p->timers, now_ns);
	if (p->kind == PEER_CONNECTOR) {
		hs_send_landed(hs, index);
		hs_connector_refresh(hs, p->connector);
	}
}

/*
 * A peer's packets keep arriving at another worker (decision 16): it moves there, unless it is a client with another
 * key on its old worker: flows of a client stay together.
 */
static void handoffs(struct handshake *hs, const struct message *event)
{
	struct hs_peer *p = hs_peer_get(hs, event->peer);
	struct message *msg;

	if (p == NULL || p->migrating || p->owner == PEER_UNOWNED || p->owner == event->worker)
		return;
	msg = message_alloc(hs->edge);
	if (msg == NULL)
		return;
	msg->type = MSG_MIGRATE_OUT;
	msg->peer = event->peer;
	msg->migrate.target = event->worker;
	p->migrating = true;
	hs_post(hs, p, msg);
}

static void migrated(struct handshake *hs, const struct message *event)
{
	struct hs_peer *p = hs_peer_get(hs, event->peer);

	if (p == NULL)
		return;
	p->owner = event->worker;
	p->migrating = false;
	if (p->kind == PEER_CONNECTOR)
		hs_send_landed(hs, event->peer);
}

static void count(struct handshake *hs, enum drop_reason reason)
{
	if (reason == DROP_REASON_COUNT)
		hs->counters.consumed++;
	else
		hs->counters.drops[reason]++;
}

static void dispatch(struct handshake *hs, struct message *event, uint64_t now_ns)
{
	struct hs_peer *p;

	switch (event->type) {
	case EV_HANDSHAKE:
		count(hs, hs_receive(hs, event, now_ns));
		break;
	case EV_CONTROL:
		count(hs, hs_control_datagram(hs, event, now_ns));
		break;
	case EV_NEED_HANDSHAKE:
		p = hs_peer_get(hs, event->peer);
		if (p != NULL && p->enabled && p->endpoint.family != 0)
			wg_timers_want(&p->timers);
		break;
	case EV_UNKNOWN_INDEX:
		unknown_index(hs, event, now_ns);
		break;
	case EV_CONFIRMED:
		confirmed(hs, event->peer, now_ns);
		break;
	case EV_ENDPOINT:
		p = hs_peer_get(hs, event->peer);
		if (p != NULL) {
			p->endpoint = event->endpoint;
			p->dirty = true;
		}
		break;
	case EV_SLOT_FREE:
		hs_slot_give(hs, event->session.local_index, now_ns);
		break;
	case EV_HANDOFFS:
		handoffs(hs, event);
		break;
	case EV_MIGRATED:
		migrated(hs, event);
		break;
	default:
		break;
	}
}

static unsigned take_events(struct handshake *hs)
{
	void *events[EVENTS_BATCH];
	unsigned n = rte_ring_sc_dequeue_burst(hs->events, events, EVENTS_BATCH, NULL);

	if (n == 0)
		return 0;
	pthread_mutex_lock(&hs->lock);
	for (unsigned i = 0; i < n; i++)
		dispatch(hs, events[i], edge_now_ns());
	pthread_mutex_unlock(&hs->lock);
	for (unsigned i = 0; i < n; i++)
		message_free(hs->edge, events[i]);
	return n;
}

unsigned handshake_turn(struct handshake *hs)
{
	return take_events(hs);
}

void handshake_tick(struct handshake *hs, uint64_t now_ns)
{
	pthread_mutex_lock(&hs->lock);
	do
		hs_timers(hs, now_ns);
	while (hs->scan != 0);
	pthread_mutex_unlock(&hs->lock);
}

static void sleep_until_event(struct handshake *hs)
{
	struct pollfd fd = {.fd = hs->wake_fd, .events = POLLIN};
	uint64_t drain;

	atomic_store_explicit(&hs->sleeping, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (rte_ring_empty(hs->events)) {
		rte_rcu_qsbr_thread_offline(hs->edge->qsbr, hs->edge->n_workers);
		poll(&fd, 1, (int)(TICK_NS / 1000000));
		rte_rcu_qsbr_thread_online(hs->edge->qsbr, hs->edge->n_workers);
	}
	atomic_store_explicit(&hs->sleeping, false, memory_order_relaxed);
	if (read(hs->wake_fd, &drain, sizeof(drain)) < 0)
		return; /* nothing to drain */
}

static void *run(void *arg)
{
	struct handshake *hs = arg;
	unsigned reader = hs->edge->n_workers;
	uint64_t next_tick = 0;

	rte_rcu_qsbr_thread_register(hs->edge->qsbr, reader);
	rte_rcu_qsbr_thread_online(hs->edge->qsbr, reader);
	while (!atomic_load_explicit(&hs->edge->stop, memory_order_relaxed)) {
		unsigned n = take_events(hs);
		uint64_t now_ns = edge_now_ns();

		if (now_ns >= next_tick) {
			pthread_mutex_lock(&hs->lock);
			hs_timers(hs, now_ns);
			pthread_mutex_unlock(&hs->lock);
			next_tick = now_ns + TICK_NS;
		}
		rte_rcu_qsbr_quiescent(hs->edge->qsbr, reader);
		if (n == 0)
			sleep_until_event(hs);
	}
	rte_rcu_qsbr_thread_offline(hs->edge->qsbr, reader);
	rte_rcu_qsbr_thread_unregister(hs->edge->qsbr, reader);
	return NULL;
}

bool handshake_post(struct handshake *hs, struct message *message)
{
	uint64_t one = 1;

	/* Packets from outside may fill the queue only up to the configured limit; events of our own have the rest. */
	if (message->type == EV_HANDSHAKE &&
	    rte_ring_count(hs->events) >= settings_get(hs->edge->records)->handshake_max_queue)
		return false;
	if (rte_ring_mp_enqueue(hs->events, message) != 0)
		return false;
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&hs->sleeping, memory_order_relaxed) &&
	    write(hs->wake_fd, &one, sizeof(one)) < 0)
		return true; /* its counter is at the maximum: it is awake */
	return true;
}

static bool make_parts(struct handshake *hs)
{
	const struct edge_config *cfg = &hs->edge->config;
	size_t slots = (size_t)cfg->n_workers * cfg->cap_sessions; /* the workers themselves come later */
	uint32_t keys = 16;

	while (keys < 2 * cfg->cap_peers)
		keys *= 2;
	hs->by_key_mask = keys - 1;
	hs->by_key = calloc(keys, sizeof(*hs->by_key));
	hs->peers = calloc(cfg->cap_peers, sizeof(*hs->peers));
	hs->slot_peer = malloc(slots * sizeof(*hs->slot_peer));
	hs->events = rte_ring_create("events", EVENTS_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
	hs->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!hs->by_key || !hs->peers || !hs->slot_peer || !hs->events || hs->wake_fd < 0)
		return false;
	memset(hs->slot_peer, 0xff, slots * sizeof(*hs->slot_peer));
	for (unsigned i = 0; i < cfg->n_workers; i++) {
		hs->slots[i] = peer_slots_create(cfg->cap_sessions, PEER_SLOT_REST_NS);
		if (hs->slots[i] == NULL)
			return false;
	}
	return true;
}

struct handshake *handshake_create(struct edge *edge)
{
	struct handshake *hs = calloc(1, sizeof(*hs));

	if (hs == NULL)
		return NULL;
	hs->edge = edge;
	hs->wake_fd = -1;
	pthread_mutex_init(&hs->lock, NULL);
	if (!make_parts(hs)) {
		log_error("handshake: no memory for %u peers and %u sessions a worker", edge->config.cap_peers,
			  edge->config.cap_sessions);
		handshake_destroy(hs);
		return NULL;
	}
	hs->n_identities = edge->config.n_keys;
	for (unsigned i = 0; i < hs->n_identities; i++)
		noise_identity_init(&hs->identities[i], edge->config.private_keys[i], (uint8_t)i);
	sodium_memzero(edge->config.private_keys, sizeof(edge->config.private_keys));
	for (uint32_t i = 0; i < edge->config.cap_peers; i++)
		edge->peers[i].owner = PEER_UNOWNED;
	return hs;
}

int handshake_start(struct handshake *hs)
{
	int rc = pthread_create(&hs->thread, NULL, run, hs);

	hs->started = rc == 0;
	return -rc;
}

void handshake_stop(struct handshake *hs)
{
	if (hs->started)
		pthread_join(hs->thread, NULL);
	hs->started = false;
}

void handshake_destroy(struct handshake *hs)
{
	void *msg;

	if (hs == NULL)
		return;
	while (hs->events != NULL && rte_ring_sc_dequeue(hs->events, &msg) == 0)
		message_free(hs->edge, msg);
	rte_ring_free(hs->events);
	for (unsigned i = 0; i < EDGE_MAX_WORKERS; i++)
		if (hs->slots[i] != NULL)
			peer_slots_destroy(hs->slots[i]);
	if (hs->wake_fd >= 0)
		close(hs->wake_fd);
	for (unsigned i = 0; i < NOISE_IDENTITIES; i++)
		noise_identity_wipe(&hs->identities[i]);
	cookie_checker_wipe(&hs->cookies);
	if (hs->peers != NULL)
		sodium_memzero(hs->peers, hs->edge->config.cap_peers * sizeof(*hs->peers));
	free(hs->runtime);
	free(hs->peers);
	free(hs->by_key);
	free(hs->slot_peer);
	pthread_mutex_destroy(&hs->lock);
	free(hs);
}
