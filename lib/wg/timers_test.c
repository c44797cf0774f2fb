// SPDX-License-Identifier: BSD-3-Clause
// Timers: each rule of section 6 by itself, at the nanosecond where it begins to hold.
#include "lib/wg/timers.h"
#include "lib/wg/test_util.h"

#define S WG_NS_PER_S

static struct wg_timers t;
static struct wg_stamps s;
static struct wg_keypair_info kp;
static uint64_t next;

static int reset(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	memset(&s, 0, sizeof(s));
	memset(&kp, 0, sizeof(kp));
	next = 0;
	return 0;
}

static unsigned poll_at(uint64_t now_ns)
{
	return wg_timers_poll(&t, &s, &kp, now_ns, &next);
}

/* A session that stands since T0, with `initiator` ours. */
static void session(bool initiator)
{
	kp = (struct wg_keypair_info){.present = true, .initiator = initiator, .born_ns = T0_NS};
	wg_timers_session(&t, T0_NS);
	wg_timers_complete(&t, T0_NS);
}

static void test_nothing_to_do(void **state)
{
	(void)state;
	assert_int_equal(poll_at(T0_NS), 0);
	assert_true(next == UINT64_MAX);
	assert_int_equal(wg_timers_poll(&t, &s, &kp, T0_NS, NULL), 0);
}

/* 5 s plus jitter between initiations, for 90 s. */
static void test_retry_and_give_up(void **state)
{
	const uint64_t jitter = 100 * WG_NS_PER_MS;
	uint64_t now = T0_NS;
	unsigned sent = 0;

	(void)state;
	wg_timers_want(&t);
	while (now < T0_NS + 90 * S) {
		assert_int_equal(poll_at(now), WG_SEND_INITIATION);
		/* Reported until it was sent. */
		assert_int_equal(poll_at(now + 1), WG_SEND_INITIATION);
		wg_timers_initiation_sent(&t, now, jitter);
		sent++;
		assert_int_equal(t.attempts, sent);
		assert_int_equal(poll_at(now), 0);
		now += 5 * S + jitter;
		assert_int_equal(next, now < T0_NS + 90 * S ? now : T0_NS + 90 * S);
		assert_int_equal(poll_at(next - 1), 0);
		now = next;
	}
	assert_int_equal(sent, 18);
	assert_int_equal(poll_at(T0_NS + 90 * S), WG_GIVE_UP);
	assert_int_equal(poll_at(T0_NS + 90 * S), 0);
	assert_int_equal(poll_at(T0_NS + 900 * S), 0);
	/* A packet begins a new attempt at once: the last initiation is more than 5 s old. */
	wg_timers_want(&t);
	assert_int_equal(poll_at(T0_NS + 901 * S), WG_SEND_INITIATION);
}

static void test_jitter_is_cut(void **state)
{
	(void)state;
	wg_timers_initiation_sent(&t, T0_NS, UINT64_MAX);
	assert_int_equal(t.retry_ns, T0_NS + 5 * S + 333 * WG_NS_PER_MS);
}

/* Rekey-Timeout holds between attempts too, and packets during an attempt prolong it. */
static void test_wants(void **state)
{
	(void)state;
	wg_timers_want(&t);
	assert_int_equal(poll_at(T0_NS), WG_SEND_INITIATION);
	wg_timers_initiation_sent(&t, T0_NS, 0);
	wg_timers_complete(&t, T0_NS + S);
	wg_timers_want(&t);
	assert_int_equal(poll_at(T0_NS + 5 * S - 1), 0);
	assert_int_equal(next, T0_NS + 5 * S);
	assert_int_equal(poll_at(T0_NS + 5 * S), WG_SEND_INITIATION);
	wg_timers_initiation_sent(&t, T0_NS + 5 * S, 0);
	wg_timers_want(&t);
	assert_int_equal(poll_at(T0_NS + 80 * S), WG_SEND_INITIATION);
	wg_timers_initiation_sent(&t, T0_NS + 80 * S, 0);
	assert_int_equal(poll_at(T0_NS + 96 * S), WG_SEND_INITIATION);
	assert_int_equal(poll_at(T0_NS + 170 * S), WG_GIVE_UP);
	wg_timers_want(&t);
	wg_timers_stop(&t);
	assert_int_equal(poll_at(T0_NS + 171 * S), 0);
}

static void test_rekey_on_send(void **state)
{
	(void)state;
	session(true);
	assert_int_equal(poll_at(T0_NS + 120 * S - 1), 0);
	assert_int_equal(next, T0_NS + 120 * S);
	wg_stamps_tx(&s, true, T0_NS + 120 * S - 1);
	wg_stamps_rx(&s, false, T0_NS + 120 * S - 1);
	assert_int_equal(poll_at(T0_NS + 130 * S), 0);
	wg_stamps_tx(&s, false, T0_NS + 130 * S);
	assert_int_equal(poll_at(T0_NS + 130 * S), WG_SEND_INITIATION);
	wg_timers_initiation_sent(&t, T0_NS + 130 * S, 0);
	assert_int_equal(poll_at(T0_NS + 130 * S), 0);
	/* After giving up, only what is sent later asks again. */
	assert_int_equal(poll_at(T0_NS + 220 * S), WG_GIVE_UP);
	assert_int_equal(poll_at(T0_NS + 221 * S), 0);
}

