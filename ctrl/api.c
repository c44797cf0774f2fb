// SPDX-License-Identifier: BSD-3-Clause
// The table of methods, and the run of one request.
#include "ctrl/api.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctrl/model.h"

const struct api_method api_methods[] = {
	{"account.create", account_create, API_CHANGE | API_NO_ACCOUNT, "name:s! default_action:s device_pool_v4:s device_pool_v6:s"},
	{"account.list", account_list, API_READ | API_NO_ACCOUNT, ""},
	{"account.show", account_show, API_READ, ""},
	{"account.set", account_set, API_CHANGE, "default_action:s name:s"},
	{"account.delete", account_delete, API_CHANGE, ""},
	{"settings.get", settings_get, API_READ | API_NO_ACCOUNT, "key:s"},
	{"settings.set", settings_set, API_CHANGE | API_NO_ACCOUNT, "key:s! value:x!"},
	{"tunnel.create", tunnel_create, API_CHANGE, "name:s! secret:s! id:s affinity:s sessions:i"},
	{"tunnel.list", tunnel_list, API_READ, ""},
	{"tunnel.show", tunnel_show, API_READ, "tunnel:s!"},
	{"tunnel.set", tunnel_set, API_CHANGE, "tunnel:s! name:s affinity:s sessions:i"},
	{"tunnel.rotate", tunnel_rotate, API_CHANGE, "tunnel:s! secret:s! overlap_s:i"},
	{"tunnel.delete", tunnel_delete, API_CHANGE, "tunnel:s! force:b"},
	{"route.add", route_add, API_CHANGE, "network:s! tunnel:s! vnet:s comment:s"},
	{"route.list", route_list, API_READ, "vnet:s tunnel:s"},
	{"route.get", route_show, API_READ, "network:s! vnet:s"},
	{"route.lookup", route_find, API_READ, "ip:s! vnet:s"},
	{"route.delete", route_delete, API_CHANGE, "network:s! vnet:s"},
	{"vnet.create", vnet_create, API_CHANGE, "name:s! comment:s"},
	{"vnet.list", vnet_list, API_READ, ""},
	{"vnet.delete", vnet_delete, API_CHANGE, "vnet:s! force:b"},
	{"vnet.default", vnet_default, API_CHANGE, "vnet:s!"},
	{"list.create", list_create, API_CHANGE, "name:s! type:s! items:a description:s"},
	{"list.list", list_list, API_READ, ""},
	{"list.show", list_show, API_READ, "list:s!"},
	{"list.add", list_add, API_CHANGE, "list:s! items:a!"},
	{"list.remove", list_remove, API_CHANGE, "list:s! items:a!"},
	{"list.delete", list_delete, API_CHANGE, "list:s!"},
	{"rule.create", rule_create, API_CHANGE,
	 "name:s! precedence:i! action:s! filters:a! traffic:s? identity:s? device_posture:s? description:s? enabled:b rule_settings:o?"},
	{"rule.set", rule_set, API_CHANGE,
	 "rule:s! name:s precedence:i action:s filters:a traffic:s? identity:s? device_posture:s? description:s? enabled:b rule_settings:o?"},
	{"rule.list", rule_list, API_READ, ""},
	{"rule.show", rule_show, API_READ, "rule:s!"},
	{"rule.enable", rule_enable, API_CHANGE, "rule:s!"},
	{"rule.disable", rule_disable, API_CHANGE, "rule:s!"},
	{"rule.delete", rule_delete, API_CHANGE, "rule:s!"},
	{"client.add", client_add, API_CHANGE, "name:s! email:s! public_key:s! groups:a preshared_key:s? vnet:s expires_at:s? full:b rate_bps:i? rate_pps:i?"},
	{"client.config", client_config, API_READ, "client:s! full:b"},
	{"client.list", client_list, API_READ, ""},
	{"client.show", client_show, API_READ, "client:s!"},
	{"client.set", client_set, API_CHANGE, "client:s! email:s groups:a vnet:s enabled:b expires_at:s? name:s rate_bps:i? rate_pps:i?"},
	{"client.rotate", client_rotate, API_CHANGE, "client:s! public_key:s! overlap_s:i preshared_key:s? full:b"},
	{"client.posture", client_posture, API_CHANGE, "client:s! check:s! passed:b! expires_at:s?"},
	{"client.revoke", client_revoke, API_CHANGE, "client:s!"},
	{"client.delete", client_delete, API_CHANGE, "client:s!"},
	{"connector.list", connector_list, API_READ, "tunnel:s"},
	{"connector.drain", connector_drain, API_CHANGE, "connector:s!"},
	{"connector.undrain", connector_undrain, API_CHANGE, "connector:s!"},
	{"connector.weight", connector_weight, API_CHANGE, "connector:s! weight:i!"},
	{"deny.add", deny_add, API_CHANGE | API_NO_ACCOUNT, "networks:a!"},
	{"deny.remove", deny_remove, API_CHANGE | API_NO_ACCOUNT, "networks:a!"},
	{"deny.list", deny_list, API_READ | API_NO_ACCOUNT, ""},
	{"apply", api_apply, API_CHANGE, "document:o! dry_run:b prune:b"},
	{"export", api_export, API_READ, ""},
	{"history", api_history, API_READ | API_NO_ACCOUNT, "limit:i"},
	{"rollback", api_rollback, API_CHANGE | API_NO_ACCOUNT, "revision:i!"},
	{"show.revision", show_revision, API_READ | API_NO_ACCOUNT, ""},
	{"show.health", show_health, API_READ | API_NO_ACCOUNT, ""},
	{NULL, NULL, 0, NULL},
};

