// SPDX-License-Identifier: BSD-3-Clause
// What show.* and /metrics answer for counters that are known, against golden text; and the sums of decision 28.
// RECORD=1 writes the golden text anew: read the difference before you commit it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/control/apply_bed.h"
#include "dataplane/control/metrics.h"
#include "dataplane/control/show.h"
#include "lib/log.h"

static const char *golden_path;
static struct counters counters;
static const struct show_identity identity = {.edge_id = "edge1",
					      .instance = "6f0c0000-0000-4000-8000-000000000001",
					      .uptime_s = 812,
					      .tsc_hz = 2000000000,
					      .flows_capacity = 65536,
					      .sessions_capacity = 8192,
					      .sync = {.connected = true, .since_s = 1700000000, .configured = 41, .applied = 41, .epoch = "0e0e0000-0000-4000-8000-000000000002"}};
static const struct show_flow_log flow_log = {.on = true, .file = "/var/lib/sluice/edge/flows.log", .readers = 1};

/* Two workers, a port with XDP and one without; every number another one. */
static void fill(void)
{
	uint64_t next = 1;

	memset(&counters, 0, sizeof(counters));
	counters.n_workers = 2;
	counters.n_ports = 2;
	for (unsigned w = 0; w < 2; w++) {
		struct counted_worker *cw = &counters.workers[w];
		struct worker_counters *c = &cw->c;

		cw->core = w;
		cw->flows = 10 + w;
		cw->sessions = 20 + w;
		cw->busy_percent = 12.5;
		c->rx_packets = 1000 + next++;
		c->rx_bytes = 100000 + next++;
		c->tx_packets = 900 + next++;
		c->tx_bytes = 90000 + next++;
		c->originated = 5 + w;
		c->originated_dropped = 1 + w;
		c->kernel = 2;
		c->consumed = 40 + w;
		c->drops[DROP_inner_spoofed] = 3 + w;
		c->drops[DROP_no_route] = 7;
		c->handoff_in = 8 + w;
		c->handoff_out = 9 - w;
		c->flows_created = 30 + w;
		c->flows_ended = 20;
		c->loops = 5000;
		c->sleeps = 100;
		c->busy_cycles = 777;
		c->max_turn_cpu_ns = 41000;
		c->max_turn_wall_ns = 90000;
		c->preempted_turns = 3;
		for (unsigned s = 0; s < STAGE_COUNT; s++)
			c->stages[s] = (struct stage_counters){.calls = 10 + s, .packets = 100 + s, .cycles = 10000 + s};
	}
	counters.ports[0] = (struct counted_port){.name = "eth0", .iface_mode = "native, zero-copy", .queues = 2, .mtu = 1500, .ifindex = 3,
						  .mac = {2, 0, 0, 0, 0, 1}, .has_xdp = true, .native = true};
	counters.ports[0].stats = (struct port_stats){.rx_packets = 2002, .tx_packets = 1801, .rx_full = 4, .tx_wakeups = 6};
	counters.ports[0].xdp.c[STEER_RX] = 2100;
	counters.ports[0].xdp.c[STEER_RX_BYTES] = 210000;
	counters.ports[0].xdp.c[STEER_REDIRECTED] = 2006;
	counters.ports[0].xdp.c[STEER_KERNEL] = 11;
	counters.ports[0].xdp.c[STEER_DROP_xdp_type] = 83;
	counters.ports[1] = (struct counted_port){.name = "net_ring0", .iface_mode = "net_ring", .ethdev = true, .queues = 1, .mtu = 9000};
	counters.handshake = (struct handshake_counters){
		.initiations_rx = 3, .responses_rx = 1, .cookies_rx = 0, .initiations_tx = 2, .responses_tx = 3, .cookies_tx = 1, .completed = 4,
		.sessions = 5, .consumed = 6, .under_load = true, .connectors_live = 2};
	counters.handshake.drops[DROP_handshake_mac1] = 13;
}

/* ---- golden ---- */

/* Reasons and counters that are zero are left out: whoever adds a reason need not touch the golden text. */
static void without_zeros(json_t *o)
{
	const char *key;
	json_t *v;
	void *next;

	json_object_foreach_safe(o, next, key, v)
		if (json_is_integer(v) && json_integer_value(v) == 0)
			json_object_del(o, key);
}

static void tell(FILE *out, const char *name, json_t *o)
{
	char *text;

	assert_non_null(o);
	without_zeros(json_object_get(o, "drops"));
	text = json_dumps(o, JSON_INDENT(1));
	fprintf(out, "== %s\n%s\n", name, text);
	free(text);
	json_decref(o);
}

static void tell_metrics(FILE *out)
{
	const struct apply_table_info tables[] = {{"routes", 10, 1048576, 4096, 0}, {"clients", 3, 4096, 900, 1}};
	char *text, *save = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	metrics_write(f, &identity, &counters, tables, 2, 1, &flow_log);
	fclose(f);
	fprintf(out, "== /metrics\n");
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		size_t len = strlen(line);

		if (!(strstr(line, "reason=") && len > 2 && !strcmp(line + len - 2, " 0")))
			fprintf(out, "%s\n", line);
	}
	free(text);
}

