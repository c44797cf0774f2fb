// SPDX-License-Identifier: BSD-3-Clause
// Cycles and memory of route_table beside rte_fib and rte_fib6: an internet table (prefixes on
// stdin, one a line; without them a made-up one) in one vnet, and a million routes in ten thousand
// vnets.
//   zcat prefixes.txt.gz | route_bench
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <rte_fib.h>
#include <rte_fib6.h>

#include "dataplane/tables/bench_util.h"
#include "dataplane/tables/route_table.h"

#define MAX_PREFIXES 2000000u
#define TUNNELS	     1000u
#define WARM	     (64u << 10)
#define COLD	     (4u << 20)

struct prefixes {
	struct route *list;
	uint32_t n[2]; /* v4, v6 */
	uint32_t total;
};

static void add_prefix(struct prefixes *p, const uint8_t *addr, uint8_t family, unsigned int len)
{
	struct route *r = &p->list[p->total];

	*r = (struct route){.family = family, .len = (uint8_t)len, .next_hop = p->total % TUNNELS};
	memcpy(r->addr, addr, len / 8);
	if (len % 8)
		r->addr[len / 8] = addr[len / 8] & (uint8_t)(0xff00 >> len % 8);
	p->n[family == 6]++;
	p->total++;
}

static void read_prefixes(struct prefixes *p)
{
	char line[128];

	while (p->total < MAX_PREFIXES && fgets(line, sizeof(line), stdin)) {
		uint8_t addr[16] = {0}, family = strchr(line, ':') ? 6 : 4;
		char *slash = strchr(line, '/');

		if (!slash || line[0] == ';')
			continue;
		*slash = 0;
		if (inet_pton(family == 6 ? AF_INET6 : AF_INET, line, addr) == 1)
			add_prefix(p, addr, family, (unsigned int)atoi(slash + 1));
	}
}

/* Roughly the lengths of the internet: /24 and /48 half, the rest spread. */
static void make_prefixes(struct prefixes *p)
{
	uint64_t seed = 1;

	for (uint32_t i = 0; i < 1000000; i++) {
		uint64_t bits[2] = {test_random(&seed), test_random(&seed)};
		uint8_t *b = (uint8_t *)bits, family = i % 7 ? 4 : 6;

		if (family == 6) {
			b[0] = 0x20 | (b[0] & 0x0a);
			b[1] &= 0x1f;
		}
		add_prefix(p, b, family,
			   family == 4 ? (i & 8 ? 24 : 16 + test_below(&seed, 9))
				       : (i & 8 ? 48 : 29 + test_below(&seed, 20)));
	}
}

struct targets {
	uint32_t *vnet;
	uint32_t *four;
	uint8_t (*six)[16];
	uint32_t n;
};

/* Random addresses inside random prefixes of one family. */
static void make_targets(struct targets *t, const struct route *routes, uint32_t n_routes,
			 uint8_t family, uint32_t n)
{
	uint64_t seed = 42;

	for (t->n = 0; t->n < n;) {
		const struct route *r = &routes[test_below(&seed, n_routes)];
		uint64_t bits[2] = {test_random(&seed), test_random(&seed)};
		const uint8_t *random = (const uint8_t *)bits;
		uint8_t *addr = t->six[t->n];

		if (r->family != family)
			continue;
		for (unsigned int i = 0; i < 16; i++) {
			unsigned int keep = r->len >= 8 * (i + 1) ? 8
					    : r->len <= 8 * i	  ? 0
								  : r->len - 8 * i;
			uint8_t mask = (uint8_t)(0xff00 >> keep);

			addr[i] = (r->addr[i] & mask) | (random[i] & (uint8_t)~mask);
		}
		t->vnet[t->n] = r->vnet;
		memcpy(&t->four[t->n], addr, 4);
		t->n++;
	}
}

struct run {
	const struct route_table *rt;
	struct rte_fib *fib;
	struct rte_fib6 *fib6;
	struct targets *t;
	uint64_t sum;
	uint32_t *host; /* addresses as rte_fib takes them */
};

static void burst_v4(void *ctx, uint32_t first, uint32_t n)
{
	struct run *r = ctx;
	uint32_t out[BENCH_BURST];

	route_lookup_v4_bulk(r->rt, r->t->vnet + first, r->t->four + first, out, n);
	r->sum += out[0] + out[n - 1];
}

