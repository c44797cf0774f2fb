// SPDX-License-Identifier: BSD-3-Clause
// Tests of the control datagram codec: a golden packet, every type both ways, and each refusal.
#include "lib/ctlmsg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* landed {worker 1, workers 2, mtu 1280, index 3, instance 0x0102030405060708}; checksum computed
 * by an independent program (scapy). */
static const uint8_t golden_landed[] = {
	0x60, 0, 0, 0, 0, 32, 17, 255,
	0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 1,
	0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 2,
	0xca, 0x6d, 0xca, 0x6d, 0, 32, 0xc1, 0x1c,
	0x53, 0x4c, 0x43, 0x31, 1, 0, 0, 16,
	0, 1, 0, 2, 5, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8,
};

static const struct ctlmsg landed = {
	.type = CTLMSG_LANDED,
	.landed = {.worker = 1, .workers = 2, .mtu = 1280, .session_index = 3,
		   .edge_instance = 0x0102030405060708},
};

static const struct {
	enum ctlmsg_side from;
	struct ctlmsg msg;
} samples[] = {
	{CTLMSG_FROM_EDGE, {.type = CTLMSG_LANDED,
		.landed = {.worker = 7, .workers = 8, .mtu = 1420, .session_index = 65535,
			   .edge_instance = UINT64_MAX}}},
	{CTLMSG_FROM_CONNECTOR, {.type = CTLMSG_HELLO,
		.hello = {.session_index = 2, .flags = CTLMSG_HELLO_SETTLED}}},
	{CTLMSG_FROM_EDGE, {.type = CTLMSG_PROBE, .probe = {.stamp = 0x8000000000000001}}},
	{CTLMSG_FROM_CONNECTOR, {.type = CTLMSG_PROBE, .probe = {.stamp = 1}}},
	{CTLMSG_FROM_EDGE, {.type = CTLMSG_PROBE_REPLY, .probe = {.stamp = 2}}},
	{CTLMSG_FROM_CONNECTOR, {.type = CTLMSG_PROBE_REPLY, .flags = 9, .probe = {.stamp = 3}}},
	{CTLMSG_FROM_CONNECTOR, {.type = CTLMSG_GOODBYE, .goodbye = {.reason = 4}}},
	{CTLMSG_FROM_EDGE, {.type = CTLMSG_DRAIN, .drain = {.on = 1}}},
	{CTLMSG_FROM_CONNECTOR, {.type = CTLMSG_DRAIN, .drain = {.on = 0}}},
	{CTLMSG_FROM_CONNECTOR, {.type = CTLMSG_LIMITS,
		.limits = {.max_flows = 0xfffffffe, .active_flows = 300}}},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void golden_packet(void **state)
{
	uint8_t packet[CTLMSG_PACKET_MAX_BYTES];
	struct ctlmsg msg;

	(void)state;
	assert_int_equal(ctlmsg_encode(&landed, CTLMSG_FROM_EDGE, packet, sizeof(packet)),
			 sizeof(golden_landed));
	assert_memory_equal(packet, golden_landed, sizeof(golden_landed));
	assert_int_equal(
		ctlmsg_decode(golden_landed, sizeof(golden_landed), CTLMSG_FROM_EDGE, &msg), 0);
	assert_memory_equal(&msg, &landed, sizeof(msg));
}

static void every_type_survives_the_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		uint8_t packet[CTLMSG_PACKET_MAX_BYTES + 16] = {0};
		struct ctlmsg msg;
		int n = ctlmsg_encode(&samples[i].msg, samples[i].from, packet,
				      CTLMSG_PACKET_MAX_BYTES);

		assert_true(n > CTLMSG_HEADERS_BYTES);
		assert_true(ctlmsg_is_addressed(packet, (size_t)n));
		/* with the padding that WireGuard adds */
		assert_int_equal(
			ctlmsg_decode(packet, (size_t)n + 16, samples[i].from, &msg), 0);
		assert_memory_equal(&msg, &samples[i].msg, sizeof(msg));
	}
}

