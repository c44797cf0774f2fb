// SPDX-License-Identifier: BSD-3-Clause
// Cycles of a new flow's decision beside rte_acl with the same rules; names against host patterns; compile time, memory and the
// price of one more item at the full size.
//   taskset -c 1 policy_bench
#include <errno.h>
#include <string.h>

#include "dataplane/tables/bench_util.h"
#include "dataplane/tables/policy_fives.h"

#define FLOWS POLICY_FIVES_FLOWS
#define HOT   64u
#define TEXT  4096u

static double ms(uint64_t cycles)
{
	return (double)cycles * 1e3 / (double)rte_get_tsc_hz();
}

static void set_rules(struct policy_fives *b, const char *what)
{
	struct policy_error error;
	struct policy_stats s;
	uint64_t start = rte_rdtsc();

	if (policy_rules_set(b->p, 0, false, b->rules, b->n, &error)) {
		fprintf(stderr, "policy_bench: %s\n", error.message);
		exit(1);
	}
	start = rte_rdtsc() - start;
	policy_stats(b->p, 0, &s);
	printf("%s: %u rules, %u terms, %u lists of %llu items, %u classes of addresses, %u identities: compiled in %.1f ms, %.1f MiB\n", what, s.rules,
	       s.terms, s.lists, (unsigned long long)s.list_entries, s.classes, s.identities, ms(start), (double)s.bytes / 1048576);
}

static void one_by_one(void *ctx, uint32_t first, uint32_t n)
{
	struct policy_fives *b = ctx;
	struct policy_result r;

	for (uint32_t i = 0; i < n; i++) {
		policy_decide(b->p, b->each[first + i], NULL, &r);
		b->sum += r.rule;
	}
}

static void in_bursts(void *ctx, uint32_t first, uint32_t n)
{
	struct policy_result r[BENCH_BURST];
	struct policy_fives *b = ctx;

	policy_decide_burst(b->p, b->each + first, r, n);
	b->sum += r[0].rule + r[n - 1].rule;
}

static void by_acl(void *ctx, uint32_t first, uint32_t n)
{
	uint32_t out[BENCH_BURST];
	struct policy_fives *b = ctx;

	rte_acl_classify(b->acl, b->key_at + first, out, n, 1);
	b->sum += out[0] + out[n - 1];
}

static void by_acl_one(void *ctx, uint32_t first, uint32_t n)
{
	struct policy_fives *b = ctx;
	uint32_t out;

	for (uint32_t i = 0; i < n; i++) {
		rte_acl_classify(b->acl, b->key_at + first + i, &out, 1, 1);
		b->sum += out;
	}
}

static void make_acl(struct policy_fives *b)
{
	size_t before = bench_heap_used();
	uint64_t start = rte_rdtsc();

	policy_fives_acl(b);
	printf("rte_acl: built in %.1f ms, %.1f MiB\n", ms(rte_rdtsc() - start), (double)(bench_heap_used() - before) / 1048576);
}

static void compare(struct policy_fives *b)
{
	uint32_t hits, differ = policy_fives_differ(b, &hits);

	printf("%u flows, %.0f %% of them named by a rule: %u answers differ from rte_acl's\n", FLOWS, 100.0 * hits / FLOWS, differ);
	if (differ)
		exit(1);
}

static void measure(struct policy_fives *b, bool acl)
{
	printf("  %-44s %7s %7s\n", "TSC cycles a decision", "min", "median");
	bench_print("policy, one by one, 64 flows", bench_run(one_by_one, b, HOT), -1);
	bench_print("policy, bursts of 32, 64 flows", bench_run(in_bursts, b, HOT), -1);
	if (acl) {
		bench_print("rte_acl, one by one, 64 flows", bench_run(by_acl_one, b, HOT), -1);
		bench_print("rte_acl, bursts of 32, 64 flows", bench_run(by_acl, b, HOT), -1);
	}
	bench_print("policy, one by one, 256 Ki random flows", bench_run(one_by_one, b, FLOWS), -1);
	bench_print("policy, bursts of 32, 256 Ki random flows", bench_run(in_bursts, b, FLOWS), -1);
	if (acl) {
		bench_print("rte_acl, one by one, 256 Ki random flows", bench_run(by_acl_one, b, FLOWS), -1);
		bench_print("rte_acl, bursts of 32, 256 Ki random flows", bench_run(by_acl, b, FLOWS), -1);
	}
}

