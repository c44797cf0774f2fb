// SPDX-License-Identifier: BSD-3-Clause
// apply: a document of resources by name becomes the configuration, in one transaction, with a plan of what changes.
#include "ctrl/apply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "ctrl/model.h"

void apply_step(struct apply *a, const char *op, const char *resource, const char *name, json_t *fields)
{
	uint64_t *n = op[0] == 'c' ? &a->created : op[0] == 'u' ? &a->updated : &a->deleted;

	(*n)++;
	if (json_array_size(a->plan) < PLAN_MAX) {
		json_t *step = json_pack("{s:s, s:s, s:s}", "op", op, "resource", resource, "name", name);

		if (fields)
			json_object_set(step, "fields", fields);
		json_array_append_new(a->plan, step);
	}
	json_decref(fields);
}

/* Names of the members in which two documents differ. */
static json_t *changed_fields(const json_t *before, const json_t *after)
{
	json_t *out = json_array(), *v;
	const char *key;

	json_object_foreach((json_t *)(uintptr_t)after, key, v) {
		if (strcmp(key, "refs") != 0 && !json_equal(v, json_object_get(before, key)))
			json_array_append_new(out, json_string(key));
	}
	json_object_foreach((json_t *)(uintptr_t)before, key, v) {
		(void)v;
		if (!json_object_get(after, key))
			json_array_append_new(out, json_string(key));
	}
	return out;
}

struct section {
	const char *name;
	enum table t;
	int (*write)(struct req *r, json_t *doc, json_t **out);
	const char *fields; /* space before and after each */
};

static const struct section sections[] = {
	{"accounts", T_ACCOUNTS, account_write, " name default_action device_pool_v4 device_pool_v6 "},
	{"vnets", T_VNETS, vnet_write, " name comment is_default "},
	{"tunnels", T_TUNNELS, tunnel_write, " name id secret affinity sessions "},
	{"lists", T_LISTS, list_write, " name id type description items "},
	{"rules", T_RULES, rule_write,
	 " name precedence action filters traffic identity device_posture description enabled rule_settings "},
	{"clients", T_CLIENTS, client_write, " name email public_key preshared_key groups vnet enabled expires_at addresses rate_bps rate_pps "},
};

static bool known_field(const char *fields, const char *name)
{
	char word[80];

	return strlen(name) < 64 && !strchr(name, ' ') && snprintf(word, sizeof(word), " %s ", name) > 0 && strstr(fields, word);
}

static int check_entry(struct req *r, const struct section *s, json_t *entry, size_t i)
{
	const char *key;
	json_t *v;

	if (!json_is_object(entry) || !doc_str(entry, "name")[0])
		return req_fail(r, IPC_E_MISSING_FIELD, s->name, "%s: entry %zu has no name", s->name, i + 1);
	json_object_foreach(entry, key, v) {
		bool ok = strcmp(key, "sessions") == 0 || strcmp(key, "precedence") == 0 ? json_is_integer(v)
			  : strcmp(key, "items") == 0 || strcmp(key, "groups") == 0 || strcmp(key, "filters") == 0 || strcmp(key, "addresses") == 0
				  ? json_is_array(v)
			  : strcmp(key, "enabled") == 0 || strcmp(key, "is_default") == 0 ? json_is_boolean(v)
			  : strncmp(key, "rate_", 5) == 0				   ? json_is_integer(v) || json_is_null(v)
			  : strcmp(key, "rule_settings") == 0				   ? json_is_object(v) || json_is_null(v)
											   : json_is_string(v) || json_is_null(v);

		if (!known_field(s->fields, key))
			return req_fail(r, IPC_E_UNKNOWN_FIELD, key, "%s '%s': unknown field '%s'", table_singulars[s->t], doc_str(entry, "name"), key);
		if (!ok)
			return req_fail(r, IPC_E_INVALID, key, "%s '%s': %s is of the wrong type", table_singulars[s->t], doc_str(entry, "name"), key);
	}
	return 0;
}

/* A new tunnel without a secret gets a random one: whoever wants to run it rotates it. */
static void random_secret(struct req *r, json_t *entry)
{
	uint8_t raw[32];
	char b64[64];

	randombytes_buf(raw, sizeof(raw));
	sodium_bin2base64(b64, sizeof(b64), raw, sizeof(raw), sodium_base64_VARIANT_ORIGINAL);
	json_object_set_new(entry, "secret", json_string(b64));
	sodium_memzero(raw, sizeof(raw));
	sodium_memzero(b64, sizeof(b64));
	req_warn(r, "tunnel '%s': made with a random secret; rotate it to get credentials", doc_str(entry, "name"));
}

