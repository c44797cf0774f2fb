// SPDX-License-Identifier: BSD-3-Clause
// Fuzzer: rules (drawn from the input, or its text as it stands) and flows, compiled beside the model.
#include <stdlib.h>
#include <string.h>

#include "dataplane/tables/policy_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct draw_rules rules;

/* A single rule: the text up to the first NUL, of l4 or http. */
static void rule_of_text(const char *text, size_t len, bool http)
{
	const struct expr_lists lists = {.find = draw_find_list};
	struct expr_error error;

	memset(&rules, 0, sizeof(rules));
	if (expr_parse(text, len, http ? EXPR_HTTP : EXPR_L4, &lists, &rules.exprs[0][0], &error))
		return;
	rules.n = 1;
	rules.rules[0] = (struct policy_rule){.filter = http ? POLICY_HTTP : POLICY_L4, .action = POLICY_BLOCK, .traffic = rules.exprs[0][0], .name = "text"};
}

static void flows(struct policy_set *p, struct draw *d, const uint32_t *people)
{
	for (unsigned i = 0; i < 24; i++) {
		struct policy_result got, want;
		struct policy_query q;
		struct names names;

		draw_query(d, people, &q);
		draw_names(d, &names);
		policy_decide(p, &q, i & 1 ? &names : NULL, &got);
		policy_model_decide(p, &q, i & 1 ? &names : NULL, &want);
		if (!draw_same(&got, &want))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_limits limits = {.accounts = 1, .vnets = DRAW_VNETS, .rules = 64, .terms = 8192, .rules_total = 64, .lists = 8,
				       .list_entries = 64, .terms_per_rule = 64};
	const uint8_t *end = size ? memchr(data + 1, 0, size - 1) : NULL;
	size_t text = end ? (size_t)(end - data - 1) : 0;
	struct draw d = {.bytes = data + 1 + text, .left = size ? size - 1 - text : 0};
	struct policy_error error;
	struct policy_set *p;
	uint32_t people[DRAW_PEOPLE];

	if (!size)
		return 0;
	p = policy_create(&limits, (struct retire_ops){NULL, NULL});
	if (!p)
		return 0;
	policy_vnet_put(p, 1, "vnet-one");
	draw_put_list(&d, p, "nets");
	draw_put_list(&d, p, "hosts");
	for (uint32_t i = 0; i < DRAW_PEOPLE; i++)
		people[i] = draw_person(&d, p);
	if (text)
		rule_of_text((const char *)data + 1, text, data[0] & 1);
	else
		draw_rules(&d, &rules);
	if (policy_rules_set(p, 0, data[0] & 2, rules.rules, rules.n, &error) == 0) {
		flows(p, &d, people);
		draw_put_list(&d, p, "nets");
		flows(p, &d, people);
	}
	policy_destroy(p);
	draw_rules_free(&rules);
	return 0;
}
