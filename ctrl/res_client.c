// SPDX-License-Identifier: BSD-3-Clause
// Clients: people's devices. Keys are unique across everything; private keys are never seen here.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "ctrl/api.h"
#include "ctrl/client_config.h"
#include "ctrl/model.h"
#include "ctrl/pool.h"

/* Caps of a client, each direction: below, not one full packet a second would pass. */
#define RATE_BPS_MIN 16000
#define RATE_BPS_MAX 1000000000000
#define RATE_PPS_MAX 1000000000

#define OVERLAP_S     3600
#define OVERLAP_MAX_S (30 * 86400)

/* preshared_key of params: kept as a secret; null removes it. */
static int take_psk(struct req *r, json_t *doc)
{
	json_t *v = req_get(r, "preshared_key");
	const char *id = doc_str(doc, "id");
	uint8_t key[32];
	int ret = 0;

	if (!v)
		return 0;
	if (json_is_null(v)) {
		json_object_set_new(doc, "has_preshared_key", json_false());
		return store_secret_del(r->st, id) < 0 ? req_store_error(r) : 0;
	}
	if (!key_parse(json_string_value(v), key))
		return req_fail(r, IPC_E_INVALID, "preshared_key", "preshared_key: not 32 bytes in base64");
	if (store_secret_set(r->st, id, 0, key, sizeof(key), 0) < 0)
		ret = req_store_error(r);
	sodium_memzero(key, sizeof(key));
	json_object_set_new(doc, "has_preshared_key", json_true());
	return ret;
}

/* Sets doc[field] from an RFC 3339 text of params; null clears it. */
static int take_expiry(struct req *r, json_t *doc)
{
	json_t *v = req_get(r, "expires_at");
	int64_t at;

	if (!v)
		return 0;
	if (json_is_null(v)) {
		json_object_del(doc, "expires_at");
	} else {
		if (check_time(r, "expires_at", json_string_value(v), &at) < 0)
			return -1;
		json_object_set_new(doc, "expires_at", json_integer(at));
	}
	json_object_del(doc, "expired");
	return 0;
}

static int take_vnet(struct req *r, json_t *doc, bool fresh)
{
	json_t *v;

	if (!fresh && !req_has(r, "vnet"))
		return 0;
	v = req_vnet(r);
	if (!v)
		return -1;
	json_object_set(doc, "vnet_id", json_object_get(v, "id"));
	json_decref(v);
	return 0;
}

static int take_plain(struct req *r, json_t *doc)
{
	const char *email = req_str(r, "email", NULL);
	json_t *groups = NULL;

	if (email) {
		if (check_email(r, "email", email) < 0)
			return -1;
		json_object_set_new(doc, "email", json_string(email));
	}
	if (req_has(r, "groups")) {
		if (check_groups(r, req_get(r, "groups"), &groups) < 0)
			return -1;
		json_object_set_new(doc, "groups", groups);
	}
	if (req_has(r, "enabled"))
		json_object_set_new(doc, "enabled", json_boolean(req_bool(r, "enabled", true)));
	return 0;
}

/* doc[field] from params; null: no cap. */
static int take_rate(struct req *r, json_t *doc, const char *field, int64_t min, int64_t max)
{
	json_t *v = req_get(r, field);
	int64_t n = json_integer_value(v);

	if (!v)
		return 0;
	if (json_is_null(v)) {
		json_object_del(doc, field);
		return 0;
	}
	if (n < min || n > max)
		return req_fail(r, IPC_E_INVALID, field, "%s %lld: not %lld to %lld", field, (long long)n, (long long)min, (long long)max);
	json_object_set(doc, field, v);
	return 0;
}

static json_t *fresh_client(struct req *r)
{
	json_t *addresses, *doc;
	char id[37], when[32];

	if (check_count(r, T_CLIENTS, NULL, LIMIT_CLIENTS) < 0)
		return NULL;
	addresses = pool_take(r);
	if (!addresses)
		return NULL;
	uuid_new(id);
	doc = json_pack("{s:s, s:s, s:o, s:[], s:{}, s:b, s:s}", "id", id, "account_id", r->account_id, "addresses", addresses, "groups", "posture",
			"enabled", 1, "created_at", time_format(r->now, when));
	return doc;
}

int client_write(struct req *r, json_t *doc, json_t **out)
{
	const char *name = req_str(r, "name", doc ? doc_str(doc, "name") : "");
	const char *key = req_str(r, "public_key", doc ? doc_str(doc, "public_key") : "");
	json_t *now;

	*out = NULL;
	if ((!doc || strcmp(name, doc_str(doc, "name")) != 0) && (check_name(r, T_CLIENTS, name) < 0 || check_free_name(r, T_CLIENTS, name) < 0))
		return -1;
	if ((!doc || strcmp(key, doc_str(doc, "public_key")) != 0) && check_public_key(r, key, doc ? doc_str(doc, "id") : NULL) < 0)
		return -1;
	if (!doc && !req_has(r, "email"))
		return req_fail(r, IPC_E_MISSING_FIELD, "email", "client '%s': field 'email' is missing", name);
	now = doc ? json_deep_copy(doc) : fresh_client(r);
	*out = now;
	if (!now)
		return -1;
	json_object_set_new(now, "name", json_string(name));
	json_object_set_new(now, "public_key", json_string(key));
	if (take_plain(r, now) < 0 || take_vnet(r, now, !doc) < 0 || take_expiry(r, now) < 0 || take_psk(r, now) < 0 ||
	    take_rate(r, now, "rate_bps", RATE_BPS_MIN, RATE_BPS_MAX) < 0 || take_rate(r, now, "rate_pps", 1, RATE_PPS_MAX) < 0)
		return -1;
	return req_put(r, T_CLIENTS, now);
}

