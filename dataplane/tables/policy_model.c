// SPDX-License-Identifier: BSD-3-Clause
// The reference model: every rule by the interpreter, one after the other. What is compiled must say the same.
#include "dataplane/tables/policy_internal.h"

#include <string.h>

/* expr_eval, where out of memory is the safe side of `unknown`. */
static enum expr_tri ask(const struct expr *e, const struct policy_facts *f)
{
	int r = e ? expr_eval(e, &f->env) : EXPR_YES;

	return r < 0 ? EXPR_UNKNOWN : (enum expr_tri)r;
}

static enum expr_tri match(const struct policy_view_rule *rule, const struct policy_facts *f)
{
	const struct expr *const parts[] = {rule->identity, rule->posture, rule->traffic};
	enum expr_tri all = EXPR_YES;

	for (unsigned i = 0; i < 3; i++) {
		enum expr_tri one = ask(parts[i], f);

		if (one == EXPR_NO)
			return EXPR_NO;
		if (one == EXPR_UNKNOWN)
			all = EXPR_UNKNOWN;
	}
	return all;
}

/* Rules of one filter, in their order. */
static void walk(const struct policy_view *view, enum policy_filter filter, const struct policy_query *q, const struct policy_facts *f,
		 struct policy_track *out)
{
	*out = (struct policy_track){.pending = false};
	if (!policy_track_applies(filter, q))
		return;
	for (uint32_t i = 0; i < view->n_rules; i++) {
		const struct policy_view_rule *rule = &view->rules[i];
		enum expr_tri answer = rule->filter != filter || !policy_rule_counts(rule, q) ? EXPR_NO : match(rule, f);

		out->pending |= answer == EXPR_UNKNOWN;
		if (answer != EXPR_NO) {
			out->decided = answer == EXPR_YES ? rule : NULL;
			return;
		}
	}
}

void policy_model_decide(const struct policy_set *p, const struct policy_query *q, const struct names *names, struct policy_result *out)
{
	const struct policy_account *a = q->account < p->limits.accounts ? &p->accounts[q->account] : NULL;
	const struct policy_view *view = a ? a->view : NULL;
	struct policy_track l4, other;
	struct policy_facts facts;

	*out = POLICY_REFUSED;
	if (!view)
		return;
	policy_facts_flow(&facts, p, a, view, q, names);
	walk(view, POLICY_L4, q, &facts, &l4);
	walk(view, policy_track_applies(POLICY_DNS, q) ? POLICY_DNS : POLICY_HTTP, q, &facts, &other);
	policy_combine(view, q, &l4, &other, out);
}
