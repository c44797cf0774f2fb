// SPDX-License-Identifier: BSD-3-Clause
// The parser: the example expressions by number, quirks of the grammar, errors with their place, values three-valued.
#include "lib/expr/expr.h"
#include "lib/expr/test_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define UUID "01302951-49f9-47c9-a400-0297e60b6a10"

static struct expr *parse(const char *text, enum expr_scheme scheme)
{
	struct expr_error error;
	struct expr *e;
	int rc = expr_parse(text, strlen(text), scheme, &test_lists, &e, &error);

	if (rc)
		print_error("%s: column %u: %s\n", text, error.column, error.message);
	assert_int_equal(rc, 0);
	return e;
}

static void refused(const char *text, enum expr_scheme scheme, unsigned column, const char *message)
{
	struct expr_error error;
	struct expr *e;

	assert_int_equal(expr_parse(text, strlen(text), scheme, &test_lists, &e, &error), -EINVAL);
	assert_null(e);
	if (!strstr(error.message, message) || error.column != column)
		print_error("%s\n  got  %u: %s\n  want %u: %s\n", text, error.column, error.message, column, message);
	assert_non_null(strstr(error.message, message));
	assert_int_equal(error.column, column);
}

/* Parses, sets the environment from "field=value field=…" and expects the value. */
static void gives(const char *text, enum expr_scheme scheme, const char *env_text, enum expr_tri want)
{
	struct expr *e = parse(text, scheme);
	struct test_env env;
	int got;

	test_env_init(&env, env_text);
	got = expr_eval(e, &env.env);
	if (got != (int)want)
		print_error("%s with %s: got %d, want %d\n", text, env_text, got, want);
	assert_int_equal(got, want);
	test_env_free(&env);
	expr_free(e);
}

/* --- the 38 examples of the reference product's documentation, each accepted with its meaning or refused with the reason --- */

struct example {
	unsigned number;
	enum expr_scheme scheme;
	const char *text;
	const char *refusal; /* part of the message, or NULL */
	unsigned column;     /* of the refusal */
	const char *yes, *no; /* environments in which it is true, false; NULL when refused */
};

