// SPDX-License-Identifier: BSD-3-Clause
// ClientHello: extensions in every shape, and records cut in every way.
#include "dataplane/inspect/tls.h"

#include "dataplane/inspect/test_util.h"

/* An extension list under construction inside a hello. */
struct hello {
	struct builder t;
	size_t message, extensions;
};

static void begin_hello(struct hello *h)
{
	static const uint8_t random_bytes[32] = {1, 2, 3};

	memset(h, 0, sizeof(*h));
	put_be(&h->t, 1, 1);
	h->message = open_vector(&h->t, 3);
	put_be(&h->t, 0x0303, 2);
	put_bytes(&h->t, random_bytes, 32);
	put_be(&h->t, 0, 1);
	put_be(&h->t, 2, 2);
	put_be(&h->t, 0x1301, 2);
	put_be(&h->t, 0x0100, 2);
	h->extensions = open_vector(&h->t, 2);
}

static void end_hello(struct hello *h)
{
	close_vector(&h->t, h->extensions, 2);
	close_vector(&h->t, h->message, 3);
}

static void add_extension(struct hello *h, unsigned type, const void *data, size_t n)
{
	put_be(&h->t, type, 2);
	put_be(&h->t, n, 2);
	put_bytes(&h->t, data, n);
}

static void add_name(struct hello *h, const char *name)
{
	size_t n = strlen(name);
	struct builder e = {0};

	put_be(&e, n + 3, 2);
	put_be(&e, 0, 1);
	put_be(&e, n, 2);
	put_bytes(&e, name, n);
	add_extension(h, 0, e.b, e.n);
}

static enum parse parse(const uint8_t *p, size_t n, struct tls_hello *out)
{
	uint8_t *copy = exact(p, n);
	size_t need;
	enum parse got = tls_client_hello(copy, n, out, &need);

	free(copy);
	return got;
}

static void assert_name(const struct tls_hello *out, const char *name)
{
	assert_int_equal(out->sni_len, strlen(name));
	assert_memory_equal(out->sni, name, out->sni_len);
}

static void test_name(void **state)
{
	struct tls_hello out;
	struct hello h;

	(void)state;
	begin_hello(&h);
	add_extension(&h, 0x0a0a, "", 0);
	add_name(&h, "WWW.App.example");
	add_extension(&h, 16, "\0\x0c\2h2\x08http/1.1", 14);
	end_hello(&h);
	assert_int_equal(parse(h.t.b, h.t.n, &out), PARSE_DONE);
	assert_name(&out, "www.app.example");
	assert_int_equal(out.alpn_len, 11);
	assert_memory_equal(out.alpn, "h2,http/1.1", 11);
	assert_false(out.ech);
}

static void test_every_cut_of_a_message(void **state)
{
	struct tls_hello out;
	struct hello h;

	(void)state;
	begin_hello(&h);
	add_name(&h, "a");
	end_hello(&h);
	for (size_t n = 0; n < h.t.n; n++) {
		size_t need;

		assert_int_equal(parse(h.t.b, n, &out), PARSE_MORE);
		assert_int_equal(tls_client_hello(h.t.b, n, &out, &need), PARSE_MORE);
		assert_int_equal(need, n < 4 ? 0 : h.t.n);
	}
	put_be(&h.t, 0, 1);
	assert_int_equal(parse(h.t.b, h.t.n, &out), PARSE_DONE); /* what follows is another message */
}

static void test_without_extensions(void **state)
{
	struct tls_hello out;
	struct hello h;

	(void)state;
	begin_hello(&h);
	h.t.n -= 2;
	close_vector(&h.t, h.message, 3);
	assert_int_equal(parse(h.t.b, h.t.n, &out), PARSE_DONE);
	assert_int_equal(out.sni_len, 0);
	begin_hello(&h);
	end_hello(&h);
	assert_int_equal(parse(h.t.b, h.t.n, &out), PARSE_DONE);
}

