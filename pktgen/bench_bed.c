// SPDX-License-Identifier: BSD-3-Clause
// The bench's edge: made, run, undone.
#include "dataplane/stages/turn_clock.h"
#include "pktgen/bench_bed.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

static uint16_t bench_rx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct bench_queue *q = &((struct bench_port *)port)->queues[queue];
	unsigned have = q->n_in - q->next < n ? q->n_in - q->next : n;

	if (q->n_turns < BENCH_ROUND + 2)
		q->turns[q->n_turns++] = rte_rdtsc();
	q->empty |= have == 0;
	memcpy(mbufs, q->in + q->next, have * sizeof(mbufs[0]));
	q->next += have;
	return (uint16_t)have;
}

static uint16_t bench_tx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct bench_queue *q = &((struct bench_port *)port)->queues[queue];
	unsigned room = BENCH_ROUND - q->n_out, sent = n < room ? n : room;

	memcpy(q->out + q->n_out, mbufs, sent * sizeof(mbufs[0]));
	q->n_out += sent;
	for (unsigned i = sent; i < n; i++)
		rte_pktmbuf_free(mbufs[i]);
	return (uint16_t)sent;
}

static void bench_flush(struct port *port, uint16_t queue)
{
	(void)port;
	(void)queue;
}

static int bench_rx_fd(const struct port *port, uint16_t queue)
{
	(void)port;
	(void)queue;
	return -1;
}

static bool bench_before_sleep(struct port *port, uint16_t queue)
{
	(void)port;
	(void)queue;
	return true;
}

static const struct port_ops bench_ops = {
	.rx_burst = bench_rx, .tx_burst = bench_tx, .flush = bench_flush, .rx_fd = bench_rx_fd, .before_sleep = bench_before_sleep};

static void *need(void *p, const char *what)
{
	if (p != NULL)
		return p;
	fprintf(stderr, "sluice-pktgen: no memory for %s\n", what);
	exit(1);
}

static unsigned power_of_two(unsigned n)
{
	unsigned p = 4096;

	while (p < n)
		p *= 2;
	return p;
}

static struct port *make_port(struct bench_bed *bb)
{
	struct bench_port *p = need(aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64), "a port");

	memset(p, 0, sizeof(*p));
	p->port = *bb->own_port;
	p->port.ops = &bench_ops;
	bb->port = p;
	return &p->port;
}

struct bench_bed *bench_bed_create(const struct bench *b, const struct bench_scale *scale, unsigned workers, unsigned extra_flows)
{
	static char lcores[32];
	struct bench_bed *bb = need(calloc(1, sizeof(*bb)), "an edge");
	const struct bench_scale *largest = &b->options.scales[b->options.n_scales - 1];
	struct testbed_size size = {
		.workers = workers,
		.clients = scale->clients,
		.flows = power_of_two((scale->flows + extra_flows + workers - 1) / workers),
		.routes = scale->routes,
		.mtu = 1420,
		.memory_mb = 256 + (largest->clients >> 8) + (largest->flows >> 11) + 256 + (b->options.cases[BENCH_lookup] ? 2048 : 0),
		.huge_pages = true,
		.lcores = lcores,
	};
	struct edge *edge;

	snprintf(lcores, sizeof(lcores), "0@%d", b->options.core);
	bench_progress(b, "an edge with %u clients, %u routes …", scale->clients, scale->routes);
	bb->scale = *scale;
	bb->workers = workers;
	bb->seed = 1;
	bb->next_flow = scale->flows;
	size.no_log = true; /* nobody would read it */
	bb->bed = testbed_create_sized(&size);
	edge = &bb->bed->edge;
	bb->own_port = edge->ports[0];
	edge->ports[0] = make_port(bb);
	edge->config.busy_poll = true;
	bb->qsbr = need(rte_zmalloc("bench_qsbr", rte_rcu_qsbr_get_memsize(workers + 1), 64), "RCU");
	rte_rcu_qsbr_init(bb->qsbr, workers + 1);
	edge->qsbr = bb->qsbr;
	bench_set_rules(bb, true);
	bb->sealer = need(aead_create("ipsec-mb", NULL, 0), "an AEAD to seal with");
	return bb;
}

void bench_start_dpdk(const struct bench *b)
{
	const struct bench_scale tiny = {.clients = 4, .flows = 16, .routes = 16, .rules = 1, .tenants = 1};

	bench_bed_destroy(bench_bed_create(b, &tiny, 1, 0));
}

void bench_bed_destroy(struct bench_bed *bb)
{
	bb->bed->edge.ports[0] = bb->own_port;
	bb->bed->edge.qsbr = NULL;
	rte_free(bb->qsbr);
	aead_destroy(bb->sealer);
	testbed_destroy(bb->bed);
	free(bb->rule_names);
	free(bb->port);
	free(bb);
}

void bench_run_worker(struct bench_bed *bb, unsigned worker)
{
	struct worker *w = bb->bed->edge.workers[worker];
	struct bench_queue *q = &bb->port->queues[worker];
	struct turn_clock clock;

	q->n_turns = 0;
	q->empty = false;
	rte_rcu_qsbr_thread_register(bb->bed->edge.qsbr, worker);
	rte_rcu_qsbr_thread_online(bb->bed->edge.qsbr, worker);
	turn_clock_init(&clock);
	while (!q->empty)
		worker_counted_turn(w, &clock);
	rte_rcu_qsbr_thread_offline(bb->bed->edge.qsbr, worker);
	rte_rcu_qsbr_thread_unregister(bb->bed->edge.qsbr, worker);
}

void bench_drain(struct bench_bed *bb, unsigned worker)
{
	struct bench_queue *q = &bb->port->queues[worker];

	rte_pktmbuf_free_bulk(q->out, q->n_out);
	q->n_in = q->next = q->n_out = 0;
	while (bb->bed->edge.flow_log != NULL && flow_log_pump(bb->bed->edge.flow_log) > 0)
		; /* the writer's work: off the clock, on a core of its own where an edge runs */
}

/* None matches the bench's flows, so that each decision looks at all and ends with the default action. */
void bench_set_rules(struct bench_bed *bb, bool default_allow)
{
	struct bed_rule *rules = need(calloc(bb->scale.rules, sizeof(*rules)), "rules");
	char(*text)[128] = need(calloc(bb->scale.rules, sizeof(*text)), "rules");
	char(*names)[16] = need(calloc(bb->scale.rules, sizeof(*names)), "rules");

	for (unsigned i = 0; i < bb->scale.rules; i++) {
		snprintf(names[i], sizeof(names[i]), "rule-%u", i);
		snprintf(text[i], sizeof(text[i]), "net.dst.ip in {10.%u.%u.0/24} and net.dst.port == %u", i >> 4, i * 16 & 255, 20000 + i);
		rules[i] = (struct bed_rule){.name = names[i], .traffic = text[i], .filter = POLICY_L4,
					     .action = i % 3 ? POLICY_ALLOW : POLICY_BLOCK};
	}
	testbed_rules(bb->bed, 0, default_allow, rules, bb->scale.rules);
	free(rules);
	free(text);
	free(bb->rule_names); /* those of the rules before */
	bb->rule_names = names;
}
