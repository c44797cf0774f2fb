// SPDX-License-Identifier: BSD-3-Clause
// Rows of lists, rules and clients into the policy: what is parsed when, what is refused by name and what stays then, what
// makes flows decide again, and what time does by itself.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/control/apply_internal.h"
#include "dataplane/control/apply_rules.h"
#include "dataplane/handshake.h"
#include "dataplane/tables/device_table.h"
#include "dataplane/tables/policy.h"
#include "dataplane/tables/reclaim.h"
#include "dataplane/tables/route_table.h"

/* The handshake thread is not here. */
int handshake_peer_changed(struct handshake *hs, uint32_t index, const struct peer_record *record)
{
	(void)hs;
	(void)index;
	(void)record;
	return 0;
}

void handshake_connector_changed(struct handshake *hs, uint32_t index, const struct connector_record *record)
{
	(void)hs;
	(void)index;
	(void)record;
}

#define LIST  "11112222-3333-4444-5555-666677778888"
#define RULE1 "aaaaaaaa-0000-0000-0000-000000000001"
#define RULE2 "aaaaaaaa-0000-0000-0000-000000000002"
#define RULE3 "aaaaaaaa-0000-0000-0000-000000000003"
#define NOW   1000000

static struct edge edge;
static struct reclaim *reclaim;
static struct apply *a;
static struct rte_rcu_qsbr *qsbr;
static uint64_t revision;

static json_t *parse(const char *text)
{
	json_error_t e;
	json_t *v = json_loads(text, 0, &e);

	if (!v)
		fail_msg("%s: %s", text, e.text);
	return v;
}

/* One change: the rows of up to three tables, ends with NULL. */
static void change(const char *table, ...)
{
	va_list ap;

	apply_begin(a, ++revision, false, NOW);
	va_start(ap, table);
	for (; table; table = va_arg(ap, const char *)) {
		json_t *put = parse(va_arg(ap, const char *)), *del = parse(va_arg(ap, const char *));

		apply_rows(a, table, put, del);
		json_decref(put);
		json_decref(del);
	}
	va_end(ap);
	apply_end(a);
	while (!apply_step(a))
		;
	reclaim_drain(reclaim);
}

static int setup(void **state)
{
	struct policy_limits limits = POLICY_LIMITS_DEFAULT;
	struct device_config devices = {.capacity = 64};
	struct route_config routes = {.vnets = 4, .routes = 64};
	size_t size = (rte_rcu_qsbr_get_memsize(1) + 63) & ~(size_t)63;

	(void)state;
	memset(&edge, 0, sizeof(edge));
	qsbr = aligned_alloc(64, size);
	rte_rcu_qsbr_init(qsbr, 1);
	reclaim = reclaim_create(qsbr, 1000);
	limits.accounts = limits.vnets = 4;
	limits.rules = 2;
	edge.config.cap_routes = 64;
	edge.records = records_create(4, 4, 4, 16, 4, 32, 64, 64);
	edge.devices = device_table_create(&devices);
	edge.routes = route_table_create(&routes);
	edge.policy = policy_create(&limits, reclaim_ops(reclaim));
	a = apply_create(&(struct apply_config){.edge = &edge, .reclaim = reclaim});
	assert_non_null(a);
	change("accounts",
	       "[{\"id\":\"A\",\"name\":\"one\",\"default_action\":\"block\"},{\"id\":\"B\",\"name\":\"two\",\"default_action\":\"allow\"}]", "[]",
	       "vnets", "[{\"id\":\"V\",\"account_id\":\"A\",\"name\":\"v\"},{\"id\":\"W\",\"account_id\":\"B\",\"name\":\"w\"}]", "[]",
	       "lists", "[{\"id\":\"" LIST "\",\"account_id\":\"A\",\"name\":\"l\",\"type\":\"IP\",\"items\":[\"192.0.2.0/24\"]}]", "[]", NULL);
	assert_int_equal(apply_refused_count(a), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	reclaim_drain(reclaim);
	apply_destroy(a);
	reclaim_destroy(reclaim);
	route_table_destroy(edge.routes);
	device_table_destroy(edge.devices);
	policy_destroy(edge.policy);
	records_destroy(edge.records);
	free(qsbr);
	return 0;
}

/* ---- asking ---- */

static struct policy_result ask(uint32_t identity, const char *dst, uint16_t port)
{
	struct policy_query q = {.account = 0, .identity = identity, .family = 4, .proto = 6, .src_port = 1000, .dst_port = port};
	struct policy_result r;
	struct ip_addr addr;

	assert_true(ip_addr_parse(dst, &addr));
	memcpy(q.dst, addr.bytes, 4);
	memcpy(q.src, "\x64\x60\0\2", 4);
	policy_decide(edge.policy, &q, NULL, &r);
	return r;
}

static bool allows(const char *dst, uint16_t port)
{
	return ask(POLICY_IDENTITY_NONE, dst, port).verdict == POLICY_PASS;
}

static const struct account_record *account(uint32_t i)
{
	return edge.records->accounts[i];
}

static const struct client_record *client(void)
{
	return edge.records->clients[0];
}

/* The only refusal there is now. */
static void refused_is(const char *table, const char *key, const char *code, const char *words)
{
	json_t *list = apply_refused(a), *e = json_array_get(list, 0);

	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(e, "table")), table);
	assert_string_equal(json_string_value(json_object_get(e, "key")), key);
	assert_string_equal(json_string_value(json_object_get(e, "code")), code);
	if (!strstr(json_string_value(json_object_get(e, "message")), words))
		fail_msg("'%s' is not in '%s'", words, json_string_value(json_object_get(e, "message")));
	json_decref(list);
}

