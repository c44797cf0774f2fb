// SPDX-License-Identifier: BSD-3-Clause
// Every implementation that runs here: published vectors, a random differential run against libsodium over mixed bursts,
// tags that are wrong in each bit, lengths at and over the limit. One that does not run here is skipped by name.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aead/aead.h"
#include "lib/aead/aead_impl.h"

#define SLOT_BYTES (AEAD_MAX_LEN + 64)

/* Of WireGuard's own self-test, those without additional data: key, 8-byte nonce (the counter), text, text with tag. */
static const struct {
	const char *key, *nonce, *text, *sealed;
} vectors[] = {
	{"4cf5968338e6ae7f2d292576d5752786919a277afb46c5ef9481795714594068", "cabf33713245778e",
	 "",
	 "eae01e9e2c91aae1db5d993f8af76992"},
	{"66ca9c232a4b4b310e92898bf493c78798a3d839f8f4a701c02e0aa67e5a7887", "201caa5f9cbf9230",
	 "2d",
	 "bfe15b0bdb6bf55e6c5d84443981c19cac"},
	{"8db89148f0e70abdf93fcdd9a01e424ce7de253da3d705808df282ac44165101", "de7befc3651b68b0",
	 "9b18dbdd9a0f3ea51517dedf089d650a673012e234774bc1d9c61fabc6185017a79d3ca6c5358c1cc0a17c9f"
	 "0389cae1e6e9d4d388dbb4519decb4fc52ee6df17542c6fdbd7a8e86fc44b34ff3ea675a4113bab0dce1d32a"
	 "7c22b3caac6a37983e1d4097f79b1d366bb328bd60824734aa2f7de9a8708157d4b9770a9d29a784524fc24a"
	 "403b3cd4c92adb4a53c4be80e9517f8fc7a2ce825c911e74d9d0bdd5f3fdda4d25b4bb2dac2f3d71857bcf3c"
	 "7b3e0e22780c29bfe4f457b3cb49a0fc1e054e16bcd5a8a3ee0535c67cab6014551a8ec5885dd581c281a5c4"
	 "60dbaf7791e1cea27e7f42e3b0131c1f256021e2405f99b773ec9b2bf06511c8d00a9fd3",
	 "8504c2ed8dfd975cd2b7e2c16ba3baf8c950c3c6a5e3a47cc323495ea9b932eb8a7ccae5ecfb7cc0cb7ddc2c"
	 "9d9255210ac84363590a317082674103f8dff2aca702d4d58a2dc8991966d0f6882c77d9d40d6cbd98dee77f"
	 "ad7e8afbe94be5f7e550a0903fd62253e3fe1bcc793bec124752a7d604e352e6939091327379b8d031de1f9f"
	 "2f0538542f350439e0a7bac652f637654c07a97eb3216f748cc9dedb651b9baa60b103306bb203c41c04f80f"
	 "64af46e4659949e2eace7800d88bd52ecffc4049e858dc349c8c61bf0a8eec39a930055ad25601c7da8f4ebb"
	 "43a33af9152ad0a07a873482fe8ad12d5ec7bf04535f3b36d4255c347a8dd505ce72caef7a4bbcb0105c9642"
	 "3a0098cd15e8b753"},
	{"f2aa4f99fd3ea853c144e98118dcf5f03e441559e0c54486c391a875c01246ba", "0e0d57bb7b405402",
	 "c3099462e6462e10be00e4fcf340a3e20fc28b28dcbab43ce4215861cd8bcdfbac94a145f51ce112e03b6721"
	 "545e8caacfdbb451d413dae68389b692e92176a4937d0efd96360391435c924962617beb4389b8122043d447"
	 "0684ee47e98a73150f72cfedce96b27f214576eb2628836aadaaa681d855b1a385b30cdff1692d97052abc7c"
	 "7b25f8809d3925f362f0665ef4a0cfd8fd4fb11f603a0847afe1f6107709a7278f9a975a26fafe41328310e0"
	 "1dbf640df41c3235e51b36efd44a934d007cec02078b5d7d1b0ed1a6a55d7d5788a8cc81b4864eb440e91dc3"
	 "b1243e7fcc8a249bdf6df039693e4cc096e413da90daf495668b1717fe394325aadaa0433cb14102a3f0a719"
	 "59bc1d7d6c6d91095cb75b01d16f172197bf8971a5b06e0745fd9dea07f67a9f1018223073acd46b7244edd9"
	 "199b2d4a41ddd1855e3719edd2158f5e91db33f2e4dbff98fba3b5ca216908e78adf90ff3ee920863ce9fc0b"
	 "fe5c61aa13927f7bece06da82322f66b77c4fe40073bb6f68e5fd4b9b70f2104ef8363916940a3485cd260f9"
	 "4f6c478b3bb19f8eee168a13fc4617c3c33256f83c853ab63eaa894fb3df38fdf1e43ac0e658b58fc529a292"
	 "4ab6a0347fabb58a90a1db4dcab62c413cf72b21c3fdf4175cb53317682b0830f3f7303c96e66a2097e74d10"
	 "5f475f499609f02791c8f85a2e79b5e2b8e8b97bd510cbff5d1473f3",
	 "14f64137a6d427cddb063e9a4eabd5b11e6bd2bc11f428936354efbb5e1d3a1d373c0a6c1ec2d12cb5a3b57b"
	 "b88f25a61b611cec285826a4a83328255c4505e56c99e545c4a2038403731e8c49ac20dd8db3c4f5e74ff1ed"
	 "a198dea496dd2fabab97cf3ed29eb81307282919affdf24943ea492691c107d6bb8175350d247fc8dad4b7eb"
	 "e85c09a22fdc287d3a03fa94b51d179936c31c1834e39ff5557cb0609dffacd461f2adf8cec7be5cd295a84b"
	 "7713195926c9b78f6acb2d3791ea929c945bda0bcefe3020f851adf2bee7c7ffb333916ac91a41c90ff3100e"
	 "fd53ff6c1652d9f3f7982ec907312c0c72d7c5c6082a7bdabd7e02ea1abbf2042761288ef504031f4c075582"
	 "ec1ed78b2f6556d1d91e3ce91f5e9870384a8c49c543a0a18b749d4c620d100cf46c8fe0aa9a8db7e0be4c87"
	 "f1982fccedc05229dc83f8fc2c0ea8514d800da3fed837e74124fcfb75e3717b5745f5977365631474b8829f"
	 "f8602f8af24ef139da3391f836e08d3f1f3b56dca08f3c9d7152a7b8c0a5c6a273daf44b745b003d99d796ba"
	 "e6e1a69638adb3c0d2ba916bf919dd3bbebe9c2050baa1d0ce11bd95d8d1dd338574dcdb667644dc03744835"
	 "98b11847947dff62e45878abed9536d98491826441bb58e61c206d156b1396e8357fdc402ce9bc8a4f92ec06"
	 "2d50df935d655aa8fc205014a98a7e1d081fe299d0befb3a219dad8654fd0d981c5a6f1f9a40cda2ff6af154"},
};

