// SPDX-License-Identifier: BSD-3-Clause
// Noise: the published vector of the pattern, both roles against each other, and everything that must be refused.
#include "lib/wg/crypto.h"
#include "lib/wg/noise.h"
#include "lib/wg/noise_ik.h"
#include "lib/wg/tai64n.h"
#include "lib/wg/test_util.h"

/* Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s of the cacophony test vectors. */
static const char *const vector_prologue = "4a6f686e2047616c74";
static const char *const vector_psk =
	"54686973206973206d7920417573747269616e20706572737065637469766521";
static const char *const vector_keys[] = {
	"e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1", /* initiator, static */
	"893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a", /* ephemeral */
	"4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893", /* responder, static */
	"bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b", /* ephemeral */
};
static const char *const vector_hash =
	"f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5";
static const struct {
	const char *payload, *ciphertext;
} vector_messages[] = {
	{"4c756477696720766f6e204d69736573",
	 "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad5752"
	 "7207feb56253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab5000980c84831215f2441"
	 "eba616548e832985464cf17e51ee93109008399a21f7e13f"},
	{"4d757272617920526f746862617264",
	 "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f007572"
	 "dab0322217755c0632f365717edbf34d33e87a"},
	{"462e20412e20486179656b", "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7"},
	{"4361726c204d656e676572", "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef"},
	{"4a65616e2d426170746973746520536179",
	 "6ab1467c0448cc78394494abaaf23afce0e234315d6e2624dcbfa8a21c1c4d073d"},
	{"457567656e2042f6686d20766f6e2042617765726b",
	 "dfc346c0d2296ae6cf1acf6f12b8456a1dba228cf8d8b774aacf1c47fc53aa80ebc7a4c292"},
};

static void test_published_vector(void **state)
{
	uint8_t prologue[16], psk[32], keys[4][32], public[4][32], ss[32], hash[32], ck[32];
	uint8_t payload[64], expected[256], sent[256], got[64], remote[32], transport[2][32];
	size_t prologue_len = unhex(prologue, sizeof(prologue), vector_prologue), n, len;
	struct noise_handshake a = {0}, b = {0};

	(void)state;
	unhex(psk, sizeof(psk), vector_psk);
	unhex(hash, sizeof(hash), vector_hash);
	for (int i = 0; i < 4; i++) {
		unhex(keys[i], 32, vector_keys[i]);
		wg_public_key(public[i], keys[i]);
	}
	noise_ik_initial_key(a.chaining_key);
	noise_ik_initial_hash(a.hash, prologue, prologue_len, public[2]);
	b = a;
	assert_true(wg_dh(ss, keys[0], public[2]));

	n = unhex(payload, sizeof(payload), vector_messages[0].payload);
	len = unhex(expected, sizeof(expected), vector_messages[0].ciphertext);
	assert_int_equal(len, 32 + 48 + n + 16);
	assert_true(noise_ik_write1(&a, public[2], public[0], ss, keys[1], sent, sent + 32,
				    sent + 80, payload, n));
	assert_memory_equal(sent, expected, len);
	assert_int_equal(noise_ik_read1_static(&b, keys[2], sent, sent + 32, remote), NOISE_OK);
	assert_memory_equal(remote, public[0], 32);
	assert_true(noise_ik_read1_payload(&b, ss, sent + 80, got, n));
	assert_memory_equal(got, payload, n);

	n = unhex(payload, sizeof(payload), vector_messages[1].payload);
	len = unhex(expected, sizeof(expected), vector_messages[1].ciphertext);
	assert_int_equal(len, 32 + n + 16);
	assert_true(noise_ik_write2(&b, public[0], psk, keys[3], sent, sent + 32, payload, n));
	assert_memory_equal(sent, expected, len);
	assert_int_equal(noise_ik_read2(&a, keys[0], psk, sent, sent + 32, got, n), NOISE_OK);
	assert_memory_equal(got, payload, n);
	assert_memory_equal(a.hash, hash, 32);
	assert_memory_equal(b.hash, hash, 32);
	assert_memory_equal(a.chaining_key, b.chaining_key, 32);

	memcpy(ck, a.chaining_key, 32);
	wg_kdf(transport[0], transport[1], NULL, ck, NULL, 0);
	for (unsigned i = 2; i < 6; i++) {
		n = unhex(payload, sizeof(payload), vector_messages[i].payload);
		len = unhex(expected, sizeof(expected), vector_messages[i].ciphertext);
		wg_aead_seal(sent, transport[i % 2], (i - 2) / 2, payload, n, NULL, 0);
		assert_int_equal(len, n + 16);
		assert_memory_equal(sent, expected, len);
	}
}

