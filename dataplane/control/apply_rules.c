// SPDX-License-Identifier: BSD-3-Clause
// Rows of table rules: parsed once, kept parsed, compiled per account at the end of a change.
#include "dataplane/control/apply_internal.h"
#include "dataplane/control/apply_rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tables/reclaim.h"

/* ---- reading a row ---- */

struct list_scope {
	struct apply *a;
	uint32_t account;
};

/* "0123…" or "01234567-…", any case → the form that ids have. */
static bool canonical(const char *text, char out[37])
{
	unsigned n = 0, digits = 0;

	for (; *text; text++) {
		if (*text == '-')
			continue;
		if (!isxdigit((unsigned char)*text) || digits == 32)
			return false;
		if (digits == 8 || digits == 12 || digits == 16 || digits == 20)
			out[n++] = '-';
		out[n++] = (char)tolower((unsigned char)*text);
		digits++;
	}
	out[n] = 0;
	return digits == 32;
}

static bool find_list(void *user, const char *name, struct expr_list *out)
{
	const struct list_scope *scope = user;
	const struct row *row;
	char id[37];

	if (!canonical(name, id))
		return false;
	row = row_find(&scope->a->stores[TABLE_lists], id);
	if (!row || row->account != scope->account)
		return false;
	snprintf(out->id, sizeof(out->id), "%s", id);
	out->type = (enum expr_list_type)row->index;
	return true;
}

static int read_word(const json_t *row, const char *field, const char *text, const char *const *words, unsigned n,
		     unsigned *out, struct row_error *e)
{
	(void)row;
	for (unsigned i = 0; text && i < n; i++) {
		if (!strcmp(text, words[i])) {
			*out = i;
			return 0;
		}
	}
	return row_fail(e, "invalid", "%s: '%s' is not known to this edge", field, text ? text : "");
}

static int read_expression(struct apply *a, const json_t *json, const char *field, enum expr_scheme scheme,
			   struct rule_entry *r, struct expr **out, struct row_error *e)
{
	const char *text = json_string_value(json_object_get(json, field));
	struct list_scope scope = {a, r->account};
	const struct expr_lists lists = {.find = find_list, .user = &scope};
	struct expr_error error;
	char line[400];
	int rc;

	if (!text)
		return 0;
	rc = expr_parse(text, strlen(text), scheme, &lists, out, &error);
	if (!rc)
		return 0;
	if (rc == -ENOMEM)
		return row_fail(e, "limit", "%s: out of memory", field);
	expr_error_line(&error, line, sizeof(line));
	return row_fail(e, "invalid", "%s: %s", field, line);
}

static int read_rule(struct apply *a, const json_t *json, struct rule_entry *r, struct row_error *e)
{
	static const char *const filters[] = {"l4", "http", "dns"};
	static const char *const actions[] = {"allow", "block", "off", "audit"};
	static const enum expr_scheme schemes[] = {EXPR_L4, EXPR_HTTP, EXPR_DNS};
	const json_t *settings = json_object_get(json, "rule_settings");
	const char *answer = json_string_value(json_object_get(settings, "answer"));
	unsigned filter = 0, action = 0;

	if (row_text(json, "id", r->id, sizeof(r->id), e) ||
	    apply_reference(a, TABLE_accounts, json, "account_id", &r->account, e) ||
	    row_number(json, "precedence", INT64_MIN, INT64_MAX, 0, &r->precedence, e) ||
	    row_bool(json, "enabled", true, &r->enabled, e) ||
	    read_word(json, "filters", json_string_value(json_array_get(json_object_get(json, "filters"), 0)), filters,
		      3, &filter, e) ||
	    read_word(json, "action", json_string_value(json_object_get(json, "action")), actions, 4, &action, e))
		return -1;
	row_display(json, "name", r->name, sizeof(r->name));
	r->filter = (enum policy_filter)filter;
	r->audit = action == 3;
	r->action = r->audit ? POLICY_ALLOW : (enum policy_action)action;
	r->silent = answer && !strcmp(answer, "drop");
	if (read_expression(a, json, "traffic", schemes[filter], r, &r->traffic, e) ||
	    read_expression(a, json, "identity", EXPR_IDENTITY, r, &r->identity, e))
		return -1;
	return read_expression(a, json, "device_posture", EXPR_POSTURE, r, &r->posture, e);
}

