// SPDX-License-Identifier: BSD-3-Clause
// What JSON is and is not, by the facts of JSONTestSuite: a table of our own, and the whole suite where it is at hand.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/ipc/rpc.h"

#define T(s) s, sizeof(s) - 1

static const struct {
	const char *text;
	size_t len;
} good[] = {
	{T("[[]   ]")}, {T("[\"\"]")}, {T("[]")}, {T("[\"a\"]")}, {T("[false]")}, {T("[null, 1, \"1\", {}]")}, {T("[null]")},
	{T("[1\n]")}, {T(" [1]")}, {T("[1,null,null,null,2]")}, {T("[2] ")}, {T("[0e+1]")}, {T("[0e1]")}, {T("[ 4]")},
	{T("[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]\n")}, {T("[20e1]")},
	{T("[-0]")}, {T("[-123]")}, {T("[-1]")}, {T("[1E22]")}, {T("[1E-2]")}, {T("[1E+2]")}, {T("[123e45]")},
	{T("[123.456e78]")}, {T("[1e-2]")}, {T("[1e+2]")}, {T("[123]")}, {T("[123.456789]")}, {T("{\"asd\":\"sdf\", \"dfg\":\"fgh\"}")},
	{T("{\"asd\":\"sdf\"}")}, {T("{}")}, {T("{\"\":0}")}, {T("{\"x\":[{\"id\": \"xxx\"}], \"id\": \"xxx\"}")},
	{T("{\"a\":[]}")}, {T("{\n\"a\": \"b\"\n}")}, {T("[\"\\u0060\\u012a\\u12AB\"]")}, {T("[\"\\uD801\\udc37\"]")},
	{T("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]")}, {T("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]")}, {T("[\"\\\\u0000\"]")}, {T("[\"\\\"\"]")},
	{T("[\"a/*b*/c/*d//e\"]")}, {T("[\"\\\\a\"]")}, {T("[\"\\u0012\"]")}, {T("[\"\xe2\x80\xa8\"]")}, {T("[\"\xf4\x8f\xbf\xbf\"]")},
	{T("[\"\x7f\"]")}, {T("\" \"")}, {T("false")}, {T("42")}, {T("-0.1")}, {T("null")}, {T("\"asd\"")}, {T("true")},
	{T("[\"a\"]\n")}, {T("[true]")}, {T(" [] ")},
}, bad[] = {
	{T("[1 true]")}, {T("[a\xe5]")}, {T("[\"\": 1]")}, {T("[\"\"],")}, {T("[,1]")}, {T("[1,,2]")}, {T("[\"x\",,]")}, {T("[\"x\"]]")},
	{T("[\"\",]")}, {T("[\"x\"")}, {T("[x")}, {T("[3[ 4]]")}, {T("[\xff]")}, {T("[1:2]")}, {T("[,]")}, {T("[-]")}, {T("[   , \"\"]")},
	{T("[1,]")}, {T("[1,,]")}, {T("[*]")}, {T("[1,\n")}, {T("[{}")}, {T("[fals]")}, {T("[nul]")}, {T("[tru]")}, {T("123\0")},
	{T("[++1234]")}, {T("[+1]")}, {T("[+Inf]")}, {T("[-01]")}, {T("[-1.0.]")}, {T("[-2.]")}, {T("[-NaN]")}, {T("[.-1]")}, {T("[.2e-3]")},
	{T("[0.1.2]")}, {T("[0.3e+]")}, {T("[0.e1]")}, {T("[0E+]")}, {T("[0E]")}, {T("[1.0e+]")}, {T("[1 000.0]")}, {T("[1eE2]")}, {T("[2.e3]")},
	{T("[9.e+]")}, {T("[Inf]")}, {T("[NaN]")}, {T("[1+2]")}, {T("[0x1]")}, {T("[0x42]")}, {T("[Infinity]")}, {T("[0e+-1]")}, {T("[-123.123foo]")},
	{T("[-012]")}, {T("[-1x]")}, {T("[1ea]")}, {T("[1.]")}, {T("[.123]")}, {T("[012]")}, {T("[\"x\", truth]")}, {T("{[: \"x\"}\n")}, {T("{\"x\", null}")},
	{T("{\"x\"::\"b\"}")}, {T("{\"a\":\"a\" 123}")}, {T("{key: 'value'}")}, {T("{\"\xb9\":\"0\",}")}, {T("{\"a\" b}")}, {T("{:\"b\"}")}, {T("{\"a\" \"b\"}")},
	{T("{\"a\":")}, {T("{\"a\"")}, {T("{1:1}")}, {T("{null:null,null:null}")}, {T("{\"id\":0,,,,,}")}, {T("{'a':0}")}, {T("{\"id\":0,}")},
	{T("{\"a\":\"b\"}/**/")}, {T("{\"a\":\"b\"}//")}, {T("{\"a\":\"b\",,\"c\":\"d\"}")}, {T("{a: \"b\"}")}, {T("{\"a\":\"a")}, {T("{ \"foo\" : \"bar\", \"a\" }")},
	{T("{\"a\":\"b\"}#")}, {T(" ")}, {T("[\"\\uD800\\\"]")}, {T("[\"\\uD800\\u\"]")}, {T("[\"\\uD800\\u1x\"]")}, {T("[\\u00e9]")}, {T("[\"\\x00\"]")},
	{T("[\"\\\\\\\"]")}, {T("[\"\\\t\"]")}, {T("[\"\\\xf0\x9f\x8c\x80\"]")}, {T("[\"\\\"]")}, {T("[\"\\u00A\"]")}, {T("[\"\\uD834\\uDd\"]")}, {T("[\"\\a\"]")},
	{T("[\"\\uqqqq\"]")}, {T("[\"\\\xe5\"]")}, {T("[\xc3\xa9]")}, {T("['single quote']")}, {T("abc")}, {T("[\"\\")}, {T("[\"new\nline\"]")}, {T("[\"\t\"]")},
	{T("\"\\UA66D\"")}, {T("\"\"x")}, {T("<.>")}, {T("[<null>]")}, {T("[1]x")}, {T("[1]]")}, {T("[\"asd]")}, {T("a\xc3\xa5")}, {T("[True]")},
	{T("{\"x\": true,")}, {T("[][]")}, {T("]")}, {T("\xef\xbb\xbf{}")}, {T("\xe5")}, {T("[")}, {T("")}, {T("[\0]")}, {T("2@")}, {T("{}}")},
	{T("{\"\":")}, {T("{\"a\":/*comment*/\"b\"}")}, {T("[,")}, {T("[\"a")}, {T("{,")}, {T("{[")}, {T("{\"a")}, {T("*")}, {T("{\"a\":\"b\"}#{}")},
	{T("[1")}, {T("[ false, tru")}, {T("{\"asd\":\"asd\"")}, {T("\xe2\x81\xa0")}, {T("[\x0c]")},
	/* ours, and more strict than the RFC asks */
	{T("{\"a\":\"b\",\"a\":\"c\"}")}, {T("[\"\\u0000\"]")}, {T("[\"\xed\xa0\x80\"]")}, {T("[\"\xc0\xaf\"]")}, {T("[\"\xf4\xbf\xbf\xbf\"]")},
};

