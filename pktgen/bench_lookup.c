// SPDX-License-Identifier: BSD-3-Clause
// Case lookup: the edge's route and flow tables beside DPDK's, with the same contents, in bursts of 32 over 64 Ki targets.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_fib.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lpm.h>
#include <rte_malloc.h>

#include "dataplane/tables/flow_table.h"
#include "dataplane/tables/route_table.h"
#include "pktgen/bench_bed.h"

#define BURST    32
#define TARGETS  (64u << 10)
#define TUNNELS  1000u
#define MAX_LPM_ROUTES 100000 /* rte_lpm wants its second level sized by hand beyond that */
#define REP      2048
#define FIB_NONE 0x7fffffff /* the largest that four bytes of rte_fib hold */

struct lookup {
	const struct route_table *routes;
	struct rte_fib *fib;
	struct rte_lpm *lpm;
	const struct flow_table *flows;
	struct rte_hash *hash;
	uint32_t *vnets, *addrs_be, *addrs; /* targets; addrs in host order, as DPDK takes them */
	struct flow_key *keys;		    /* targets */
	uint64_t sum;
};

static void *need(void *p, const char *what)
{
	if (p != NULL)
		return p;
	fprintf(stderr, "sluice-pktgen: no memory for %s\n", what);
	exit(1);
}

/* ---- one burst of each ---- */

static void burst_routes(struct lookup *x, unsigned at, uint32_t out[BURST])
{
	route_lookup_v4_bulk(x->routes, x->vnets + at, x->addrs_be + at, out, BURST);
}

static void burst_fib(struct lookup *x, unsigned at, uint32_t out[BURST])
{
	uint64_t next[BURST];

	rte_fib_lookup_bulk(x->fib, x->addrs + at, next, BURST);
	for (unsigned i = 0; i < BURST; i++)
		out[i] = next[i] == FIB_NONE ? ROUTE_NONE : (uint32_t)next[i];
}

static void burst_lpm(struct lookup *x, unsigned at, uint32_t out[BURST])
{
	rte_lpm_lookup_bulk(x->lpm, x->addrs + at, out, BURST);
	for (unsigned i = 0; i < BURST; i++)
		out[i] = out[i] & RTE_LPM_LOOKUP_SUCCESS ? out[i] & 0xffffff : ROUTE_NONE;
}

static void burst_flows(struct lookup *x, unsigned at, uint32_t out[BURST])
{
	struct flow_entry *found[BURST];
	uint32_t hashes[BURST];

	flow_hash_bulk(x->flows, x->keys + at, hashes, BURST);
	flow_lookup_bulk(x->flows, x->keys + at, hashes, BURST, found);
	for (unsigned i = 0; i < BURST; i++)
		out[i] = found[i] == NULL ? UINT32_MAX : found[i]->tunnel;
}

static void burst_hash(struct lookup *x, unsigned at, uint32_t out[BURST])
{
	const void *keys[BURST];
	int32_t found[BURST];

	for (unsigned i = 0; i < BURST; i++)
		keys[i] = x->keys + at + i;
	rte_hash_lookup_bulk(x->hash, keys, BURST, found);
	for (unsigned i = 0; i < BURST; i++)
		out[i] = (uint32_t)found[i];
}

/* ---- the run ---- */

/* Times a table; `same` (NULL: none) must give the same answers, else those that differ count as lost. */
static void measure(struct bench *b, struct lookup *x, const struct bench_scale *scale, const char *what,
		    void (*burst)(struct lookup *, unsigned, uint32_t *), void (*same)(struct lookup *, unsigned, uint32_t *))
{
	struct bench_row row = {.name = "lookup", .scale = *scale, .aead_impl = what};
	uint64_t end = bench_now_ns() + (uint64_t)(bench_seconds(b) * 0.4e9);
	uint32_t mine[BURST], theirs[BURST];
	struct bench_measure m = {0};
	unsigned at = 0;

	for (unsigned i = 0; i < TARGETS; i += BURST) {
		burst(x, i, mine);
		memcpy(theirs, mine, sizeof(mine));
		if (same != NULL)
			same(x, i, theirs);
		for (unsigned j = 0; j < BURST; j++) {
			row.verified += mine[j] == theirs[j];
			row.lost += mine[j] != theirs[j];
		}
	}
	while (bench_now_ns() < end) {
		uint64_t begin = bench_clock();

		for (unsigned i = 0; i < REP; i += BURST, at = (at + BURST) % TARGETS) {
			burst(x, at, mine);
			x->sum += mine[0];
		}
		bench_measure_rep(&m, bench_clock() - begin, 0, REP);
	}
	bench_measure_end(&m, &row);
	row.p50 = row.median;
	bench_add(b, &row);
}

