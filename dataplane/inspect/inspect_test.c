// SPDX-License-Identifier: BSD-3-Clause
// The inspector on what real clients send: every cut in two, either order, byte by byte, again and overlapping gives the
// same names.
#include "dataplane/inspect/inspect.h"

#include "dataplane/inspect/test_util.h"

#define BASE 0xfffffff0u /* so that sequence numbers wrap inside every fixture */

static const struct inspect_limits limits = {.bytes = STREAM_MAX_BYTES, .packets = 20000};
static struct quic_crypto *crypto;
static struct inspector in;

struct expected {
	const char *fixture;
	enum detected_protocol protocol;
	const char *sni, *host, *uri, *method, *fqdn; /* NULL: missing */
};

static const struct expected tcp_fixtures[] = {
	{"http1-curl", DETECTED_HTTP, NULL, "app.example", "http://app.example/a/b?c=d", "GET", NULL},
	{"http1-curl-post", DETECTED_HTTP, NULL, "app.example", "http://app.example/form", "POST", NULL},
	{"http1-curl-proxy", DETECTED_HTTP, NULL, "app.example", "http://app.example/x", "GET", NULL},
	{"http1-node", DETECTED_HTTP, NULL, "node.example", "http://node.example/n", "GET", NULL},
	{"http2-curl", DETECTED_HTTP2, NULL, NULL, NULL, NULL, NULL},
	{"tls-curl", DETECTED_TLS, "app.example", NULL, NULL, NULL, NULL},
	{"tls-openssl", DETECTED_TLS, "app.example", NULL, NULL, NULL, NULL},
	{"tls-openssl-noname", DETECTED_TLS, NULL, NULL, NULL, NULL, NULL},
	{"tls-openssl-tls12", DETECTED_TLS, "old.example", NULL, NULL, NULL, NULL},
	{"tls-node", DETECTED_TLS, "node.example", NULL, NULL, NULL, NULL},
	{"tls-kubectl", DETECTED_TLS, "api.example", NULL, NULL, NULL, NULL},
	{"tls-mlkem", DETECTED_TLS, "pq.example", NULL, NULL, NULL, NULL},
	{"ssh-openssh", DETECTED_SSH, NULL, NULL, NULL, NULL, NULL},
	{"dns-tcp-node", DETECTED_DNS, NULL, NULL, NULL, NULL, "www.app.example"},
};
#define N_TCP (sizeof(tcp_fixtures) / sizeof(tcp_fixtures[0]))

static void assert_text(const char *where, const char *what, const struct name_text *t, const char *want)
{
	if (t->state != (want ? NAME_KNOWN : NAME_MISSING) ||
	    (want && (t->len != strlen(want) || memcmp(t->text, want, t->len) != 0)))
		fail_msg("%s: %s has state %u, \"%.*s\", not \"%s\"", where, what, t->state, t->len, t->text ? t->text : "",
			 want ? want : "(missing)");
}

static void assert_names(const struct expected *e)
{
	const struct names *n = &in.names;

	if (n->protocol_state != NAME_KNOWN || n->protocol != e->protocol)
		fail_msg("%s: protocol %s", e->fixture, detected_protocol_name(n->protocol));
	assert_text(e->fixture, "sni", &n->sni, e->sni);
	assert_text(e->fixture, "host", &n->http_host, e->host);
	assert_text(e->fixture, "uri", &n->http_uri, e->uri);
	assert_text(e->fixture, "method", &n->http_method, e->method);
	assert_text(e->fixture, "fqdn", &n->dns_fqdn, e->fqdn);
}

static enum inspect_step segment(const uint8_t *data, size_t offset, size_t n)
{
	uint8_t *copy = exact(data + offset, n);
	enum inspect_step step = inspect_segment(&in, BASE + (uint32_t)offset, copy, n, false);

	free(copy);
	return step;
}

