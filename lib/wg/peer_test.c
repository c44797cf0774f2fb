// SPDX-License-Identifier: BSD-3-Clause
// Two whole peers: sessions in both directions, simultaneous beginnings, promotion, cookies under load, roaming, limits,
// and every truncation and flip of each message type refused.
#include <errno.h>

#include "lib/wg/crypto.h"
#include "lib/wg/peer.h"
#include "lib/wg/test_util.h"

struct pair {
	uint64_t seed, now_ns;
	struct noise_identity identities[2];
	struct cookie_checker checker;
	bool under_load;
	struct wg_peer peers[2];
	struct wg_out out;
};

static const uint8_t sources[2][6] = {{10, 0, 0, 1, 0, 1}, {10, 0, 0, 2, 0, 2}};

static struct wg_peer_config config_of(struct pair *p, unsigned i)
{
	return (struct wg_peer_config){
		.identity = &p->identities[i],
		.remote_public_key = p->identities[!i].public_key,
		.psk = (const uint8_t *)"a preshared key of 32 bytes.....",
		.random = {test_random_fill, &p->seed},
		.unix_offset_ns = (int64_t)T0_UNIX_NS,
		.checker = i ? &p->checker : NULL,
		.under_load = i ? &p->under_load : NULL,
	};
}

static void pair_init(struct pair *p, uint64_t seed)
{
	uint8_t key[32];

	memset(p, 0, sizeof(*p));
	p->seed = seed;
	p->now_ns = T0_NS;
	for (unsigned i = 0; i < 2; i++) {
		test_random_fill(&p->seed, key, sizeof(key));
		noise_identity_init(&p->identities[i], key, 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct wg_peer_config config = config_of(p, i);

		assert_int_equal(wg_peer_init(&p->peers[i], &config), 0);
	}
}

static void pair_wipe(struct pair *p)
{
	for (unsigned i = 0; i < 2; i++) {
		wg_peer_wipe(&p->peers[i]);
		assert_true(sodium_is_zero((const uint8_t *)&p->peers[i], sizeof(p->peers[i])));
	}
}

static enum wg_result give(struct pair *p, unsigned to, const uint8_t *bytes, size_t len)
{
	uint8_t copy[2048];

	memcpy(copy, bytes, len);
	return wg_peer_input(&p->peers[to], copy, len, sources[!to], 6, p->now_ns, &p->out);
}

static struct wg_datagram initiation_of(struct pair *p, unsigned from)
{
	wg_peer_connect(&p->peers[from]);
	wg_peer_tick(&p->peers[from], p->now_ns, &p->out);
	assert_int_equal(p->out.n_tx, 1);
	assert_int_equal(p->out.tx[0].len, WG_INITIATION_BYTES);
	return p->out.tx[0];
}

/* Hands over one message; gives the one message that answers it. */
static struct wg_datagram exchange(struct pair *p, unsigned to, const struct wg_datagram *message)
{
	assert_int_equal(give(p, to, message->bytes, message->len), WG_CONSUMED);
	assert_true(p->out.authenticated);
	assert_int_equal(p->out.n_tx, 1);
	return p->out.tx[0];
}

/* A whole handshake begun by one side, its first keepalive included. */
static void handshake(struct pair *p, unsigned from)
{
	struct wg_datagram message = initiation_of(p, from);

	message = exchange(p, !from, &message);
	assert_int_equal(message.len, WG_RESPONSE_BYTES);
	message = exchange(p, from, &message);
	assert_int_equal(message.len, WG_DATA_OVERHEAD_BYTES);
	assert_true(p->out.ready);
	assert_int_equal(give(p, !from, message.bytes, message.len), WG_CONSUMED);
	assert_true(p->out.ready);
}

static int seal(struct pair *p, unsigned from, uint8_t *buffer, uint32_t len)
{
	memset(buffer + WG_DATA_HEADER_BYTES, 0x45, len);
	return wg_peer_send(&p->peers[from], buffer, len, 1420, p->now_ns, &p->out);
}

static enum wg_result send_one(struct pair *p, unsigned from, uint32_t len)
{
	uint8_t buffer[2048];
	int sealed = seal(p, from, buffer, len);

	assert_int_equal(sealed, wg_padded_len(len, 1420) + 32);
	return give(p, !from, buffer, (size_t)sealed);
}

static void test_session(void **state)
{
	struct pair p;
	uint8_t buffer[64];
	uint64_t sent = 0;

	(void)state;
	pair_init(&p, 1);
	assert_int_equal(seal(&p, 0, buffer, 20), -EAGAIN);
	assert_int_equal(p.out.n_tx, 1); /* the initiation */
	p.now_ns += 6 * WG_NS_PER_S;
	handshake(&p, 0);
	for (unsigned i = 0; i < 2; i++)
		for (uint32_t len = 1; len <= 1420; len += 43) {
			assert_int_equal(send_one(&p, i, len), WG_INNER);
			sent += i == 0 ? len : 0;
			assert_int_equal(p.out.inner_len, wg_padded_len(len, 1420));
			assert_int_equal(p.out.inner[len - 1], 0x45);
			for (uint32_t k = len; k < p.out.inner_len; k++)
				assert_int_equal(p.out.inner[k], 0);
		}
	assert_int_equal(send_one(&p, 0, 0), WG_CONSUMED);
	assert_null(p.out.inner);
	assert_int_equal(p.peers[0].counters.handshakes, 1);
	assert_int_equal(p.peers[1].counters.handshakes, 1);
	assert_int_equal(p.peers[0].counters.tx_packets, p.peers[1].counters.rx_packets);
	assert_int_equal(p.peers[0].counters.tx_bytes, sent);
	pair_wipe(&p);
}

static void test_refused_peers(void **state)
{
	uint8_t low_order[32] = {1};
	struct wg_peer_config config;
	struct wg_peer peer;
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	config = config_of(&p, 0);
	config.remote_public_key = p.identities[0].public_key;
	assert_int_equal(wg_peer_init(&peer, &config), -EINVAL);
	config.remote_public_key = low_order;
	assert_int_equal(wg_peer_init(&peer, &config), -EINVAL);
}

/* The responder holds its session back until the initiator has used it. */
static void test_promotion(void **state)
{
	struct wg_datagram message;
	uint8_t buffer[64];
	struct pair p;

	(void)state;
	pair_init(&p, 3);
	message = initiation_of(&p, 0);
	message = exchange(&p, 1, &message);
	assert_true(message.to_source);
	assert_false(p.out.ready);
	assert_false(wg_peer_ready(&p.peers[1], p.now_ns));
	assert_int_equal(seal(&p, 1, buffer, 10), -EAGAIN);
	message = exchange(&p, 0, &message);
	assert_false(wg_peer_ready(&p.peers[1], p.now_ns));
	assert_int_equal(give(&p, 1, message.bytes, message.len), WG_CONSUMED);
	assert_true(wg_peer_ready(&p.peers[1], p.now_ns));
	assert_int_equal(send_one(&p, 1, 10), WG_INNER);
	/* The same keepalive again is a replay. */
	assert_int_equal(give(&p, 1, message.bytes, message.len), WG_DROP_REPLAY);
	pair_wipe(&p);
}

/* Both begin at once: both handshakes finish, and data flows both ways whatever arrives first. */
static void test_simultaneous(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 8; order++) {
		struct wg_datagram i0, i1, r0, r1, k0, k1;
		struct pair p;

		pair_init(&p, 4 + order);
		i0 = initiation_of(&p, 0);
		i1 = initiation_of(&p, 1);
		r1 = exchange(&p, 1, &i0);
		r0 = exchange(&p, 0, &i1);
		if (order & 1) {
			k0 = exchange(&p, 0, &r1);
			k1 = exchange(&p, 1, &r0);
		} else {
			k1 = exchange(&p, 1, &r0);
			k0 = exchange(&p, 0, &r1);
		}
		if (order & 2)
			assert_int_equal(give(&p, 1, k0.bytes, k0.len), WG_CONSUMED);
		if (order & 4)
			assert_int_equal(give(&p, 0, k1.bytes, k1.len), WG_CONSUMED);
		for (unsigned n = 0; n < 3; n++) {
			assert_int_equal(send_one(&p, n & 1, 100), WG_INNER);
			assert_int_equal(send_one(&p, !(n & 1), 100), WG_INNER);
		}
		pair_wipe(&p);
	}
}

