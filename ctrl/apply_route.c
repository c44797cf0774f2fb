// SPDX-License-Identifier: BSD-3-Clause
// apply: routes, up to a million in one document. Names are resolved once, not per route.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "ctrl/apply.h"
#include "ctrl/model.h"

struct seen {
	int64_t vnet_n;
	uint8_t net[18];
};

struct names {
	json_t *ids;	 /* name or id → id */
	json_t *numbers; /* id → row number */
	const char *def; /* id of the default vnet (borrowed from ids) */
};


static int add_name(json_t *doc, void *arg)
{
	struct names *n = arg;
	json_t *id = json_object_get(doc, "id");

	json_object_set(n->ids, doc_str(doc, "name"), id);
	json_object_set(n->ids, json_string_value(id), id);
	json_object_set(n->numbers, json_string_value(id), json_null());
	if (doc_true(doc, "is_default"))
		n->def = json_string_value(json_object_get(n->ids, json_string_value(id)));
	return 0;
}

static void names_load(struct req *r, enum table t, struct names *n)
{
	const char *id;
	json_t *v;

	*n = (struct names){json_object(), json_object(), NULL};
	store_each(r->st, t, r->account_id, add_name, n);
	json_object_foreach(n->numbers, id, v) {
		(void)v;
		json_object_set_new(n->numbers, id, json_integer(store_num(r->st, t, id)));
	}
}

static void names_free(struct names *n)
{
	json_decref(n->ids);
	json_decref(n->numbers);
}

static int resolve(struct req *r, const struct names *n, enum table t, const char *ref, const char *network, char id[37], int64_t *num)
{
	const char *found = json_string_value(json_object_get(n->ids, ref));

	if (!found)
		return req_fail(r, IPC_E_NOT_FOUND, table_singulars[t], "route %s: %s '%.255s': there is none", network, table_singulars[t], ref);
	snprintf(id, 37, "%s", found);
	*num = json_integer_value(json_object_get(n->numbers, found));
	return 0;
}

static int read_route(struct req *r, const struct names *tunnels, const struct names *vnets, json_t *entry, struct route *out)
{
	const char *network = doc_str(entry, "network"), *key, *comment = doc_str(entry, "comment"), *vnet = doc_str(entry, "vnet");
	json_t *v;

	*out = (struct route){.created = r->now};
	if (!json_is_object(entry))
		return req_fail(r, IPC_E_INVALID, "routes", "routes: each must be an object");
	json_object_foreach(entry, key, v) {
		if (strcmp(key, "network") != 0 && strcmp(key, "tunnel") != 0 && strcmp(key, "vnet") != 0 && strcmp(key, "comment") != 0)
			return req_fail(r, IPC_E_UNKNOWN_FIELD, key, "route %.64s: unknown field '%s'", network, key);
		if (!json_is_string(v))
			return req_fail(r, IPC_E_INVALID, key, "route %.64s: %s must be a text", network, key);
	}
	if (check_network(r, "network", "route", network, false, &out->network) < 0 || route_check_pool(r, &out->network) < 0 ||
	    check_text(r, "comment", comment, 255) < 0)
		return -1;
	if (resolve(r, tunnels, T_TUNNELS, doc_str(entry, "tunnel"), network, out->tunnel_id, &out->tunnel_n) < 0 ||
	    resolve(r, vnets, T_VNETS, vnet[0] ? vnet : vnets->def ? vnets->def : "", network, out->vnet_id, &out->vnet_n) < 0)
		return -1;
	snprintf(out->account_id, sizeof(out->account_id), "%s", r->account_id);
	snprintf(out->comment, sizeof(out->comment), "%s", comment);
	randombytes_buf(out->id, sizeof(out->id));
	return 0;
}

