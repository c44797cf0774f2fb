// SPDX-License-Identifier: BSD-3-Clause
// Policy: the meaning of rules, as a numbered table; lists, identities, limits, frees.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tables/policy_compiled.h"

#define RULES_MAX 8

static const char *const list_items[] = {"192.0.2.0/24", "198.51.100.7", "203.0.113.5-203.0.113.9", "2001:db8::/32"};

static bool find_list(void *user, const char *name, struct expr_list *out)
{
	(void)user;
	snprintf(out->id, sizeof(out->id), "%s", name);
	out->type = strcmp(name, "hosts") ? EXPR_LIST_IP : EXPR_LIST_DOMAIN;
	return true;
}

static struct expr *parse(const char *text, enum expr_scheme scheme)
{
	const struct expr_lists lists = {.find = find_list};
	struct expr_error error;
	struct expr *e;

	if (!text)
		return NULL;
	if (expr_parse(text, strlen(text), scheme, &lists, &e, &error))
		fail_msg("%s: %s", text, error.message);
	return e;
}

/* "l4 10 allow" and the three expressions. */
struct rule_text {
	const char *head, *traffic, *identity, *posture;
};

struct bed {
	struct policy_set *set;
	struct policy_rule rules[RULES_MAX];
	size_t n;
	uint32_t ana, bob;
};

static enum expr_scheme scheme_of(enum policy_filter f)
{
	return f == POLICY_L4 ? EXPR_L4 : f == POLICY_HTTP ? EXPR_HTTP : EXPR_DNS;
}

static void bed_rules(struct bed *b, const struct rule_text *texts, bool allow)
{
	struct policy_error error;
	char filter[8], action[8];
	int precedence;

	for (b->n = 0; b->n < RULES_MAX && texts[b->n].head; b->n++) {
		struct policy_rule *r = &b->rules[b->n];

		assert_int_equal(sscanf(texts[b->n].head, "%7s %d %7s", filter, &precedence, action), 3);
		*r = (struct policy_rule){.index = (uint32_t)b->n, .precedence = precedence, .name = texts[b->n].head};
		r->filter = !strcmp(filter, "l4") ? POLICY_L4 : !strcmp(filter, "http") ? POLICY_HTTP : POLICY_DNS;
		r->action = !strcmp(action, "allow") ? POLICY_ALLOW : !strcmp(action, "block") ? POLICY_BLOCK : POLICY_OFF;
		r->traffic = parse(texts[b->n].traffic, scheme_of(r->filter));
		r->identity = parse(texts[b->n].identity, EXPR_IDENTITY);
		r->posture = parse(texts[b->n].posture, EXPR_POSTURE);
	}
	if (policy_rules_set(b->set, 0, allow, b->rules, b->n, &error))
		fail_msg("%s", error.message);
}

static void bed_open(struct bed *b)
{
	const struct policy_limits limits = POLICY_LIMITS_DEFAULT;
	const char *const dev[] = {"dev", "on call"}, *const ops[] = {"ops"}, *const check[] = {"disk"};
	const char *const hosts[] = {"Evil.example", "db.corp.example"};
	struct policy_error error;

	memset(b, 0, sizeof(*b));
	b->set = policy_create(&limits, (struct retire_ops){NULL, NULL});
	assert_non_null(b->set);
	assert_int_equal(policy_list_put(b->set, 0, "nets", EXPR_LIST_IP, list_items, 4, &error), 0);
	assert_int_equal(policy_list_put(b->set, 0, "hosts", EXPR_LIST_DOMAIN, hosts, 2, &error), 0);
	assert_int_equal(policy_vnet_put(b->set, 3, "vnet-three"), 0);
	b->ana = policy_identity_get(b->set, 0,
				     &(struct policy_identity){.email = "Ana@example.com", .name = "laptop", .groups = dev, .n_groups = 2,
							       .passed = check, .n_passed = 1});
	b->bob = policy_identity_get(b->set, 0,
				     &(struct policy_identity){.email = "bob@example.com", .name = "phone", .groups = ops, .n_groups = 1,
							       .failed = check, .n_failed = 1});
	assert_true(b->ana != b->bob);
}

static void bed_close(struct bed *b)
{
	policy_destroy(b->set);
	for (size_t i = 0; i < b->n; i++) {
		expr_free((struct expr *)(uintptr_t)b->rules[i].traffic);
		expr_free((struct expr *)(uintptr_t)b->rules[i].identity);
		expr_free((struct expr *)(uintptr_t)b->rules[i].posture);
	}
}

static struct policy_query query(const struct bed *b, const char *who, const char *dst, uint16_t port, uint8_t proto)
{
	struct policy_query q = {.vnet = 3, .identity = !strcmp(who, "ana") ? b->ana : b->bob, .proto = proto, .src_port = 40000, .dst_port = port};
	struct ip_addr a;

	assert_true(ip_addr_parse(dst, &a));
	q.family = a.family;
	memcpy(q.dst, a.bytes, 16);
	assert_true(ip_addr_parse(a.family == 4 ? "100.96.0.10" : "fd00::10", &a));
	memcpy(q.src, a.bytes, 16);
	if (proto != 6 && proto != 17)
		q.src_port = q.dst_port = 0;
	return q;
}

static struct names names_of(const char *text)
{
	struct names n = {.protocol_state = NAME_KNOWN, .protocol = DETECTED_NONE};
	struct name_text *all[] = {&n.sni, &n.http_host, &n.http_uri, &n.http_method, &n.dns_fqdn};