static const struct example examples[] = {
	{1, EXPR_HTTP, "any(http.conn.dst_ip[*] in $0130295149f947c9a4000297e60b6a10)", NULL, 0, "http.conn.dst_ip=10.1.2.3",
	 "http.conn.dst_ip=11.1.2.3"},
	{2, EXPR_L4, "net.dst.ip == 192.0.2.0", NULL, 0, "net.dst.ip=192.0.2.0", "net.dst.ip=192.0.2.1"},
	{3, EXPR_L4, "net.dst.port == \"2222\"", NULL, 0, "net.dst.port=2222", "net.dst.port=2223"},
	{4, EXPR_L4, "net.src.ip[*] in {10.0.0.0/8}", NULL, 0, "net.src.ip=10.255.0.1", "net.src.ip=11.0.0.0"},
	{5, EXPR_L4, "net.protocol == \"tcp\"", NULL, 0, "net.protocol=tcp", "net.protocol=udp"},
	{6, EXPR_L4, "net.protocol in {\"tcp\" \"udp\"}", NULL, 0, "net.protocol=udp", "net.protocol=icmp"},
	{7, EXPR_L4, "net.detected_protocol == \"tls\" and net.dst.port in {80 443}", NULL, 0,
	 "net.detected_protocol=tls net.dst.port=443", "net.detected_protocol=tls net.dst.port=444"},
	{8, EXPR_L4, "net.detected_protocol == \"tls\" or net.detected_protocol == \"http\"", NULL, 0, "net.detected_protocol=http",
	 "net.detected_protocol=ssh"},
	{9, EXPR_L4, "net.protocol.detection == \"ssh\"", NULL, 0, "net.detected_protocol=ssh", "net.detected_protocol=tls"},
	{10, EXPR_L4, "net.sni.host == \"www.example.com\"", NULL, 0, "net.sni.host=WWW.example.com", "net.sni.host=example.com"},
	{11, EXPR_L4, "net.sni.domains == \"example.com\"", "'net.sni.domains' holds several values: write any(net.sni.domains[*]", 1, NULL,
	 NULL},
	{12, EXPR_L4, "net.dst.ip in {10.0.0.0/8}", NULL, 0, "net.dst.ip=10.0.0.0", "net.dst.ip=2001:db8::1"},
	{12, EXPR_IDENTITY, "identity.email matches \".*@example.com\"", NULL, 0, "identity.email=ana@example.com",
	 "identity.email=ana@example.org"},
	{13, EXPR_L4, "net.dst.ip in {203.0.113.17} and net.dst.port == 80", NULL, 0, "net.dst.ip=203.0.113.17 net.dst.port=80",
	 "net.dst.ip=203.0.113.17 net.dst.port=81"},
	{14, EXPR_L4, "net.proxy_endpoint.ids[*] in {\"<ID>\"} and net.src.ip in {203.0.113.0/24} and net.dst.ip in {10.0.0.0/8}",
	 "'net.proxy_endpoint.ids' is not available: there are no proxy endpoints", 1, NULL, NULL},
	{15, EXPR_L4, "any(app.type.ids[*] in {25})", "'app.type.ids' is not available: it needs a catalogue of applications", 5, NULL, NULL},
	{16, EXPR_L4, "any(app.ids[*] in {606})", "'app.ids' is not available: it needs a catalogue of applications", 5, NULL, NULL},
	{17, EXPR_IDENTITY, "any(identity.groups.name[*] in {\"Contractors\"})", NULL, 0, "identity.groups.name=Staff,Contractors",
	 "identity.groups.name=Staff,contractors"},
	{18, EXPR_L4, "net.dst.ip in {10.0.0.0/8} and net.dst.port in {80 443 8080 53} and not(net.dst.ip in {10.217.0.0/16})", NULL, 0,
	 "net.dst.ip=10.218.0.0 net.dst.port=53", "net.dst.ip=10.217.0.0 net.dst.port=53"},
	{19, EXPR_L4, "net.dst.port in {443 80}", NULL, 0, "net.dst.port=80", "net.dst.port=81"},
	{20, EXPR_HTTP, "http.conn.src_ip == 1.2.3.4", NULL, 0, "http.conn.src_ip=1.2.3.4", "http.conn.src_ip=1.2.3.5"},
	{21, EXPR_HTTP, "http.request.uri == \"https://www.example.com/malicious\"", NULL, 0,
	 "http.request.uri=https://www.example.com/malicious", "http.request.uri=https://www.example.com/Malicious"},
	{22, EXPR_HTTP, "http.request.uri matches \".*a/partial/uri.*\" and http.request.host in $" UUID,
	 "list '$" UUID "' holds addresses, this is compared with text", 71, NULL, NULL},
	{22, EXPR_HTTP, "http.request.uri matches \".*a/partial/uri.*\" and http.request.host in $hosts", NULL, 0,
	 "http.request.uri=http://x/a/partial/uri/b http.request.host=DB.corp.example",
	 "http.request.uri=http://x/a/partial/uri/b http.request.host=x"},
	{23, EXPR_HTTP, "http.request.uri matches \".*api.*\"", NULL, 0, "http.request.uri=http://x/api", "http.request.uri=http://x/"},
	{24, EXPR_HTTP,
	 "any(http.request.uri.security_category[*] in {21}) or any(http.request.uri.content_category[*] in {32})",
	 "'http.request.uri.security_category' is not available: it needs a feed of categories", 5, NULL, NULL},
	{25, EXPR_DNS, "any(dns.domains[*] == \"example.com\")", NULL, 0, "dns.domains=www.example.com,Example.com,com",
	 "dns.domains=www.example.org,example.org,org"},
	{26, EXPR_DNS, "any(dns.domains[*] in {\"google.com\" \"bing.com\" \"duckduckgo.com\"})", NULL, 0, "dns.domains=com,bing.com",
	 "dns.domains=com,bing.org"},
	{27, EXPR_IDENTITY, "any(identity.groups.name[*] in {\"finance\"})", NULL, 0, "identity.groups.name=finance",
	 "identity.groups.name=it"},
	{28, EXPR_POSTURE, "any(device_posture.checks.passed[*] in {\"1308749e-fcfb-4ebc-b051-fe022b632644\"})", NULL, 0,
	 "device_posture.checks.passed=a,1308749e-fcfb-4ebc-b051-fe022b632644", "device_posture.checks.passed=a"},
	{29, EXPR_POSTURE, "any(device_posture.checks.passed[*] == \"51fe39d9-d584-48f5-9eed-36cd14ada791\")", NULL, 0,
	 "device_posture.checks.passed=51fe39d9-d584-48f5-9eed-36cd14ada791", "device_posture.checks.passed=51fe39d9"},
	{30, EXPR_L4,
	 "(net.dst.ip in {11.11.11.11 12.12.12.12} and net.dst.port in {23 53 }) or (net.dst.ip in {13.13.13.13} and net.dst.port >= 49152 "
	 "and net.dst.port <= 65535)",
	 NULL, 0, "net.dst.ip=13.13.13.13 net.dst.port=49152", "net.dst.ip=13.13.13.13 net.dst.port=23"},
	{31, EXPR_L4, "net.vmnet_id == \"6b1a\"", NULL, 0, "net.vnet_id=6b1a", "net.vnet_id=6b1b"},
	{31, EXPR_IDENTITY, "any(identity.groups.name[*] in {\"Foo Group\"})", NULL, 0, "identity.groups.name=Foo+Group",
	 "identity.groups.name=FooGroup"},
	{32, EXPR_HTTP, "any(http.request.domains[*] in $hosts)", NULL, 0, "http.request.domains=x.db.corp.example,db.corp.example",
	 "http.request.domains=corp.example"},
	{33, EXPR_DNS, "any(dns.response.cname[*] in {\"www.apple.com.edgekey.net\"})",
	 "'dns.response.cname' is not available: it needs the answers of name servers", 5, NULL, NULL},
	{34, EXPR_DNS, "dns.dst.geo.country == \"RU\"", "'dns.dst.geo.country' is not available: it needs a database of places", 1, NULL, NULL},
	{35, EXPR_HTTP, "any(http.download.file.types[*] in {\"docx\" \"7z\"})",
	 "'http.download.file.types' is not available: it needs decrypted bodies", 5, NULL, NULL},
	{36, EXPR_HTTP, "http.upload.file.size < 10", "'http.upload.file.size' is not available: it needs decrypted bodies", 1, NULL, NULL},
	{37, EXPR_IDENTITY, "not(identity.email == \"guest@company.com\")", NULL, 0, "identity.email=ana@company.com",
	 "identity.email=Guest@company.com"},
	{38, EXPR_IDENTITY, "any(identity.groups[*].name in {\"Engineering\" \"Security\"})", NULL, 0, "identity.groups.name=x,Security",
	 "identity.groups.name=x,security"},
};

static void example(const struct example *x)
{
	print_message("# example %u\n", x->number);
	if (x->refusal) {
		refused(x->text, x->scheme, x->column, x->refusal);
		return;
	}
	gives(x->text, x->scheme, x->yes, EXPR_YES);
	gives(x->text, x->scheme, x->no, EXPR_NO);
}

static void test_examples(void **state)
{
	unsigned next = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		assert_true(examples[i].number == next || examples[i].number + 1 == next);
		next = examples[i].number + 1;
		example(&examples[i]);
	}
	assert_int_equal(next, 39);
}

