// SPDX-License-Identifier: BSD-3-Clause
// Cycles of a new flow's decision beside rte_acl with the same rules; names against host patterns; compile time, memory and the
// price of one more item at the full size.
//   taskset -c 1 policy_bench
#include <errno.h>
#include <string.h>

#include <rte_acl.h>

#include "dataplane/tables/bench_util.h"
#include "dataplane/tables/policy.h"

#define FLOWS (1u << 18)
#define HOT   64u
#define TEXT  4096u

static bool find_list(void *user, const char *name, struct expr_list *out)
{
	(void)user;
	snprintf(out->id, sizeof(out->id), "%s", name);
	out->type = name[0] == 'd' ? EXPR_LIST_DOMAIN : EXPR_LIST_IP;
	return true;
}

static struct expr *parse(const char *text, enum expr_scheme scheme)
{
	const struct expr_lists lists = {.find = find_list};
	struct expr_error error;
	struct expr *e;

	if (expr_parse(text, strlen(text), scheme, &lists, &e, &error)) {
		fprintf(stderr, "policy_bench: %s: %s\n", text, error.message);
		exit(1);
	}
	return e;
}

/* ---- rules that rte_acl can express ---- */

struct acl_key {
	uint8_t proto, pad[3];
	uint32_t src, dst;     /* network order */
	uint16_t sport, dport; /* network order */
};

enum { FIELD_PROTO, FIELD_SRC, FIELD_DST, FIELD_SPORT, FIELD_DPORT, FIELDS };
RTE_ACL_RULE_DEF(acl_rule, FIELDS);

struct five {
	uint32_t dst;
	unsigned len;
	uint16_t low, high;
	uint8_t proto;
};

static struct five fives[4096];

static void make_fives(uint32_t n)
{
	static const unsigned lens[] = {16, 20, 24, 24, 28, 32, 32};
	static const uint16_t ports[][2] = {{443, 443}, {80, 80}, {22, 22}, {8000, 8100}, {0, 65535}, {1024, 65535}};
	uint64_t seed = 11;

	for (uint32_t i = 0; i < n; i++) {
		unsigned len = lens[test_below(&seed, 7)], port = test_below(&seed, 6);

		fives[i] = (struct five){.dst = 0x0a000000u | (uint32_t)(test_random(&seed) & 0xffffff),
					 .len = len,
					 .low = ports[port][0],
					 .high = ports[port][1],
					 .proto = test_below(&seed, 4) ? 6 : 17};
		fives[i].dst &= len == 32 ? ~0u : ~(~0u >> len);
	}
}

struct bench {
	struct policy_set *p;
	struct policy_rule *rules;
	uint32_t n;
	struct rte_acl_ctx *acl;
	struct policy_query *q;
	const struct policy_query **each;
	struct acl_key *keys;
	const uint8_t **key_at;
	const struct names *names;
	uint32_t n_names;
	uint64_t sum;
};

static double ms(uint64_t cycles)
{
	return (double)cycles * 1e3 / (double)rte_get_tsc_hz();
}

static void set_rules(struct bench *b, const char *what)
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

static void make_rules(struct bench *b, uint32_t n, bool people)
{
	char text[TEXT];

	b->n = n;
	for (uint32_t i = 0; i < n; i++) {
		const struct five *f = &fives[i];
		const uint8_t *a = (const uint8_t *)&f->dst;

		snprintf(text, sizeof(text), "net.dst.ip in {%u.%u.%u.%u/%u} and net.dst.port in {%u..%u} and net.protocol == \"%s\"", a[3], a[2], a[1],
			 a[0], f->len, f->low, f->high, f->proto == 6 ? "tcp" : "udp");
		b->rules[i] = (struct policy_rule){
			.index = i, .precedence = i, .action = i % 3 ? POLICY_ALLOW : POLICY_BLOCK, .name = "bench", .traffic = parse(text, EXPR_L4)};
		snprintf(text, sizeof(text), "any(identity.groups.name[*] in {\"group%u\"})", i % 100);
		if (people)
			b->rules[i].identity = parse(text, EXPR_IDENTITY);
	}
}

static void free_rules(struct bench *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		expr_free((struct expr *)(uintptr_t)b->rules[i].traffic);
		expr_free((struct expr *)(uintptr_t)b->rules[i].identity);
	}
}