	for (unsigned i = 0; i < 5; i++)
		all[i]->state = NAME_MISSING;
	if (!strncmp(text, "sni=", 4)) {
		n.protocol = DETECTED_TLS;
		n.sni = (struct name_text){NAME_KNOWN, (uint16_t)strlen(text + 4), text + 4};
	} else if (!strncmp(text, "host=", 5)) {
		n.protocol = DETECTED_HTTP;
		n.http_host = (struct name_text){NAME_KNOWN, (uint16_t)strlen(text + 5), text + 5};
	} else if (!strncmp(text, "dns=", 4)) {
		n.protocol = DETECTED_DNS;
		n.dns_fqdn = (struct name_text){NAME_KNOWN, (uint16_t)strlen(text + 4), text + 4};
	}
	return n;
}

#define NOBODY (-1)
enum { TCP = 6, UDP = 17, ICMP = 1 };

static const struct {
	int number;
	bool allow;
	struct rule_text rules[4];
	const char *who, *dst;
	uint16_t port;
	uint8_t proto;
	const char *names; /* NULL: nothing seen */
	enum policy_verdict verdict;
	int rule;
} cases[] = {
	{1, true, {{NULL, NULL, NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, NULL, POLICY_PASS, NOBODY},
	{2, false, {{NULL, NULL, NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, NULL, POLICY_DENY, NOBODY},
	{3, false, {{"l4 10 allow", "net.dst.port == 443", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, NULL, POLICY_PASS, 0},
	{4, false, {{"l4 10 allow", "net.dst.port == 443", NULL, NULL}}, "ana", "192.0.2.1", 80, TCP, NULL, POLICY_DENY, NOBODY},
	/* precedence, not place, decides */
	{5, true, {{"l4 20 allow", NULL, NULL, NULL}, {"l4 10 block", "net.dst.ip in $nets", NULL, NULL}}, "ana", "192.0.2.1", 80, TCP, NULL, POLICY_DENY, 1},
	{6, true, {{"l4 10 allow", NULL, NULL, NULL}, {"l4 20 block", "net.dst.ip in $nets", NULL, NULL}}, "ana", "192.0.2.1", 80, TCP, NULL, POLICY_PASS, 0},
	/* lists: prefix, address, range, v6, and their ends */
	{7, true, {{"l4 10 block", "net.dst.ip in $nets", NULL, NULL}}, "ana", "198.51.100.7", 80, TCP, NULL, POLICY_DENY, 0},
	{8, true, {{"l4 10 block", "net.dst.ip in $nets", NULL, NULL}}, "ana", "198.51.100.8", 80, TCP, NULL, POLICY_PASS, NOBODY},
	{9, true, {{"l4 10 block", "net.dst.ip in $nets", NULL, NULL}}, "ana", "203.0.113.9", 80, TCP, NULL, POLICY_DENY, 0},
	{10, true, {{"l4 10 block", "net.dst.ip in $nets", NULL, NULL}}, "ana", "203.0.113.10", 80, TCP, NULL, POLICY_PASS, NOBODY},
	{11, true, {{"l4 10 block", "net.dst.ip in $nets", NULL, NULL}}, "ana", "203.0.113.4", 80, TCP, NULL, POLICY_PASS, NOBODY},
	{12, true, {{"l4 10 block", "net.dst.ip in $nets", NULL, NULL}}, "ana", "2001:db8:ffff::1", 80, TCP, NULL, POLICY_DENY, 0},
	{13, true, {{"l4 10 block", "net.dst.ip in $gone", NULL, NULL}}, "ana", "192.0.2.1", 80, TCP, NULL, POLICY_PASS, NOBODY},
	/* identity and posture */
	{14, false, {{"l4 10 allow", NULL, "any(identity.groups.name[*] in {\"dev\"})", NULL}}, "ana", "192.0.2.1", 80, TCP, NULL, POLICY_PASS, 0},
	{15, false, {{"l4 10 allow", NULL, "any(identity.groups.name[*] in {\"dev\"})", NULL}}, "bob", "192.0.2.1", 80, TCP, NULL, POLICY_DENY, NOBODY},
	{16, false, {{"l4 10 allow", NULL, "identity.email == \"ana@EXAMPLE.com\"", NULL}}, "ana", "192.0.2.1", 80, TCP, NULL, POLICY_PASS, 0},
	{17, false, {{"l4 10 allow", NULL, NULL, "any(device_posture.checks.passed[*] == \"disk\")"}}, "ana", "192.0.2.1", 80, TCP, NULL, POLICY_PASS, 0},
	{18, false, {{"l4 10 allow", NULL, NULL, "any(device_posture.checks.passed[*] == \"disk\")"}}, "bob", "192.0.2.1", 80, TCP, NULL, POLICY_DENY, NOBODY},
	/* network, protocol; ICMP has no port, and a missing value is only != */
	{19, false, {{"l4 10 allow", "net.vnet_id == \"VNET-three\"", NULL, NULL}}, "ana", "192.0.2.1", 80, TCP, NULL, POLICY_PASS, 0},
	{20, false, {{"l4 10 allow", "net.protocol == \"udp\"", NULL, NULL}}, "ana", "192.0.2.1", 80, TCP, NULL, POLICY_DENY, NOBODY},
	{21, false, {{"l4 10 allow", "net.protocol == \"icmp\"", NULL, NULL}}, "ana", "192.0.2.1", 0, ICMP, NULL, POLICY_PASS, 0},
	{22, false, {{"l4 10 allow", "net.dst.port != 22", NULL, NULL}}, "ana", "192.0.2.1", 0, ICMP, NULL, POLICY_PASS, 0},
	{23, false, {{"l4 10 allow", "net.dst.port <= 1024", NULL, NULL}}, "ana", "192.0.2.1", 0, ICMP, NULL, POLICY_DENY, NOBODY},
	/* decision 8: unknown before the first decided one leaves it pending; behind it, not */
	{24, true, {{"l4 10 block", "net.sni.host == \"evil.example\"", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, NULL, POLICY_PENDING, NOBODY},
	{25, true, {{"l4 10 block", "net.sni.host == \"evil.example\"", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, "sni=evil.example", POLICY_DENY, 0},
	{26, true, {{"l4 10 block", "net.sni.host == \"evil.example\"", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, "sni=good.example", POLICY_PASS, NOBODY},
	{27, true, {{"l4 10 block", "net.sni.host == \"evil.example\"", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, "", POLICY_PASS, NOBODY},
	{28, true, {{"l4 10 allow", "net.dst.port == 443", NULL, NULL}, {"l4 20 block", "net.sni.host == \"x\"", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, NULL, POLICY_PASS, 0},
	{29, true, {{"l4 10 block", "net.sni.host == \"x\" and net.dst.port == 80", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, NULL, POLICY_PASS, NOBODY},
	{30, true, {{"l4 10 block", "net.sni.host == \"x\" or net.dst.port == 443", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, NULL, POLICY_DENY, 0},
	{31, true, {{"l4 10 block", "net.sni.host == \"x\"", NULL, NULL}}, "ana", "192.0.2.1", 0, ICMP, NULL, POLICY_PASS, NOBODY},
	{32, true, {{"l4 10 block", "not net.sni.host == \"x\"", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, "", POLICY_DENY, 0},
	{33, true, {{"l4 10 block", "any(net.sni.domains[*] in $hosts)", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, "sni=a.b.evil.example", POLICY_DENY, 0},
	{34, true, {{"l4 10 block", "any(net.sni.domains[*] in $hosts)", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, "sni=notevil.example", POLICY_PASS, NOBODY},
	/* decision 7: two tracks */
	{35, true, {{"http 10 block", "http.conn.dst_ip in $nets", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, NULL, POLICY_DENY, 0},
	{36, false, {{"http 10 allow", "http.conn.dst_ip in $nets", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, NULL, POLICY_DENY, NOBODY},
	{37, true, {{"http 10 block", "http.conn.dst_ip in $nets", NULL, NULL}}, "ana", "192.0.2.1", 0, ICMP, NULL, POLICY_PASS, NOBODY},
	{38, true, {{"http 10 block", "http.request.host == \"evil.example\"", NULL, NULL}, {"http 99 off", "any(http.conn.dst_ip[*] in $nets)", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, NULL, POLICY_PASS, NOBODY},
	{39, true, {{"http 10 block", "http.request.host == \"evil.example\"", NULL, NULL}, {"http 99 off", "any(http.conn.dst_ip[*] in $nets)", NULL, NULL}}, "ana", "10.0.0.1", 443, TCP, NULL, POLICY_PENDING, NOBODY},
	{40, false, {{"http 10 off", "http.conn.dst_ip in $nets", NULL, NULL}}, "ana", "192.0.2.1", 443, TCP, NULL, POLICY_DENY, NOBODY},
	{41, true, {{"http 10 block", "http.request.host == \"evil.example\"", NULL, NULL}}, "ana", "10.0.0.1", 80, TCP, "host=evil.example", POLICY_DENY, 0},
	{42, true, {{"http 10 block", "http.request.host == \"evil.example\"", NULL, NULL}}, "ana", "10.0.0.1", 443, TCP, "sni=evil.example", POLICY_PASS, NOBODY},
	{43, false, {{"l4 10 block", NULL, NULL, NULL}, {"http 10 block", "http.request.host == \"x\"", NULL, NULL}}, "ana", "10.0.0.1", 80, TCP, NULL, POLICY_DENY, 0},
	{44, true, {{"l4 10 block", "net.sni.host == \"x\"", NULL, NULL}, {"http 10 block", "http.conn.dst_ip == 10.0.0.1", NULL, NULL}}, "ana", "10.0.0.1", 443, TCP, NULL, POLICY_DENY, 1},
	{45, true, {{"dns 10 block", "any(dns.domains[*] == \"evil.example\")", NULL, NULL}}, "ana", "10.0.0.1", 53, UDP, NULL, POLICY_PENDING, NOBODY},
	{46, true, {{"dns 10 block", "any(dns.domains[*] == \"evil.example\")", NULL, NULL}}, "ana", "10.0.0.1", 53, UDP, "dns=www.evil.example", POLICY_DENY, 0},
	{47, true, {{"dns 10 block", "any(dns.domains[*] == \"evil.example\")", NULL, NULL}}, "ana", "10.0.0.1", 443, TCP, NULL, POLICY_PASS, NOBODY},
	{48, true, {{"http 10 block", NULL, NULL, NULL}}, "ana", "10.0.0.1", 53, UDP, NULL, POLICY_PASS, NOBODY},
	{49, true, {{"l4 10 block", "net.detected_protocol == \"unknown\"", NULL, NULL}}, "ana", "10.0.0.1", 22, TCP, "", POLICY_DENY, 0},
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy_result r, burst;
		struct names names;
		struct policy_query q;
		const struct policy_query *qs[] = {&q};
		struct bed b;

		bed_open(&b);
		bed_rules(&b, cases[i].rules, cases[i].allow);
		q = query(&b, cases[i].who, cases[i].dst, cases[i].port, cases[i].proto);
		if (cases[i].names)
			names = names_of(cases[i].names);
		policy_decide(b.set, &q, cases[i].names ? &names : NULL, &r);
		if (r.verdict != cases[i].verdict || (int)r.rule != cases[i].rule)
			fail_msg("case %d: verdict %u by rule %d, not %u by %d", cases[i].number, r.verdict, (int)r.rule, cases[i].verdict,
				 cases[i].rule);
		assert_int_equal(r.inspect, r.verdict == POLICY_PENDING);
		if (!cases[i].names) {
			policy_decide_burst(b.set, qs, &burst, 1);
			assert_int_equal(burst.verdict, r.verdict);
			assert_int_equal(burst.rule, r.rule);
		}
		bed_close(&b);
	}
}

static void test_private_side(void **state)
{
	const struct rule_text rules[] = {{"l4 10 allow", "net.src.ip in $nets and net.dst.port == 22", NULL, NULL}, {NULL, NULL, NULL, NULL}};
	struct policy_result r;
	struct policy_query q;
	struct bed b;
	struct ip_addr a;

	(void)state;
	bed_open(&b);
	bed_rules(&b, rules, true);
	q = query(&b, "ana", "100.96.0.10", 22, TCP);
	q.from_private = true;
	assert_true(ip_addr_parse("192.0.2.9", &a));
	memcpy(q.src, a.bytes, 16);
	policy_decide(b.set, &q, NULL, &r);
	assert_int_equal(r.verdict, POLICY_PASS);
	q.dst_port = 23; /* the default action allows clients alone */
	policy_decide(b.set, &q, NULL, &r);
	assert_int_equal(r.verdict, POLICY_DENY);
	bed_close(&b);
}

/* A rule that does not name the source opens nothing for the private side; one that blocks does block. */
static void test_private_side_needs_source(void **state)
{
	const struct rule_text open[] = {{"l4 10 allow", "net.dst.port == 22", NULL, NULL}, {NULL, NULL, NULL, NULL}};
	const struct rule_text shut[] = {{"l4 10 block", "net.dst.port == 22", NULL, NULL}, {"l4 20 allow", "net.src.ip in $nets", NULL, NULL}, {NULL, NULL, NULL, NULL}};
	struct policy_result r;
	struct policy_query q;
	struct ip_addr a;
	struct bed b;

	(void)state;
	assert_true(ip_addr_parse("192.0.2.9", &a));
	for (unsigned i = 0; i < 2; i++) {
		bed_open(&b);
		bed_rules(&b, i ? shut : open, true);
		q = query(&b, "ana", "100.96.0.10", 22, TCP);
		memcpy(q.src, a.bytes, 16);
		policy_decide(b.set, &q, NULL, &r);
		assert_int_equal(r.verdict, i ? POLICY_DENY : POLICY_PASS);
		q.from_private = true;
		policy_decide(b.set, &q, NULL, &r);
		assert_int_equal(r.verdict, POLICY_DENY);
		assert_int_equal(r.rule, i ? 0 : POLICY_RULE_DEFAULT);
		bed_close(&b);
	}
}

/* Rules by their terms: numbered, with the traffic and how many terms it has. */
static void test_terms(void **state)
{
	static const struct {
		int number;
		const char *traffic;
		uint32_t terms;
	} of[] = {
		{1, "net.dst.port == 1", 1},
		{2, "net.dst.port == 1 or net.dst.port == 2 or net.dst.ip in $nets", 3},
		{3, "(net.dst.port == 1 or net.dst.port == 2) and (net.src.port == 1 or net.src.port == 2)", 4},
		{4, "not (net.dst.port == 1 or net.src.port == 2)", 1},
		{5, "not (net.dst.port == 1 and net.src.port == 2)", 2},
		{6, "net.dst.port == 1 xor net.src.port == 2", 2},
		{7, "net.dst.port == 1 and not net.dst.port == 1", 0}, /* always known: nothing is left */
		{8, "net.dst.port == 1 and net.dst.port != 1", 0},
		{9, "net.sni.host == \"a\" and not net.sni.host == \"a\"", 1}, /* unknown until it is seen */
		{10, "net.dst.port in {1 2 3 4 5 6..9}", 1},
	};
	struct policy_stats stats;

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		const struct rule_text rules[] = {{"l4 10 allow", of[i].traffic, NULL, NULL}, {NULL, NULL, NULL, NULL}};
		struct bed b;

		bed_open(&b);
		bed_rules(&b, rules, false);
		policy_stats(b.set, 0, &stats);
		if (stats.terms != of[i].terms)
			fail_msg("case %d: %u terms, not %u", of[i].number, stats.terms, of[i].terms);
		bed_close(&b);
	}
}

static void test_term_limits(void **state)
{
	const struct policy_limits limits = {.accounts = 1, .vnets = 1, .rules = 4, .terms = 5, .rules_total = 4, .lists = 1, .list_entries = 1, .terms_per_rule = 3};
	struct policy_set *p = policy_create(&limits, (struct retire_ops){NULL, NULL});
	struct expr *three = parse("net.dst.port == 1 or net.dst.port == 2 or net.dst.port == 3", EXPR_L4);
	struct expr *four = parse("(net.dst.port == 1 or net.dst.port == 2) and (net.src.port == 1 or net.src.port == 2)", EXPR_L4);
	struct policy_rule rules[2] = {{.index = 0, .precedence = 1, .name = "one", .traffic = three}, {.index = 1, .precedence = 2, .name = "two", .traffic = three}};
	struct policy_error error;
	struct policy_query q = {.family = 4, .proto = TCP, .dst_port = 2};
	struct policy_result r;

	(void)state;
	assert_int_equal(policy_rules_set(p, 0, false, rules, 1, &error), 0);
	assert_int_equal(policy_rules_set(p, 0, false, rules, 2, &error), -ENOSPC); /* six terms of five */
	assert_int_equal(error.rule, 1);
	assert_non_null(strstr(error.message, "rule two"));
	rules[0].traffic = four;
	assert_int_equal(policy_rules_set(p, 0, false, rules, 1, &error), -ENOSPC);
	assert_int_equal(error.rule, 0);
	assert_non_null(strstr(error.message, "more than 3"));
	policy_decide(p, &q, NULL, &r); /* the rules before stay */
	assert_int_equal(r.verdict, POLICY_PASS);
	policy_destroy(p);
	expr_free(three);
	expr_free(four);
}

/* A list that outgrows the first table of addresses, item by item, with prefixes inside one another. */
static void test_large_list(void **state)
{
	const struct rule_text rules[] = {{"l4 10 block", "net.dst.ip in $large and not net.dst.ip in {10.0.7.0/24}", NULL, NULL}, {NULL, NULL, NULL, NULL}};
	static char texts[20000][20];
	static const char *items[20001];
	struct policy_error error;
	struct policy_result r;
	struct policy_query q;
	struct bed b;

	(void)state;
	bed_open(&b);
	bed_rules(&b, rules, true);
	for (uint32_t i = 0; i < 20000; i++) {
		snprintf(texts[i], sizeof(texts[i]), "10.0.%u.%u", i * 2 / 256, i * 2 % 256);
		items[i] = texts[i];
	}
	assert_int_equal(policy_list_put(b.set, 0, "large", EXPR_LIST_IP, items, 20000, &error), 0);
	for (unsigned step = 0; step < 3; step++) {
		for (uint32_t at = 0; at < 40000; at += 7) {
			char dst[20];

			snprintf(dst, sizeof(dst), "10.0.%u.%u", at / 256, at % 256);
			q = query(&b, "ana", dst, 80, TCP);
			policy_decide(b.set, &q, NULL, &r);
			if (r.verdict != (at / 256 != 7 && (step == 1 || at % 2 == 0) ? POLICY_DENY : POLICY_PASS))
				fail_msg("step %u: %s: %u", step, dst, r.verdict);
		}
		items[20000] = "10.0.0.0/8"; /* covers all of them; then it is gone again */
		assert_int_equal(policy_list_put(b.set, 0, "large", EXPR_LIST_IP, items, step == 0 ? 20001 : 20000, &error), 0);
	}
	bed_close(&b);
}

/* An item of a list of texts that an identity asks for takes effect on those who are there. */
static void test_list_of_people(void **state)
{
	const struct rule_text rules[] = {{"l4 10 allow", NULL, "identity.email in $hosts", NULL}, {NULL, NULL, NULL, NULL}};
	const char *const people[] = {"ANA@example.com"};
	struct policy_error error;
	struct policy_result r;
	struct policy_query q;
	struct bed b;

	(void)state;
	bed_open(&b);
	bed_rules(&b, rules, false);
	q = query(&b, "ana", "10.0.0.1", 80, TCP);
	policy_decide(b.set, &q, NULL, &r);
	assert_int_equal(r.verdict, POLICY_DENY);
	assert_int_equal(policy_list_put(b.set, 0, "hosts", EXPR_LIST_EMAIL, people, 1, &error), 0);
	policy_decide(b.set, &q, NULL, &r);
	assert_int_equal(r.verdict, POLICY_PASS);
	policy_list_delete(b.set, 0, "hosts");
	policy_decide(b.set, &q, NULL, &r);
	assert_int_equal(r.verdict, POLICY_DENY);
	bed_close(&b);
}

static void test_explain(void **state)
{
	const struct rule_text rules[] = {{"l4 20 block", NULL, NULL, NULL}, {"l4 10 allow", "net.dst.port == 443", "identity.email == \"ana@example.com\"", NULL},
					  {"http 5 off", "http.conn.dst_ip in $nets", NULL, NULL}, {NULL, NULL, NULL, NULL}};
	struct policy_step steps[4];
	struct policy_result r;
	struct policy_query q;
	struct bed b;

	(void)state;
	bed_open(&b);
	bed_rules(&b, rules, false);
	q = query(&b, "bob", "192.0.2.1", 443, TCP);
	assert_int_equal(policy_explain(b.set, &q, NULL, steps, 4, &r), 3);
	assert_int_equal(steps[0].rule, 1);
	assert_int_equal(steps[0].match, POLICY_NO);
	assert_string_equal(steps[0].failed, "identity");
	assert_false(steps[0].decided);
	assert_int_equal(steps[1].rule, 0);
	assert_int_equal(steps[1].match, POLICY_YES);
	assert_true(steps[1].decided);
	assert_int_equal(steps[2].filter, POLICY_HTTP);
	assert_true(r.off);
	assert_int_equal(r.verdict, POLICY_DENY);
	assert_int_equal(r.l4_rule, 0);
	assert_int_equal(r.other_rule, 2);
	/* one step asked for: still told how many there are, and nothing behind it written */
	assert_int_equal(policy_explain(b.set, &q, NULL, steps, 1, &r), 3);
	bed_close(&b);
}

static void test_covered(void **state)
{
	const struct rule_text rules[] = {{"l4 10 block", NULL, NULL, NULL}, {"l4 20 allow", "net.dst.port == 443", NULL, NULL}, {"http 30 block", NULL, NULL, NULL}, {NULL, NULL, NULL, NULL}};
	struct bed b;

	(void)state;
	bed_open(&b);
	bed_rules(&b, rules, false);
	assert_int_equal(policy_covered_by(b.set, 0, 1).rule, 0);
	assert_int_equal(policy_covered_by(b.set, 0, 0).rule, POLICY_RULE_DEFAULT);
	assert_int_equal(policy_covered_by(b.set, 0, 2).rule, POLICY_RULE_DEFAULT);
	assert_int_equal(policy_covered_by(b.set, 0, 77).rule, POLICY_RULE_DEFAULT);
	bed_close(&b);
}

/* Covered for certain, and what only looks so. */
static void test_covered_table(void **state)
{
	static const struct {
		int number;
		struct rule_text first, second;
		bool covered;
	} of[] = {
		{1, {"l4 10 block", "net.dst.ip in {10.0.0.0/8}", NULL, NULL}, {"l4 20 allow", "net.dst.ip in {10.1.0.0/16}", NULL, NULL}, true},
		{2, {"l4 10 block", "net.dst.ip in {10.1.0.0/16}", NULL, NULL}, {"l4 20 allow", "net.dst.ip in {10.0.0.0/8}", NULL, NULL}, false},
		{3, {"l4 10 block", "net.dst.port in {80..90}", NULL, NULL}, {"l4 20 allow", "net.dst.port in {81 85}", NULL, NULL}, true},
		{4, {"l4 10 block", "net.dst.port in {80..90}", NULL, NULL}, {"l4 20 allow", "net.dst.port in {81 91}", NULL, NULL}, false},
		{5, {"l4 10 block", "net.dst.port == 80", "identity.email == \"a\"", NULL}, {"l4 20 allow", "net.dst.port == 80", NULL, NULL}, false},
		{6, {"l4 10 block", "net.dst.port == 80", NULL, NULL}, {"l4 20 allow", "net.dst.port == 80", "identity.email == \"a\"", NULL}, true},
		{7, {"l4 10 block", NULL, "identity.email == \"a\"", NULL}, {"l4 20 allow", NULL, "identity.email == \"a\"", NULL}, true},
		{8, {"l4 10 block", "net.sni.host == \"a\"", NULL, NULL}, {"l4 20 allow", "net.sni.host == \"a\" and net.dst.port == 1", NULL, NULL}, true},
		{9, {"l4 10 block", "net.sni.host == \"a\"", NULL, NULL}, {"l4 20 allow", "net.sni.host == \"b\"", NULL, NULL}, false},
		{10, {"l4 10 allow", NULL, NULL, NULL}, {"l4 20 block", "net.dst.port == 1", NULL, NULL}, true}, /* but where the private side opens */
		{11, {"l4 10 allow", NULL, NULL, NULL}, {"l4 20 allow", "net.dst.port == 1", NULL, NULL}, true},
		{12, {"l4 10 block", "net.vnet_id == \"vnet-three\"", NULL, NULL}, {"l4 20 allow", "net.vnet_id wildcard \"vnet*\"", NULL, NULL}, false},
		{13, {"http 10 off", "http.conn.dst_ip in {10.0.0.0/8}", NULL, NULL}, {"http 5 block", "http.conn.dst_ip == 10.0.0.1", NULL, NULL}, true},
		{14, {"l4 10 block", "net.protocol == \"tcp\"", NULL, NULL}, {"l4 20 allow", "net.protocol == \"udp\"", NULL, NULL}, false},
		{15, {"l4 10 allow", NULL, NULL, NULL}, {"l4 20 block", "net.src.ip == 10.0.0.1", NULL, NULL}, false}, /* meant for the private side */
		{16, {"l4 10 block", "net.dst.ip in $nets", NULL, NULL}, {"l4 20 allow", "net.dst.ip in {192.0.2.0/25 203.0.113.6..203.0.113.7}", NULL, NULL}, true},
		{17, {"l4 10 block", "net.dst.ip in {192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32}", NULL, NULL}, {"l4 20 allow", "net.dst.ip in $nets", NULL, NULL}, true},
		{18, {"l4 10 block", "net.dst.port == 1", NULL, NULL}, {"l4 20 allow", "net.dst.ip in $empty and net.dst.port == 1", NULL, NULL}, false}, /* matches nothing now */
		{19, {"l4 10 block", NULL, "any(identity.groups.name[*] in {\"dev\" \"ops\"})", NULL}, {"l4 20 allow", NULL, "any(identity.groups.name[*] == \"dev\")", NULL}, true},
		{20, {"l4 10 block", NULL, "any(identity.groups.name[*] == \"dev\")", NULL}, {"l4 20 allow", NULL, "any(identity.groups.name[*] in {\"dev\" \"ops\"})", NULL}, false},
		{21, {"l4 10 block", NULL, "identity.email wildcard \"*@example.com\"", NULL}, {"l4 20 allow", NULL, "identity.email in {\"ana@example.com\" \"Bob@Example.com\"}", NULL}, true},
		{22, {"l4 10 block", NULL, "identity.email wildcard \"*@example.com\"", NULL}, {"l4 20 allow", NULL, "identity.email in {\"ana@example.com\" \"bob@example.net\"}", NULL}, false},
		{23, {"l4 10 block", NULL, "identity.email == \"a\"", NULL}, {"l4 20 allow", NULL, "identity.email == \"a\" and identity.name == \"b\"", NULL}, true},
		{24, {"l4 10 block", NULL, "identity.email == \"a\" and identity.name == \"b\"", NULL}, {"l4 20 allow", NULL, "identity.email == \"a\"", NULL}, false},
		{25, {"l4 10 block", NULL, "identity.email == \"a\" or identity.name == \"b\"", NULL}, {"l4 20 allow", NULL, "identity.name == \"b\"", NULL}, true},
		{26, {"l4 10 block", NULL, "not identity.email == \"a\"", NULL}, {"l4 20 allow", NULL, "not identity.email in {\"a\" \"b\"}", NULL}, true},
		{27, {"l4 10 block", NULL, "not identity.email in {\"a\" \"b\"}", NULL}, {"l4 20 allow", NULL, "not identity.email == \"a\"", NULL}, false},
		{28, {"l4 10 block", NULL, "all(identity.groups.name[*] == \"dev\")", NULL}, {"l4 20 allow", NULL, "any(identity.groups.name[*] == \"dev\")", NULL}, false},
		{29, {"l4 10 block", NULL, NULL, "any(device_posture.checks.passed[*] == \"disk\")"}, {"l4 20 allow", NULL, NULL, "any(device_posture.checks.passed[*] == \"disk\") and not any(device_posture.checks.failed[*] == \"av\")"}, true},
		{30, {"l4 10 block", "any(net.sni.domains[*] == \"evil.example\")", NULL, NULL}, {"l4 20 allow", "net.sni.host == \"www.evil.example\"", NULL, NULL}, true},
		{31, {"l4 10 block", "net.sni.host == \"www.evil.example\"", NULL, NULL}, {"l4 20 allow", "any(net.sni.domains[*] == \"evil.example\")", NULL, NULL}, false},
		{32, {"l4 10 block", "net.sni.host matches r\"^w+\\.evil\"", NULL, NULL}, {"l4 20 allow", "net.sni.host in {\"www.evil.example\" \"w.evil\"} and net.dst.port == 443", NULL, NULL}, true},
		{33, {"l4 10 block", "net.sni.host in $hosts", NULL, NULL}, {"l4 20 allow", "net.sni.host == \"db.corp.example\"", NULL, NULL}, true},
		{34, {"l4 10 block", "net.sni.host wildcard \"*.example\"", NULL, NULL}, {"l4 20 allow", "net.sni.host in $hosts", NULL, NULL}, true},
		{35, {"l4 10 block", "net.sni.host wildcard \"db*.example\"", NULL, NULL}, {"l4 20 allow", "net.sni.host in $hosts", NULL, NULL}, false},
		{36, {"l4 10 block", "not net.sni.host == \"a\"", NULL, NULL}, {"l4 20 allow", "not net.sni.host in {\"a\" \"b\"}", NULL, NULL}, true},
		{37, {"l4 10 block", "net.dst.port == 80 or net.dst.port == 443", NULL, NULL}, {"l4 20 allow", "net.dst.port in {80 443} and net.protocol == \"tcp\"", NULL, NULL}, true},
		{38, {"l4 10 block", NULL, NULL, "any(device_posture.checks.passed[*] == \"disk\")"}, {"l4 20 allow", NULL, NULL, NULL}, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		const struct rule_text rules[] = {of[i].first, of[i].second, {NULL, NULL, NULL, NULL}};
		struct policy_cover got;
		struct bed b;

		bed_open(&b);
		bed_rules(&b, rules, false);
		got = policy_covered_by(b.set, 0, 1);
		if (got.rule != (of[i].covered ? 0 : POLICY_RULE_DEFAULT) || got.more || got.clients != (of[i].number == 10))
			fail_msg("case %d", of[i].number);
		bed_close(&b);
	}
}

static void test_lists_change(void **state)
{
	const struct rule_text rules[] = {{"l4 10 block", "net.dst.ip in $nets", NULL, NULL}, {NULL, NULL, NULL, NULL}};
	const char *const more[] = {"10.9.0.0/16"}, *const bad[] = {"10.9.0.0/16", "10.9.0.1/16"};
	struct policy_error error;
	struct policy_result r;
	struct policy_query q;
	struct bed b;

	(void)state;
	bed_open(&b);
	bed_rules(&b, rules, true);
	q = query(&b, "ana", "10.9.1.1", 80, TCP);
	policy_decide(b.set, &q, NULL, &r);
	assert_int_equal(r.verdict, POLICY_PASS);
	assert_int_equal(policy_list_put(b.set, 0, "nets", EXPR_LIST_IP, bad, 2, &error), -EINVAL);
	assert_non_null(strstr(error.message, "10.9.0.1/16"));
	policy_decide(b.set, &q, NULL, &r);
	assert_int_equal(r.verdict, POLICY_PASS);
	assert_int_equal(policy_list_put(b.set, 0, "nets", EXPR_LIST_IP, more, 1, &error), 0);
	policy_decide(b.set, &q, NULL, &r);
	assert_int_equal(r.verdict, POLICY_DENY);
	policy_list_delete(b.set, 0, "nets");
	policy_decide(b.set, &q, NULL, &r);
	assert_int_equal(r.verdict, POLICY_PASS);
	bed_close(&b);
}

static void test_limits(void **state)
{
	const struct policy_limits limits = {.accounts = 2, .vnets = 1, .rules = 2, .terms = 8, .rules_total = 3, .lists = 1, .list_entries = 2,
					     .terms_per_rule = 4};
	const char *const three[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
	struct policy_rule rules[3] = {{.index = 0, .precedence = 1, .name = "a"}, {.index = 1, .precedence = 2, .name = "b"},
				       {.index = 2, .precedence = 3, .name = "c"}};
	struct policy_set *p = policy_create(&limits, (struct retire_ops){NULL, NULL});
	struct policy_error error;

	(void)state;
	assert_int_equal(policy_list_put(p, 0, "l", EXPR_LIST_IP, three, 3, &error), -ENOSPC);
	assert_int_equal(policy_list_put(p, 0, "l", EXPR_LIST_IP, three, 2, &error), 0);
	assert_int_equal(policy_list_put(p, 0, "m", EXPR_LIST_IP, three, 0, &error), -ENOSPC);
	assert_int_equal(policy_list_put(p, 2, "l", EXPR_LIST_IP, three, 1, &error), -EINVAL);
	assert_int_equal(policy_rules_set(p, 0, false, rules, 3, &error), -ENOSPC);
	assert_int_equal(error.rule, 2);
	assert_int_equal(policy_rules_set(p, 0, false, rules, 2, &error), 0);
	assert_int_equal(policy_rules_set(p, 1, false, rules, 2, &error), -ENOSPC); /* all accounts together */
	assert_int_equal(policy_rules_set(p, 1, false, rules, 1, &error), 0);
	policy_account_delete(p, 0);
	assert_int_equal(policy_rules_set(p, 1, false, rules, 2, &error), 0);
	rules[0].action = POLICY_OFF; /* l4 knows no `off` */
	assert_int_equal(policy_rules_set(p, 1, false, rules, 1, &error), -EINVAL);
	assert_int_equal(policy_vnet_put(p, 1, "x"), -EINVAL);
	policy_destroy(p);
	assert_null(policy_create(&(struct policy_limits){.accounts = 0}, (struct retire_ops){NULL, NULL}));
}

static void test_identities(void **state)
{
	const struct policy_limits limits = POLICY_LIMITS_DEFAULT;
	struct policy_set *p = policy_create(&limits, (struct retire_ops){NULL, NULL});
	static uint32_t ids[5000];
	char email[32];

	(void)state;
	for (uint32_t i = 0; i < 5000; i++) {
		snprintf(email, sizeof(email), "u%u@example.com", i);
		ids[i] = policy_identity_get(p, 0, &(struct policy_identity){.email = email});
		assert_true(ids[i] != POLICY_IDENTITY_NONE);
	}
	for (uint32_t i = 0; i < 5000; i += 2) {
		snprintf(email, sizeof(email), "U%u@example.com", i);
		assert_int_equal(policy_identity_get(p, 0, &(struct policy_identity){.email = email}), ids[i]);
		policy_identity_put(p, 0, ids[i]);
		policy_identity_put(p, 0, ids[i]); /* now it is gone */
	}
	for (uint32_t i = 1; i < 5000; i += 2) {
		snprintf(email, sizeof(email), "u%u@example.com", i);
		assert_int_equal(policy_identity_get(p, 0, &(struct policy_identity){.email = email}), ids[i]);
	}
	assert_int_equal(policy_identity_get(p, 99, &(struct policy_identity){.email = "x"}), POLICY_IDENTITY_NONE);
	policy_identity_put(p, 0, 1u << 30);
	policy_destroy(p);
}

/* What no single rule covers, but several do between them along one dimension. */
static void test_covered_together(void **state)
{
	static const struct {
		int number;
		struct rule_text rules[4];
		uint32_t by, more; /* of the last rule */
	} of[] = {
		{1, {{"l4 10 block", "net.dst.port <= 1000", NULL, NULL}, {"l4 20 allow", "net.dst.port > 1000", NULL, NULL}, {"l4 30 block", "net.dst.port in {999..1001}", NULL, NULL}}, 0, 1},
		{2, {{"l4 10 block", "net.dst.port <= 1000", NULL, NULL}, {"l4 20 allow", "net.dst.port > 1001", NULL, NULL}, {"l4 30 block", "net.dst.port in {999..1002}", NULL, NULL}}, POLICY_RULE_DEFAULT, 0},
		{3, {{"l4 10 block", "net.dst.ip in {10.0.0.0/9}", NULL, NULL}, {"l4 20 block", "net.dst.ip in {10.128.0.0/9}", NULL, NULL}, {"l4 30 allow", "net.dst.ip in {10.0.0.0/8}", NULL, NULL}}, 0, 1},
		{4, {{"l4 10 block", "net.dst.ip in {10.0.0.0/9}", NULL, NULL}, {"l4 20 block", "net.dst.ip in {10.128.0.0/9} and net.dst.port == 80", NULL, NULL}, {"l4 30 allow", "net.dst.ip in {10.0.0.0/8}", NULL, NULL}}, POLICY_RULE_DEFAULT, 0},
		{5, {{"l4 10 block", "net.dst.port == 1", NULL, NULL}, {"l4 20 block", "net.dst.ip == 10.0.0.1", NULL, NULL}, {"l4 30 allow", "net.dst.ip == 10.0.0.1 or net.dst.port == 1", NULL, NULL}}, 0, 1},
		{6, {{"l4 10 block", "net.dst.port == 1", NULL, NULL}, {"l4 20 block", "net.dst.port in {1 2}", NULL, NULL}, {"l4 30 allow", "net.dst.port == 1 or net.dst.port == 2", NULL, NULL}}, 1, 0},
		{7, {{"l4 10 block", "net.dst.port == 1", "identity.email == \"a\"", NULL}, {"l4 20 block", "net.dst.port == 2", NULL, NULL}, {"l4 30 allow", "net.dst.port in {1 2}", NULL, NULL}}, POLICY_RULE_DEFAULT, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		struct policy_cover got;
		struct bed b;

		bed_open(&b);
		bed_rules(&b, of[i].rules, false);
		got = policy_covered_by(b.set, 0, 2);
		if (got.rule != of[i].by || got.more != of[i].more)
			fail_msg("case %d: rule %d and %u more", of[i].number, (int)got.rule, got.more);
		bed_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	     cmocka_unit_test(test_private_side), cmocka_unit_test(test_explain),
		cmocka_unit_test(test_covered),	     cmocka_unit_test(test_lists_change), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_identities),   cmocka_unit_test(test_private_side_needs_source),
		cmocka_unit_test(test_terms),	     cmocka_unit_test(test_term_limits),  cmocka_unit_test(test_large_list),
		cmocka_unit_test(test_list_of_people), cmocka_unit_test(test_covered_table), cmocka_unit_test(test_covered_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