/* A packet of the session before is still taken after a rekey; of the one before that, not. */
static void test_previous_session(void **state)
{
	uint8_t first[64], second[64];
	int first_len, second_len;
	struct pair p;

	(void)state;
	pair_init(&p, 20);
	handshake(&p, 0);
	first_len = seal(&p, 0, first, 20);
	p.now_ns += 10 * WG_NS_PER_S;
	handshake(&p, 0);
	second_len = seal(&p, 0, second, 20);
	assert_int_equal(give(&p, 1, first, (size_t)first_len), WG_INNER);
	p.now_ns += 10 * WG_NS_PER_S;
	handshake(&p, 0);
	assert_int_equal(give(&p, 1, second, (size_t)second_len), WG_INNER);
	assert_int_equal(give(&p, 1, first, (size_t)first_len), WG_DROP_INDEX);
	pair_wipe(&p);
}

static void test_reject_after_time(void **state)
{
	uint8_t packet[64], other[64];
	struct pair p;
	int len;

	(void)state;
	pair_init(&p, 21);
	handshake(&p, 0);
	len = seal(&p, 0, packet, 20);
	p.now_ns = T0_NS + WG_REJECT_AFTER_TIME_NS - 1;
	assert_true(seal(&p, 1, other, 20) > 0);
	assert_non_null(wg_peer_find(&p.peers[1], wg_data_receiver(packet), p.now_ns));
	p.now_ns++;
	assert_null(wg_peer_find(&p.peers[1], wg_data_receiver(packet), p.now_ns));
	assert_int_equal(give(&p, 1, packet, (size_t)len), WG_DROP_EXPIRED);
	assert_int_equal(seal(&p, 1, other, 20), -EAGAIN);
	assert_int_equal(p.out.n_tx, 1);
	pair_wipe(&p);
}

