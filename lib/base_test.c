// SPDX-License-Identifier: BSD-3-Clause
// Log escaping and rate limit; addresses, prefixes, endpoints.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ip.h"
#include "lib/log.h"

static void outside_text_is_escaped(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"plain", "plain"},
		{"a\nb\tc\rd", "a\\nb\\tc\\rd"},
		{"\x1b[31m", "\\x1b[31m"},
		{"\x7f", "\\x7f"},
		{"back\\slash", "back\\\\slash"},
		{"\xc2\x9b", "\\u{9b}"},
		{"\xe2\x80\xae"
		 "evil",
		 "\\u{202e}evil"},
		{"\xe2\x81\xa6", "\\u{2066}"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"\xff", "\\xff"},
		{"\xc0\xaf", "\\xc0\\xaf"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},
		{"\xe2\x80", "\\xe2\\x80"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[128];
		size_t n = log_escape(out, sizeof(out), cases[i].in, strlen(cases[i].in));

		assert_string_equal(out, cases[i].out);
		assert_int_equal(n, strlen(out));
	}
}

static void long_text_is_cut_at_a_character(void **state)
{
	char out[12];

	(void)state;
	assert_int_equal(log_escape(out, sizeof(out), "0123456789a", 11), 11);
	assert_string_equal(out, "0123456789a");
	log_escape(out, sizeof(out), "0123456789ab", 12);
	assert_string_equal(out, "01234567...");
	log_escape(out, sizeof(out), "0123456\xc3\xbcxyzabc", 15);
	assert_string_equal(out, "0123456...");
	for (size_t room = 8; room < 40; room++) {
		char big[40];

		memset(big, '#', sizeof(big));
		log_escape(big, room, "\x01\xe2\x80\xae\xff\n\x01\xe2\x80\xae\xff\n\x01\xe2\x80\xae\xff\n", 18);
		assert_true(strlen(big) < room);
		for (size_t i = room; i < sizeof(big); i++)
			assert_int_equal(big[i], '#');
	}
}

static void the_rate_limit_counts_what_it_hides(void **state)
{
	struct log_rate r = {0};
	uint64_t hidden, now = 5000000000u;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(log_rate_pass(&r, now, 1, 3, &hidden));
	for (int i = 0; i < 7; i++)
		assert_false(log_rate_pass(&r, now + 900000000u, 1, 3, &hidden));
	assert_true(log_rate_pass(&r, now + 1000000000u, 1, 3, &hidden));
	assert_int_equal(hidden, 7);
	assert_false(log_rate_pass(&r, now + 1000000000u, 1, 3, &hidden));
	assert_true(log_rate_pass(&r, now + 100000000000u, 1, 3, &hidden));
	assert_int_equal(hidden, 1);
}

static void prefixes_are_canonical(void **state)
{
	static const struct {
		const char *in;
		bool bare;
		const char *want; /* canonical text, or the error */
	} cases[] = {
		{"10.0.0.0/8", false, "10.0.0.0/8"},
		{"0.0.0.0/0", false, "0.0.0.0/0"},
		{"::/0", false, "::/0"},
		{"2001:DB8::101/128", false, "2001:db8::101/128"},
		{"2001:0db8:0:0:0:0:0:0/32", false, "2001:db8::/32"},
		{"198.51.100.101", true, "198.51.100.101/32"},
		{"2001:db8::1", true, "2001:db8::1/128"},
		{"10.0.0.1/8", false, "10.0.0.1/8: host bits are set"},
		{"2001:db8::1/64", false, "2001:db8::1/64: host bits are set"},
		{"128.0.0.0/0", false, "128.0.0.0/0: host bits are set"},
		{"10.0.0.0", false, "10.0.0.0: no prefix length"},
		{"10.0.0.0/33", false, "10.0.0.0/33: prefix length is not 0 to 32"},
		{"::/129", false, "::/129: prefix length is not 0 to 128"},
		{"10.0.0.0/08", false, "10.0.0.0/08: prefix length is not 0 to 32"},
		{"10.0.0.0/+8", false, "10.0.0.0/+8: prefix length is not 0 to 32"},
		{"10.0.0.0/", false, "10.0.0.0/: prefix length is not 0 to 32"},
		{"10.0.0.0/8/8", false, "10.0.0.0/8/8: prefix length is not 0 to 32"},
		{"10.0.0/8", false, "10.0.0/8: not an IPv4 or IPv6 address"},
		{"010.0.0.0/8", false, "010.0.0.0/8: not an IPv4 or IPv6 address"},
		{"fe80::1%eth0/64", false, "fe80::1%eth0/64: not an IPv4 or IPv6 address"},
		{"", true, ": not an IPv4 or IPv6 address"},
		{"x\n/8", true, "x\\n/8: not an IPv4 or IPv6 address"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_prefix p;
		char text[256];

		if (ip_prefix_parse(cases[i].in, cases[i].bare, &p, text, sizeof(text)) == 0)
			ip_prefix_format(&p, text);
		assert_string_equal(text, cases[i].want);
	}
}

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	if (!ip_addr_parse(text, &a))
		fail_msg("%s", text);
	return a;
}

