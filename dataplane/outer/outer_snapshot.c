// SPDX-License-Identifier: BSD-3-Clause
/*
 * Immutable snapshots of the outer network. Routes are one sorted array of prefixes, each with a
 * link to the nearest prefix around it: a lookup is a binary search and a few steps outwards, at
 * any number of routes.
 */
#include "dataplane/outer/outer_snapshot.h"

#include <linux/rtnetlink.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NO_PARENT UINT32_MAX

struct fib_entry {
	struct outer_addr dst;
	uint8_t prefix_len;
	uint8_t type;
	uint8_t zero;
	uint32_t parent; /* nearest enclosing prefix, or NO_PARENT */
	uint32_t mtu;
	uint32_t first_hop, n_hops;
	struct outer_addr prefsrc;
	uint8_t zeros[3];
};

struct outer_fib {
	atomic_uint refs;
	size_t n_entries, n_hops;
	struct fib_entry *entries; /* by family, address, length */
	struct outer_next_hop *hops;
};

struct snapshot_neigh {
	struct outer_neigh_key key;
	uint8_t mac[6];
	uint8_t zero[2];
};

struct outer_snapshot {
	uint64_t generation;
	struct outer_fib *fib;
	size_t n_links, n_locals, n_neighs, n_ports;
	struct outer_link *links;      /* by ifindex */
	struct outer_local *locals;    /* by address, then interface */
	struct snapshot_neigh *neighs; /* by key; usable ones only */
	uint8_t *neigh_used;	       /* beside neighs; the one thing that workers write */
	struct outer_port ports[OUTER_MAX_PORTS];
};

/* By family, then address. */
static int compare_addr(const struct outer_addr *a, const struct outer_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->b, b->b, sizeof(a->b));
}

static bool prefix_holds(const struct outer_addr *prefix, uint8_t len,
			 const struct outer_addr *addr)
{
	size_t bytes = len / 8, bits = len % 8;

	if (prefix->family != addr->family || memcmp(prefix->b, addr->b, bytes) != 0)
		return false;
	return !bits || !((prefix->b[bytes] ^ addr->b[bytes]) >> (8 - bits));
}

static const struct outer_link *find_link(const struct outer_link *links, size_t n,
					  uint32_t ifindex)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (links[mid].ifindex == ifindex)
			return &links[mid];
		if (links[mid].ifindex < ifindex)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static int compare_links(const void *a, const void *b)
{
	const struct outer_link *x = a, *y = b;

	return x->ifindex < y->ifindex ? -1 : x->ifindex > y->ifindex;
}

static int compare_locals(const void *a, const void *b)
{
	const struct outer_local *x = a, *y = b;
	int order = compare_addr(&x->addr, &y->addr);

	return order ? order : x->ifindex < y->ifindex ? -1 : x->ifindex > y->ifindex;
}

/* The order of the fib, and among equal prefixes the kernel's: lower metric first, then as dumped.
 */
static int compare_routes(const void *a, const void *b)
{
	const struct outer_route *const *x = a, *const *y = b;
	int order = compare_addr(&(*x)->dst, &(*y)->dst);

	if (order)
		return order;
	if ((*x)->prefix_len != (*y)->prefix_len)
		return (*x)->prefix_len < (*y)->prefix_len ? -1 : 1;
	if ((*x)->metric != (*y)->metric)
		return (*x)->metric < (*y)->metric ? -1 : 1;
	return *x < *y ? -1 : *x > *y;
}

/* Appends the hops of a route whose links are up; returns how many. */
static uint32_t copy_hops(struct outer_fib *fib, const struct outer_tables *tables,
			  const struct outer_route *route)
{
	const struct outer_next_hop *hops = tables->hops.items;
	const struct outer_link *links = tables->links.items;
	uint32_t n = 0;

	for (uint32_t i = 0; i < route->n_hops; i++) {
		const struct outer_next_hop *hop = &hops[route->first_hop + i];

		/* the tables' links are not sorted, and few */
		for (size_t k = 0; k < tables->links.n; k++) {
			if (links[k].ifindex != hop->ifindex || !links[k].up)
				continue;
			fib->hops[fib->n_hops++] = *hop;
			n++;
			break;
		}
	}
	return n;
}

/* Links each entry to the nearest one around it; entries are sorted, so those lie on the path back.
 */
