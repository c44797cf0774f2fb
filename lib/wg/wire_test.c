// SPDX-License-Identifier: BSD-3-Clause
// Classification of datagrams: every type byte, reserved bytes and lengths; padding; inner lengths.
#include "lib/wg/test_util.h"

static enum wg_message_type expected_type(unsigned type, size_t len)
{
	static const size_t lengths[] = {0, WG_INITIATION_BYTES, WG_RESPONSE_BYTES,
					 WG_COOKIE_REPLY_BYTES};

	if (len < 4 || type < 1 || type > 4)
		return WG_BAD_TYPE;
	if (type == WG_DATA)
		return len >= 32 ? WG_DATA : WG_BAD_LENGTH;
	return len == lengths[type] ? (enum wg_message_type)type : WG_BAD_LENGTH;
}

static void test_every_type_and_length(void **state)
{
	uint8_t buffer[256] = {0};

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		buffer[0] = (uint8_t)type;
		for (size_t len = 0; len <= sizeof(buffer); len++)
			assert_int_equal(wg_message_type(buffer, len), expected_type(type, len));
	}
	assert_int_equal(wg_message_type(NULL, 0), WG_BAD_TYPE);
}

static void test_reserved_bytes(void **state)
{
	static const size_t lengths[] = {0, 148, 92, 64, 32};
	uint8_t buffer[148] = {0};

	(void)state;
	for (unsigned type = 1; type <= 4; type++) {
		buffer[0] = (uint8_t)type;
		for (unsigned at = 1; at <= 3; at++)
			for (unsigned bit = 0; bit < 8; bit++) {
				buffer[at] = (uint8_t)(1U << bit);
				assert_int_equal(wg_message_type(buffer, lengths[type]), WG_BAD_TYPE);
				buffer[at] = 0;
			}
		assert_int_equal(wg_message_type(buffer, lengths[type]), type);
	}
}

static void test_padding(void **state)
{
	static const struct {
		uint32_t len, mtu, padded;
	} cases[] = {
		/* 0 */ {0, 1420, 0},	     /* 1 */ {1, 1420, 16},
		/* 2 */ {15, 1420, 16},	     /* 3 */ {16, 1420, 16},
		/* 4 */ {17, 1420, 32},	     /* 5 */ {1408, 1420, 1408},
		/* 6 */ {1409, 1420, 1420},  /* 7 */ {1419, 1420, 1420},
		/* 8 */ {1420, 1420, 1420},  /* 9 */ {1421, 1420, 1421},
		/* 10 */ {1297, 1300, 1300}, /* 11 */ {1269, 1299, 1280},
		/* 12 */ {1420, 0, 1424},    /* 13 */ {1, 8, 8},
		/* 14 */ {1400, 1280, 1400}, /* 15 */ {1280, 1280, 1280},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (wg_padded_len(cases[i].len, cases[i].mtu) != cases[i].padded)
			fail_msg("case %u: %u", i, wg_padded_len(cases[i].len, cases[i].mtu));
}

static void test_inner_len(void **state)
{
	uint8_t v4[64] = {0x45, 0, 0, 40}, v6[64] = {0x60, 0, 0, 0, 0, 8};

	(void)state;
	assert_int_equal(wg_inner_len(v4, 40), 40);
	assert_int_equal(wg_inner_len(v4, 48), 40);
	assert_int_equal(wg_inner_len(v4, 39), 0);
	assert_int_equal(wg_inner_len(v4, 19), 0);
	v4[3] = 19;
	assert_int_equal(wg_inner_len(v4, 64), 0);
	assert_int_equal(wg_inner_len(v6, 48), 48);
	assert_int_equal(wg_inner_len(v6, 64), 48);
	assert_int_equal(wg_inner_len(v6, 47), 0);
	v6[5] = 0;
	assert_int_equal(wg_inner_len(v6, 40), 40);
	assert_int_equal(wg_inner_len(v6, 39), 0);
	v6[4] = v6[5] = 0xff;
	assert_int_equal(wg_inner_len(v6, 64), 0);
	v6[0] = 0x50;
	assert_int_equal(wg_inner_len(v6, 64), 0);
	assert_int_equal(wg_inner_len(v6, 0), 0);
}

static void test_header(void **state)
{
	static const uint8_t expected[16] = {4, 0, 0, 0, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1};
	uint8_t header[16];

	(void)state;
	wg_data_header(header, 0x01020304, UINT64_C(0x0102030405060708));
	assert_memory_equal(header, expected, 16);
	assert_int_equal(wg_data_receiver(header), 0x01020304);
	assert_int_equal(wg_data_counter(header), UINT64_C(0x0102030405060708));
	assert_true(WG_REJECT_AFTER_MESSAGES == UINT64_C(0xffffffffffffdfff));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type_and_length), cmocka_unit_test(test_reserved_bytes),
		cmocka_unit_test(test_padding),		      cmocka_unit_test(test_inner_len),
		cmocka_unit_test(test_header),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