static struct policy_set *new_set(void)
{
	struct policy_limits limits = POLICY_LIMITS_DEFAULT;
	struct policy_set *p;

	limits.accounts = 1;
	p = policy_create(&limits, (struct retire_ops){NULL, NULL});
	if (!p)
		exit(1);
	return p;
}

static uint32_t make_people(struct policy_fives *b, uint32_t n)
{
	uint64_t start = rte_rdtsc(), seed = 31;
	char email[32], group[3][16];
	const char *groups[] = {group[0], group[1], group[2]};

	for (uint32_t i = 0; i < n; i++) {
		snprintf(email, sizeof(email), "user%u@example.com", i);
		for (unsigned g = 0; g < 3; g++)
			snprintf(group[g], sizeof(group[g]), "group%u", test_below(&seed, 100));
		if (policy_identity_get(b->p, 0, &(struct policy_identity){.email = email, .groups = groups, .n_groups = 3}) != i)
			exit(1);
	}
	printf("%u identities in %.0f ms\n", n, ms(rte_rdtsc() - start));
	return n;
}

/* ---- host names ---- */

static void by_name(void *ctx, uint32_t first, uint32_t n)
{
	struct policy_result r;
	struct policy_fives *b = ctx;

	for (uint32_t i = 0; i < n; i++) {
		policy_decide(b->p, b->each[i], &b->names[(first + i) % b->n_names], &r);
		b->sum += r.rule;
	}
}

static void bench_names(struct policy_fives *b)
{
	static char hosts[4096][64];
	static struct names names[4096];
	char text[TEXT];

	b->p = new_set();
	b->n = 2500;
	for (uint32_t i = 0; i < b->n; i++) {
		snprintf(text, sizeof(text),
			 "net.sni.host == \"www.h%u.example\" or any(net.sni.domains[*] == \"d%u.example.com\") or "
			 "net.sni.host wildcard \"*.w%u.corp.example\" or net.sni.host matches \"^api-?%u\\\\.[a-z]+\\\\.net$\"",
			 i, i, i, i);
		b->rules[i] = (struct policy_rule){.index = i, .precedence = i, .action = POLICY_BLOCK, .name = "bench", .traffic = policy_fives_parse(text, EXPR_L4)};
	}
	set_rules(b, "host patterns: 10,000 (2,500 each: name, domain, wildcard, regular expression)");
	for (uint32_t i = 0; i < 4096; i++) {
		static const char *const forms[][2] = {
			{"www.h", ".example"}, {"a.b.d", ".example.com"}, {"x.w", ".corp.example"}, {"api", ".other.net"}, {"cdn", ".unknown.org"}};

		snprintf(hosts[i], sizeof(hosts[i]), "%s%u%s", forms[i % 5][0], i % 2500, forms[i % 5][1]);
		names[i] = names_missing;
		names[i].sni = (struct name_text){NAME_KNOWN, (uint16_t)strlen(hosts[i]), hosts[i]};
	}
	b->names = names;
	b->n_names = 4096;
	printf("  %-44s %7s %7s\n", "TSC cycles a decision with a name", "min", "median");
	bench_print("policy_decide, SNI known, 4,096 names", bench_run(by_name, b, FLOWS), -1);
	policy_fives_rules_free(b);
	policy_destroy(b->p);
}

/* ---- the full size ---- */

#define LISTS	 1000u
#define PER_LIST 900u
#define LARGE	 100000u

static void put_lists(struct policy_fives *b, char (*items)[20], const char **at)
{
	struct policy_error error;
	uint64_t seed = 41, start = rte_rdtsc();
	char id[16];

	for (uint32_t l = 0; l < LISTS; l++) {
		uint32_t n = l ? PER_LIST : LARGE;

		for (uint32_t i = 0; i < n; i++) {
			uint64_t r = test_random(&seed);

			snprintf(items[i], sizeof(items[i]), "%u.%u.%u.%u", 1 + (unsigned)(r & 127), (unsigned)(r >> 8 & 255), (unsigned)(r >> 16 & 255),
				 (unsigned)(r >> 24 & 255));
			if (l)
				at[i] = items[i];
		}
		for (uint32_t i = 0; i < n; i++)
			at[i] = items[i];
		snprintf(id, sizeof(id), "list%u", l);
		if (policy_list_put(b->p, 0, id, EXPR_LIST_IP, at, n, &error)) {
			fprintf(stderr, "policy_bench: %s\n", error.message);
			exit(1);
		}
	}
	printf("%u lists put in %.0f ms (no rule names them yet)\n", LISTS, ms(rte_rdtsc() - start));
}