#define RULE_ROW(id, precedence, action, traffic, more)                                                     \
	"{\"id\":\"" id "\",\"account_id\":\"A\",\"name\":\"" id "\",\"precedence\":" #precedence             \
	",\"enabled\":true,\"action\":\"" action "\",\"filters\":[\"l4\"],\"traffic\":" traffic more "}"

static const char allow_list[] = "[" RULE_ROW(RULE1, 10, "allow", "\"net.dst.ip in $11112222333344445555666677778888\"", "") "]";

/* ---- tests ---- */

static void rules_take_effect_at_the_end(void **state)
{
	json_t *rows = parse(allow_list);

	(void)state;
	assert_true(account(0)->policy_ready && account(1)->policy_ready);
	assert_false(allows("192.0.2.1", 80));
	apply_begin(a, ++revision, false, NOW);
	apply_rows(a, "rules", rows, NULL);
	assert_false(allows("192.0.2.1", 80)); /* compiled once, when the change ends */
	apply_end(a);
	while (!apply_step(a))
		;
	assert_true(allows("192.0.2.1", 80));
	assert_false(allows("198.51.100.1", 80));
	assert_int_equal(ask(POLICY_IDENTITY_NONE, "192.0.2.1", 80).rule, 0);
	assert_string_equal(rule_get(edge.records, 0)->name, RULE1);
	assert_int_equal(rule_get(edge.records, 0)->precedence, 10);
	json_decref(rows);
}

/* An item more: no rule is parsed again, its account's flows decide again, no other account's. */
static void a_list_item(void **state)
{
	const struct rule_entry *entry;
	uint32_t mine, other;

	(void)state;
	change("rules", allow_list, "[]", NULL);
	entry = a->policy.rules[0];
	mine = account(0)->policy_generation;
	other = account(1)->policy_generation;
	change("lists",
	       "[{\"id\":\"" LIST "\",\"account_id\":\"A\",\"name\":\"l\",\"type\":\"IP\",\"items\":[\"192.0.2.0/24\",\"198.51.100.1\"]}]", "[]", NULL);
	assert_ptr_equal(a->policy.rules[0], entry);
	assert_true(allows("198.51.100.1", 80));
	assert_int_not_equal(account(0)->policy_generation, mine);
	assert_int_equal(account(0)->policy_revision, revision);
	assert_int_equal(account(1)->policy_generation, other);
	/* the same again: nothing changes */
	mine = account(0)->policy_generation;
	change("lists",
	       "[{\"id\":\"" LIST "\",\"account_id\":\"A\",\"name\":\"l\",\"type\":\"IP\",\"items\":[\"192.0.2.0/24\",\"198.51.100.1\"]}]", "[]", NULL);
	assert_int_equal(account(0)->policy_generation, mine);
	/* items that are none */
	change("lists", "[{\"id\":\"" LIST "\",\"account_id\":\"A\",\"name\":\"l\",\"type\":\"IP\",\"items\":[\"192.0.2.0/24\",\"here\"]}]", "[]", NULL);
	refused_is("lists", LIST, "invalid", "here");
	assert_true(allows("198.51.100.1", 80)); /* what was stays */
	assert_int_equal(account(0)->policy_generation, mine);
}

