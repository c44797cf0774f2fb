// SPDX-License-Identifier: BSD-3-Clause
// Routes: exact get apart from longest-prefix lookup.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "ctrl/api.h"
#include "ctrl/model.h"

/* A route inside a device pool would take devices' own addresses away; a supernet is fine, for the longest prefix wins. */
int route_check_pool(struct req *r, const struct ip_prefix *p)
{
	static const char *const pools[] = {"device_pool_v4", "device_pool_v6"};
	char err[128], cidr[IP_PREFIX_TEXT];

	for (int i = 0; i < 2; i++) {
		const char *text = doc_str(r->account, pools[i]);
		struct ip_prefix pool;

		if (ip_prefix_parse(text, false, &pool, err, sizeof(err)) == 0 && ip_prefix_covers(&pool, p))
			return req_fail(r, IPC_E_INVALID, "network", "route %s: lies inside the device pool %s", ip_prefix_format(p, cidr), text);
	}
	if (ip_prefix_is_martian(p))
		req_warn(r, "route %s: packets to there are never forwarded", ip_prefix_format(p, cidr));
	return 0;
}

int route_fill(struct req *r, const char *network, const char *tunnel, const char *vnet, const char *comment, struct route *out)
{
	json_t *t, *v;

	*out = (struct route){.created = r->now};
	if (check_network(r, "network", "route", network, false, &out->network) < 0 || route_check_pool(r, &out->network) < 0 ||
	    check_text(r, "comment", comment, 255) < 0)
		return -1;
	t = req_find_ref(r, T_TUNNELS, "tunnel", tunnel);
	v = !t ? NULL : vnet ? req_find_ref(r, T_VNETS, "vnet", vnet) : default_vnet(r);
	if (v) {
		snprintf(out->tunnel_id, sizeof(out->tunnel_id), "%s", doc_str(t, "id"));
		snprintf(out->vnet_id, sizeof(out->vnet_id), "%s", doc_str(v, "id"));
		snprintf(out->account_id, sizeof(out->account_id), "%s", r->account_id);
		snprintf(out->comment, sizeof(out->comment), "%s", comment);
		out->tunnel_n = store_num(r->st, T_TUNNELS, out->tunnel_id);
		out->vnet_n = store_num(r->st, T_VNETS, out->vnet_id);
		randombytes_buf(out->id, sizeof(out->id));
	}
	json_decref(t);
	json_decref(v);
	return v ? 0 : -1;
}

static json_t *show_route(struct req *r, const struct route *rt)
{
	json_t *out = route_json(rt);
	json_t *t = store_get(r->st, T_TUNNELS, rt->tunnel_id), *v = store_get(r->st, T_VNETS, rt->vnet_id);

	json_object_set(out, "tunnel_name", json_object_get(t, "name"));
	json_object_set(out, "vnet_name", json_object_get(v, "name"));
	json_decref(t);
	json_decref(v);
	return out;
}

int route_add(struct req *r)
{
	struct route rt, there;
	char cidr[IP_PREFIX_TEXT];
	int ret;

	if (route_fill(r, req_str(r, "network", ""), req_str(r, "tunnel", ""), req_str(r, "vnet", NULL), req_str(r, "comment", ""), &rt) < 0)
		return -1;
	ret = route_get(r->st, rt.vnet_n, &rt.network, &there);
	if (ret == 0) {
		json_t *t = store_get(r->st, T_TUNNELS, there.tunnel_id), *v = store_get(r->st, T_VNETS, there.vnet_id);

		req_fail(r, IPC_E_EXISTS, "network", "route %s: exists already in vnet '%s', to tunnel '%s'", ip_prefix_format(&rt.network, cidr),
			 doc_str(v, "name"), doc_str(t, "name"));
		json_decref(t);
		json_decref(v);
		return -1;
	}
	if (ret == -ENOENT && check_count(r, T_ROUTES, NULL, LIMIT_ROUTES) < 0)
		return -1;
	if (ret != -ENOENT || route_put(r->st, &rt) < 0)
		return req_store_error(r);
	return req_answer(r, "route", show_route(r, &rt));
}

struct gather {
	json_t *out, *tunnels, *vnets; /* names by id */
};