/* Lists keep the id of the document where it is free, so that expressions that name it hold in another store too. */
static int keep_list_id(struct req *r, json_t *entry, json_t **after)
{
	char id[37];
	json_t *doc;

	if (!json_object_get(entry, "id"))
		return 0;
	if (!uuid_canonical(doc_str(entry, "id"), id))
		return req_fail(r, IPC_E_INVALID, "id", "list '%s': id '%.60s' is not a UUID", doc_str(entry, "name"), doc_str(entry, "id"));
	if (store_num(r->st, T_LISTS, id))
		return req_fail(r, IPC_E_EXISTS, "id", "list id '%s': exists already", id);
	doc = json_copy(*after);
	if (store_del(r->st, T_LISTS, doc_str(*after, "id")) < 0) {
		json_decref(doc);
		return req_store_error(r);
	}
	json_object_set_new(doc, "id", json_string(id));
	json_decref(*after);
	*after = doc;
	return req_put(r, T_LISTS, doc);
}

static int keep_addresses(struct req *r, json_t *entry, json_t **after)
{
	static const char *const pools[] = {"device_pool_v4", "device_pool_v6"};
	static const char *const own[] = {"edge_v4", "edge_v6"};
	json_t *list = json_object_get(entry, "addresses"), *doc;
	char err[128];
	int ret;

	if (!list || json_equal(list, json_object_get(*after, "addresses")))
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		struct ip_prefix pool;
		struct ip_addr a;

		if (json_array_size(list) != 2 || !text || !ip_addr_parse(text, &a) ||
		    ip_prefix_parse(doc_str(r->account, pools[i]), false, &pool, err, sizeof(err)) < 0 || !ip_prefix_contains(&pool, &a) ||
		    ip_addr_cmp(&pool.addr, &a) == 0 || strcmp(text, doc_str(r->account, own[i])) == 0)
			return req_fail(r, IPC_E_INVALID, "addresses", "client '%s': addresses must be a free v4 and v6 address of the device pools",
					doc_str(entry, "name"));
	}
	doc = json_copy(*after);
	json_object_set(doc, "addresses", list);
	ret = req_put(r, T_CLIENTS, doc);
	json_decref(*after);
	*after = doc;
	return ret;
}

static int after_write(struct req *r, const struct section *s, json_t *entry, bool fresh, json_t **after)
{
	if (s->t == T_VNETS && doc_true(entry, "is_default"))
		return vnet_make_default(r, *after);
	if (s->t == T_LISTS && fresh)
		return keep_list_id(r, entry, after);
	if (s->t == T_CLIENTS)
		return keep_addresses(r, entry, after);
	return 0;
}

/* Fields that only matter when the object is made. */
static json_t *params_of(struct req *r, const struct section *s, json_t *entry, const json_t *before)
{
	json_t *p = json_copy(entry);

	if (before && s->t == T_TUNNELS) {
		json_object_del(p, "id");
		json_object_del(p, "secret");
	}
	if (!before && s->t == T_TUNNELS && !json_object_get(entry, "secret"))
		random_secret(r, p);
	if (s->t == T_LISTS)
		json_object_del(p, "id");
	if (before && s->t == T_LISTS && !json_object_get(p, "items"))
		json_object_set_new(p, "items", json_array());
	return p;
}

static int apply_entry(struct apply *a, const struct section *s, json_t *entry)
{
	struct req *r = a->r;
	const char *name = doc_str(entry, "name");
	json_t *before = store_find(r->st, s->t, s->t == T_ACCOUNTS ? "" : r->account_id, name), *after = NULL;
	json_t *saved = r->params, *p = params_of(r, s, entry, before);
	int ret;

	r->params = p;
	ret = s->write(r, before, &after);
	r->params = saved;
	json_decref(p);
	if (ret == 0)
		ret = after_write(r, s, entry, !before, &after);
	if (ret == 0 && !before)
		apply_step(a, "create", table_singulars[s->t], name, NULL);
	else if (ret == 0 && !json_equal(before, after))
		apply_step(a, "update", table_singulars[s->t], name, changed_fields(before, after));
	json_decref(before);
	json_decref(after);
	return ret;
}

static int apply_section(struct apply *a, const struct section *s)
{
	json_t *list = json_object_get(a->doc, s->name), *entry;
	size_t i;

	if (list && !json_is_array(list))
		return req_fail(a->r, IPC_E_INVALID, s->name, "%s: must be an array", s->name);
	json_array_foreach(list, i, entry) {
		if (check_entry(a->r, s, entry, i) < 0 || apply_entry(a, s, entry) < 0)
			return -1;
	}
	return 0;
}

static int collect(json_t *doc, void *arg)
{
	return json_array_append(arg, doc);
}

static int remove_one(struct req *r, enum table t, const json_t *doc)
{
	switch (t) {
	case T_VNETS:
		return vnet_remove(r, doc, true);
	case T_TUNNELS:
		return tunnel_remove(r, doc, true);
	case T_LISTS:
		return list_remove_all(r, doc);
	default:
		return req_del(r, t, doc_str(doc, "id"));
	}
}