static void test_responder_never_rekeys_by_time(void **state)
{
	(void)state;
	session(false);
	wg_stamps_tx(&s, true, T0_NS + 170 * S);
	wg_stamps_rx(&s, true, T0_NS + 170 * S);
	wg_stamps_tx(&s, true, T0_NS + 170 * S);
	assert_int_equal(poll_at(T0_NS + 171 * S), 0);
}

static void test_rekey_by_messages(void **state)
{
	(void)state;
	for (int initiator = 0; initiator < 2; initiator++) {
		reset(NULL);
		session(initiator);
		wg_stamps_tx(&s, false, T0_NS + S);
		kp.tx_counter = WG_REKEY_AFTER_MESSAGES - 1;
		assert_int_equal(poll_at(T0_NS + S), 0);
		kp.tx_counter = WG_REKEY_AFTER_MESSAGES;
		assert_int_equal(poll_at(T0_NS + S), WG_SEND_INITIATION);
	}
}

/* 165 s: the initiator rekeys on receiving, once for a keypair. */
static void test_rekey_on_receive(void **state)
{
	(void)state;
	session(true);
	wg_stamps_rx(&s, false, T0_NS + 165 * S - 1);
	assert_int_equal(poll_at(T0_NS + 165 * S), 0);
	wg_stamps_rx(&s, false, T0_NS + 165 * S);
	assert_int_equal(poll_at(T0_NS + 165 * S), WG_SEND_INITIATION);
	wg_timers_initiation_sent(&t, T0_NS + 165 * S, 0);
	wg_timers_stop(&t);
	assert_int_equal(poll_at(T0_NS + 175 * S), 0);
	reset(NULL);
	session(false);
	wg_stamps_rx(&s, false, T0_NS + 170 * S);
	assert_int_equal(poll_at(T0_NS + 170 * S), 0);
}

static void test_passive_keepalive(void **state)
{
	(void)state;
	session(true);
	/* A keepalive is not answered by a keepalive. */
	wg_stamps_rx(&s, false, T0_NS + S);
	assert_int_equal(poll_at(T0_NS + 60 * S), 0);
	wg_stamps_rx(&s, true, T0_NS + 60 * S);
	wg_stamps_rx(&s, true, T0_NS + 65 * S);
	assert_int_equal(poll_at(T0_NS + 70 * S - 1), 0);
	assert_int_equal(next, T0_NS + 70 * S);
	assert_int_equal(poll_at(T0_NS + 70 * S), WG_SEND_KEEPALIVE);
	/* Not reported again at once while the data path is getting to it, but after a second. */
	assert_int_equal(poll_at(T0_NS + 70 * S + 1), 0);
	assert_int_equal(poll_at(T0_NS + 71 * S), WG_SEND_KEEPALIVE);
	wg_stamps_tx(&s, false, T0_NS + 71 * S);
	assert_int_equal(poll_at(T0_NS + 100 * S), 0);
	/* Sending anything in time makes it needless. */
	wg_stamps_rx(&s, true, T0_NS + 100 * S);
	wg_stamps_tx(&s, true, T0_NS + 109 * S);
	assert_int_equal(poll_at(T0_NS + 110 * S), 0);
}

/* Without a session to send it on, the keepalive asks for one, once. */
static void test_keepalive_without_session(void **state)
{
	(void)state;
	session(false);
	wg_stamps_rx(&s, true, T0_NS + 175 * S);
	assert_int_equal(poll_at(T0_NS + 185 * S), WG_SEND_INITIATION);
	wg_timers_initiation_sent(&t, T0_NS + 185 * S, 0);
	assert_int_equal(poll_at(T0_NS + 275 * S), WG_GIVE_UP);
	assert_int_equal(poll_at(T0_NS + 300 * S), 0);
}

static void test_persistent_keepalive(void **state)
{
	(void)state;
	t.persistent_keepalive_ns = 25 * S;
	/* At once when there never was anything: that is how a session begins. */
	assert_int_equal(poll_at(T0_NS), WG_SEND_INITIATION);
	wg_timers_initiation_sent(&t, T0_NS, 0);
	session(true);
	assert_int_equal(poll_at(T0_NS + 25 * S - 1), 0);
	assert_int_equal(next, T0_NS + 25 * S);
	assert_int_equal(poll_at(T0_NS + 25 * S), WG_SEND_KEEPALIVE);
	wg_stamps_tx(&s, false, T0_NS + 25 * S);
	wg_stamps_rx(&s, false, T0_NS + 40 * S);
	assert_int_equal(poll_at(T0_NS + 65 * S - 1), 0);
	assert_int_equal(poll_at(T0_NS + 65 * S), WG_SEND_KEEPALIVE);
	/* The peer is gone for ever: attempts begin again after each that failed. */
	kp.present = false;
	assert_int_equal(poll_at(T0_NS + 100 * S), WG_SEND_INITIATION);
	wg_timers_initiation_sent(&t, T0_NS + 100 * S, 0);
	assert_int_equal(poll_at(T0_NS + 190 * S), WG_GIVE_UP);
	assert_int_equal(poll_at(T0_NS + 191 * S), WG_SEND_INITIATION);
}