static int answer(struct req *r, json_t *doc, int ret)
{
	if (ret == 0)
		ret = req_answer(r, "client", show_object(r, T_CLIENTS, doc));
	json_decref(doc);
	return ret;
}

/* The answer that carries a config; remembers which routes it was made of. */
static int answer_config(struct req *r, json_t *doc, int ret)
{
	if (ret == 0)
		ret = client_config_make(r, doc, req_bool(r, "full", false), true);
	if (ret == 0)
		ret = req_put(r, T_CLIENTS, doc);
	return answer(r, doc, ret);
}

int client_add(struct req *r)
{
	json_t *doc = NULL;
	int ret = client_write(r, NULL, &doc);

	return answer_config(r, doc, ret);
}

int client_config(struct req *r)
{
	json_t *doc = req_find(r, T_CLIENTS, "client");
	int ret = doc ? client_config_make(r, doc, req_bool(r, "full", false), false) : -1;

	return answer(r, doc, ret);
}

int client_list(struct req *r)
{
	return list_objects(r, T_CLIENTS);
}

int client_show(struct req *r)
{
	json_t *doc = req_find(r, T_CLIENTS, "client");

	return doc ? answer(r, doc, 0) : -1;
}

int client_set(struct req *r)
{
	json_t *doc = req_find(r, T_CLIENTS, "client"), *now = NULL;
	int ret = doc ? client_write(r, doc, &now) : -1;

	json_decref(doc);
	return answer(r, now, ret);
}

int client_rotate(struct req *r)
{
	json_t *doc = req_find(r, T_CLIENTS, "client");
	const char *key = req_str(r, "public_key", "");
	int64_t overlap = req_int(r, "overlap_s", OVERLAP_S);
	int ret = doc ? 0 : -1;

	if (ret == 0 && (overlap < 0 || overlap > OVERLAP_MAX_S))
		ret = req_fail(r, IPC_E_INVALID, "overlap_s", "overlap_s %lld: not 0 to %d", (long long)overlap, OVERLAP_MAX_S);
	if (ret == 0)
		ret = check_public_key(r, key, NULL);
	if (ret == 0) {
		json_object_del(doc, "old_public_key");
		json_object_del(doc, "old_until");
		if (overlap > 0) {
			json_object_set(doc, "old_public_key", json_object_get(doc, "public_key"));
			json_object_set_new(doc, "old_until", json_integer(r->now + overlap));
		}
		json_object_set_new(doc, "public_key", json_string(key));
		ret = take_psk(r, doc);
	}
	return answer_config(r, doc, ret);
}

int client_posture(struct req *r)
{
	json_t *doc = req_find(r, T_CLIENTS, "client"), *posture, *entry;
	const char *check = req_str(r, "check", ""), *until = json_string_value(req_get(r, "expires_at"));
	int64_t at = 0;
	int ret = doc ? 0 : -1;

	if (ret == 0 && (!check[0] || check_text(r, "check", check, 255) < 0))
		ret = check[0] ? -1 : req_fail(r, IPC_E_INVALID, "check", "check: must not be empty");
	if (ret == 0 && until)
		ret = check_time(r, "expires_at", until, &at);
	if (ret == 0) {
		posture = json_object_get(doc, "posture");
		entry = json_pack("{s:b}", "passed", req_bool(r, "passed", false));
		if (at)
			json_object_set_new(entry, "expires_at", json_integer(at));
		json_object_set_new(posture, check, entry);
		if (json_object_size(posture) > LIMIT_CHECKS)
			ret = req_fail(r, IPC_E_LIMIT, "check", "posture: at most %u checks are allowed", LIMIT_CHECKS);
	}
	if (ret == 0)
		ret = req_put(r, T_CLIENTS, doc);
	return answer(r, doc, ret);
}

/* Its keys end at once; the record, and its addresses, stay. */
int client_revoke(struct req *r)
{
	json_t *doc = req_find(r, T_CLIENTS, "client");
	char when[32];
	int ret = -1;

	if (doc) {
		json_object_set_new(doc, "enabled", json_false());
		json_object_set_new(doc, "revoked_at", json_string(time_format(r->now, when)));
		json_object_del(doc, "old_public_key");
		json_object_del(doc, "old_until");
		ret = req_put(r, T_CLIENTS, doc);
	}
	return answer(r, doc, ret);
}

int client_delete(struct req *r)
{
	json_t *doc = req_find(r, T_CLIENTS, "client");
	int ret = doc ? req_del(r, T_CLIENTS, doc_str(doc, "id")) : -1;

	return answer(r, doc, ret);
}
