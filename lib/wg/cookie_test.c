// SPDX-License-Identifier: BSD-3-Clause
// MAC1, MAC2 and cookies: verdicts before and after a cookie, every flip, other sources, lifetimes, forged replies.
#include "lib/wg/cookie.h"
#include "lib/wg/test_util.h"

static const uint8_t source[6] = {192, 0, 2, 7, 0xca, 0x6c};

struct fixture {
	struct test_sides sides;
	struct wg_random random;
	struct cookie_checker checker;
	struct cookie_jar jar;
	uint8_t message[WG_INITIATION_BYTES];
	size_t len;
};

/* A message of the responder's MAC1 key; content does not matter here. */
static void fixture_init(struct fixture *f, size_t len)
{
	memset(f, 0, sizeof(*f));
	test_sides_init(&f->sides, len);
	f->random = (struct wg_random){test_random_fill, &f->sides.seed};
	f->len = len;
	test_random_fill(&f->sides.seed, f->message, len);
	wg_put_le32(f->message, len == WG_INITIATION_BYTES ? WG_INITIATION : WG_RESPONSE);
	wg_put_le32(f->message + 4, 0x01020304);
	cookie_checker_rotate(&f->checker, &f->random, T0_NS);
}

static void sign(struct fixture *f, uint64_t now_ns)
{
	cookie_sign(&f->jar, &f->sides.to_responder, f->message, f->len, now_ns);
}

static enum cookie_verdict check(struct fixture *f, uint64_t now_ns)
{
	return cookie_check(&f->checker, &f->sides.responder, f->message, f->len, source,
			    sizeof(source), now_ns);
}

static void make_reply(struct fixture *f, struct wg_cookie_reply *reply)
{
	uint8_t nonce[WG_COOKIE_NONCE_BYTES];

	test_random_fill(&f->sides.seed, nonce, sizeof(nonce));
	cookie_create_reply(&f->checker, &f->sides.responder, f->message, f->len, source,
			    sizeof(source), nonce, reply);
}

/* Signs, gets a cookie, signs again: MAC2 is right from here on. */
static void get_cookie(struct fixture *f, uint64_t now_ns)
{
	struct wg_cookie_reply reply;

	sign(f, now_ns);
	make_reply(f, &reply);
	assert_true(cookie_consume_reply(&f->jar, &f->sides.to_responder, &reply, now_ns));
	sign(f, now_ns);
}

static void verdicts(size_t len)
{
	struct wg_cookie_reply reply;
	struct fixture f;

	fixture_init(&f, len);
	assert_int_equal(check(&f, T0_NS), COOKIE_BAD_MAC1);
	sign(&f, T0_NS);
	assert_int_equal(check(&f, T0_NS), COOKIE_MAC1_ONLY);
	assert_true(sodium_is_zero(f.message + len - 16, 16));
	assert_true(wg_mac1_check(&f.sides.responder, f.message, len));
	assert_false(wg_mac1_check(&f.sides.initiator, f.message, len));

	make_reply(&f, &reply);
	assert_int_equal(wg_message_type(&reply, sizeof(reply)), WG_COOKIE_REPLY);
	assert_int_equal(wg_get_le32(&reply.receiver_le), 0x01020304);
	assert_true(cookie_consume_reply(&f.jar, &f.sides.to_responder, &reply, T0_NS));
	sign(&f, T0_NS);
	assert_int_equal(check(&f, T0_NS), COOKIE_MAC2_OK);

	/* Each byte before MAC1 and MAC1's own: nothing holds. Each of MAC2: only MAC1. */
	for (size_t at = 0; at < len; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			f.message[at] ^= (uint8_t)(1U << bit);
			assert_int_equal(check(&f, T0_NS), at < len - 16 ? COOKIE_BAD_MAC1 :
									     COOKIE_MAC1_ONLY);
			f.message[at] ^= (uint8_t)(1U << bit);
		}
}

static void test_verdicts(void **state)
{
	(void)state;
	verdicts(WG_INITIATION_BYTES);
	verdicts(WG_RESPONSE_BYTES);
}

static void test_wrong_lengths(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, WG_INITIATION_BYTES);
	sign(&f, T0_NS);
	for (size_t len = 0; len < WG_INITIATION_BYTES; len++) {
		assert_false(wg_mac1_check(&f.sides.responder, f.message, len));
		assert_int_equal(cookie_check(&f.checker, &f.sides.responder, f.message, len, source,
					      sizeof(source), T0_NS),
				 COOKIE_BAD_MAC1);
	}
}

