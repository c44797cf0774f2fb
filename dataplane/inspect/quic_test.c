// SPDX-License-Identifier: BSD-3-Clause
// QUIC Initials: the vectors of RFC 9001 A and RFC 9369 A, packets sealed here, frames of every kind.
#include "dataplane/inspect/inspect.h"
#include "dataplane/inspect/quic.h"

#include <sodium.h>

#include <intel-ipsec-mb.h>

#include "dataplane/inspect/test_util.h"

static struct quic_crypto *crypto;
static IMB_MGR *manager; /* the sealing side */
static struct stream stream;

static const uint8_t rfc_dcid[8] = {0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08};

static void assert_hex(const uint8_t *got, const char *hex)
{
	uint8_t want[64];
	size_t n;

	sodium_hex2bin(want, sizeof(want), hex, strlen(hex), NULL, &n, NULL);
	assert_memory_equal(got, want, n);
}

static void test_keys_v1(void **state)
{
	uint8_t sample[16], mask[5];
	struct quic_keys k;
	size_t n;

	(void)state;
	assert_true(quic_client_keys(QUIC_V1, rfc_dcid, 8, &k));
	assert_hex(k.key, "1f369613dd76d5467730efcbe3b1a22d");
	assert_hex(k.iv, "fa044b2f42a3fd3b46fb255c");
	assert_hex(k.hp, "9f50449e04a0e810283a1e9933adedd2");
	sodium_hex2bin(sample, 16, "d1b1c98dd7689fb8ec11d242b123dc9b", 32, NULL, &n, NULL);
	quic_header_mask(crypto, &k, sample, mask);
	assert_hex(mask, "437b9aec36");
}

static void test_keys_v2(void **state)
{
	uint8_t sample[16], mask[5];
	struct quic_keys k;
	size_t n;

	(void)state;
	assert_true(quic_client_keys(QUIC_V2, rfc_dcid, 8, &k));
	assert_hex(k.key, "8b1a0bc121284290a29e0971b5cd045d");
	assert_hex(k.iv, "91f73e2351d8fa91660e909f");
	assert_hex(k.hp, "45b95e15235d6f45a6b19cbcb0294ba9");
	sodium_hex2bin(sample, 16, "ffe67b6abcdb4298b485dd04de806071", 32, NULL, &n, NULL);
	quic_header_mask(crypto, &k, sample, mask);
	assert_hex(mask, "94a0c95e80");
	assert_false(quic_client_keys(0xff00001d, rfc_dcid, 8, &k)); /* draft 29 */
}

static enum quic_result feed(struct quic_state *q, const uint8_t *p, size_t n)
{
	uint8_t *copy = exact(p, n);
	enum quic_result r = quic_datagram(q, crypto, copy, n, &stream);

	free(copy);
	return r;
}

static void test_rfc_packets(void **state)
{
	static const char *const names[] = {"quic-rfc9001", "quic-rfc9369"};
	uint8_t packet[2048];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct quic_state q = {0};
		size_t n = fixture(names[i], packet, sizeof(packet));

		stream_init(&stream, STREAM_MAX_BYTES);
		assert_int_equal(feed(&q, packet, n), QUIC_OPENED);
		assert_int_equal(stream_prefix(&stream), 241);
		assert_memory_equal(stream.bytes, "\1\0\0\xed\3\3\xeb\xf8", 8);
		assert_int_equal(q.next_number, 3);
	}
}

/* No bit of a sealed packet may change: what opens is what the client sent. */
static void test_every_byte_is_authenticated(void **state)
{
	uint8_t packet[2048];
	size_t n = fixture("quic-rfc9001", packet, sizeof(packet));

	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct quic_state q = {0};

		stream_init(&stream, STREAM_MAX_BYTES);
		packet[i] ^= 0x10;
		assert_int_not_equal(feed(&q, packet, n), QUIC_OPENED);
		assert_int_equal(stream_prefix(&stream), 0);
		packet[i] ^= 0x10;
	}
}

