// SPDX-License-Identifier: BSD-3-Clause
/* Snapshots from tables made by hand: longest prefix against a naive model, and a numbered table of
 * odd cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/outer/outer_snapshot.h"

static struct outer_addr address(const char *text)
{
	struct outer_addr addr = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};

	assert_int_equal(inet_pton(addr.family, text, addr.b), 1);
	return addr;
}

static void add_link(struct outer_tables *t, uint32_t ifindex, uint32_t mtu, bool up)
{
	struct outer_link *link = outer_vec_push(&t->links);

	link->ifindex = ifindex;
	link->mtu = mtu;
	link->up = up;
	link->mac[5] = (uint8_t)ifindex;
}

static void add_local(struct outer_tables *t, const char *addr, uint8_t len, uint32_t ifindex)
{
	struct outer_local *local = outer_vec_push(&t->locals);

	local->addr = address(addr);
	local->prefix_len = len;
	local->ifindex = ifindex;
}

static void add_hop(struct outer_tables *t, uint32_t ifindex, const char *gateway)
{
	struct outer_next_hop *hop = outer_vec_push(&t->hops);

	hop->ifindex = ifindex;
	if (gateway)
		hop->gateway = address(gateway);
}

static struct outer_route *add_route(struct outer_tables *t, const char *dst, uint8_t len,
				     uint32_t metric, uint32_t ifindex, const char *gateway)
{
	struct outer_route *route = outer_vec_push(&t->routes);

	route->dst = address(dst);
	route->prefix_len = len;
	route->metric = metric;
	route->type = RTN_UNICAST;
	route->first_hop = (uint32_t)t->hops.n;
	route->n_hops = 1;
	add_hop(t, ifindex, gateway);
	return route;
}

static void add_neigh(struct outer_tables *t, const char *addr, uint32_t ifindex, uint16_t state)
{
	struct outer_neigh neigh = {.key = {.ifindex = ifindex, .addr = address(addr)},
				    .state = state,
				    .has_mac = true,
				    .mac = {2, 0, 0, 0, 0, 9}};

	assert_true(outer_neigh_put(t, &neigh));
}

static const struct outer_port ports[] = {{.ifindex = 2, .port_id = 0},
					  {.ifindex = 3, .port_id = 1}};

static struct outer_snapshot *build(struct outer_tables *t)
{
	struct outer_fib *fib = outer_fib_build(t);

	assert_non_null(fib);
	struct outer_snapshot *snap = outer_snapshot_build(t, fib, ports, 2, 7);

	outer_fib_release(fib);
	assert_non_null(snap);
	return snap;
}

/* Links 2 and 3 are ports, 4 is not, 5 is down. */
static void make_world(struct outer_tables *t)
{
	outer_tables_init(t);
	add_link(t, 5, 1500, false);
	add_link(t, 4, 1500, true);
	add_link(t, 3, 1400, true);
	add_link(t, 2, 1500, true);
	add_link(t, 1, 65536, true);
	add_local(t, "127.0.0.1", 8, 1);
	add_local(t, "203.0.113.1", 24, 2);
	add_local(t, "203.0.113.2", 24, 2);
	add_local(t, "198.51.100.1", 25, 3);
	add_local(t, "192.0.2.1", 32, 1);
	add_local(t, "2001:db8:e::1", 64, 2);
	add_local(t, "fe80::1", 64, 2);
	add_local(t, "fe80::1", 64, 3);
	add_route(t, "0.0.0.0", 0, 0, 2, "203.0.113.254");
	add_route(t, "203.0.113.0", 24, 0, 2, NULL);
	add_route(t, "198.51.100.0", 25, 0, 3, NULL);
	add_route(t, "10.0.0.0", 8, 0, 3, "198.51.100.126");
	add_route(t, "10.1.0.0", 16, 100, 2, "203.0.113.254");
	add_route(t, "10.1.0.0", 16, 50, 3, "198.51.100.126");
	add_route(t, "10.2.0.0", 16, 0, 5, NULL);  /* link down: the /8 counts */
	add_route(t, "10.3.0.0", 16, 10, 5, NULL); /* link down: the worse metric counts */
	add_route(t, "10.3.0.0", 16, 20, 2, "203.0.113.254");
	add_route(t, "10.4.0.0", 16, 0, 4, NULL);
	add_route(t, "10.5.0.0", 16, 0, 2, "203.0.113.254")->mtu = 1300;
	add_route(t, "10.6.0.0", 16, 0, 2, "203.0.113.254")->mtu = 9000;
	add_route(t, "10.7.0.0", 16, 0, 2, "203.0.113.254")->prefsrc = address("192.0.2.1");
	add_route(t, "10.8.0.0", 16, 0, 2, NULL)->type = RTN_BLACKHOLE;
	add_route(t, "10.8.1.0", 24, 0, 2, "203.0.113.254");
	add_route(t, "10.9.0.0", 16, 0, 2, "203.0.113.254")->n_hops = 2; /* ECMP */
	add_hop(t, 3, "198.51.100.126");
	add_route(t, "10.10.0.0", 16, 0, 2, "fe80::fe");      /* RFC 5549 */
	add_route(t, "10.11.0.0", 16, 0, 2, "203.0.113.253"); /* neighbour unknown */
	add_route(t, "::", 0, 1024, 2, "fe80::fe");
	add_route(t, "2001:db8:e::", 64, 256, 2, NULL);
	add_route(t, "2001:db8:5::", 48, 0, 2, "fe80::fe")->mtu = 1280;
	add_route(t, "fe80::", 64, 256, 3, NULL);
	add_neigh(t, "203.0.113.254", 2, NUD_REACHABLE);
	add_neigh(t, "203.0.113.253", 2, NUD_FAILED);
	add_neigh(t, "198.51.100.126", 3, NUD_STALE);
	add_neigh(t, "fe80::fe", 2, NUD_PERMANENT);
	add_neigh(t, "203.0.113.7", 2, NUD_DELAY);
}