static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static size_t unhex(uint8_t *out, size_t max, const char *hex)
{
	size_t len = 0;

	assert_int_equal(sodium_hex2bin(out, max, hex, strlen(hex), NULL, &len, NULL), 0);
	return len;
}

static uint64_t counter_of(const uint8_t nonce[8])
{
	uint64_t counter = 0;

	for (unsigned i = 0; i < 8; i++)
		counter |= (uint64_t)nonce[i] << (8 * i);
	return counter;
}

static struct aead *create(void **state)
{
	char error[256];
	struct aead *aead = aead_create(*state, error, sizeof(error));

	if (!aead && strstr(error, "self-test"))
		fail_msg("%s", error);
	if (!aead) {
		print_message("skipped: %s\n", error);
		skip();
	}
	return aead;
}

static void check_vector(struct aead *aead, const char *key_hex, const char *nonce_hex,
			 const char *text_hex, const char *sealed_hex)
{
	uint8_t key[32], nonce[8], text[1024], sealed[1040], buffer[1040];
	size_t len = unhex(text, sizeof(text), text_hex);
	struct aead_op op = {.key = key, .data = buffer, .len = (uint32_t)len};

	unhex(key, sizeof(key), key_hex);
	unhex(nonce, sizeof(nonce), nonce_hex);
	op.counter = counter_of(nonce);
	assert_int_equal(unhex(sealed, sizeof(sealed), sealed_hex), len + 16);
	memcpy(buffer, text, len);
	aead_seal_burst(aead, &op, 1);
	assert_true(op.ok);
	assert_memory_equal(buffer, sealed, len + 16);
	aead_open_burst(aead, &op, 1);
	assert_true(op.ok);
	assert_memory_equal(buffer, text, len);
}

