// SPDX-License-Identifier: BSD-3-Clause
// Configuration files: values by table, and errors that name file and line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/conf.h"

struct port {
	char *iface;
	int64_t queues;
};

struct sample {
	char *socket;
	bool flag;
	int64_t number;
	uint64_t grace_ms, cache_bytes;
	int level;
	struct conf_strings names;
	struct port inner;
	struct conf_maps ports;
	const struct conf_node *raw;
};

static const char *const levels[] = {"low", "high", NULL};
static bool flag_given;
static const struct conf_key port_keys[] = {
	{.name = "iface", .type = CONF_STRING, .offset = offsetof(struct port, iface), .required = true},
	{.name = "queues", .type = CONF_INT, .offset = offsetof(struct port, queues), .min = 1, .max = 64},
	{.name = NULL},
};
static const struct conf_key keys[] = {
	{.name = "socket", .type = CONF_STRING, .offset = offsetof(struct sample, socket)},
	{.name = "flag", .type = CONF_BOOL, .offset = offsetof(struct sample, flag), .given = &flag_given},
	{.name = "number", .type = CONF_INT, .offset = offsetof(struct sample, number), .min = -5, .max = 100},
	{.name = "grace", .type = CONF_DURATION, .offset = offsetof(struct sample, grace_ms), .min = 0, .max = 180000},
	{.name = "cache", .type = CONF_SIZE, .offset = offsetof(struct sample, cache_bytes)},
	{.name = "level", .type = CONF_CHOICE, .offset = offsetof(struct sample, level), .choices = levels},
	{.name = "names", .type = CONF_STRINGS, .offset = offsetof(struct sample, names), .min = 1, .max = 3},
	{.name = "inner", .type = CONF_MAP, .offset = offsetof(struct sample, inner), .sub = port_keys},
	{.name = "ports", .type = CONF_MAPS, .offset = offsetof(struct sample, ports), .sub = port_keys, .sub_size = sizeof(struct port)},
	{.name = "raw", .type = CONF_NODE, .offset = offsetof(struct sample, raw)},
	{.name = NULL},
};

static void values_arrive(void **state)
{
	static const char text[] = "# comment\n"
				   "socket: /run/x.sock\nflag: yes\nnumber: -3\ngrace: 2m\ncache: 64k\nlevel: high\n"
				   "names: [a, \"b c\"]\ninner: {iface: eth0}\nports:\n- iface: eth1\n  queues: 2\n- {iface: eth2}\nraw: {k: v}\n";
	struct sample s = {.socket = strdup("default"), .inner.queues = 7};
	char err[256] = "";
	struct conf_node *root = conf_parse("x.yaml", text, sizeof(text) - 1, err, sizeof(err));

	(void)state;
	assert_string_equal(err, "");
	assert_non_null(root);
	assert_int_equal(conf_read(root, keys, &s, err, sizeof(err)), 0);
	assert_string_equal(s.socket, "/run/x.sock");
	assert_true(s.flag && flag_given);
	assert_int_equal(s.number, -3);
	assert_int_equal(s.grace_ms, 120000);
	assert_int_equal(s.cache_bytes, 65536);
	assert_int_equal(s.level, 1);
	assert_int_equal(s.names.n, 2);
	assert_string_equal(s.names.v[1], "b c");
	assert_string_equal(s.inner.iface, "eth0");
	assert_int_equal(s.inner.queues, 7);
	assert_int_equal(s.ports.n, 2);
	assert_string_equal(((struct port *)s.ports.v)[1].iface, "eth2");
	assert_int_equal(((struct port *)s.ports.v)[0].queues, 2);
	assert_string_equal(conf_get(s.raw, "k")->text, "v");
	conf_release(keys, &s);
	assert_null(s.socket);
	conf_free(root);
}