static bool takes(const char *text, size_t len)
{
	char err[256] = "";
	json_t *j = ipc_json_parse(text, len, err, sizeof(err));

	if (!j)
		assert_true(err[0] != 0);
	json_decref(j);
	return j != NULL;
}

static void what_is_json_is_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!takes(good[i].text, good[i].len))
			fail_msg("case %zu: %s", i, good[i].text);
	}
}

static void what_is_not_json_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (takes(bad[i].text, bad[i].len))
			fail_msg("case %zu: %s", i, bad[i].text);
	}
}

static const char *source_root = ".";

/* Valid by the RFC, and refused here on purpose: duplicate keys and NUL characters. */
static bool refused_on_purpose(const char *name)
{
	return strstr(name, "duplicated_key") || strstr(name, "null_escape.json") || strstr(name, "escaped_null") ||
	       strstr(name, "escaped_control_character.json") || strstr(name, "object_escaped_null_in_key");
}

static void the_whole_suite(void **state)
{
	char dir[] = "/tmp/json_suite.XXXXXX", path[512], cmd[1024];
	const char *data = getenv("SLUICE_DATA");
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	(void)state;
	if (data)
		snprintf(path, sizeof(path), "%s/json/JSONTestSuite.tar.xz", data);
	else
		snprintf(path, sizeof(path), "%s/../shared/data/json/JSONTestSuite.tar.xz", source_root);
	if (access(path, R_OK) < 0) {
		print_message("skipped: no reference data\n");
		skip();
	}
	assert_non_null(mkdtemp(dir));
	snprintf(cmd, sizeof(cmd), "tar -xJf '%s' --strip-components=2 -C %s JSONTestSuite/test_parsing", path, dir);
	assert_int_equal(system(cmd), 0);
	d = opendir(dir);
	while ((e = readdir(d))) {
		static char text[1 << 20];
		size_t len;
		FILE *f;
		bool ok;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		f = fopen(path, "rb");
		len = fread(text, 1, sizeof(text), f);
		fclose(f);
		ok = takes(text, len);
		if (e->d_name[0] == 'y' && !ok && !refused_on_purpose(e->d_name))
			fail_msg("%s must be taken", e->d_name);
		if (e->d_name[0] == 'n' && ok)
			fail_msg("%s must be refused", e->d_name);
		n++;
	}
	closedir(d);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	assert_int_equal(system(cmd), 0);
	assert_true(n > 300);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_json_is_taken),
		cmocka_unit_test(what_is_not_json_is_refused),
		cmocka_unit_test(the_whole_suite),
	};

	if (argc > 1)
		source_root = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