static void test_vectors(void **state)
{
	struct aead *aead = create(state);

	for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		check_vector(aead, vectors[i].key, vectors[i].nonce, vectors[i].text,
			     vectors[i].sealed);
	aead_destroy(aead);
}

/* All of Wycheproof's and WireGuard's vectors that a data message could be: no additional data, nonce 0000… */
static void test_reference_data(void **state)
{
	const char *base = getenv("SLUICE_DATA") ? getenv("SLUICE_DATA") : SLUICE_DATA_DEFAULT;
	struct aead *aead;
	unsigned checked = 0;
	char path[512];
	json_t *root, *vector;
	size_t i;

	snprintf(path, sizeof(path), "%s/crypto/wireguard_zinc_chacha20poly1305.json", base);
	root = json_load_file(path, 0, NULL);
	if (!root) {
		print_message("skipped: no reference data\n");
		skip();
	}
	aead = create(state);
	json_array_foreach (json_object_get(root, "vectors"), i, vector) {
		const char *kind = json_string_value(json_object_get(vector, "kind"));
		const char *nonce = json_string_value(json_object_get(vector, "nonce"));

		if (strcmp(kind, "enc") != 0 || strlen(nonce) != 16 ||
		    json_string_length(json_object_get(vector, "aad")) > 0)
			continue;
		check_vector(aead, json_string_value(json_object_get(vector, "key")), nonce,
			     json_string_value(json_object_get(vector, "input")),
			     json_string_value(json_object_get(vector, "output")));
		checked++;
	}
	assert_int_equal(checked, 4);
	json_decref(root);
	aead_destroy(aead);
}

static uint32_t random_len(unsigned round)
{
	switch (round % 5) {
	case 0:
		return (uint32_t)(random_next() % 130);
	case 1:
		return 64;
	case 2:
		return (uint32_t)(random_next() % 1500);
	case 3:
		return (uint32_t)(random_next() % 8) ? 16 * (uint32_t)(random_next() % 100) :
						       (uint32_t)(random_next() % (AEAD_MAX_LEN + 1));
	default:
		return (uint32_t)(random_next() % 2 ? 1420 : 64);
	}
}

/* Libsodium's idea of what seal makes of the packet, tag included. */
static void reference_seal(uint8_t *out, const struct aead_op *op)
{
	uint8_t nonce[12];

	aead_nonce(nonce, op->counter);
	crypto_aead_chacha20poly1305_ietf_encrypt_detached(out, out + op->len, NULL, op->data,
							   op->len, NULL, 0, NULL, nonce, op->key);
}

struct arena {
	uint8_t *slots, *sealed, *plain;
	uint8_t keys[AEAD_MAX_BURST][32];
	struct aead_op ops[AEAD_MAX_BURST];
};

