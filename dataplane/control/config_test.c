// SPDX-License-Identifier: BSD-3-Clause
// Good and bad edge.yaml files: each row one file, each bad one refused for its own reason.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/control/config.h"

static char dir[] = "/tmp/edge-config-XXXXXX";
static char yaml[256], key_path[256], key2_path[256];

#define GOOD_KEY  "YAnBzK6dZlQ4l5n9i1kJ4dDBL1C8LN8dG5b3YqvyTmM=\n"
#define OTHER_KEY "oK7cWm8mQ2kPzv7pZ9h1n5m8b6t3r0QxYkq3u2w1S3g=\n"

static void put(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

/* In the texts below KEY and KEY2 stand for the paths of two good key files. */
static void put_yaml(const char *text)
{
	char out[8192];
	size_t n = 0;

	for (const char *p = text; *p;) {
		const char *word = !strncmp(p, "KEY2", 4) ? key2_path : !strncmp(p, "KEY", 3) ? key_path : NULL;

		if (word) {
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s", word);
			p += word == key2_path ? 4 : 3;
		} else {
			out[n++] = *p++;
		}
	}
	out[n] = 0;
	put(yaml, out, 0644);
}

#define MIN                                                                                        \
	"edge-id: edge1\nports: [{af_xdp: {iface: eth0, queues: 1}}]\nworkers: 2\n"                \
	"listen: [\"0.0.0.0:51820\", \"[::]:51820\"]\nprivate-key-file: KEY\n"

static void test_minimal(void **state)
{
	static struct edge_setup s;
	char err[512] = "";

	(void)state;
	put_yaml(MIN);
	if (edge_setup_load(yaml, &s, err, sizeof(err)))
		fail_msg("%s", err);
	assert_string_equal(s.config.edge_id, "edge1");
	assert_int_equal(s.config.n_workers, 2);
	assert_int_equal(s.config.n_listen, 2);
	assert_int_equal(s.config.listen[0].family, 4);
	assert_int_equal(s.config.listen[1].family, 6);
	assert_int_equal(s.config.listen[1].port, 51820);
	assert_int_equal(s.n_ports, 1);
	assert_int_equal(s.ports[0].kind, EDGE_PORT_AF_XDP);
	assert_string_equal(s.ports[0].name, "eth0");
	assert_int_equal(s.ports[0].queues, 1);
	assert_int_equal(s.config.n_keys, 1);
	assert_int_equal(s.config.private_keys[0][0], 0x60);
	assert_string_equal(s.config.socket, "/run/sluice/edge.sock");
	assert_string_equal(s.config.metrics, "127.0.0.1:9465");
	assert_string_equal(s.group_write, "sluice");
	assert_int_equal(s.config.cap_peers, 4096);
	assert_int_equal(s.config.cap_routes, 1048576);
	assert_int_equal(s.config.cap_rules, 100000);
	assert_true(s.huge_pages);
	assert_false(s.config.busy_poll);
	assert_true(s.config.flow_log.on);
	assert_string_equal(s.config.flow_log.file, "/var/lib/sluice/edge/flows.log");
	assert_int_equal(s.config.flow_log.max_bytes, 64 << 20);
	assert_int_equal(s.config.flow_log.keep, 4);
	edge_setup_wipe(&s);
	assert_int_equal(s.config.private_keys[0][0], 0);
}

static void test_full(void **state)
{
	static struct edge_setup s;
	char err[512] = "";

	(void)state;
	put_yaml("edge-id: e-2\nports:\n  - af_xdp: {iface: eth0}\n  - pci: \"0000:01:00.0\"\n    queues: 1\n"
		 "  - vdev: net_null0,copy=1\nworkers: 1\ncores: \"0\"\nlisten: \"192.0.2.1:51820\"\n"
		 "advertise: [\"edge.example:51820\", \"[2001:db8::1]:1\"]\nprivate-key-files: [KEY, KEY2]\n"
		 "ctrl-socket: /tmp/c\nsocket: /tmp/e\nstate-dir: /tmp/s\nmetrics: off\nhuge-pages: off\n"
		 "memory-mb: 512\nedge-id-bits: 4\nedge-number: 15\npoll: busy\n"
		 "groups: {write: adm, read: users}\nlog-level: debug\n"
		 "capacities: {peers: 10, sessions: 20, flows: 32, vnets: 4, routes: 50, mbufs: 6000, accounts: 7,\n"
		 "  tunnels: 8, clients: 9, connectors: 11, rules: 12}\n"
		 "flow-log: {file: /tmp/f.log, max-size: 1m, keep: 0}\n");
	if (edge_setup_load(yaml, &s, err, sizeof(err)))
		fail_msg("%s", err);
	assert_int_equal(s.n_ports, 3);
	assert_int_equal(s.ports[0].queues, 0);
	assert_int_equal(s.ports[1].kind, EDGE_PORT_PCI);
	assert_string_equal(s.ports[2].name, "net_null0,copy=1");
	assert_int_equal(s.config.n_keys, 2);
	assert_int_equal(s.config.n_advertise, 2);
	assert_string_equal(s.config.advertise[0], "edge.example:51820");
	assert_string_equal(s.config.metrics, "");
	assert_false(s.huge_pages);
	assert_int_equal(s.memory_mb, 512);
	assert_int_equal(s.config.edge_number, 15);
	assert_true(s.config.busy_poll);
	assert_int_equal(s.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(s.group_read, "users");
	assert_int_equal(s.config.cap_connectors, 11);
	assert_int_equal(s.config.cap_rules, 12);
	assert_true(s.config.flow_log.on);
	assert_string_equal(s.config.flow_log.file, "/tmp/f.log");
	assert_int_equal(s.config.flow_log.max_bytes, 1 << 20);
	assert_int_equal(s.config.flow_log.keep, 0);
	assert_int_equal(s.config.cap_sessions, 20);
	assert_int_equal(s.config.worker_cores[0], 0);
}

#define NO_PORTS "edge-id: e\nworkers: 1\nlisten: [\"0.0.0.0:1\"]\nprivate-key-file: KEY\n"
#define NO_LISTEN "edge-id: e\nworkers: 1\nports: [{vdev: net_null0}]\nprivate-key-file: KEY\n"
#define NO_KEY "edge-id: e\nworkers: 1\nports: [{vdev: net_null0}]\nlisten: [\"0.0.0.0:1\"]\n"

static const struct {
	const char *yaml, *says;
} bad[] = {
	/* 0 */ {MIN "sokcet: /run/x\n", ":6: unknown key 'sokcet'"},
	/* 1 */ {NO_PORTS "ports: [{af_xdp: {iface: eth0, queue: 1}}]\n", "unknown key 'queue'"},
	/* 2 */ {NO_PORTS "ports: [{vdev: a, pci: b}]\n", "exactly one of af_xdp, pci, vdev"},
	/* 3 */ {NO_PORTS "ports: [{queues: 1}]\n", "exactly one of af_xdp, pci, vdev"},
	/* 4 */ {NO_PORTS "ports: [{af_xdp: {iface: eth0, queues: 2}}]\n", "2 queues, but only 1 workers"},
	/* 5 */ {NO_PORTS "ports: [{vdev: a}, {vdev: a}]\n", "'a' is given twice"},
	/* 6 */ {NO_PORTS "ports: [{af_xdp: {iface: an-interface-name-too-long}}]\n", "is too long"},
	/* 7 */ {NO_PORTS, "ports"},
	/* 8 */ {NO_LISTEN "listen: [\"0.0.0.0\"]\n", "listen '0.0.0.0': not an address:port"},
	/* 9 */ {NO_LISTEN "listen: [\"0.0.0.0:1\", \"0.0.0.0:1\"]\n", "given twice"},
	/* 10 */ {NO_LISTEN, "listen"},
	/* 11 */ {NO_KEY, "exactly one of private-key-file and private-key-files"},
	/* 12 */ {MIN "private-key-files: [KEY]\n", "exactly one of private-key-file and private-key-files"},
	/* 13 */ {NO_KEY "private-key-files: [KEY, KEY]\n", "both files hold the same key"},
	/* 14 */ {NO_KEY "private-key-file: /nonexistent/key\n", "/nonexistent/key: No such file"},
	/* 15 */ {MIN "edge-number: 1\n", "edge-number 1: does not fit edge-id-bits 0"},
	/* 16 */ {MIN "edge-id-bits: 9\n", "edge-id-bits"},
	/* 17 */ {MIN "metrics: localhost\n", "metrics 'localhost'"},
	/* 18 */ {MIN "poll: sometimes\n", "poll"},
	/* 19 */ {MIN "capacities: {peers: 0}\n", "peers"},
	/* 20 */ {MIN "capacities: {pears: 1}\n", "unknown key 'pears'"},
	/* 21 */ {MIN "cores: \"3-1\"\n", "cores '3-1'"},
	/* 22 */ {MIN "cores: \"1000\"\n", "cores: core 1000 is not there"},
	/* 23 */ {MIN "advertise: [\"nowhere\"]\n", "advertise 'nowhere'"},
	/* 24 */ {MIN "edge-id: e\n", "edge-id"},
	/* 25 */ {"edge-id: \"a b\"\nports: [{vdev: a}]\nlisten: [\"0.0.0.0:1\"]\nprivate-key-file: KEY\n", "edge-id 'a b'"},
	/* 26 */ {"edge-id: e\nworkers: 17\nports: [{vdev: a}]\nlisten: [\"0.0.0.0:1\"]\nprivate-key-file: KEY\n",
		  "workers '17'"},
	/* 27 */ {"edge-id: e\nworkers: none\nports: [{vdev: a}]\nlisten: [\"0.0.0.0:1\"]\nprivate-key-file: KEY\n",
		  "workers 'none'"},
	/* 28 */ {MIN "huge-pages: maybe\n", "huge-pages"},
	/* 29 */ {MIN "groups: {admin: x}\n", "unknown key 'admin'"},
	/* 30 */ {MIN "flow-log: on\n", "flow-log: neither 'off' nor a map"},
	/* 31 */ {MIN "flow-log: {path: /x}\n", "unknown key 'path'"},
	/* 32 */ {MIN "flow-log: {file: flows.log}\n", "neither an absolute path nor 'off'"},
	/* 33 */ {MIN "flow-log: {max-size: 1k}\n", "max-size"},
	/* 34 */ {MIN "capacities: {flows: 1000}\n", "capacities.flows 1000: not a power of two; 512 and 1024 are"},
	/* 35 */ {MIN "capacities: {flows: 8}\n", "at least 16"},
};

static void test_flow_log(void **state)
{
	static struct edge_setup s;
	char err[512] = "";

	(void)state;
	put_yaml(MIN "flow-log: off\n");
	assert_int_equal(edge_setup_load(yaml, &s, err, sizeof(err)), 0);
	assert_false(s.config.flow_log.on);
	put_yaml(MIN "state-dir: /srv/s\nflow-log: {keep: 9}\n");
	assert_int_equal(edge_setup_load(yaml, &s, err, sizeof(err)), 0);
	assert_string_equal(s.config.flow_log.file, "/srv/s/flows.log");
	assert_int_equal(s.config.flow_log.keep, 9);
	put_yaml(MIN "flow-log: {file: off}\n");
	assert_int_equal(edge_setup_load(yaml, &s, err, sizeof(err)), 0);
	assert_true(s.config.flow_log.on);
	assert_string_equal(s.config.flow_log.file, "");
}

static void test_bad(void **state)
{
	static struct edge_setup s;
	char err[512];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_yaml(bad[i].yaml);
		err[0] = 0;
		if (!edge_setup_load(yaml, &s, err, sizeof(err)))
			fail_msg("row %zu is accepted", i);
		if (!strstr(err, bad[i].says) || strchr(err, '\n'))
			fail_msg("row %zu says: %s", i, err);
		assert_true(s.config.private_keys[0][0] == 0);
	}
	assert_int_not_equal(edge_setup_load("/nonexistent.yaml", &s, err, sizeof(err)), 0);
	assert_non_null(strstr(err, "/nonexistent.yaml"));
}

/* SIGHUP: each key that wants a restart is named, and nothing else. */
static void test_differs(void **state)
{
	static const struct {
		const char *yaml, *says;
	} rows[] = {
		{MIN, ""},
		{MIN "log-level: debug\nadvertise: [\"192.0.2.1:1\"]\n", ""},
		{MIN "poll: busy\n", "poll"},
		{MIN "metrics: \"127.0.0.1:1\"\n", "metrics"},
		{MIN "state-dir: /srv/s\n", "state-dir, flow-log"},
		{MIN "socket: /tmp/s\nctrl-socket: /tmp/c\n", "ctrl-socket, socket"},
		{MIN "capacities: {rules: 7}\n", "capacities"},
		{MIN "flow-log: off\n", "flow-log"},
		{MIN "memory-mb: 99\nhuge-pages: off\n", "huge-pages, memory-mb"},
		{MIN "groups: {write: x}\n", "groups"},
		{MIN "edge-id-bits: 2\nedge-number: 1\n", "edge-number"},
		{"edge-id: edge1\nports: [{af_xdp: {iface: eth0, queues: 1}}]\nworkers: 2\nlisten: [\"0.0.0.0:2\"]\nprivate-key-file: KEY\n", "listen"},
		{"edge-id: edge2\nports: [{vdev: net_null0}]\nworkers: 2\nlisten: [\"0.0.0.0:51820\", \"[::]:51820\"]\nprivate-key-file: KEY\n",
		 "edge-id, ports"},
	};
	static struct edge_setup running, file;
	char err[512], out[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_yaml(MIN);
		assert_int_equal(edge_setup_load(yaml, &running, err, sizeof(err)), 0);
		put_yaml(rows[i].yaml);
		if (edge_setup_load(yaml, &file, err, sizeof(err)))
			fail_msg("row %zu: %s", i, err);
		edge_setup_differs(&running, &file, out, sizeof(out));
		if (strcmp(out, rows[i].says) != 0)
			fail_msg("row %zu: '%s', not '%s'", i, out, rows[i].says);
		assert_int_equal(edge_config_advertise(&running.config, &file.config), i == 1);
		assert_false(edge_config_advertise(&running.config, &file.config));
	}
}

static void test_keys(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		const char *says;
	} rows[] = {
		{GOOD_KEY, 0600, NULL},
		{"YAnBzK6dZlQ4l5n9i1kJ4dDBL1C8LN8dG5b3YqvyTmM=", 0400, NULL},
		{GOOD_KEY, 0640, "mode 0640"},
		{GOOD_KEY, 0604, "mode 0604"},
		{GOOD_KEY, 0610, "mode 0610"},
		{"", 0600, "not a base64 private key"},
		{"YAnBzK6dZlQ4l5n9i1kJ4dDBL1C8LN8dG5b3YqvyTm==\n", 0600, "not a base64 private key"},
		{"YAnBzK6dZlQ4l5n9i1kJ4dDBL1C8LN8dG5b3YqvyTmM=x\n", 0600, "not a base64 private key"},
		{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 0600, "all zero"},
	};
	char path[256], err[512];
	uint8_t key[32];

	(void)state;
	snprintf(path, sizeof(path), "%s/k", dir);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unlink(path);
		put(path, rows[i].text, rows[i].mode);
		if (!edge_key_load(path, key, err, sizeof(err)) != !rows[i].says)
			fail_msg("row %zu: %s", i, rows[i].says ? "accepted" : err);
		if (rows[i].says && !strstr(err, rows[i].says))
			fail_msg("row %zu says: %s", i, err);
	}
	assert_int_not_equal(edge_key_load(dir, key, err, sizeof(err)), 0);
	assert_non_null(strstr(err, "not a plain file"));
	unlink(path);
}