/* 15 s (and the last jitter) after the first unanswered content. */
static void test_no_answer(void **state)
{
	(void)state;
	session(false);
	wg_stamps_tx(&s, false, T0_NS + S);
	assert_int_equal(poll_at(T0_NS + 50 * S), 0);
	wg_stamps_tx(&s, true, T0_NS + 50 * S);
	wg_stamps_tx(&s, true, T0_NS + 60 * S);
	assert_int_equal(poll_at(T0_NS + 65 * S - 1), 0);
	assert_int_equal(next, T0_NS + 65 * S);
	assert_int_equal(poll_at(T0_NS + 65 * S), WG_SEND_INITIATION);
	wg_timers_initiation_sent(&t, T0_NS + 65 * S, 7);
	/* Given up; more content on the old session starts the 15 s again. */
	assert_int_equal(poll_at(T0_NS + 155 * S), WG_GIVE_UP);
	assert_int_equal(poll_at(T0_NS + 155 * S), 0);
	wg_stamps_tx(&s, true, T0_NS + 160 * S);
	assert_int_equal(poll_at(T0_NS + 160 * S), 0);
	assert_int_equal(poll_at(T0_NS + 175 * S + 6), 0);
	assert_int_equal(poll_at(T0_NS + 175 * S + 7), WG_SEND_INITIATION);
}

static void test_answer_comes(void **state)
{
	(void)state;
	session(true);
	wg_stamps_tx(&s, true, T0_NS + 50 * S);
	wg_stamps_rx(&s, false, T0_NS + 64 * S);
	assert_int_equal(poll_at(T0_NS + 66 * S), 0);
	wg_stamps_tx(&s, true, T0_NS + 66 * S);
	assert_int_equal(poll_at(T0_NS + 81 * S - 1), 0);
	assert_int_equal(poll_at(T0_NS + 81 * S), WG_SEND_INITIATION);
}

/* A handshake counts as an answer, with and without the data path's help. */
static void test_handshake_is_an_answer(void **state)
{
	(void)state;
	for (int helped = 0; helped < 2; helped++) {
		reset(NULL);
		session(true);
		wg_stamps_tx(&s, true, T0_NS + 50 * S);
		wg_timers_complete(&t, T0_NS + 60 * S);
		if (helped)
			wg_stamps_session(&s);
		assert_int_equal(poll_at(T0_NS + 70 * S), 0);
		wg_stamps_tx(&s, true, T0_NS + 71 * S);
		assert_int_equal(poll_at(T0_NS + 71 * S), 0);
		assert_int_equal(poll_at(T0_NS + 86 * S - 1), 0);
		assert_int_equal(poll_at(T0_NS + 86 * S), WG_SEND_INITIATION);
	}
	reset(NULL);
	session(true);
	wg_stamps_tx(&s, true, T0_NS + 50 * S);
	wg_timers_initiation_received(&t, T0_NS + 64 * S);
	assert_int_equal(poll_at(T0_NS + 66 * S), 0);
}

static void test_expiry(void **state)
{
	(void)state;
	session(false);
	assert_int_equal(poll_at(T0_NS + 540 * S - 1), 0);
	assert_int_equal(next, T0_NS + 540 * S);
	assert_int_equal(poll_at(T0_NS + 540 * S), WG_EXPIRE_KEYS);
	assert_int_equal(poll_at(T0_NS + 541 * S), 0);
}

static void test_usable(void **state)
{
	(void)state;
	session(true);
	assert_true(wg_keypair_usable(&kp, T0_NS + 180 * S - 1));
	assert_false(wg_keypair_usable(&kp, T0_NS + 180 * S));
	kp.tx_counter = WG_REJECT_AFTER_MESSAGES - 1;
	assert_true(wg_keypair_usable(&kp, T0_NS));
	kp.tx_counter = WG_REJECT_AFTER_MESSAGES;
	assert_false(wg_keypair_usable(&kp, T0_NS));
	kp.tx_counter = 0;
	kp.present = false;
	assert_false(wg_keypair_usable(&kp, T0_NS));
}

#define TEST(f) cmocka_unit_test_setup(f, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_to_do),
		TEST(test_retry_and_give_up),
		TEST(test_jitter_is_cut),
		TEST(test_wants),
		TEST(test_rekey_on_send),
		TEST(test_responder_never_rekeys_by_time),
		TEST(test_rekey_by_messages),
		TEST(test_rekey_on_receive),
		TEST(test_passive_keepalive),
		TEST(test_keepalive_without_session),
		TEST(test_persistent_keepalive),
		TEST(test_no_answer),
		TEST(test_answer_comes),
		TEST(test_handshake_is_an_answer),
		TEST(test_expiry),
		TEST(test_usable),
	};

	return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
