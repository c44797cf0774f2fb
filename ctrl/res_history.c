// SPDX-License-Identifier: BSD-3-Clause
// export, history, rollback, and what show.* answers.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/api.h"
#include "ctrl/ctrl.h"
#include "ctrl/model.h"
#include "ctrl/sync.h"

struct exporter {
	struct req *r;
	json_t *names; /* id → name, of vnets and tunnels */
	json_t *out;
	enum table t;
};

static const char *const members[T_COUNT][10] = {
	[T_VNETS] = {"name", "comment", "is_default"},
	[T_TUNNELS] = {"name", "id", "affinity", "sessions"},
	[T_LISTS] = {"name", "id", "type", "description", "items"},
	[T_RULES] = {"name", "precedence", "action", "filters", "traffic", "identity", "device_posture", "description", "enabled", "rule_settings"},
	[T_CLIENTS] = {"name", "email", "public_key", "groups", "enabled", "addresses", "rate_bps", "rate_pps"},
};

static int export_one(json_t *doc, void *arg)
{
	struct exporter *x = arg;
	json_t *out = json_object();
	char when[32];

	for (unsigned i = 0; i < 10 && members[x->t][i]; i++) {
		json_t *v = json_object_get(doc, members[x->t][i]);

		if (v && !json_is_null(v))
			json_object_set(out, members[x->t][i], v);
	}
	if (x->t == T_CLIENTS) {
		json_object_set(out, "vnet", json_object_get(x->names, doc_str(doc, "vnet_id")));
		if (doc_int(doc, "expires_at") > x->r->now)
			json_object_set_new(out, "expires_at", json_string(time_format(doc_int(doc, "expires_at"), when)));
	}
	if (x->t == T_VNETS || x->t == T_TUNNELS)
		json_object_set(x->names, doc_str(doc, "id"), json_object_get(doc, "name"));
	return json_array_append_new(x->out, out);
}

static int export_route(const struct route *rt, void *arg)
{
	struct exporter *x = arg;
	char cidr[IP_PREFIX_TEXT];
	json_t *out = json_pack("{s:s, s:O, s:O}", "network", ip_prefix_format(&rt->network, cidr), "tunnel",
				json_object_get(x->names, rt->tunnel_id), "vnet", json_object_get(x->names, rt->vnet_id));

	if (rt->comment[0])
		json_object_set_new(out, "comment", json_string(rt->comment));
	return json_array_append_new(x->out, out);
}

static int vnet_ids(json_t *doc, void *arg)
{
	return json_array_append(arg, json_object_get(doc, "id"));
}

static void export_routes(struct exporter *x)
{
	json_t *ids = json_array(), *id;
	size_t i;

	store_each(x->r->st, T_VNETS, x->r->account_id, vnet_ids, ids);
	json_array_foreach(ids, i, id)
		route_each(x->r->st, store_num(x->r->st, T_VNETS, json_string_value(id)), 0, export_route, x);
	json_decref(ids);
}

static int collect(json_t *doc, void *arg)
{
	return json_array_append(arg, doc);
}

int api_export(struct req *r)
{
	static const enum table order[] = {T_VNETS, T_TUNNELS, T_ROUTES, T_LISTS, T_RULES, T_CLIENTS};
	struct exporter x = {.r = r, .names = json_object()};
	json_t *doc = json_object(), *settings = json_array();

	json_object_set_new(doc, "accounts",
			    json_pack("[{s:O, s:O}]", "name", json_object_get(r->account, "name"), "default_action",
				      json_object_get(r->account, "default_action")));
	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		x.t = order[i];
		x.out = json_array();
		if (x.t == T_ROUTES)
			export_routes(&x);
		else
			store_each(r->st, x.t, r->account_id, export_one, &x);
		json_object_set_new(doc, table_names[x.t], x.out);
	}
	store_each(r->st, T_SETTINGS, NULL, collect, settings);
	json_object_set_new(doc, "settings", settings);
	json_decref(x.names);
	return req_answer(r, "document", doc);
}

int api_history(struct req *r)
{
	int64_t limit = req_int(r, "limit", 50);

	if (limit < 1 || limit > 10000)
		return req_fail(r, IPC_E_INVALID, "limit", "limit %lld: not 1 to 10000", (long long)limit);
	return req_answer(r, "history", store_history(r->st, (unsigned)limit));
}

static int orphan(json_t *doc, void *arg)
{
	return json_array_append_new(arg, json_pack("[O, O]", json_object_get(doc, "id"), json_object_get(doc, "tunnel_id")));
}