static const struct {
	const char *dst, *hint;
	enum outer_status status;
	uint16_t port, mtu;
	const char *next_hop, *src;
} cases[] = {
	/* 0 */ {"8.8.8.8", NULL, OUTER_OK, 0, 1500, "203.0.113.254", "203.0.113.1"},
	/* 1 */ {"8.8.8.8", "203.0.113.2", OUTER_OK, 0, 1500, "203.0.113.254", "203.0.113.2"},
	/* 2 */ {"203.0.113.7", NULL, OUTER_OK, 0, 1500, "203.0.113.7", "203.0.113.1"},
	/* 3 */
	{"203.0.113.8", NULL, OUTER_NEIGH_UNRESOLVED, 0, 1500, "203.0.113.8", "203.0.113.1"},
	/* 4 */ {"10.99.0.1", NULL, OUTER_OK, 1, 1400, "198.51.100.126", "198.51.100.1"},
	/* 5 */ {"10.1.0.1", NULL, OUTER_OK, 1, 1400, "198.51.100.126", "198.51.100.1"},
	/* 6 */ {"10.2.0.1", NULL, OUTER_OK, 1, 1400, "198.51.100.126", "198.51.100.1"},
	/* 7 */ {"10.3.0.1", NULL, OUTER_OK, 0, 1500, "203.0.113.254", "203.0.113.1"},
	/* 8 */ {"10.4.0.1", NULL, OUTER_NOT_OUR_PORT, 0, 1500, "10.4.0.1", NULL},
	/* 9 */ {"10.5.0.1", NULL, OUTER_OK, 0, 1300, "203.0.113.254", "203.0.113.1"},
	/* 10 */ {"10.6.0.1", NULL, OUTER_OK, 0, 1500, "203.0.113.254", "203.0.113.1"},
	/* 11 */ {"10.7.0.1", NULL, OUTER_OK, 0, 1500, "203.0.113.254", "192.0.2.1"},
	/* 12 */ {"10.8.0.1", NULL, OUTER_NO_ROUTE, 0, 0, NULL, NULL},
	/* 13 */ {"10.8.1.1", NULL, OUTER_OK, 0, 1500, "203.0.113.254", "203.0.113.1"},
	/* 14 */ {"10.9.0.1", NULL, OUTER_OK, 0, 1500, "203.0.113.254", "203.0.113.1"},
	/* 15 */ {"10.9.0.1", "198.51.100.1", OUTER_OK, 1, 1400, "198.51.100.126", "198.51.100.1"},
	/* 16 */ {"10.9.0.1", "192.0.2.1", OUTER_OK, 0, 1500, "203.0.113.254", "192.0.2.1"},
	/* 17 */ {"10.10.0.1", NULL, OUTER_OK, 0, 1500, "fe80::fe", "203.0.113.1"},
	/* 18 */
	{"10.11.0.1", NULL, OUTER_NEIGH_UNRESOLVED, 0, 1500, "203.0.113.253", "203.0.113.1"},
	/* 19 */ {"203.0.113.1", NULL, OUTER_NOT_OUR_PORT, 0, 0, NULL, NULL},
	/* 20 */ {"2001:4860::8888", NULL, OUTER_OK, 0, 1500, "fe80::fe", "2001:db8:e::1"},
	/* 21 */
	{"2001:db8:e::2", NULL, OUTER_NEIGH_UNRESOLVED, 0, 1500, "2001:db8:e::2", "2001:db8:e::1"},
	/* 22 */ {"2001:db8:5::1", NULL, OUTER_OK, 0, 1280, "fe80::fe", "2001:db8:e::1"},
	/* 23 */ {"fe80::2", NULL, OUTER_NEIGH_UNRESOLVED, 1, 1400, "fe80::2", "fe80::1"},
	/* 24 */ {"2001:db8:e::1", NULL, OUTER_NOT_OUR_PORT, 0, 0, NULL, NULL},
};

