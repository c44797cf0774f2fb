// SPDX-License-Identifier: BSD-3-Clause
// Tunnels, virtual networks and connectors.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "ctrl/api.h"
#include "ctrl/ctrl.h"
#include "ctrl/model.h"
#include "ctrl/runtime.h"

#define SECRET_MIN_BYTES 32
#define ROTATE_OVERLAP_S 86400

/* Decodes a secret. *len in: room. */
static int read_secret(struct req *r, uint8_t *out, size_t *len)
{
	const char *b64 = req_str(r, "secret", "");

	if (sodium_base642bin(out, *len, b64, strlen(b64), NULL, len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return req_fail(r, IPC_E_INVALID, "secret", "secret: not base64 of at most %u bytes", LIMIT_SECRET);
	if (*len < SECRET_MIN_BYTES)
		return req_fail(r, IPC_E_INVALID, "secret", "secret: %zu bytes, at least %d are needed", *len, SECRET_MIN_BYTES);
	return 0;
}

static int store_secret(struct req *r, const char *id, int slot, int64_t until)
{
	uint8_t secret[LIMIT_SECRET];
	size_t len = sizeof(secret);
	int ret = read_secret(r, secret, &len);

	if (ret == 0 && store_secret_set(r->st, id, slot, secret, len, until) < 0)
		ret = req_store_error(r);
	sodium_memzero(secret, sizeof(secret));
	return ret;
}

/* The tunnel.create answer carries what a credentials file needs. */
static void add_registration(struct req *r)
{
	const char *pem = r->ctrl ? ctrl_edge_ca(r->ctrl) : NULL, *edge = r->ctrl ? ctrl_register_address(r->ctrl) : NULL;

	req_answer(r, "account_tag", json_string(r->account_id));
	req_answer(r, "edge_ca", pem ? json_string(pem) : json_null());
	req_answer(r, "edge", edge ? json_string(edge) : json_null());
}

static int check_id(struct req *r, const char *id, char out[37])
{
	if (!uuid_canonical(id, out))
		return req_fail(r, IPC_E_INVALID, "id", "id '%.64s': not a UUID", id);
	if (store_num(r->st, T_TUNNELS, out))
		return req_fail(r, IPC_E_EXISTS, "id", "tunnel id '%s': exists already", out);
	return 0;
}

int tunnel_write(struct req *r, json_t *doc, json_t **out)
{
	const char *name = req_str(r, "name", doc ? doc_str(doc, "name") : "");
	const char *affinity = req_str(r, "affinity", doc ? doc_str(doc, "affinity") : "none");
	int64_t sessions = req_int(r, "sessions", doc ? doc_int(doc, "sessions") : 8);
	char id[37], when[32];
	json_t *now;

	if ((!doc || strcmp(name, doc_str(doc, "name")) != 0) && (check_name(r, T_TUNNELS, name) < 0 || check_free_name(r, T_TUNNELS, name) < 0))
		return -1;
	if (strcmp(affinity, "none") != 0 && strcmp(affinity, "client") != 0)
		return req_fail(r, IPC_E_INVALID, "affinity", "affinity '%.40s': must be none or client", affinity);
	if (sessions < 1 || sessions > 8)
		return req_fail(r, IPC_E_INVALID, "sessions", "sessions %lld: not 1 to 8", (long long)sessions);
	if (!doc) {
		if (check_count(r, T_TUNNELS, r->account_id, LIMIT_TUNNELS) < 0)
			return -1;
		uuid_new(id);
		if (req_has(r, "id") && check_id(r, req_str(r, "id", ""), id) < 0)
			return -1;
		if (store_secret(r, id, 0, 0) < 0)
			return -1;
		now = json_pack("{s:s, s:s, s:s}", "id", id, "account_id", r->account_id, "created_at", time_format(r->now, when));
	} else {
		now = json_deep_copy(doc);
	}
	json_object_set_new(now, "name", json_string(name));
	json_object_set_new(now, "affinity", json_string(affinity));
	json_object_set_new(now, "sessions", json_integer(sessions));
	*out = now;
	return req_put(r, T_TUNNELS, now);
}

static int answer(struct req *r, enum table t, json_t *doc, int ret)
{
	if (ret == 0)
		ret = req_answer(r, table_singulars[t], show_object(r, t, doc));
	json_decref(doc);
	return ret;
}

int tunnel_create(struct req *r)
{
	json_t *doc = NULL;
	int ret = tunnel_write(r, NULL, &doc);

	if (ret == 0)
		add_registration(r);
	return answer(r, T_TUNNELS, doc, ret);
}

int tunnel_list(struct req *r)
{
	return list_objects(r, T_TUNNELS);
}

int tunnel_show(struct req *r)
{
	json_t *doc = req_find(r, T_TUNNELS, "tunnel");

	if (doc)
		add_registration(r);
	return doc ? answer(r, T_TUNNELS, doc, 0) : -1;
}

int tunnel_set(struct req *r)
{
	json_t *doc = req_find(r, T_TUNNELS, "tunnel"), *now = NULL;
	int ret = doc ? tunnel_write(r, doc, &now) : -1;

	json_decref(doc);
	return answer(r, T_TUNNELS, now, ret);
}

int tunnel_rotate(struct req *r)
{
	json_t *doc = req_find(r, T_TUNNELS, "tunnel");
	int64_t overlap = req_int(r, "overlap_s", ROTATE_OVERLAP_S);
	uint8_t old[LIMIT_SECRET];
	size_t len = sizeof(old);
	int ret = 0;

	if (!doc)
		return -1;
	if (overlap < 0 || overlap > 30 * 86400)
		ret = req_fail(r, IPC_E_INVALID, "overlap_s", "overlap_s %lld: not 0 to 2592000", (long long)overlap);
	if (ret == 0 && overlap > 0 && store_secret_get(r->st, doc_str(doc, "id"), 0, old, &len, r->now) == 0 &&
	    store_secret_set(r->st, doc_str(doc, "id"), 1, old, len, r->now + overlap) < 0)
		ret = req_store_error(r);
	sodium_memzero(old, sizeof(old));
	if (ret == 0)
		ret = store_secret(r, doc_str(doc, "id"), 0, 0);
	if (ret == 0) {
		char when[32];

		/* The change of the document makes the revision and the audit row. */
		json_object_set_new(doc, "secret_rotated_at", json_string(time_format(r->now, when)));
		json_object_set_new(doc, "secret_rotations", json_integer(doc_int(doc, "secret_rotations") + 1));
		ret = req_put(r, T_TUNNELS, doc);
		add_registration(r);
	}
	return answer(r, T_TUNNELS, doc, ret);
}

static int collect_connector(json_t *doc, void *arg)
{
	json_t *pair = arg; /* [tunnel id, ids…] */

	if (strcmp(doc_str(doc, "tunnel_id"), json_string_value(json_array_get(pair, 0))) == 0)
		json_array_append(pair, json_object_get(doc, "id"));
	return 0;
}

static int collect_route(const struct route *rt, void *arg)
{
	struct { struct route *v; size_t n, cap; } *list = arg;

	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 64;
		struct route *v = reallocarray(list->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		list->v = v;
		list->cap = cap;
	}
	list->v[list->n++] = *rt;
	return 0;
}

/* Deletes the routes of a vnet or tunnel (the other is 0). */
static int drop_routes(struct req *r, int64_t vnet_n, int64_t tunnel_n)
{
	struct { struct route *v; size_t n, cap; } list = {0};
	int ret = route_each(r->st, vnet_n, tunnel_n, collect_route, &list);

	for (size_t i = 0; ret == 0 && i < list.n; i++)
		ret = route_del(r->st, &list.v[i]);
	free(list.v);
	return ret < 0 ? req_store_error(r) : 0;
}

int tunnel_remove(struct req *r, const json_t *doc, bool force)
{
	const char *id = doc_str(doc, "id"), *name = doc_str(doc, "name");
	int64_t n = store_num(r->st, T_TUNNELS, id);
	json_t *ids = json_pack("[s]", id);
	int ret = 0;

	store_each(r->st, T_CONNECTORS, r->account_id, collect_connector, ids);
	if (!force && route_any(r->st, 0, n))
		ret = req_fail(r, IPC_E_IN_USE, "tunnel", "tunnel '%s': has routes (force deletes them too)", name);
	else if (!force && json_array_size(ids) > 1)
		ret = req_fail(r, IPC_E_IN_USE, "tunnel", "tunnel '%s': has %zu connectors (force cuts them)", name, json_array_size(ids) - 1);
	if (ret == 0)
		ret = drop_routes(r, 0, n);
	for (size_t i = 1; ret == 0 && i < json_array_size(ids); i++)
		ret = req_del(r, T_CONNECTORS, json_string_value(json_array_get(ids, i)));
	json_decref(ids);
	return ret < 0 ? ret : req_del(r, T_TUNNELS, id);
}

int tunnel_delete(struct req *r)
{
	json_t *doc = req_find(r, T_TUNNELS, "tunnel");
	int ret = doc ? tunnel_remove(r, doc, req_bool(r, "force", false)) : -1;

	return answer(r, T_TUNNELS, doc, ret);
}

/* --- virtual networks --- */

int vnet_write(struct req *r, json_t *doc, json_t **out)
{
	const char *name = req_str(r, "name", doc ? doc_str(doc, "name") : "");
	const char *comment = req_str(r, "comment", doc ? doc_str(doc, "comment") : "");
	char id[37], when[32];
	json_t *now;

	if ((!doc || strcmp(name, doc_str(doc, "name")) != 0) && (check_name(r, T_VNETS, name) < 0 || check_free_name(r, T_VNETS, name) < 0))
		return -1;
	if (check_text(r, "comment", comment, 255) < 0)
		return -1;
	if (!doc) {
		if (check_count(r, T_VNETS, NULL, LIMIT_VNETS) < 0)
			return -1;
		uuid_new(id);
		now = json_pack("{s:s, s:s, s:b, s:s}", "id", id, "account_id", r->account_id, "is_default", 0, "created_at",
				time_format(r->now, when));
	} else {
		now = json_deep_copy(doc);
	}
	json_object_set_new(now, "name", json_string(name));
	json_object_set_new(now, "comment", json_string(comment));
	*out = now;
	return req_put(r, T_VNETS, now);
}

int vnet_create(struct req *r)
{
	json_t *doc = NULL;
	int ret = vnet_write(r, NULL, &doc);

	return answer(r, T_VNETS, doc, ret);
}

int vnet_list(struct req *r)
{
	return list_objects(r, T_VNETS);
}

int vnet_make_default(struct req *r, json_t *vnet)
{
	json_t *was = default_vnet(r);
	int ret = 0;

	if (!was)
		return -1;
	if (strcmp(doc_str(was, "id"), doc_str(vnet, "id")) != 0) {
		json_object_set_new(was, "is_default", json_false());
		json_object_set_new(vnet, "is_default", json_true());
		ret = req_put(r, T_VNETS, was);
		if (ret == 0)
			ret = req_put(r, T_VNETS, vnet);
	}
	json_decref(was);
	return ret;
}

int vnet_default(struct req *r)
{
	json_t *doc = req_find(r, T_VNETS, "vnet");
	int ret = doc ? vnet_make_default(r, doc) : -1;

	return answer(r, T_VNETS, doc, ret);
}

static int collect_client(json_t *doc, void *arg)
{
	json_t *pair = arg; /* [vnet id, clients…] */

	if (strcmp(doc_str(doc, "vnet_id"), json_string_value(json_array_get(pair, 0))) == 0)
		json_array_append(pair, doc);
	return 0;
}

/* With force its routes go and its clients move to the default vnet. */
int vnet_remove(struct req *r, const json_t *doc, bool force)
{
	const char *id = doc_str(doc, "id"), *name = doc_str(doc, "name");
	int64_t n = store_num(r->st, T_VNETS, id);
	json_t *clients, *def;
	int ret = 0;

	if (doc_true(doc, "is_default"))
		return req_fail(r, IPC_E_IN_USE, "vnet", "vnet '%s': is the default; make another the default first", name);
	clients = json_pack("[s]", id);
	store_each(r->st, T_CLIENTS, r->account_id, collect_client, clients);
	if (!force && route_any(r->st, n, 0))
		ret = req_fail(r, IPC_E_IN_USE, "vnet", "vnet '%s': has routes (force deletes them too)", name);
	else if (!force && json_array_size(clients) > 1)
		ret = req_fail(r, IPC_E_IN_USE, "vnet", "vnet '%s': has %zu clients (force moves them to the default)", name,
			       json_array_size(clients) - 1);
	if (ret == 0)
		ret = drop_routes(r, n, 0);
	def = ret == 0 ? default_vnet(r) : NULL;
	for (size_t i = 1; ret == 0 && def && i < json_array_size(clients); i++) {
		json_t *c = json_array_get(clients, i);

		json_object_set(c, "vnet_id", json_object_get(def, "id"));
		ret = req_put(r, T_CLIENTS, c);
	}
	json_decref(def);
	json_decref(clients);
	return ret < 0 ? ret : req_del(r, T_VNETS, id);
}

int vnet_delete(struct req *r)
{
	json_t *doc = req_find(r, T_VNETS, "vnet");
	int ret = doc ? vnet_remove(r, doc, req_bool(r, "force", false)) : -1;

	return answer(r, T_VNETS, doc, ret);
}

/* --- connectors --- */

int connector_list(struct req *r)
{
	const char *ref = req_str(r, "tunnel", NULL);
	json_t *t, *all, *out, *c;
	size_t i;

	if (!ref)
		return list_objects(r, T_CONNECTORS);
	t = req_find_ref(r, T_TUNNELS, "tunnel", ref);
	if (!t || list_objects(r, T_CONNECTORS) < 0) {
		json_decref(t);
		return -1;
	}
	all = json_object_get(r->result, "connectors");
	out = json_array();
	json_array_foreach(all, i, c) {
		if (strcmp(doc_str(c, "tunnel_id"), doc_str(t, "id")) == 0)
			json_array_append(out, c);
	}
	json_decref(t);
	return req_answer(r, "connectors", out);
}

static int connector_change(struct req *r, const char *member, json_t *value)
{
	json_t *doc = req_find(r, T_CONNECTORS, "connector");
	int ret = -1;

	if (doc) {
		json_object_set(doc, member, value);
		ret = req_put(r, T_CONNECTORS, doc);
	}
	json_decref(value);
	return answer(r, T_CONNECTORS, doc, ret);
}

int connector_drain(struct req *r)
{
	return connector_change(r, "draining", json_true());
}

int connector_undrain(struct req *r)
{
	return connector_change(r, "draining", json_false());
}

int connector_weight(struct req *r)
{
	int64_t w = req_int(r, "weight", 0);

	if (w < 0 || w > 256)
		return req_fail(r, IPC_E_INVALID, "weight", "weight %lld: not 0 to 256", (long long)w);
	return connector_change(r, "weight", json_integer(w));
}
