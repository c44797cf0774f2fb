// SPDX-License-Identifier: BSD-3-Clause
// Rows into records: each table, refusals by name, sweeps, generations, grace periods, and random changes against a fresh apply.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/control/apply_bed.h"
#include "dataplane/tables/device_table.h"
#include "dataplane/tables/policy.h"
#include "dataplane/tables/route_table.h"
#include "lib/log.h"

#define ACCOUNT(id) "{'id':'" id "','name':'" id "','default_action':'allow','edge_v4':'100.96.0.1','edge_v6':'fd00::1'}"
#define VNET(id, account) "{'id':'" id "','account_id':'" account "','name':'" id "','is_default':true}"
#define TUNNEL(id, account) "{'id':'" id "','account_id':'" account "','name':'" id "','affinity':'none','sessions':8}"
#define CONTAINERS                                                                                                       \
	"'accounts':{'put':[" ACCOUNT("a") "," ACCOUNT("b") "]},'vnets':{'put':[" VNET("va", "a") "," VNET("vb", "b") "," VNET("vc", "a") "]}," \
	"'tunnels':{'put':[" TUNNEL("ta", "a") "," TUNNEL("tb", "b") "]}"

static const struct bed_size sizes = BED_SIZE;

/* base64 of 32 bytes: 8, n, 9 zeros …, distinct for each n < 256 and of no low order. */
static const char *key_text(unsigned n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static char out[8][48];
	static unsigned turn;
	char *text = out[turn++ % 8];

	memset(text, 'A', 43);
	text[0] = digits[2];
	text[1] = digits[n >> 4 & 15];
	text[2] = digits[(n & 15) << 2];
	text[43] = '=';
	text[44] = '\0';
	return text;
}

static void put_client(struct bed *b, const char *id, unsigned address, const char *more, unsigned key)
{
	bed_put(b,
		"{'clients':{'put':[{'id':'%s','account_id':'a','vnet_id':'va','name':'%s','email':'%s@example.com','groups':[],'posture':{},"
		"'enabled':true,'expires_at':null,'addresses':['100.96.0.%u','fd00::%x'],'preshared_key':null,'public_keys':['%s']%s}]}}",
		id, id, id, address, address, key_text(key), more);
}

static const struct client_record *client(const struct bed *b, const char *id)
{
	for (uint32_t i = 0; i < b->edge.records->max_clients; i++) {
		const struct client_record *c = client_get(b->edge.records, i);

		if (c && !strcmp(c->id, id))
			return c;
	}
	return NULL;
}

static struct bed *new_bed(void)
{
	struct bed *b = bed_create(&sizes);

	bed_change(b, true, "{" CONTAINERS "}");
	assert_int_equal(apply_refused_count(b->apply), 0);
	return b;
}

static uint32_t tunnel_of(const struct bed *b, uint32_t vnet, const char *address)
{
	struct ip_addr a;
	uint32_t v4, hop;

	assert_true(ip_addr_parse(address, &a));
	memcpy(&v4, a.bytes, 4);
	hop = a.family == 4 ? route_lookup_v4(b->edge.routes, vnet, v4) : route_lookup_v6(b->edge.routes, vnet, a.bytes);
	return hop == ROUTE_NONE ? RECORD_NONE : route_record_get(b->edge.records, hop).tunnel;
}