static void make_routes(struct lookup *x, const struct bench_scale *scale)
{
	struct route_config config = {.vnets = scale->tenants, .routes = scale->routes + 1024};
	struct rte_fib_conf fib = {.type = RTE_FIB_DIR24_8, .default_nh = FIB_NONE, .max_routes = (int)scale->routes + 1,
				   .dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_4B, .num_tbl8 = 1u << 17}};
	struct rte_lpm_config lpm = {.max_rules = scale->routes + 1, .number_tbl8s = 1u << 16};
	struct route_table *routes = need(route_table_create(&config), "routes");
	bool alone = scale->tenants == 1, lpm_too = alone && scale->routes <= MAX_LPM_ROUTES;
	uint64_t seed = 7;

	x->routes = routes;
	x->fib = alone ? rte_fib_create("bench", SOCKET_ID_ANY, &fib) : NULL;
	x->lpm = lpm_too ? rte_lpm_create("bench", SOCKET_ID_ANY, &lpm) : NULL;
	for (unsigned i = 0; i < scale->routes; i++) {
		static const uint8_t lengths[16] = {16, 18, 19, 20, 20, 21, 22, 22, 23, 24, 24, 24, 24, 24, 28, 32};
		uint64_t bits = bench_random(&seed);
		struct route r = {.vnet = i % scale->tenants, .family = 4, .len = lengths[bits >> 60], .next_hop = i % TUNNELS};
		uint32_t addr = (uint32_t)bits & ~(uint32_t)0 << (32 - r.len), be = __builtin_bswap32(addr);

		memcpy(r.addr, &be, 4);
		if (route_add(routes, &r) < 0) /* at capacity of something: the others go without it too */
			continue;
		if (x->fib != NULL)
			rte_fib_add(x->fib, addr, r.len, r.next_hop);
		if (x->lpm != NULL)
			rte_lpm_add(x->lpm, addr, r.len, r.next_hop);
		if (i < TARGETS)
			x->addrs[i] = addr | ((uint32_t)(bits >> 32) & ~(~(uint32_t)0 << (32 - r.len)));
	}
	for (unsigned i = 0; i < TARGETS; i++) {
		if (i >= scale->routes)
			x->addrs[i] = x->addrs[i % scale->routes] ^ (uint32_t)(bench_random(&seed) & 15);
		x->vnets[i] = (i < scale->routes ? i : i % scale->routes) % scale->tenants;
		x->addrs_be[i] = __builtin_bswap32(x->addrs[i]);
	}
}

static void run_routes(struct bench *b, struct lookup *x, const struct bench_scale *scale)
{
	struct bench_scale shown = *scale;

	bench_progress(b, "%u routes in %u networks", scale->routes, scale->tenants);
	make_routes(x, scale);
	shown.clients = shown.flows = shown.rules = 0;
	measure(b, x, &shown, "route_table", burst_routes, x->fib == NULL ? NULL : burst_fib);
	if (x->fib != NULL)
		measure(b, x, &shown, "rte_fib", burst_fib, NULL);
	if (x->lpm != NULL)
		measure(b, x, &shown, "rte_lpm", burst_lpm, burst_routes);
	rte_fib_free(x->fib);
	rte_lpm_free(x->lpm);
	route_table_destroy((struct route_table *)(uintptr_t)x->routes);
}

static void run_flows(struct bench *b, struct lookup *x, const struct bench_scale *scale)
{
	struct bench_scale shown = {.flows = scale->flows, .tenants = 1};
	struct flow_config config = {.capacity = 4096};
	struct rte_hash_parameters params = {.name = "bench", .entries = scale->flows * 2, .key_len = sizeof(struct flow_key),
					     .hash_func = rte_hash_crc};
	struct flow_table *flows;
	uint64_t seed = 5;
	void *memory;

	while (config.capacity < scale->flows)
		config.capacity *= 2;
	bench_progress(b, "%u flows", scale->flows);
	for (unsigned i = 0; i < 6; i++)
		config.secret[i] = bench_random(&seed);
	memory = need(rte_zmalloc(NULL, flow_table_size(config.capacity), 64), "flows");
	x->flows = flows = need(flow_table_init(memory, &config), "flows");
	x->hash = need(rte_hash_create(&params), "rte_hash");
	for (unsigned i = 0; i < scale->flows; i++) {
		uint64_t r = bench_random(&seed);
		struct flow_key key;
		struct flow_entry *e;

		flow_key_v4(&key, i, (uint32_t)r, 17, (uint16_t)(r >> 32), 443);
		e = need(flow_insert(flows, &key, flow_hash(flows, &key)), "a flow");
		e->tunnel = i;
		rte_hash_add_key(x->hash, &key);
		/* each target is kept with the same chance, whatever its place (Vitter's algorithm R) */
		if (i < TARGETS)
			x->keys[i] = key;
		else if (bench_random(&seed) % (i + 1) < TARGETS)
			x->keys[bench_random(&seed) % TARGETS] = key;
	}
	for (unsigned i = scale->flows; i < TARGETS; i++)
		x->keys[i] = x->keys[i % scale->flows];
	measure(b, x, &shown, "flow_table", burst_flows, NULL);
	measure(b, x, &shown, "rte_hash", burst_hash, NULL);
	rte_hash_free(x->hash);
	rte_free(memory);
}

void bench_run_lookup(struct bench *b)
{
	struct lookup x = {.vnets = need(malloc(TARGETS * 4), "targets"), .addrs = need(malloc(TARGETS * 4), "targets"),
			   .addrs_be = need(malloc(TARGETS * 4), "targets"),
			   .keys = need(aligned_alloc(64, TARGETS * sizeof(struct flow_key)), "targets")};

	if (b->options.cases[BENCH_lookup]) {
		bench_start_dpdk(b);
		/* a million routes take rte_fib half a minute */
		for (unsigned i = 0; i < (b->options.quick ? 1 : b->options.n_scales); i++) {
			run_routes(b, &x, &b->options.scales[i]);
			run_flows(b, &x, &b->options.scales[i]);
		}
	}
	free(x.vnets);
	free(x.addrs);
	free(x.addrs_be);
	free(x.keys);
}