/* ---- keeping it ---- */

void rule_entry_free(struct rule_entry *r)
{
	if (!r)
		return;
	expr_free(r->traffic);
	expr_free(r->identity);
	expr_free(r->posture);
	free(r);
}

static void free_entry(void *entry, uint64_t unused)
{
	(void)unused;
	rule_entry_free(entry);
}

void rules_retire_replaced(struct apply *a, struct account_policy *p)
{
	struct retire_ops ops = reclaim_ops(a->config.reclaim);

	while (p->replaced) {
		struct rule_entry *r = p->replaced;

		p->replaced = r->next;
		ops.retire(ops.ctx, free_entry, r, 0);
	}
}

/* Compiled tables may point into the entry until the account's rules have been set again. */
static void replace_entry(struct apply *a, uint32_t index, struct rule_entry *r)
{
	struct rule_entry *old = a->policy.rules[index];

	if (old) {
		struct account_policy *p = &a->policy.accounts[old->account];

		old->next = p->replaced;
		p->replaced = old;
		p->rules_changed = true;
	}
	a->policy.rules[index] = r;
	if (r)
		a->policy.accounts[r->account].rules_changed = true;
}

static struct rule_record *make_record(const struct rule_entry *r)
{
	struct rule_record *record = calloc(1, sizeof(*record));

	if (!record)
		return NULL;
	record->index = r->index;
	record->account = r->account;
	record->precedence = r->precedence;
	snprintf(record->id, sizeof(record->id), "%s", r->id);
	snprintf(record->name, sizeof(record->name), "%s", r->name);
	return record;
}

int rule_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e)
{
	struct rule_entry *r = calloc(1, sizeof(*r));
	struct rule_record *record = NULL;
	bool fresh = false;
	int rc = -1;

	if (!r)
		return row_fail(e, "limit", "out of memory");
	if (read_rule(a, json, r, e) || apply_index(a, TABLE_rules, row->key, &r->index, &fresh, e))
		goto out;
	if (!fresh && row->account != RECORD_NONE && row->account != r->account) {
		row_fail(e, "invalid", "account_id: a rule cannot move to another account");
		goto out;
	}
	record = make_record(r);
	if (!record) {
		row_fail(e, "limit", "out of memory");
		goto out;
	}
	r->change = a->change;
	row->index = r->index;
	row->account = r->account;
	apply_card(a, CARD_RULE, r->index, r->id, r->name, "", NULL);
	APPLY_PUBLISH(a, &a->records->rules[r->index], record, 0);
	replace_entry(a, r->index, r);
	rc = 0;
out:
	if (rc) {
		if (fresh)
			apply_release(a, a->ids[TABLE_rules], row->key);
		rule_entry_free(r);
	}
	return rc;
}

void rule_remove(struct apply *a, struct row *row)
{
	if (row->index == RECORD_NONE)
		return;
	replace_entry(a, row->index, NULL);
	apply_card_drop(a, CARD_RULE, row->index);
	APPLY_PUBLISH(a, &a->records->rules[row->index], NULL, 0);
	apply_release(a, a->ids[TABLE_rules], row->key);
}

/* ---- compiling ---- */