static void test_reject_after_messages(void **state)
{
	uint8_t packet[64];
	uint64_t counter;
	struct pair p;
	int len;

	(void)state;
	pair_init(&p, 22);
	handshake(&p, 0);
	p.peers[0].pairs[WG_CURRENT].tx_counter = WG_REJECT_AFTER_MESSAGES - 2;
	assert_null(wg_peer_reserve(&p.peers[0], 3, p.now_ns, &counter));
	assert_non_null(wg_peer_reserve(&p.peers[0], 1, p.now_ns, &counter));
	len = seal(&p, 0, packet, 20);
	assert_int_equal(wg_data_counter(packet), WG_REJECT_AFTER_MESSAGES - 1);
	assert_int_equal(give(&p, 1, packet, (size_t)len), WG_INNER);
	assert_int_equal(seal(&p, 0, packet, 20), -EAGAIN);
	/* Forged with the counter after the last, under the right key: still refused. */
	wg_data_header(packet, wg_data_receiver(packet), WG_REJECT_AFTER_MESSAGES);
	wg_aead_seal(packet + 16, p.peers[0].pairs[WG_CURRENT].send_key, WG_REJECT_AFTER_MESSAGES,
		     "0123456789abcdef", 16, NULL, 0);
	assert_int_equal(give(&p, 1, packet, 48), WG_DROP_EXPIRED);
	pair_wipe(&p);
}

static void test_old_and_fast_initiations(void **state)
{
	struct wg_datagram first, second;
	struct pair p;

	(void)state;
	pair_init(&p, 23);
	first = initiation_of(&p, 0);
	exchange(&p, 1, &first);
	assert_int_equal(give(&p, 1, first.bytes, first.len), WG_DROP_REPLAY);
	p.now_ns += 6 * WG_NS_PER_S;
	second = initiation_of(&p, 0);
	p.now_ns = T0_NS + 19 * WG_NS_PER_MS;
	assert_int_equal(give(&p, 1, second.bytes, second.len), WG_DROP_RATE);
	p.now_ns = T0_NS + 20 * WG_NS_PER_MS;
	exchange(&p, 1, &second);
	assert_int_equal(give(&p, 1, first.bytes, first.len), WG_DROP_REPLAY);
	pair_wipe(&p);
}