/* --- quirks of the grammar --- */

static void test_precedence(void **state)
{
	(void)state;
	/* or < xor < and < not */
	gives("net.dst.port == 1 or net.dst.port == 2 and net.dst.port == 3", EXPR_L4, "net.dst.port=1", EXPR_YES);
	gives("(net.dst.port == 1 or net.dst.port == 2) and net.dst.port == 3", EXPR_L4, "net.dst.port=1", EXPR_NO);
	gives("net.dst.port == 1 xor net.dst.port == 1 and net.dst.port == 2", EXPR_L4, "net.dst.port=1", EXPR_YES);
	gives("net.dst.port == 1 or net.dst.port == 1 xor net.dst.port == 1", EXPR_L4, "net.dst.port=1", EXPR_YES);
	gives("(net.dst.port == 1 or net.dst.port == 1) xor net.dst.port == 1", EXPR_L4, "net.dst.port=1", EXPR_NO);
	gives("not net.dst.port == 1 and net.dst.port == 2", EXPR_L4, "net.dst.port=2", EXPR_YES);
	gives("not (net.dst.port == 2 and net.dst.port == 2)", EXPR_L4, "net.dst.port=2", EXPR_NO);
	gives("! ! net.dst.port == 1", EXPR_L4, "net.dst.port=1", EXPR_YES);
	gives("net.dst.port==1||net.dst.port==2&&net.dst.port==3^^net.dst.port==4", EXPR_L4, "net.dst.port=4", EXPR_YES);
}

static void test_words_and_symbols(void **state)
{
	static const char *const pairs[][2] = {{"==", "eq"}, {"!=", "ne"}, {">=", "ge"}, {"<=", "le"}, {">", "gt"}, {"<", "lt"}};
	static const enum expr_tri want[][3] = {{EXPR_NO, EXPR_YES, EXPR_NO},  {EXPR_YES, EXPR_NO, EXPR_YES}, {EXPR_NO, EXPR_YES, EXPR_YES},
						{EXPR_YES, EXPR_YES, EXPR_NO}, {EXPR_NO, EXPR_NO, EXPR_YES},  {EXPR_YES, EXPR_NO, EXPR_NO}};
	static const char *const ports[] = {"net.dst.port=79", "net.dst.port=80", "net.dst.port=81"};
	static const char *const ips[] = {"net.dst.ip=10.0.0.79", "net.dst.ip=10.0.0.80", "net.dst.ip=10.0.0.81"};
	char text[64];

	(void)state;
	for (size_t i = 0; i < 6; i++)
		for (size_t k = 0; k < 6; k++) {
			snprintf(text, sizeof(text), "net.dst.port %s 80", pairs[i][k & 1]);
			gives(text, EXPR_L4, ports[k / 2], want[i][k / 2]);
			snprintf(text, sizeof(text), "net.dst.ip %s 10.0.0.80", pairs[i][k & 1]);
			gives(text, EXPR_L4, ips[k / 2], want[i][k / 2]);
		}
	gives("net.dst.port & 0x50", EXPR_L4, "net.dst.port=16", EXPR_YES);
	gives("net.dst.port bitwise_and 0x50", EXPR_L4, "net.dst.port=32", EXPR_NO);
	gives("net.dst.port & 1 && net.dst.port & 2", EXPR_L4, "net.dst.port=3", EXPR_YES);
	gives("http.request.method ~ \"^G\"", EXPR_HTTP, "http.request.method=GET", EXPR_YES);
}

/* Keywords are matched by prefix; no boundary of a word is asked for. */
static void test_prefix_keywords(void **state)
{
	(void)state;
	gives("net.dst.port in{80}", EXPR_L4, "net.dst.port=80", EXPR_YES);
	gives("net.dst.port eq80", EXPR_L4, "net.dst.port=80", EXPR_YES);
	gives("net.dst.port eq80andnet.src.port eq1", EXPR_L4, "net.dst.port=80 net.src.port=1", EXPR_YES);
	gives("notnet.dst.port eq 80", EXPR_L4, "net.dst.port=80", EXPR_NO);
	refused("notes.x == 1", EXPR_L4, 4, "unknown field 'es.x'");
	refused("any == 1", EXPR_L4, 1, "unknown field 'any'");
	gives("any (net.sni.domains[*] == \"a\")", EXPR_L4, "net.sni.domains=a", EXPR_YES);
}

static void test_white_space(void **state)
{
	(void)state;
	gives(" \r\n net.dst.port \n == \r 80 \n", EXPR_L4, "net.dst.port=80", EXPR_YES);
	refused("net.dst.port\t== 80", EXPR_L4, 13, "found a tab, which is not white space here");
	refused("net.dst.port in {80\t81}", EXPR_L4, 20, "found a tab");
	refused("net.dst.port in {80,81}", EXPR_L4, 20, "expected white space between the items of a set, found ','");
}