static void link_parents(struct outer_fib *fib)
{
	for (uint32_t i = 0; i < fib->n_entries; i++) {
		struct fib_entry *entry = &fib->entries[i];
		uint32_t up = i ? i - 1 : NO_PARENT;

		while (up != NO_PARENT && !prefix_holds(&fib->entries[up].dst,
							fib->entries[up].prefix_len, &entry->dst))
			up = fib->entries[up].parent;
		entry->parent = up;
	}
}

static void add_entry(struct outer_fib *fib, const struct outer_tables *tables,
		      const struct outer_route *route)
{
	struct fib_entry *last = fib->n_entries ? &fib->entries[fib->n_entries - 1] : NULL;

	if (last && !compare_addr(&last->dst, &route->dst) && last->prefix_len == route->prefix_len)
		return; /* a better metric is there and works */
	uint32_t first = (uint32_t)fib->n_hops, n = copy_hops(fib, tables, route);

	if (route->type == RTN_UNICAST && !n)
		return;
	struct fib_entry *entry = &fib->entries[fib->n_entries++];

	entry->dst = route->dst;
	entry->prefix_len = route->prefix_len;
	entry->type = route->type;
	entry->mtu = route->mtu;
	entry->prefsrc = route->prefsrc;
	entry->first_hop = first;
	entry->n_hops = n;
}

struct outer_fib *outer_fib_build(const struct outer_tables *tables)
{
	const struct outer_route *routes = tables->routes.items;
	const struct outer_route **order = calloc(tables->routes.n + 1, sizeof(*order));
	struct outer_fib *fib = calloc(1, sizeof(*fib));

	if (!order || !fib)
		goto fail;
	atomic_init(&fib->refs, 1);
	fib->entries = calloc(tables->routes.n + 1, sizeof(*fib->entries));
	fib->hops = calloc(tables->hops.n + 1, sizeof(*fib->hops));
	if (!fib->entries || !fib->hops)
		goto fail;
	for (size_t i = 0; i < tables->routes.n; i++)
		order[i] = &routes[i];
	qsort(order, tables->routes.n, sizeof(*order), compare_routes);
	for (size_t i = 0; i < tables->routes.n; i++)
		add_entry(fib, tables, order[i]);
	link_parents(fib);
	free(order);
	return fib;
fail:
	if (fib) {
		free(fib->entries);
		free(fib->hops);
	}
	free(fib);
	free(order);
	return NULL;
}

void outer_fib_release(struct outer_fib *fib)
{
	if (!fib || atomic_fetch_sub(&fib->refs, 1) != 1)
		return;
	free(fib->entries);
	free(fib->hops);
	free(fib);
}

static bool same(const void *a, const void *b, size_t n_a, size_t n_b, size_t size)
{
	return n_a == n_b && (!n_a || !memcmp(a, b, n_a * size));
}

bool outer_fib_equal(const struct outer_fib *a, const struct outer_fib *b)
{
	return same(a->entries, b->entries, a->n_entries, b->n_entries, sizeof(*a->entries)) &&
	       same(a->hops, b->hops, a->n_hops, b->n_hops, sizeof(*a->hops));
}

/* A copy of an array that may be empty. */
static void *copy_array(const void *from, size_t n, size_t size)
{
	void *to = calloc(n + 1, size);

	if (to && n)
		memcpy(to, from, n * size);
	return to;
}

static bool copy_neighs(struct outer_snapshot *snap, const struct outer_tables *tables)
{
	const struct outer_neigh *neighs = tables->neighs.items;

	snap->neighs = calloc(tables->neighs.n + 1, sizeof(*snap->neighs));
	snap->neigh_used = calloc(tables->neighs.n + 1, 1);
	if (!snap->neighs || !snap->neigh_used)
		return false;
	for (size_t i = 0; i < tables->neighs.n; i++) {
		if (!outer_neigh_usable(&neighs[i]))
			continue;
		struct snapshot_neigh *neigh = &snap->neighs[snap->n_neighs];

		neigh->key = neighs[i].key;
		memcpy(neigh->mac, neighs[i].mac, sizeof(neigh->mac));
		snap->neigh_used[snap->n_neighs++] = neighs[i].used;
	}
	return true;
}