static void fill_round(struct arena *arena, unsigned round, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		/* Unaligned data now and then, and few or many keys. */
		uint8_t *slot = arena->slots + (size_t)i * SLOT_BYTES + random_next() % 17;
		struct aead_op *op = &arena->ops[i];

		*op = (struct aead_op){.key = arena->keys[random_next() % (round % 2 ? 64 : 2)],
				       .counter = random_next() >> (random_next() % 64),
				       .data = slot, .len = random_len(round)};
		for (unsigned k = 0; k < op->len; k++)
			slot[k] = (uint8_t)random_next();
		/* Guard behind the tag. */
		memset(slot + op->len + 16, 0xa5, 8);
		memcpy(arena->plain + (size_t)i * SLOT_BYTES, slot, op->len);
		reference_seal(arena->sealed + (size_t)i * SLOT_BYTES, op);
	}
}

static void check_opened(const struct arena *arena, unsigned n, uint64_t damaged)
{
	static const uint8_t guard[8] = {0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5};

	for (unsigned i = 0; i < n; i++) {
		const struct aead_op *op = &arena->ops[i];

		assert_int_equal(op->ok, !(damaged >> i & 1));
		if (op->ok)
			assert_memory_equal(op->data, arena->plain + (size_t)i * SLOT_BYTES, op->len);
		else
			assert_true(sodium_is_zero(op->data, op->len));
		assert_memory_equal(op->data + op->len + 16, guard, 8);
	}
}

static void test_differential(void **state)
{
	struct aead *aead = create(state);
	struct arena *arena = calloc(1, sizeof(*arena));

	random_state = 88172645463325252ULL;
	arena->slots = malloc((size_t)AEAD_MAX_BURST * SLOT_BYTES);
	arena->sealed = malloc((size_t)AEAD_MAX_BURST * SLOT_BYTES);
	arena->plain = malloc((size_t)AEAD_MAX_BURST * SLOT_BYTES);
	for (unsigned i = 0; i < 64; i++)
		for (unsigned k = 0; k < 32; k++)
			arena->keys[i][k] = i == 0 ? 0xff : (uint8_t)random_next();
	for (unsigned round = 0; round < 400; round++) {
		unsigned n = round < 70 ? round % 65 : (unsigned)(random_next() % 65);
		uint64_t damaged = round % 3 ? 0 : random_next();

		fill_round(arena, round, n);
		aead_seal_burst(aead, arena->ops, n);
		for (unsigned i = 0; i < n; i++) {
			struct aead_op *op = &arena->ops[i];

			assert_true(op->ok);
			assert_memory_equal(op->data, arena->sealed + (size_t)i * SLOT_BYTES,
					    op->len + 16);
			if (damaged >> i & 1)
				op->data[random_next() % (op->len + 16)] ^=
					(uint8_t)(1U << (random_next() % 8));
		}
		aead_open_burst(aead, arena->ops, n);
		check_opened(arena, n, damaged);
	}
	free(arena->slots);
	free(arena->sealed);
	free(arena->plain);
	free(arena);
	aead_destroy(aead);
}

/* Each bit of a packet and its tag, flipped alone, in each place of a burst by turns. */
static void test_every_flip(void **state)
{
	static const uint32_t lengths[] = {0, 5, 16, 40};
	struct aead *aead = create(state);
	uint8_t key[32] = {1, 2, 3}, buffers[20][64];
	struct aead_op ops[20];

	for (unsigned l = 0; l < 4; l++) {
		uint32_t len = lengths[l];

		for (unsigned bit = 0; bit < (len + 16) * 8; bit++) {
			for (unsigned i = 0; i < 20; i++) {
				memset(buffers[i], 7, len);
				ops[i] = (struct aead_op){.key = key, .counter = 9, .len = len,
							  .data = buffers[i]};
			}
			aead_seal_burst(aead, ops, 20);
			buffers[bit % 20][bit / 8] ^= (uint8_t)(1U << (bit % 8));
			aead_open_burst(aead, ops, 20);
			for (unsigned i = 0; i < 20; i++) {
				assert_int_equal(ops[i].ok, i != bit % 20);
				for (unsigned b = 0; b < len; b++)
					assert_int_equal(buffers[i][b], i == bit % 20 ? 0 : 7);
			}
		}
	}
	aead_destroy(aead);
}

