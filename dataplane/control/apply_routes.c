// SPDX-License-Identifier: BSD-3-Clause
// Rows of table routes: a million of them, so no JSON is kept.
#include "dataplane/control/apply_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tables/reclaim.h"
#include "dataplane/tables/route_table.h"
#include "lib/ip.h"

/* "<vnet_id>/<cidr>": the vnet and prefix of it. */
static int read_key(struct apply *a, const char *key, struct route_row *r, struct row_error *e)
{
	const char *slash = strchr(key, '/');
	char vnet[RECORD_ID_LEN], err[160];
	struct ip_prefix p;

	if (!slash || (size_t)(slash - key) >= sizeof(vnet))
		return row_fail(e, "invalid", "key: not of the form <vnet_id>/<cidr>");
	memcpy(vnet, key, (size_t)(slash - key));
	vnet[slash - key] = 0;
	if (ip_prefix_parse(slash + 1, false, &p, err, sizeof(err)))
		return row_fail(e, "invalid", "network: %s", err);
	memset(r, 0, sizeof(*r));
	memcpy(r->addr, p.addr.bytes, 16);
	r->family = p.addr.family;
	r->len = p.len;
	r->vnet = id_map_get(a->ids[TABLE_vnets], vnet);
	if (r->vnet == ID_NONE || a->vnet_doomed[r->vnet])
		return row_fail(e, "not_found", "vnet_id: no vnet '%s'", vnet);
	return 0;
}

static int read_route(struct apply *a, const char *key, const json_t *json, struct route_row *r, struct row_error *e)
{
	uint32_t tunnel;

	if (read_key(a, key, r, e) || apply_reference(a, TABLE_tunnels, json, "tunnel_id", &tunnel, e))
		return -1;
	if (a->records->vnets[r->vnet]->account != a->records->tunnels[tunnel]->account)
		return row_fail(e, "invalid", "tunnel_id: belongs to another account than the vnet");
	r->tunnel = tunnel;
	r->mark = a->mark;
	return 0;
}

static void as_route(const struct route_row *r, struct route *out)
{
	*out = (struct route){.vnet = r->vnet, .next_hop = r->tunnel, .family = r->family, .len = r->len};
	memcpy(out->addr, r->addr, 16);
}

static int table_add(struct apply *a, const struct route_row *r)
{
	struct route route;
	int rc;

	as_route(r, &route);
	rc = route_add(a->edge->routes, &route);
	if (rc == -EAGAIN) {
		reclaim_drain(a->config.reclaim);
		rc = route_add(a->edge->routes, &route);
	}
	return rc;
}

static void table_delete(struct apply *a, const struct route_row *r)
{
	struct route route;

	as_route(r, &route);
	if (route_delete(a->edge->routes, &route) == -EAGAIN) {
		reclaim_drain(a->config.reclaim);
		route_delete(a->edge->routes, &route);
	}
}

static void touch_vnet(struct apply *a, uint32_t vnet)
{
	a->vnet_dirty[vnet] = a->any_vnet_dirty = true;
	a->version++;
}

int route_put(struct apply *a, const char *key, const json_t *json, struct row_error *e)
{
	struct route_row r, *old;
	int rc;

	if (read_route(a, key, json, &r, e))
		return -1;
	old = route_rows_find(&a->routes, &r);
	if (old && old->tunnel == r.tunnel) {
		old->mark = r.mark;
		return 0;
	}
	if (!old && a->routes.count == a->routes.capacity)
		return row_fail(e, "limit", "no room for another route (capacities.routes is %u)", a->routes.capacity);
	rc = table_add(a, &r);
	if (rc < 0)
		return row_fail(e, rc == -EINVAL ? "invalid" : "limit", "the route table refuses it: %s",
				rc == -EINVAL ? "bad prefix" : route_full_name(route_table_full(a->edge->routes)));
	a->tunnel_routes[r.tunnel]++;
	if (old) {
		a->tunnel_routes[old->tunnel]--;
		*old = r;
	} else {
		route_rows_add(&a->routes, &r);
		a->vnet_routes[r.vnet]++;
	}
	touch_vnet(a, r.vnet);
	return 0;
}

static void drop_row(struct apply *a, struct route_row *row)
{
	table_delete(a, row);
	a->tunnel_routes[row->tunnel]--;
	a->vnet_routes[row->vnet]--;
	touch_vnet(a, row->vnet);
	route_rows_remove(&a->routes, row);
}

void route_remove_key(struct apply *a, const char *key)
{
	struct route_row like, *row;
	struct row_error ignored;

	if (read_key(a, key, &like, &ignored))
		return;
	row = route_rows_find(&a->routes, &like);
	if (row)
		drop_row(a, row);
}

bool routes_sweep(struct apply *a, uint32_t budget)
{
	uint32_t removed = 0;

	for (uint32_t seen = 0; a->sweep_slot < a->routes.n_slots && seen < budget && removed < budget / 8;) {
		struct route_row *row = route_rows_at(&a->routes, a->sweep_slot);

		if (row && ((a->snapshot && row->mark != a->mark) || a->vnet_doomed[row->vnet] ||
			    a->tunnel_doomed[row->tunnel])) {
			drop_row(a, row);
			removed++;
			continue;
		}
		a->sweep_slot++;
		seen++;
	}
	reclaim_seal(a->config.reclaim);
	return a->sweep_slot == a->routes.n_slots;
}

void routes_publish(struct apply *a)
{
	if (!a->any_vnet_dirty)
		return;
	for (uint32_t i = 0; i < a->records->max_vnets; i++) {
		const struct vnet_record **slot = &a->records->vnets[i];
		struct vnet_record *r;

		if (!a->vnet_dirty[i])
			continue;
		a->vnet_dirty[i] = false;
		r = *slot ? apply_copy(*slot, sizeof(*r)) : NULL;
		if (!r)
			continue;
		r->routes_generation = apply_generation(a);
		APPLY_PUBLISH(a, slot, r, 0);
	}
	a->any_vnet_dirty = false;
}
