// SPDX-License-Identifier: BSD-3-Clause
// The compiled form against the reference model: random rules, lists, people and flows. And no rule that is said to be covered by
// earlier ones ever decides.
//   policy_diff [decisions] [seed]
#include <time.h>

#include "dataplane/tables/policy_random.h"

struct run {
	struct policy_set *p;
	struct draw_rules rules;
	uint32_t people[DRAW_PEOPLE];
	struct draw d;
	struct policy_cover cover[DRAW_RULES];
	uint64_t done, differ, by_verdict[3], refused, sets, bursts, covered;
};

static void setup(struct run *r)
{
	static const char *const ids[] = {"vnet-zero", "vnet-one", "vnet-two"};
	struct policy_limits limits = POLICY_LIMITS_DEFAULT;

	limits.accounts = 1;
	limits.vnets = DRAW_VNETS;
	limits.list_entries = 1000;
	r->p = policy_create(&limits, (struct retire_ops){NULL, NULL});
	if (!r->p)
		exit(1);
	for (uint32_t i = 0; i < 3; i++)
		policy_vnet_put(r->p, i, ids[i]);
	for (uint32_t i = 0; i < DRAW_PEOPLE; i++)
		r->people[i] = draw_person(&r->d, r->p);
}

/* Other rules; or a list, a person, a network of the ones there are. */
static void change(struct run *r)
{
	static const char *const lists[] = {"nets", "nets2", "hosts", "hosts2"};
	struct policy_error error;
	uint32_t i;

	switch (draw(&r->d, 6)) {
	case 0:
		draw_put_list(&r->d, r->p, PICK(&r->d, lists));
		break;
	case 1:
		policy_list_delete(r->p, 0, PICK(&r->d, lists));
		break;
	case 2:
		i = draw(&r->d, DRAW_PEOPLE);
		policy_identity_put(r->p, 0, r->people[i]);
		r->people[i] = draw_person(&r->d, r->p);
		break;
	case 3:
		policy_vnet_put(r->p, 3, draw(&r->d, 2) ? "none" : NULL);
		break;
	default: {
		struct draw_rules old = r->rules;

		draw_rules(&r->d, &r->rules);
		r->sets++;
		if (policy_rules_set(r->p, 0, draw(&r->d, 2), r->rules.rules, r->rules.n, &error)) {
			r->refused++; /* too long a form: the old rules stay */
			draw_rules_free(&r->rules);
			r->rules = old;
		} else {
			draw_rules_free(&old);
		}
	}
	}
}

static void find_covers(struct run *r)
{
	for (uint32_t i = 0; i < r->rules.n; i++) {
		r->cover[i] = policy_covered_by(r->p, 0, i);
		r->covered += r->cover[i].rule != POLICY_RULE_DEFAULT;
	}
}

static void show(const struct run *r, uint32_t rule)
{
	for (unsigned i = 0; rule < r->rules.n && i < 3; i++)
		if (r->rules.said[rule][i])
			fprintf(stderr, "  rule %u: %s\n", rule, r->rules.said[rule][i]);
}

/* A rule that others cover has decided. */
static bool cover_broken(const struct run *r, const struct policy_query *q, uint32_t rule)
{
	return rule < r->rules.n && r->cover[rule].rule != POLICY_RULE_DEFAULT && !(r->cover[rule].clients && q->from_private);
}

static void compare(struct run *r, const struct policy_query *q, const struct names *names, const struct policy_result *got)
{
	struct policy_result want;

	policy_model_decide(r->p, q, names, &want);
	r->done++;
	r->by_verdict[want.verdict]++;
	if (cover_broken(r, q, want.l4_rule) || cover_broken(r, q, want.other_rule)) {
		uint32_t rule = cover_broken(r, q, want.l4_rule) ? want.l4_rule : want.other_rule;

		r->differ++;
		fprintf(stderr, "rule %u decided though %u and %u more cover it\n", rule, r->cover[rule].rule, r->cover[rule].more);
		show(r, rule);
		show(r, r->cover[rule].rule);
	}
	if (draw_same(got, &want))
		return;
	if (r->differ++ < 10)
		fprintf(stderr,
			"decision %llu of rules %llu: compiled %u by %d (l4 %d, other %d, off %d, silent %d), model %u by %d (l4 %d, other %d, off %d, "
			"silent %d)\n",
			(unsigned long long)r->done, (unsigned long long)r->sets, got->verdict, (int)got->rule, (int)got->l4_rule,
			(int)got->other_rule, got->off, got->silent, want.verdict, (int)want.rule, (int)want.l4_rule, (int)want.other_rule, want.off,
			want.silent);
	show(r, got->rule);
	show(r, want.rule);
	fprintf(stderr, "  flow: protocol %u, ports %u and %u, network %u, person %d, IPv%u, private side %d, names %s: sni %u '%.*s', protocol %u %u\n", q->proto,
		q->src_port, q->dst_port, q->vnet, (int)q->identity, q->family, q->from_private, names ? "" : "none", names ? names->sni.state : 0,
		names ? names->sni.len : 0, names ? names->sni.text : "", names ? names->protocol_state : 0, names ? names->protocol : 0);
}

static void flows(struct run *r, uint32_t n)
{
	const struct policy_query *each[32];
	struct policy_result burst[32], got;
	struct policy_query q[32];
	struct names names;

	policy_force_portable(r->p, draw(&r->d, 2));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = i % 32;

		draw_query(&r->d, r->people, &q[at]);
		each[at] = &q[at];
		draw_names(&r->d, &names);
		policy_decide(r->p, &q[at], &names, &got);
		compare(r, &q[at], &names, &got);
		if (at != 31)
			continue;
		policy_decide_burst(r->p, each, burst, 32);
		for (at = 0; at < 32; at += 4)
			compare(r, &q[at], NULL, &burst[at]);
		r->bursts++;
	}
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
	struct run r = {.d.state = argc > 2 ? strtoull(argv[2], NULL, 10) : 20240607};
	struct timespec t0, t1;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	setup(&r);
	while (r.done < wanted && r.differ < 10) {
		change(&r);
		find_covers(&r);
		flows(&r, 640);
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	printf("%llu decisions, %llu sets of rules (%llu refused as too long), %llu covered rules, %llu bursts: %llu pass, %llu deny, %llu pending; %llu differences; %.1f s\n",
	       (unsigned long long)r.done, (unsigned long long)r.sets, (unsigned long long)r.refused, (unsigned long long)r.covered, (unsigned long long)r.bursts,
	       (unsigned long long)r.by_verdict[POLICY_PASS], (unsigned long long)r.by_verdict[POLICY_DENY],
	       (unsigned long long)r.by_verdict[POLICY_PENDING], (unsigned long long)r.differ,
	       (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
	policy_destroy(r.p);
	draw_rules_free(&r.rules);
	return r.differ != 0;
}