static const uint8_t ephemeral_i[32] = {1, 2, 3}, ephemeral_r[32] = {4, 5, 6};

static void stamp_at(uint8_t out[WG_TAI64N_BYTES], uint64_t steps)
{
	tai64n_encode(out, T0_UNIX_NS + steps * WG_NS_PER_S);
}

/* Runs message 1 up to the responder's accepted handshake. */
static enum noise_result initiate(struct test_sides *s, uint64_t steps, uint64_t now_ns,
				  struct noise_handshake *i, struct noise_handshake *r)
{
	uint8_t stamp[WG_TAI64N_BYTES];
	struct noise_initiation pending;
	struct wg_initiation message;

	stamp_at(stamp, steps);
	assert_int_equal(noise_create_initiation(i, &s->initiator, &s->to_responder, 0x11, ephemeral_i,
						 stamp, &message),
			 NOISE_OK);
	assert_int_equal(wg_message_type(&message, sizeof(message)), WG_INITIATION);
	assert_int_equal(noise_consume_initiation(&pending, &s->responder, &message), NOISE_OK);
	assert_memory_equal(pending.remote_static, s->initiator.public_key, 32);
	return noise_finish_initiation(&pending, &s->to_initiator, now_ns, r);
}

static void test_both_roles(void **state)
{
	struct noise_handshake i, r = {0};
	struct noise_keys ik, rk;
	struct wg_response response;
	struct test_sides s;

	(void)state;
	test_sides_init(&s, 1);
	assert_int_equal(initiate(&s, 1, T0_NS, &i, &r), NOISE_OK);
	assert_memory_equal(i.hash, r.hash, 32);
	assert_memory_equal(i.chaining_key, r.chaining_key, 32);
	assert_int_equal(r.remote_index, 0x11);

	assert_int_equal(noise_create_response(&r, &s.to_initiator, 0x22, ephemeral_r, &response),
			 NOISE_OK);
	assert_int_equal(wg_message_type(&response, sizeof(response)), WG_RESPONSE);
	assert_int_equal(wg_get_le32(&response.receiver_le), 0x11);
	assert_int_equal(noise_consume_response(&i, &s.initiator, &s.to_responder, &response),
			 NOISE_OK);
	assert_memory_equal(i.hash, r.hash, 32);
	assert_int_equal(i.remote_index, 0x22);

	assert_int_equal(noise_derive_keys(&i, &ik), NOISE_OK);
	assert_int_equal(noise_derive_keys(&r, &rk), NOISE_OK);
	assert_memory_equal(ik.send, rk.receive, 32);
	assert_memory_equal(ik.receive, rk.send, 32);
	assert_memory_not_equal(ik.send, ik.receive, 32);
	/* Everything of the handshake is gone, and it cannot give keys twice. */
	assert_true(sodium_is_zero((const uint8_t *)&i, sizeof(i)));
	assert_int_equal(noise_derive_keys(&r, &rk), NOISE_BAD_STATE);
}

