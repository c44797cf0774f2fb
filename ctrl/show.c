// SPDX-License-Identifier: BSD-3-Clause
// What people see of an object: no private members, times as text, names beside ids, live facts beside configuration.
#include <stdio.h>
#include <string.h>

#include "ctrl/api.h"
#include "ctrl/model.h"
#include "ctrl/runtime.h"
#include "ctrl/tunnel_state.h"

static json_t *time_or_null(int64_t t)
{
	char text[32];

	return t > 0 ? json_string(time_format(t, text)) : json_null();
}

static void set_time(json_t *out, const char *key, int64_t t)
{
	json_object_set_new(out, key, time_or_null(t));
}

static void set_name_of(struct req *r, json_t *out, const char *key, enum table t, const char *id)
{
	json_t *doc = store_get(r->st, t, id);

	json_object_set_new(out, key, doc ? json_incref(json_object_get(doc, "name")) : json_null());
	json_decref(doc);
}

static json_t *show_client(struct req *r, const json_t *doc)
{
	json_t *out = json_deep_copy(doc), *posture = json_object_get(out, "posture"), *v;
	int64_t expires = doc_int(doc, "expires_at");
	static const char *const rates[] = {"rate_bps", "rate_pps"};
	const char *check;

	json_object_del(out, "config_routes");
	json_object_del(out, "old_until");
	for (int i = 0; i < 2; i++) {
		if (!json_object_get(doc, rates[i]))
			json_object_set_new(out, rates[i], json_null());
	}
	set_time(out, "expires_at", expires);
	json_object_set_new(out, "expired", json_boolean(doc_true(doc, "expired") || (expires && expires <= r->now)));
	if (json_object_get(doc, "old_public_key"))
		set_time(out, "old_key_expires_at", doc_int(doc, "old_until"));
	json_object_foreach(posture, check, v)
		set_time(v, "expires_at", doc_int(v, "expires_at"));
	set_name_of(r, out, "vnet_name", T_VNETS, doc_str(doc, "vnet_id"));
	runtime_show_client(r->ctrl, doc, out);
	return out;
}

static json_t *show_connector(struct req *r, const json_t *doc)
{
	json_t *out = json_deep_copy(doc);

	set_time(out, "since", doc_int(doc, "since"));
	set_time(out, "lease_expires", doc_int(doc, "lease_expires"));
	set_name_of(r, out, "tunnel_name", T_TUNNELS, doc_str(doc, "tunnel_id"));
	runtime_show_connector(r->ctrl, doc, out);
	return out;
}

struct of_tunnel {
	const char *id;
	json_t *docs;
};

static int take_connector(json_t *doc, void *arg)
{
	struct of_tunnel *o = arg;

	return strcmp(doc_str(doc, "tunnel_id"), o->id) == 0 ? json_array_append(o->docs, doc) : 0;
}

static json_t *show_tunnel(struct req *r, const json_t *doc)
{
	struct of_tunnel o = {doc_str(doc, "id"), json_array()};
	json_t *out = json_deep_copy(doc), *connectors = json_array(), *c;
	size_t i;

	store_each(r->st, T_CONNECTORS, r->account_id, take_connector, &o);
	json_array_foreach(o.docs, i, c)
		json_array_append_new(connectors, show_connector(r, c));
	tunnel_state_show(r->ctrl, o.id, connectors, out);
	json_object_set_new(out, "connectors", connectors);
	json_decref(o.docs);
	return out;
}

/* A long list has its items only where it was asked for itself. Documents are not changed once they are shown: members are shared. */
static json_t *show_list(const json_t *doc, bool whole)
{
	json_t *out = json_copy((json_t *)(uintptr_t)doc);
	size_t n = json_array_size(json_object_get(doc, "items"));

	json_object_set_new(out, "item_count", json_integer((json_int_t)n));
	if (!whole && n > 1000)
		json_object_del(out, "items");
	return out;
}

json_t *show_object(struct req *r, enum table t, const json_t *doc)
{
	json_t *out;

	switch (t) {
	case T_CLIENTS:
		return show_client(r, doc);
	case T_CONNECTORS:
		return show_connector(r, doc);
	case T_TUNNELS:
		return show_tunnel(r, doc);
	case T_LISTS:
		return show_list(doc, req_has(r, "list") && !req_has(r, "items"));
	default:
		out = json_deep_copy(doc);
		json_object_del(out, "refs");
		return out;
	}
}
