// SPDX-License-Identifier: BSD-3-Clause
// Checks that several resources share, and finding a resource by id or name.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "ctrl/api.h"
#include "ctrl/model.h"
#include "ctrl/runtime.h"
#include "lib/log.h"

int check_text(struct req *r, const char *field, const char *text, size_t max_bytes)
{
	size_t n = strlen(text);

	if (n > max_bytes)
		return req_fail(r, IPC_E_INVALID, field, "%s: %zu bytes long, at most %zu are allowed", field, n, max_bytes);
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return req_fail(r, IPC_E_INVALID, field, "%s: holds a control character", field);
	}
	return 0;
}

int check_name(struct req *r, enum table t, const char *name)
{
	const char *what = table_singulars[t];
	char id[37];
	size_t n = strlen(name);

	if (n == 0)
		return req_fail(r, IPC_E_INVALID, "name", "%s name: must not be empty", what);
	if (check_text(r, "name", name, 255) < 0)
		return -1;
	if (name[0] == ' ' || name[n - 1] == ' ')
		return req_fail(r, IPC_E_INVALID, "name", "%s name '%s': begins or ends with a space", what, name);
	if (name[0] == '-' || name[0] == '$')
		return req_fail(r, IPC_E_INVALID, "name", "%s name '%s': must not begin with '%c'", what, name, name[0]);
	if (uuid_canonical(name, id))
		return req_fail(r, IPC_E_INVALID, "name", "%s name '%s': looks like an id", what, name);
	return 0;
}

int check_free_name(struct req *r, enum table t, const char *name)
{
	json_t *other = store_find(r->st, t, t == T_ACCOUNTS ? "" : r->account_id, name);

	if (!other)
		return 0;
	json_decref(other);
	return req_fail(r, IPC_E_EXISTS, "name", "%s '%s': exists already", table_singulars[t], name);
}

int check_count(struct req *r, enum table t, const char *account, uint64_t limit)
{
	if (store_count(r->st, t, account) < limit)
		return 0;
	return req_fail(r, IPC_E_LIMIT, NULL, "%s: there are %llu already, the limit", table_names[t], (unsigned long long)limit);
}

int check_email(struct req *r, const char *field, const char *email)
{
	const char *at = strchr(email, '@');

	if (check_text(r, field, email, 254) < 0)
		return -1;
	if (!at || at == email || !at[1] || strchr(at + 1, '@') || strpbrk(email, " \t<>,;\"\\") || strstr(at, "..") || at[1] == '.')
		return req_fail(r, IPC_E_INVALID, field, "%s '%s': not an e-mail address", field, email);
	return 0;
}

bool key_low_order(const uint8_t key[32])
{
	static const uint8_t scalar[32] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t out[32];

	/* A product with a point of small order is the neutral element for every clamped scalar; libsodium refuses it. */
	return crypto_scalarmult_curve25519(out, scalar, key) != 0;
}

/* Below 2^255 - 19 and without the top bit: else two texts would name one key. */
static bool key_canonical(const uint8_t key[32])
{
	static const uint8_t p[32] = {0xed, [1 ... 30] = 0xff, [31] = 0x7f};

	for (int i = 31; i >= 0; i--) {
		if (key[i] != p[i])
			return key[i] < p[i];
	}
	return false;
}

int check_public_key(struct req *r, const char *b64, const char *own_id)
{
	char value[KEY_MAX];
	uint8_t key[32];

	if (!key_parse(b64, key))
		return req_fail(r, IPC_E_INVALID, "public_key", "public_key '%.60s': not 32 bytes in base64", b64);
	if (!key_canonical(key) || key_low_order(key))
		return req_fail(r, IPC_E_INVALID, "public_key", "public_key '%s': not a usable key (low order or not canonical)", b64);
	unique_key(b64, value);
	if (store_taken(r->st, value, own_id) || (r->ctrl && runtime_is_edge_key(r->ctrl, b64)))
		return req_fail(r, IPC_E_EXISTS, "public_key", "public_key '%s': is in use", b64);
	return 0;
}

int check_network(struct req *r, const char *field, const char *what, const char *text, bool bare, struct ip_prefix *out)
{
	char err[160];

	if (ip_prefix_parse(text, bare, out, err, sizeof(err)) == 0)
		return 0;
	return req_fail(r, IPC_E_INVALID, field, "%s %s", what, err);
}

int check_time(struct req *r, const char *field, const char *text, int64_t *out)
{
	if (!time_parse(text, out))
		return req_fail(r, IPC_E_INVALID, field, "%s '%.60s': not a time such as 2026-12-31T23:59:59Z", field, text);
	if (*out <= r->now)
		return req_fail(r, IPC_E_INVALID, field, "%s '%s': is in the past", field, text);
	return 0;
}

