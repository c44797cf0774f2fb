// SPDX-License-Identifier: BSD-3-Clause
// Packets of the bench: made, sealed, and compared with what came out.
#include "pktgen/bench_bed.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/stages/inner.h"
#include "lib/wg/wire.h"

#define OUTER_BYTES 42 /* Ethernet, IPv4, UDP */
#define INNER_BYTES 28 /* IPv4, UDP */

/* Who talks to whom in flow f: the client's view. */
struct flow_view {
	uint32_t client;
	uint8_t client_v4[4], remote_v4[4];
	uint16_t client_port, remote_port; /* host order */
};

static void view_of(const struct bench_bed *bb, uint32_t flow, struct flow_view *v)
{
	uint64_t state = flow, r = bench_random(&state);
	uint32_t remote = htonl(0x0a000000u | (uint32_t)(r & 0xffffff));

	v->client = flow % bb->scale.clients;
	memcpy(v->client_v4, client_get(bb->bed->edge.records, v->client)->v4, 4);
	memcpy(v->remote_v4, &remote, 4);
	v->client_port = (uint16_t)(1024 + flow / bb->scale.clients % 60000);
	v->remote_port = (uint16_t)(1 + (r >> 24) % 1000 + flow / bb->scale.clients / 60000 * 1000);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* An inner packet, told apart by its flow and a sequence number in the payload. No UDP checksum: RFC 768 allows that. */
static void make_inner(const struct bench_bed *bb, bool up, uint32_t flow, uint32_t sequence, unsigned size, uint8_t ttl, uint8_t *p)
{
	struct flow_view v;
	uint16_t sum;

	view_of(bb, flow, &v);
	memset(p, 0, INNER_BYTES);
	p[0] = 0x45;
	put16(p + 2, size);
	p[6] = 0x40;
	p[8] = ttl;
	p[9] = INNER_UDP;
	memcpy(p + 12, up ? v.client_v4 : v.remote_v4, 4);
	memcpy(p + 16, up ? v.remote_v4 : v.client_v4, 4);
	sum = inner_sum_fold(inner_sum(p, 20, 0));
	memcpy(p + 10, &sum, 2);
	put16(p + 20, up ? v.client_port : v.remote_port);
	put16(p + 22, up ? v.remote_port : v.client_port);
	put16(p + 24, size - 20);
	memcpy(p + INNER_BYTES, &flow, 4);
	memcpy(p + INNER_BYTES + 4, &sequence, 4);
	memset(p + INNER_BYTES + 8, (int)(sequence * 31 & 0xff), size - INNER_BYTES - 8);
}

static struct far_end *connector(struct bench_bed *bb, unsigned worker)
{
	return &bb->bed->connectors[BENCH_TUNNEL][worker];
}

/* The number of the flow of the next packet of a kind, one of this worker's clients'. */
static uint32_t pick_flow(struct bench_bed *bb, unsigned worker, enum bench_kind kind)
{
	uint32_t flow;

	do {
		flow = kind == BENCH_KIND_NEW ? bb->next_flow++ : (uint32_t)(bench_random(&bb->seed) % bb->scale.flows);
	} while (flow % bb->scale.clients % bb->workers != worker);
	return flow;
}

/* A packet in the clear behind the headers it will have; its op is filled. */
static struct rte_mbuf *make_packet(struct bench_bed *bb, unsigned worker, bool up, uint32_t flow, unsigned size, struct aead_op *op)
{
	struct far_end *from = up ? &bb->bed->clients[flow % bb->scale.clients] : connector(bb, worker);
	unsigned padded = wg_padded_len(size, 1420), len = OUTER_BYTES + WG_DATA_OVERHEAD_BYTES + padded;
	struct rte_mbuf *m = rte_pktmbuf_alloc(bb->bed->edge.mbuf_pool);
	uint8_t header[WG_DATA_HEADER_BYTES + 8], *frame;

	if (m == NULL) {
		fprintf(stderr, "sluice-pktgen: no packet buffers\n");
		exit(1);
	}
	frame = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len);
	wg_data_header(header, from->edge_index, from->tx_counter);
	op->key = from->tx_key;
	op->counter = from->tx_counter++;
	op->data = frame + OUTER_BYTES + WG_DATA_HEADER_BYTES;
	op->len = padded;
	testbed_frame(from, header, WG_DATA_HEADER_BYTES, frame);
	testbed_frame_length(frame, WG_DATA_OVERHEAD_BYTES + padded);
	make_inner(bb, up, flow, bb->sequence++, size, 64, op->data); /* the number that the size was chosen by */
	memset(op->data + size, 0, padded - size);
	return m;
}