struct outer_snapshot *outer_snapshot_build(const struct outer_tables *tables,
					    struct outer_fib *fib, const struct outer_port *ports,
					    size_t n_ports, uint64_t generation)
{
	struct outer_snapshot *snap = calloc(1, sizeof(*snap));

	if (!snap)
		return NULL;
	snap->generation = generation;
	snap->fib = fib;
	atomic_fetch_add(&fib->refs, 1);
	snap->n_links = tables->links.n;
	snap->n_locals = tables->locals.n;
	snap->links = copy_array(tables->links.items, snap->n_links, sizeof(*snap->links));
	snap->locals = copy_array(tables->locals.items, snap->n_locals, sizeof(*snap->locals));
	if (!snap->links || !snap->locals || !copy_neighs(snap, tables)) {
		outer_snapshot_free(snap);
		return NULL;
	}
	qsort(snap->links, snap->n_links, sizeof(*snap->links), compare_links);
	qsort(snap->locals, snap->n_locals, sizeof(*snap->locals), compare_locals);
	snap->n_ports = n_ports;
	if (n_ports)
		memcpy(snap->ports, ports, n_ports * sizeof(*ports));
	return snap;
}

void outer_snapshot_free(void *snapshot)
{
	struct outer_snapshot *snap = snapshot;

	if (!snap)
		return;
	outer_fib_release(snap->fib);
	free(snap->links);
	free(snap->locals);
	free(snap->neighs);
	free(snap->neigh_used);
	free(snap);
}

bool outer_snapshot_equal(const struct outer_snapshot *a, const struct outer_snapshot *b)
{
	if (a->n_ports != b->n_ports)
		return false;
	for (size_t i = 0; i < a->n_ports; i++)
		if (a->ports[i].ifindex != b->ports[i].ifindex ||
		    a->ports[i].port_id != b->ports[i].port_id)
			return false;
	return same(a->links, b->links, a->n_links, b->n_links, sizeof(*a->links)) &&
	       same(a->locals, b->locals, a->n_locals, b->n_locals, sizeof(*a->locals)) &&
	       same(a->neighs, b->neighs, a->n_neighs, b->n_neighs, sizeof(*a->neighs)) &&
	       (a->fib == b->fib || outer_fib_equal(a->fib, b->fib));
}

void outer_snapshot_harvest(const struct outer_snapshot *snap, struct outer_tables *tables)
{
	for (size_t i = 0; i < snap->n_neighs; i++) {
		if (!__atomic_load_n(&snap->neigh_used[i], __ATOMIC_RELAXED))
			continue;
		struct outer_neigh *neigh = outer_neigh_find(tables, &snap->neighs[i].key, NULL);

		if (neigh)
			neigh->used = true;
	}
}

uint64_t outer_generation(const struct outer_snapshot *snap)
{
	return snap->generation;
}

const struct outer_local *outer_locals(const struct outer_snapshot *snap, size_t *n)
{
	*n = snap->n_locals;
	return snap->locals;
}

const struct outer_link *outer_link_get(const struct outer_snapshot *snap, uint32_t ifindex)
{
	return find_link(snap->links, snap->n_links, ifindex);
}

/* The first local entry of an address (it may stand on several links), or NULL. */
static const struct outer_local *find_local(const struct outer_snapshot *snap,
					    const struct outer_addr *addr)
{
	size_t low = 0, high = snap->n_locals;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (compare_addr(&snap->locals[mid].addr, addr) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < snap->n_locals && !compare_addr(&snap->locals[low].addr, addr))
		return &snap->locals[low];
	return NULL;
}

bool outer_is_local(const struct outer_snapshot *snap, const struct outer_addr *addr)
{
	return find_local(snap, addr) != NULL;
}

/* Whether an address of ours stands on this link. */
static bool local_on_link(const struct outer_snapshot *snap, const struct outer_addr *addr,
			  uint32_t ifindex)
{
	const struct outer_local *local = find_local(snap, addr);
	const struct outer_local *end = snap->locals + snap->n_locals;

	for (; local && local < end && !compare_addr(&local->addr, addr); local++)
		if (local->ifindex == ifindex)
			return true;
	return false;
}