int check_groups(struct req *r, json_t *groups, json_t **out)
{
	json_t *seen = json_object(), *copy = json_array();
	json_t *g;
	size_t i;
	int ret = 0;

	if (json_array_size(groups) > LIMIT_GROUPS)
		ret = req_fail(r, IPC_E_LIMIT, "groups", "groups: %zu, at most %u are allowed", json_array_size(groups), LIMIT_GROUPS);
	json_array_foreach(groups, i, g) {
		const char *name = json_string_value(g);

		if (ret < 0)
			break;
		if (!name || !name[0])
			ret = req_fail(r, IPC_E_INVALID, "groups", "groups: item %zu must be a text", i + 1);
		else if (check_text(r, "groups", name, 255) < 0)
			ret = -1;
		else if (json_object_get(seen, name))
			ret = req_fail(r, IPC_E_INVALID, "groups", "groups: '%s' stands there twice", name);
		if (ret < 0)
			break;
		json_object_set_new(seen, name, json_true());
		json_array_append(copy, g);
	}
	json_decref(seen);
	if (ret < 0)
		json_decref(copy);
	else
		*out = copy;
	return ret;
}

json_t *req_find_ref(struct req *r, enum table t, const char *field, const char *ref)
{
	char id[37];
	json_t *doc = NULL;

	if (uuid_canonical(ref, id)) {
		doc = store_get(r->st, t, id);
		if (doc && strcmp(doc_str(doc, "account_id"), r->account_id) != 0) {
			json_decref(doc);
			doc = NULL;
		}
	}
	if (!doc)
		doc = store_find(r->st, t, r->account_id, ref);
	if (!doc)
		req_fail(r, IPC_E_NOT_FOUND, field, "%s '%.255s': there is none", table_singulars[t], ref);
	return doc;
}

json_t *req_find(struct req *r, enum table t, const char *field)
{
	return req_find_ref(r, t, field, req_str(r, field, ""));
}

static int take_default(json_t *doc, void *arg)
{
	json_t **out = arg;

	if (!doc_true(doc, "is_default"))
		return 0;
	*out = json_incref(doc);
	return 1;
}

json_t *default_vnet(struct req *r)
{
	json_t *doc = NULL;

	store_each(r->st, T_VNETS, r->account_id, take_default, &doc);
	if (!doc)
		req_fail(r, IPC_E_INTERNAL, "vnet", "account '%s': has no default vnet", doc_str(r->account, "name"));
	return doc;
}

json_t *req_vnet(struct req *r)
{
	const char *ref = req_str(r, "vnet", NULL);

	return ref ? req_find_ref(r, T_VNETS, "vnet", ref) : default_vnet(r);
}

static const char *key_of(enum table t, const json_t *doc)
{
	return t == T_SETTINGS ? doc_str(doc, "key") : t == T_DENY ? doc_str(doc, "network") : doc_str(doc, "id");
}

/* What the store answered to doc. */
static int put_answer(struct req *r, enum table t, const json_t *doc, int ret)
{
	if (ret == 0)
		return 0;
	if (ret != -EEXIST)
		return req_store_error(r);
	if (strncmp(r->st->conflict, "precedence:", 11) == 0)
		return req_fail(r, IPC_E_EXISTS, "precedence", "precedence %lld: another rule has it", (long long)doc_int(doc, "precedence"));
	if (strncmp(r->st->conflict, "key:", 4) == 0)
		return req_fail(r, IPC_E_EXISTS, "public_key", "public_key '%s': is in use", r->st->conflict + 4);
	if (strncmp(r->st->conflict, "name:", 5) == 0)
		return req_fail(r, IPC_E_EXISTS, "name", "%s '%s': exists already", table_singulars[t], doc_str(doc, "name"));
	return req_fail(r, IPC_E_EXISTS, NULL, "%s '%s': '%s' is in use", table_singulars[t], key_of(t, doc), r->st->conflict);
}

int req_put(struct req *r, enum table t, json_t *doc)
{
	return put_answer(r, t, doc, store_put(r->st, t, key_of(t, doc), doc));
}

int req_replace(struct req *r, enum table t, const json_t *before, json_t *doc)
{
	return put_answer(r, t, doc, store_replace(r->st, t, key_of(t, doc), before, doc));
}

int req_del(struct req *r, enum table t, const char *key)
{
	int ret = store_del(r->st, t, key);

	if (ret == -ENOENT)
		return req_fail(r, IPC_E_NOT_FOUND, table_singulars[t], "%s '%s': there is none", table_singulars[t], key);
	return ret < 0 ? req_store_error(r) : 0;
}

int req_answer(struct req *r, const char *key, json_t *value)
{
	if (!value || json_object_set_new(r->result, key, value) < 0)
		return req_fail(r, IPC_E_INTERNAL, NULL, "out of memory");
	return 0;
}


static int collect(json_t *doc, void *arg)
{
	json_t *out = arg;

	return json_array_append(out, doc) < 0 ? -ENOMEM : 0;
}

int list_objects(struct req *r, enum table t)
{
	json_t *docs = json_array(), *out = json_array(), *doc;
	size_t i;

	/* Collected first: showing one object reads others, and a statement serves one reader at a time. */
	if (store_each(r->st, t, r->account_id, collect, docs) < 0) {
		json_decref(docs);
		json_decref(out);
		return req_store_error(r);
	}
	json_array_foreach(docs, i, doc)
		json_array_append_new(out, show_object(r, t, doc));
	json_decref(docs);
	return req_answer(r, table_names[t], out);
}