static void tell_all(FILE *out)
{
	const struct apply_table_info tables[] = {{"routes", 10, 1048576, 4096, 0}, {"lists", 3, 0, 900, 1}};
	const struct show_health_facts well = {.huge_pages = true, .memory_says = "2 MiB pages", .flow_log = flow_log};
	const struct show_health_facts ill = {.memory_says = "no huge pages", .rows_refused = 2, .n_thin = 1, .thin = "k1",
					      .rx_misses_last_minute = 5, .flow_log = flow_log, .log_lost_last_minute = 9};

	tell(out, "show.counters", show_counters(&identity, &counters, &flow_log));
	tell(out, "show.drops", show_drops(&counters, false));
	tell(out, "show.workers", show_workers(&identity, &counters));
	tell(out, "show.stages", show_stages(&identity, &counters));
	tell(out, "show.ports", show_ports(&counters));
	tell(out, "show.tables", show_tables(tables, 2));
	tell(out, "show.revision", show_revision(&identity, json_pack("[{s:s,s:s,s:s,s:s}]", "table", "routes", "key", "v/10.0.0.0/8", "code",
								      "limit", "message", "no room")));
	tell(out, "show.health", show_health(&identity, &counters, &well));
	tell(out, "show.health", show_health(&identity, &counters, &ill));
	tell_metrics(out);
}

static char *read_all(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	if (f) {
		if (fread(text, 1, (1 << 20) - 1, f) == 0)
			text[0] = '\0';
		fclose(f);
	}
	return text;
}

static void test_golden(void **state)
{
	char *text, *want;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	fill();
	tell_all(f);
	fclose(f);
	if (getenv("RECORD")) {
		f = fopen(golden_path, "w");
		assert_non_null(f);
		fputs(text, f);
		fclose(f);
	}
	want = read_all(golden_path);
	if (strcmp(text, want) != 0) {
		size_t at = 0, line = 1;

		for (; text[at] && text[at] == want[at]; at++)
			line += text[at] == '\n';
		while (at && text[at - 1] != '\n')
			at--;
		fail_msg("%s, line %zu (RECORD=1 writes it anew):\n  got  %.*s\n  want %.*s", golden_path, line, (int)strcspn(text + at, "\n"),
			 text + at, (int)strcspn(want + (at < strlen(want) ? at : strlen(want)), "\n"), want + (at < strlen(want) ? at : strlen(want)));
	}
	free(text);
	free(want);
}

/* Decision 28: each received packet ends once, wherever it ended. */
static void test_sums(void **state)
{
	struct counter_totals t;

	(void)state;
	fill();
	counters_sum(&counters, &t);
	assert_int_equal(t.rx_packets, 2100 + counters.ports[1].stats.rx_packets); /* XDP's count where there is XDP */
	assert_int_equal(t.drops[DROP_xdp_type], 83);
	assert_int_equal(t.drops[DROP_port_rx_full], 4);
	assert_int_equal(t.drops[DROP_handshake_mac1], 13);
	assert_int_equal(t.drops[DROP_inner_spoofed], 7);
	assert_int_equal(t.dropped, 83 + 4 + 13 + 7 + 14);
	assert_int_equal(t.kernel, 2 + 2 + 11);
	assert_int_equal(t.consumed, 40 + 41 + 6);
	assert_int_equal(t.originated, 5 + 6);
	assert_int_equal(t.sessions, 5);
	assert_int_equal(t.flows, 10 + 11);
}

static void test_sessions(void **state)
{
	const struct bed_size size = BED_SIZE;
	struct bed *b = bed_create(&size);
	struct show_filter all = {.limit = 10}, bob = {.client = "bob", .limit = 10}, one = {.limit = 1};
	json_t *o;

	(void)state;
	bed_change(b, true,
		   "{'accounts':{'put':[{'id':'a','name':'default','default_action':'allow'}]},'vnets':{'put':[{'id':'v','account_id':'a','name':'v'}]},"
		   "'clients':{'put':[{'id':'c1','account_id':'a','vnet_id':'v','name':'laptop','email':'ana@example.com','addresses':['100.96.0.2'],"
		   "'public_keys':['CAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']},{'id':'c2','account_id':'a','vnet_id':'v','name':'bob','email':'bob@example.com',"
		   "'addresses':['100.96.0.3'],'public_keys':['CAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']}]}}");
	assert_int_equal(apply_refused_count(b->apply), 0);
	o = show_sessions(&b->edge, &all);
	assert_int_equal(json_array_size(json_object_get(o, "sessions")), 2);
	assert_true(json_is_false(json_object_get(o, "truncated")));
	json_decref(o);
	o = show_sessions(&b->edge, &bob);
	assert_int_equal(json_array_size(json_object_get(o, "sessions")), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(o, "sessions"), 0), "email")), "bob@example.com");
	json_decref(o);
	o = show_sessions(&b->edge, &one);
	assert_int_equal(json_array_size(json_object_get(o, "sessions")), 1);
	assert_true(json_is_true(json_object_get(o, "truncated")));
	json_decref(o);
	bed_destroy(b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_sums), cmocka_unit_test(test_sessions)};

	if (argc != 2)
		return 2;
	golden_path = argv[1];
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