static int add_route(const struct route *rt, void *arg)
{
	struct gather *g = arg;
	json_t *j = route_json(rt);

	json_object_set(j, "tunnel_name", json_object_get(g->tunnels, rt->tunnel_id));
	json_object_set(j, "vnet_name", json_object_get(g->vnets, rt->vnet_id));
	return json_array_append_new(g->out, j);
}

static int name_by_id(json_t *doc, void *arg)
{
	return json_object_set(arg, doc_str(doc, "id"), json_object_get(doc, "name"));
}

int route_list(struct req *r)
{
	const char *vref = req_str(r, "vnet", NULL), *tref = req_str(r, "tunnel", NULL);
	json_t *v = vref ? req_find_ref(r, T_VNETS, "vnet", vref) : NULL;
	json_t *t = tref && (!vref || v) ? req_find_ref(r, T_TUNNELS, "tunnel", tref) : NULL;
	struct gather g = {json_array(), json_object(), json_object()};
	int64_t vn = v ? store_num(r->st, T_VNETS, doc_str(v, "id")) : 0;
	int64_t tn = t ? store_num(r->st, T_TUNNELS, doc_str(t, "id")) : 0;
	bool ok = (!vref || v) && (!tref || t);
	const char *id;
	json_t *name;

	json_decref(v);
	json_decref(t);
	store_each(r->st, T_TUNNELS, r->account_id, name_by_id, g.tunnels);
	store_each(r->st, T_VNETS, r->account_id, name_by_id, g.vnets);
	if (ok && (vn || tn)) {
		route_each(r->st, vn, tn, add_route, &g);
	} else if (ok) {
		json_object_foreach(g.vnets, id, name) {
			(void)name;
			route_each(r->st, store_num(r->st, T_VNETS, id), 0, add_route, &g);
		}
	}
	json_decref(g.tunnels);
	json_decref(g.vnets);
	if (!ok) {
		json_decref(g.out);
		return -1;
	}
	return req_answer(r, "routes", g.out);
}

/* The exact route of params, or the error "no such route", never a covering one. */
static int exact(struct req *r, struct route *out)
{
	struct ip_prefix p;
	char cidr[IP_PREFIX_TEXT];
	json_t *v;
	int ret;

	if (check_network(r, "network", "route", req_str(r, "network", ""), false, &p) < 0)
		return -1;
	v = req_vnet(r);
	if (!v)
		return -1;
	ret = route_get(r->st, store_num(r->st, T_VNETS, doc_str(v, "id")), &p, out);
	if (ret == -ENOENT)
		req_fail(r, IPC_E_NOT_FOUND, "network", "route %s: there is none in vnet '%s'", ip_prefix_format(&p, cidr), doc_str(v, "name"));
	else if (ret < 0)
		req_store_error(r);
	json_decref(v);
	return ret < 0 ? -1 : 0;
}

int route_show(struct req *r)
{
	struct route rt;

	return exact(r, &rt) < 0 ? -1 : req_answer(r, "route", show_route(r, &rt));
}

int route_find(struct req *r)
{
	const char *text = req_str(r, "ip", "");
	struct ip_addr a;
	struct route rt;
	json_t *v;
	int ret;

	if (!ip_addr_parse(text, &a))
		return req_fail(r, IPC_E_INVALID, "ip", "ip '%.64s': not an IPv4 or IPv6 address", text);
	v = req_vnet(r);
	if (!v)
		return -1;
	ret = route_lookup(r->st, store_num(r->st, T_VNETS, doc_str(v, "id")), &a, &rt);
	if (ret == -ENOENT)
		req_fail(r, IPC_E_NOT_FOUND, "ip", "ip %s: no route matches in vnet '%s'", text, doc_str(v, "name"));
	else if (ret < 0)
		req_store_error(r);
	json_decref(v);
	return ret < 0 ? -1 : req_answer(r, "route", show_route(r, &rt));
}

int route_delete(struct req *r)
{
	struct route rt;

	if (exact(r, &rt) < 0)
		return -1;
	if (route_del(r->st, &rt) < 0)
		return req_store_error(r);
	return req_answer(r, "route", show_route(r, &rt));
}