static void test_integers(void **state)
{
	(void)state;
	gives("net.dst.port == 0x1F90", EXPR_L4, "net.dst.port=8080", EXPR_YES);
	gives("net.dst.port == 017620", EXPR_L4, "net.dst.port=8080", EXPR_YES);
	gives("net.dst.port > -1", EXPR_L4, "net.dst.port=0", EXPR_YES);
	gives("net.dst.port == 0", EXPR_L4, "net.dst.port=0", EXPR_YES);
	gives("net.dst.port in {1..10 20}", EXPR_L4, "net.dst.port=10", EXPR_YES);
	gives("net.dst.port in {1..10 20}", EXPR_L4, "net.dst.port=11", EXPR_NO);
	gives("net.dst.port < 9223372036854775807 and net.dst.port > -9223372036854775808", EXPR_L4, "net.dst.port=5", EXPR_YES);
	refused("net.dst.port == 08", EXPR_L4, 17, "a leading 0 means octal");
	refused("net.dst.port == 0x", EXPR_L4, 17, "hexadecimal digits");
	refused("net.dst.port == 9223372036854775808", EXPR_L4, 17, "does not fit into 64 bits");
	refused("net.dst.port == -9223372036854775809", EXPR_L4, 17, "does not fit into 64 bits");
	refused("net.dst.port in {10..1}", EXPR_L4, 18, "10..1: the range ends before it begins");
	refused("net.dst.port == \"http\"", EXPR_L4, 17, "expected a whole number");
	refused("net.dst.port == 80x", EXPR_L4, 19, "expected 'and', 'or', 'xor' or the end, found 'x'");
	refused("net.dst.port == ", EXPR_L4, 17, "expected a whole number, found the end");
	refused("net.dst.port in {}", EXPR_L4, 18, "empty set");
	refused("net.dst.port in {80", EXPR_L4, 20, "expected an item of the set or '}', found the end");
	refused("net.dst.port in 80", EXPR_L4, 17, "expected a set ({…}) or a list ($name), found '80'");
}

static void test_addresses(void **state)
{
	(void)state;
	gives("net.dst.ip in {10.0.0.1..10.0.0.9 2001:db8::/32}", EXPR_L4, "net.dst.ip=10.0.0.9", EXPR_YES);
	gives("net.dst.ip in {10.0.0.1..10.0.0.9 2001:db8::/32}", EXPR_L4, "net.dst.ip=10.0.0.10", EXPR_NO);
	gives("net.dst.ip in {10.0.0.1..10.0.0.9 2001:db8::/32}", EXPR_L4, "net.dst.ip=2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", EXPR_YES);
	gives("net.dst.ip in {2001:db8::1..2001:db8::ff}", EXPR_L4, "net.dst.ip=2001:db8::80", EXPR_YES);
	gives("net.dst.ip in {0.0.0.0/0}", EXPR_L4, "net.dst.ip=255.255.255.255", EXPR_YES);
	gives("net.dst.ip in {::/0}", EXPR_L4, "net.dst.ip=10.0.0.1", EXPR_NO);
	gives("net.dst.ip in {10.0.0.0/31}", EXPR_L4, "net.dst.ip=10.0.0.2", EXPR_NO);
	refused("net.dst.ip == 10.0.0.0/8", EXPR_L4, 15, "a prefix can only stand in a set");
	refused("net.dst.ip in {10.0.0.1/8}", EXPR_L4, 16, "host bits are set");
	refused("net.dst.ip in {10.0.0.0/33}", EXPR_L4, 16, "10.0.0.0/33");
	refused("net.dst.ip in {10.0.0.0/}", EXPR_L4, 16, "10.0.0.0/");
	refused("net.dst.ip in {10.0.0.9..10.0.0.1}", EXPR_L4, 16, "the range ends before it begins");
	refused("net.dst.ip in {10.0.0.9..::1}", EXPR_L4, 16, "different families");
	refused("net.dst.ip == 10.0.0", EXPR_L4, 15, "'10.0.0' is no address");
	refused("net.dst.ip == \"10.0.0.1\"", EXPR_L4, 15, "expected an address, found '\"10.0.0.1\"'");
	refused("net.dst.ip contains \"1\"", EXPR_L4, 12, "'contains' cannot be used on an address");
	refused("net.dst.ip strict wildcard \"1\"", EXPR_L4, 12, "'strict wildcard' needs text");
	refused("net.dst.ip & 1", EXPR_L4, 12, "'&' cannot be used on an address");
}

/* v4 against v6 is unordered: every operator is false but !=. */
static void test_families(void **state)
{
	static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">="};
	char text[64];

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		snprintf(text, sizeof(text), "net.dst.ip %s 10.0.0.1", operators[i]);
		gives(text, EXPR_L4, "net.dst.ip=2001:db8::1", i == 1 ? EXPR_YES : EXPR_NO);
		snprintf(text, sizeof(text), "net.dst.ip %s ::1", operators[i]);
		gives(text, EXPR_L4, "net.dst.ip=10.0.0.1", i == 1 ? EXPR_YES : EXPR_NO);
	}
}

static void test_strings(void **state)
{
	(void)state;
	gives("http.request.uri == \"a\\\"b\\\\c\\x41\\102\"", EXPR_HTTP, "http.request.uri=a\"b\\cAB", EXPR_YES);
	gives("http.request.uri == r\"a\\x41\"", EXPR_HTTP, "http.request.uri=a\\x41", EXPR_YES);
	gives("http.request.uri == r##\"a\"#b\"##", EXPR_HTTP, "http.request.uri=a\"#b", EXPR_YES);
	gives("http.request.uri == 61:62-63.64", EXPR_HTTP, "http.request.uri=abcd", EXPR_YES);
	gives("http.request.uri in {61:62 \"x\" r\"y\"}", EXPR_HTTP, "http.request.uri=y", EXPR_YES);
	gives("http.request.uri > \"abc\"", EXPR_HTTP, "http.request.uri=abcd", EXPR_YES);
	gives("http.request.uri < \"abc\"", EXPR_HTTP, "http.request.uri=ab", EXPR_YES);
	gives("http.request.uri contains \"\"", EXPR_HTTP, "http.request.uri=ab", EXPR_YES);
	gives("http.request.uri contains \"/Api\"", EXPR_HTTP, "http.request.uri=http://x/api", EXPR_NO);
	refused("http.request.uri == \"abc", EXPR_HTTP, 21, "this string does not end");
	refused("http.request.uri == \"a\\nb\"", EXPR_HTTP, 23, "unknown escape");
	refused("http.request.uri == \"a\\777\"", EXPR_HTTP, 23, "unknown escape");
	refused("http.request.uri == \"a\\", EXPR_HTTP, 23, "unknown escape");
	refused("http.request.uri == r#\"abc\"", EXPR_HTTP, 21, "this string does not end");
	refused("http.request.uri == 61", EXPR_HTTP, 21, "expected a string, found '61'");
	refused("http.request.uri == abc", EXPR_HTTP, 21, "expected a string, found 'abc'");
}

