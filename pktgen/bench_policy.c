// SPDX-License-Identifier: BSD-3-Clause
// Case policy: a new flow's decision beside rte_acl with the same rules, over 64 flows (hot) and over 256 Ki random ones.
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/tables/policy_fives.h"
#include "pktgen/bench_bed.h"

#define BURST POLICY_FIVES_BURST
#define HOT   64u
#define REP   2048u

typedef void (*ask_fn)(struct policy_fives *x, uint32_t first);

static void ask_policy(struct policy_fives *x, uint32_t first)
{
	struct policy_result r;

	for (uint32_t i = 0; i < BURST; i++) {
		policy_decide(x->p, x->each[first + i], NULL, &r);
		x->sum += r.rule;
	}
}

static void ask_policy_burst(struct policy_fives *x, uint32_t first)
{
	struct policy_result r[BURST];

	policy_decide_burst(x->p, x->each + first, r, BURST);
	x->sum += r[0].rule;
}

static void ask_acl(struct policy_fives *x, uint32_t first)
{
	uint32_t out;

	for (uint32_t i = 0; i < BURST; i++) {
		rte_acl_classify(x->acl, x->key_at + first + i, &out, 1, 1);
		x->sum += out;
	}
}

static void ask_acl_burst(struct policy_fives *x, uint32_t first)
{
	uint32_t out[BURST];

	rte_acl_classify(x->acl, x->key_at + first, out, BURST, 1);
	x->sum += out[0];
}

/* Times one way to ask over the first `flows`; `lost`: answers in which the two tables differ. */
static void measure(struct bench *b, struct policy_fives *x, const char *who, ask_fn ask, uint32_t flows, uint32_t differ)
{
	struct bench_row row = {.name = "policy", .scale = {.flows = flows, .rules = x->n, .tenants = 1}, .aead_impl = who,
				.lost = differ, .verified = POLICY_FIVES_FLOWS - differ};
	uint64_t end = bench_now_ns() + (uint64_t)(bench_seconds(b) * 0.4e9);
	struct bench_measure m = {0};
	uint32_t at = 0;

	while (bench_now_ns() < end) {
		uint64_t begin = bench_clock();

		for (uint32_t i = 0; i < REP; i += BURST, at = (at + BURST) % flows)
			ask(x, at);
		bench_measure_rep(&m, bench_clock() - begin, 0, REP);
	}
	bench_measure_end(&m, &row);
	row.p50 = row.median;
	bench_add(b, &row);
}

static void run(struct bench *b, struct policy_fives *x, uint32_t rules)
{
	static const uint32_t flows[] = {HOT, POLICY_FIVES_FLOWS};
	struct policy_limits limits = POLICY_LIMITS_DEFAULT;
	struct policy_error error = {0};
	uint32_t differ;

	limits.accounts = 1;
	bench_progress(b, "%u rules, in the policy and in rte_acl", rules);
	x->p = policy_create(&limits, (struct retire_ops){NULL, NULL});
	policy_fives_rules(x, rules, false);
	if (x->p == NULL || policy_rules_set(x->p, 0, false, x->rules, x->n, &error) != 0) {
		fprintf(stderr, "sluice-pktgen: %u rules: %s\n", rules, x->p == NULL ? "no memory" : error.message);
		exit(1);
	}
	policy_fives_acl(x);
	policy_fives_flows(x, 0);
	differ = policy_fives_differ(x, NULL);
	for (unsigned i = 0; i < 2; i++) {
		measure(b, x, "policy", ask_policy, flows[i], differ);
		measure(b, x, "policy-burst", ask_policy_burst, flows[i], differ);
		measure(b, x, "rte_acl", ask_acl, flows[i], differ);
		measure(b, x, "rte_acl-burst", ask_acl_burst, flows[i], differ);
	}
	policy_fives_rules_free(x);
	policy_destroy(x->p);
}

void bench_run_policy(struct bench *b)
{
	static const uint32_t sizes[] = {10, 1000, 4096};
	struct policy_fives x;

	if (!b->options.cases[BENCH_policy])
		return;
	bench_start_dpdk(b);
	policy_fives_init(&x);
	if (b->options.rules_given)
		run(b, &x, b->options.scales[0].rules);
	for (unsigned i = 0; i < 3 && !b->options.rules_given; i++)
		run(b, &x, sizes[i]);
	policy_fives_free(&x);
}