/* Once a name is not unseen it stays as it is, whatever comes. */
static void assert_settled(const struct names *before, const struct names *after)
{
	const struct name_text *a = &before->sni, *b = &after->sni;

	for (unsigned i = 0; i < 5; i++)
		if (a[i].state != NAME_UNSEEN && (a[i].state != b[i].state || a[i].len != b[i].len))
			fail_msg("name %u went from state %u to %u", i, a[i].state, b[i].state);
	if (before->protocol_state == NAME_KNOWN)
		assert_int_equal(before->protocol, after->protocol);
}

static void test_tcp_whole(void **state)
{
	static uint8_t data[16384];

	(void)state;
	for (size_t i = 0; i < N_TCP; i++) {
		size_t n = fixture(tcp_fixtures[i].fixture, data, sizeof(data));

		inspect_start(&in, INSPECT_TCP, BASE, &limits);
		assert_int_equal(segment(data, 0, n), INSPECT_FINAL);
		assert_int_equal(in.end, INSPECT_END_names);
		assert_names(&tcp_fixtures[i]);
	}
}

static void test_tcp_every_split_in_either_order(void **state)
{
	static uint8_t data[16384];

	(void)state;
	for (size_t i = 0; i < N_TCP; i++) {
		size_t n = fixture(tcp_fixtures[i].fixture, data, sizeof(data));

		for (size_t cut = 1; cut < n; cut++) {
			inspect_start(&in, INSPECT_TCP, BASE, &limits);
			segment(data, 0, cut);
			segment(data, cut, n - cut);
			assert_names(&tcp_fixtures[i]);
			inspect_start(&in, INSPECT_TCP, BASE, &limits);
			assert_int_equal(segment(data, cut, n - cut), INSPECT_WAIT);
			assert_int_equal(segment(data, 0, cut), INSPECT_FINAL);
			assert_names(&tcp_fixtures[i]);
		}
	}
}

static void test_tcp_byte_by_byte(void **state)
{
	static uint8_t data[16384];

	(void)state;
	for (size_t i = 0; i < N_TCP; i++) {
		size_t n = fixture(tcp_fixtures[i].fixture, data, sizeof(data));
		enum inspect_step step = INSPECT_WAIT;

		inspect_start(&in, INSPECT_TCP, BASE, &limits);
		for (size_t at = 0; at < n && step == INSPECT_WAIT; at++) {
			struct names before = in.names;

			step = segment(data, at, 1);
			assert_settled(&before, &in.names);
			if (step == INSPECT_WAIT)
				assert_int_equal(segment(data, at / 2, at / 2 + 1), INSPECT_AGAIN); /* again, overlapping */
		}
		assert_int_equal(step, INSPECT_FINAL);
		assert_names(&tcp_fixtures[i]);
	}
}

static void test_tcp_backwards(void **state)
{
	static uint8_t data[16384];

	(void)state;
	for (size_t i = 0; i < N_TCP; i++) {
		size_t n = fixture(tcp_fixtures[i].fixture, data, sizeof(data)), piece = n / 40 + 1;

		inspect_start(&in, INSPECT_TCP, BASE, &limits);
		for (size_t at = (n - 1) / piece * piece; at > 0; at -= piece)
			assert_int_equal(segment(data, at, n - at < piece ? n - at : piece), INSPECT_WAIT);
		assert_int_equal(segment(data, 0, piece < n ? piece : n), INSPECT_FINAL);
		assert_names(&tcp_fixtures[i]);
	}
}

static const struct expected udp_fixtures[] = {
	{"dns-udp-node", DETECTED_DNS, NULL, NULL, NULL, NULL, "www.app.example"},
	{"quic-rfc9001", DETECTED_QUIC, "example.com", NULL, NULL, NULL, NULL},
	{"quic-rfc9369", DETECTED_QUIC, "example.com", NULL, NULL, NULL, NULL},
};