/* Names have no case; other texts do. */
static void test_folding(void **state)
{
	(void)state;
	gives("net.sni.host == \"WWW.Example.COM\"", EXPR_L4, "net.sni.host=www.eXample.com", EXPR_YES);
	gives("net.sni.host in {\"A.B\"}", EXPR_L4, "net.sni.host=a.b", EXPR_YES);
	gives("net.sni.host contains \"EXAMPLE\"", EXPR_L4, "net.sni.host=www.example.com", EXPR_YES);
	gives("net.sni.host matches \"^WWW\"", EXPR_L4, "net.sni.host=www.example.com", EXPR_YES);
	gives("net.sni.host strict wildcard \"*.Example.com\"", EXPR_L4, "net.sni.host=www.example.com", EXPR_YES);
	gives("ends_with(net.sni.host, \".EXAMPLE.com\")", EXPR_L4, "net.sni.host=www.example.com", EXPR_YES);
	gives("net.sni.host in $hosts", EXPR_L4, "net.sni.host=Db.Corp.Example", EXPR_YES);
	gives("identity.name == \"ana\"", EXPR_IDENTITY, "identity.name=Ana", EXPR_NO);
	gives("lower(identity.name) == \"ana\"", EXPR_IDENTITY, "identity.name=Ana", EXPR_YES);
}

static void test_regex(void **state)
{
	(void)state;
	gives("http.request.uri matches r\"^https?://[^/]+/api/v\\d+$\"", EXPR_HTTP, "http.request.uri=https://x/api/v12", EXPR_YES);
	gives("http.request.uri matches \"b\"", EXPR_HTTP, "http.request.uri=abc", EXPR_YES);
	gives("http.request.uri matches \"^b\"", EXPR_HTTP, "http.request.uri=abc", EXPR_NO);
	gives("http.request.uri matches \"x*\"", EXPR_HTTP, "http.request.uri=", EXPR_YES);
	refused("http.request.uri matches \"a(b\"", EXPR_HTTP, 28, "regular expression: ");
	refused("http.request.uri matches \"\\x41(b\"", EXPR_HTTP, 31, "regular expression: ");
	refused("http.request.uri matches \"(a)\\\\1\"", EXPR_HTTP, 26, "regular expression: ");
	refused("http.request.uri matches \"a\\x00\"", EXPR_HTTP, 26, "NUL byte");
	refused("http.request.uri matches 61:62", EXPR_HTTP, 26, "expected a regular expression in quotes");
}

static void test_wildcards(void **state)
{
	(void)state;
	gives("http.request.uri wildcard \"HTTP://*/a*c\"", EXPR_HTTP, "http.request.uri=http://x.y/abbc", EXPR_YES);
	gives("http.request.uri strict wildcard \"HTTP://*/a*c\"", EXPR_HTTP, "http.request.uri=http://x.y/abbc", EXPR_NO);
	gives("http.request.uri strict  wildcard \"*\"", EXPR_HTTP, "http.request.uri=", EXPR_YES);
	gives("http.request.uri wildcard \"a*\"", EXPR_HTTP, "http.request.uri=ba", EXPR_NO);
	gives("http.request.uri wildcard \"*a\"", EXPR_HTTP, "http.request.uri=aab", EXPR_NO);
	gives("http.request.uri wildcard \"*ab\"", EXPR_HTTP, "http.request.uri=aab", EXPR_YES);
	gives("http.request.uri wildcard r\"a\\*b\\\\\"", EXPR_HTTP, "http.request.uri=a*b\\", EXPR_YES);
	gives("http.request.uri wildcard r\"a\\*b\"", EXPR_HTTP, "http.request.uri=axb", EXPR_NO);
	gives("http.request.uri wildcard \"a?b\"", EXPR_HTTP, "http.request.uri=axb", EXPR_NO);
	refused("http.request.uri wildcard \"a**b\"", EXPR_HTTP, 29, "two '*' in a row");
	refused("http.request.uri wildcard r\"a\\b\"", EXPR_HTTP, 30, "after a backslash");
	refused("http.request.uri wildcard r\"a\\\"", EXPR_HTTP, 30, "after a backslash");
}

static void test_list_names(void **state)
{
	struct expr *e;

	(void)state;
	gives("net.dst.ip in $" UUID, EXPR_L4, "net.dst.ip=10.9.9.9", EXPR_YES);
	gives("net.dst.ip in $corp.net_1", EXPR_L4, "net.dst.ip=10.9.9.9", EXPR_YES);
	refused("net.dst.ip in $corpnet_1", EXPR_L4, 15, "there is no list '$corpnet_1'; did you mean '$corp.net_1'?");
	refused("net.dst.ip in $zzzzzzzzzz", EXPR_L4, 15, "there is no list '$zzzzzzzzzz'");
	refused("net.dst.ip in $", EXPR_L4, 16, "expected the name or id of a list");
	refused("net.dst.ip in $.a", EXPR_L4, 16, "expected the name or id of a list");
	refused("net.dst.ip in $a.", EXPR_L4, 16, "expected the name or id of a list");
	refused("net.dst.ip in $Corp", EXPR_L4, 16, "expected the name or id of a list");
	refused("net.dst.ip in $hosts", EXPR_L4, 15, "list '$hosts' holds texts, this is compared with an address");
	refused("net.dst.port in $corp.net_1", EXPR_L4, 17, "holds addresses, this is compared with a whole number");
	refused("net.dst.ip == $corp.net_1", EXPR_L4, 15, "expected an address");
	e = parse("net.dst.ip in $" UUID " or net.sni.host in $hosts or net.src.ip in $corp.net_1", EXPR_L4);
	assert_int_equal(e->n_lists, 2);
	assert_string_equal(e->lists[0].id, UUID);
	assert_string_equal(e->lists[1].id, "hosts-id");
	assert_int_equal(e->fields, 1u << EXPR_F_NET_DST_IP | 1u << EXPR_F_NET_SNI_HOST | 1u << EXPR_F_NET_SRC_IP);
	assert_true(expr_needs_inspection(e));
	expr_free(e);
	e = parse("net.dst.ip in $" UUID, EXPR_L4);
	assert_false(expr_needs_inspection(e));
	expr_free(e);
}