static const struct fib_entry *fib_lookup(const struct outer_fib *fib, const struct outer_addr *dst)
{
	size_t low = 0, high = fib->n_entries;

	/* the last entry that does not begin after dst */
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (compare_addr(&fib->entries[mid].dst, dst) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	uint32_t at = low ? (uint32_t)(low - 1) : NO_PARENT;

	while (at != NO_PARENT &&
	       !prefix_holds(&fib->entries[at].dst, fib->entries[at].prefix_len, dst))
		at = fib->entries[at].parent;
	return at == NO_PARENT ? NULL : &fib->entries[at];
}

static const struct outer_next_hop *choose_hop(const struct outer_snapshot *snap,
					       const struct fib_entry *entry,
					       const struct outer_addr *src_hint)
{
	const struct outer_next_hop *hops = &snap->fib->hops[entry->first_hop];

	for (uint32_t i = 0; src_hint && i < entry->n_hops; i++)
		if (local_on_link(snap, src_hint, hops[i].ifindex))
			return &hops[i];
	return &hops[0];
}

static bool is_link_local(const struct outer_addr *addr)
{
	return addr->family == AF_INET6 && addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0x80;
}

/*
 * How well a local address serves as source: 0 not at all. On the way out's link before others, in
 * the next hop's subnet before that, and of the destination's scope.
 */
static int rate_source(const struct outer_local *local, const struct outer_result *res,
		       const struct outer_addr *dst)
{
	bool on_link = local->ifindex == res->ifindex;

	if (local->addr.family != dst->family || local->tentative ||
	    is_link_local(&local->addr) != is_link_local(dst) || (!on_link && is_link_local(dst)) ||
	    (local->addr.family == AF_INET && local->addr.b[0] == 127))
		return 0;
	return 1 + 2 * on_link +
	       (on_link && prefix_holds(&local->addr, local->prefix_len, &res->next_hop));
}

static void choose_source(const struct outer_snapshot *snap, const struct outer_addr *dst,
			  struct outer_result *res)
{
	int best = 0;

	for (size_t i = 0; i < snap->n_locals; i++) {
		int rating = rate_source(&snap->locals[i], res, dst);

		if (rating > best) {
			best = rating;
			res->src = snap->locals[i].addr;
		}
	}
}

/* Index of a neighbour, or n_neighs. */
static size_t find_neigh(const struct outer_snapshot *snap, const struct outer_neigh_key *key)
{
	size_t low = 0, high = snap->n_neighs;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = memcmp(&snap->neighs[mid].key, key, sizeof(*key));

		if (!order)
			return mid;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return snap->n_neighs;
}

static void resolve_neigh(const struct outer_snapshot *snap, struct outer_result *res)
{
	const struct outer_neigh_key key = {.ifindex = res->ifindex, .addr = res->next_hop};
	size_t at = find_neigh(snap, &key);

	if (at == snap->n_neighs) {
		res->status = OUTER_NEIGH_UNRESOLVED;
		return;
	}
	memcpy(res->dst_mac, snap->neighs[at].mac, sizeof(res->dst_mac));
	if (!__atomic_load_n(&snap->neigh_used[at], __ATOMIC_RELAXED))
		__atomic_store_n(&snap->neigh_used[at], 1, __ATOMIC_RELAXED);
	res->status = OUTER_OK;
}

/* The interface, what it gives, and whether it is ours. */
static bool resolve_link(const struct outer_snapshot *snap, const struct fib_entry *entry,
			 struct outer_result *res)
{
	const struct outer_link *link = outer_link_get(snap, res->ifindex);

	if (!link) {
		res->status = OUTER_NO_ROUTE;
		return false;
	}
	uint32_t mtu = entry->mtu && entry->mtu < link->mtu ? entry->mtu : link->mtu;

	res->mtu = mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
	memcpy(res->src_mac, link->mac, sizeof(res->src_mac));
	for (size_t i = 0; i < snap->n_ports; i++)
		if (snap->ports[i].ifindex == res->ifindex) {
			res->port_id = snap->ports[i].port_id;
			return true;
		}
	res->status = OUTER_NOT_OUR_PORT;
	return false;
}

void outer_resolve(const struct outer_snapshot *snap, const struct outer_addr *dst,
		   const struct outer_addr *src_hint, struct outer_result *out)
{
	memset(out, 0, sizeof(*out));
	if (outer_is_local(snap, dst)) {
		out->status = OUTER_NOT_OUR_PORT;
		return;
	}
	const struct fib_entry *entry = fib_lookup(snap->fib, dst);

	if (!entry || entry->type != RTN_UNICAST) {
		out->status = OUTER_NO_ROUTE;
		return;
	}
	const struct outer_next_hop *hop = choose_hop(snap, entry, src_hint);

	out->ifindex = hop->ifindex;
	out->next_hop = hop->gateway.family ? hop->gateway : *dst;
	if (src_hint)
		out->src = *src_hint;
	else if (entry->prefsrc.family)
		out->src = entry->prefsrc;
	else
		choose_source(snap, dst, out);
	if (resolve_link(snap, entry, out))
		resolve_neigh(snap, out);
}
