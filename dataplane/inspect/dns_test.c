// SPDX-License-Identifier: BSD-3-Clause
// DNS questions: a table, each also over TCP and cut at every byte.
#include "dataplane/inspect/dns.h"

#include "dataplane/inspect/test_util.h"

#define HEAD(flags, qd, an, ns, ar) "\x12\x34" flags "\0" qd "\0" an "\0" ns "\0" ar
#define QUERY HEAD("\x01\x00", "\1", "\0", "\0", "\0")
#define END_A "\0\0\1\0\1" /* root, A, IN */
#define L63 "\x3f" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct dns_case {
	const char *text;
	size_t len;
	enum parse state;
	const char *name; /* NULL: none */
	uint16_t type;
};
#define CASE(text, state, name, type) {text, sizeof(text) - 1, state, name, type}

static const struct dns_case cases[] = {
	/*  0 */ CASE(QUERY "\3www\3App\7eXample" END_A, PARSE_DONE, "www.app.example", 1),
	/*  1 */ CASE(QUERY "\0\0\2\0\1", PARSE_DONE, ".", 2),
	/*  2 */ CASE(QUERY "\3a.b\1c" END_A, PARSE_DONE, "a\\.b.c", 1),
	/*  3 */ CASE(QUERY "\4a\\\0\xff\1c" END_A, PARSE_DONE, "a\\\\\\000\\255.c", 1),
	/*  4 */ CASE(QUERY "\1 \1\x7f" END_A, PARSE_DONE, "\\032.\\127", 1),
	/*  5 */ CASE(QUERY "\3www\xc0\x04\0\1\0\1", PARSE_DONE, NULL, 0),
	/*  6 */ CASE(QUERY "\xc0\x0c\0\1\0\1", PARSE_DONE, NULL, 0),
	/*  7 */ CASE(QUERY "\x41" "a" END_A, PARSE_DONE, NULL, 0),
	/*  8 */ CASE(QUERY L63 L63 L63 "\x3d" "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" END_A, PARSE_DONE,
		      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
		      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
		      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
		      "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", 1),
	/*  9 */ CASE(QUERY L63 L63 L63 "\x3e" "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" END_A, PARSE_DONE, NULL, 0),
	/* 10 */ CASE(HEAD("\x01\x00", "\0", "\0", "\0", "\0") "\0\0\0\0\0", PARSE_DONE, NULL, 0),
	/* 11 */ CASE(HEAD("\x01\x00", "\2", "\0", "\0", "\0") "\1a" END_A "\1b" END_A, PARSE_DONE, NULL, 0),
	/* 12 */ CASE(HEAD("\x81\x00", "\1", "\0", "\0", "\0") "\1a" END_A, PARSE_BAD, NULL, 0), /* an answer */
	/* 13 */ CASE(HEAD("\x29\x00", "\1", "\0", "\0", "\0") "\1a" END_A, PARSE_BAD, NULL, 0), /* UPDATE */
	/* 14 */ CASE(HEAD("\x01\x40", "\1", "\0", "\0", "\0") "\1a" END_A, PARSE_BAD, NULL, 0), /* reserved bit */
	/* 15 */ CASE(HEAD("\x01\x03", "\1", "\0", "\0", "\0") "\1a" END_A, PARSE_BAD, NULL, 0), /* RCODE */
	/* 16 */ CASE(HEAD("\x01\x30", "\1", "\0", "\0", "\0") "\1a" END_A, PARSE_DONE, "a", 1), /* AD, CD */
	/* 17 */ CASE(HEAD("\x01\x00", "\1", "\1", "\0", "\0") "\1a" END_A, PARSE_BAD, NULL, 0),
	/* 18 */ CASE(HEAD("\x01\x00", "\1", "\0", "\2", "\0") "\1a" END_A, PARSE_BAD, NULL, 0),
	/* 19 */ CASE(HEAD("\x01\x00", "\1", "\0", "\0", "\5") "\1a" END_A, PARSE_BAD, NULL, 0),
	/* 20 */ CASE(HEAD("\x01\x00", "\x11", "\0", "\0", "\0") "\1a" END_A, PARSE_BAD, NULL, 0),
	/* 21 EDNS */ CASE(HEAD("\x01\x20", "\1", "\0", "\0", "\1") "\1a" END_A "\0\0\x29\x04\xd0\0\0\0\0\0\0", PARSE_DONE, "a", 1),
	/* 22 */ CASE(QUERY "\1a\0\0\1\0", PARSE_DONE, NULL, 1), /* class cut short */
	/* 23 */ CASE(QUERY "\x05" "ab", PARSE_DONE, NULL, 0),
	/* 24 */ CASE("\x12\x34\x01\x00\0\1\0\0\0\0\0", PARSE_BAD, NULL, 0),
	/* 25 */ CASE(QUERY, PARSE_DONE, NULL, 0),
};

