// SPDX-License-Identifier: BSD-3-Clause
// Rules: precedence, action by filter, expressions checked and their lists resolved.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/api.h"
#include "ctrl/expr_check.h"
#include "ctrl/model.h"

#define PRECEDENCE_MAX 2147483647

static const struct {
	const char *filter;
	const char *actions[5];
} filters[] = {
	{"l4", {"allow", "block", "audit"}},
	{"http", {"allow", "block", "off", "audit"}},
	{"dns", {"allow", "block", "audit"}},
};

static int check_filter(struct req *r, json_t *list, const char *action)
{
	const char *f = json_string_value(json_array_get(list, 0));
	char words[64] = "";

	if (json_array_size(list) != 1 || !f)
		return req_fail(r, IPC_E_INVALID, "filters", "filters: must be an array of one: l4, http or dns");
	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(f, filters[i].filter) != 0)
			continue;
		for (unsigned k = 0; filters[i].actions[k]; k++) {
			if (strcmp(action, filters[i].actions[k]) == 0)
				return 0;
			snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s", k ? ", " : "", filters[i].actions[k]);
		}
		return req_fail(r, IPC_E_INVALID, "action", "action '%.40s': with filter %s it must be one of %s", action, f, words);
	}
	return req_fail(r, strcmp(f, "egress") == 0 || strcmp(f, "dns_resolver") == 0 ? IPC_E_UNSUPPORTED : IPC_E_INVALID, "filters",
			"filter '%.40s': must be l4, http or dns", f);
}

struct refs {
	struct req *r;
	json_t *ids; /* distinct ids */
};

static enum expr_list_type list_type(const char *type)
{
	return strcmp(type, "IP") == 0	     ? EXPR_LIST_IP
	       : strcmp(type, "DOMAIN") == 0 ? EXPR_LIST_DOMAIN
	       : strcmp(type, "EMAIL") == 0  ? EXPR_LIST_EMAIL
					     : EXPR_LIST_SERIAL;
}

/* A list by id with or without hyphens; never by name. */
static bool find_list(void *arg, const char *ref, struct expr_list *out)
{
	struct refs *rf = arg;
	json_t *doc, *v;
	char id[37];
	size_t i;
	bool ok;

	if (!uuid_canonical(ref, id))
		return false;
	doc = store_get(rf->r->st, T_LISTS, id);
	ok = doc && strcmp(doc_str(doc, "account_id"), rf->r->account_id) == 0;
	if (ok)
		out->type = list_type(doc_str(doc, "type"));
	snprintf(out->id, sizeof(out->id), "%s", id);
	json_decref(doc);
	if (!ok)
		return false;
	json_array_foreach(rf->ids, i, v) {
		if (strcmp(json_string_value(v), id) == 0)
			return true;
	}
	json_array_append_new(rf->ids, json_string(id));
	return true;
}

/* *fields: which ones the traffic expression names. */
static int check_expressions(struct req *r, json_t *rule, uint32_t *fields)
{
	static const char *const groups[] = {"traffic", "identity", "device_posture"};
	const char *filter = json_string_value(json_array_get(json_object_get(rule, "filters"), 0));
	struct refs rf = {r, json_array()};
	const struct expr_lists lists = {find_list, NULL, &rf};
	uint32_t named[3] = {0};
	int ret = 0;

	for (unsigned g = 0; ret == 0 && g < 3; g++) {
		const char *text = json_string_value(json_object_get(rule, groups[g]));
		char err[512];

		if (!text)
			continue;
		if (strlen(text) > LIMIT_EXPRESSION)
			ret = req_fail(r, IPC_E_LIMIT, groups[g], "%s: %zu bytes long, at most %u are allowed", groups[g], strlen(text),
				       LIMIT_EXPRESSION);
		else if (expr_check(text, (enum expr_group)g, filter, &lists, &named[g], err, sizeof(err)) < 0)
			ret = req_fail(r, IPC_E_INVALID, groups[g], "%s: %s", groups[g], err);
	}
	json_object_set_new(rule, "refs", rf.ids);
	*fields = named[EXPR_GROUP_TRAFFIC];
	return ret;
}

static void warn_of_claims(struct req *r, const json_t *rule, uint32_t fields)
{
	if (strcmp(doc_str(rule, "action"), "allow") == 0 && expr_uses_host(fields) && !expr_uses_address(fields))
		req_warn(r, "rule '%s': a host name is what the client claims; add an address condition", doc_str(rule, "name"));
}

/* What the sender of a blocked packet is told. */
static int check_answer(struct req *r, const json_t *settings)
{
	const json_t *v = json_object_get(settings, "answer");
	const char *text = json_string_value(v);

	if (!v || (text && (strcmp(text, "reject") == 0 || strcmp(text, "drop") == 0)))
		return 0;
	return req_fail(r, IPC_E_INVALID, "answer", "rule_settings: answer '%.40s': must be reject or drop", text ? text : "");
}