static void put_flow(struct bench_bed *bb, unsigned worker, bool up, const uint32_t *flows, unsigned size, unsigned n)
{
	struct bench_queue *q = &bb->port->queues[worker];
	struct aead_op ops[AEAD_MAX_BURST];
	unsigned waiting = 0;

	for (unsigned i = 0; i < n; i++) {
		q->in[q->n_in++] = make_packet(bb, worker, up, flows[i], bench_size_of(size, bb->sequence), &ops[waiting++]);
		if (waiting < AEAD_MAX_BURST && i + 1 < n)
			continue;
		aead_seal_burst(bb->sealer, ops, waiting);
		waiting = 0;
	}
}

void bench_fill(struct bench_bed *bb, unsigned worker, enum bench_kind kind, unsigned size, unsigned n)
{
	uint32_t flows[BENCH_ROUND];

	for (unsigned i = 0; i < n; i++)
		flows[i] = pick_flow(bb, worker, kind);
	put_flow(bb, worker, kind != BENCH_KIND_DOWN, flows, size, n);
}

void bench_make_flows(const struct bench *b, struct bench_bed *bb)
{
	uint32_t flows[EDGE_MAX_WORKERS][BENCH_ROUND];
	unsigned n[EDGE_MAX_WORKERS] = {0};

	for (uint32_t f = 0; f < bb->scale.flows; f++) {
		unsigned w = f % bb->scale.clients % bb->workers;

		flows[w][n[w]++] = f;
		for (unsigned i = 0; i < bb->workers; i++) {
			if (n[i] == 0 || (n[i] < BENCH_ROUND && f + 1 < bb->scale.flows))
				continue;
			put_flow(bb, i, true, flows[i], 64, n[i]);
			bench_run_worker(bb, i);
			bench_drain(bb, i);
			n[i] = 0;
		}
		if (f % 65536 == 0)
			bench_progress(b, "flows: %u of %u", f, bb->scale.flows);
	}
	bb->next_flow = bb->scale.flows;
}

static bool forget(void *arg, struct flow_entry *f)
{
	flow_remove(arg, f);
	return true;
}

void bench_forget_new_flows(struct bench_bed *bb, unsigned worker)
{
	struct flow_table *flows = bb->bed->edge.workers[worker]->flows;
	uint32_t cursor = 0;

	flow_iterate(flows, &cursor, UINT32_MAX, forget, flows);
}

/* The far end that a frame is for, by its receiver index; NULL: none that we know. */
static const struct far_end *receiver(struct bench_bed *bb, unsigned worker, const uint8_t *frame)
{
	uint32_t index = wg_data_receiver(frame + OUTER_BYTES), first = bb->bed->clients[0].own_index;

	if (index == connector(bb, worker)->own_index)
		return connector(bb, worker);
	return index - first < bb->scale.clients ? &bb->bed->clients[index - first] : NULL;
}

bool bench_verify(struct bench_bed *bb, unsigned worker, unsigned i, unsigned size)
{
	const struct rte_mbuf *m = bb->port->queues[worker].out[i];
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint8_t got[2048], expected[2048] = {0};
	const struct far_end *to = m->data_len < 74 ? NULL : receiver(bb, worker, frame);
	uint32_t flow, sequence;
	unsigned padded;
	bool up;
	int len;

	if (to == NULL || m->data_len > sizeof(got))
		return false;
	len = testbed_open_frame(frame, m->data_len, to, got);
	if (len < INNER_BYTES + 8)
		return false;
	memcpy(&flow, got + INNER_BYTES, 4);
	memcpy(&sequence, got + INNER_BYTES + 4, 4);
	size = bench_size_of(size, sequence);
	padded = wg_padded_len(size, 1420);
	if (len != (int)padded)
		return false;
	up = to == connector(bb, worker);
	make_inner(bb, up, flow, sequence, size, 63, expected);
	return (up || flow % bb->scale.clients == (uint32_t)(to - bb->bed->clients)) && memcmp(got, expected, padded) == 0;
}