static void test_arrays(void **state)
{
	(void)state;
	gives("all(net.sni.domains[*] contains \"example\")", EXPR_L4, "net.sni.domains=a.example,example", EXPR_YES);
	gives("all(net.sni.domains[*] contains \"example\")", EXPR_L4, "net.sni.domains=a.example,com", EXPR_NO);
	gives("net.sni.domains[1] == \"b\"", EXPR_L4, "net.sni.domains=a,b", EXPR_YES);
	gives("net.sni.domains[2] == \"b\"", EXPR_L4, "net.sni.domains=a,b", EXPR_NO);
	gives("net.sni.domains[2] != \"b\"", EXPR_L4, "net.sni.domains=a,b", EXPR_YES);
	gives("any(not net.sni.domains[*] == \"a\")", EXPR_L4, "net.sni.domains=a,b", EXPR_YES);
	gives("any(not (net.sni.domains[*] == \"a\"))", EXPR_L4, "net.sni.domains=a,a", EXPR_NO);
	/* element by element, not any() of each */
	gives("any(net.sni.domains[*] contains \"a\" and net.sni.domains[*] contains \"b\")", EXPR_L4, "net.sni.domains=a,b", EXPR_NO);
	gives("any(net.sni.domains[*] contains \"a\" and net.sni.domains[*] contains \"b\")", EXPR_L4, "net.sni.domains=a,ab", EXPR_YES);
	gives("any(lower(identity.groups.name[*]) == \"it\")", EXPR_IDENTITY, "identity.groups.name=IT", EXPR_YES);
	gives("any(lower(identity.groups.name[*])[*] == \"it\")", EXPR_IDENTITY, "identity.groups.name=IT", EXPR_YES);
	gives("any(starts_with(identity.groups.name[*], \"eng\"))", EXPR_IDENTITY, "identity.groups.name=it,engineers", EXPR_YES);
	gives("any(net.dst.ip[*] == 10.0.0.1) and net.src.ip[*] == 10.0.0.2", EXPR_L4, "net.dst.ip=10.0.0.1 net.src.ip=10.0.0.2", EXPR_YES);
	refused("net.sni.domains[*] == \"a\"", EXPR_L4, 1, "one answer per element: put any(…) or all(…) around it");
	refused("net.sni.domains[*] == \"a\" and net.dst.port == 1", EXPR_L4, 31, "put any(…) or all(…) around that");
	refused("any(net.sni.domains[*] == \"a\" and net.dst.ip[*] == 1.1.1.1)", EXPR_L4, 35, "put any(…) or all(…) around that");
	refused("any(net.dst.port == 1)", EXPR_L4, 5, "any() needs one answer per element: write [*]");
	refused("all(any(net.sni.domains[*] == \"a\"))", EXPR_L4, 5, "all() needs one answer per element");
	refused("net.dst.port[0] == 1", EXPR_L4, 13, "this is no array");
	refused("net.sni.domains[\"a\"] == 1", EXPR_L4, 17, "expected a place in the array or '*'");
	refused("net.sni.domains[-1] == \"a\"", EXPR_L4, 16, "count from 0");
	refused("net.sni.domains[1 == \"a\"", EXPR_L4, 18, "expected ']'");
	refused("any(net.sni.domains[*][*] == \"a\")", EXPR_L4, 23, "nothing left here");
	refused("lower(net.sni.host)[*] == \"a\"", EXPR_L4, 20, "nothing left here");
}

static void test_functions(void **state)
{
	(void)state;
	gives("starts_with(http.request.uri, \"https\")", EXPR_HTTP, "http.request.uri=https://x", EXPR_YES);
	gives("starts_with(http.request.uri, \"https\")", EXPR_HTTP, "http.request.uri=http", EXPR_NO);
	gives("ends_with( lower(http.request.uri) , \"x\" )", EXPR_HTTP, "http.request.uri=https://X", EXPR_YES);
	gives("not ends_with(http.request.uri, \"https://xy\")", EXPR_HTTP, "http.request.uri=y", EXPR_YES);
	gives("starts_with(net.sni.domains[0], \"a\")", EXPR_L4, "net.sni.domains=ab,c", EXPR_YES);
	refused("startswith(http.request.uri, \"x\")", EXPR_HTTP, 1, "unknown function 'startswith'; did you mean 'starts_with'?");
	refused("concat(http.request.uri, \"x\") == \"y\"", EXPR_HTTP, 1, "unknown function 'concat': there are lower, starts_with and ends_with");
	refused("lower(net.dst.port) == \"1\"", EXPR_L4, 7, "expected text, this is a whole number");
	refused("starts_with(net.sni.host)", EXPR_L4, 25, "expected ','");
	refused("starts_with(net.sni.host, net.sni.host)", EXPR_L4, 27, "expected a string");
	refused("starts_with(net.sni.host, \"a\"", EXPR_L4, 30, "expected ')', found the end");
	refused("starts_with(net.sni.host, \"a\") == 1", EXPR_L4, 32, "expected 'and', 'or', 'xor' or the end, found '='");
	refused("lower(net.sni.host)", EXPR_L4, 20, "expected an operator");
}