struct sni_case {
	const char *bytes;
	size_t len;
	const char *name; /* NULL: none */
};
#define SNI(bytes, name) {bytes, sizeof(bytes) - 1, name}

static const struct sni_case sni_cases[] = {
	/*  0 */ SNI("\0\4\0\0\1a", "a"),
	/*  1 */ SNI("", NULL),
	/*  2 */ SNI("\0\0", NULL),
	/*  3 */ SNI("\0\3\0\0\0", NULL),
	/*  4 */ SNI("\0\4\0\0\2a", NULL),
	/*  5 */ SNI("\0\5\0\0\1a", NULL),
	/*  6 */ SNI("\0\4\0\0\1ab", NULL),
	/*  7 */ SNI("\0\10\0\0\1a\0\0\1b", NULL),
	/*  8 */ SNI("\0\10\1\0\1x\0\0\1a", "a"),
	/*  9 */ SNI("\0\4\1\0\1x", NULL),
	/* 10 */ SNI("\0\6\0\0\3a\0b", NULL),
	/* 11 */ SNI("\0\5\0\0\2a ", NULL),
	/* 12 */ SNI("\0\5\0\0\2a.", "a"),
	/* 13 */ SNI("\0\5\0\0\1aX", NULL),
	/* 14 */ SNI("\0", NULL),
};

static void test_sni_shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sni_cases) / sizeof(sni_cases[0]); i++) {
		const struct sni_case *c = &sni_cases[i];
		struct tls_hello out;
		struct hello h;

		begin_hello(&h);
		add_extension(&h, 0, c->bytes, c->len);
		end_hello(&h);
		assert_int_equal(parse(h.t.b, h.t.n, &out), PARSE_DONE);
		if ((out.sni_len > 0) != (c->name != NULL) ||
		    (c->name != NULL && (out.sni_len != strlen(c->name) || memcmp(out.sni, c->name, out.sni_len) != 0)))
			fail_msg("case %zu: \"%.*s\"", i, out.sni_len, out.sni);
	}
}

static void test_two_server_names(void **state)
{
	struct tls_hello out;
	struct hello h;

	(void)state;
	begin_hello(&h);
	add_name(&h, "a");
	add_name(&h, "b");
	end_hello(&h);
	assert_int_equal(parse(h.t.b, h.t.n, &out), PARSE_DONE);
	assert_int_equal(out.sni_len, 0);
}

static void test_ech(void **state)
{
	struct tls_hello out;
	struct hello h;

	(void)state;
	begin_hello(&h);
	add_name(&h, "outer.example");
	add_extension(&h, 0xfe0d, "\0\0\1\0\1", 5);
	end_hello(&h);
	assert_int_equal(parse(h.t.b, h.t.n, &out), PARSE_DONE);
	assert_true(out.ech);
}

static void test_alpn_shapes(void **state)
{
	struct tls_hello out;
	char list[200] = {0};
	struct hello h;

	(void)state;
	begin_hello(&h);
	list[1] = 103; /* 3 of 33 bytes: the second does not fit with a comma */
	for (unsigned i = 0; i < 3; i++)
		list[2 + 34 * i] = 33;
	memset(list + 3, 'x', 33);
	add_extension(&h, 16, list, 2 + 103);
	end_hello(&h);
	assert_int_equal(parse(h.t.b, h.t.n, &out), PARSE_DONE);
	assert_int_equal(out.alpn_len, 33);
	begin_hello(&h);
	add_extension(&h, 16, "\0\3\5h2", 5);
	end_hello(&h);
	assert_int_equal(parse(h.t.b, h.t.n, &out), PARSE_DONE);
	assert_int_equal(out.alpn_len, 0);
	begin_hello(&h);
	add_extension(&h, 16, "\0\4\5h2", 5);
	end_hello(&h);
	assert_int_equal(parse(h.t.b, h.t.n, &out), PARSE_DONE);
	assert_int_equal(out.alpn_len, 0);
}