static void errors_name_file_and_line(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"flag: true\nsokcet: x\n", "x.yaml:2: unknown key 'sokcet'"},
		{"inner:\n  iface: e\n  mtu: 3\n", "x.yaml:3: unknown key 'mtu'"},
		{"ports:\n- queues: 1\n", "x.yaml:2: key 'iface' is missing"},
		{"flag: maybe\n", "x.yaml:1: flag: 'maybe' is not true or false"},
		{"\n\nnumber: 101\n", "x.yaml:3: number: '101' is not between -5 and 100"},
		{"number: 1x\n", "x.yaml:1: number: '1x' is not a whole number"},
		{"number: 99999999999999999999\n", "x.yaml:1: number: '99999999999999999999' is not a whole number"},
		{"grace: 4m\n", "x.yaml:1: grace: '4m' is not between 0 and 180000 ms"},
		{"grace: soon\n", "x.yaml:1: grace: 'soon' is not a duration such as 30s or 2m"},
		{"cache: 12q\n", "x.yaml:1: cache: '12q' is not a size such as 64k or 16m"},
		{"level: middle\n", "x.yaml:1: level: 'middle' is not one of low high"},
		{"names: [a, b, c, d]\n", "x.yaml:1: names: has 4 items, not 1 to 3"},
		{"names: {a: b}\n", "x.yaml:1: names: must be a list of texts"},
		{"socket: [a]\n", "x.yaml:1: socket: must be a text"},
		{"socket:\n", "x.yaml:1: socket: must be a text"},
		{"ports: {a: b}\n", "x.yaml:1: ports: must be a list"},
		{"flag: true\nflag: false\n", "x.yaml:2: key 'flag' stands here twice"},
		{"- a\n", "x.yaml:1: the file must hold keys and values"},
		{"flag: true\n---\nflag: true\n", "x.yaml:3: a second document is not supported"},
		{"raw: &a b\nsocket: *a\n", "x.yaml:2: aliases are not supported"},
		{"flag: [\n", "x.yaml:2: did not find expected node content"},
		{"raw: [[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]\n", "x.yaml:1: nested deeper than 16"},
		{"b\x1b[31m: x\n", "x.yaml:1: control characters are not allowed"},
		{"\"b\\e[31m\": x\n", "x.yaml:1: unknown key 'b\\x1b[31m'"},
		{"raw: \"a\\0b\"\n", "x.yaml:1: a value holds a NUL character"},
		{"[a]: b\n", "x.yaml:1: a key must be plain text"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sample s = {0};
		char err[256] = "";
		struct conf_node *root = conf_parse("x.yaml", cases[i].text, strlen(cases[i].text), err, sizeof(err));

		if (root)
			assert_true(conf_read(root, keys, &s, err, sizeof(err)) < 0);
		if (strcmp(err, cases[i].want) != 0)
			fail_msg("case %zu: got '%s', want '%s'", i, err, cases[i].want);
		conf_release(keys, &s);
		conf_free(root);
	}
}

static void files(void **state)
{
	char err[256], path[] = "/tmp/conf_test.XXXXXX";
	int fd = mkstemp(path);
	struct conf_node *root;

	(void)state;
	assert_null(conf_load("/nonexistent/x.yaml", err, sizeof(err)));
	assert_string_equal(err, "/nonexistent/x.yaml: No such file or directory");
	root = conf_load(path, err, sizeof(err)); /* empty */
	assert_non_null(root);
	assert_null(root->child);
	conf_free(root);
	assert_int_equal(write(fd, "a: b\n", 5), 5);
	close(fd);
	root = conf_load(path, err, sizeof(err));
	assert_string_equal(conf_get(root, "a")->text, "b");
	conf_free(root);
	unlink(path);
}

static void units(void **state)
{
	uint64_t v;

	(void)state;
	assert_true(conf_parse_duration("250ms", &v) && v == 250);
	assert_true(conf_parse_duration("30", &v) && v == 30000);
	assert_true(conf_parse_duration("1h", &v) && v == 3600000);
	assert_true(conf_parse_duration("1d", &v) && v == 86400000);
	assert_false(conf_parse_duration("", &v));
	assert_false(conf_parse_duration("s", &v));
	assert_false(conf_parse_duration("-1s", &v));
	assert_false(conf_parse_duration("1 s", &v));
	assert_false(conf_parse_duration("99999999999999999999s", &v));
	assert_false(conf_parse_duration("18446744073709551615d", &v));
	assert_true(conf_parse_size("16m", &v) && v == 16u << 20);
	assert_true(conf_parse_size("7", &v) && v == 7);
	assert_false(conf_parse_size("1kb", &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_arrive),
		cmocka_unit_test(errors_name_file_and_line),
		cmocka_unit_test(files),
		cmocka_unit_test(units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
