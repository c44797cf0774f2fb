// SPDX-License-Identifier: BSD-3-Clause
// A worker's life: made, polls its queues through the pipeline, sleeps when there is nothing, ends.
#include "dataplane/stages/outer_headers.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <sodium.h>

#include "dataplane/outer/outer.h"
#include "dataplane/ports/port.h"
#include "dataplane/stages/hold.h"
#include "dataplane/stages/limits.h"
#include "dataplane/stages/failover.h"
#include "dataplane/stages/look.h"
#include "dataplane/stages/story.h"
#include "dataplane/stages/turn_clock.h"
#include "lib/log.h"

#define INBOX_SIZE         16384
#define IDLE_TURNS         256 /* empty turns before a worker sleeps */
#define SLEEP_MS           50
#define AGE_PERIOD_NS      10000000ull /* a slice of the flow table is aged this often … */
#define AGE_SLICES         512         /* … so that all of it is looked at every 5 s */
#define FLOW_TICK_NS       (1000000000ull / FLOW_TICKS_PER_S)

uint64_t edge_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* One timed stage call over a burst. It began when the stage before it ended, so each stage reads the clock once. */
#define RUN_STAGE(w, stage, count, call)                                               \
	do {                                                                           \
		uint64_t end_;                                                         \
		(w)->at_stage = STAGE_##stage;                                         \
		(w)->counters.stages[STAGE_##stage].packets += (count);                \
		(w)->counters.stages[STAGE_##stage].calls++;                           \
		call;                                                                  \
		end_ = rte_rdtsc();                                                    \
		(w)->counters.stages[STAGE_##stage].cycles += end_ - (w)->stage_tsc;   \
		(w)->stage_tsc = end_;                                                 \
	} while (0)

void worker_run_out(struct worker *w)
{
	while (w->n_out > 0) {
		struct rte_mbuf *pkts[BURST_MAX];
		unsigned n = w->n_out < BURST_MAX ? w->n_out : BURST_MAX;

		w->n_out -= n;
		memcpy(pkts, w->out, n * sizeof(pkts[0]));
		memmove(w->out, w->out + n, w->n_out * sizeof(w->out[0]));
		RUN_STAGE(w, encrypt, n, n = stage_encrypt(w, pkts, n));
		if (n > 0)
			RUN_STAGE(w, outer, n, stage_outer(w, pkts, n));
	}
}

/* Packets of flows that inspection let pass: before newer ones of the same flows. */
static unsigned release_held(struct worker *w)
{
	struct rte_mbuf *pkts[BURST_MAX];
	unsigned n = hold_take(w, pkts), taken = n;

	if (__builtin_expect(w->tap != NULL, 0))
		look_taken(pkts, n);
	if (n > 0)
		RUN_STAGE(w, decide, n, n = stage_decide(w, pkts, n));
	if (__builtin_expect(w->tap != NULL, 0))
		look_decided(pkts, n);
	if (n > 0)
		RUN_STAGE(w, act, n, stage_act(w, pkts, n));
	return taken;
}

static void from_flow(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	if (n > 0)
		RUN_STAGE(w, flow, n, n = stage_flow(w, pkts, n));
	if (n > 0)
		RUN_STAGE(w, decide, n, n = stage_decide(w, pkts, n));
	if (__builtin_expect(w->tap != NULL, 0))
		look_decided(pkts, n);
	release_held(w);
	if (n > 0)
		RUN_STAGE(w, act, n, stage_act(w, pkts, n));
	worker_run_out(w);
}

static void from_session(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	if (n > 0)
		RUN_STAGE(w, session, n, n = stage_session(w, pkts, n));
	if (n > 0)
		RUN_STAGE(w, decrypt, n, n = stage_decrypt(w, pkts, n));
	if (n > 0)
		RUN_STAGE(w, replay, n, n = stage_replay(w, pkts, n));
	if (n > 0)
		RUN_STAGE(w, inner_check, n, n = stage_inner_check(w, pkts, n));
	from_flow(w, pkts, n);
}

/* Packets that other workers handed over. */
static unsigned take_handoffs(struct worker *w)
{
	struct rte_mbuf *pkts[BURST_MAX];
	unsigned n, total = 0;

	n = rte_ring_sc_dequeue_burst(w->in_session, (void **)pkts, BURST_MAX, NULL);
	if (__builtin_expect(w->tap != NULL, 0))
		look_taken(pkts, n);
	if (n > 0)
		from_session(w, pkts, n);
	total += n;
	n = rte_ring_sc_dequeue_burst(w->in_flow, (void **)pkts, BURST_MAX, NULL);
	if (__builtin_expect(w->tap != NULL, 0))
		look_taken(pkts, n);
	if (n > 0)
		from_flow(w, pkts, n);
	total += n;
	n = rte_ring_sc_dequeue_burst(w->in_encrypt, (void **)pkts, BURST_MAX, NULL);
	if (__builtin_expect(w->tap != NULL, 0))
		look_taken(pkts, n);
	for (unsigned i = 0; i < n; i++)
		worker_emit(w, pkts[i]);
	worker_run_out(w);
	total += n;
	n = rte_ring_sc_dequeue_burst(w->in_tx, (void **)pkts, BURST_MAX, NULL);
	for (unsigned i = 0; i < n; i++)
		tx_append(w, pkts[i]->port, pkts[i]);
	total += n;
	w->counters.handoff_in += total;
	return total;
}

static unsigned take_ports(struct worker *w)
{
	struct rte_mbuf *pkts[BURST_MAX];
	unsigned total = 0;

	for (unsigned port = 0; port < w->edge->n_ports; port++) {
		uint64_t begin = rte_rdtsc();
		unsigned n = stage_rx(w, port, pkts);

		if (n == 0)
			continue;
		total += n;
		w->counters.stages[STAGE_rx].calls++;
		w->counters.stages[STAGE_rx].packets += n;
		w->stage_tsc = rte_rdtsc();
		w->counters.stages[STAGE_rx].cycles += w->stage_tsc - begin;
		if (__builtin_expect(w->tap != NULL, 0))
			look_received(w, pkts, n);
		RUN_STAGE(w, classify, n, n = stage_classify(w, pkts, n));
		from_session(w, pkts, n);
		if (__builtin_expect(w->tap != NULL, 0))
			look_received_end(w);
	}
	return total;
}

static void flow_ended(void *arg, struct flow_entry *flow)
{
	struct worker *w = arg;

	story_aged(w, flow);
	w->counters.flows_ended++;
}

static void age_flows(struct worker *w)
{
	const struct settings_record *s = settings_get(w->edge->records);
	const struct flow_timeouts timeouts = {.ticks = {
		[FLOW_CLASS_TCP_OPENING] = 30 * FLOW_TICKS_PER_S,
		[FLOW_CLASS_TCP_OPEN] = s->flow_timeout_tcp_s * FLOW_TICKS_PER_S,
		[FLOW_CLASS_TCP_CLOSING] = s->flow_timeout_tcp_closing_s * FLOW_TICKS_PER_S,
		[FLOW_CLASS_UDP] = s->flow_timeout_udp_s * FLOW_TICKS_PER_S,
		[FLOW_CLASS_ICMP] = s->flow_timeout_icmp_s * FLOW_TICKS_PER_S,
		[FLOW_CLASS_OTHER] = s->flow_timeout_udp_s * FLOW_TICKS_PER_S,
		[FLOW_CLASS_BLOCKED] = 2 * FLOW_TICKS_PER_S,
	}};

	if (w->now_ns - w->aged_ns < AGE_PERIOD_NS)
		return;
	w->aged_ns = w->now_ns;
	flow_age(w->flows, (uint32_t)(w->now_ns / FLOW_TICK_NS), w->edge->config.cap_flows / AGE_SLICES + 1,
		 &timeouts, flow_ended, w);
	story_turn(w, w->edge->config.cap_flows / AGE_SLICES + 1);
}

unsigned worker_turn(struct worker *w)
{
	unsigned work;

	w->stage_tsc = rte_rdtsc();
	w->now_ns = edge_now_ns();
	w->tap = __atomic_load_n(&w->edge->tap, __ATOMIC_ACQUIRE);
	work = worker_handle_inbox(w);
	worker_retry_parked(w);
	work += hold_turn(w);
	work += release_held(w);
	worker_run_out(w);
	work += take_handoffs(w);
	work += take_ports(w);
	work += failover_turn(w);
	if (work > 0 || w->tx_pending) {
		RUN_STAGE(w, tx, work, stage_tx(w));
		w->tx_pending = work > 0; /* one more flush after the last packet, for completions */
	}
	age_flows(w);
	return work;
}

static bool rings_empty(const struct worker *w)
{
	return rte_ring_empty(w->inbox) && rte_ring_empty(w->in_session) && rte_ring_empty(w->in_flow) &&
	       rte_ring_empty(w->in_encrypt) && rte_ring_empty(w->in_tx);
}

/*
 * Sleeps until a port has packets, another thread wakes us, or SLEEP_MS is over. A waker writes wake_fd after it saw
 * `sleeping`; the fences on both sides make sure that either it sees the flag or we see what it queued.
 */
static void worker_sleep(struct worker *w)
{
	struct pollfd fds[EDGE_MAX_PORTS + 1] = {{.fd = w->wake_fd, .events = POLLIN}};
	unsigned n = 1, blind = 0;
	uint64_t drain;

	for (unsigned i = 0; i < w->edge->n_ports; i++) {
		struct port *p = w->edge->ports[i];

		if (w->id >= p->n_queues)
			continue;
		if (!port_before_sleep(p, (uint16_t)w->id))
			blind++; /* frames wait in its ring: look again soon */
		fds[n] = (struct pollfd){.fd = port_rx_fd(p, (uint16_t)w->id), .events = POLLIN};
		if (fds[n].fd >= 0)
			n++;
		else
			blind++;
	}
	atomic_store_explicit(&w->sleeping, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (rings_empty(w) && !atomic_load_explicit(&w->edge->stop, memory_order_relaxed)) {
		w->counters.sleeps++;
		rte_rcu_qsbr_thread_offline(w->edge->qsbr, w->id);
		poll(fds, n, blind > 0 || w->n_parked > 0 ? 1 : SLEEP_MS);
		rte_rcu_qsbr_thread_online(w->edge->qsbr, w->id);
	}
	atomic_store_explicit(&w->sleeping, false, memory_order_relaxed);
	if (read(w->wake_fd, &drain, sizeof(drain)) < 0)
		return; /* nothing to drain */
}

unsigned worker_counted_turn(struct worker *w, struct turn_clock *clock)
{
	uint64_t begin = rte_rdtsc(), end;
	unsigned work = worker_turn(w);

	end = rte_rdtsc();
	w->counters.loops++;
	if (work > 0)
		w->counters.busy_cycles += end - begin;
	if (atomic_load_explicit(&w->reset_turns, memory_order_relaxed) &&
	    atomic_exchange_explicit(&w->reset_turns, false, memory_order_relaxed))
		turn_clock_reset(clock, &w->counters);
	turn_clock_measure(clock, begin, end, &w->counters);
	rte_rcu_qsbr_quiescent(w->edge->qsbr, w->id);
	return work;
}

int worker_run(void *arg)
{
	struct worker *w = arg;
	struct turn_clock clock;
	unsigned idle = 0;

	rte_rcu_qsbr_thread_register(w->edge->qsbr, w->id);
	rte_rcu_qsbr_thread_online(w->edge->qsbr, w->id);
	turn_clock_init(&clock);
	while (!atomic_load_explicit(&w->edge->stop, memory_order_relaxed)) {
		unsigned work = worker_counted_turn(w, &clock);

		idle = work > 0 ? 0 : idle + 1;
		if (idle > IDLE_TURNS && !w->edge->config.busy_poll) {
			worker_sleep(w);
			turn_clock_resume(&clock);
			idle = IDLE_TURNS / 2;
		}
	}
	story_stop(w);
	rte_rcu_qsbr_thread_offline(w->edge->qsbr, w->id);
	rte_rcu_qsbr_thread_unregister(w->edge->qsbr, w->id);
	return 0;
}

static struct rte_ring *make_ring(const char *name, unsigned id, unsigned size)
{
	char full[RTE_RING_NAMESIZE];

	snprintf(full, sizeof(full), "w%u_%s", id, name);
	return rte_ring_create(full, size, SOCKET_ID_ANY, RING_F_SC_DEQ);
}

static void flow_removed(void *ctx, const struct flow_entry *f)
{
	struct worker *w = ctx;

	hold_forget(w, f);
	w->client_hooks.removed(w, f);
}

static bool make_parts(struct worker *w)
{
	struct flow_config flows = {.capacity = w->edge->config.cap_flows};
	char error[256];

	w->inbox = make_ring("inbox", w->id, INBOX_SIZE);
	w->in_session = make_ring("session", w->id, HANDOFF_RING);
	w->in_flow = make_ring("flow", w->id, HANDOFF_RING);
	w->in_encrypt = make_ring("encrypt", w->id, HANDOFF_RING);
	w->in_tx = make_ring("tx", w->id, HANDOFF_RING);
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!w->inbox || !w->in_session || !w->in_flow || !w->in_encrypt || !w->in_tx || w->wake_fd < 0) {
		log_error("worker %u: no memory for its rings", w->id);
		return false;
	}
	w->aead = aead_create("auto", error, sizeof(error));
	if (error[0] != '\0')
		log_warn("worker %u: %s", w->id, error);
	if (w->aead == NULL)
		return false;
	if (!story_create(w)) {
		log_error("worker %u: no memory for the flow log", w->id);
		return false;
	}
	if (!limits_create(w, &flows.hooks)) {
		log_error("worker %u: no memory for %u clients", w->id, w->edge->records->max_clients);
		return false;
	}
	if (!hold_create(w)) {
		log_error("worker %u: no memory for inspection", w->id);
		return false;
	}
	w->client_hooks = flows.hooks;
	flows.hooks.removed = flow_removed;
	randombytes_buf(flows.secret, sizeof(flows.secret));
	w->flow_memory = rte_zmalloc("flows", flow_table_size(flows.capacity), 64);
	w->flows = w->flow_memory == NULL ? NULL : flow_table_init(w->flow_memory, &flows);
	if (w->flows == NULL) {
		log_error("worker %u: no memory for %u flows (capacities.flows must be a power of two)", w->id,
			  flows.capacity);
		return false;
	}
	return true;
}

struct worker *worker_create(struct edge *edge, unsigned id)
{
	struct worker *w = rte_zmalloc("worker", sizeof(*w), 64);

	if (w == NULL) {
		log_error("worker %u: no memory", id);
		return NULL;
	}
	w->edge = edge;
	w->id = id;
	w->wake_fd = -1;
	if (make_parts(w))
		return w;
	worker_destroy(w);
	return NULL;
}

static void free_ring(struct rte_ring *ring)
{
	void *m;

	while (ring != NULL && rte_ring_sc_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

void worker_destroy(struct worker *w)
{
	void *msg;

	if (w == NULL)
		return;
	while (w->inbox != NULL && rte_ring_sc_dequeue(w->inbox, &msg) == 0)
		message_free(w->edge, msg);
	for (unsigned i = 0; i < w->n_parked; i++)
		message_free(w->edge, w->parked[i]);
	rte_ring_free(w->inbox);
	free_ring(w->in_session);
	free_ring(w->in_flow);
	free_ring(w->in_encrypt);
	free_ring(w->in_tx);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	aead_destroy(w->aead);
	story_destroy(w);
	hold_destroy(w);
	rte_free(w->flow_memory);
	rte_free(w->clients);
	rte_free(w);
}

const struct worker_counters *worker_counters(const struct worker *worker)
{
	return &worker->counters;
}

uint32_t worker_flow_count(const struct worker *worker)
{
	struct flow_stats stats;

	flow_table_stats(worker->flows, &stats);
	return stats.used;
}

uint32_t worker_session_count(const struct worker *worker)
{
	return worker->sessions_live;
}

void worker_reset_turns(struct worker *worker)
{
	atomic_store_explicit(&worker->reset_turns, true, memory_order_relaxed);
}

void neighbour_wanted(struct worker *w, uint32_t ifindex, const struct outer_addr *next_hop)
{
	struct message *msg = message_alloc(w->edge);
	uint64_t one = 1;

	if (msg == NULL)
		return;
	msg->type = CTL_NEIGHBOUR;
	msg->peer = ifindex;
	memcpy(msg->endpoint.remote, next_hop->b, 16);
	msg->endpoint.family = next_hop->family == AF_INET ? 4 : 6;
	if (rte_ring_mp_enqueue(w->edge->control_inbox, msg) != 0)
		message_free(w->edge, msg);
	else if (write(w->edge->control_wake_fd, &one, sizeof(one)) < 0)
		log_rated(LOG_LEVEL_WARN, "worker %u: cannot wake the control thread: %s", w->id, strerror(errno));
}
