/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topology/peers.h"

struct series {
	uint64_t sent, answered;
	uint32_t *took_us;
	size_t room;
};

static struct phase {
	char name[64];
	uint64_t began_ns, ended_ns;
	bool printed;
	struct series series[PROBES];
} phases[PHASES_MAX];
static unsigned n_phases;

static const char *const probe_names[PROBES] = {"ping", "pull", "handshake"};

bool stats_phase(const char *name, uint64_t now_ns)
{
	if (n_phases == PHASES_MAX)
		return false;
	if (n_phases)
		phases[n_phases - 1].ended_ns = now_ns;
	snprintf(phases[n_phases].name, sizeof(phases[0].name), "%s", name);
	phases[n_phases++].began_ns = now_ns;
	return true;
}

unsigned stats_current(void)
{
	return n_phases - 1;
}

void stats_sent(enum probe probe)
{
	phases[stats_current()].series[probe].sent++;
}

void stats_answered(unsigned phase, enum probe probe, uint64_t took_ns)
{
	struct series *s = &phases[phase].series[probe];

	if (phases[phase].printed)
		return;
	if (s->answered == s->room) {
		size_t room = s->room ? s->room * 2 : 1024;
		uint32_t *grown = realloc(s->took_us, room * sizeof(*grown));

		if (!grown)
			abort();
		s->took_us = grown;
		s->room = room;
	}
	s->took_us[s->answered++] = (uint32_t)(took_ns / 1000);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t percentile(const struct series *s, unsigned per_mille)
{
	return s->answered ? s->took_us[(s->answered - 1) * per_mille / 1000] : 0;
}

static void print(struct phase *p)
{
	printf("{\"phase\": \"%s\", \"seconds\": %.3f", p->name, (double)(p->ended_ns - p->began_ns) / 1e9);
	for (unsigned i = 0; i < PROBES; i++) {
		struct series *s = &p->series[i];

		if (s->answered)
			qsort(s->took_us, s->answered, sizeof(*s->took_us), by_value);
		printf(", \"%s\": {\"sent\": %" PRIu64 ", \"answered\": %" PRIu64
		       ", \"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u}",
		       probe_names[i], s->sent, s->answered, percentile(s, 500), percentile(s, 990), percentile(s, 1000));
		free(s->took_us);
		s->took_us = NULL;
		s->room = 0;
	}
	puts("}");
	fflush(stdout);
	p->printed = true;
}

void stats_report(uint64_t now_ns, uint64_t grace_ns)
{
	for (unsigned i = 0; i < n_phases; i++) {
		struct phase *p = &phases[i];

		if (!p->printed && p->ended_ns && now_ns >= p->ended_ns + grace_ns)
			print(p);
	}
}