/* Every length field one too long, and every length field one too short: never a read beyond, and BAD where it must be. */
static void test_lengths_that_lie(void **state)
{
	static const size_t offsets[] = {3, 38, 40, 43, 46}; /* message, session id, suites, compression, extensions */
	struct tls_hello out;
	struct hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		for (int d = -1; d <= 1; d += 2) {
			enum parse got;

			begin_hello(&h);
			add_extension(&h, 0, "", 0);
			end_hello(&h);
			h.t.b[offsets[i]] = (uint8_t)(h.t.b[offsets[i]] + d);
			got = parse(h.t.b, h.t.n, &out);
			if (got == PARSE_DONE)
				fail_msg("length at %zu %+d: DONE", offsets[i], d);
		}
	}
}

static void test_fields_out_of_range(void **state)
{
	static const struct {
		unsigned session, suites, compression;
		enum parse want;
	} cases[] = {{32, 2, 1, PARSE_DONE}, {33, 2, 1, PARSE_BAD}, {0, 0, 1, PARSE_BAD}, {0, 3, 1, PARSE_BAD}, {0, 4, 0, PARSE_BAD}};
	static const uint8_t zero[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_hello out;
		struct hello h;

		begin_hello(&h);
		h.t.n = 4 + 2 + 32;
		put_be(&h.t, cases[i].session, 1);
		put_bytes(&h.t, zero, cases[i].session);
		put_be(&h.t, cases[i].suites, 2);
		put_bytes(&h.t, zero, cases[i].suites);
		put_be(&h.t, cases[i].compression, 1);
		put_bytes(&h.t, zero, cases[i].compression);
		close_vector(&h.t, h.message, 3);
		assert_int_equal(parse(h.t.b, h.t.n, &out), cases[i].want);
	}
}

static void test_extension_longer_than_the_list(void **state)
{
	struct tls_hello out;
	struct hello h;

	(void)state;
	begin_hello(&h);
	add_name(&h, "a");
	add_extension(&h, 0x1234, "x", 1);
	h.t.b[h.t.n - 2] = 2;
	end_hello(&h);
	assert_int_equal(parse(h.t.b, h.t.n, &out), PARSE_BAD);
	assert_int_equal(out.sni_len, 0);
}

static void test_not_a_hello(void **state)
{
	struct tls_hello out;

	(void)state;
	assert_int_equal(parse(TEXT("\2\0\0\0"), &out), PARSE_BAD);
	assert_int_equal(parse(TEXT("\1\0\0\0"), &out), PARSE_BAD);
	assert_int_equal(parse(TEXT("\1\0\0\1\3"), &out), PARSE_BAD);
}

/* The hello as records of the given payload size. */
static void to_records(const struct hello *h, size_t size, struct builder *out)
{
	out->n = 0;
	for (size_t at = 0; at < h->t.n; at += size) {
		size_t n = h->t.n - at < size ? h->t.n - at : size;

		put_be(out, 0x160301, 3);
		put_be(out, n, 2);
		put_bytes(out, h->t.b + at, n);
	}
}

static void test_records_of_every_size(void **state)
{
	static struct builder records;
	struct tls_hello out;
	struct hello h;
	size_t need;

	(void)state;
	begin_hello(&h);
	add_extension(&h, 21, records.b, 300); /* padding */
	add_name(&h, "records.example");
	end_hello(&h);
	for (size_t size = 1; size <= h.t.n; size++) {
		to_records(&h, size, &records);
		if ((h.t.n + size - 1) / size > 64) {
			assert_int_equal(tls_records_hello(records.b, records.n, 16384, &out, &need), PARSE_MORE);
			assert_true(need > 16384);
			continue;
		}
		for (size_t n = 0; n < records.n; n++) {
			uint8_t *copy = exact(records.b, n);

			assert_int_equal(tls_records_hello(copy, n, 16384, &out, &need), PARSE_MORE);
			free(copy);
		}
		assert_int_equal(tls_records_hello(records.b, records.n, 16384, &out, &need), PARSE_DONE);
		assert_name(&out, "records.example");
	}
}