static void test_udp_one_datagram(void **state)
{
	static uint8_t data[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(udp_fixtures) / sizeof(udp_fixtures[0]); i++) {
		size_t n = fixture(udp_fixtures[i].fixture, data, sizeof(data));

		inspect_start(&in, INSPECT_UDP, 0, &limits);
		assert_int_equal(inspect_datagram(&in, crypto, data, n), INSPECT_FINAL);
		assert_names(&udp_fixtures[i]);
	}
	inspect_start(&in, INSPECT_UDP, 0, &limits);
	assert_int_equal(inspect_datagram(&in, crypto, TEXT("anything")), INSPECT_FINAL);
	assert_names(&(struct expected){"anything", DETECTED_NONE, NULL, NULL, NULL, NULL, NULL});
	inspect_start(&in, INSPECT_UDP, 0, &limits);
	assert_int_equal(inspect_datagram(&in, crypto, NULL, 0), INSPECT_FINAL);
}

static void test_quic_two_datagrams_in_either_order(void **state)
{
	static uint8_t data[2][4096];
	size_t n[2] = {fixture("quic-split-1", data[0], 4096), fixture("quic-split-2", data[1], 4096)};

	(void)state;
	for (unsigned first = 0; first < 2; first++) {
		inspect_start(&in, INSPECT_UDP, 0, &limits);
		assert_int_equal(inspect_datagram(&in, crypto, data[first], n[first]), INSPECT_WAIT);
		assert_int_equal(in.names.protocol, DETECTED_QUIC);
		assert_int_equal(in.names.sni.state, NAME_UNSEEN);
		assert_int_equal(in.names.dns_fqdn.state, NAME_MISSING);
		assert_int_equal(in.names.http_host.state, NAME_MISSING);
		assert_int_equal(inspect_datagram(&in, crypto, TEXT("\x40 short header")), INSPECT_WAIT);
		assert_int_equal(inspect_datagram(&in, crypto, data[1 - first], n[1 - first]), INSPECT_FINAL);
		assert_names(&(struct expected){"quic-split", DETECTED_QUIC, "pq.example", NULL, NULL, NULL, NULL});
	}
}

static void test_without_crypto_no_quic(void **state)
{
	static uint8_t data[4096];
	size_t n = fixture("quic-rfc9001", data, sizeof(data));

	(void)state;
	inspect_start(&in, INSPECT_UDP, 0, &limits);
	assert_int_equal(inspect_datagram(&in, NULL, data, n), INSPECT_FINAL);
	assert_int_equal(in.names.protocol, DETECTED_NONE);
}

/* What the first byte rules out is missing at once. */
static void test_early_missing(void **state)
{
	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	assert_int_equal(in.names.sni.state, NAME_UNSEEN);
	segment((const uint8_t *)"\x16", 0, 1);
	assert_int_equal(in.names.sni.state, NAME_UNSEEN);
	assert_int_equal(in.names.http_host.state, NAME_MISSING);
	assert_int_equal(in.names.dns_fqdn.state, NAME_MISSING);
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	segment((const uint8_t *)"GET /x HTTP/1.1\r\n", 0, 17);
	assert_int_equal(in.names.sni.state, NAME_MISSING);
	assert_int_equal(in.names.dns_fqdn.state, NAME_MISSING);
	assert_int_equal(in.names.http_host.state, NAME_UNSEEN);
	assert_int_equal(in.names.http_method.state, NAME_KNOWN);
	assert_int_equal(in.names.protocol, DETECTED_HTTP);
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	segment((const uint8_t *)"PRI * HTTP/2.0\r\n", 0, 16);
	assert_int_equal(in.names.http_host.state, NAME_MISSING);
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	segment((const uint8_t *)"\0\x21", 0, 2);
	assert_int_equal(in.names.dns_fqdn.state, NAME_UNSEEN);
	assert_int_equal(in.names.sni.state, NAME_MISSING);
	assert_int_equal(in.names.http_method.state, NAME_MISSING);
}

