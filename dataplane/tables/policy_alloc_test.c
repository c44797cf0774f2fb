// SPDX-License-Identifier: BSD-3-Clause
// A decision allocates nothing, whatever shape a rule over names has. Linked with malloc and its like wrapped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tables/policy_compiled.h"

static uint64_t taken;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	taken++;
	return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	taken++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	taken++;
	return __real_realloc(p, n);
}

static bool find_list(void *user, const char *name, struct expr_list *out)
{
	(void)user;
	snprintf(out->id, sizeof(out->id), "%s", name);
	out->type = strcmp(name, "nets") ? EXPR_LIST_DOMAIN : EXPR_LIST_IP;
	return true;
}

static const struct {
	enum policy_filter filter;
	const char *traffic;
	uint8_t verdict; /* by this rule alone, all names known */
} shapes[] = {
	{POLICY_L4, "net.sni.host == \"www.evil.example\"", POLICY_DENY},
	{POLICY_L4, "net.sni.host matches r\"^w+\\.evil\"", POLICY_DENY},
	{POLICY_L4, "any(net.sni.domains[*] matches r\"^evil\\.[a-z]+$\")", POLICY_DENY},
	{POLICY_L4, "all(net.sni.domains[*] matches r\"e$\")", POLICY_DENY},
	{POLICY_L4, "any(net.sni.domains[*] matches r\"^x\")", POLICY_PASS},
	{POLICY_L4, "lower(net.sni.host) matches r\"^www\\.\"", POLICY_DENY},
	{POLICY_L4, "net.sni.host > \"vvv\" and net.sni.host < \"x\"", POLICY_DENY},
	{POLICY_L4, "net.sni.host in $hosts", POLICY_DENY},
	{POLICY_L4, "any(net.sni.domains[*] in $hosts)", POLICY_DENY},
	{POLICY_L4, "net.sni.domains[2] == \"example\"", POLICY_DENY},
	{POLICY_L4, "any(net.sni.domains[*] contains \"evil\" and not net.sni.domains[*] contains \"www\")", POLICY_DENY},
	{POLICY_L4, "net.dst.ip in $nets", POLICY_DENY},
	{POLICY_HTTP, "lower(http.request.uri) contains \"/upload/\"", POLICY_DENY},
	{POLICY_HTTP, "http.request.method matches r\"^P(UT|OST)$\"", POLICY_DENY},
	{POLICY_HTTP, "lower(http.request.method) == \"put\"", POLICY_DENY},
	{POLICY_HTTP, "http.request.uri matches r\"/upload/\\d+$\"", POLICY_PASS},
	{POLICY_HTTP, "starts_with(lower(http.request.uri), \"http://www.\")", POLICY_DENY},
};

static const struct names known = {
	.sni = {NAME_KNOWN, 16, "www.evil.example"},
	.http_host = {NAME_KNOWN, 16, "www.evil.example"},
	.http_uri = {NAME_KNOWN, 33, "http://www.evil.example/Upload/xy"},
	.http_method = {NAME_KNOWN, 3, "PUT"},
	.dns_fqdn = {.state = NAME_MISSING},
};

static void check_shape(size_t i)
{
	const enum expr_scheme schemes[] = {EXPR_L4, EXPR_HTTP, EXPR_DNS};
	const struct policy_limits limits = POLICY_LIMITS_DEFAULT;
	const struct expr_lists lists = {.find = find_list};
	const char *const nets[] = {"10.0.0.0/8"}, *const hosts[] = {"evil.example", "www.evil.example"};
	struct policy_query q = {.identity = POLICY_IDENTITY_NONE, .family = 4, .proto = 6, .src_port = 1, .dst_port = 443, .dst = {10, 0, 0, 1}};
	struct policy_rule rule = {.filter = shapes[i].filter, .action = POLICY_BLOCK, .name = "shape"};
	struct policy_set *p = policy_create(&limits, (struct retire_ops){NULL, NULL});
	struct policy_result got;
	struct policy_error error;
	struct expr_error wrong;
	struct expr *e;
	uint64_t before;

	assert_int_equal(policy_list_put(p, 0, "nets", EXPR_LIST_IP, nets, 1, &error), 0);
	assert_int_equal(policy_list_put(p, 0, "hosts", EXPR_LIST_DOMAIN, hosts, 2, &error), 0);
	if (expr_parse(shapes[i].traffic, strlen(shapes[i].traffic), schemes[shapes[i].filter], &lists, &e, &wrong))
		fail_msg("%s: %s", shapes[i].traffic, wrong.message);
	rule.traffic = e;
	if (policy_rules_set(p, 0, true, &rule, 1, &error))
		fail_msg("%s", error.message);
	before = taken;
	policy_decide(p, &q, &known, &got);
	if (taken != before)
		fail_msg("%s: %llu allocations for a decision", shapes[i].traffic, (unsigned long long)(taken - before));
	if (got.verdict != shapes[i].verdict)
		fail_msg("%s: verdict %u", shapes[i].traffic, got.verdict);
	policy_destroy(p);
	expr_free(e);
}

static void test_a_decision_allocates_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		check_shape(i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_decision_allocates_nothing)};

	hs_set_allocator(__wrap_malloc, free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