static void burst_v6(void *ctx, uint32_t first, uint32_t n)
{
	struct run *r = ctx;
	uint32_t out[BENCH_BURST];

	route_lookup_v6_bulk(r->rt, r->t->vnet + first, (const uint8_t(*)[16])(r->t->six + first),
			     out, n);
	r->sum += out[0] + out[n - 1];
}

static void burst_fib(void *ctx, uint32_t first, uint32_t n)
{
	struct run *r = ctx;
	uint64_t out[BENCH_BURST];

	rte_fib_lookup_bulk(r->fib, r->host + first, out, (int)n);
	r->sum += out[0] + out[n - 1];
}

static void burst_fib6(void *ctx, uint32_t first, uint32_t n)
{
	struct run *r = ctx;
	uint64_t out[BENCH_BURST];

	rte_fib6_lookup_bulk(r->fib6, r->t->six + first, out, (int)n);
	r->sum += out[0] + out[n - 1];
}

static double seconds_since(uint64_t start)
{
	return (double)(rte_rdtsc() - start) / (double)rte_get_tsc_hz();
}

static struct route_table *load(const struct prefixes *p, uint32_t vnets, const char *name)
{
	struct route_config config = {.vnets = vnets, .routes = p->total};
	struct route_table *rt = route_table_create(&config);
	uint64_t start = rte_rdtsc(), longest = 0;
	struct route_stats s;

	for (uint32_t i = 0; rt && i < p->total; i++) {
		uint64_t before = rte_rdtsc(), took;

		if (route_add(rt, &p->list[i]) < 0) {
			fprintf(stderr, "route_bench: route %u is refused: %s\n", i,
				route_full_name(route_table_full(rt)));
			exit(1);
		}
		took = rte_rdtsc() - before;
		longest = took > longest ? took : longest;
	}
	if (!rt)
		exit(1);
	route_table_stats(rt, &s);
	printf("%s: %u v4 + %u v6 routes, %u vnets: loaded in %.2f s, longest single add %.0f us\n"
	       "  lookups touch %.1f MiB (%.1f bytes a route), all of it %.1f MiB; %u nodes, %u "
	       "wide roots\n",
	       name, s.routes_v4, s.routes_v6, vnets, seconds_since(start),
	       (double)longest * 1e6 / (double)rte_get_tsc_hz(), (double)s.bytes_reader / 1048576,
	       (double)s.bytes_reader / (s.routes_v4 + s.routes_v6), (double)s.bytes_used / 1048576,
	       s.nodes_used, s.wide_roots);
	return rt;
}

/* The DPDK tables with the same prefixes, and whether they say the same. */
static void load_fib(struct run *run, const struct prefixes *p)
{
	struct rte_fib_conf c4 = {.type = RTE_FIB_DIR24_8,
				  .default_nh = ROUTE_NONE,
				  .max_routes = (int)p->n[0] + 1,
				  .dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_4B, .num_tbl8 = 1u << 15}};
	struct rte_fib6_conf c6 = {.type = RTE_FIB6_TRIE,
				   .default_nh = ROUTE_NONE,
				   .max_routes = (int)p->n[1] + 1,
				   .trie = {.nh_sz = RTE_FIB6_TRIE_4B, .num_tbl8 = 1u << 19}};
	size_t before = bench_heap_used();
	uint64_t start = rte_rdtsc();

	run->fib = rte_fib_create("bench", 0, &c4);
	for (uint32_t i = 0; run->fib && i < p->total; i++) {
		uint32_t addr;

		memcpy(&addr, p->list[i].addr, 4);
		if (p->list[i].family == 4)
			rte_fib_add(run->fib, __builtin_bswap32(addr), p->list[i].len,
				    p->list[i].next_hop);
	}
	printf("rte_fib: %.1f MiB with its RIB, loaded in %.2f s\n",
	       (double)(bench_heap_used() - before) / 1048576, seconds_since(start));
	before = bench_heap_used();
	start = rte_rdtsc();
	run->fib6 = rte_fib6_create("bench6", 0, &c6);
	for (uint32_t i = 0; run->fib6 && i < p->total; i++)
		if (p->list[i].family == 6)
			rte_fib6_add(run->fib6, p->list[i].addr, p->list[i].len,
				     p->list[i].next_hop);
	printf("rte_fib6: %.1f MiB with its RIB (tbl8s for 2^19 groups), loaded in %.2f s\n",
	       (double)(bench_heap_used() - before) / 1048576, seconds_since(start));
}