static void check(size_t i, const struct dns_case *c, enum parse got, const struct dns_question *q)
{
	if (got != c->state)
		fail_msg("case %zu: state %d", i, got);
	if (q->has_name != (c->name != NULL))
		fail_msg("case %zu: %s name", i, q->has_name ? "a" : "no");
	if (c->name == NULL)
		return;
	if (q->len != strlen(c->name) || memcmp(q->name, c->name, q->len) != 0 || q->type != c->type)
		fail_msg("case %zu: \"%.*s\" type %u", i, q->len, q->name, q->type);
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *m = exact((const uint8_t *)cases[i].text, cases[i].len);
		struct dns_question q;

		check(i, &cases[i], dns_query(m, cases[i].len, &q), &q);
		free(m);
	}
}

static void test_tcp_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct dns_case *c = &cases[i];
		struct builder t = {0};
		struct dns_question q;

		if (c->len < 17)
			continue;
		put_be(&t, c->len, 2);
		put_bytes(&t, c->text, c->len);
		for (size_t n = 0; n < t.n; n++) {
			uint8_t *m = exact(t.b, n);
			enum parse got = dns_tcp_query(m, n, &q);

			if (got != PARSE_MORE && (got != PARSE_BAD || c->state != PARSE_BAD))
				fail_msg("case %zu cut at %zu: state %d", i, n, got);
			free(m);
		}
		put_bytes(&t, "next", 4); /* another query behind it is not looked at */
		check(i, c, dns_tcp_query(t.b, t.n, &q), &q);
	}
}

static void test_tcp_length(void **state)
{
	struct dns_question q;

	(void)state;
	assert_int_equal(dns_tcp_query(TEXT("\0\x10"), &q), PARSE_BAD);
	assert_int_equal(dns_tcp_query(TEXT("\0\x11"), &q), PARSE_MORE);
	assert_int_equal(dns_tcp_query(TEXT("\x10\0"), &q), PARSE_MORE);
	assert_int_equal(dns_tcp_query(TEXT("\x10\1"), &q), PARSE_BAD);
}

/* The longest name that can be said: every byte escaped. */
static void test_longest(void **state)
{
	struct builder t = {0};
	struct dns_question q;

	(void)state;
	put_bytes(&t, QUERY, sizeof(QUERY) - 1);
	for (unsigned i = 0; i < 4; i++) {
		unsigned n = i < 3 ? 63 : 61;

		put_be(&t, n, 1);
		memset(t.b + t.n, 0xff, n);
		t.n += n;
	}
	put_bytes(&t, END_A, 5);
	assert_int_equal(dns_query(t.b, t.n, &q), PARSE_DONE);
	assert_true(q.has_name);
	assert_int_equal(q.len, 250 * 4 + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases), cmocka_unit_test(test_tcp_every_cut), cmocka_unit_test(test_tcp_length),
		cmocka_unit_test(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