static void check_case(const struct outer_snapshot *snap, size_t i)
{
	struct outer_addr dst = address(cases[i].dst), hint = {0}, want = {0};
	struct outer_result res;

	if (cases[i].hint)
		hint = address(cases[i].hint);
	outer_resolve(snap, &dst, cases[i].hint ? &hint : NULL, &res);
	if (res.status != cases[i].status || res.port_id != cases[i].port ||
	    res.mtu != cases[i].mtu)
		fail_msg("case %zu: status %d, port %u, mtu %u", i, res.status, res.port_id,
			 res.mtu);
	if (cases[i].next_hop) {
		want = address(cases[i].next_hop);
		if (memcmp(&want, &res.next_hop, sizeof(want)) != 0)
			fail_msg("case %zu: next hop", i);
	}
	if (cases[i].src) {
		want = address(cases[i].src);
		if (memcmp(&want, &res.src, sizeof(want)) != 0)
			fail_msg("case %zu: source", i);
	}
	if (res.status == OUTER_OK) {
		assert_int_equal(res.src_mac[5], res.ifindex);
		assert_int_equal(res.dst_mac[5], 9);
	}
}

static void test_cases(void **state)
{
	struct outer_tables t;

	(void)state;
	make_world(&t);
	struct outer_snapshot *snap = build(&t);

	assert_int_equal(outer_generation(snap), 7);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_case(snap, i);
	assert_int_equal(outer_link_get(snap, 3)->mtu, 1400);
	assert_null(outer_link_get(snap, 99));
	outer_snapshot_free(snap);
	outer_tables_free(&t);
}

static void test_empty(void **state)
{
	struct outer_tables t;
	struct outer_addr dst = address("8.8.8.8");
	struct outer_result res;
	size_t n;

	(void)state;
	outer_tables_init(&t);
	struct outer_snapshot *snap = build(&t);

	outer_resolve(snap, &dst, NULL, &res);
	assert_int_equal(res.status, OUTER_NO_ROUTE);
	assert_false(outer_is_local(snap, &dst));
	outer_locals(snap, &n);
	assert_int_equal(n, 0);
	outer_snapshot_free(snap);
	outer_tables_free(&t);
}