static void one_more(struct policy_fives *b, char (*items)[20], const char **at)
{
	struct policy_error error;
	uint64_t took[9], seed = 41;

	for (uint32_t i = 0; i < LARGE; i++) {
		uint64_t r = test_random(&seed);

		snprintf(items[i], sizeof(items[i]), "%u.%u.%u.%u", 1 + (unsigned)(r & 127), (unsigned)(r >> 8 & 255), (unsigned)(r >> 16 & 255),
			 (unsigned)(r >> 24 & 255));
		at[i] = items[i];
	}
	for (uint32_t i = 0; i < 9; i++) {
		snprintf(items[LARGE + i], sizeof(items[0]), "198.51.100.%u", i);
		at[LARGE + i] = items[LARGE + i];
		took[i] = rte_rdtsc();
		if (policy_list_put(b->p, 0, "list0", EXPR_LIST_IP, at, LARGE + i + 1, &error))
			exit(1);
		took[i] = rte_rdtsc() - took[i];
	}
	printf("one more item in a list of %u: %.1f ms the first, %.1f ms the last of nine (the whole list is handed over, parsed and compared)\n", LARGE,
	       ms(took[0]), ms(took[8]));
}

static void bench_full(struct policy_fives *b)
{
	char(*items)[20] = calloc(LARGE + 16, 20);
	const char **at = calloc(LARGE + 16, sizeof(*at));
	char text[TEXT];

	if (!items || !at)
		exit(1);
	b->p = new_set();
	put_lists(b, items, at);
	make_people(b, 100000);
	b->n = 4096;
	for (uint32_t i = 0; i < b->n; i++) {
		snprintf(text, sizeof(text),
			 "(net.dst.ip in $list%u or net.dst.ip in $list%u) and (net.dst.port in {%u} or net.dst.port in {%u..%u}) and not net.src.ip in $list%u", i % LISTS,
			 (i * 7 + 1) % LISTS, i % 1000, 2000 + i, 2100 + i, (i + 13) % LISTS);
		b->rules[i] = (struct policy_rule){.index = i, .precedence = i, .action = i % 3 ? POLICY_ALLOW : POLICY_BLOCK, .name = "bench", .traffic = policy_fives_parse(text, EXPR_L4)};
		snprintf(text, sizeof(text), "any(identity.groups.name[*] in {\"group%u\"})", i % 100);
		b->rules[i].identity = policy_fives_parse(text, EXPR_IDENTITY);
	}
	set_rules(b, "full size, the first time");
	set_rules(b, "full size, again");
	policy_fives_flows(b, 100000);
	measure(b, false);
	one_more(b, items, at);
	policy_fives_rules_free(b);
	policy_destroy(b->p);
	free(items);
	free(at);
}

int main(void)
{
	static const uint32_t sizes[] = {10, 1000, 4096};
	struct policy_fives b;

	policy_fives_init(&b);
	bench_eal(1024);
	for (unsigned i = 0; i < 3; i++) {
		b.p = new_set();
		policy_fives_rules(&b, sizes[i], false);
		set_rules(&b, "five fields");
		make_acl(&b);
		policy_fives_flows(&b, 0);
		compare(&b);
		measure(&b, true);
		policy_fives_rules_free(&b);
		policy_destroy(b.p);
	}
	b.p = new_set();
	make_people(&b, 100000);
	policy_fives_rules(&b, 4096, true);
	set_rules(&b, "five fields and a group each");
	policy_fives_flows(&b, 100000);
	measure(&b, false);
	policy_fives_rules_free(&b);
	policy_destroy(b.p);
	bench_names(&b);
	bench_full(&b);
	printf("(checksum %llu)\n", (unsigned long long)b.sum);
	policy_fives_free(&b);
	return 0;
}