/* Deletes what a section of the document does not name; sections that are not in the document are left alone. */
static int prune(struct apply *a, const char *section, enum table t)
{
	json_t *list = json_object_get(a->doc, section), *names, *have, *v;
	size_t i;
	int ret = 0;

	if (!a->prune || !list)
		return 0;
	names = json_object();
	have = json_array();
	json_array_foreach(list, i, v)
		json_object_set_new(names, doc_str(v, "name"), json_true());
	store_each(a->r->st, t, a->r->account_id, collect, have);
	for (i = 0; ret == 0 && i < json_array_size(have); i++) {
		const char *name;

		v = json_array_get(have, i);
		name = doc_str(v, "name");
		if (json_object_get(names, name) || doc_true(v, "is_default"))
			continue;
		ret = remove_one(a->r, t, v);
		if (ret == 0)
			apply_step(a, "delete", table_singulars[t], name, NULL);
	}
	json_decref(names);
	json_decref(have);
	return ret;
}

/* Rules whose precedence changes step aside first, so that two may swap. */
static int loosen_precedences(struct apply *a)
{
	json_t *entry, *rule;
	size_t i;
	int ret = 0;

	json_array_foreach(json_object_get(a->doc, "rules"), i, entry) {
		rule = store_find(a->r->st, T_RULES, a->r->account_id, doc_str(entry, "name"));
		if (ret == 0 && rule && json_object_get(entry, "precedence") && doc_int(rule, "precedence") != doc_int(entry, "precedence") &&
		    json_is_array(json_object_get(entry, "filters"))) {
			json_object_set_new(rule, "precedence", json_integer(-1 - (json_int_t)i));
			ret = req_put(a->r, T_RULES, rule);
		}
		json_decref(rule);
	}
	return ret;
}

static int apply_settings(struct apply *a)
{
	json_t *list = json_object_get(a->doc, "settings"), *pairs, *v;
	const char *key;
	size_t i;
	int ret = 0;

	if (!list)
		return 0;
	pairs = json_is_object(list) ? json_incref(list) : json_object();
	json_array_foreach(list, i, v)
		json_object_set(pairs, doc_str(v, "key"), json_object_get(v, "value"));
	json_object_foreach(pairs, key, v) {
		json_t *before = store_get(a->r->st, T_SETTINGS, key), *after;

		ret = setting_write(a->r, key, v);
		after = ret == 0 ? store_get(a->r->st, T_SETTINGS, key) : NULL;
		if (ret == 0 && !json_equal(before, after))
			apply_step(a, "update", "setting", key, json_pack("[s]", "value"));
		json_decref(before);
		json_decref(after);
		if (ret < 0)
			break;
	}
	json_decref(pairs);
	json_object_del(a->r->result, "settings");
	return ret;
}

static int check_sections(struct req *r, json_t *doc)
{
	const char *key;
	json_t *v;

	json_object_foreach(doc, key, v) {
		if (!known_field(" accounts vnets tunnels routes lists rules clients settings ", key))
			return req_fail(r, IPC_E_UNKNOWN_FIELD, key, "document: unknown section '%s'", key);
		if (!json_is_array(v) && strcmp(key, "settings") != 0)
			return req_fail(r, IPC_E_INVALID, key, "%s: must be an array", key);
	}
	return 0;
}

static int run(struct apply *a)
{
	if (check_sections(a->r, a->doc) < 0 || apply_section(a, &sections[0]) < 0 || apply_settings(a) < 0)
		return -1;
	/* The account itself may have changed: pools and default action. */
	json_decref(a->r->account);
	a->r->account = store_get(a->r->st, T_ACCOUNTS, a->r->account_id);
	return 0;
}

static int run_rest(struct apply *a)
{
	if (apply_section(a, &sections[1]) < 0 || apply_section(a, &sections[2]) < 0 || apply_section(a, &sections[3]) < 0)
		return -1;
	if (prune(a, "rules", T_RULES) < 0 || loosen_precedences(a) < 0 || apply_section(a, &sections[4]) < 0)
		return -1;
	if (prune(a, "clients", T_CLIENTS) < 0 || apply_section(a, &sections[5]) < 0)
		return -1;
	if (apply_routes(a) < 0)
		return -1;
	return prune(a, "lists", T_LISTS) < 0 || prune(a, "tunnels", T_TUNNELS) < 0 || prune(a, "vnets", T_VNETS) < 0 ? -1 : 0;
}

int api_apply(struct req *r)
{
	struct apply a = {.r = r, .doc = req_get(r, "document"), .plan = json_array(), .prune = req_bool(r, "prune", false)};
	char account[64];
	int ret;

	snprintf(account, sizeof(account), "%s", r->account_id);
	r->account_id = account;
	ret = run(&a);
	if (ret == 0)
		ret = run_rest(&a);
	r->account_id = doc_str(r->account, "id");
	if (ret < 0) {
		json_decref(a.plan);
		return -1;
	}
	if (req_bool(r, "dry_run", false))
		store_rollback(r->st);
	req_answer(r, "dry_run", json_boolean(req_bool(r, "dry_run", false)));
	req_answer(r, "counts", json_pack("{s:I, s:I, s:I}", "create", (json_int_t)a.created, "update", (json_int_t)a.updated, "delete",
					  (json_int_t)a.deleted));
	req_answer(r, "plan_truncated", json_boolean(a.created + a.updated + a.deleted > PLAN_MAX));
	return req_answer(r, "plan", a.plan);
}