/* A cookie is bound to address and port. */
static void test_other_source(void **state)
{
	uint8_t other[sizeof(source)];
	struct fixture f;

	(void)state;
	fixture_init(&f, WG_INITIATION_BYTES);
	get_cookie(&f, T0_NS);
	assert_int_equal(check(&f, T0_NS), COOKIE_MAC2_OK);
	for (size_t at = 0; at < sizeof(source); at++) {
		memcpy(other, source, sizeof(source));
		other[at] ^= 1;
		assert_int_equal(cookie_check(&f.checker, &f.sides.responder, f.message, f.len, other,
					      sizeof(other), T0_NS),
				 COOKIE_MAC1_ONLY);
	}
	assert_int_equal(cookie_check(&f.checker, &f.sides.responder, f.message, f.len, source,
				      sizeof(source) - 1, T0_NS),
			 COOKIE_MAC1_ONLY);
}

/* Secret and cookie both live 120 s. */
static void test_lifetimes(void **state)
{
	const uint64_t life = WG_COOKIE_LIFETIME_NS;
	struct cookie_checker before;
	struct fixture f;

	(void)state;
	fixture_init(&f, WG_INITIATION_BYTES);
	before = f.checker;
	cookie_checker_rotate(&f.checker, &f.random, T0_NS + life - 1);
	assert_memory_equal(&before, &f.checker, sizeof(before));
	get_cookie(&f, T0_NS + life - 1);
	assert_int_equal(check(&f, T0_NS + life - 1), COOKIE_MAC2_OK);
	/* Stale secret, not rotated yet: proves nothing. */
	assert_int_equal(check(&f, T0_NS + life), COOKIE_MAC1_ONLY);
	cookie_checker_rotate(&f.checker, &f.random, T0_NS + life);
	assert_memory_not_equal(before.secret, f.checker.secret, 32);
	assert_int_equal(check(&f, T0_NS + life), COOKIE_MAC1_ONLY);

	get_cookie(&f, T0_NS + life);
	sign(&f, T0_NS + 2 * life - 1);
	assert_int_equal(check(&f, T0_NS + 2 * life - 1), COOKIE_MAC2_OK);
	sign(&f, T0_NS + 2 * life);
	assert_true(sodium_is_zero(f.message + f.len - 16, 16));
	cookie_checker_wipe(&f.checker);
	assert_int_equal(check(&f, T0_NS + 2 * life), COOKIE_MAC1_ONLY);
	cookie_jar_wipe(&f.jar);
	assert_true(sodium_is_zero((const uint8_t *)&f.jar, sizeof(f.jar)));
}

static void test_replies(void **state)
{
	struct wg_cookie_reply reply, bad, old;
	struct cookie_jar before;
	struct fixture f;

	(void)state;
	fixture_init(&f, WG_INITIATION_BYTES);
	sign(&f, T0_NS);
	make_reply(&f, &reply);
	/* Every bit of nonce and sealed cookie (receiver and type are the caller's to look up). */
	before = f.jar;
	for (size_t at = offsetof(struct wg_cookie_reply, nonce); at < sizeof(reply); at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			bad = reply;
			((uint8_t *)&bad)[at] ^= (uint8_t)(1U << bit);
			assert_false(cookie_consume_reply(&f.jar, &f.sides.to_responder, &bad, T0_NS));
			assert_memory_equal(&before, &f.jar, sizeof(before));
		}
	/* A reply to an earlier message does not fit the last one's MAC1. */
	old = reply;
	f.message[20] ^= 1;
	sign(&f, T0_NS);
	assert_false(cookie_consume_reply(&f.jar, &f.sides.to_responder, &old, T0_NS));
	make_reply(&f, &reply);
	/* Not from that peer. */
	assert_false(cookie_consume_reply(&f.jar, &f.sides.to_initiator, &reply, T0_NS));
	assert_true(cookie_consume_reply(&f.jar, &f.sides.to_responder, &reply, T0_NS));
	/* Once for each message sent. */
	assert_false(cookie_consume_reply(&f.jar, &f.sides.to_responder, &reply, T0_NS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),     cmocka_unit_test(test_wrong_lengths),
		cmocka_unit_test(test_other_source), cmocka_unit_test(test_lifetimes),
		cmocka_unit_test(test_replies),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("cookie", tests, NULL, NULL);
}