static void martians_are_exactly_the_listed(void **state)
{
	static const char *const martian[] = {"0.0.0.0",	 "0.255.255.255", "127.0.0.1",	     "127.255.255.255", "169.254.0.1",
					      "224.0.0.1",	 "239.255.255.255", "240.0.0.0", "255.255.255.255", "::",
					      "::1",		 "fe80::1",	  "febf:ffff::1",    "ff02::1",		"::ffff:1.2.3.4"};
	static const char *const fine[] = {"1.0.0.0",	    "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.0",
					   "223.255.255.255", "192.0.2.1",	"198.18.0.1", "100.64.0.1",	 "10.0.0.1",
					   "::2",	    "2001:db8::1",	"fec0::1",    "fd00::1",	 "::fffe:1.2.3.4"};

	(void)state;
	for (size_t i = 0; i < 15; i++) {
		struct ip_addr a = addr(martian[i]), b = addr(fine[i]);

		if (!ip_addr_is_martian(&a))
			fail_msg("%s", martian[i]);
		if (ip_addr_is_martian(&b))
			fail_msg("%s", fine[i]);
	}
}

static void arithmetic_and_order(void **state)
{
	struct ip_addr a = addr("10.0.0.255"), b = addr("10.0.1.0");
	struct ip_prefix p, q;
	char text[64];

	(void)state;
	ip_addr_add(&a, 1);
	assert_int_equal(ip_addr_cmp(&a, &b), 0);
	a = addr("2001:db8::ffff:ffff:ffff:ffff");
	ip_addr_add(&a, 2);
	assert_string_equal(ip_addr_format(&a, text), "2001:db8:0:1::1");
	ip_prefix_parse("10.0.0.0/8", false, &p, text, sizeof(text));
	ip_prefix_parse("10.1.0.0/16", false, &q, text, sizeof(text));
	assert_true(ip_prefix_covers(&p, &q));
	assert_false(ip_prefix_covers(&q, &p));
	assert_true(ip_prefix_overlaps(&q, &p));
	assert_true(ip_prefix_contains(&q, &(struct ip_addr){4, {10, 1, 2, 3}}));
	assert_false(ip_prefix_contains(&q, &(struct ip_addr){4, {10, 2, 2, 3}}));
	assert_true(ip_prefix_cmp(&p, &q) < 0);
	/* the families never mix */
	ip_prefix_parse("::/0", false, &p, text, sizeof(text));
	assert_false(ip_prefix_contains(&p, &b));
}

static void endpoints(void **state)
{
	static const char *const good[] = {"203.0.113.1:51820", "[2001:db8::1]:51820", "1.2.3.4:1", "1.2.3.4:65535"};
	static const char *const bad[] = {"203.0.113.1",       "203.0.113.1:0",	 "203.0.113.1:65536", "2001:db8::1:51820",
					  "[203.0.113.1]:51820", "[2001:db8::1]", "name:51820",	 ":51820", "1.2.3.4:01", "1.2.3.4:+1", ""};
	struct ip_endpoint e;
	char text[IP_ENDPOINT_TEXT], host[64];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(ip_endpoint_parse(good[i], &e));
		assert_string_equal(ip_endpoint_format(&e, text), good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (ip_endpoint_parse(bad[i], &e))
			fail_msg("%s", bad[i]);
	}
	assert_true(ip_hostport_split("edge.example.org:8443", host, sizeof(host), &port));
	assert_string_equal(host, "edge.example.org");
	assert_int_equal(port, 8443);
	assert_true(ip_hostport_split("[::]:8443", host, sizeof(host), &port));
	assert_string_equal(host, "::");
	assert_false(ip_hostport_split("bad host:1", host, sizeof(host), &port));
	assert_false(ip_hostport_split("a..b:1", host, sizeof(host), &port));
	assert_false(ip_hostport_split("::1:8443", host, sizeof(host), &port));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outside_text_is_escaped),	     cmocka_unit_test(long_text_is_cut_at_a_character),
		cmocka_unit_test(the_rate_limit_counts_what_it_hides), cmocka_unit_test(prefixes_are_canonical),
		cmocka_unit_test(martians_are_exactly_the_listed),   cmocka_unit_test(arithmetic_and_order),
		cmocka_unit_test(endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