static void test_under_load(void **state)
{
	struct wg_datagram message, cookie;
	struct pair p;

	(void)state;
	pair_init(&p, 24);
	p.under_load = true;
	message = initiation_of(&p, 0);
	assert_int_equal(give(&p, 1, message.bytes, message.len), WG_DROP_MAC2);
	assert_int_equal(p.out.n_tx, 1);
	assert_false(p.out.authenticated);
	cookie = p.out.tx[0];
	assert_true(cookie.to_source);
	assert_int_equal(cookie.len, WG_COOKIE_REPLY_BYTES);
	assert_int_equal(give(&p, 0, cookie.bytes, cookie.len), WG_CONSUMED);
	assert_int_equal(give(&p, 0, cookie.bytes, cookie.len), WG_DROP_HANDSHAKE);
	/* The next try carries MAC2: accepted from its own source only. */
	p.now_ns += 6 * WG_NS_PER_S;
	message = initiation_of(&p, 0);
	assert_int_equal(wg_peer_input(&p.peers[1], message.bytes, message.len, sources[1], 6,
				       p.now_ns, &p.out),
			 WG_DROP_MAC2);
	cookie = p.out.tx[0];
	message = exchange(&p, 1, &message);
	assert_int_equal(message.len, WG_RESPONSE_BYTES);
	/* A cookie for another index is nobody's. */
	wg_put_le32(cookie.bytes + 4, 0xdeadbeef);
	assert_int_equal(give(&p, 0, cookie.bytes, cookie.len), WG_DROP_INDEX);
	pair_wipe(&p);
}

/* Everything that is not exactly this message is refused, and leaves the state able to take the true one. */
static void refuse_variants(struct pair *p, unsigned to, const uint8_t *bytes, size_t len)
{
	uint8_t bad[2048];
	struct wg_peer before = p->peers[to];

	for (size_t cut = 0; cut < len; cut++) {
		enum wg_result result = give(p, to, bytes, cut);

		assert_true(result != WG_CONSUMED && result != WG_INNER);
	}
	for (size_t at = 0; at < len; at++)
		for (unsigned x = 1; x < 256; x = x < 128 ? x * 2 : x + 127) {
			enum wg_result result;

			memcpy(bad, bytes, len);
			bad[at] ^= (uint8_t)x;
			result = give(p, to, bad, len);
			if (result == WG_CONSUMED || result == WG_INNER)
				fail_msg("byte %zu ^ %u of %zu taken", at, x, len);
			assert_int_equal(p->out.n_tx, 0);
			assert_false(p->out.authenticated);
		}
	memcpy(bad, bytes, len);
	bad[len] = 0;
	if (bytes[0] != WG_DATA)
		assert_int_equal(give(p, to, bad, len + 1), WG_DROP_LENGTH);
	else
		assert_int_equal(give(p, to, bad, len + 1), WG_DROP_TAG);
	before.counters = p->peers[to].counters;
	assert_memory_equal(&before, &p->peers[to], sizeof(before));
}

static void test_flips_of_initiation_and_response(void **state)
{
	struct wg_datagram message;
	struct pair p;

	(void)state;
	pair_init(&p, 30);
	message = initiation_of(&p, 0);
	/* MAC2 is not looked at without load: cover what is before it. */
	p.under_load = false;
	for (size_t at = 0; at < WG_INITIATION_BYTES - 16; at++) {
		struct wg_datagram bad = message;

		bad.bytes[at] ^= 0x40;
		assert_true(give(&p, 1, bad.bytes, bad.len) != WG_CONSUMED);
		assert_int_equal(p.out.n_tx, 0);
	}
	for (size_t cut = 0; cut < WG_INITIATION_BYTES; cut++)
		assert_true(give(&p, 1, message.bytes, cut) != WG_CONSUMED);
	message = exchange(&p, 1, &message);
	for (size_t at = 0; at < WG_RESPONSE_BYTES - 16; at++) {
		struct wg_datagram bad = message;

		bad.bytes[at] ^= 0x40;
		assert_true(give(&p, 0, bad.bytes, bad.len) != WG_CONSUMED);
		assert_int_equal(p.out.n_tx, 0);
	}
	for (size_t cut = 0; cut < WG_RESPONSE_BYTES; cut++)
		assert_true(give(&p, 0, message.bytes, cut) != WG_CONSUMED);
	message = exchange(&p, 0, &message);
	assert_int_equal(message.len, WG_DATA_OVERHEAD_BYTES);
	pair_wipe(&p);
}

