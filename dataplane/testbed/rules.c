// SPDX-License-Identifier: BSD-3-Clause
// Rules, lists and identities of a testbed, as the control thread would publish them.
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/testbed/testbed.h"

#define BED_ACCOUNTS 4
#define BED_RULES    TESTBED_RULES

/* What the compiled rules point into, until the account's next ones are set. */
static struct bed_parsed {
	struct expr *kept[BED_RULES * 3];
	size_t n;
} parsed[BED_ACCOUNTS];

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "testbed: %s\n", what);
	abort();
}

static bool find_list(void *user, const char *name, struct expr_list *out)
{
	(void)user;
	snprintf(out->id, sizeof(out->id), "%s", name);
	out->type = EXPR_LIST_IP;
	return true;
}

static const struct expr *parse(struct bed_parsed *p, const char *text, enum expr_scheme scheme)
{
	const struct expr_lists lists = {.find = find_list};
	struct expr_error error;
	struct expr *e;

	if (text == NULL)
		return NULL;
	if (expr_parse(text, strlen(text), scheme, &lists, &e, &error) != 0)
		need(false, error.message);
	p->kept[p->n++] = e;
	return e;
}

static void decide_again(struct testbed *bed, uint32_t account)
{
	struct account_record *a = (struct account_record *)(uintptr_t)bed->edge.records->accounts[account];

	a->policy_generation++;
	a->policy_revision++;
}

static void drop(struct bed_parsed *p)
{
	for (size_t i = 0; i < p->n; i++)
		expr_free(p->kept[i]);
	p->n = 0;
}

void testbed_rules(struct testbed *bed, uint32_t account, bool default_allow, const struct bed_rule *rules, size_t n)
{
	static const enum expr_scheme schemes[] = {EXPR_L4, EXPR_HTTP, EXPR_DNS};
	struct policy_rule *out = calloc(BED_RULES, sizeof(*out));
	struct bed_parsed old = parsed[account];
	struct policy_error error = {0};

	need(out != NULL && n <= BED_RULES, "too many rules");
	parsed[account].n = 0;
	for (size_t i = 0; i < n; i++) {
		const struct bed_rule *r = &rules[i];
		struct bed_parsed *p = &parsed[account];

		out[i] = (struct policy_rule){.index = account * BED_RULES + (uint32_t)i, .precedence = (int64_t)i,
					      .filter = r->filter, .action = r->action, .silent = r->silent,
					      .id = r->name, .name = r->name};
		out[i].traffic = parse(p, r->traffic, schemes[r->filter]);
		out[i].identity = parse(p, r->identity, EXPR_IDENTITY);
		out[i].posture = parse(p, r->posture, EXPR_POSTURE);
	}
	if (policy_rules_set(bed->edge.policy, account, default_allow, out, n, &error) != 0)
		need(false, error.message);
	drop(&old);
	free(out);
	decide_again(bed, account);
}

void testbed_rules_free(void)
{
	for (unsigned i = 0; i < BED_ACCOUNTS; i++)
		drop(&parsed[i]);
}

void testbed_list(struct testbed *bed, uint32_t account, const char *id, const char *const *items)
{
	struct policy_error error = {0};
	size_t n = 0;

	while (items[n] != NULL)
		n++;
	if (policy_list_put(bed->edge.policy, account, id, EXPR_LIST_IP, items, n, &error) != 0)
		need(false, error.message);
	decide_again(bed, account);
}

void testbed_identity(struct testbed *bed, uint32_t client, const char *email, const char *group, const char *passed)
{
	struct client_record *c = (struct client_record *)(uintptr_t)bed->edge.records->clients[client];
	const struct policy_identity id = {.email = email ? email : "", .name = c->id, .groups = &group, .passed = &passed,
					   .n_groups = group != NULL, .n_passed = passed != NULL};
	uint32_t old = c->identity;

	c->identity = policy_identity_get(bed->edge.policy, c->account, &id);
	need(c->identity != POLICY_IDENTITY_NONE, "identity");
	if (old != POLICY_IDENTITY_NONE)
		policy_identity_put(bed->edge.policy, c->account, old);
	c->generation++;
}