static void test_cores(void **state)
{
	unsigned c[8];

	(void)state;
	assert_int_equal(edge_cores_parse("1-3,7", c, 8), 4);
	assert_int_equal(c[0], 1);
	assert_int_equal(c[3], 7);
	assert_int_equal(edge_cores_parse("2,1,2", c, 8), 2);
	assert_int_equal(c[0], 1);
	assert_int_equal(edge_cores_parse("0-8", c, 8), -E2BIG);
	const char *const wrong[] = {"", "a", "1-", "-1", "1,", ",1", "3-1", "1 2", "99999", "1--2"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (edge_cores_parse(wrong[i], c, 8) != -EINVAL)
			fail_msg("'%s' is accepted", wrong[i]);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(yaml, sizeof(yaml), "%s/edge.yaml", dir);
	snprintf(key_path, sizeof(key_path), "%s/one", dir);
	snprintf(key2_path, sizeof(key2_path), "%s/two", dir);
	put(key_path, GOOD_KEY, 0600);
	put(key2_path, OTHER_KEY, 0600);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(yaml);
	unlink(key_path);
	unlink(key2_path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_minimal), cmocka_unit_test(test_full),  cmocka_unit_test(test_bad),
		cmocka_unit_test(test_differs), cmocka_unit_test(test_keys),    cmocka_unit_test(test_cores),
		cmocka_unit_test(test_flow_log),
	};
	return cmocka_run_group_tests_name("edge_config", tests, setup, teardown);
}