/* Under load a flip of MAC2 is refused too: with a cookie in answer, and no state made. */
static void test_flips_of_mac2(void **state)
{
	struct wg_datagram message;
	struct pair p;

	(void)state;
	pair_init(&p, 31);
	p.under_load = true;
	message = initiation_of(&p, 0);
	assert_int_equal(give(&p, 1, message.bytes, message.len), WG_DROP_MAC2);
	message = p.out.tx[0];
	assert_int_equal(give(&p, 0, message.bytes, message.len), WG_CONSUMED);
	p.now_ns += 6 * WG_NS_PER_S;
	message = initiation_of(&p, 0);
	for (size_t at = WG_INITIATION_BYTES - 16; at < WG_INITIATION_BYTES; at++) {
		struct wg_datagram bad = message;

		bad.bytes[at] ^= 1;
		assert_int_equal(give(&p, 1, bad.bytes, bad.len), WG_DROP_MAC2);
	}
	assert_int_equal(p.peers[1].counters.initiations_rx, 0);
	exchange(&p, 1, &message);
	pair_wipe(&p);
}

static void test_flips_of_cookie_and_data(void **state)
{
	struct wg_datagram cookie;
	uint8_t packet[128];
	struct pair p;
	int len;

	(void)state;
	pair_init(&p, 32);
	p.under_load = true;
	cookie = initiation_of(&p, 0);
	assert_int_equal(give(&p, 1, cookie.bytes, cookie.len), WG_DROP_MAC2);
	cookie = p.out.tx[0];
	refuse_variants(&p, 0, cookie.bytes, cookie.len);
	assert_int_equal(give(&p, 0, cookie.bytes, cookie.len), WG_CONSUMED);

	p.under_load = false;
	p.now_ns += 6 * WG_NS_PER_S;
	handshake(&p, 0);
	len = seal(&p, 0, packet, 40);
	refuse_variants(&p, 1, packet, (size_t)len);
	assert_int_equal(give(&p, 1, packet, (size_t)len), WG_INNER);
	pair_wipe(&p);
}

/* Burst access does what send and input do. */
static void test_burst_access(void **state)
{
	uint8_t packets[4][64];
	struct wg_keypair *keys;
	uint64_t counter;
	struct pair p;

	(void)state;
	pair_init(&p, 33);
	assert_null(wg_peer_reserve(&p.peers[0], 4, p.now_ns, &counter));
	handshake(&p, 0);
	keys = wg_peer_reserve(&p.peers[0], 4, p.now_ns, &counter);
	assert_non_null(keys);
	for (unsigned i = 0; i < 4; i++) {
		wg_data_header(packets[i], keys->remote_index, counter + i);
		wg_aead_seal(packets[i] + 16, keys->send_key, counter + i, "0123456789abcdef",
			     i == 3 ? 0 : 16, NULL, 0);
		wg_peer_sent(&p.peers[0], i == 3 ? 0 : 16, p.now_ns);
	}
	for (unsigned i = 0; i < 4; i++) {
		uint32_t len = i == 3 ? 0 : 16;

		keys = wg_peer_find(&p.peers[1], wg_data_receiver(packets[i]), p.now_ns);
		assert_non_null(keys);
		assert_true(wg_aead_open(packets[i] + 16, keys->receive_key,
					 wg_data_counter(packets[i]), packets[i] + 16, len, NULL, 0));
		assert_int_equal(wg_peer_received(&p.peers[1], keys, wg_data_counter(packets[i]), len,
						  p.now_ns, &p.out),
				 i == 3 ? WG_CONSUMED : WG_INNER);
		assert_int_equal(wg_peer_received(&p.peers[1], keys, wg_data_counter(packets[i]), len,
						  p.now_ns, &p.out),
				 WG_DROP_REPLAY);
	}
	assert_null(wg_peer_find(&p.peers[1], 0x12345678, p.now_ns));
	assert_int_equal(p.peers[1].counters.rx_packets, 3);
	assert_int_equal(p.peers[0].counters.tx_packets, 3);
	pair_wipe(&p);
}

static void test_result_texts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WG_RESULTS; i++)
		assert_non_null(wg_result_text((enum wg_result)i));
	assert_string_equal(wg_result_text(WG_RESULTS), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_refused_peers),
		cmocka_unit_test(test_promotion),
		cmocka_unit_test(test_simultaneous),
		cmocka_unit_test(test_previous_session),
		cmocka_unit_test(test_reject_after_time),
		cmocka_unit_test(test_reject_after_messages),
		cmocka_unit_test(test_old_and_fast_initiations),
		cmocka_unit_test(test_under_load),
		cmocka_unit_test(test_flips_of_initiation_and_response),
		cmocka_unit_test(test_flips_of_mac2),
		cmocka_unit_test(test_flips_of_cookie_and_data),
		cmocka_unit_test(test_burst_access),
		cmocka_unit_test(test_result_texts),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
