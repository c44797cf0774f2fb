// SPDX-License-Identifier: BSD-3-Clause
// How packets leave the pipeline, and the small helpers that several stages share.
#include "dataplane/stages/stage.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_mempool.h>
#include <sodium.h>

#include "dataplane/handshake.h"
#include "dataplane/stages/look.h"

void worker_drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	if (__builtin_expect(w->tap != NULL, 0))
		look_left(w, m, TAP_DROPPED, reason);
	if (pkt_meta(m)->flags & PKT_ORIGINATED)
		w->counters.originated_dropped++;
	else
		w->counters.drops[reason]++;
	rte_pktmbuf_free(m);
}

void worker_consume(struct worker *w, struct rte_mbuf *m)
{
	if (__builtin_expect(w->tap != NULL, 0))
		look_left(w, m, TAP_CONSUMED, DROP_REASON_COUNT);
	w->counters.consumed++;
	rte_pktmbuf_free(m);
}

void worker_emit(struct worker *w, struct rte_mbuf *m)
{
	if (w->n_out == OUT_MAX) {
		worker_drop(w, m, DROP_no_mbuf);
		return;
	}
	w->out[w->n_out++] = m;
}

/* Wakes a sleeping worker; the fence pairs with the one in worker_sleep. */
static void worker_wake(struct worker *to)
{
	uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&to->sleeping, memory_order_relaxed) &&
	    write(to->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is at its maximum: it is awake already */
}

void worker_handoff(struct worker *w, unsigned to, struct rte_ring *ring, struct rte_mbuf *m)
{
	if (__builtin_expect(w->tap != NULL, 0))
		look_left(w, m, TAP_HANDED, DROP_REASON_COUNT);
	if (rte_ring_mp_enqueue(ring, m) != 0) {
		worker_drop(w, m, DROP_handoff_full);
		return;
	}
	w->counters.handoff_out++;
	worker_wake(w->edge->workers[to]);
}

bool worker_post(struct worker *worker, struct message *message)
{
	if (rte_ring_mp_enqueue(worker->inbox, message) != 0)
		return false;
	worker_wake(worker);
	return true;
}

bool worker_event(struct worker *w, enum message_type type, uint32_t peer, const struct endpoint *endpoint,
		  uint32_t local_index)
{
	struct message *msg = message_alloc(w->edge);

	if (msg == NULL)
		return false;
	msg->type = type;
	msg->peer = peer;
	msg->worker = (uint8_t)w->id;
	if (endpoint != NULL)
		msg->endpoint = *endpoint;
	msg->session.local_index = local_index;
	if (handshake_post(w->edge->handshake, msg))
		return true;
	message_free(w->edge, msg);
	return false;
}

struct rte_mbuf *worker_new_packet(struct worker *w)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->edge->mbuf_pool);

	if (m == NULL)
		return NULL;
	memset(pkt_meta(m), 0, sizeof(struct pkt_meta));
	pkt_meta(m)->flags = PKT_ORIGINATED;
	pkt_meta(m)->peer = RECORD_NONE;
	return m;
}

void worker_free_session(struct worker *w, struct session *s)
{
	uint32_t index = s->local_index;
	uint32_t peer = s->peer;

	if (s->state != SESSION_LIVE)
		return;
	sodium_memzero(s->rx_key, sizeof(s->rx_key));
	sodium_memzero(s->tx_key, sizeof(s->tx_key));
	s->state = SESSION_FREE;
	w->sessions_live--;
	/* A lost event costs one slot until the edge restarts; the event queue is larger than all slots. */
	worker_event(w, EV_SLOT_FREE, peer, NULL, index);
}

struct message *message_alloc(struct edge *edge)
{
	void *p;

	if (rte_mempool_get(edge->message_pool, &p) != 0)
		return NULL;
	memset(p, 0, sizeof(struct message));
	return p;
}

void message_free(struct edge *edge, struct message *message)
{
	rte_pktmbuf_free(message->mbuf);
	sodium_memzero(message, sizeof(*message));
	rte_mempool_put(edge->message_pool, message);
}