static int check_settings(struct req *r, json_t *settings)
{
	static const char *const known[] = {"answer", "block_reason", "block_page", "notification_settings", "check_session",
					    "server_first_timeout_ms"};
	const unsigned n = sizeof(known) / sizeof(known[0]);
	const char *key;
	json_t *v;

	json_object_foreach(settings, key, v) {
		unsigned i = 0;

		(void)v;
		while (i < n && strcmp(key, known[i]) != 0)
			i++;
		if (i == n)
			return req_fail(r, IPC_E_UNKNOWN_FIELD, key, "rule_settings: unknown field '%s'", key);
	}
	if (check_answer(r, settings) < 0)
		return -1;
	if (json_dumpb(settings, NULL, 0, JSON_COMPACT) > 16384)
		return req_fail(r, IPC_E_INVALID, "rule_settings", "rule_settings: longer than 16384 bytes");
	return 0;
}

/* Takes over the members of params that belong to a rule; null removes. */
static void merge(struct req *r, json_t *rule)
{
	static const char *const members[] = {"name",	 "precedence", "action",      "filters", "traffic", "identity", "device_posture",
					      "description", "enabled",	"rule_settings"};

	for (unsigned i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		json_t *v = req_get(r, members[i]);

		if (json_is_null(v))
			json_object_del(rule, members[i]);
		else if (v)
			json_object_set(rule, members[i], v);
	}
}

int rule_write(struct req *r, json_t *doc, json_t **out)
{
	char id[37], when[32];
	json_t *now;
	const char *name;
	uint32_t fields;

	uuid_new(id);
	now = doc ? json_copy(doc)
		  : json_pack("{s:s, s:s, s:b, s:s}", "id", id, "account_id", r->account_id, "enabled", 1, "created_at",
			      time_format(r->now, when));
	*out = now;
	merge(r, now);
	name = doc_str(now, "name");
	if ((!doc || strcmp(name, doc_str(doc, "name")) != 0) && (check_name(r, T_RULES, name) < 0 || check_free_name(r, T_RULES, name) < 0))
		return -1;
	if (!doc && (check_count(r, T_RULES, r->account_id, LIMIT_RULES) < 0 || check_count(r, T_RULES, NULL, LIMIT_RULES_ALL) < 0))
		return -1;
	if (!json_is_integer(json_object_get(now, "precedence")) || doc_int(now, "precedence") < 0 || doc_int(now, "precedence") > PRECEDENCE_MAX)
		return req_fail(r, IPC_E_INVALID, "precedence", "precedence %lld: not 0 to %d", (long long)doc_int(now, "precedence"), PRECEDENCE_MAX);
	if (check_filter(r, json_object_get(now, "filters"), doc_str(now, "action")) < 0 ||
	    check_text(r, "description", doc_str(now, "description"), 1000) < 0 ||
	    (req_has(r, "rule_settings") && check_settings(r, json_object_get(now, "rule_settings")) < 0) || check_expressions(r, now, &fields) < 0)
		return -1;
	warn_of_claims(r, now, fields);
	return req_put(r, T_RULES, now);
}

static int answer(struct req *r, json_t *doc, int ret)
{
	if (ret == 0)
		ret = req_answer(r, "rule", show_object(r, T_RULES, doc));
	json_decref(doc);
	return ret;
}

int rule_create(struct req *r)
{
	json_t *doc = NULL;
	int ret = rule_write(r, NULL, &doc);

	return answer(r, doc, ret);
}

int rule_set(struct req *r)
{
	json_t *doc = req_find(r, T_RULES, "rule"), *now = NULL;
	int ret = doc ? rule_write(r, doc, &now) : -1;

	json_decref(doc);
	return answer(r, now, ret);
}

int rule_list(struct req *r)
{
	return list_objects(r, T_RULES);
}

int rule_show(struct req *r)
{
	json_t *doc = req_find(r, T_RULES, "rule");

	return doc ? answer(r, doc, 0) : -1;
}

static int switch_rule(struct req *r, bool on)
{
	json_t *doc = req_find(r, T_RULES, "rule");
	int ret = -1;

	if (doc) {
		json_object_set_new(doc, "enabled", json_boolean(on));
		ret = req_put(r, T_RULES, doc);
	}
	return answer(r, doc, ret);
}

int rule_enable(struct req *r)
{
	return switch_rule(r, true);
}

int rule_disable(struct req *r)
{
	return switch_rule(r, false);
}

int rule_delete(struct req *r)
{
	json_t *doc = req_find(r, T_RULES, "rule");
	int ret = doc ? req_del(r, T_RULES, doc_str(doc, "id")) : -1;

	return answer(r, doc, ret);
}