static void wrong_side_is_refused(void **state)
{
	uint8_t packet[CTLMSG_PACKET_MAX_BYTES];
	const struct ctlmsg hello = {.type = CTLMSG_HELLO};
	const struct ctlmsg unknown = {.type = 8}, zero = {.type = 0};
	struct ctlmsg msg;

	(void)state;
	assert_int_equal(ctlmsg_encode(&hello, CTLMSG_FROM_EDGE, packet, sizeof(packet)), -EINVAL);
	assert_int_equal(ctlmsg_encode(&landed, CTLMSG_FROM_CONNECTOR, packet, sizeof(packet)),
			 -EINVAL);
	assert_int_equal(ctlmsg_encode(&unknown, CTLMSG_FROM_EDGE, packet, sizeof(packet)),
			 -EINVAL);
	assert_int_equal(ctlmsg_encode(&zero, CTLMSG_FROM_EDGE, packet, sizeof(packet)), -EINVAL);
	/* the edge's packet read as the connector's */
	assert_int_equal(ctlmsg_decode(golden_landed, sizeof(golden_landed), CTLMSG_FROM_CONNECTOR,
				       &msg),
			 -EBADMSG);
}

static void capacity_is_respected(void **state)
{
	uint8_t packet[CTLMSG_PACKET_MAX_BYTES];

	(void)state;
	for (size_t cap = 0; cap < sizeof(golden_landed); cap++)
		assert_int_equal(ctlmsg_encode(&landed, CTLMSG_FROM_EDGE, packet, cap), -ENOSPC);
}