static void test_ech_hides_the_name(void **state)
{
	static uint8_t data[4096];
	size_t n = fixture("tls-openssl", data, sizeof(data)), at = 43;

	(void)state;
	at += 1 + data[at];
	at += 2u + (unsigned)(data[at] << 8 | data[at + 1]);
	at += 1 + data[at];
	memmove(data + at + 6, data + at + 2, n - at - 2); /* an empty extension in front */
	memcpy(data + at + 2, "\xfe\x0d\0\0", 4);
	for (unsigned i = 0; i < 3; i++) {
		size_t where = (const size_t[]){3, 7, at}[i];
		unsigned v = (unsigned)(data[where] << 8 | data[where + 1]) + 4;

		data[where] = (uint8_t)(v >> 8);
		data[where + 1] = (uint8_t)v;
	}
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	assert_int_equal(segment(data, 0, n + 4), INSPECT_FINAL);
	assert_names(&(struct expected){"ech", DETECTED_TLS_ECH, NULL, NULL, NULL, NULL, NULL});
}

static void test_unknown_protocol_is_final_at_once(void **state)
{
	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	assert_int_equal(segment((const uint8_t *)"\xff\xff\xff\xff", 0, 4), INSPECT_FINAL);
	assert_int_equal(in.end, INSPECT_END_names);
	assert_names(&(struct expected){"unknown", DETECTED_NONE, NULL, NULL, NULL, NULL, NULL});
	assert_int_equal(inspect_segment(&in, BASE + 4, TEXT("\x16\3\1"), false), INSPECT_FINAL); /* nothing is looked at any more */
}

static void test_conflict_is_refused(void **state)
{
	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	assert_int_equal(inspect_segment(&in, BASE, TEXT("GET / HTTP/1.1\r\nHost: go"), false), INSPECT_WAIT);
	assert_int_equal(inspect_segment(&in, BASE + 16, TEXT("Host: bad"), false), INSPECT_REFUSE);
	assert_int_equal(inspect_segment(&in, BASE + 24, TEXT("od\r\n\r\n"), false), INSPECT_FINAL);
	assert_text("conflict", "host", &in.names.http_host, "good");
}

static void test_before_the_beginning(void **state)
{
	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	assert_int_equal(inspect_segment(&in, BASE - 1, TEXT("x"), false), INSPECT_AGAIN); /* a keepalive probe */
	assert_int_equal(inspect_segment(&in, BASE - 2, TEXT("xxGET / HTTP/1.1\r\nHost: a\r\n\r\n"), false), INSPECT_FINAL);
	assert_text("before", "host", &in.names.http_host, "a");
}

static void test_limit_of_bytes(void **state)
{
	static uint8_t data[16384];
	const struct inspect_limits small = {.bytes = 1000, .packets = 100};
	size_t n = fixture("tls-kubectl", data, sizeof(data));

	(void)state;
	assert_true(n > 1000);
	inspect_start(&in, INSPECT_TCP, BASE, &small); /* the hello says its length: no need to wait for the limit */
	assert_int_equal(segment(data, 0, 100), INSPECT_FINAL);
	assert_int_equal(in.end, INSPECT_END_limit_bytes);
	assert_int_equal(in.names.sni.state, NAME_MISSING);
	inspect_start(&in, INSPECT_TCP, BASE, &small);
	memset(data, 'a', sizeof(data));
	memcpy(data, "GET / HTTP/1.1\r\nX: ", 19);
	assert_int_equal(segment(data, 0, 999), INSPECT_WAIT);
	assert_int_equal(segment(data, 999, 1), INSPECT_FINAL);
	assert_int_equal(in.end, INSPECT_END_limit_bytes);
	assert_true(inspect_end_is_limit(in.end));
	assert_int_equal(in.names.http_method.state, NAME_KNOWN); /* what was learned stays */
	assert_int_equal(in.names.http_host.state, NAME_MISSING);
}