static void test_routes(void **state)
{
	struct bed *b = new_bed();
	const struct records *r = b->edge.records;

	(void)state;
	bed_put(b, "{'routes':{'put':[{'key':'va/10.0.0.0/8','tunnel_id':'ta'},{'key':'va/2001:db8::/32','tunnel_id':'ta'},{'key':'vb/10.0.0.0/8','tunnel_id':'tb'}]}}");
	assert_string_equal(tunnel_get(r, tunnel_of(b, 0, "10.1.2.3"))->id, "ta");
	assert_string_equal(tunnel_get(r, tunnel_of(b, 1, "10.1.2.3"))->id, "tb");
	assert_string_equal(tunnel_get(r, tunnel_of(b, 0, "2001:db8::9"))->id, "ta");
	assert_int_equal(tunnel_of(b, 1, "2001:db8::9"), RECORD_NONE);
	bed_put(b, "{'routes':{'delete':['va/10.0.0.0/8']}}");
	assert_int_equal(tunnel_of(b, 0, "10.1.2.3"), RECORD_NONE);
	/* host bits, another account's tunnel, a vnet that is not there, no prefix at all */
	bed_put(b, "{'routes':{'put':[{'key':'va/10.0.0.1/8','tunnel_id':'ta'},{'key':'va/11.0.0.0/8','tunnel_id':'tb'},{'key':'vx/11.0.0.0/8','tunnel_id':'ta'},{'key':'va/','tunnel_id':'ta'}]}}");
	assert_string_equal(bed_refused(b, "routes", "va/10.0.0.1/8"), "invalid");
	assert_string_equal(bed_refused(b, "routes", "va/11.0.0.0/8"), "invalid");
	assert_string_equal(bed_refused(b, "routes", "vx/11.0.0.0/8"), "not_found");
	assert_string_equal(bed_refused(b, "routes", "va/"), "invalid");
	bed_destroy(b);
}

static void test_generations(void **state)
{
	struct bed *b = new_bed();
	const struct records *r = b->edge.records;
	uint32_t va = vnet_get(r, 0)->routes_generation, vb = vnet_get(r, 1)->routes_generation;
	uint32_t pa = account_get(r, 0)->policy_generation, pb = account_get(r, 1)->policy_generation, c;

	(void)state;
	bed_put(b, "{'routes':{'put':[{'key':'va/10.0.0.0/8','tunnel_id':'ta'}]}}");
	assert_int_not_equal(vnet_get(r, 0)->routes_generation, va);
	assert_int_equal(vnet_get(r, 1)->routes_generation, vb);
	va = vnet_get(r, 0)->routes_generation;
	bed_put(b, "{'routes':{'put':[{'key':'va/10.0.0.0/8','tunnel_id':'ta'}]}}"); /* as it was */
	assert_int_equal(vnet_get(r, 0)->routes_generation, va);
	bed_put(b, "{'rules':{'put':[{'id':'r','account_id':'a','name':'r','precedence':1,'enabled':true,'action':'block','filters':['l4'],"
		   "'traffic':'net.dst.port == 22','identity':null,'device_posture':null,'rule_settings':null}]}}");
	assert_int_equal(apply_refused_count(b->apply), 0);
	assert_int_not_equal(account_get(r, 0)->policy_generation, pa);
	assert_int_equal(account_get(r, 1)->policy_generation, pb); /* decision 11: never another account's */
	put_client(b, "c", 2, "", 1);
	c = client(b, "c")->generation;
	put_client(b, "c", 2, "", 1);
	assert_int_equal(client(b, "c")->generation, c);
	put_client(b, "c", 3, "", 1);
	assert_int_not_equal(client(b, "c")->generation, c);
	bed_destroy(b);
}