static void make_acl(struct bench *b)
{
	static const struct rte_acl_field_def defs[FIELDS] = {
		{.type = RTE_ACL_FIELD_TYPE_BITMASK, .size = 1, .field_index = FIELD_PROTO, .input_index = 0, .offset = 0},
		{.type = RTE_ACL_FIELD_TYPE_MASK, .size = 4, .field_index = FIELD_SRC, .input_index = 1, .offset = 4},
		{.type = RTE_ACL_FIELD_TYPE_MASK, .size = 4, .field_index = FIELD_DST, .input_index = 2, .offset = 8},
		{.type = RTE_ACL_FIELD_TYPE_RANGE, .size = 2, .field_index = FIELD_SPORT, .input_index = 3, .offset = 12},
		{.type = RTE_ACL_FIELD_TYPE_RANGE, .size = 2, .field_index = FIELD_DPORT, .input_index = 3, .offset = 14},
	};
	struct rte_acl_param param = {.name = "bench", .rule_size = RTE_ACL_RULE_SZ(FIELDS), .max_rule_num = 5000};
	struct rte_acl_config config = {.num_categories = 1, .num_fields = FIELDS};
	size_t before = bench_heap_used();
	uint64_t start = rte_rdtsc();

	rte_acl_free(b->acl);
	b->acl = rte_acl_create(&param);
	memcpy(config.defs, defs, sizeof(defs));
	for (uint32_t i = 0; b->acl && i < b->n; i++) {
		struct acl_rule r = {.data = {.category_mask = 1, .priority = (int32_t)(RTE_ACL_MAX_PRIORITY - (int32_t)i), .userdata = i + 1}};

		r.field[FIELD_PROTO].value.u8 = fives[i].proto;
		r.field[FIELD_PROTO].mask_range.u8 = 0xff;
		r.field[FIELD_DST].value.u32 = fives[i].dst;
		r.field[FIELD_DST].mask_range.u32 = fives[i].len;
		r.field[FIELD_SPORT].mask_range.u16 = 65535;
		r.field[FIELD_DPORT].value.u16 = fives[i].low;
		r.field[FIELD_DPORT].mask_range.u16 = fives[i].high;
		if (rte_acl_add_rules(b->acl, (const struct rte_acl_rule *)&r, 1))
			exit(1);
	}
	if (!b->acl || rte_acl_build(b->acl, &config)) {
		fprintf(stderr, "policy_bench: rte_acl does not take the rules\n");
		exit(1);
	}
	printf("rte_acl: built in %.1f ms, %.1f MiB\n", ms(rte_rdtsc() - start), (double)(bench_heap_used() - before) / 1048576);
}

/* Two thirds of the flows go into what some rule names. */
static void make_flows(struct bench *b, uint32_t people)
{
	static const uint16_t ports[] = {443, 80, 22, 8080, 5000, 53};
	uint64_t seed = 21;

	for (uint32_t i = 0; i < FLOWS; i++) {
		const struct five *f = &fives[test_below(&seed, b->n)];
		uint32_t dst = 0x0a000000u | (uint32_t)(test_random(&seed) & 0xffffff), src = 0x64600000u | (uint32_t)(test_random(&seed) & 0xfffff);
		struct policy_query *q = &b->q[i];

		if (i % 3)
			dst = f->len == 32 ? f->dst : f->dst | (dst & (~0u >> f->len));
		*q = (struct policy_query){.family = 4, .proto = test_below(&seed, 4) ? 6 : 17};
		q->identity = people ? test_below(&seed, people) : POLICY_IDENTITY_NONE;
		q->src_port = (uint16_t)(1024 + test_below(&seed, 60000));
		q->dst_port = ports[test_below(&seed, 6)];
		b->keys[i] = (struct acl_key){.proto = q->proto,
					      .src = __builtin_bswap32(src),
					      .dst = __builtin_bswap32(dst),
					      .sport = __builtin_bswap16(q->src_port),
					      .dport = __builtin_bswap16(q->dst_port)};
		memcpy(q->src, &b->keys[i].src, 4);
		memcpy(q->dst, &b->keys[i].dst, 4);
		b->each[i] = q;
		b->key_at[i] = (const uint8_t *)&b->keys[i];
	}
}

static void one_by_one(void *ctx, uint32_t first, uint32_t n)
{
	struct bench *b = ctx;
	struct policy_result r;

	for (uint32_t i = 0; i < n; i++) {
		policy_decide(b->p, b->each[first + i], NULL, &r);
		b->sum += r.rule;
	}
}

static void in_bursts(void *ctx, uint32_t first, uint32_t n)
{
	struct policy_result r[BENCH_BURST];
	struct bench *b = ctx;

	policy_decide_burst(b->p, b->each + first, r, n);
	b->sum += r[0].rule + r[n - 1].rule;
}