static void refused_rows(void **state)
{
	(void)state;
	change("rules", allow_list, "[]", NULL);
	change("rules", "[" RULE_ROW(RULE1, 10, "allow", "\"net.dst.prt == 1\"", "") "]", "[]", NULL);
	refused_is("rules", RULE1, "invalid", "net.dst.prt");
	assert_true(allows("192.0.2.1", 80)); /* the old one stays */
	change("rules", allow_list, "[]", NULL);
	assert_int_equal(apply_refused_count(a), 0);
	change("rules", "[" RULE_ROW(RULE2, 11, "allow", "\"net.dst.ip in $99999999-3333-4444-5555-666677778888\"", "") "]", "[]", NULL);
	refused_is("rules", RULE2, "invalid", "list");
	change("rules", "[" RULE_ROW(RULE2, 11, "frobnicate", "null", "") "]", "[]", NULL);
	refused_is("rules", RULE2, "invalid", "action");
}

/* One rule too many for the tables: told by name, and what was decided before stays until it fits. */
static void refused_when_compiled(void **state)
{
	uint32_t generation;
	json_t *errors;

	(void)state;
	change("rules", "[" RULE_ROW(RULE1, 10, "allow", "\"net.dst.port == 1\"", "") "," RULE_ROW(RULE2, 11, "allow", "\"net.dst.port == 2\"", "") "]",
	       "[]", NULL);
	assert_true(allows("192.0.2.1", 1) && allows("192.0.2.1", 2));
	generation = account(0)->policy_generation;
	change("rules", "[" RULE_ROW(RULE3, 12, "allow", "\"net.dst.port == 3\"", "") "]", "[]", NULL);
	assert_int_equal(apply_refused_count(a), 1);
	assert_int_equal(account(0)->policy_generation, generation);
	assert_true(allows("192.0.2.1", 1) && allows("192.0.2.1", 2) && !allows("192.0.2.1", 3));
	change("settings", "[{\"key\":\"mtu\",\"value\":1280}]", "[]", NULL); /* tried again with each change, and told again */
	errors = apply_errors(a);
	assert_int_equal(json_array_size(errors), 1);
	json_decref(errors);
	change("rules", "[]", "[\"" RULE1 "\"]", NULL);
	assert_int_equal(apply_refused_count(a), 0);
	assert_true(!allows("192.0.2.1", 1) && allows("192.0.2.1", 2) && allows("192.0.2.1", 3));
}

static void kinds_of_rules(void **state)
{
	(void)state;
	change("rules", "[" RULE_ROW(RULE1, 10, "block", "null", ",\"rule_settings\":{\"answer\":\"drop\"}") "]", "[]", NULL);
	assert_true(ask(POLICY_IDENTITY_NONE, "192.0.2.1", 1).silent);
	change("rules", "[" RULE_ROW(RULE1, 10, "block", "null", ",\"rule_settings\":{\"answer\":\"reject\"}") "]", "[]", NULL);
	assert_false(ask(POLICY_IDENTITY_NONE, "192.0.2.1", 1).silent);
	assert_int_equal(ask(POLICY_IDENTITY_NONE, "192.0.2.1", 1).rule, 0);
	change("rules", "[" RULE_ROW(RULE1, 10, "audit", "null", "") "]", "[]", NULL); /* never decides */
	assert_int_equal(ask(POLICY_IDENTITY_NONE, "192.0.2.1", 1).rule, POLICY_RULE_DEFAULT);
	change("accounts", "[{\"id\":\"A\",\"name\":\"one\",\"default_action\":\"allow\"}]", "[]", NULL);
	assert_true(allows("192.0.2.1", 1));
	/* the list goes together with the rule that names it */
	change("rules", allow_list, "[]", NULL);
	change("lists", "[]", "[\"" LIST "\"]", "rules", "[]", "[\"" RULE1 "\"]", NULL);
	assert_null(a->policy.accounts[0].list_deletes);
	assert_null(rule_get(edge.records, 0));
}