static void test_limit_of_packets(void **state)
{
	const struct inspect_limits few = {.bytes = STREAM_MAX_BYTES, .packets = 3};
	static uint8_t hello[4096];
	size_t n = fixture("quic-split-1", hello, sizeof(hello));

	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &few);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(inspect_segment(&in, BASE, NULL, 0, false), INSPECT_AGAIN); /* bare ones do not count */
		assert_int_equal(segment((const uint8_t *)"GET", 0, 3), i == 0 ? INSPECT_WAIT : INSPECT_AGAIN);
	}
	assert_int_equal(segment((const uint8_t *)"GET", 0, 3), INSPECT_FINAL);
	assert_int_equal(in.end, INSPECT_END_limit_packets);
	inspect_start(&in, INSPECT_UDP, 0, &few);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(inspect_datagram(&in, crypto, hello, n), INSPECT_WAIT);
	assert_int_equal(inspect_datagram(&in, crypto, hello, n), INSPECT_FINAL);
	assert_int_equal(in.end, INSPECT_END_limit_packets);
}

static void test_too_many_pieces(void **state)
{
	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	for (unsigned i = 0; i < STREAM_MAX_RANGES; i++)
		assert_int_equal(segment((const uint8_t *)"0123456789012345678901234567890123456789012345678901234567890123"
							 "0123456789012345678901234567890123456789012345678901234567890123"
							 "xx", 2 * i + 1, 1), INSPECT_WAIT);
	assert_int_equal(inspect_segment(&in, BASE + 2 * STREAM_MAX_RANGES + 1, TEXT("x"), false), INSPECT_FINAL);
	assert_int_equal(in.end, INSPECT_END_limit_packets);
}

static void test_long_uri_is_a_limit(void **state)
{
	char text[4096];
	int n = snprintf(text, sizeof(text), "GET /%03000d HTTP/1.1\r\nHost: a\r\n\r\n", 0);

	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	assert_int_equal(segment((const uint8_t *)text, 0, (size_t)n), INSPECT_FINAL);
	assert_int_equal(in.end, INSPECT_END_limit_head);
	assert_text("long", "host", &in.names.http_host, "a");
	assert_text("long", "uri", &in.names.http_uri, NULL);
}

static void test_fin(void **state)
{
	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	assert_int_equal(inspect_segment(&in, BASE + 3, TEXT("x"), true), INSPECT_WAIT); /* a gap before it */
	assert_int_equal(inspect_segment(&in, BASE, TEXT("GET"), false), INSPECT_FINAL);
	assert_int_equal(in.end, INSPECT_END_closed);
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	assert_int_equal(inspect_segment(&in, BASE, NULL, 0, true), INSPECT_FINAL);
	assert_int_equal(in.end, INSPECT_END_closed);
	assert_false(inspect_end_is_limit(in.end));
}

static void test_again(void **state)
{
	const struct inspect_limits small = {.bytes = 100, .packets = 100};

	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &small);
	assert_int_equal(inspect_segment(&in, BASE + 10, TEXT("abc"), true), INSPECT_WAIT);
	assert_int_equal(inspect_segment(&in, BASE + 10, TEXT("abc"), true), INSPECT_AGAIN);
	assert_int_equal(inspect_segment(&in, BASE + 11, TEXT("b"), false), INSPECT_AGAIN);
	assert_int_equal(inspect_segment(&in, BASE + 12, TEXT("cd"), false), INSPECT_WAIT);
	/* what is beyond the limit is not kept, so nobody knows whether it came before */
	assert_int_equal(inspect_segment(&in, BASE + 100, TEXT("x"), false), INSPECT_WAIT);
	assert_int_equal(inspect_segment(&in, BASE + 100, TEXT("y"), false), INSPECT_WAIT);
}