static void test_clients(void **state)
{
	struct bed *b = new_bed();
	const struct client_record *c;
	struct device_key key;

	(void)state;
	put_client(b, "c", 2, "", 1);
	c = client(b, "c");
	assert_non_null(c);
	assert_true(c->enabled && b->known[c->peers[0]]);
	assert_int_equal(c->peers[1], RECORD_NONE);
	/* another one with its address, its key, no key, a key of low order, two addresses of a family */
	put_client(b, "d", 2, "", 2);
	assert_string_equal(bed_refused(b, "clients", "d"), "exists");
	put_client(b, "d", 3, "", 1);
	assert_string_equal(bed_refused(b, "clients", "d"), "exists");
	bed_peer_fails(-EINVAL);
	put_client(b, "d", 3, "", 2);
	/* refused, then tried again at the end of the change: then it is taken */
	assert_string_equal(bed_refused(b, "clients", "d"), "");
	assert_non_null(client(b, "d"));
	put_client(b, "e", 4, ",'vnet_id':'vb'", 3);
	assert_string_equal(bed_refused(b, "clients", "e"), "invalid");
	/* what it would have replaced stays */
	put_client(b, "c", 3, "", 1);
	assert_string_equal(bed_refused(b, "clients", "c"), "exists");
	assert_int_equal(client(b, "c")->v4[3], 2);
	/* and is tried again when the address is free */
	bed_put(b, "{'clients':{'delete':['d']}}");
	assert_string_equal(bed_refused(b, "clients", "c"), "");
	assert_int_equal(client(b, "c")->v4[3], 3);
	uint8_t old[4] = {100, 96, 0, 2};
	uint32_t v4;
	memcpy(&v4, old, 4);
	device_key_v4(&key, 0, v4);
	assert_int_equal(device_lookup(b->edge.devices, &key), DEVICE_NONE);
	bed_put(b, "{'clients':{'delete':['c']}}");
	assert_null(client(b, "c"));
	bed_destroy(b);
}

/* Decision 21 and the failure rules: at capacity the new one is refused by name, everything else stays. */
static void test_capacity(void **state)
{
	struct bed *b = new_bed();
	char id[16];

	(void)state;
	for (unsigned i = 0; i < sizes.clients; i++) {
		snprintf(id, sizeof(id), "c%u", i);
		put_client(b, id, 2 + i, "", i);
	}
	assert_int_equal(apply_refused_count(b->apply), 0);
	put_client(b, "late", 200, "", 200);
	assert_string_equal(bed_refused(b, "clients", "late"), "limit");
	assert_non_null(client(b, "c31"));
	bed_put(b, "{'vnets':{'put':[" VNET("v3", "a") "," VNET("v4", "a") "," VNET("v5", "a") "," VNET("v6", "a") "," VNET("v7", "a") "," VNET("v8", "a") "]}}");
	assert_string_equal(bed_refused(b, "vnets", "v8"), "limit");
	assert_string_equal(bed_refused(b, "vnets", "v7"), "");
	/* room is made: the refused one comes in by itself */
	bed_put(b, "{'clients':{'delete':['c0']}}");
	assert_string_equal(bed_refused(b, "clients", "late"), "");
	assert_non_null(client(b, "late"));
	bed_destroy(b);
}

static void test_index_rests(void **state)
{
	struct bed *b = new_bed();
	uint32_t index;
	char id[16];

	(void)state;
	put_client(b, "c", 2, "", 1);
	index = client(b, "c")->index;
	bed_pass(b);
	bed_put(b, "{'clients':{'delete':['c']}}");
	assert_true(bed_waiting(b) > 0); /* the record, its index, its peer */
	for (unsigned i = 0; i + 1 < sizes.clients; i++) {
		snprintf(id, sizeof(id), "d%u", i);
		put_client(b, id, 3 + i, "", 2 + i);
		assert_int_not_equal(client(b, id)->index, index);
	}
	bed_pass(b);
	put_client(b, "e", 100, "", 100);
	assert_int_equal(client(b, "e")->index, index);
	bed_destroy(b);
}

static void test_snapshot_sweeps(void **state)
{
	struct bed *b = new_bed();

	(void)state;
	put_client(b, "c", 2, "", 1);
	put_client(b, "d", 3, "", 2);
	bed_put(b, "{'routes':{'put':[{'key':'va/10.0.0.0/8','tunnel_id':'ta'},{'key':'va/11.0.0.0/8','tunnel_id':'ta'}]},'deny':{'put':[{'network':'192.0.2.0/24'}]}}");
	assert_int_equal(b->n_denied, 1);
	bed_change(b, true,
		   "{" CONTAINERS ",'routes':{'put':[{'key':'va/10.0.0.0/8','tunnel_id':'ta'}]},'clients':{'put':[{'id':'d','account_id':'a','vnet_id':'va',"
		   "'name':'d','email':'d@example.com','groups':[],'posture':{},'enabled':true,'expires_at':null,'addresses':['100.96.0.3','fd00::3'],"
		   "'preshared_key':null,'public_keys':['CACIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']}]}}");
	assert_null(client(b, "c"));
	assert_non_null(client(b, "d"));
	assert_true(tunnel_of(b, 0, "10.0.0.1") != RECORD_NONE);
	assert_int_equal(tunnel_of(b, 0, "11.0.0.1"), RECORD_NONE);
	assert_int_equal(b->n_denied, 0);
	/* an empty snapshot: everything goes, containers last */
	bed_change(b, true, "{}");
	assert_null(client(b, "d"));
	assert_null(account_get(b->edge.records, 0));
	assert_int_equal(tunnel_of(b, 0, "10.0.0.1"), RECORD_NONE);
	bed_destroy(b);
}