static void test_sixteen_kib(void **state)
{
	static struct builder records;
	static const uint8_t padding[16384];
	struct tls_hello out;
	struct hello h;
	size_t need;

	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		begin_hello(&h);
		add_name(&h, "long.example");
		add_extension(&h, 21, padding, 16384 - h.t.n - 4 + extra);
		end_hello(&h);
		assert_int_equal(h.t.n, 16384 + extra);
		to_records(&h, 16384, &records);
		assert_int_equal(tls_records_hello(records.b, records.n, 16384, &out, &need), extra ? PARSE_MORE : PARSE_DONE);
		assert_int_equal(need, 16384 + extra);
		to_records(&h, 5000, &records);
		assert_int_equal(tls_records_hello(records.b, records.n, 16384, &out, &need), extra ? PARSE_MORE : PARSE_DONE);
		/* a smaller limit is known to be exceeded from the message's header on */
		assert_int_equal(tls_records_hello(records.b, 20, 1000, &out, &need), PARSE_MORE);
		assert_true(need > 1000);
	}
}

static void test_wrong_records(void **state)
{
	struct tls_hello out;
	size_t need;

	(void)state;
	assert_int_equal(tls_records_hello(TEXT("\x17"), 16384, &out, &need), PARSE_BAD);
	assert_int_equal(tls_records_hello(TEXT("\x16\x02"), 16384, &out, &need), PARSE_BAD);
	assert_int_equal(tls_records_hello(TEXT("\x16\3\1\0\0"), 16384, &out, &need), PARSE_BAD);
	assert_int_equal(tls_records_hello(TEXT("\x16\3\1\x40\1"), 16384, &out, &need), PARSE_BAD);
	assert_int_equal(tls_records_hello(TEXT("\x16\3\1\x40\0"), 16384, &out, &need), PARSE_MORE);
	assert_int_equal(tls_records_hello(TEXT("\x16\3\1\0\1\1\x15\3\1"), 16384, &out, &need), PARSE_BAD);
	assert_int_equal(tls_records_hello(TEXT("\x16\3\1\0\1\2"), 16384, &out, &need), PARSE_BAD);
	assert_int_equal(tls_records_hello(NULL, 0, 16384, &out, &need), PARSE_MORE);
}

/* A message of 1,497,561 bytes: too long as soon as its header is there, whatever stands behind it, so segments change nothing. */
static void test_too_long_is_said_at_its_header(void **state)
{
	static const char text[] = "\x16\3\1\0\4\1\x16\xd9\xd9\x15\3\1\0\1";
	struct tls_hello out;
	size_t need;

	(void)state;
	for (size_t len = 9; len < sizeof(text); len++) {
		need = 0;
		assert_int_equal(tls_records_hello((const uint8_t *)text, len, 16384, &out, &need), PARSE_MORE);
		assert_int_equal(need, 4 + 0x16d9d9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_every_cut_of_a_message),
		cmocka_unit_test(test_without_extensions),
		cmocka_unit_test(test_sni_shapes),
		cmocka_unit_test(test_two_server_names),
		cmocka_unit_test(test_ech),
		cmocka_unit_test(test_alpn_shapes),
		cmocka_unit_test(test_lengths_that_lie),
		cmocka_unit_test(test_fields_out_of_range),
		cmocka_unit_test(test_extension_longer_than_the_list),
		cmocka_unit_test(test_not_a_hello),
		cmocka_unit_test(test_records_of_every_size),
		cmocka_unit_test(test_sixteen_kib),
		cmocka_unit_test(test_wrong_records),
		cmocka_unit_test(test_too_long_is_said_at_its_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