static void test_wrong_states(void **state)
{
	struct noise_handshake i, r = {0}, none = {0};
	struct noise_initiation pending = {0};
	struct wg_response response;
	struct noise_keys keys;
	struct test_sides s;

	(void)state;
	test_sides_init(&s, 2);
	assert_int_equal(noise_create_response(&none, &s.to_initiator, 1, ephemeral_r, &response),
			 NOISE_BAD_STATE);
	assert_int_equal(noise_finish_initiation(&pending, &s.to_initiator, T0_NS, &r),
			 NOISE_BAD_STATE);
	assert_int_equal(initiate(&s, 1, T0_NS, &i, &r), NOISE_OK);
	assert_int_equal(noise_derive_keys(&i, &keys), NOISE_BAD_STATE);
	assert_int_equal(noise_derive_keys(&r, &keys), NOISE_BAD_STATE);
	assert_int_equal(noise_create_response(&r, &s.to_initiator, 7, ephemeral_r, &response),
			 NOISE_OK);
	/* Receiver index of another handshake, then the right one, then the same once more. */
	wg_put_le32(&response.receiver_le, 0x12);
	assert_int_equal(noise_consume_response(&i, &s.initiator, &s.to_responder, &response),
			 NOISE_BAD_STATE);
	wg_put_le32(&response.receiver_le, 0x11);
	assert_int_equal(noise_consume_response(&i, &s.initiator, &s.to_responder, &response),
			 NOISE_OK);
	assert_int_equal(noise_consume_response(&i, &s.initiator, &s.to_responder, &response),
			 NOISE_BAD_STATE);
}

/* A forged response leaves the handshake able to take the true one. */
static void test_wrong_psk_and_peer(void **state)
{
	struct noise_handshake i, r = {0}, before;
	struct wg_response response;
	struct test_sides s, other;
	struct noise_initiation pending;
	struct wg_initiation message;
	uint8_t stamp[WG_TAI64N_BYTES];

	(void)state;
	test_sides_init(&s, 3);
	test_sides_init(&other, 4);
	assert_int_equal(initiate(&s, 1, T0_NS, &i, &r), NOISE_OK);
	s.to_initiator.psk[31] ^= 1;
	assert_int_equal(noise_create_response(&r, &s.to_initiator, 7, ephemeral_r, &response),
			 NOISE_OK);
	before = i;
	assert_int_equal(noise_consume_response(&i, &s.initiator, &s.to_responder, &response),
			 NOISE_DECRYPT);
	assert_memory_equal(&i, &before, sizeof(i));

	/* Meant for another responder; and a peer table that answers with another peer. */
	stamp_at(stamp, 9);
	assert_int_equal(noise_create_initiation(&i, &s.initiator, &s.to_responder, 1, ephemeral_i,
						 stamp, &message),
			 NOISE_OK);
	assert_int_equal(noise_consume_initiation(&pending, &other.responder, &message),
			 NOISE_DECRYPT);
	assert_true(sodium_is_zero((const uint8_t *)&pending, sizeof(pending)));
	assert_int_equal(noise_consume_initiation(&pending, &s.responder, &message), NOISE_OK);
	assert_int_equal(noise_finish_initiation(&pending, &other.to_initiator, T0_NS * 2, &r),
			 NOISE_WRONG_PEER);
	assert_true(sodium_is_zero((const uint8_t *)&pending, sizeof(pending)));
	/* Somebody who knows both public keys but no private one cannot make the second phase pass. */
	assert_int_equal(noise_consume_initiation(&pending, &s.responder, &message), NOISE_OK);
	s.to_initiator.static_static[1][0] ^= 1;
	assert_int_equal(noise_finish_initiation(&pending, &s.to_initiator, T0_NS * 2, &r),
			 NOISE_DECRYPT);
}