static void test_every_cut(void **state)
{
	uint8_t packet[2048];
	size_t n = fixture("quic-rfc9001", packet, sizeof(packet));

	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct quic_state q = {0};

		stream_init(&stream, STREAM_MAX_BYTES);
		assert_int_equal(feed(&q, packet, i), QUIC_NOT);
	}
}

struct initial {
	uint32_t version;
	unsigned type; /* bits of the first byte */
	const uint8_t *dcid;
	unsigned dcid_len, scid_len, token_len, number_len;
	uint64_t number;
};
#define INITIAL_DEFAULT                                                                                     \
	(struct initial)                                                                                   \
	{                                                                                                   \
		.version = QUIC_V1, .dcid = rfc_dcid, .dcid_len = 8, .number_len = 2                        \
	}

/* Appends a sealed long-header packet. */
static void seal(struct builder *to, const struct initial *p, const void *frames, size_t len)
{
	size_t start = to->n, number_at, body = len > 20 ? len : 20;
	static uint8_t plain[8192];
	uint8_t nonce[12], sample_mask[5];
	struct gcm_context_data ctx;
	struct gcm_key_data gcm;
	struct quic_keys k;

	memset(plain, 0, sizeof(plain));
	memcpy(plain, frames, len);
	put_be(to, 0xc0u | p->type << 4 | (p->number_len - 1), 1);
	put_be(to, p->version, 4);
	put_be(to, p->dcid_len, 1);
	put_bytes(to, p->dcid, p->dcid_len);
	put_be(to, p->scid_len, 1);
	to->n += p->scid_len;
	if ((p->version == QUIC_V1 && p->type == 0) || (p->version == QUIC_V2 && p->type == 1)) {
		put_be(to, 0x4000u | p->token_len, 2);
		to->n += p->token_len;
	}
	put_be(to, 0x4000u | (body + p->number_len + 16), 2);
	number_at = to->n;
	put_be(to, p->number, p->number_len);
	if (!quic_client_keys(p->version, p->dcid, p->dcid_len, &k)) {
		to->n += body + 16;
		return;
	}
	memcpy(nonce, k.iv, 12);
	for (unsigned i = 0; i < 8; i++)
		nonce[11 - i] ^= (uint8_t)(p->number >> (8 * i));
	IMB_AES128_GCM_PRE(manager, k.key, &gcm);
	IMB_AES128_GCM_ENC(manager, &gcm, &ctx, to->b + to->n, plain, body, nonce, to->b + start, to->n - start,
			   to->b + to->n + body, 16);
	to->n += body + 16;
	quic_header_mask(crypto, &k, to->b + number_at + 4, sample_mask);
	to->b[start] ^= sample_mask[0] & 0x0f;
	for (unsigned i = 0; i < p->number_len; i++)
		to->b[number_at + i] ^= sample_mask[1 + i];
}

static struct builder out;

static void begin(void)
{
	memset(&out, 0, sizeof(out));
	stream_init(&stream, STREAM_MAX_BYTES);
}

static void test_coalesced(void **state)
{
	struct initial p = INITIAL_DEFAULT;
	struct quic_state q = {0};

	(void)state;
	begin();
	p.token_len = 70;
	seal(&out, &p, "\6\2\3cde", 6);
	p.type = 1; /* 0-RTT between: stepped over */
	seal(&out, &p, "", 0);
	p.type = 0;
	p.number = 1;
	seal(&out, &p, "\6\0\2ab", 5);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
	assert_int_equal(stream_prefix(&stream), 5);
	assert_memory_equal(stream.bytes, "abcde", 5);
}

static void test_other_connection_id_in_one_datagram(void **state)
{
	struct initial p = INITIAL_DEFAULT;
	struct quic_state q = {0};

	(void)state;
	begin();
	seal(&out, &p, "\6\0\2ab", 5);
	p.dcid_len = 7;
	seal(&out, &p, "\6\2\2cd", 5);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
	assert_int_equal(stream_prefix(&stream), 2);
	/* … but in a datagram of its own: after a Retry the id is another one */
	begin();
	seal(&out, &p, "\6\0\2ab", 5);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
	assert_int_equal(stream_prefix(&stream), 2);
}

