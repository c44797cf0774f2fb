// SPDX-License-Identifier: BSD-3-Clause
// Accounts, settings, and the deny list of outer sources.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/api.h"
#include "ctrl/defaults.h"
#include "ctrl/model.h"
#include "lib/ip.h"

static int check_action(struct req *r, const char *action)
{
	if (strcmp(action, "allow") == 0 || strcmp(action, "block") == 0)
		return 0;
	return req_fail(r, IPC_E_INVALID, "default_action", "default_action '%.40s': must be allow or block", action);
}

/* Pools must leave room for network, edge and broadcast address, and the v6 pool must hold as many as the v4 pool. */
static int check_pools(struct req *r, const char *v4, const char *v6)
{
	struct ip_prefix p = {.len = 12}, q = {.len = 64};

	if (v4 && check_network(r, "device_pool_v4", "device_pool_v4", v4, false, &p) < 0)
		return -1;
	if (v6 && check_network(r, "device_pool_v6", "device_pool_v6", v6, false, &q) < 0)
		return -1;
	if (v4 && (p.addr.family != 4 || p.len < 8 || p.len > 29))
		return req_fail(r, IPC_E_INVALID, "device_pool_v4", "device_pool_v4 %s: must be IPv4 with a length of 8 to 29", v4);
	if (v6 && (q.addr.family != 6 || q.len < 16 || q.len > 96 + p.len))
		return req_fail(r, IPC_E_INVALID, "device_pool_v6", "device_pool_v6 %s: must be IPv6 with a length of 16 to %d", v6,
				96 + p.len);
	if ((v4 && ip_prefix_is_martian(&p)) || (v6 && ip_prefix_is_martian(&q)))
		return req_fail(r, IPC_E_INVALID, v4 && ip_prefix_is_martian(&p) ? "device_pool_v4" : "device_pool_v6",
				"device pool %s: packets from there are never forwarded", v4 && ip_prefix_is_martian(&p) ? v4 : v6);
	return 0;
}

int account_write(struct req *r, json_t *doc, json_t **out)
{
	const char *name = req_str(r, "name", doc ? doc_str(doc, "name") : ""), *action = req_str(r, "default_action", NULL);
	const char *v4 = req_str(r, "device_pool_v4", NULL), *v6 = req_str(r, "device_pool_v6", NULL);
	char id[33];
	int ret;

	if ((!doc || strcmp(name, doc_str(doc, "name")) != 0) && (check_name(r, T_ACCOUNTS, name) < 0 || check_free_name(r, T_ACCOUNTS, name) < 0))
		return -1;
	if (action && check_action(r, action) < 0)
		return -1;
	if (doc) {
		json_t *now = json_deep_copy(doc);

		json_object_set_new(now, "name", json_string(name));
		if (action)
			json_object_set_new(now, "default_action", json_string(action));
		ret = req_put(r, T_ACCOUNTS, now);
		*out = now;
		return ret;
	}
	if (check_pools(r, v4, v6) < 0 || check_count(r, T_ACCOUNTS, NULL, LIMIT_ACCOUNTS) < 0)
		return -1;
	ret = defaults_account(r->st, name, action ? action : "block", v4, v6, id);
	*out = ret == 0 ? store_get(r->st, T_ACCOUNTS, id) : NULL;
	return ret < 0 ? req_store_error(r) : 0;
}

static int answer(struct req *r, json_t *doc, int ret)
{
	if (ret == 0)
		ret = req_answer(r, "account", show_object(r, T_ACCOUNTS, doc));
	json_decref(doc);
	return ret;
}

int account_create(struct req *r)
{
	json_t *doc = NULL;
	int ret = account_write(r, NULL, &doc);

	return answer(r, doc, ret);
}

static int collect(json_t *doc, void *arg)
{
	return json_array_append(arg, doc);
}

int account_list(struct req *r)
{
	json_t *out = json_array();

	if (store_each(r->st, T_ACCOUNTS, NULL, collect, out) < 0) {
		json_decref(out);
		return req_store_error(r);
	}
	return req_answer(r, "accounts", out);
}

int account_show(struct req *r)
{
	return req_answer(r, "account", json_incref(r->account));
}

int account_set(struct req *r)
{
	json_t *doc = NULL;
	int ret = account_write(r, r->account, &doc);

	return answer(r, doc, ret);
}

int account_remove(struct req *r, const json_t *doc)
{
	static const enum table users[] = {T_TUNNELS, T_CLIENTS, T_RULES, T_LISTS};
	const char *id = doc_str(doc, "id");
	json_t *vnets;
	char own[64] = "";
	int ret = 0;

	store_meta_get(r->st, "default_account", own, sizeof(own));
	if (strcmp(own, id) == 0)
		return req_fail(r, IPC_E_IN_USE, "account", "account '%s': is the default account", doc_str(doc, "name"));
	for (unsigned i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		uint64_t n = store_count(r->st, users[i], id);

		if (n > 0)
			return req_fail(r, IPC_E_IN_USE, "account", "account '%s': still has %llu %s", doc_str(doc, "name"),
					(unsigned long long)n, table_names[users[i]]);
	}
	vnets = json_array();
	store_each(r->st, T_VNETS, id, collect, vnets);
	for (size_t i = 0; ret == 0 && i < json_array_size(vnets); i++)
		ret = req_del(r, T_VNETS, doc_str(json_array_get(vnets, i), "id"));
	json_decref(vnets);
	return ret < 0 ? ret : req_del(r, T_ACCOUNTS, id);
}

