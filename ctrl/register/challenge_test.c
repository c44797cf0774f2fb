// SPDX-License-Identifier: BSD-3-Clause
// Tests of the challenge book.
#include "ctrl/register/challenge.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct challenge_book book;

static int setup(void **state)
{
	(void)state;
	challenge_init(&book, CHALLENGE_LIFE_MS);
	return 0;
}

static void serves_for_thirty_seconds(void **state)
{
	uint8_t nonce[REGISTER_NONCE_BYTES];

	(void)state;
	challenge_make(&book, "a", "t", 1000, nonce);
	assert_int_equal(challenge_check(&book, "a", "t", 1000, nonce), 0);
	assert_int_equal(challenge_check(&book, "a", "t", 31000, nonce), 0);
	assert_int_equal(challenge_check(&book, "a", "t", 31001, nonce), -ETIME);
	assert_int_equal(challenge_check(&book, "a", "t", 999, nonce), -ETIME);
}

static void is_bound_to_account_tunnel_and_run(void **state)
{
	static struct challenge_book other;
	uint8_t nonce[REGISTER_NONCE_BYTES];

	(void)state;
	challenge_make(&book, "acc", "tun", 0, nonce);
	assert_int_equal(challenge_check(&book, "acc", "tum", 0, nonce), -EBADMSG);
	assert_int_equal(challenge_check(&book, "acd", "tun", 0, nonce), -EBADMSG);
	assert_int_equal(challenge_check(&book, "ac", "ctun", 0, nonce), -EBADMSG);
	challenge_init(&other, CHALLENGE_LIFE_MS);
	assert_int_equal(challenge_check(&other, "acc", "tun", 0, nonce), -EBADMSG);
}

static void no_bit_can_be_changed(void **state)
{
	uint8_t nonce[REGISTER_NONCE_BYTES];

	(void)state;
	challenge_make(&book, "a", "t", 0, nonce);
	for (size_t bit = 0; bit < sizeof(nonce) * 8; bit++) {
		nonce[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(challenge_check(&book, "a", "t", 0, nonce), -EBADMSG);
		nonce[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void serves_once(void **state)
{
	uint8_t nonce[REGISTER_NONCE_BYTES], other[REGISTER_NONCE_BYTES];

	(void)state;
	challenge_make(&book, "a", "t", 0, nonce);
	challenge_make(&book, "a", "t", 0, other);
	assert_memory_not_equal(nonce, other, sizeof(nonce));
	assert_int_equal(challenge_spend(&book, 0, nonce), 0);
	assert_int_equal(challenge_spend(&book, 0, nonce), -EALREADY);
	assert_int_equal(challenge_spend(&book, 30000, nonce), -EALREADY);
	assert_int_equal(challenge_spend(&book, 30000, other), 0);
}

static void memory_is_bounded_and_freed_by_time(void **state)
{
	uint8_t nonce[REGISTER_NONCE_BYTES];

	(void)state;
	for (uint32_t i = 0; i < CHALLENGE_SPENT_MAX; i++) {
		challenge_make(&book, "a", "t", i, nonce);
		assert_int_equal(challenge_spend(&book, i, nonce), 0);
	}
	challenge_make(&book, "a", "t", 9000, nonce);
	assert_int_equal(challenge_spend(&book, 9000, nonce), -ENOSPC);
	assert_int_equal(challenge_spend(&book, 30001, nonce), 0); /* the first is forgotten */
	assert_int_equal(challenge_spend(&book, 30001, nonce), -EALREADY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(serves_for_thirty_seconds, setup),
		cmocka_unit_test_setup(is_bound_to_account_tunnel_and_run, setup),
		cmocka_unit_test_setup(no_bit_can_be_changed, setup),
		cmocka_unit_test_setup(serves_once, setup),
		cmocka_unit_test_setup(memory_is_bounded_and_freed_by_time, setup),
	};

	return cmocka_run_group_tests_name("register_challenge", tests, NULL, NULL);
}