static int put_route(struct apply *a, const struct route *rt)
{
	struct store *st = a->r->st;
	uint64_t changes = st->tx_changes, routes = st->routes;
	char cidr[IP_PREFIX_TEXT];

	if (routes >= LIMIT_ROUTES)
		return req_fail(a->r, IPC_E_LIMIT, "routes", "routes: there are %u already, the limit", LIMIT_ROUTES);
	if (route_put(st, rt) < 0)
		return req_store_error(a->r);
	if (st->tx_changes == changes)
		return 0;
	apply_step(a, st->routes > routes ? "create" : "update", "route", ip_prefix_format(&rt->network, cidr), NULL);
	return 0;
}

static int cmp_seen(const void *x, const void *y)
{
	return memcmp(x, y, sizeof(struct seen));
}

struct pruning {
	const struct seen *seen;
	size_t n_seen;
	struct route *gone;
	size_t n, cap;
};

static int find_gone(const struct route *rt, void *arg)
{
	struct pruning *p = arg;
	struct seen s;

	memset(&s, 0, sizeof(s));
	s.vnet_n = rt->vnet_n;
	route_blob(&rt->network, s.net);
	if (bsearch(&s, p->seen, p->n_seen, sizeof(s), cmp_seen))
		return 0;
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 256;
		struct route *g = reallocarray(p->gone, cap, sizeof(*g));

		if (!g)
			return -ENOMEM;
		p->gone = g;
		p->cap = cap;
	}
	p->gone[p->n++] = *rt;
	return 0;
}

static int prune_routes(struct apply *a, const struct names *vnets, const struct seen *seen, size_t n)
{
	struct pruning p = {.seen = seen, .n_seen = n};
	char cidr[IP_PREFIX_TEXT];
	const char *id;
	json_t *num;
	int ret = 0;

	json_object_foreach(vnets->numbers, id, num) {
		if (ret == 0)
			ret = route_each(a->r->st, json_integer_value(num), 0, find_gone, &p);
	}
	for (size_t i = 0; ret == 0 && i < p.n; i++) {
		ret = route_del(a->r->st, &p.gone[i]);
		apply_step(a, "delete", "route", ip_prefix_format(&p.gone[i].network, cidr), NULL);
	}
	free(p.gone);
	return ret < 0 ? req_store_error(a->r) : 0;
}

/* Refuses a network that stands in the document twice. */
static int check_twice(struct req *r, const struct seen *seen, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct ip_prefix p;
		char cidr[IP_PREFIX_TEXT];

		if (cmp_seen(&seen[i - 1], &seen[i]) != 0)
			continue;
		route_from_blob(seen[i].net, seen[i].net[0] == 4 ? 6 : 18, &p);
		return req_fail(r, IPC_E_EXISTS, "routes", "route %s: stands in the document twice", ip_prefix_format(&p, cidr));
	}
	return 0;
}

int apply_routes(struct apply *a)
{
	json_t *list = json_object_get(a->doc, "routes"), *entry;
	size_t n = json_array_size(list), i;
	struct names tunnels, vnets;
	struct seen *seen;
	int ret = 0;

	if (!list)
		return 0;
	seen = calloc(n ? n : 1, sizeof(*seen));
	if (!seen)
		return req_fail(a->r, IPC_E_INTERNAL, NULL, "out of memory");
	names_load(a->r, T_TUNNELS, &tunnels);
	names_load(a->r, T_VNETS, &vnets);
	json_array_foreach(list, i, entry) {
		struct route rt;

		ret = read_route(a->r, &tunnels, &vnets, entry, &rt);
		if (ret == 0)
			ret = put_route(a, &rt);
		if (ret < 0)
			break;
		seen[i].vnet_n = rt.vnet_n;
		route_blob(&rt.network, seen[i].net);
	}
	if (ret == 0) {
		qsort(seen, n, sizeof(*seen), cmp_seen);
		ret = check_twice(a->r, seen, n);
	}
	if (ret == 0 && a->prune)
		ret = prune_routes(a, &vnets, seen, n);
	names_free(&tunnels);
	names_free(&vnets);
	free(seen);
	return ret;
}
