// SPDX-License-Identifier: BSD-3-Clause
// Rows of table routes: a million of them, so no JSON is kept.
#include "dataplane/control/apply_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/flowlog/hits.h"
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

static int read_route(struct apply *a, const char *key, const json_t *json, struct route_row *r, uint32_t *tunnel,
		      struct row_error *e)
{
	if (read_key(a, key, r, e) || apply_reference(a, TABLE_tunnels, json, "tunnel_id", tunnel, e))
		return -1;
	if (a->records->vnets[r->vnet]->account != a->records->tunnels[*tunnel]->account)
		return row_fail(e, "invalid", "tunnel_id: belongs to another account than the vnet");
	r->mark = a->mark;
	return 0;
}

static void as_route(const struct route_row *r, struct route *out)
{
	*out = (struct route){.vnet = r->vnet, .next_hop = r->index, .family = r->family, .len = r->len};
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

/* ---- indexes of routes: what flows, counters and the log know a route by ---- */

static void release_index(void *arg, uint64_t index)
{
	struct apply *a = arg;

	a->free_routes[a->n_free_routes++] = (uint32_t)index;
}

static uint32_t take_index(struct apply *a)
{
	if (!a->n_free_routes && a->next_route == a->records->max_routes)
		reclaim_drain(a->config.reclaim); /* some may be resting */
	if (a->n_free_routes)
		return a->free_routes[--a->n_free_routes];
	return a->next_route < a->records->max_routes ? a->next_route++ : RECORD_NONE;
}

/* The index is this route's from now on, and its counters begin at zero; of a fresh one they are, and take no memory yet. */
static void begin_index(struct apply *a, uint32_t index, uint32_t tunnel, bool fresh)
{
	if (++a->route_born == 0)
		a->route_born = 1;
	if (a->edge->hits && !fresh)
		hits_begin(a->edge->hits, HIT_ROUTE, index);
	route_record_set(a->records, index, tunnel, a->route_born);
}

/* Nobody folds into its counters from here on; given out again after the grace period. */
static void end_index(struct apply *a, uint32_t index)
{
	struct retire_ops ops = reclaim_ops(a->config.reclaim);

	route_record_set(a->records, index, RECORD_NONE, 0);
	ops.retire(ops.ctx, release_index, a, index);
}

static uint32_t tunnel_of(const struct apply *a, const struct route_row *row)
{
	return route_record_get(a->records, row->index).tunnel;
}

bool apply_route_next(const struct apply *a, uint32_t *cursor, struct apply_route *out)
{
	while (*cursor < a->routes.n_slots) {
		const struct route_row *row = route_rows_at(&a->routes, (*cursor)++);

		if (!row)
			continue;
		*out = (struct apply_route){.index = row->index, .vnet = row->vnet, .tunnel = tunnel_of(a, row),
					    .prefix = {.addr.family = row->family, .len = row->len}};
		memcpy(out->prefix.addr.bytes, row->addr, 16);
		return true;
	}
	return false;
}

/* The same route through another tunnel: its flows decide again, its index and counters stay. */
static void move_route(struct apply *a, const struct route_row *row, uint32_t tunnel)
{
	struct route_record r = route_record_get(a->records, row->index);

	if (r.tunnel == tunnel)
		return;
	a->tunnel_routes[r.tunnel]--;
	a->tunnel_routes[tunnel]++;
	route_record_set(a->records, row->index, tunnel, r.born);
	touch_vnet(a, row->vnet);
}

int route_put(struct apply *a, const char *key, const json_t *json, struct row_error *e)
{
	struct route_row r, *old;
	uint32_t tunnel, fresh_before;
	int rc;

	if (read_route(a, key, json, &r, &tunnel, e))
		return -1;
	old = route_rows_find(&a->routes, &r);
	if (old) {
		old->mark = r.mark;
		move_route(a, old, tunnel);
		return 0;
	}
	fresh_before = a->next_route;
	r.index = a->routes.count == a->routes.capacity ? RECORD_NONE : take_index(a);
	if (r.index == RECORD_NONE)
		return row_fail(e, "limit", "no room for another route (capacities.routes is %u)", a->routes.capacity);
	begin_index(a, r.index, tunnel, a->next_route != fresh_before);
	rc = table_add(a, &r);
	if (rc < 0) {
		end_index(a, r.index);
		return row_fail(e, rc == -EINVAL ? "invalid" : "limit", "the route table refuses it: %s",
				rc == -EINVAL ? "bad prefix" : route_full_name(route_table_full(a->edge->routes)));
	}
	a->tunnel_routes[tunnel]++;
	a->vnet_routes[r.vnet]++;
	route_rows_add(&a->routes, &r);
	touch_vnet(a, r.vnet);
	return 0;
}

static void drop_row(struct apply *a, struct route_row *row)
{
	table_delete(a, row);
	a->tunnel_routes[tunnel_of(a, row)]--;
	end_index(a, row->index);
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
			    a->tunnel_doomed[tunnel_of(a, row)])) {
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
