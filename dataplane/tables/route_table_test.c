// SPDX-License-Identifier: BSD-3-Clause
// Routes against a naive longest-prefix match, through every shape of the trie; capacity; deferred
// frees; readers beside the writer.
#include "dataplane/tables/route_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/tables/route_internal.h"
#include "dataplane/tables/test_random.h"

static struct route_table *make(uint32_t vnets, uint32_t routes, uint32_t nodes,
				struct retire_ops retire)
{
	struct route_config config = {
		.vnets = vnets, .routes = routes, .nodes = nodes, .retire = retire};
	struct route_table *rt = route_table_create(&config);

	assert_non_null(rt);
	return rt;
}

static struct route route_of(uint32_t vnet, const char *cidr, uint32_t next_hop)
{
	struct route r = {.vnet = vnet, .next_hop = next_hop, .family = strchr(cidr, ':') ? 6 : 4};
	char text[64];
	char *slash;

	snprintf(text, sizeof(text), "%s", cidr);
	slash = strchr(text, '/');
	assert_non_null(slash);
	*slash = 0;
	r.len = (uint8_t)atoi(slash + 1);
	assert_int_equal(inet_pton(r.family == 4 ? AF_INET : AF_INET6, text, r.addr), 1);
	return r;
}

static uint32_t look(const struct route_table *rt, uint32_t vnet, uint8_t family,
		     const uint8_t addr[16])
{
	uint32_t four;

	if (family == 6)
		return route_lookup_v6(rt, vnet, addr);
	memcpy(&four, addr, 4);
	return route_lookup_v4(rt, vnet, four);
}

static uint32_t look_text(const struct route_table *rt, uint32_t vnet, const char *addr)
{
	uint8_t family = strchr(addr, ':') ? 6 : 4, bytes[16] = {0};

	assert_int_equal(inet_pton(family == 4 ? AF_INET : AF_INET6, addr, bytes), 1);
	return look(rt, vnet, family, bytes);
}

/* ---- the model ---- */

struct model {
	struct route *routes;
	uint32_t n, max;
};

static bool covers(const struct route *r, const uint8_t *addr)
{
	unsigned int whole = r->len / 8, rest = r->len % 8;

	return memcmp(r->addr, addr, whole) == 0 &&
	       (rest == 0 || ((r->addr[whole] ^ addr[whole]) & (uint8_t)(0xff00 >> rest)) == 0);
}

static const struct route *model_lookup(const struct model *m, uint32_t vnet, uint8_t family,
					const uint8_t *addr, int max_len)
{
	const struct route *best = NULL;

	for (uint32_t i = 0; i < m->n; i++) {
		const struct route *r = &m->routes[i];

		if (r->vnet == vnet && r->family == family && r->len <= max_len &&
		    covers(r, addr) && (!best || r->len > best->len))
			best = r;
	}
	return best;
}

static uint32_t model_find(const struct model *m, const struct route *r)
{
	uint32_t i = 0;

	while (i < m->n &&
	       (m->routes[i].vnet != r->vnet || m->routes[i].family != r->family ||
		m->routes[i].len != r->len || memcmp(m->routes[i].addr, r->addr, 16) != 0))
		i++;
	return i;
}

/* ---- numbered cases ---- */