/* What workers do not see makes no difference; what they see does. */
static void test_equality_and_harvest(void **state)
{
	struct outer_tables t;
	struct outer_addr dst = address("8.8.8.8");
	struct outer_result res;

	(void)state;
	make_world(&t);
	struct outer_snapshot *a = build(&t);

	add_neigh(&t, "203.0.113.254", 2, NUD_STALE);
	add_neigh(&t, "203.0.113.66", 2, NUD_INCOMPLETE);
	struct outer_snapshot *b = build(&t);

	assert_true(outer_snapshot_equal(a, b));
	add_neigh(&t, "203.0.113.254", 2, NUD_FAILED);
	struct outer_snapshot *c = build(&t);

	assert_false(outer_snapshot_equal(a, c));
	add_neigh(&t, "203.0.113.254", 2, NUD_PROBE);
	add_route(&t, "10.77.0.0", 16, 0, 2, NULL);
	struct outer_snapshot *d = build(&t);

	assert_false(outer_snapshot_equal(a, d));

	/* asking marks the neighbour, and the mark outlives the snapshot */
	const struct outer_neigh_key key = {.ifindex = 2, .addr = address("203.0.113.254")};

	outer_snapshot_harvest(d, &t);
	assert_false(outer_neigh_find(&t, &key, NULL)->used);
	outer_resolve(d, &dst, NULL, &res);
	outer_snapshot_harvest(d, &t);
	assert_true(outer_neigh_find(&t, &key, NULL)->used);
	add_neigh(&t, "203.0.113.254", 2, NUD_STALE);
	assert_true(outer_neigh_find(&t, &key, NULL)->used);
	outer_neigh_remove(&t, &key);
	assert_null(outer_neigh_find(&t, &key, NULL));
	outer_snapshot_free(a);
	outer_snapshot_free(b);
	outer_snapshot_free(c);
	outer_snapshot_free(d);
	outer_tables_free(&t);
}

static unsigned seed = 20261124;

/* Few distinct bytes, so that prefixes nest and meet. */
static struct outer_addr random_addr(uint8_t family)
{
	static const uint8_t bytes[] = {0, 0, 1, 0x7f, 0x80, 0xff};
	struct outer_addr addr = {.family = family};

	for (int i = 0; i < (family == AF_INET ? 4 : 16); i++)
		addr.b[i] = bytes[(size_t)rand_r(&seed) % sizeof(bytes)];
	return addr;
}

static void cut(struct outer_addr *addr, unsigned len)
{
	for (unsigned bit = len; bit < 128; bit++)
		addr->b[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

/* Index of the route that the naive model takes: longest, then lowest metric, then first; or -1. */
static long naive(const struct outer_tables *t, const struct outer_addr *dst)
{
	const struct outer_route *routes = t->routes.items;
	long best = -1;

	for (size_t i = 0; i < t->routes.n; i++) {
		struct outer_addr masked = *dst;

		cut(&masked, routes[i].prefix_len);
		if (memcmp(&masked, &routes[i].dst, sizeof(masked)) != 0)
			continue;
		if (best < 0 || routes[i].prefix_len > routes[best].prefix_len ||
		    (routes[i].prefix_len == routes[best].prefix_len &&
		     routes[i].metric < routes[best].metric))
			best = (long)i;
	}
	return best;
}

static void test_longest_prefix_differential(void **state)
{
	(void)state;
	for (int round = 0; round < 30; round++) {
		struct outer_tables t;

		outer_tables_init(&t);
		/* the interface's number says which route it was; links up to 200 exist */
		for (uint32_t i = 1; i <= 200; i++)
			add_link(&t, i, 1500, true);
		for (uint32_t i = 1; i <= 200; i++) {
			uint8_t family = rand_r(&seed) % 2 ? AF_INET : AF_INET6;
			unsigned len = (unsigned)rand_r(&seed) % (family == AF_INET ? 33U : 129U);
			struct outer_addr dst = random_addr(family);
			struct outer_route *route = add_route(&t, "0.0.0.0", 0, 0, i, NULL);

			cut(&dst, len);
			route->dst = dst;
			route->prefix_len = (uint8_t)len;
			route->metric = (uint32_t)rand_r(&seed) % 3;
		}
		struct outer_snapshot *snap = build(&t);

		for (int probe = 0; probe < 500; probe++) {
			struct outer_addr dst = random_addr(probe % 2 ? AF_INET : AF_INET6);
			struct outer_result res;
			long want = naive(&t, &dst);

			outer_resolve(snap, &dst, NULL, &res);
			assert_int_equal(res.status == OUTER_NO_ROUTE, want < 0);
			if (want >= 0)
				assert_int_equal(res.ifindex, want + 1);
		}
		outer_snapshot_free(snap);
		outer_tables_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_equality_and_harvest),
		cmocka_unit_test(test_longest_prefix_differential),
	};

	return cmocka_run_group_tests_name("outer_snapshot", tests, NULL, NULL);
}