static void test_initials_of_a_datagram_are_bounded(void **state)
{
	struct initial p = INITIAL_DEFAULT;
	struct quic_state q = {0};

	(void)state;
	begin();
	for (unsigned i = 0; i < 6; i++) {
		char frames[] = {6, (char)i, 1, 'x'};

		p.number = i;
		seal(&out, &p, frames, 4);
	}
	assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
	assert_int_equal(stream_prefix(&stream), 4);
}

static void test_packet_numbers(void **state)
{
	struct initial p = INITIAL_DEFAULT;
	struct quic_state q = {0};

	(void)state;
	p.number_len = 1; /* the low byte alone is on the wire: enough, also beyond 255 */
	for (unsigned i = 0; i < 600; i += 100) {
		begin();
		p.number = i;
		seal(&out, &p, "\1", 1);
		assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
		assert_int_equal(q.next_number, i + 1);
	}
	begin();
	p.number = 490; /* late */
	seal(&out, &p, "\1", 1);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
	assert_int_equal(q.next_number, 501);
	q.next_number = 257;
	begin();
	p.number = 250; /* late, and the low byte seems to be ahead */
	seal(&out, &p, "\1", 1);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
	q.next_number = 0;
	begin();
	p.number = 200;
	seal(&out, &p, "\1", 1);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
	q.next_number = (1ull << 62) - 1; /* there is none beyond */
	begin();
	p.number = (1ull << 62) - 256;
	seal(&out, &p, "\1", 1);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
}

static void test_versions(void **state)
{
	struct initial p = INITIAL_DEFAULT;
	struct quic_state q = {0};

	(void)state;
	begin();
	p.version = 0xff00001d;
	seal(&out, &p, "\6\0\2ab", 5);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_NOT);
	begin();
	p.version = QUIC_V2; /* there type 0 is Retry and type 1 Initial */
	seal(&out, &p, "\6\0\2ab", 5);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_NOT);
	begin();
	p.type = 1;
	seal(&out, &p, "\6\0\2ab", 5);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
	assert_int_equal(stream_prefix(&stream), 2);
}

/* The keys follow version and connection id, of any length that is allowed. */
static void test_keys_change(void **state)
{
	static const uint8_t ids[2][24] = {{1, 2, 3}, {1, 2, 4}};
	struct initial p = INITIAL_DEFAULT;
	struct quic_state q = {0};

	(void)state;
	p.dcid_len = 8;
	for (unsigned i = 0; i < 4; i++) {
		begin();
		p.dcid = ids[i % 2];
		p.version = i < 2 ? QUIC_V1 : QUIC_V2;
		p.type = i < 2 ? 0 : 1;
		p.number = i;
		seal(&out, &p, "\6\0\2ab", 5);
		assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
		if (i == 1) { /* the same connection id */
			p.version = QUIC_V2;
			p.type = 1;
			begin();
			seal(&out, &p, "\6\0\2ab", 5);
			assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
		}
	}
	for (unsigned n = 20; n <= 21; n++) {
		p = INITIAL_DEFAULT;
		p.dcid = ids[0];
		p.dcid_len = n;
		begin();
		seal(&out, &p, "\1", 1);
		assert_int_equal(feed(&q, out.b, out.n), n == 20 ? QUIC_OPENED : QUIC_NOT);
		p.dcid_len = 8;
		p.scid_len = n;
		begin();
		seal(&out, &p, "\1", 1);
		assert_int_equal(feed(&q, out.b, out.n), n == 20 ? QUIC_OPENED : QUIC_NOT);
	}
}

static void test_what_an_initial_may_not_say(void **state)
{
	struct initial p = INITIAL_DEFAULT;
	struct quic_state q = {0};

	(void)state;
	begin();
	seal(&out, &p, "\x08\0a", 3);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_BAD);
	begin();
	seal(&out, &p, "\6\0\2ab", 5);
	p.number = 1;
	seal(&out, &p, "\6\0\2aX", 5);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_CONFLICT);
}