static void test_edges(void **state)
{
	struct route_table *rt = make(3, 100, 0, (struct retire_ops){0});
	struct route r;

	(void)state;
	/* 1 nothing */
	assert_int_equal(look_text(rt, 0, "10.0.0.1"), ROUTE_NONE);
	assert_int_equal(look_text(rt, 0, "2001:db8::1"), ROUTE_NONE);
	/* 2 host routes, of the scenario */
	r = route_of(0, "198.51.100.101/32", 1);
	assert_int_equal(route_add(rt, &r), 0);
	r = route_of(0, "2001:db8::101/128", 2);
	assert_int_equal(route_add(rt, &r), 0);
	assert_int_equal(look_text(rt, 0, "198.51.100.101"), 1);
	assert_int_equal(look_text(rt, 0, "198.51.100.100"), ROUTE_NONE);
	assert_int_equal(look_text(rt, 0, "198.51.100.102"), ROUTE_NONE);
	assert_int_equal(look_text(rt, 0, "2001:db8::101"), 2);
	assert_int_equal(look_text(rt, 0, "2001:db8::100"), ROUTE_NONE);
	/* 3 a vnet is its own world, also out of range */
	assert_int_equal(look_text(rt, 1, "198.51.100.101"), ROUTE_NONE);
	assert_int_equal(look_text(rt, 3, "198.51.100.101"), ROUTE_NONE);
	assert_int_equal(look_text(rt, UINT32_MAX, "2001:db8::101"), ROUTE_NONE);
	/* 4 default routes, below and above others */
	r = route_of(0, "0.0.0.0/0", 3);
	assert_int_equal(route_add(rt, &r), 0);
	r = route_of(0, "::/0", 4);
	assert_int_equal(route_add(rt, &r), 0);
	assert_int_equal(look_text(rt, 0, "198.51.100.101"), 1);
	assert_int_equal(look_text(rt, 0, "0.0.0.0"), 3);
	assert_int_equal(look_text(rt, 0, "255.255.255.255"), 3);
	assert_int_equal(look_text(rt, 0, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 4);
	assert_int_equal(look_text(rt, 0, "2001:db8::100"), 4);
	/* 5 replaced */
	r = route_of(0, "198.51.100.101/32", 9);
	assert_int_equal(route_add(rt, &r), 1);
	assert_int_equal(route_add(rt, &r), 1);
	assert_int_equal(look_text(rt, 0, "198.51.100.101"), 9);
	/* 6 exact get is not longest match */
	r = route_of(0, "198.51.100.101/32", 0);
	assert_int_equal(route_get(rt, &r), 0);
	assert_int_equal(r.next_hop, 9);
	r = route_of(0, "198.51.100.0/24", 0);
	assert_int_equal(route_get(rt, &r), -ENOENT);
	assert_int_equal(route_delete(rt, &r), -ENOENT);
	/* 7 a next hop of 0 is a next hop; the largest; one more */
	r = route_of(1, "10.0.0.0/8", 0);
	assert_int_equal(route_add(rt, &r), 0);
	assert_int_equal(look_text(rt, 1, "10.1.2.3"), 0);
	r.next_hop = ROUTE_NEXT_HOP_MAX;
	assert_int_equal(route_add(rt, &r), 1);
	assert_int_equal(look_text(rt, 1, "10.1.2.3"), ROUTE_NEXT_HOP_MAX);
	r.next_hop = ROUTE_NEXT_HOP_MAX + 1;
	assert_int_equal(route_add(rt, &r), -EINVAL);
	assert_int_equal(look_text(rt, 1, "10.1.2.3"), ROUTE_NEXT_HOP_MAX);
	/* 8 neighbours with one next hop are still two routes */
	r = route_of(2, "10.0.0.0/24", 5);
	assert_int_equal(route_add(rt, &r), 0);
	r = route_of(2, "10.0.1.0/24", 5);
	assert_int_equal(route_add(rt, &r), 0);
	r = route_of(2, "10.0.0.0/24", 5);
	assert_int_equal(route_delete(rt, &r), 0);
	assert_int_equal(look_text(rt, 2, "10.0.0.255"), ROUTE_NONE);
	assert_int_equal(look_text(rt, 2, "10.0.1.0"), 5);
	/* 9 bits past the length, a length past the family, a family, a vnet */
	r = route_of(2, "10.0.0.1/24", 5);
	assert_int_equal(route_add(rt, &r), -EINVAL);
	assert_int_equal(route_get(rt, &r), -EINVAL);
	assert_int_equal(route_delete(rt, &r), -EINVAL);
	r = route_of(2, "2001:db8::/28", 5);
	assert_int_equal(route_add(rt, &r), -EINVAL);
	r = route_of(2, "10.0.0.0/33", 5);
	assert_int_equal(route_add(rt, &r), -EINVAL);
	r = route_of(2, "2001:db8::/129", 5);
	assert_int_equal(route_add(rt, &r), -EINVAL);
	r = route_of(3, "10.0.0.0/24", 5);
	assert_int_equal(route_add(rt, &r), -EINVAL);
	r = route_of(2, "10.0.0.0/24", 5);
	r.family = 5;
	assert_int_equal(route_add(rt, &r), -EINVAL);
	/* 10 counts */
	assert_int_equal(route_count(rt, 0, 4), 2);
	assert_int_equal(route_count(rt, 0, 6), 2);
	assert_int_equal(route_count(rt, 2, 4), 1);
	assert_int_equal(route_count(rt, 3, 4), 0);
	route_table_destroy(rt);
	route_table_destroy(NULL);
}

static void test_arguments(void **state)
{
	static const struct route_config refused[] = {
		{.vnets = 0, .routes = 1},
		{.vnets = 1000001, .routes = 1},
		{.vnets = 1, .routes = 0},
		{.vnets = 1, .routes = (1u << 24) + 1},
		{.vnets = 1, .routes = 1, .nodes = UINT32_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_null(route_table_create(&refused[i]));
		assert_int_equal(errno, EINVAL);
	}
}

/* Each pair of lengths, nested and apart, added and deleted in both orders: every split of nodes
 * there is. */
static void pair(struct route_table *rt, uint8_t family, unsigned int a, unsigned int b,
		 bool nested, bool wide)
{
	static const uint8_t base[16] = {0xc0, 0x5a, 0x3c, 0xa5, 0x69, 0x96, 0x0f, 0xf0,
					 0x11, 0x88, 0x77, 0xee, 0x42, 0x24, 0x81, 0x18};
	struct route r[2];

	for (unsigned int order = 0; order < 4; order++) {
		struct model m = {.routes = r, .n = 0};

		rt->wide_from = wide ? 1 : 100;
		memset(r, 0, sizeof(r));
		for (unsigned int i = 0; i < 2; i++) {
			struct route_key k = route_key_of(base, family);
			uint64_t w[2];

			r[i].family = family;
			r[i].len = (uint8_t)(i ? b : a);
			r[i].next_hop = 10 + i;
			if (i && !nested && b > 0) /* differs in its last bit */
				k.w[(b - 1) / 64] ^= 1ull << (63 - (b - 1) % 64);
			k = route_key_cut(k, r[i].len);
			w[0] = __builtin_bswap64(k.w[0]);
			w[1] = __builtin_bswap64(k.w[1]);
			memcpy(r[i].addr, w, 16);
		}
		if (model_find(&(struct model){r, 1, 1}, &r[1]) == 0) /* the same prefix */
			return;
		for (unsigned int step = 0; step < 4; step++) {
			unsigned int which = (step < 2 ? order : order >> 1) & 1;
			struct route here = r[(step & 1) ^ which];

			assert_int_equal(step < 2 ? route_add(rt, &here) : route_delete(rt, &here),
					 0);

			struct route live[2];

			m.routes = live;
			m.n = 0;
			for (unsigned int i = 0; i < 2; i++) {
				bool added = step > 0 || i == which,
				     gone = step == 3 || (step == 2 && i == which);

				if (step < 2 ? added : !gone)
					live[m.n++] = r[i];
			}
			for (unsigned int i = 0; i < 2; i++) {
				for (unsigned int bit = 0; bit <= (family == 4 ? 32u : 128u);
				     bit++) {
					uint8_t addr[16];
					const struct route *want;

					memcpy(addr, i ? r[1].addr : base, 16);
					if (bit)
						addr[(bit - 1) / 8] ^=
							(uint8_t)(0x80 >> (bit - 1) % 8);
					want = model_lookup(&m, 0, family, addr, 128);
					if (look(rt, 0, family, addr) !=
					    (want ? want->next_hop : ROUTE_NONE))
						fail_msg("v%u /%u /%u nested %d order %u step %u "
							 "bit %u",
							 family, a, b, nested, order, step, bit);
				}
			}
		}
		struct route_stats s;

		route_table_stats(rt, &s);
		assert_int_equal(s.nodes_used, 0);
		assert_int_equal(s.entries_used, 0);
	}
}

static void test_pairs(void **state)
{
	static const unsigned int wide[] = {0, 1, 8, 9, 15, 16, 17, 24, 25, 32};
	struct route_table *rt = make(1, 10, 0, (struct retire_ops){0});

	(void)state;
	for (unsigned int nested = 0; nested < 2; nested++) {
		for (unsigned int a = 0; a <= 32; a++)
			for (unsigned int b = 0; b <= 32; b++)
				pair(rt, 4, a, b, nested, false);
		for (unsigned int a = 0; a <= 128; a += a % 8 == 1 ? 6 : 1) /* 0 1 7 8 9 15 … */
			for (unsigned int b = 0; b <= 128; b += 1 + b % 5)
				pair(rt, 6, a, b, nested, false);
		for (unsigned int i = 0; i < 100; i++) { /* each makes 64 Ki slots a few times */
			pair(rt, 4, wide[i / 10], wide[i % 10], nested, true);
			pair(rt, 6, wide[i / 10], wide[i % 10], nested, true);
		}
	}
	route_table_destroy(rt);
}

/* ---- random runs ---- */

/* Addresses that share much: few values per byte, so that prefixes nest, split and collide. */
static void random_addr(uint64_t *seed, uint8_t family, uint8_t addr[16])
{
	static const uint8_t bytes[] = {0x00, 0x01, 0x7f, 0x80, 0xc0, 0xff};

	memset(addr, 0, 16);
	for (unsigned int i = 0; i < (family == 4 ? 4u : 16u); i++)
		addr[i] = test_below(seed, 8) ? bytes[test_below(seed, i < 2 ? 2 : 6)]
					      : (uint8_t)test_random(seed);
}

static void random_route(uint64_t *seed, uint32_t vnets, struct route *r)
{
	static const uint8_t common4[] = {0, 8, 16, 24, 32}, common6[] = {0, 32, 48, 64, 128};

	memset(r, 0, sizeof(*r));
	r->vnet = test_below(seed, vnets);
	r->family = test_below(seed, 2) ? 4 : 6;
	r->next_hop = test_below(seed, 4); /* few, so that runs merge */
	r->len = (uint8_t)test_below(seed, r->family == 4 ? 33 : 129);
	if (test_below(seed, 3) == 0)
		r->len = (r->family == 4 ? common4 : common6)[test_below(seed, 5)];

	uint8_t addr[16];

	random_addr(seed, r->family, addr);

	struct route_key k = route_key_cut(route_key_of(addr, r->family), r->len);
	uint64_t w[2] = {__builtin_bswap64(k.w[0]), __builtin_bswap64(k.w[1])};

	memcpy(r->addr, w, 16);
}

/* Retired pieces, freed some time later: the table must not depend on when. */
struct waiting {
	retire_free_fn free_fn;
	void *owner;
	uint64_t *what;
	uint32_t n, max;
};

static void keep(void *ctx, retire_free_fn free_fn, void *owner, uint64_t what)
{
	struct waiting *w = ctx;

	if (w->n == w->max) {
		w->max = w->max ? 2 * w->max : 64;
		w->what = realloc(w->what, w->max * sizeof(*w->what));
		assert_non_null(w->what);
	}
	w->free_fn = free_fn;
	w->owner = owner;
	w->what[w->n++] = what;
}

static void let_go(struct waiting *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		w->free_fn(w->owner, w->what[i]);
	w->n = 0;
}

static void check_burst(const struct route_table *rt, const struct model *m, uint32_t vnets,
			uint64_t *seed)
{
	uint32_t vnet[67], four[67], out[67], n = test_below(seed, 68);
	uint8_t addr[67][16];

	for (uint8_t family = 4; family <= 6; family += 2) {
		for (uint32_t i = 0; i < n; i++) {
			vnet[i] = test_below(seed, vnets + 1);
			random_addr(seed, family, addr[i]);
			if (m->n &&
			    test_below(seed,
				       2)) /* near a route: its first address, or the one before */
				memcpy(addr[i], m->routes[test_below(seed, m->n)].addr, 16);
			memcpy(&four[i], addr[i], 4);
		}
		if (family == 4)
			route_lookup_v4_bulk(rt, vnet, four, out, n);
		else
			route_lookup_v6_bulk(rt, vnet, (const uint8_t(*)[16])addr, out, n);
		for (uint32_t i = 0; i < n; i++) {
			const struct route *want = model_lookup(m, vnet[i], family, addr[i], 128);

			assert_int_equal(out[i], want ? want->next_hop : ROUTE_NONE);
		}
	}
}

static void check_walk(const struct route_table *rt, const struct model *m, uint32_t vnets)
{
	uint32_t seen = 0;

	for (uint32_t v = 0; v <= vnets; v++) {
		uint32_t cursor = 0, here[2] = {0, 0};
		struct route r;

		while (route_iterate(rt, v, &cursor, &r)) {
			uint32_t at = model_find(m, &r);

			assert_int_equal(r.vnet, v);
			assert_true(at < m->n);
			assert_int_equal(m->routes[at].next_hop, r.next_hop);
			here[r.family == 6]++;
			seen++;
		}
		assert_int_equal(route_count(rt, v, 4), here[0]);
		assert_int_equal(route_count(rt, v, 6), here[1]);
	}
	assert_int_equal(seen, m->n);
}

/* One random change, in table and model. */
static void change(struct route_table *rt, struct model *m, uint32_t vnets, bool shrink,
		   uint64_t *seed)
{
	struct route r;
	uint32_t at;

	random_route(seed, vnets, &r);
	if (m->n && test_below(seed, 3) < (shrink ? 2 : 1))
		r = m->routes[test_below(seed, m->n)];
	at = model_find(m, &r);
	if (test_below(seed, 10) < (shrink ? 8 : 2)) {
		assert_int_equal(route_delete(rt, &r), at == m->n ? -ENOENT : 0);
		if (at < m->n)
			m->routes[at] = m->routes[--m->n];
		return;
	}
	r.next_hop = test_below(seed, 4);
	if (at == m->n && m->n == m->max) {
		assert_int_equal(route_add(rt, &r), -ENOSPC);
		assert_int_equal(route_table_full(rt), ROUTE_FULL_ROUTES);
		return;
	}
	assert_int_equal(route_add(rt, &r), at < m->n);
	m->routes[at] = r;
	m->n += at == m->n;
}

static void random_run(uint64_t seed, uint32_t vnets, uint32_t routes, uint32_t steps,
		       uint32_t wide_from)
{
	struct waiting w = {0};
	struct route_table *rt = make(vnets, routes, 0, (struct retire_ops){keep, &w});
	struct model m = {.routes = calloc(routes, sizeof(struct route)), .max = routes};
	struct route_stats s;

	rt->wide_from = wide_from;
	for (uint32_t step = 0; step < steps; step++) {
		change(rt, &m, vnets, step / (4 * routes) % 2, &seed);
		if (step % 13 == 0)
			check_burst(rt, &m, vnets, &seed);
		if (step % 499 == 0)
			check_walk(rt, &m, vnets);
		if (test_below(&seed, 50) == 0)
			let_go(&w);
		if (step % 29 == 0) { /* and without its longest match */
			struct route got, r;
			const struct route *want;

			random_route(&seed, vnets, &r);
			want = model_lookup(&m, r.vnet, r.family, r.addr, r.len);
			assert_int_equal(
				route_lookup_covering(rt, r.vnet, r.family, r.addr, r.len, &got),
				want ? 0 : -ENOENT);
			if (want)
				assert_memory_equal(&got, want, sizeof(got));
		}
	}
	for (uint32_t v = 0; v < vnets; v++) {
		while (route_delete_vnet(rt, v, 7) == 7)
			let_go(&w);
	}
	let_go(&w);
	route_table_stats(rt, &s);
	assert_int_equal(s.routes_v4 + s.routes_v6, 0);
	assert_int_equal(s.nodes_used, 0);
	assert_int_equal(s.entries_used, 0);
	assert_int_equal(s.wide_roots, 0);
	route_table_destroy(rt);
	free(m.routes);
	free(w.what);
}

static void test_random_narrow(void **state)
{
	(void)state;
	random_run(1, 1, 40, 20000, 1000000);
	random_run(2, 2, 400, 20000, 1000000);
	random_run(3, 5, 1500, 15000, 1000000);
}

/* Vnets turn wide in the middle, and narrow again when they are empty. */
static void test_random_wide(void **state)
{
	(void)state;
	random_run(4, 1, 30, 4000, 4);
	random_run(5, 2, 600, 6000, 60);
	random_run(6, 3, 600, 6000, 100); /* fewer wide roots than vnets */
}

/* ---- capacity ---- */

/* A table that runs out of nodes refuses by name, changes nothing, and can be emptied. */
static void test_out_of_nodes(void **state)
{
	struct waiting w = {0};
	struct route_table *rt = make(1, 1000, 64, (struct retire_ops){keep, &w});
	struct model m = {.routes = calloc(1000, sizeof(struct route)), .max = 1000};
	uint64_t seed = 8;
	uint32_t refused = 0;

	(void)state;
	while (refused < 300) {
		struct route_stats before, after;
		struct route r;
		int rc;

		random_route(&seed, 1, &r);
		if (model_find(&m, &r) < m.n)
			continue;
		route_table_stats(rt, &before);
		rc = route_add(rt, &r);
		if (rc == 0) {
			m.routes[m.n++] = r;
			continue;
		}
		route_table_stats(rt, &after);
		assert_memory_equal(&before, &after, sizeof(before));
		assert_int_equal(rc, w.n ? -EAGAIN : -ENOSPC);
		assert_int_equal(route_table_full(rt), ROUTE_FULL_NODES);
		assert_string_equal(route_full_name(route_table_full(rt)), "nodes");
		check_burst(rt, &m, 1, &seed);
		let_go(&w);
		refused++;
	}
	assert_true(m.n > 20);
	while (m.n) { /* in a full table each change of a next hop and each deletion still works */
		uint32_t at = test_below(&seed, m.n);

		m.routes[at].next_hop ^= 1;
		assert_int_equal(route_add(rt, &m.routes[at]), 1);
		check_burst(rt, &m, 1, &seed);
		let_go(&w);
		assert_int_equal(route_delete(rt, &m.routes[at]), 0);
		m.routes[at] = m.routes[--m.n];
		let_go(&w);
		check_burst(rt, &m, 1, &seed);
	}
	route_table_destroy(rt);
	free(m.routes);
	free(w.what);
}

/* As many routes as configured fit, in the shapes that cost most: hosts far apart, each in a vnet
 * or in one. */
static void test_worst_shapes(void **state)
{
	enum { ROUTES = 20000 };

	(void)state;
	for (unsigned int shape = 0; shape < 4; shape++) {
		struct route_table *rt =
			make(shape & 1 ? ROUTES : 1, ROUTES, 0, (struct retire_ops){0});
		uint8_t family = shape & 2 ? 6 : 4;
		uint64_t seed = shape;
		uint32_t added = 0;
		struct route_stats s;

		while (added < ROUTES) {
			struct route r = {
				.vnet = shape & 1 ? added : 0, .family = family, .next_hop = added};
			uint64_t bits[2] = {test_random(&seed), test_random(&seed)};
			int rc;

			r.len = family == 4 ? 31 : 127;
			memcpy(r.addr, bits, family == 4 ? 4 : 16);
			r.addr[family == 4 ? 3 : 15] &= 0xfe;
			rc = route_add(rt, &r);
			assert_in_range(rc, 0, 1);
			if (rc)
				continue;
			assert_int_equal(look(rt, r.vnet, family, r.addr), added);
			added++;
		}
		route_table_stats(rt, &s);
		assert_int_equal(s.routes_v4 + s.routes_v6, ROUTES);
		assert_true(s.bytes_used < 300u * ROUTES + (shape & 1 ? 0 : 1 << 20));
		route_table_destroy(rt);
	}
}

/* ---- readers ---- */

/*
 * A writer changes routes between two next hops, adds and deletes longer and shorter ones and fills
 * the vnet past its wide threshold; a reader must always get a next hop that is right before or
 * after: never none for what is always covered.
 */
struct race {
	struct route_table *rt;
	_Atomic bool stop;
	_Atomic uint64_t passes;
	uint64_t wrong;
};

static void *race_reader(void *arg)
{
	struct race *r = arg;
	uint64_t seed = 77;

	while (!r->stop) {
		uint32_t vnet[32], four[32], out[32];
		uint8_t addr[32][16];

		for (unsigned int i = 0; i < 32; i++) {
			random_addr(&seed, 6, addr[i]);
			addr[i][0] = i % 2 ? 10 : 11;
			memcpy(&four[i], addr[i], 4);
			vnet[i] = 0;
		}
		for (unsigned int six = 0; six < 2; six++) {
			if (six)
				route_lookup_v6_bulk(r->rt, vnet, (const uint8_t(*)[16])addr, out,
						     32);
			else
				route_lookup_v4_bulk(r->rt, vnet, four, out, 32);
			for (unsigned int i = 0; i < 32;
			     i++) /* 10/8 is always there, with 1 or 2; longer: 3 */
				if (i % 2 ? out[i] - 1 > 2 : out[i] != ROUTE_NONE && out[i] != 3)
					r->wrong++;
		}
		r->passes++;
	}
	return NULL;
}

static void race_change(struct race *race, uint64_t *seed, uint32_t round)
{
	struct route r;

	random_route(seed, 1, &r);
	r.next_hop = 3;
	if (round % 16 == 0) { /* the cover itself */
		memset(r.addr, 0, sizeof(r.addr));
		r.len = 8;
		r.addr[0] = 10;
		r.next_hop = 1 + test_below(seed, 2);
		assert_true(route_add(race->rt, &r) >= 0);
		return;
	}
	if (r.len <= 8) /* longer than the cover, at 10 or 11 */
		return;
	r.addr[0] = test_below(seed, 2) ? 10 : 11;
	if (test_below(seed, 5) < 3)
		assert_true(route_add(race->rt, &r) >= 0);
	else
		route_delete(race->rt, &r);
}

static void test_race(void **state)
{
	struct waiting w = {0};
	struct race race = {.rt = make(1, 4000, 0, (struct retire_ops){keep, &w})};
	struct route r = route_of(0, "10.0.0.0/8", 1);
	pthread_t reader;
	uint64_t seed = 12;

	(void)state;
	race.rt->wide_from = 100;
	assert_int_equal(route_add(race.rt, &r), 0);
	r = route_of(0, "a00::/8", 1);
	assert_int_equal(route_add(race.rt, &r), 0);
	assert_int_equal(pthread_create(&reader, NULL, race_reader, &race), 0);
	for (uint32_t round = 0; round < 400; round++) {
		for (uint32_t i = 0; i < 25; i++)
			race_change(&race, &seed, round * 25 + i);
		for (uint64_t seen = race.passes; race.passes < seen + 2;)
			sched_yield();
		let_go(&w);
	}
	race.stop = true;
	pthread_join(reader, NULL);
	assert_int_equal(race.wrong, 0);
	assert_true(race.rt->pool.wide_used > 0);
	route_table_destroy(race.rt);
	free(w.what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),	     cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_pairs),	     cmocka_unit_test(test_random_narrow),
		cmocka_unit_test(test_random_wide),  cmocka_unit_test(test_out_of_nodes),
		cmocka_unit_test(test_worst_shapes), cmocka_unit_test(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