static void test_stamps_and_rate(void **state)
{
	static const struct {
		uint64_t stamp_s, at_ms;
		enum noise_result expected;
	} cases[] = {
		/* 0 */ {10, 0, NOISE_OK},
		/* 1 */ {10, 1000, NOISE_REPLAY},
		/* 2 */ {9, 1000, NOISE_REPLAY},
		/* 3 */ {11, 19, NOISE_RATE},
		/* 4 */ {11, 20, NOISE_OK},
		/* 5 */ {12, 39, NOISE_RATE},
		/* 6 */ {11, 60, NOISE_REPLAY},
		/* 7 */ {12, 40, NOISE_OK},
		/* 8 */ {1000000, 60, NOISE_OK},
		/* 9 */ {13, 100, NOISE_REPLAY},
	};
	struct noise_handshake i, r = {0};
	struct test_sides s;

	(void)state;
	test_sides_init(&s, 5);
	for (unsigned n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		struct noise_remote before = s.to_initiator;
		enum noise_result got = initiate(&s, cases[n].stamp_s,
						 T0_NS + cases[n].at_ms * WG_NS_PER_MS, &i, &r);

		if (got != cases[n].expected)
			fail_msg("case %u: %s", n, noise_result_text(got));
		if (got != NOISE_OK)
			assert_memory_equal(&before, &s.to_initiator, sizeof(before));
	}
}

/* Each byte of message 1 that authentication covers, flipped one by one (MACs are the cookie test's). */
static void test_initiation_flips(void **state)
{
	struct noise_handshake i, r = {0};
	struct noise_initiation pending;
	struct wg_initiation message, bad;
	uint8_t stamp[WG_TAI64N_BYTES];
	struct test_sides s;

	(void)state;
	test_sides_init(&s, 6);
	stamp_at(stamp, 1);
	assert_int_equal(noise_create_initiation(&i, &s.initiator, &s.to_responder, 5, ephemeral_i,
						 stamp, &message),
			 NOISE_OK);
	for (size_t at = offsetof(struct wg_initiation, ephemeral);
	     at < offsetof(struct wg_initiation, macs); at++) {
		enum noise_result result;

		bad = message;
		((uint8_t *)&bad)[at] ^= (uint8_t)(1U << (at % 8));
		result = noise_consume_initiation(&pending, &s.responder, &bad);
		if (result == NOISE_OK)
			result = noise_finish_initiation(&pending, &s.to_initiator, T0_NS, &r);
		assert_int_equal(result, NOISE_DECRYPT);
	}
	assert_true(sodium_is_zero(s.to_initiator.tai64n_rx, WG_TAI64N_BYTES));
	assert_int_equal(r.state, NOISE_NONE);
}

static void test_response_flips(void **state)
{
	struct noise_handshake i, r = {0};
	struct wg_response response, bad;
	struct test_sides s;

	(void)state;
	test_sides_init(&s, 7);
	assert_int_equal(initiate(&s, 1, T0_NS, &i, &r), NOISE_OK);
	assert_int_equal(noise_create_response(&r, &s.to_initiator, 7, ephemeral_r, &response),
			 NOISE_OK);
	for (size_t at = offsetof(struct wg_response, receiver_le);
	     at < offsetof(struct wg_response, macs); at++) {
		enum noise_result got;

		bad = response;
		((uint8_t *)&bad)[at] ^= (uint8_t)(1U << (at % 8));
		got = noise_consume_response(&i, &s.initiator, &s.to_responder, &bad);
		assert_int_equal(got, at < offsetof(struct wg_response, ephemeral) ?
					      NOISE_BAD_STATE :
					      NOISE_DECRYPT);
		assert_int_equal(i.state, NOISE_INITIATION_CREATED);
	}
	assert_int_equal(noise_consume_response(&i, &s.initiator, &s.to_responder, &response),
			 NOISE_OK);
}