static void test_too_short_to_be_sealed(void **state)
{
	struct quic_state q = {0};

	(void)state;
	begin();
	put_bytes(&out, "\xc0\0\0\0\1\0\0\0\x13", 9); /* 19 bytes: not even a sample behind the number */
	out.n += 19;
	assert_int_equal(feed(&q, out.b, out.n), QUIC_NOT);
}

static void test_early_data_behind(void **state)
{
	struct initial p = INITIAL_DEFAULT;
	struct quic_state q = {0};

	(void)state;
	begin();
	seal(&out, &p, "\6\0\2ab", 5);
	p.type = 1;
	seal(&out, &p, "", 0);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_OPENED);
}

static void test_early_data_first(void **state)
{
	struct initial p = INITIAL_DEFAULT;
	struct quic_state q = {0};

	(void)state;
	begin();
	p.type = 1;
	seal(&out, &p, "", 0);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_EARLY);
	begin();
	p.type = 2; /* Handshake */
	seal(&out, &p, "", 0);
	assert_int_equal(feed(&q, out.b, out.n), QUIC_NOT);
}

static void test_long_datagram_and_ids(void **state)
{
	static uint8_t big[QUIC_DATAGRAM_MAX + 1];
	uint8_t packet[64] = {0xc0, 0, 0, 0, 1, 21};
	struct quic_state q = {0};

	(void)state;
	begin();
	assert_int_equal(feed(&q, big, sizeof(big)), QUIC_NOT);
	memset(big, 1, sizeof(big)); /* PING */
	for (unsigned extra = 0; extra < 2; extra++) {
		struct initial p = INITIAL_DEFAULT;

		begin();
		seal(&out, &p, big, QUIC_DATAGRAM_MAX - 37 + extra);
		assert_int_equal(out.n, QUIC_DATAGRAM_MAX + extra);
		assert_int_equal(feed(&q, out.b, out.n), extra ? QUIC_NOT : QUIC_OPENED);
	}
	assert_int_equal(feed(&q, packet, sizeof(packet)), QUIC_NOT);
	packet[0] = 0x80; /* without the fixed bit */
	packet[5] = 8;
	assert_int_equal(feed(&q, packet, sizeof(packet)), QUIC_NOT);
}

struct frame_case {
	const char *bytes;
	size_t len;
	enum quic_result result;
	size_t prefix;
};
#define FRAMES(bytes, result, prefix) {bytes, sizeof(bytes) - 1, result, prefix}

static const struct frame_case frame_cases[] = {
	/*  0 */ FRAMES("", QUIC_OPENED, 0),
	/*  1 */ FRAMES("\0\0\1\0\6\0\1a\0", QUIC_OPENED, 1),
	/*  2 */ FRAMES("\6\1\1b\6\0\1a", QUIC_OPENED, 2),
	/*  3 */ FRAMES("\2\5\0\2\0\1\1\1\1\6\0\1a", QUIC_OPENED, 1),
	/*  4 */ FRAMES("\3\5\0\0\0\1\2\3\6\0\1a", QUIC_OPENED, 1),
	/*  5 */ FRAMES("\3\5\0\0\0\1\2", QUIC_BAD, 0),
	/*  6 */ FRAMES("\2\5\0\x3f\0\1\1", QUIC_BAD, 0),
	/*  7 */ FRAMES("\x1c\0\0\0garbage", QUIC_OPENED, 0),
	/*  8 */ FRAMES("\6\0\2a", QUIC_BAD, 0),
	/*  9 */ FRAMES("\6\0", QUIC_BAD, 0),
	/* 10 STREAM */ FRAMES("\x08\0a", QUIC_BAD, 0),
	/* 11 */ FRAMES("\6\0\2ab\6\1\1X", QUIC_CONFLICT, 2),
	/* 12 long form of a type */ FRAMES("\x40\6\0\1a", QUIC_OPENED, 1),
	/* 13 */ FRAMES("\x40", QUIC_BAD, 0),
	/* 14 */ FRAMES("\6\xff\xff\xff\xff\xff\xff\xff\xff\1a", QUIC_OPENED, 0),
	/* 15 */ FRAMES("\6\0\xff\xff\xff\xff\xff\xff\xff\xff", QUIC_BAD, 0),
};