static size_t collect(const struct apply *a, uint32_t account, struct policy_rule *out)
{
	const struct row_store *s = &a->stores[TABLE_rules];
	size_t n = 0;

	for (const struct row *row = row_next(s, NULL); row; row = row_next(s, row)) {
		const struct rule_entry *r = row->account == account ? a->policy.rules[row->index] : NULL;

		if (!r || !r->enabled || r->audit)
			continue;
		out[n++] = (struct policy_rule){.index = r->index, .precedence = r->precedence, .filter = r->filter,
						.action = r->action, .silent = r->silent, .id = r->id, .name = r->name,
						.traffic = r->traffic, .identity = r->identity, .posture = r->posture};
	}
	return n;
}

static int compile(struct apply *a, const struct account_record *account, struct policy_error *error)
{
	struct policy_rule *rules = calloc(a->stores[TABLE_rules].count + 1, sizeof(*rules));
	int rc;

	*error = (struct policy_error){.rule = POLICY_RULE_DEFAULT, .message = "out of memory"};
	if (!rules)
		return -ENOMEM;
	rc = policy_rules_set(a->edge->policy, account->index, account->default_allow, rules,
			      collect(a, account->index, rules), error);
	free(rules);
	return rc;
}

/* The refusal of the last compilation is told no more. */
static void forgive(struct apply *a, struct account_policy *p)
{
	if (!p->refused_rule)
		return;
	apply_forget(a, TABLE_rules, p->refused_rule);
	apply_forget(a, TABLE_accounts, p->refused_rule);
	free(p->refused_rule);
	p->refused_rule = NULL;
}

static void refuse_rules(struct apply *a, const struct account_record *account, const struct policy_error *error, int rc)
{
	struct account_policy *p = &a->policy.accounts[account->index];
	const struct rule_entry *r = error->rule < a->records->max_rules ? a->policy.rules[error->rule] : NULL;
	const char *key = r ? r->id : account->id;
	struct row_error e;

	row_fail(&e, rc == -EINVAL ? "invalid" : "limit", "%s; the account keeps the rules it had", error->message);
	apply_refuse(a, r ? TABLE_rules : TABLE_accounts, key, NULL, &e);
	p->refused_rule = strdup(key);
}

/* A rule that an earlier one covers never matches: accepted, and said. */
static void warn_covered(struct apply *a, uint32_t account)
{
	const struct row_store *s = &a->stores[TABLE_rules];

	if (a->snapshot)
		return;
	for (const struct row *row = row_next(s, NULL); row; row = row_next(s, row)) {
		const struct rule_entry *r = row->account == account ? a->policy.rules[row->index] : NULL, *by;
		struct policy_cover cover;
		char text[800], together[80] = "";

		if (!r || r->change != a->change || !r->enabled || r->audit ||
		    json_array_size(a->policy.warnings) >= APPLY_WARNINGS_MAX)
			continue;
		cover = policy_covered_by(a->edge->policy, account, r->index);
		by = cover.rule < a->records->max_rules ? a->policy.rules[cover.rule] : NULL;
		if (!by)
			continue;
		if (cover.more)
			snprintf(together, sizeof(together), ", together with %u more,", cover.more);
		snprintf(text, sizeof(text), "rule '%s' never matches%s: rule '%s' (precedence %lld)%s comes before it and matches whenever it would",
			 r->name, cover.clients ? " what a client opens" : "", by->name, (long long)by->precedence, together);
		json_array_append_new(a->policy.warnings, json_pack("{s:s,s:s,s:s,s:s}", "table", "rules", "key", r->id,
								    "code", "covered", "message", text));
	}
}

bool rules_publish(struct apply *a, uint32_t account)
{
	struct account_policy *p = &a->policy.accounts[account];
	const struct account_record *record = a->records->accounts[account];
	struct policy_error error;
	int rc;

	if (!record)
		return false;
	forgive(a, p);
	rc = compile(a, record, &error);
	if (rc) {
		refuse_rules(a, record, &error, rc);
		return false;
	}
	p->rules_changed = false;
	rules_retire_replaced(a, p);
	warn_covered(a, account);
	return true;
}