static void test_fields(void **state)
{
	(void)state;
	refused("net.dst.prt == 1", EXPR_L4, 1, "unknown field 'net.dst.prt'; did you mean 'net.dst.port'?");
	refused("net.dst.ip == 10.0.0.1 and foo.bar == 1", EXPR_L4, 28, "unknown field 'foo.bar'");
	refused("net.dst.ip == 10.0.0.1", EXPR_HTTP, 1,
		"'net.dst.ip' belongs into the traffic of a rule with the filter l4; this is the traffic of a rule with the filter http");
	refused("identity.email == \"a\"", EXPR_L4, 1, "'identity.email' belongs into the identity expression of a rule");
	refused("any(device_posture.checks.passed[*] == \"a\")", EXPR_IDENTITY, 5, "belongs into the posture expression");
	refused("ip.src eq 1.1.1.1", EXPR_L4, 1, "'ip.src' is not available: it belongs to another product: use net.src.ip");
	refused("http.request.uri.path contains \"/api\"", EXPR_HTTP, 1, "use http.request.uri");
	refused("true", EXPR_L4, 1, "leave the field out");
	refused("", EXPR_L4, 1, "expected a field, a function, 'not', 'any', 'all' or '(', found the end");
	refused("net.dst.port", EXPR_L4, 13, "expected an operator (== != < <= > >= in &), found the end");
	refused("net.dst.port = 80", EXPR_L4, 14, "expected an operator (== != < <= > >= in &), found '='");
	refused("(net.dst.port == 80", EXPR_L4, 20, "expected ')', 'and', 'or' or 'xor', found the end");
	refused("net.dst.port == 80)", EXPR_L4, 19, "expected 'and', 'or', 'xor' or the end, found ')'");
	refused("net.dst.port == 80 and", EXPR_L4, 23, "found the end");
	refused("net.dst.port == 80\x1b", EXPR_L4, 19, "found '\\x1b'");
}

/* --- three values --- */

static void test_missing(void **state)
{
	static const char *const falses[] = {"==", ">=", "<=", ">", "<", "contains", "matches", "wildcard", "strict wildcard"};
	char text[96];

	(void)state;
	for (size_t i = 0; i < sizeof(falses) / sizeof(falses[0]); i++) {
		snprintf(text, sizeof(text), "net.sni.host %s \"a\"", falses[i]);
		gives(text, EXPR_L4, "", EXPR_NO);
	}
	gives("net.sni.host != \"a\"", EXPR_L4, "", EXPR_YES);
	gives("net.sni.host in {\"a\"}", EXPR_L4, "", EXPR_NO);
	gives("net.sni.host in $hosts", EXPR_L4, "", EXPR_NO);
	gives("not net.sni.host == \"a\"", EXPR_L4, "", EXPR_YES);
	gives("starts_with(net.sni.host, \"\")", EXPR_L4, "", EXPR_NO);
	gives("net.dst.port & 1", EXPR_L4, "", EXPR_NO);
	gives("any(net.sni.domains[*] != \"a\")", EXPR_L4, "", EXPR_NO);
	gives("all(net.sni.domains[*] != \"a\")", EXPR_L4, "", EXPR_NO);
	gives("any(not net.sni.domains[*] == \"a\")", EXPR_L4, "", EXPR_NO);
	gives("any(net.sni.domains[*] == \"a\" or net.sni.domains[*] != \"a\")", EXPR_L4, "", EXPR_NO);
	/* an empty array is there */
	gives("any(net.sni.domains[*] != \"a\")", EXPR_L4, "net.sni.domains=@empty", EXPR_NO);
	gives("all(net.sni.domains[*] == \"a\")", EXPR_L4, "net.sni.domains=@empty", EXPR_YES);
}

static void test_unknown(void **state)
{
	(void)state;
	gives("net.sni.host == \"a\"", EXPR_L4, "net.sni.host=?", EXPR_UNKNOWN);
	gives("net.sni.host != \"a\"", EXPR_L4, "net.sni.host=?", EXPR_UNKNOWN);
	gives("not net.sni.host == \"a\"", EXPR_L4, "net.sni.host=?", EXPR_UNKNOWN);
	gives("any(net.sni.domains[*] == \"a\")", EXPR_L4, "net.sni.domains=?", EXPR_UNKNOWN);
	gives("all(net.sni.domains[*] == \"a\")", EXPR_L4, "net.sni.domains=?", EXPR_UNKNOWN);
	gives("net.sni.host == \"a\" and net.dst.port == 1", EXPR_L4, "net.sni.host=? net.dst.port=2", EXPR_NO);
	gives("net.sni.host == \"a\" and net.dst.port == 1", EXPR_L4, "net.sni.host=? net.dst.port=1", EXPR_UNKNOWN);
	gives("net.sni.host == \"a\" or net.dst.port == 1", EXPR_L4, "net.sni.host=? net.dst.port=1", EXPR_YES);
	gives("net.sni.host == \"a\" or net.dst.port == 1", EXPR_L4, "net.sni.host=? net.dst.port=2", EXPR_UNKNOWN);
	gives("net.sni.host == \"a\" xor net.dst.port == 1", EXPR_L4, "net.sni.host=? net.dst.port=1", EXPR_UNKNOWN);
	gives("net.dst.port == 1 or net.sni.host == \"a\" or net.dst.port == 2", EXPR_L4, "net.sni.host=? net.dst.port=2", EXPR_YES);
	gives("any(net.sni.domains[*] == \"a\" and not net.sni.domains[*] == \"b\")", EXPR_L4, "net.sni.domains=?", EXPR_UNKNOWN);
	gives("not any(net.sni.domains[*] == \"a\") and net.dst.port == 2", EXPR_L4, "net.dst.port=1 net.sni.domains=?", EXPR_NO);
}