static void test_containers_take_what_refers_to_them(void **state)
{
	struct bed *b = new_bed();

	(void)state;
	put_client(b, "c", 2, "", 1);
	bed_put(b, "{'routes':{'put':[{'key':'va/10.0.0.0/8','tunnel_id':'ta'},{'key':'vb/10.0.0.0/8','tunnel_id':'tb'}]}}");
	bed_put(b, "{'accounts':{'delete':['a']}}");
	assert_null(client(b, "c"));
	assert_int_equal(tunnel_of(b, 0, "10.0.0.1"), RECORD_NONE);
	assert_true(tunnel_of(b, 1, "10.0.0.1") != RECORD_NONE);
	assert_null(account_get(b->edge.records, 0));
	bed_destroy(b);
}

static void test_expiry(void **state)
{
	struct bed *b = new_bed();
	char more[64];
	uint32_t generation;

	(void)state;
	snprintf(more, sizeof(more), ",'expires_at':%lld", (long long)b->now_s + 10);
	put_client(b, "c", 2, more, 1);
	assert_true(client(b, "c")->enabled);
	assert_int_equal(apply_due(b->apply), b->now_s + 10);
	generation = client(b, "c")->generation;
	apply_expire(b->apply, b->now_s + 9);
	assert_int_equal(client(b, "c")->generation, generation);
	apply_expire(b->apply, b->now_s + 10);
	assert_false(client(b, "c")->enabled);
	assert_int_not_equal(client(b, "c")->generation, generation);
	assert_int_equal(apply_due(b->apply), 0);
	bed_destroy(b);
}

/* A posture check that runs out changes the verdict, without a row. */
static void test_posture_runs_out(void **state)
{
	struct bed *b = new_bed();
	struct policy_query q = {.family = 4, .proto = 6, .dst_port = 443};
	struct policy_result result;
	char more[96];

	(void)state;
	bed_put(b, "{'rules':{'put':[{'id':'r','account_id':'a','name':'r','precedence':1,'enabled':true,'action':'block','filters':['l4'],'traffic':null,"
		   "'identity':null,'device_posture':'not any(device_posture.checks.passed[*] == \\\"disk\\\")','rule_settings':null}]}}");
	assert_int_equal(apply_refused_count(b->apply), 0);
	snprintf(more, sizeof(more), ",'posture':{'disk':{'passed':true,'expires_at':%lld}}", (long long)b->now_s + 5);
	put_client(b, "c", 2, more, 1);
	q.identity = client(b, "c")->identity;
	policy_decide(b->edge.policy, &q, NULL, &result);
	assert_int_equal(result.verdict, POLICY_PASS);
	apply_expire(b->apply, b->now_s + 5);
	q.identity = client(b, "c")->identity;
	policy_decide(b->edge.policy, &q, NULL, &result);
	assert_int_equal(result.verdict, POLICY_DENY);
	bed_destroy(b);
}