/* The seven encodings of points of low order that X25519 accepts as input. */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void test_low_order(void **state)
{
	uint8_t point[32], stamp[WG_TAI64N_BYTES];
	struct noise_handshake hs, r = {0};
	struct wg_response response;
	struct test_sides s;

	(void)state;
	test_sides_init(&s, 8);
	stamp_at(stamp, 1);
	assert_false(noise_key_low_order(s.initiator.public_key));
	for (size_t n = 0; n < sizeof(low_order) / sizeof(low_order[0]); n++) {
		struct noise_initiation pending;
		struct wg_initiation message;
		struct noise_remote remote;

		unhex(point, sizeof(point), low_order[n]);
		assert_true(noise_key_low_order(point));
		/* As a configured peer: no binding, no initiation, and no answer to one. */
		noise_remote_init(&remote, point, NULL);
		assert_int_equal(noise_remote_bind(&remote, &s.initiator), NOISE_LOW_ORDER);
		assert_int_equal(noise_create_initiation(&hs, &s.initiator, &remote, 1, ephemeral_i,
							 stamp, &message),
				 NOISE_LOW_ORDER);
		assert_true(sodium_is_zero((const uint8_t *)&message, sizeof(message)));
		remote.bound[0] = true;
		assert_int_equal(noise_create_initiation(&hs, &s.initiator, &remote, 1, ephemeral_i,
							 stamp, &message),
				 NOISE_LOW_ORDER);
		assert_true(sodium_is_zero((const uint8_t *)&hs, sizeof(hs)));
		/* As an ephemeral key in message 1 and 2, and as the static key that a response is made to. */
		assert_int_equal(noise_create_initiation(&hs, &s.initiator, &s.to_responder, 1,
							 ephemeral_i, stamp, &message),
				 NOISE_OK);
		memcpy(message.ephemeral, point, 32);
		assert_int_equal(noise_consume_initiation(&pending, &s.responder, &message),
				 NOISE_LOW_ORDER);
		memset(&response, 0, sizeof(response));
		wg_put_le32(&response.receiver_le, 1);
		memcpy(response.ephemeral, point, 32);
		assert_int_equal(noise_consume_response(&hs, &s.initiator, &s.to_responder, &response),
				 NOISE_LOW_ORDER);
		assert_int_equal(initiate(&s, 100 + n, T0_NS * (n + 1), &hs, &r), NOISE_OK);
		assert_int_equal(noise_create_response(&r, &remote, 7, ephemeral_r, &response),
				 NOISE_LOW_ORDER);
	}
}

/* Two identities: only the one the message is for has the right MAC1 key and secret. */
static void test_two_identities(void **state)
{
	uint8_t key[32] = {9}, stamp[WG_TAI64N_BYTES];
	struct noise_handshake i, r = {0};
	struct noise_initiation pending;
	struct noise_identity old;
	struct noise_remote to_old;
	struct wg_initiation message;
	struct test_sides s;

	(void)state;
	test_sides_init(&s, 10);
	noise_identity_init(&old, key, 0);
	noise_remote_init(&to_old, old.public_key, s.to_initiator.psk);
	assert_int_equal(noise_remote_bind(&to_old, &s.initiator), NOISE_OK);
	stamp_at(stamp, 1);
	assert_int_equal(noise_create_initiation(&i, &s.initiator, &to_old, 1, ephemeral_i, stamp,
						 &message),
			 NOISE_OK);
	assert_int_equal(noise_consume_initiation(&pending, &old, &message), NOISE_OK);
	/* Not bound to the old identity yet: refused, not guessed. */
	assert_int_equal(noise_finish_initiation(&pending, &s.to_initiator, T0_NS, &r),
			 NOISE_LOW_ORDER);
	assert_int_equal(noise_remote_bind(&s.to_initiator, &old), NOISE_OK);
	assert_int_equal(noise_consume_initiation(&pending, &old, &message), NOISE_OK);
	assert_int_equal(noise_finish_initiation(&pending, &s.to_initiator, T0_NS, &r), NOISE_OK);
	assert_int_equal(r.identity_slot, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_vector), cmocka_unit_test(test_both_roles),
		cmocka_unit_test(test_wrong_states),	 cmocka_unit_test(test_wrong_psk_and_peer),
		cmocka_unit_test(test_stamps_and_rate),	 cmocka_unit_test(test_initiation_flips),
		cmocka_unit_test(test_response_flips),	 cmocka_unit_test(test_low_order),
		cmocka_unit_test(test_two_identities),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("noise", tests, NULL, NULL);
}