static const char client_row[] =
	"[{\"id\":\"C\",\"account_id\":\"A\",\"vnet_id\":\"V\",\"name\":\"c\",\"email\":\"ada@example.org\",\"groups\":[\"ops\"],\"enabled\":true,"
	"\"expires_at\":1000200,\"addresses\":[\"100.96.0.2\",null],\"public_keys\":[\"YAnBzK6dZlQ4l5n9i1kJ4dDBL1C8LN8dG5b3YqvyTmM=\"],"
	"\"preshared_key\":null,\"rate_pps\":100,\"rate_bps\":null,"
	"\"posture\":{\"disk\":{\"passed\":true,\"expires_at\":1000100},\"os\":{\"passed\":true},\"fw\":{\"passed\":false}}}]";

/* Groups, checks and their ends: each at its second, by the clock alone. */
static void time_does_it(void **state)
{
	uint32_t generation;

	(void)state;
	change("rules",
	       "[" RULE_ROW(RULE1, 10, "allow", "null",
			    ",\"identity\":\"any(identity.groups.name[*] == \\\"ops\\\")\",\"device_posture\":\"any(device_posture.checks.passed[*] == "
			    "\\\"disk\\\") and any(device_posture.checks.failed[*] == \\\"fw\\\")\"") "]",
	       "[]", "clients", client_row, "[]", NULL);
	assert_int_equal(apply_refused_count(a), 0);
	assert_int_equal(client()->rate_pps, 100);
	assert_int_equal(client()->rate_bps, 0);
	assert_int_equal(ask(client()->identity, "192.0.2.1", 1).verdict, POLICY_PASS);
	assert_int_equal(apply_due(a), NOW + 100);
	generation = client()->generation;
	apply_expire(a, NOW + 99);
	assert_int_equal(client()->generation, generation);
	apply_expire(a, NOW + 100);
	assert_int_not_equal(client()->generation, generation);
	assert_int_equal(ask(client()->identity, "192.0.2.1", 1).verdict, POLICY_DENY);
	assert_true(client()->enabled);
	assert_int_equal(apply_due(a), NOW + 200);
	apply_expire(a, NOW + 200);
	assert_false(client()->enabled);
	assert_int_equal(apply_due(a), 0);
}

/* Identities are given back: as many clients as there are, come and go, leave none behind. */
static void identities_return(void **state)
{
	struct policy_stats stats;
	uint32_t before;

	(void)state;
	policy_stats(edge.policy, 0, &stats);
	before = stats.identities;
	for (unsigned i = 0; i < 50; i++) {
		change("clients", client_row, "[]", NULL);
		change("clients", client_row, "[]", NULL);
		change("clients", "[]", "[\"C\"]", NULL);
	}
	policy_stats(edge.policy, 0, &stats);
	assert_int_equal(stats.identities, before);
	/* and with its whole account */
	change("rules", allow_list, "[]", "clients", client_row, "[]", NULL);
	change("accounts", "[]", "[\"A\"]", NULL);
	assert_null(account(0));
	assert_null(client());
	change("accounts", "[{\"id\":\"A2\",\"name\":\"new\",\"default_action\":\"block\"}]", "[]", NULL);
	assert_int_equal(apply_refused_count(a), 0);
	assert_false(allows("192.0.2.1", 80));
}

static void the_setting(void **state)
{
	(void)state;
	assert_false(settings_get(edge.records)->inspect_unknown_continue);
	change("settings", "[{\"key\":\"inspect_unknown\",\"value\":\"continue\"}]", "[]", NULL);
	assert_true(settings_get(edge.records)->inspect_unknown_continue);
	change("settings", "[{\"key\":\"inspect_unknown\",\"value\":\"guess\"}]", "[]", NULL);
	refused_is("settings", "inspect_unknown", "invalid", "block or continue");
	assert_true(settings_get(edge.records)->inspect_unknown_continue);
	change("settings", "[{\"key\":\"inspect_unknown\",\"value\":\"block\"}]", "[]", NULL);
	assert_false(settings_get(edge.records)->inspect_unknown_continue);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(rules_take_effect_at_the_end), T(a_list_item),  T(refused_rows),	T(refused_when_compiled),
		T(kinds_of_rules),		 T(time_does_it), T(identities_return), T(the_setting),
	};

	return cmocka_run_group_tests_name("apply_policy", tests, NULL, NULL);
}
