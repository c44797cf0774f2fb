// SPDX-License-Identifier: BSD-3-Clause
// Caps of one client.
#include "dataplane/stages/limits.h"

#include <rte_cycles.h>
#include <rte_malloc.h>

#define ONE_S_NS 1000000000ull
#define BITS_BURST_MIN (8 * 65536) /* two of the largest packets of any leg, and some */

static struct client_state *state_of(const struct worker *w, uint32_t client)
{
	return client < w->edge->records->max_clients ? &w->clients[client] : NULL;
}

static void inserted(void *ctx, const struct flow_entry *f)
{
	struct client_state *s = state_of(ctx, f->key.client);

	if (s != NULL)
		s->flows++;
}

static void removed(void *ctx, const struct flow_entry *f)
{
	struct client_state *s = state_of(ctx, f->key.client);

	if (s == NULL)
		return;
	s->flows--;
	s->blocked -= f->verdict == FLOW_VERDICT_BLOCK;
}

bool limits_create(struct worker *w, struct flow_hooks *hooks)
{
	w->clients = rte_zmalloc("clients", sizeof(*w->clients) * w->edge->records->max_clients, 64);
	*hooks = (struct flow_hooks){.inserted = inserted, .removed = removed, .ctx = w};
	return w->clients != NULL;
}

void limits_set_verdict(struct worker *w, struct flow_entry *f, enum flow_verdict verdict)
{
	struct client_state *s = state_of(w, f->key.client);

	if (s != NULL) {
		s->blocked -= f->verdict == FLOW_VERDICT_BLOCK;
		s->blocked += verdict == FLOW_VERDICT_BLOCK;
	}
	f->verdict = (uint8_t)verdict;
}

bool limits_may_open(struct worker *w, uint32_t client)
{
	const struct settings_record *settings = settings_get(w->edge->records);
	uint32_t rate = settings->client_new_flows_per_second;
	struct client_state *s = state_of(w, client);

	return s != NULL && s->flows - s->blocked < settings->client_max_flows && rate > 0 &&
	       gcra_allow(&s->new_flow_tat_ns, w->now_ns, ONE_S_NS / rate, rate);
}

bool limits_may_keep_blocked(const struct worker *w, uint32_t client)
{
	const struct client_state *s = state_of(w, client);
	struct flow_stats stats;

	flow_table_stats(w->flows, &stats);
	return s != NULL && s->blocked < BLOCKED_FLOWS_MAX && stats.used < stats.capacity / 2;
}

bool limits_may_reset(struct worker *w, uint32_t client)
{
	struct client_state *s = state_of(w, client);

	return s != NULL && gcra_allow(&s->reset_tat_ns, w->now_ns, ONE_S_NS / RESETS_PER_S, RESETS_BURST);
}

/* An eighth of a second at once; 0 stands for no limit. */
static void set_buckets(struct token_bucket b[2], uint64_t rate, uint64_t burst_min, uint64_t now_cycles)
{
	uint64_t burst = rate / 8 > burst_min ? rate / 8 : burst_min;

	for (unsigned i = 0; i < 2; i++)
		if (token_bucket_init(&b[i], rate == 0 ? UINT64_MAX : rate, burst, rte_get_tsc_hz(), now_cycles) != 0)
			token_bucket_init(&b[i], UINT64_MAX, 1, rte_get_tsc_hz(), now_cycles);
}

bool limits_may_pass(struct worker *w, const struct rte_mbuf *m, const struct client_record *client)
{
	unsigned direction = pkt_meta_const(m)->direction;
	struct client_state *s;
	uint64_t now;

	if (__builtin_expect((client->rate_pps | client->rate_bps) == 0, 1))
		return true;
	s = state_of(w, client->index);
	if (s == NULL)
		return false;
	now = rte_rdtsc();
	if (s->rate_pps != client->rate_pps || s->rate_bps != client->rate_bps) {
		s->rate_pps = client->rate_pps;
		s->rate_bps = client->rate_bps;
		set_buckets(s->packets, s->rate_pps, 16, now);
		set_buckets(s->bits, s->rate_bps, BITS_BURST_MIN, now);
	}
	return token_bucket_take(&s->packets[direction], 1, now) &&
	       token_bucket_take(&s->bits[direction], m->data_len * 8u, now);
}
