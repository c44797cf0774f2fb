// SPDX-License-Identifier: BSD-3-Clause
// Tests of the registration proofs: golden values, and each field is bound.
#include "lib/register_proof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Computed by an independent program (Python's hmac) from docs/protocols.md, 2. */
static const uint8_t golden_register[REGISTER_PROOF_BYTES] = {
	0x30, 0xb7, 0xac, 0x91, 0x8a, 0x42, 0x61, 0x5f,
	0x6e, 0xc1, 0xd0, 0x96, 0xa0, 0x0a, 0x52, 0x86,
	0x40, 0x14, 0x78, 0x5b, 0xd9, 0x7b, 0xf0, 0x4e,
	0x32, 0x51, 0x2b, 0x22, 0x26, 0x6c, 0x36, 0xd7,
};
static const uint8_t golden_goodbye[REGISTER_PROOF_BYTES] = {
	0x3f, 0xf0, 0x9e, 0xf8, 0x1d, 0x7e, 0x22, 0xeb,
	0xb3, 0xcf, 0xfe, 0x9a, 0x11, 0x77, 0xb0, 0x00,
	0x01, 0xbc, 0xaa, 0x09, 0xd2, 0x94, 0x1a, 0x2d,
	0x44, 0x9d, 0x04, 0x14, 0xb6, 0x77, 0xcf, 0xa3,
};

struct sample {
	uint8_t secret[32];
	uint8_t nonce[REGISTER_NONCE_BYTES];
	uint8_t cert[REGISTER_CERT_HASH_BYTES];
	uint8_t keys[3][REGISTER_KEY_BYTES];
	struct register_proof_fields f;
};

static void sample_make(struct sample *s)
{
	memset(s->secret, 0x11, sizeof(s->secret));
	memset(s->nonce, 0x22, sizeof(s->nonce));
	memset(s->cert, 0x33, sizeof(s->cert));
	memset(s->keys[0], 0x44, sizeof(s->keys[0]));
	memset(s->keys[1], 0x55, sizeof(s->keys[1]));
	memset(s->keys[2], 0x66, sizeof(s->keys[2]));
	s->f = (struct register_proof_fields){
		.nonce = s->nonce,
		.account_tag = "0123456789abcdef0123456789abcdef",
		.tunnel_id = "8e343b13-a087-48ea-825f-9783931ff2a5",
		.connector_id = "11111111-2222-4333-8444-555555555555",
		.session_keys = (const uint8_t(*)[REGISTER_KEY_BYTES])s->keys,
		.session_key_count = 2,
		.hostname = "node-1",
		.client_version = "0.1.0",
		.mode = "userspace",
		.cert_sha256 = s->cert,
	};
}

static void golden(void **state)
{
	uint8_t proof[REGISTER_PROOF_BYTES];
	struct sample s;

	(void)state;
	sample_make(&s);
	register_proof_register(s.secret, sizeof(s.secret), &s.f, proof);
	assert_memory_equal(proof, golden_register, sizeof(proof));
	register_proof_goodbye(s.secret, sizeof(s.secret), &s.f, proof);
	assert_memory_equal(proof, golden_goodbye, sizeof(proof));
}

static void expect_register_differs(const struct sample *s)
{
	uint8_t proof[REGISTER_PROOF_BYTES];

	register_proof_register(s->secret, sizeof(s->secret), &s->f, proof);
	assert_memory_not_equal(proof, golden_register, sizeof(proof));
}

static void every_field_is_bound(void **state)
{
	struct sample s;

	(void)state;
#define CHANGED(change)                                                                            \
	do {                                                                                       \
		sample_make(&s);                                                                   \
		change;                                                                            \
		expect_register_differs(&s);                                                       \
	} while (0)
	CHANGED(s.secret[31] ^= 1);
	CHANGED(s.nonce[31] ^= 1);
	CHANGED(s.cert[31] ^= 1);
	CHANGED(s.keys[0][31] ^= 1);
	CHANGED(s.keys[1][31] ^= 1);
	CHANGED(s.f.session_key_count = 1);
	CHANGED(s.f.session_key_count = 3);
	CHANGED(s.f.account_tag = "0123456789abcdef0123456789abcdee");
	CHANGED(s.f.tunnel_id = "8e343b13-a087-48ea-825f-9783931ff2a6");
	CHANGED(s.f.connector_id = "11111111-2222-4333-8444-555555555556");
	CHANGED(s.f.hostname = "node-2");
	CHANGED(s.f.client_version = "0.1.1");
	CHANGED(s.f.mode = "tun");
	/* the same bytes cut differently: only the lengths tell them apart */
	CHANGED(s.f.hostname = "node-10"; s.f.client_version = ".1.0");
#undef CHANGED
}

static void keys_are_ordered(void **state)
{
	struct sample s;
	uint8_t swap[REGISTER_KEY_BYTES];

	(void)state;
	sample_make(&s);
	memcpy(swap, s.keys[0], sizeof(swap));
	memcpy(s.keys[0], s.keys[1], sizeof(swap));
	memcpy(s.keys[1], swap, sizeof(swap));
	expect_register_differs(&s);
}

static void a_goodbye_is_no_registration(void **state)
{
	uint8_t a[REGISTER_PROOF_BYTES], b[REGISTER_PROOF_BYTES];
	struct sample s;

	(void)state;
	sample_make(&s);
	s.f.session_key_count = 0;
	s.f.hostname = s.f.client_version = s.f.mode = "";
	register_proof_register(s.secret, sizeof(s.secret), &s.f, a);
	register_proof_goodbye(s.secret, sizeof(s.secret), &s.f, b);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void equality_looks_at_every_byte(void **state)
{
	uint8_t other[REGISTER_PROOF_BYTES];

	(void)state;
	assert_true(register_proof_equal(golden_register, golden_register));
	for (size_t i = 0; i < sizeof(other); i++) {
		memcpy(other, golden_register, sizeof(other));
		other[i] ^= 0x80;
		assert_false(register_proof_equal(golden_register, other));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden),
		cmocka_unit_test(every_field_is_bound),
		cmocka_unit_test(keys_are_ordered),
		cmocka_unit_test(a_goodbye_is_no_registration),
		cmocka_unit_test(equality_looks_at_every_byte),
	};

	return cmocka_run_group_tests_name("register_proof", tests, NULL, NULL);
}