static void compare(struct run *run, uint8_t family)
{
	uint32_t mine[BENCH_BURST], differ = 0, n = WARM;
	uint64_t theirs[BENCH_BURST];

	for (uint32_t i = 0; i < n; i += BENCH_BURST) {
		if (family == 4) {
			route_lookup_v4_bulk(run->rt, run->t->vnet + i, run->t->four + i, mine,
					     BENCH_BURST);
			rte_fib_lookup_bulk(run->fib, run->host + i, theirs, BENCH_BURST);
		} else {
			route_lookup_v6_bulk(run->rt, run->t->vnet + i,
					     (const uint8_t(*)[16])(run->t->six + i), mine,
					     BENCH_BURST);
			rte_fib6_lookup_bulk(run->fib6, run->t->six + i, theirs, BENCH_BURST);
		}
		for (uint32_t j = 0; j < BENCH_BURST; j++)
			differ += mine[j] != (uint32_t)theirs[j];
	}
	if (differ) {
		fprintf(stderr, "route_bench: IPv%u: %u of %u answers differ from DPDK's\n", family,
			differ, n);
		exit(1);
	}
}

static void measure(struct run *run, const struct prefixes *p, uint8_t family)
{
	struct {
		const char *name;
		void (*burst)(void *, uint32_t, uint32_t);
		bool there;
	} sides[] = {
		{"route_table", family == 4 ? burst_v4 : burst_v6, true},
		{family == 4 ? "rte_fib (dir24_8, 4-byte)" : "rte_fib6 (trie, 4-byte)",
		 family == 4 ? burst_fib : burst_fib6,
		 family == 4 ? run->fib != NULL : run->fib6 != NULL},
	};

	make_targets(run->t, p->list, p->total, family, COLD);
	for (uint32_t i = 0; i < COLD; i++)
		run->host[i] = __builtin_bswap32(run->t->four[i]);
	if (sides[1].there)
		compare(run, family);
	for (unsigned int i = 0; i < 2; i++) {
		char name[64];

		if (!sides[i].there)
			continue;
		snprintf(name, sizeof(name), "%s, IPv%u, warm (64 Ki targets)", sides[i].name,
			 family);
		bench_print(name, bench_run(sides[i].burst, run, WARM), -1);
		snprintf(name, sizeof(name), "%s, IPv%u, cold (4 Mi targets)", sides[i].name,
			 family);
		bench_print(name, bench_run(sides[i].burst, run, COLD), -1);
	}
}

/* 100 routes in each of 10,000 vnets, as tenants have them: inside 10/8 and fd00::/8, overlapping
 * between vnets. */
static void make_tenants(struct prefixes *p)
{
	uint64_t seed = 6;

	p->total = p->n[0] = p->n[1] = 0;
	for (uint32_t v = 0; v < 10000; v++) {
		for (uint32_t i = 0; i < 100; i++) {
			static const uint8_t four[] = {16, 20, 24, 24, 24, 32, 32},
					     six[] = {48, 56, 64, 64, 128};
			uint64_t bits[2] = {test_random(&seed), test_random(&seed)};
			uint8_t *b = (uint8_t *)bits, family = i % 4 ? 4 : 6;

			b[0] = family == 4 ? 10 : 0xfd;
			add_prefix(p, b, family,
				   family == 4 ? four[test_below(&seed, 7)]
					       : six[test_below(&seed, 5)]);
			p->list[p->total - 1].vnet = v;
		}
	}
}

int main(void)
{
	struct prefixes p = {.list = calloc(MAX_PREFIXES, sizeof(struct route))};
	struct targets t = {
		.vnet = calloc(COLD, 4), .four = calloc(COLD, 4), .six = calloc(COLD, 16)};
	struct run run = {.t = &t, .host = calloc(COLD, 4)};

	if (!p.list || !t.vnet || !t.four || !t.six || !run.host)
		return 1;
	if (!isatty(0))
		read_prefixes(&p);
	if (!p.total)
		make_prefixes(&p);
	bench_eal(4096);

	run.rt = load(&p, 1, "internet table");
	load_fib(&run, &p);
	printf("  %-44s %7s %7s\n", "TSC cycles a lookup, bursts of 32", "min", "median");
	measure(&run, &p, 4);
	measure(&run, &p, 6);

	make_tenants(&p);
	rte_fib_free(run.fib);
	rte_fib6_free(run.fib6);
	run.fib = NULL;
	run.fib6 = NULL;
	run.rt = load(&p, 10000, "tenants");
	measure(&run, &p, 4);
	measure(&run, &p, 6);
	printf("(checksum %llu)\n", (unsigned long long)run.sum);
	return 0;
}