static void test_rules_refused_by_name(void **state)
{
	struct bed *b = new_bed();

	(void)state;
	bed_put(b, "{'rules':{'put':[{'id':'good','account_id':'a','name':'good','precedence':1,'enabled':true,'action':'block','filters':['l4'],'traffic':'net.dst.port == 22'},"
		   "{'id':'bad','account_id':'a','name':'bad','precedence':2,'enabled':true,'action':'block','filters':['l4'],'traffic':'net.dst.prt == 22'},"
		   "{'id':'odd','account_id':'a','name':'odd','precedence':3,'enabled':true,'action':'sing','filters':['l4']}]}}");
	assert_string_equal(bed_refused(b, "rules", "good"), "");
	assert_string_equal(bed_refused(b, "rules", "bad"), "invalid");
	assert_string_equal(bed_refused(b, "rules", "odd"), "invalid");
	bed_destroy(b);
}

static void test_settings(void **state)
{
	struct bed *b = new_bed();

	(void)state;
	put_client(b, "c", 2, "", 1);
	assert_int_equal(settings_get(b->edge.records)->mtu, 1280);
	bed_put(b, "{'settings':{'put':[{'key':'mtu','value':1400},{'key':'flow_timeout_udp_s','value':'30'},{'key':'unheard_of','value':1}]}}");
	assert_int_equal(settings_get(b->edge.records)->mtu, 1400);
	assert_int_equal(settings_get(b->edge.records)->flow_timeout_udp_s, 30);
	assert_int_equal(peer_record_get(b->edge.records, client(b, "c")->peers[0])->mtu, 1400);
	bed_put(b, "{'settings':{'put':[{'key':'mtu','value':100}]}}");
	assert_string_equal(bed_refused(b, "settings", "mtu"), "invalid");
	assert_int_equal(settings_get(b->edge.records)->mtu, 1400);
	bed_put(b, "{'settings':{'delete':['mtu']}}");
	assert_int_equal(settings_get(b->edge.records)->mtu, 1280);
	bed_destroy(b);
}

static void test_refusals_are_bounded(void **state)
{
	struct bed *b = new_bed();
	json_t *told;
	size_t size;
	char *text;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	fprintf(f, "{'routes':{'put':[");
	for (unsigned i = 0; i < 1500; i++)
		fprintf(f, "%s{'key':'nowhere/10.%u.%u.0/24','tunnel_id':'ta'}", i ? "," : "", i >> 8, i & 255);
	fprintf(f, "]}}");
	fclose(f);
	bed_change(b, false, text);
	free(text);
	told = apply_errors(b->apply);
	assert_int_equal(json_array_size(told), 1000);
	json_decref(told);
	assert_true(apply_refused_count(b->apply) >= 1500); /* the rest is counted */
	bed_destroy(b);
}

/* ---- random changes against a fresh apply of what must be there in the end ---- */

#define IDS 12

struct model {
	bool client[IDS], connector[IDS], route[2][64];
	unsigned address[IDS], key[IDS], weight[IDS];
};

static void model_rows(const struct model *m, FILE *f)
{
	fprintf(f, "{" CONTAINERS ",'routes':{'put':[");
	for (unsigned i = 0, n = 0; i < 128; i++)
		if (m->route[i >> 6][i & 63])
			fprintf(f, "%s{'key':'%s/10.%u.0.0/16','tunnel_id':'ta'}", n++ ? "," : "", i >> 6 ? "vc" : "va", i & 63);
	fprintf(f, "]},'clients':{'put':[");
	for (unsigned i = 0, n = 0; i < IDS; i++)
		if (m->client[i])
			fprintf(f,
				"%s{'id':'c%u','account_id':'a','vnet_id':'va','name':'c%u','email':'','groups':[],'posture':{},'enabled':true,'expires_at':null,"
				"'addresses':['100.96.0.%u','fd00::%x'],'preshared_key':null,'public_keys':['%s']}",
				n++ ? "," : "", i, i, m->address[i], m->address[i], key_text(m->key[i]));
	fprintf(f, "]},'connectors':{'put':[");
	for (unsigned i = 0, n = 0; i < IDS; i++)
		if (m->connector[i])
			fprintf(f,
				"%s{'id':'k%u','account_id':'a','tunnel_id':'ta','hostname':'h','version':'1','mode':'userspace','mtu':1280,'weight':%u,'draining':false,"
				"'since':1,'lease_expires':99999999,'preserve_source':false,'public_keys':['%s']}",
				n++ ? "," : "", i, m->weight[i], key_text(128 + i));
	fprintf(f, "]}}");
}