/* --- limits and errors as people read them --- */

static void test_depth(void **state)
{
	char text[1024];
	struct expr_error error;
	struct expr *e;

	(void)state;
	for (unsigned depth = EXPR_DEPTH_MAX; depth <= EXPR_DEPTH_MAX + 1; depth++) {
		size_t n = 0;

		memset(text, '(', depth);
		n = depth + (size_t)sprintf(text + depth, "net.dst.port == 1");
		memset(text + n, ')', depth);
		assert_int_equal(expr_parse(text, n + depth, EXPR_L4, NULL, &e, &error), depth > EXPR_DEPTH_MAX ? -EINVAL : 0);
		expr_free(e);
	}
	memset(text, '!', 200);
	strcpy(text + 200, "net.dst.port == 1");
	assert_int_equal(expr_parse(text, strlen(text), EXPR_L4, NULL, &e, &error), -EINVAL);
	assert_non_null(strstr(error.message, "nested deeper than 128"));
}

/* A long chain is flat: no recursion per operand. */
static void test_length(void **state)
{
	char *text = malloc(EXPR_TEXT_MAX + 64);
	struct expr_error error;
	struct test_env env;
	struct expr *e;
	size_t n = 0;

	(void)state;
	while (n < EXPR_TEXT_MAX - 64)
		n += (size_t)sprintf(text + n, "net.dst.port == %zu or ", n % 60000 + 2);
	n += (size_t)sprintf(text + n, "net.dst.port == 1");
	assert_int_equal(expr_parse(text, n, EXPR_L4, NULL, &e, &error), 0);
	test_env_init(&env, "net.dst.port=1");
	assert_int_equal(expr_eval(e, &env.env), EXPR_YES);
	test_env_free(&env);
	expr_free(e);
	memset(text + n, ' ', EXPR_TEXT_MAX + 1 - n);
	assert_int_equal(expr_parse(text, EXPR_TEXT_MAX + 1, EXPR_L4, NULL, &e, &error), -EINVAL);
	assert_non_null(strstr(error.message, "longer than"));
	free(text);
}

static void test_caret(void **state)
{
	const char *text = "net.dst.ip == 10.0.0.1 and\n  net.dst.prt == 80 or true";
	struct expr_error error;
	struct expr *e;
	char line[400];
	char *caret;

	(void)state;
	assert_int_equal(expr_parse(text, strlen(text), EXPR_L4, NULL, &e, &error), -EINVAL);
	assert_int_equal(error.line, 2);
	assert_int_equal(error.column, 3);
	assert_int_equal(error.offset, 29);
	assert_int_equal(error.length, 11);
	expr_error_line(&error, line, sizeof(line));
	assert_string_equal(line, "line 2, column 3: unknown field 'net.dst.prt'; did you mean 'net.dst.port'?");
	caret = expr_error_caret(&error, text, strlen(text));
	assert_string_equal(caret, "line 2, column 3: unknown field 'net.dst.prt'; did you mean 'net.dst.port'?\n"
				   "    net.dst.prt == 80 or true\n"
				   "    ^^^^^^^^^^^\n");
	free(caret);
	text = "net.dst.port == ";
	assert_int_equal(expr_parse(text, strlen(text), EXPR_L4, NULL, &e, &error), -EINVAL);
	caret = expr_error_caret(&error, text, strlen(text));
	assert_string_equal(strchr(caret, '\n'), "\n  net.dst.port == \n                  ^\n");
	free(caret);
}

/* Every prefix of a long expression is either an expression or an error with a place inside it; nothing is read past it. */
static void test_truncation(void **state)
{
	const char *text = "any(lower(http.request.domains[*]) in {\"a\\x41\" r#\"b\"# 61:62}) and not http.conn.dst_ip in {10.0.0.0/8 "
			   "::1..::2} or http.request.uri matches \"a(b)\" xor http.conn.src_ip[*] in $corp.net_1";
	size_t len = strlen(text), accepted = 0;

	(void)state;
	for (size_t n = 0; n <= len; n++) {
		char *copy = malloc(n ? n : 1);
		struct expr_error error;
		struct expr *e;

		memcpy(copy, text, n);
		if (!expr_parse(copy, n, EXPR_HTTP, &test_lists, &e, &error))
			accepted++;
		else
			assert_true(error.offset <= n && error.offset + error.length <= n && error.message[0]);
		expr_free(e);
		free(copy);
	}
	assert_true(accepted >= 3 && accepted < len / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),   cmocka_unit_test(test_precedence), cmocka_unit_test(test_words_and_symbols),
		cmocka_unit_test(test_prefix_keywords), cmocka_unit_test(test_white_space), cmocka_unit_test(test_integers),
		cmocka_unit_test(test_addresses),  cmocka_unit_test(test_families),   cmocka_unit_test(test_strings),
		cmocka_unit_test(test_folding),    cmocka_unit_test(test_regex),      cmocka_unit_test(test_wildcards),
		cmocka_unit_test(test_list_names),      cmocka_unit_test(test_arrays),     cmocka_unit_test(test_functions),
		cmocka_unit_test(test_fields),     cmocka_unit_test(test_missing),    cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_depth),      cmocka_unit_test(test_length),     cmocka_unit_test(test_caret),
		cmocka_unit_test(test_truncation),
	};

	return cmocka_run_group_tests_name("expr", tests, NULL, NULL);
}