const struct api_method *api_find(const char *name)
{
	for (const struct api_method *m = api_methods; m->name; m++) {
		if (strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

int req_fail(struct req *r, const char *code, const char *field, const char *fmt, ...)
{
	char text[sizeof(r->err.message)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ipc_error_set(&r->err, code, field, "%s", text);
}

int req_store_error(struct req *r)
{
	return req_fail(r, IPC_E_INTERNAL, NULL, "the store failed: %s", r->st->error[0] ? r->st->error : "out of memory");
}

void req_warn(struct req *r, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (json_array_size(r->warnings) < 100)
		json_array_append_new(r->warnings, json_string(text));
}

json_t *req_get(struct req *r, const char *key)
{
	return json_object_get(r->params, key);
}

bool req_has(struct req *r, const char *key)
{
	return req_get(r, key) != NULL;
}

const char *req_str(struct req *r, const char *key, const char *absent)
{
	const char *s = json_string_value(req_get(r, key));

	return s ? s : absent;
}

int64_t req_int(struct req *r, const char *key, int64_t absent)
{
	json_t *v = req_get(r, key);

	return json_is_integer(v) ? json_integer_value(v) : absent;
}

bool req_bool(struct req *r, const char *key, bool absent)
{
	json_t *v = req_get(r, key);

	return json_is_boolean(v) ? json_is_true(v) : absent;
}

static bool type_fits(const json_t *v, const char *type)
{
	if (json_is_null(v) && (type[0] == 'x' || strchr(type, '?')))
		return true;
	switch (type[0]) {
	case 's':
		return json_is_string(v);
	case 'i':
		return json_is_integer(v);
	case 'b':
		return json_is_boolean(v);
	case 'a':
		return json_is_array(v);
	case 'o':
		return json_is_object(v);
	default:
		return type[0] == 'x';
	}
}

static const char *type_words(char type)
{
	static const char *const words[] = {"a text", "a whole number", "true or false", "an array", "an object"};
	static const char letters[] = "sibao";
	const char *at = strchr(letters, type);

	return at ? words[at - letters] : "a value";
}

/* The type word of a parameter in a specification, or NULL: it is not in it. */
static const char *spec_find(const char *spec, const char *name, size_t len)
{
	for (; *spec; spec += strspn(spec, " ")) {
		const char *colon = strchr(spec, ':');

		if ((size_t)(colon - spec) == len && memcmp(spec, name, len) == 0)
			return colon + 1;
		spec = colon + strcspn(colon, " ");
	}
	return NULL;
}

/* A word of the specification may stand without its successors' space: cut it. */
static void type_cut(const char *type, char out[8])
{
	size_t n = strcspn(type, " ");

	n = n < 7 ? n : 7;
	memcpy(out, type, n);
	out[n] = 0;
}

static int check_params(struct req *r, const struct api_method *m)
{
	static const char common[] = "account:s", change[] = "account:s wait:b timeout_s:i";
	const char *key, *spec;
	char type[8];
	json_t *v;

	json_object_foreach(r->params, key, v) {
		const char *t = spec_find(m->params, key, strlen(key));

		if (!t)
			t = spec_find(m->flags & API_CHANGE ? change : common, key, strlen(key));
		if (!t)
			return req_fail(r, IPC_E_UNKNOWN_FIELD, key, "%s: unknown field '%s'", m->name, key);
		type_cut(t, type);
		if (!type_fits(v, type))
			return req_fail(r, IPC_E_INVALID, key, "%s: %s must be %s", m->name, key, type_words(type[0]));
	}
	for (spec = m->params; *spec; spec += strspn(spec, " ")) {
		char name[32];
		size_t n = strcspn(spec, ":");

		memcpy(name, spec, n);
		name[n] = 0;
		type_cut(spec + n + 1, type);
		if (strchr(type, '!') && !req_has(r, name))
			return req_fail(r, IPC_E_MISSING_FIELD, name, "%s: field '%s' is missing", m->name, name);
		spec += strcspn(spec, " ");
	}
	return 0;
}

/* By name, or by id of 32 hex digits; the default account if absent. */
static int resolve_account(struct req *r)
{
	const char *ref = req_str(r, "account", NULL);
	char id[64] = "", uuid[37];

	if (!ref) {
		if (store_meta_get(r->st, "default_account", id, sizeof(id)))
			r->account = store_get(r->st, T_ACCOUNTS, id);
	} else {
		r->account = store_find(r->st, T_ACCOUNTS, "", ref);
		if (!r->account && strlen(ref) <= 36 && uuid_canonical(ref, uuid)) {
			size_t w = 0;

			for (const char *s = uuid; *s; s++) {
				if (*s != '-')
					id[w++] = *s;
			}
			id[w] = 0;
			r->account = store_get(r->st, T_ACCOUNTS, id);
		}
	}
	if (!r->account)
		return req_fail(r, IPC_E_NOT_FOUND, "account", "account '%s': there is none", ref ? ref : "(default)");
	r->account_id = doc_str(r->account, "id");
	return 0;
}

int api_run(struct req *r, const struct api_method *m, json_t *params, const struct ipc_peer *peer, bool *changed)
{
	struct store_author who = {.peer = peer, .method = m->name};
	uint64_t before = r->st->revision, rev;

	*changed = false;
	r->params = params;
	r->now = (int64_t)time(NULL);
	r->result = json_object();
	r->warnings = json_array();
	if (check_params(r, m) < 0 || (!(m->flags & API_NO_ACCOUNT) && resolve_account(r) < 0))
		return -1;
	if (!(m->flags & API_CHANGE))
		return m->fn(r);
	if (store_begin(r->st) < 0)
		return req_store_error(r);
	if (m->fn(r) < 0) {
		store_rollback(r->st);
		return -1;
	}
	if (!r->st->in_tx) /* a dry run has rolled back by itself */
		return 0;
	if (store_commit(r->st, &who, &rev) < 0)
		return req_store_error(r);
	*changed = rev != before;
	return 0;
}

void req_end(struct req *r)
{
	json_decref(r->account);
	json_decref(r->result);
	json_decref(r->warnings);
}