/* Connectors are not rolled back; those whose tunnel went away go too. */
static int drop_orphans(struct req *r)
{
	json_t *pairs = json_array(), *p;
	size_t i;
	int ret = 0;

	store_each(r->st, T_CONNECTORS, NULL, orphan, pairs);
	json_array_foreach(pairs, i, p) {
		if (ret == 0 && !store_num(r->st, T_TUNNELS, json_string_value(json_array_get(p, 1))))
			ret = req_del(r, T_CONNECTORS, json_string_value(json_array_get(p, 0)));
	}
	json_decref(pairs);
	return ret;
}

int api_rollback(struct req *r)
{
	int64_t to = req_int(r, "revision", 0);
	unsigned lost = 0;
	int ret;

	if (to < 1)
		return req_fail(r, IPC_E_INVALID, "revision", "revision %lld: must be 1 or more", (long long)to);
	ret = store_rollback_to(r->st, (uint64_t)to, &lost);
	if (ret == -ENOENT)
		return req_fail(r, IPC_E_NOT_FOUND, "revision", "revision %lld: the history reaches from %llu to %llu", (long long)to,
				(unsigned long long)(r->st->oldest_delta ? r->st->oldest_delta : 1), (unsigned long long)r->st->revision);
	if (ret == -EEXIST)
		return req_fail(r, IPC_E_EXISTS, "revision", "revision %lld: '%s' is in use by something newer", (long long)to, r->st->conflict);
	if (ret < 0)
		return req_store_error(r);
	if (lost > 0)
		req_warn(r, "%u tunnels or clients came back without their secret, which was wiped when they were deleted: rotate them", lost);
	req_answer(r, "rolled_back_to", json_integer(to));
	return drop_orphans(r);
}

static json_t *edges_shown(struct req *r)
{
	json_t *out = json_array();

	for (struct edge *e = r->ctrl ? r->ctrl->edges : NULL; e; e = e->next)
		json_array_append_new(out, json_pack("{s:s, s:s, s:I, s:b, s:O, s:O, s:O}", "edge_id", e->edge_id, "instance", e->instance, "applied",
						     (json_int_t)e->applied, "connected", 1, "errors", e->errors, "workers",
						     json_object_get(e->doc, "workers"), "endpoints", json_object_get(e->doc, "endpoints")));
	return out;
}

int show_revision(struct req *r)
{
	req_answer(r, "configured", json_integer((json_int_t)r->st->revision));
	req_answer(r, "epoch", json_string(r->st->epoch));
	return req_answer(r, "edges", edges_shown(r));
}

int show_health(struct req *r)
{
	json_t *counts = json_object(), *problems = json_array();
	bool behind = false;

	for (int t = 0; t < T_COUNT; t++)
		json_object_set_new(counts, table_names[t], json_integer((json_int_t)store_count(r->st, (enum table)t, NULL)));
	for (struct edge *e = r->ctrl ? r->ctrl->edges : NULL; e; e = e->next) {
		behind = behind || e->applied < r->st->revision;
		if (e->applied < r->st->revision)
			json_array_append_new(problems, json_sprintf("edge %s: has applied revision %" PRIu64 " of %" PRIu64, e->edge_id, e->applied,
								     r->st->revision));
		if (json_array_size(e->errors) > 0)
			json_array_append_new(problems,
					      json_sprintf("edge %s: %zu rows could not be applied", e->edge_id, json_array_size(e->errors)));
	}
	if (!r->ctrl || !r->ctrl->edges)
		json_array_append_new(problems, json_string("no edge is connected"));
	if (r->st->routes * 10 > LIMIT_ROUTES * 9ull)
		json_array_append_new(problems, json_sprintf("routes: %" PRIu64 " of at most %u", r->st->routes, LIMIT_ROUTES));
	req_answer(r, "status", json_string(json_array_size(problems) == 0 ? "ok" : "degraded"));
	req_answer(r, "problems", problems);
	req_answer(r, "counts", counts);
	req_answer(r, "configured", json_integer((json_int_t)r->st->revision));
	req_answer(r, "version", json_string(SLUICE_VERSION));
	req_answer(r, "uptime_s", json_integer(r->ctrl ? (json_int_t)((ctrl_now_ns() - r->ctrl->started_ns) / 1000000000u) : 0));
	return req_answer(r, "edges", edges_shown(r));
}
