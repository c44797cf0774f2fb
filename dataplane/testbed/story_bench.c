// SPDX-License-Identifier: BSD-3-Clause
// Cycles of the decide stage for each new flow, and of the whole loop for each packet of an old one, with the flow log and
// without, both in one run. By hand: min and median of many rounds. `story_bench [rounds]`
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/testbed/testbed.h"

#define FLOWS  8192 /* of a round */
#define BURST  32
#define ROUNDS 15
#define CLIENTS 64

struct result {
	double new_flow[64], old_flow[64];
};

static void send_flow(struct testbed *bed, unsigned n)
{
	uint8_t p[256];
	char src[32];
	unsigned client = n % CLIENTS;

	snprintf(src, sizeof(src), "100.96.0.%u", 10 + client);
	testbed_send(bed, 0, &bed->clients[client], p,
		     packet_udp4(p, src, "198.51.100.101", (uint16_t)(1024 + n / CLIENTS), 53, 64));
}

/* Cycles a packet of decide (stage) over FLOWS packets, in bursts. */
static double pass(struct testbed *bed, bool log)
{
	const struct stage_counters *c = &worker_counters(bed->edge.workers[0])->stages[STAGE_decide];
	struct stage_counters before = *c;

	for (unsigned n = 0; n < FLOWS; n += BURST) {
		for (unsigned i = 0; i < BURST; i++)
			send_flow(bed, n + i);
		testbed_run(bed);
		testbed_clear(bed);
		if (log)
			flow_log_pump(bed->edge.flow_log); /* the other thread's work */
	}
	return (double)(c->cycles - before.cycles) / (double)(c->packets - before.packets);
}

static void round_of(bool log, double *new_flow, double *old_flow)
{
	const struct testbed_size size = {.workers = 1, .clients = CLIENTS, .flows = 16384, .no_log = !log};
	struct testbed *bed = testbed_create_sized(&size);
	struct settings_record *s = (struct settings_record *)(uintptr_t)bed->edge.records->settings;

	s->client_max_flows = s->client_new_flows_per_second = 1000000;
	*new_flow = pass(bed, log);
	*old_flow = pass(bed, log);
	testbed_destroy(bed);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void tell(const char *name, double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), ascending);
	printf("%-34s min %6.0f  median %6.0f cycles\n", name, v[0], v[n / 2]);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : ROUNDS;
	static struct result on, off;

	rounds = rounds < 1 ? 1 : rounds > 64 ? 64 : rounds;
	for (unsigned i = 0; i < rounds; i++) {
		round_of(true, &on.new_flow[i], &on.old_flow[i]);
		round_of(false, &off.new_flow[i], &off.old_flow[i]);
	}
	tell("new flow, log on: decide", on.new_flow, rounds);
	tell("new flow, log off: decide", off.new_flow, rounds);
	tell("old flow, log on: decide", on.old_flow, rounds);
	tell("old flow, log off: decide", off.old_flow, rounds);
	return 0;
}