/* One random step: the model changes, and so does the text of the delta. */
static void random_step(struct model *m, struct bed *b, unsigned *seed)
{
	unsigned what = (unsigned)rand_r(seed) % 5, i = (unsigned)rand_r(seed) % IDS, r = (unsigned)rand_r(seed) % 128;

	if (what == 0) {
		bool *there = &m->route[r >> 6][r & 63];

		*there = !*there;
		if (*there)
			bed_put(b, "{'routes':{'put':[{'key':'%s/10.%u.0.0/16','tunnel_id':'ta'}]}}", r >> 6 ? "vc" : "va", r & 63);
		else
			bed_put(b, "{'routes':{'delete':['%s/10.%u.0.0/16']}}", r >> 6 ? "vc" : "va", r & 63);
	} else if (what == 1 && m->client[i]) {
		m->client[i] = false;
		bed_put(b, "{'clients':{'delete':['c%u']}}", i);
	} else if (what <= 2) {
		m->client[i] = true;
		m->address[i] = 2 + i + IDS * ((unsigned)rand_r(seed) % 3);
		m->key[i] = i + IDS * ((unsigned)rand_r(seed) % 3);
		bed_put(b,
			"{'clients':{'put':[{'id':'c%u','account_id':'a','vnet_id':'va','name':'c%u','email':'','groups':[],'posture':{},'enabled':true,'expires_at':null,"
			"'addresses':['100.96.0.%u','fd00::%x'],'preshared_key':null,'public_keys':['%s']}]}}",
			i, i, m->address[i], m->address[i], key_text(m->key[i]));
	} else if (what == 3 && m->connector[i]) {
		m->connector[i] = false;
		bed_put(b, "{'connectors':{'delete':['k%u']}}", i);
	} else {
		m->connector[i] = true;
		m->weight[i] = (unsigned)rand_r(seed) % 257;
		bed_put(b,
			"{'connectors':{'put':[{'id':'k%u','account_id':'a','tunnel_id':'ta','hostname':'h','version':'1','mode':'userspace','mtu':1280,'weight':%u,"
			"'draining':false,'since':1,'lease_expires':99999999,'preserve_source':false,'public_keys':['%s']}]}}",
			i, m->weight[i], key_text(128 + i));
	}
}

static void assert_same(struct bed *got, struct bed *want)
{
	char *x = bed_dump(got), *y = bed_dump(want);

	assert_string_equal(x, y);
	free(x);
	free(y);
}

static void test_random_changes(void **state)
{
	unsigned seed = 20261124;

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		struct bed *b = new_bed(), *fresh;
		struct model m = {0};
		char *text;
		size_t size;
		FILE *f;

		for (unsigned step = 0; step < 150; step++) {
			random_step(&m, b, &seed);
			if (rand_r(&seed) % 4 == 0)
				bed_pass(b);
		}
		assert_int_equal(apply_refused_count(b->apply), 0);
		f = open_memstream(&text, &size);
		model_rows(&m, f);
		fclose(f);
		fresh = bed_create(&sizes);
		bed_change(fresh, true, text);
		assert_same(b, fresh);
		/* and a snapshot of the same changes nothing */
		bed_change(b, true, text);
		assert_same(b, fresh);
		bed_destroy(fresh);
		free(text);
		bed_destroy(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_index_rests),
		cmocka_unit_test(test_snapshot_sweeps),
		cmocka_unit_test(test_containers_take_what_refers_to_them),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_posture_runs_out),
		cmocka_unit_test(test_rules_refused_by_name),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_refusals_are_bounded),
		cmocka_unit_test(test_random_changes),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