static void test_end(void **state)
{
	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	inspect_end(&in, INSPECT_END_timeout);
	assert_names(&(struct expected){"timeout", DETECTED_NONE, NULL, NULL, NULL, NULL, NULL});
	inspect_end(&in, INSPECT_END_names);
	assert_int_equal(in.end, INSPECT_END_timeout);
	assert_string_equal(inspect_end_name(in.end), "timeout");
	assert_null(inspect_end_name(INSPECT_END_COUNT));
}

/* What has ended learns nothing more. */
static void test_after_the_end(void **state)
{
	static uint8_t query[512];
	size_t n = fixture("dns-udp-node", query, sizeof(query));

	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	inspect_end(&in, INSPECT_END_timeout);
	assert_int_equal(inspect_segment(&in, BASE, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), false), INSPECT_FINAL);
	assert_int_equal(inspect_server_first(&in, TEXT("SSH-2.0-x\r\n")), INSPECT_FINAL);
	assert_names(&(struct expected){"after the end", DETECTED_NONE, NULL, NULL, NULL, NULL, NULL});
	inspect_start(&in, INSPECT_UDP, 0, &limits);
	inspect_end(&in, INSPECT_END_timeout);
	assert_int_equal(inspect_datagram(&in, crypto, query, n), INSPECT_FINAL);
	assert_names(&(struct expected){"after the end", DETECTED_NONE, NULL, NULL, NULL, NULL, NULL});
}

/* Bytes behind a gap rule nothing out. */
static void test_gap(void **state)
{
	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	assert_int_equal(inspect_segment(&in, BASE + 1, TEXT("\xff\xff\xff\xff"), false), INSPECT_WAIT);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal((&in.names.sni)[i].state, NAME_UNSEEN);
	assert_int_equal(in.names.protocol_state, NAME_UNSEEN);
}

static void test_server_first(void **state)
{
	(void)state;
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	assert_int_equal(inspect_server_first(&in, TEXT("220 mail.example ESMTP\r\n")), INSPECT_WAIT);
	assert_int_equal(inspect_server_first(&in, TEXT("SS")), INSPECT_WAIT);
	assert_int_equal(inspect_server_first(&in, TEXT("SSH-2.0-x\r\n")), INSPECT_FINAL);
	assert_names(&(struct expected){"server", DETECTED_SSH, NULL, NULL, NULL, NULL, NULL});
	inspect_start(&in, INSPECT_TCP, BASE, &limits);
	segment((const uint8_t *)"G", 0, 1);
	assert_int_equal(inspect_server_first(&in, TEXT("SSH-2.0-x\r\n")), INSPECT_WAIT); /* the client spoke first */
}

static int setup(void **state)
{
	(void)state;
	crypto = quic_crypto_create();
	return crypto == NULL;
}

static int teardown(void **state)
{
	(void)state;
	quic_crypto_destroy(crypto);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_whole),
		cmocka_unit_test(test_tcp_every_split_in_either_order),
		cmocka_unit_test(test_tcp_byte_by_byte),
		cmocka_unit_test(test_tcp_backwards),
		cmocka_unit_test(test_udp_one_datagram),
		cmocka_unit_test(test_quic_two_datagrams_in_either_order),
		cmocka_unit_test(test_without_crypto_no_quic),
		cmocka_unit_test(test_early_missing),
		cmocka_unit_test(test_ech_hides_the_name),
		cmocka_unit_test(test_unknown_protocol_is_final_at_once),
		cmocka_unit_test(test_conflict_is_refused),
		cmocka_unit_test(test_before_the_beginning),
		cmocka_unit_test(test_limit_of_bytes),
		cmocka_unit_test(test_limit_of_packets),
		cmocka_unit_test(test_too_many_pieces),
		cmocka_unit_test(test_long_uri_is_a_limit),
		cmocka_unit_test(test_fin),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_after_the_end),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_server_first),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