/* The packet again with its checksum put right after a change by the test. */
static void fix_checksum(uint8_t *packet)
{
	size_t n = (size_t)(packet[4] << 8 | packet[5]);
	uint32_t sum = (uint32_t)n + 17;

	packet[46] = packet[47] = 0;
	for (size_t i = 8; i < 40 + n; i++)
		sum += i & 1 ? packet[i] : (uint32_t)packet[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	packet[46] = (uint8_t)(sum >> 8);
	packet[47] = (uint8_t)sum;
}

static int decode_changed(size_t at, uint8_t value)
{
	uint8_t packet[sizeof(golden_landed)];
	struct ctlmsg msg;

	memcpy(packet, golden_landed, sizeof(packet));
	packet[at] = value;
	fix_checksum(packet);
	return ctlmsg_decode(packet, sizeof(packet), CTLMSG_FROM_EDGE, &msg);
}

static void each_check_holds(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		int err;
	} cases[] = {
		/* 0 */ {0, 0x40, -EBADMSG},  /* version */
		/* 1 */ {5, 31, -EBADMSG},    /* IPv6 payload shorter than UDP says */
		/* 2 */ {6, 6, -EBADMSG},     /* TCP */
		/* 3 */ {7, 254, -EBADMSG},   /* hop limit */
		/* 4 */ {23, 3, -EBADMSG},    /* source */
		/* 5 */ {39, 3, -EBADMSG},    /* destination */
		/* 6 */ {41, 0x6e, -EBADMSG}, /* source port */
		/* 7 */ {43, 0x6e, -EBADMSG}, /* destination port */
		/* 8 */ {45, 31, -EBADMSG},   /* UDP length */
		/* 9 */ {48, 0x54, -EBADMSG}, /* magic */
		/* 10 */ {52, 8, -ENOTSUP},   /* a later type */
		/* 11 */ {52, 0, -ENOTSUP},
		/* 12 */ {52, 2, -EPROTO},   /* hello from the edge */
		/* 13 */ {55, 15, -EBADMSG}, /* body length against UDP's */
		/* 14 */ {55, 17, -EBADMSG},
		/* 15 */ {53, 1, 0},  /* flags of a later version pass */
		/* 16 */ {52, 6, 0},  /* a longer body than drain's passes */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(decode_changed(cases[i].at, cases[i].value), cases[i].err);
}

static void short_body_is_refused(void **state)
{
	uint8_t packet[sizeof(golden_landed)];
	struct ctlmsg msg;

	(void)state;
	memcpy(packet, golden_landed, sizeof(packet));
	packet[5] = packet[45] = 31;
	packet[55] = 15;
	fix_checksum(packet);
	assert_int_equal(ctlmsg_decode(packet, sizeof(packet), CTLMSG_FROM_EDGE, &msg), -EBADMSG);
}

static void every_truncation_is_refused(void **state)
{
	struct ctlmsg msg;

	(void)state;
	for (size_t n = 0; n < sizeof(golden_landed); n++) {
		uint8_t *exact = test_malloc(n + 1); /* so that ASan sees any overread */
		int err;

		memcpy(exact + 1, golden_landed, n);
		err = ctlmsg_decode(exact + 1, n, CTLMSG_FROM_EDGE, &msg);
		assert_int_equal(err, -EBADMSG);
		ctlmsg_is_addressed(exact + 1, n);
		test_free(exact);
	}
}

static void every_flipped_bit_is_refused(void **state)
{
	struct ctlmsg msg;

	(void)state;
	for (size_t bit = 0; bit < sizeof(golden_landed) * 8; bit++) {
		uint8_t packet[sizeof(golden_landed)];
		int err;

		memcpy(packet, golden_landed, sizeof(packet));
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
		err = ctlmsg_decode(packet, sizeof(packet), CTLMSG_FROM_EDGE, &msg);
		if (bit < 4 || (bit >= 8 && bit < 32))
			assert_int_equal(err, 0); /* traffic class, flow label: not read */
		else
			assert_true(err < 0);
	}
}

static void absent_checksum_is_refused(void **state)
{
	uint8_t packet[sizeof(golden_landed)];
	struct ctlmsg msg;

	(void)state;
	memcpy(packet, golden_landed, sizeof(packet));
	packet[46] = packet[47] = 0;
	assert_int_equal(ctlmsg_decode(packet, sizeof(packet), CTLMSG_FROM_EDGE, &msg), -EILSEQ);
}

/* A stamp chosen so that the sum is 0xffff: the checksum must be sent as 0xffff, never as 0. */
static void zero_checksum_is_sent_as_ones(void **state)
{
	struct ctlmsg probe = {.type = CTLMSG_PROBE};
	uint8_t packet[CTLMSG_PACKET_MAX_BYTES];
	bool seen = false;

	(void)state;
	for (uint32_t i = 0; i <= 0xffff; i++) {
		struct ctlmsg msg;
		int n;

		probe.probe.stamp = i;
		n = ctlmsg_encode(&probe, CTLMSG_FROM_EDGE, packet, sizeof(packet));
		assert_false(packet[46] == 0 && packet[47] == 0);
		seen |= packet[46] == 0xff && packet[47] == 0xff;
		assert_int_equal(ctlmsg_decode(packet, (size_t)n, CTLMSG_FROM_EDGE, &msg), 0);
	}
	assert_true(seen);
}

static void only_the_pair_is_addressed(void **state)
{
	uint8_t packet[sizeof(golden_landed)];

	(void)state;
	memcpy(packet, golden_landed, sizeof(packet));
	packet[39] = 1; /* edge to edge */
	assert_false(ctlmsg_is_addressed(packet, sizeof(packet)));
	packet[23] = 2; /* connector to edge */
	assert_true(ctlmsg_is_addressed(packet, sizeof(packet)));
	packet[0] = 0x45;
	assert_false(ctlmsg_is_addressed(packet, sizeof(packet)));
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(ctlmsg_type_name(CTLMSG_PROBE_REPLY), "probe_reply");
	assert_string_equal(ctlmsg_type_name(0), "unknown");
	assert_string_equal(ctlmsg_type_name(255), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_packet),
		cmocka_unit_test(every_type_survives_the_trip),
		cmocka_unit_test(wrong_side_is_refused),
		cmocka_unit_test(capacity_is_respected),
		cmocka_unit_test(each_check_holds),
		cmocka_unit_test(short_body_is_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(absent_checksum_is_refused),
		cmocka_unit_test(zero_checksum_is_sent_as_ones),
		cmocka_unit_test(only_the_pair_is_addressed),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("ctlmsg", tests, NULL, NULL);
}