static void test_length_limit(void **state)
{
	struct aead *aead = create(state);
	uint8_t key[32] = {5};
	uint8_t *buffer = calloc(3, AEAD_MAX_LEN + 32);
	struct aead_op ops[3];

	for (unsigned i = 0; i < 3; i++)
		ops[i] = (struct aead_op){.key = key, .counter = i, .len = AEAD_MAX_LEN + (i == 1),
					  .data = buffer + (size_t)i * (AEAD_MAX_LEN + 32)};
	aead_seal_burst(aead, ops, 3);
	assert_true(ops[0].ok && !ops[1].ok && ops[2].ok);
	assert_true(sodium_is_zero(ops[1].data, AEAD_MAX_LEN + 32));
	aead_open_burst(aead, ops, 3);
	assert_true(ops[0].ok && !ops[1].ok && ops[2].ok);
	aead_seal_burst(aead, ops, 0);
	aead_open_burst(aead, ops, 0);
	free(buffer);
	aead_destroy(aead);
}

static void test_choice(void **state)
{
	char error[128] = "x";
	struct aead *aead;

	(void)state;
	assert_null(aead_create("rot13", error, sizeof(error)));
	assert_string_equal(error, "aead rot13: no such implementation");
	assert_null(aead_create("rot13", NULL, 0));
	aead = aead_create("auto", error, sizeof(error));
	assert_non_null(aead);
	assert_string_equal(error, "");
	print_message("auto is %s\n", aead_name(aead));
	aead_destroy(aead);
	aead = aead_create(NULL, NULL, 0);
	assert_non_null(aead);
	aead_destroy(aead);
	aead_destroy(NULL);
	assert_null(aead_known(99));
}

/* The self-test refuses an implementation that is wrong in one bit of one packet, or that takes any tag. */
static void broken_seal(void *state, struct aead_op *ops, unsigned n)
{
	aead_portable.seal(state, ops, n);
	if (n > 20)
		ops[n - 1].data[100] ^= 0x10;
}

static void credulous_open(void *state, struct aead_op *ops, unsigned n)
{
	aead_portable.open(state, ops, n);
	for (unsigned i = 0; i < n; i++)
		ops[i].ok = true;
}

static void leaking_open(void *state, struct aead_op *ops, unsigned n)
{
	aead_portable.open(state, ops, n);
	for (unsigned i = 0; i < n; i++)
		if (!ops[i].ok && ops[i].len)
			ops[i].data[0] = 1;
}

static void test_self_test(void **state)
{
	struct aead_impl impl = aead_portable;

	(void)state;
	assert_null(aead_self_test(&impl, NULL));
	impl.seal = broken_seal;
	assert_non_null(aead_self_test(&impl, NULL));
	impl = aead_portable;
	impl.open = credulous_open;
	assert_non_null(aead_self_test(&impl, NULL));
	impl.open = leaking_open;
	assert_non_null(aead_self_test(&impl, NULL));
}

#define PER_IMPL 5

int main(void)
{
	struct CMUnitTest tests[PER_IMPL * 8 + 2];
	char names[PER_IMPL * 8][64];
	size_t n = 0;
	const struct {
		const char *name;
		CMUnitTestFunction run;
	} per_impl[PER_IMPL] = {
		{"vectors", test_vectors},
		{"reference data", test_reference_data},
		{"differential", test_differential},
		{"every flip", test_every_flip},
		{"length limit", test_length_limit},
	};

	if (sodium_init() < 0)
		return 1;
	for (unsigned i = 0; aead_known(i) && i < 8; i++)
		for (unsigned t = 0; t < PER_IMPL; t++, n++) {
			snprintf(names[n], sizeof(names[n]), "%s: %s", aead_known(i),
				 per_impl[t].name);
			tests[n] = (struct CMUnitTest){names[n], per_impl[t].run, NULL, NULL,
						       (void *)(uintptr_t)aead_known(i)};
		}
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_choice);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_self_test);
	return _cmocka_run_group_tests("aead", tests, n, NULL, NULL);
}