int account_delete(struct req *r)
{
	if (!req_has(r, "account"))
		return req_fail(r, IPC_E_MISSING_FIELD, "account", "account.delete: field 'account' is missing");
	return account_remove(r, r->account);
}

/* --- settings --- */

int settings_get(struct req *r)
{
	const char *key = req_str(r, "key", NULL);
	json_t *out, *doc;

	if (key) {
		doc = store_get(r->st, T_SETTINGS, key);
		if (!doc)
			return req_fail(r, IPC_E_NOT_FOUND, "key", "setting '%.64s': there is none", key);
		req_answer(r, "key", json_incref(json_object_get(doc, "key")));
		req_answer(r, "value", json_incref(json_object_get(doc, "value")));
		return req_answer(r, "settings", json_pack("[o]", doc));
	}
	out = json_array();
	store_each(r->st, T_SETTINGS, NULL, collect, out);
	return req_answer(r, "settings", out);
}

/* A number may come as text, as it does from a command line. */
static int setting_number(struct req *r, const struct setting_def *d, json_t *value, int64_t *out)
{
	const char *s = json_string_value(value);
	int n = 0;
	long long v = 0;

	if (json_is_integer(value))
		v = json_integer_value(value);
	else if (!s || strlen(s) > 18 || sscanf(s, "%lld%n", &v, &n) != 1 || s[n])
		return req_fail(r, IPC_E_INVALID, "value", "%s: must be a whole number", d->key);
	if (v < d->min || v > d->max)
		return req_fail(r, IPC_E_INVALID, "value", "%s %lld: not between %lld and %lld", d->key, v, (long long)d->min,
				(long long)d->max);
	*out = v;
	return 0;
}

/* One of "a|b|c". */
static bool is_choice(const char *choices, const char *text)
{
	size_t n = strlen(text);

	for (const char *c = choices; n > 0 && c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL) {
		if (strncmp(c, text, n) == 0 && (c[n] == 0 || c[n] == '|'))
			return true;
	}
	return false;
}

static int setting_text(struct req *r, const struct setting_def *d, const char *s)
{
	char host[256];
	uint16_t port;

	if (d->choices && (!s || !is_choice(d->choices, s)))
		return req_fail(r, IPC_E_INVALID, "value", "%s '%.40s': must be one of %s", d->key, s ? s : "", d->choices);
	if (!d->choices && (!s || (s[0] && (!ip_hostport_split(s, host, sizeof(host), &port) || port == 0))))
		return req_fail(r, IPC_E_INVALID, "value", "%s: must be host:port or empty", d->key);
	return 0;
}

int setting_write(struct req *r, const char *key, json_t *value)
{
	const struct setting_def *d = setting_find(key);
	int64_t v = 0;
	json_t *doc;
	int ret;

	if (!d)
		return req_fail(r, IPC_E_NOT_FOUND, "key", "setting '%.64s': there is none", key);
	if (d->text) {
		const char *s = json_string_value(value);

		if (setting_text(r, d, s) < 0)
			return -1;
		doc = json_pack("{s:s, s:s}", "key", key, "value", s);
	} else {
		if (setting_number(r, d, value, &v) < 0)
			return -1;
		doc = json_pack("{s:s, s:I}", "key", key, "value", (json_int_t)v);
	}
	ret = req_put(r, T_SETTINGS, doc);
	if (ret == 0)
		ret = req_answer(r, "settings", json_pack("[O]", doc));
	json_decref(doc);
	return ret;
}

int settings_set(struct req *r)
{
	return setting_write(r, req_str(r, "key", ""), req_get(r, "value"));
}

/* --- deny --- */

static int deny_each(struct req *r, bool add)
{
	json_t *networks = req_get(r, "networks"), *v;
	size_t i;

	if (json_array_size(networks) == 0)
		return req_fail(r, IPC_E_INVALID, "networks", "networks: must not be empty");
	json_array_foreach(networks, i, v) {
		char cidr[IP_PREFIX_TEXT];
		struct ip_prefix p;
		json_t *doc;
		int ret;

		if (!json_is_string(v))
			return req_fail(r, IPC_E_INVALID, "networks", "networks: item %zu must be a text", i + 1);
		if (check_network(r, "networks", "network", json_string_value(v), true, &p) < 0)
			return -1;
		ip_prefix_format(&p, cidr);
		if (!add) {
			if (req_del(r, T_DENY, cidr) < 0)
				return -1;
			continue;
		}
		if (check_count(r, T_DENY, NULL, LIMIT_DENY) < 0)
			return -1;
		doc = json_pack("{s:s}", "network", cidr);
		ret = req_put(r, T_DENY, doc);
		json_decref(doc);
		if (ret < 0)
			return -1;
	}
	return deny_list(r);
}

int deny_add(struct req *r)
{
	return deny_each(r, true);
}

int deny_remove(struct req *r)
{
	return deny_each(r, false);
}

int deny_list(struct req *r)
{
	json_t *out = json_array();

	store_each(r->st, T_DENY, NULL, collect, out);
	return req_answer(r, "deny", out);
}