static void by_acl(void *ctx, uint32_t first, uint32_t n)
{
	uint32_t out[BENCH_BURST];
	struct bench *b = ctx;

	rte_acl_classify(b->acl, b->key_at + first, out, n, 1);
	b->sum += out[0] + out[n - 1];
}

static void by_acl_one(void *ctx, uint32_t first, uint32_t n)
{
	struct bench *b = ctx;
	uint32_t out;

	for (uint32_t i = 0; i < n; i++) {
		rte_acl_classify(b->acl, b->key_at + first + i, &out, 1, 1);
		b->sum += out;
	}
}

static void compare(struct bench *b)
{
	uint32_t differ = 0, hits = 0, out[BENCH_BURST];
	struct policy_result r[BENCH_BURST];

	for (uint32_t i = 0; i < FLOWS; i += BENCH_BURST) {
		policy_decide_burst(b->p, b->each + i, r, BENCH_BURST);
		rte_acl_classify(b->acl, b->key_at + i, out, BENCH_BURST, 1);
		for (uint32_t j = 0; j < BENCH_BURST; j++) {
			differ += r[j].rule + 1 != out[j];
			hits += out[j] != 0;
		}
	}
	printf("%u flows, %.0f %% of them named by a rule: %u answers differ from rte_acl's\n", FLOWS, 100.0 * hits / FLOWS, differ);
	if (differ)
		exit(1);
}

static void measure(struct bench *b, bool acl)
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

static uint32_t make_people(struct bench *b, uint32_t n)
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
	struct bench *b = ctx;

	for (uint32_t i = 0; i < n; i++) {
		policy_decide(b->p, b->each[i], &b->names[(first + i) % b->n_names], &r);
		b->sum += r.rule;
	}
}

static void bench_names(struct bench *b)
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
		b->rules[i] = (struct policy_rule){.index = i, .precedence = i, .action = POLICY_BLOCK, .name = "bench", .traffic = parse(text, EXPR_L4)};
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
	free_rules(b);
	policy_destroy(b->p);
}

/* ---- the full size ---- */

#define LISTS	 1000u
#define PER_LIST 900u
#define LARGE	 100000u

static void put_lists(struct bench *b, char (*items)[20], const char **at)
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

static void one_more(struct bench *b, char (*items)[20], const char **at)
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

static void bench_full(struct bench *b)
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
		b->rules[i] = (struct policy_rule){.index = i, .precedence = i, .action = i % 3 ? POLICY_ALLOW : POLICY_BLOCK, .name = "bench", .traffic = parse(text, EXPR_L4)};
		snprintf(text, sizeof(text), "any(identity.groups.name[*] in {\"group%u\"})", i % 100);
		b->rules[i].identity = parse(text, EXPR_IDENTITY);
	}
	set_rules(b, "full size, the first time");
	set_rules(b, "full size, again");
	make_flows(b, 100000);
	measure(b, false);
	one_more(b, items, at);
	free_rules(b);
	policy_destroy(b->p);
	free(items);
	free(at);
}

int main(void)
{
	static const uint32_t sizes[] = {10, 1000, 4096};
	struct bench b = {.rules = calloc(4096, sizeof(*b.rules)),
			  .q = calloc(FLOWS, sizeof(*b.q)),
			  .each = calloc(FLOWS, sizeof(*b.each)),
			  .keys = calloc(FLOWS, sizeof(*b.keys)),
			  .key_at = calloc(FLOWS, sizeof(*b.key_at))};

	if (!b.rules || !b.q || !b.each || !b.keys || !b.key_at)
		return 1;
	bench_eal(1024);
	for (unsigned i = 0; i < 3; i++) {
		make_fives(sizes[i]);
		b.p = new_set();
		make_rules(&b, sizes[i], false);
		set_rules(&b, "five fields");
		make_acl(&b);
		make_flows(&b, 0);
		compare(&b);
		measure(&b, true);
		free_rules(&b);
		policy_destroy(b.p);
	}
	b.p = new_set();
	make_people(&b, 100000);
	make_rules(&b, 4096, true);
	set_rules(&b, "five fields and a group each");
	make_flows(&b, 100000);
	measure(&b, false);
	free_rules(&b);
	policy_destroy(b.p);
	bench_names(&b);
	bench_full(&b);
	printf("(checksum %llu)\n", (unsigned long long)b.sum);
	return 0;
}