static void test_frames(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(frame_cases) / sizeof(frame_cases[0]); i++) {
		const struct frame_case *c = &frame_cases[i];
		uint8_t *copy = exact((const uint8_t *)c->bytes, c->len);
		enum quic_result got;

		stream_init(&stream, STREAM_MAX_BYTES);
		got = quic_initial_frames(copy, c->len, &stream);
		if (got != c->result || stream_prefix(&stream) != c->prefix)
			fail_msg("case %zu: result %d, prefix %zu", i, got, stream_prefix(&stream));
		free(copy);
	}
}

/* What an inspector makes of the answers. */
static void test_inspector(void **state)
{
	const struct inspect_limits limits = {.bytes = STREAM_MAX_BYTES, .packets = 10};
	struct initial p = INITIAL_DEFAULT, early = INITIAL_DEFAULT;
	static struct inspector in;

	(void)state;
	inspect_start(&in, INSPECT_UDP, 0, &limits);
	begin();
	early.type = 1;
	seal(&out, &early, "", 0);
	assert_int_equal(inspect_datagram(&in, crypto, out.b, out.n), INSPECT_WAIT); /* overtook its Initial */
	assert_int_equal(in.names.protocol_state, NAME_UNSEEN);
	begin();
	seal(&out, &p, "\6\0\2\1\0", 5);
	assert_int_equal(inspect_datagram(&in, crypto, out.b, out.n), INSPECT_WAIT);
	assert_int_equal(in.names.protocol, DETECTED_QUIC);
	begin();
	p.number = 1;
	seal(&out, &p, "\6\0\2\1\1", 5);
	assert_int_equal(inspect_datagram(&in, crypto, out.b, out.n), INSPECT_REFUSE);
	assert_int_equal(in.end, INSPECT_RUNNING);
	begin();
	p.number = 2;
	seal(&out, &p, "\x08", 1);
	assert_int_equal(inspect_datagram(&in, crypto, out.b, out.n), INSPECT_FINAL);
	assert_int_equal(in.names.protocol, DETECTED_QUIC);
	assert_int_equal(in.names.sni.state, NAME_MISSING);
	inspect_start(&in, INSPECT_UDP, 0, &limits);
	assert_int_equal(inspect_datagram(&in, crypto, out.b, out.n), INSPECT_FINAL); /* the first one of its flow */
	assert_int_equal(in.names.protocol, DETECTED_QUIC);
}

static int setup(void **state)
{
	(void)state;
	crypto = quic_crypto_create();
	manager = alloc_mb_mgr(0);
	init_mb_mgr_auto(manager, NULL);
	return sodium_init() < 0 || crypto == NULL;
}

static int teardown(void **state)
{
	(void)state;
	quic_crypto_destroy(crypto);
	free_mb_mgr(manager);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_v1),
		cmocka_unit_test(test_keys_v2),
		cmocka_unit_test(test_rfc_packets),
		cmocka_unit_test(test_every_byte_is_authenticated),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_coalesced),
		cmocka_unit_test(test_other_connection_id_in_one_datagram),
		cmocka_unit_test(test_initials_of_a_datagram_are_bounded),
		cmocka_unit_test(test_packet_numbers),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_keys_change),
		cmocka_unit_test(test_what_an_initial_may_not_say),
		cmocka_unit_test(test_too_short_to_be_sealed),
		cmocka_unit_test(test_early_data_behind),
		cmocka_unit_test(test_early_data_first),
		cmocka_unit_test(test_long_datagram_and_ids),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_inspector),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
