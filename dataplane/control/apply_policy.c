// SPDX-License-Identifier: BSD-3-Clause
// Lists, and when what is compiled: the policy of an account over a change.
#include "dataplane/control/apply_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/control/apply_internal.h"
#include "dataplane/control/apply_rules.h"
#include "dataplane/tables/reclaim.h"

/* ---- lists ---- */

static int list_type(const json_t *json, enum expr_list_type *out, struct row_error *e)
{
	static const char *const names[] = {"IP", "DOMAIN", "EMAIL", "SERIAL"};
	const char *text = json_string_value(json_object_get(json, "type"));

	for (unsigned i = 0; text && i < 4; i++) {
		if (!strcmp(text, names[i])) {
			*out = (enum expr_list_type)i;
			return 0;
		}
	}
	return row_fail(e, "invalid", "type: '%s' is not known to this edge", text ? text : "");
}

static int put_items(struct apply *a, const struct row *row, uint32_t account, enum expr_list_type type, const json_t *items,
		     struct row_error *e)
{
	size_t n = json_array_size(items), i;
	const char **texts = calloc(n + 1, sizeof(*texts));
	struct policy_error error = {.message = "out of memory"};
	const json_t *v;
	int rc = texts ? 0 : -ENOMEM;

	json_array_foreach (items, i, v) {
		if (rc)
			break;
		texts[i] = json_string_value(v);
		if (!texts[i]) {
			snprintf(error.message, sizeof(error.message), "items: number %zu is no text", i + 1);
			rc = -EINVAL;
		}
	}
	if (!rc)
		rc = policy_list_put(a->edge->policy, account, row->key, type, texts, n, &error);
	free(texts);
	return rc ? row_fail(e, rc == -EINVAL ? "invalid" : "limit", "%s", error.message) : 0;
}

/* The list is here again: it is not to go with the rules of this change. */
static void keep_list(struct account_policy *p, const char *id)
{
	for (struct list_delete **d = &p->list_deletes; *d; d = &(*d)->next) {
		struct list_delete *gone = *d;

		if (strcmp(gone->id, id) != 0)
			continue;
		*d = gone->next;
		free(gone);
		return;
	}
}

/* row->index holds the type: rules ask for it when they are parsed. */
int list_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e)
{
	enum expr_list_type type = EXPR_LIST_IP;
	uint32_t account = RECORD_NONE;

	if (apply_reference(a, TABLE_accounts, json, "account_id", &account, e) || list_type(json, &type, e))
		return -1;
	if (row->account != RECORD_NONE && row->account != account)
		return row_fail(e, "invalid", "account_id: a list cannot move to another account");
	if (row->account != RECORD_NONE && row->index != (uint32_t)type)
		return row_fail(e, "invalid", "type: a list cannot become one of another type");
	if (put_items(a, row, account, type, json_object_get(json, "items"), e))
		return -1;
	keep_list(&a->policy.accounts[account], row->key);
	row->account = account;
	row->index = (uint32_t)type;
	a->policy.accounts[account].stale = true;
	return 0;
}

/* It goes once the rules that named it have gone: until then they must not see it empty. */
void list_remove(struct apply *a, struct row *row)
{
	struct account_policy *p;
	struct list_delete *d;

	if (row->account == RECORD_NONE)
		return;
	p = &a->policy.accounts[row->account];
	d = malloc(sizeof(*d) + strlen(row->key) + 1);
	p->rules_changed = true;
	if (!d)
		return; /* it stays: no rule names it */
	memcpy(d->id, row->key, strlen(row->key) + 1);
	d->next = p->list_deletes;
	p->list_deletes = d;
}

static void delete_lists(struct apply *a, uint32_t account)
{
	struct account_policy *p = &a->policy.accounts[account];

	while (p->list_deletes) {
		struct list_delete *d = p->list_deletes;

		p->list_deletes = d->next;
		policy_list_delete(a->edge->policy, account, d->id);
		free(d);
	}
}

/* ---- accounts ---- */

void policy_account_changed(struct apply *a, uint32_t account)
{
	a->policy.accounts[account].rules_changed = true;
}

static void delete_account(void *owner, uint64_t account)
{
	policy_account_delete(owner, (uint32_t)account);
}

static void forget_account(struct account_policy *p)
{
	while (p->replaced) {
		struct rule_entry *r = p->replaced;

		p->replaced = r->next;
		rule_entry_free(r);
	}
	while (p->list_deletes) {
		struct list_delete *d = p->list_deletes;

		p->list_deletes = d->next;
		free(d);
	}
	free(p->refused_rule);
	*p = (struct account_policy){0};
}

/* Behind the identities of its clients, which wait for their grace period in the same queue. */
void policy_account_removed(struct apply *a, uint32_t account)
{
	struct account_policy *p = &a->policy.accounts[account];
	struct retire_ops ops = reclaim_ops(a->config.reclaim);
	struct policy_error ignored;

	/* the compiled tables point into the rules that are about to be freed */
	policy_rules_set(a->edge->policy, account, false, NULL, 0, &ignored);
	rules_retire_replaced(a, p);
	ops.retire(ops.ctx, delete_account, a->edge->policy, account);
	forget_account(p);
}

/* ---- the end of rows, the end of a change ---- */

void policy_begin(struct apply *a)
{
	json_array_clear(a->policy.warnings);
}

void policy_lists_done(struct apply *a)
{
	for (uint32_t i = 0; i < a->records->max_accounts; i++) {
		if (!a->policy.accounts[i].stale)
			continue;
		a->policy.accounts[i].stale = false;
		account_policy_changed(a, i, false);
	}
}

void policy_publish(struct apply *a)
{
	for (uint32_t i = 0; i < a->records->max_accounts; i++) {
		if (!a->policy.accounts[i].rules_changed || !rules_publish(a, i))
			continue;
		delete_lists(a, i);
		account_policy_changed(a, i, true);
	}
	policy_lists_done(a);
}

/* ---- life ---- */

bool apply_policy_create(struct apply *a)
{
	a->policy.accounts = calloc(a->records->max_accounts, sizeof(*a->policy.accounts));
	a->policy.rules = calloc(a->records->max_rules, sizeof(struct rule_entry *));
	a->policy.warnings = json_array();
	return a->policy.accounts && a->policy.rules && a->policy.warnings;
}

void apply_policy_destroy(struct apply *a)
{
	for (uint32_t i = 0; a->policy.rules && i < a->records->max_rules; i++)
		rule_entry_free(a->policy.rules[i]);
	for (uint32_t i = 0; a->policy.accounts && i < a->records->max_accounts; i++)
		forget_account(&a->policy.accounts[i]);
	free(a->policy.rules);
	free(a->policy.accounts);
	json_decref(a->policy.warnings);
}
