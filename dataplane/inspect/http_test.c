// SPDX-License-Identifier: BSD-3-Clause
// HTTP/1.x heads: a table of whole requests, and each of them cut at every byte.
#include "dataplane/inspect/http.h"

#include "dataplane/inspect/host.h"
#include "dataplane/inspect/test_util.h"

struct http_case {
	const char *text;
	enum parse state;
	const char *method, *host, *uri; /* NULL: missing */
};

#define H "GET / HTTP/1.1\r\n"

static const struct http_case cases[] = {
	/*  0 */ {"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n", PARSE_DONE, "GET", "app.example", "http://app.example/"},
	/*  1 */ {"GET /a?b=c HTTP/1.0\r\nHost: APP.example.:8080\r\n\r\n", PARSE_DONE, "GET", "app.example", "http://app.example/a?b=c"},
	/*  2 */ {"POST http://Abs.example:81/p HTTP/1.1\r\nHost: other\r\n\r\n", PARSE_DONE, "POST", "abs.example", "http://abs.example/p"},
	/*  3 */ {"GET http://abs.example HTTP/1.1\r\n\r\n", PARSE_DONE, "GET", "abs.example", "http://abs.example/"},
	/*  4 */ {"GET http://abs.example?q HTTP/1.1\r\nHost: x\r\n\r\n", PARSE_DONE, "GET", "abs.example", "http://abs.example/?q"},
	/*  5 */ {"CONNECT host.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", PARSE_DONE, "CONNECT", "host.example", NULL},
	/*  6 */ {"OPTIONS * HTTP/1.1\r\nHost: x.example\r\n\r\n", PARSE_DONE, "OPTIONS", "x.example", NULL},
	/*  7 */ {H "\r\n", PARSE_DONE, "GET", NULL, NULL},
	/*  8 */ {H "Host: a\r\nHost: b\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/*  9 */ {H "Host: a\r\nhost: a\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 10 */ {H "Host: a\r\n b\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 11 */ {H "X: a\r\n b\r\nHost: c\r\n\r\n", PARSE_DONE, "GET", "c", "http://c/"},
	/* 12 */ {H "Host : a\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 13 */ {"GET / HTTP/1.1\nHost: lf\n\n", PARSE_DONE, "GET", "lf", "http://lf/"},
	/* 14 */ {"\r\n\n" H "Host: a\r\n\r\n", PARSE_DONE, "GET", "a", "http://a/"},
	/* 15 */ {H "Host: [2001:DB8::1]:80\r\n\r\n", PARSE_DONE, "GET", "[2001:db8::1]", "http://[2001:db8::1]/"},
	/* 16 */ {H "Host: [2001:DB8::1\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 17 */ {H "Host: a:b\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 18 */ {H "Host: a:\r\n\r\n", PARSE_DONE, "GET", "a", "http://a/"},
	/* 19 */ {H "Host:\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 20 */ {H "Host:  \t a \t\r\n\r\n", PARSE_DONE, "GET", "a", "http://a/"},
	/* 21 */ {H "Host: user@a\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 22 */ {H "Host: a b\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 23 */ {H "Host: a/b\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 24 */ {H "no colon\r\nHost: a\r\n\r\n", PARSE_DONE, "GET", "a", "http://a/"},
	/* 25 */ {H "X-Host: b\r\nHost: a\r\nHostile: c\r\n\r\n", PARSE_DONE, "GET", "a", "http://a/"},
	/* 26 */ {"GET /old\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 27 */ {"POST /old\r\n", PARSE_BAD, NULL, NULL, NULL},
	/* 28 */ {"EHLO example.com\r\n", PARSE_BAD, NULL, NULL, NULL},
	/* 29 */ {"PING\r\n", PARSE_BAD, NULL, NULL, NULL},
	/* 30 */ {"GET / HTTP/2.0\r\n", PARSE_BAD, NULL, NULL, NULL},
	/* 31 */ {"GET / HTTP/1.10\r\n", PARSE_BAD, NULL, NULL, NULL},
	/* 32 */ {"GET  /two  HTTP/1.1 \r\nHost: a\r\n\r\n", PARSE_DONE, "GET", "a", "http://a/two"},
	/* 33 */ {"G\xc3T / HTTP/1.1\r\n", PARSE_BAD, NULL, NULL, NULL},
	/* 34 */ {"THIS-METHOD-IS-LONGER-THAN-32-BYTES / HTTP/1.1\r\n", PARSE_BAD, NULL, NULL, NULL},
	/* 35 */ {" GET / HTTP/1.1\r\n", PARSE_BAD, NULL, NULL, NULL},
	/* 36 */ {"get /x HTTP/1.1\r\nhOsT: a\r\n\r\n", PARSE_DONE, "get", "a", "http://a/x"},
	/* 37 */ {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", PARSE_DONE, "GET", "a", "http://a/a b"},
	/* 38 */ {"GET ftp://x/y HTTP/1.1\r\nHost: a\r\n\r\n", PARSE_DONE, "GET", "a", NULL},
	/* 39 */ {"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 40 */ {"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 41 */ {H "Host: a\r\n", PARSE_MORE, "GET", NULL, NULL},
	/* 42 */ {"GET /", PARSE_MORE, NULL, NULL, NULL},
	/* 43 */ {"\r", PARSE_MORE, NULL, NULL, NULL},
	/* 44 */ {"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", PARSE_BAD, NULL, NULL, NULL},
	/* 45 */ {H "Host: .\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 46 */ {H "Host: a\x01\r\n\r\n", PARSE_DONE, "GET", NULL, NULL},
	/* 47 */ {"12345678901234567890123456789012 / HTTP/1.1\r\nHost: a\r\n\r\n", PARSE_DONE, "12345678901234567890123456789012", "a", "http://a/"},
	/* 48 */ {"123456789012345678901234567890123 / HTTP/1.1\r\nHost: a\r\n\r\n", PARSE_BAD, NULL, NULL, NULL},
	/* 49 */ {H "Date: x\r\nHost: a\r\n\r\n", PARSE_DONE, "GET", "a", "http://a/"},
	/* 50 */ {"\xff", PARSE_BAD, NULL, NULL, NULL},
};

static void assert_field(size_t i, const char *what, bool has, const char *got, size_t len, const char *want)
{
	if (has != (want != NULL) || (has && (len != strlen(want) || memcmp(got, want, len) != 0)))
		fail_msg("case %zu: %s is \"%.*s\", not \"%s\"", i, what, has ? (int)len : 4, has ? got : "none",
			 want ? want : "none");
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct http_case *c = &cases[i];
		size_t n = strlen(c->text);
		uint8_t *text = exact((const uint8_t *)c->text, n);
		struct http_request r = {0};
		enum parse got = http_request(text, n, &r);

		if (got != c->state)
			fail_msg("case %zu: state %d, not %d", i, got, c->state);
		assert_field(i, "method", r.has_method, r.method, r.method_len, c->method);
		assert_field(i, "host", r.has_host, r.host, r.host_len, c->host);
		assert_field(i, "uri", r.has_uri, r.uri, r.uri_len, c->uri);
		free(text);
	}
}

/* A prefix never says another thing than the whole: MORE, then what the whole says. */
static void test_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t n = 0; n < strlen(cases[i].text); n++) {
			uint8_t *text = exact((const uint8_t *)cases[i].text, n);
			struct http_request r = {0};
			enum parse got = http_request(text, n, &r);

			if (got != PARSE_MORE && got != cases[i].state)
				fail_msg("case %zu cut at %zu: state %d", i, n, got);
			if (got == PARSE_MORE && (r.has_host || r.has_uri))
				fail_msg("case %zu cut at %zu: a host before the head's end", i, n);
			free(text);
		}
	}
}

/* Byte by byte into one struct: at the end it says what the whole said. */
static void test_byte_by_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct http_case *c = &cases[i];
		struct http_request r = {0};
		enum parse got = PARSE_MORE;

		for (size_t n = 1; n <= strlen(c->text) && got == PARSE_MORE; n++)
			got = http_request((const uint8_t *)c->text, n, &r);
		if (got != c->state)
			fail_msg("case %zu: state %d", i, got);
		assert_field(i, "method", r.has_method, r.method, r.method_len, c->method);
		assert_field(i, "host", r.has_host, r.host, r.host_len, c->host);
		assert_field(i, "uri", r.has_uri, r.uri, r.uri_len, c->uri);
	}
}

static void test_bad_stays_bad(void **state)
{
	static const char text[] = "NOT HTTP\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct http_request r = {0};

	(void)state;
	assert_int_equal(http_request((const uint8_t *)text, 10, &r), PARSE_BAD);
	assert_int_equal(http_request((const uint8_t *)text, sizeof(text) - 1, &r), PARSE_BAD);
}

static void test_long_uri(void **state)
{
	static char text[4096];

	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		size_t path = NAME_URI_MAX - strlen("http://a") + extra;
		int n = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n", (int)path - 1, 0);
		struct http_request r = {0};

		assert_int_equal(http_request((uint8_t *)text, (size_t)n, &r), PARSE_DONE);
		assert_true(r.has_host);
		assert_int_equal(r.has_uri, extra == 0);
		assert_int_equal(r.too_long, extra == 1);
		assert_int_equal(r.uri_len, extra == 0 ? NAME_URI_MAX : 0);
	}
}

static void test_too_many_lines(void **state)
{
	static char text[4096];

	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		int n = snprintf(text, sizeof(text), H "Host: a\r\n");
		struct http_request r = {0};

		for (unsigned i = 1; i < HTTP_LINES_MAX + extra; i++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "x:\n");
		n += snprintf(text + n, sizeof(text) - (size_t)n, "\n");
		assert_int_equal(http_request((uint8_t *)text, (size_t)n, &r), PARSE_DONE);
		assert_int_equal(r.has_host, extra == 0);
		assert_int_equal(r.too_long, extra == 1);
	}
}

static void test_preface(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct http_request r = {0};

	(void)state;
	for (size_t n = 0; n < sizeof(preface) - 1; n++)
		assert_int_equal(http2_preface((const uint8_t *)preface, n), PARSE_MORE);
	assert_int_equal(http2_preface(TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0")), PARSE_DONE);
	assert_int_equal(http2_preface(TEXT("PRI * HTTP/2.0\r\n\r\nXX")), PARSE_BAD);
	assert_int_equal(http_request(TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), &r), PARSE_BAD);
}

static void test_host_of_authority(void **state)
{
	static const struct {
		const char *text;
		int host; /* bytes; -1: none */
	} authorities[] = {{"", -1},	{"a", 1},     {"a:", 1},       {"a:80", 1},   {"a:8/", -1},  {"a:8x", -1}, {":80", -1},
			   {"[::1]", 5}, {"[::1]:9", 5}, {"[::1]9", -1}, {"[::1", -1}, {"[", -1}, {"a:1:2", -1}};

	(void)state;
	for (size_t i = 0; i < sizeof(authorities) / sizeof(authorities[0]); i++) {
		size_t n = strlen(authorities[i].text), host = 0;
		uint8_t *text = exact((const uint8_t *)authorities[i].text, n);

		if (host_of_authority(text, n, &host) != (authorities[i].host >= 0))
			fail_msg("\"%s\"", authorities[i].text);
		assert_true(authorities[i].host < 0 || host == (size_t)authorities[i].host);
		free(text);
	}
	assert_false(host_of_authority((const uint8_t *)"[x]", 0, &(size_t){0}));
}

static void test_host_copy(void **state)
{
	char out[NAME_HOST_MAX];
	uint8_t longest[NAME_HOST_MAX + 2];
	uint16_t len;

	(void)state;
	assert_true(host_copy(TEXT("A-z_9.Example."), out, &len));
	assert_int_equal(len, 13);
	assert_memory_equal(out, "a-z_9.example", 13);
	memset(longest, 'x', sizeof(longest));
	assert_true(host_copy(longest, NAME_HOST_MAX, out, &len));
	assert_false(host_copy(longest, NAME_HOST_MAX + 1, out, &len));
	longest[NAME_HOST_MAX] = '.';
	assert_true(host_copy(longest, NAME_HOST_MAX + 1, out, &len));
	assert_false(host_copy(TEXT(""), out, &len));
	assert_false(host_copy(TEXT("."), out, &len));
	assert_false(host_copy(TEXT("a\0b"), out, &len));
	assert_false(host_copy(TEXT("a b"), out, &len));
	assert_false(host_copy(TEXT("a\x7f"), out, &len));
	assert_false(host_copy(TEXT("\xc3\xbc"), out, &len));
	for (const char *c = "/?#@\\,<>\""; *c != '\0'; c++)
		assert_false(host_copy((const uint8_t *)c, 1, out, &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),	cmocka_unit_test(test_every_cut), cmocka_unit_test(test_byte_by_byte), cmocka_unit_test(test_bad_stays_bad),
		cmocka_unit_test(test_long_uri), cmocka_unit_test(test_too_many_lines),
		cmocka_unit_test(test_preface), cmocka_unit_test(test_host_copy),
		cmocka_unit_test(test_host_of_authority),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
