// SPDX-License-Identifier: BSD-3-Clause
// 24 hours of two peers on a simulated clock: traffic patterns by the hour, loss, reordering, duplicates, outages and
// restarts. What must hold all the time is checked at each datagram.
#include "lib/wg/peer.h"
#include "lib/wg/test_util.h"

#define SIDES 2
#define DAY_HOURS 24
#define HOUR_NS (UINT64_C(3600) * WG_NS_PER_S)
#define IN_FLIGHT 1024
#define MAX_KEYS 8192
#define MAX_SEQ (1U << 20)
#define MTU 1420

struct flying {
	uint64_t at_ns; /* 0: free */
	unsigned to;
	uint16_t len;
	uint8_t bytes[1500];
};

/* How a side's clock of indices is watched: each given out comes back. */
struct indices {
	uint32_t next, out;
};

struct side {
	struct noise_identity identity;
	struct wg_peer peer;
	struct wg_peer_config config;
	struct indices indices;
	uint64_t tick_ns, last_initiation_ns;
	uint64_t seq_tx, no_session;
	uint8_t *delivered; /* of the other side's numbers */
	uint64_t n_delivered, last_delivered_ns;
	bool reply;
	uint64_t results[WG_RESULTS], gave_up, expired, handshakes_before;
};

struct sim {
	uint64_t now_ns, seed;
	struct side sides[SIDES];
	struct flying flying[IN_FLIGHT];
	unsigned loss_percent, delay_max_ms;
	bool duplicate, down;
	/* Every key that ever sealed a message, and the next counter that it may use. */
	struct {
		uint8_t key[WG_KEY_BYTES];
		uint64_t next;
	} keys[MAX_KEYS];
	unsigned n_keys;
	uint64_t initiations, messages, repeats_refused;
};

static uint32_t index_new(void *arg)
{
	struct indices *indices = arg;

	indices->out++;
	return indices->next++;
}

static void index_free(void *arg, uint32_t index)
{
	struct indices *indices = arg;

	assert_true(index < indices->next);
	assert_true(indices->out > 0);
	indices->out--;
}

/* No (key, counter) pair twice; nothing sealed with a key that is too old. */
static void check_sealed(struct sim *sim, const struct side *side, const uint8_t *message)
{
	const struct wg_keypair *pair = &side->peer.pairs[WG_CURRENT];
	uint64_t counter = wg_data_counter(message);
	unsigned i = sim->n_keys;

	assert_true(pair->valid);
	assert_int_equal(wg_data_receiver(message), pair->remote_index);
	assert_true(sim->now_ns < pair->born_ns + WG_REJECT_AFTER_TIME_NS);
	while (i > 0 && memcmp(sim->keys[i - 1].key, pair->send_key, WG_KEY_BYTES) != 0)
		i--;
	if (i == 0) {
		assert_true(sim->n_keys < MAX_KEYS);
		memcpy(sim->keys[sim->n_keys++].key, pair->send_key, WG_KEY_BYTES);
		i = sim->n_keys;
	}
	assert_true(counter >= sim->keys[i - 1].next);
	sim->keys[i - 1].next = counter + 1;
}

static void put_on_wire(struct sim *sim, unsigned to, const uint8_t *bytes, uint16_t len)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		struct flying *f = &sim->flying[i];

		if (f->at_ns)
			continue;
		f->at_ns = sim->now_ns + WG_NS_PER_MS +
			   test_random_next(&sim->seed) % (sim->delay_max_ms * WG_NS_PER_MS + 1);
		f->to = to;
		f->len = len;
		memcpy(f->bytes, bytes, len);
		return;
	}
	fail_msg("too many datagrams in flight");
}

static void transmit(struct sim *sim, unsigned from, const uint8_t *bytes, uint16_t len)
{
	struct side *side = &sim->sides[from];
	enum wg_message_type type = wg_message_type(bytes, len);

	sim->messages++;
	assert_true(type > 0);
	if (type == WG_INITIATION) {
		assert_true(!side->last_initiation_ns ||
			    sim->now_ns - side->last_initiation_ns >= WG_REKEY_TIMEOUT_NS);
		side->last_initiation_ns = sim->now_ns;
		sim->initiations++;
	}
	if (type == WG_DATA)
		check_sealed(sim, side, bytes);
	if (sim->down || test_random_next(&sim->seed) % 100 < sim->loss_percent)
		return;
	put_on_wire(sim, !from, bytes, len);
	if (sim->duplicate)
		put_on_wire(sim, !from, bytes, len);
}

static void flush(struct sim *sim, unsigned from, const struct wg_out *out)
{
	for (unsigned i = 0; i < out->n_tx; i++)
		transmit(sim, from, out->tx[i].bytes, out->tx[i].len);
	sim->sides[from].gave_up += out->give_up;
	sim->sides[from].expired += out->expired;
	/* Timers may have moved. */
	sim->sides[from].tick_ns = 0;
}

static void send_data(struct sim *sim, unsigned from)
{
	struct side *side = &sim->sides[from];
	uint32_t len = 8 + (uint32_t)(test_random_next(&sim->seed) % (MTU - 8));
	uint8_t buffer[MTU + WG_DATA_OVERHEAD_BYTES + WG_PADDING_BYTES];
	struct wg_out out;
	int sealed;

	memset(buffer, (int)side->seq_tx, sizeof(buffer));
	wg_put_le64(buffer + WG_DATA_HEADER_BYTES, side->seq_tx);
	sealed = wg_peer_send(&side->peer, buffer, len, MTU, sim->now_ns, &out);
	flush(sim, from, &out);
	if (sealed < 0) {
		side->no_session++;
		return;
	}
	assert_int_equal(sealed, wg_padded_len(len, MTU) + WG_DATA_OVERHEAD_BYTES);
	side->seq_tx++;
	assert_true(side->seq_tx < MAX_SEQ);
	transmit(sim, from, buffer, (uint16_t)sealed);
}

static void deliver(struct sim *sim, struct flying *f)
{
	struct side *side = &sim->sides[f->to];
	uint8_t address[6] = {10, 0, 0, (uint8_t)!f->to, 1, 2};
	enum wg_result result;
	struct wg_out out;
	uint8_t bytes[1500];
	uint16_t len = f->len;

	memcpy(bytes, f->bytes, len);
	f->at_ns = 0;
	result = wg_peer_input(&side->peer, bytes, len, address, sizeof(address), sim->now_ns, &out);
	side->results[result]++;
	flush(sim, f->to, &out);
	if (result == WG_INNER) {
		uint64_t seq = wg_get_le64(out.inner);

		assert_true(seq < sim->sides[!f->to].seq_tx);
		assert_false(side->delivered[seq]);
		side->delivered[seq] = 1;
		if (out.inner_len > 8)
			assert_true(out.inner[8] == (uint8_t)seq || out.inner[8] == 0);
		side->n_delivered++;
		side->last_delivered_ns = sim->now_ns;
		if (side->reply)
			send_data(sim, f->to);
	}
}

static void side_start(struct sim *sim, unsigned which, struct tai64n_clock *clock)
{
	struct side *side = &sim->sides[which];

	side->config = (struct wg_peer_config){
		.identity = &side->identity,
		.remote_public_key = sim->sides[!which].identity.public_key,
		.random = {test_random_fill, &sim->seed},
		.tai64n = clock,
		.unix_offset_ns = (int64_t)T0_UNIX_NS,
		.new_index = index_new,
		.free_index = index_free,
		.index_arg = &side->indices,
	};
	assert_int_equal(wg_peer_init(&side->peer, &side->config), 0);
	side->tick_ns = 0;
}

static void restart(struct sim *sim, unsigned which)
{
	struct side *side = &sim->sides[which];

	side->handshakes_before += side->peer.counters.handshakes;
	wg_peer_wipe(&side->peer);
	assert_int_equal(side->indices.out, 0);
	side->last_initiation_ns = 0;
	side_start(sim, which, side->config.tai64n);
}

/* Moves the clock to the next event, no further than until; runs it. */
static void step(struct sim *sim, uint64_t until)
{
	uint64_t next = until;

	for (unsigned i = 0; i < SIDES; i++)
		if (sim->sides[i].tick_ns < next)
			next = sim->sides[i].tick_ns;
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		if (sim->flying[i].at_ns && sim->flying[i].at_ns < next)
			next = sim->flying[i].at_ns;
	if (next > sim->now_ns)
		sim->now_ns = next;
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		if (sim->flying[i].at_ns && sim->flying[i].at_ns <= sim->now_ns)
			deliver(sim, &sim->flying[i]);
	for (unsigned i = 0; i < SIDES; i++) {
		struct side *side = &sim->sides[i];
		struct wg_out out;
		uint64_t tick_ns;

		if (side->tick_ns > sim->now_ns)
			continue;
		tick_ns = wg_peer_tick(&side->peer, sim->now_ns, &out);
		flush(sim, i, &out);
		side->tick_ns = tick_ns;
		assert_true(side->indices.out <= 4);
	}
}

static void run_until(struct sim *sim, uint64_t until)
{
	while (sim->now_ns < until)
		step(sim, until);
}

/* Sends from one side, n packets at once, every period, until the given time. */
static void traffic(struct sim *sim, unsigned from, unsigned n, uint64_t period_ns, uint64_t until)
{
	while (sim->now_ns < until) {
		for (unsigned i = 0; i < n; i++)
			send_data(sim, from);
		run_until(sim, sim->now_ns + period_ns < until ? sim->now_ns + period_ns : until);
	}
}

static void quiet_wire(struct sim *sim)
{
	sim->loss_percent = 0;
	sim->delay_max_ms = 20;
	sim->duplicate = sim->down = false;
	for (unsigned i = 0; i < SIDES; i++) {
		sim->sides[i].reply = false;
		sim->sides[i].peer.timers.persistent_keepalive_ns = 0;
	}
}

static bool no_secrets(const struct wg_peer *peer)
{
	return sodium_is_zero((const uint8_t *)peer->pairs, sizeof(peer->pairs)) &&
	       sodium_is_zero((const uint8_t *)&peer->handshake, sizeof(peer->handshake));
}

/* Request and answer each second: not one packet may want for a session once it stands. */
static void hour_request(struct sim *sim, uint64_t end)
{
	uint64_t lost = sim->sides[0].no_session, delivered = sim->sides[0].n_delivered;

	sim->sides[1].reply = true;
	traffic(sim, 0, 1, WG_NS_PER_S, end);
	assert_true(sim->sides[0].no_session - lost <= 1);
	assert_true(sim->sides[0].n_delivered - delivered >= 3590);
}

/* One direction only, with loss: the receiver's keepalives alone say that it is there. */
static void hour_one_way(struct sim *sim, uint64_t end)
{
	uint64_t keepalives = sim->sides[1].peer.counters.keepalives_tx;
	uint64_t lost = sim->sides[0].no_session;

	sim->loss_percent = 5;
	traffic(sim, 0, 1, WG_NS_PER_S / 2, end);
	assert_true(sim->sides[1].peer.counters.keepalives_tx - keepalives > 300);
	assert_true(sim->sides[0].no_session - lost < 100);
}

/* Nothing at all: nine minutes after the last handshake no secret is left. */
static void hour_idle(struct sim *sim, uint64_t end)
{
	uint64_t messages, expired = sim->sides[0].expired + sim->sides[1].expired;

	run_until(sim, sim->now_ns + WG_ZERO_KEYS_AFTER_NS + WG_REJECT_AFTER_TIME_NS);
	assert_true(no_secrets(&sim->sides[0].peer));
	assert_true(no_secrets(&sim->sides[1].peer));
	assert_int_equal(sim->sides[0].expired + sim->sides[1].expired - expired, 2);
	messages = sim->messages;
	run_until(sim, end);
	assert_int_equal(sim->messages, messages);
}

/* The other side begins; packets overtake each other. */
static void hour_reordered(struct sim *sim, uint64_t end)
{
	uint64_t delivered = sim->sides[0].n_delivered;

	sim->loss_percent = 10;
	sim->delay_max_ms = 400;
	traffic(sim, 1, 1, WG_NS_PER_S / 3, end);
	assert_true(sim->sides[0].n_delivered - delivered > 9000);
}

/* Bursts with pauses longer than a keepalive, both ways. */
static void hour_bursts(struct sim *sim, uint64_t end)
{
	sim->delay_max_ms = 50;
	sim->sides[1].reply = true;
	traffic(sim, 0, 40, 100 * WG_NS_PER_S, end);
}

/* The way is gone for a quarter of an hour: attempts stay 5 s apart, keys expire, and then all is well again. */
static void hour_outage(struct sim *sim, uint64_t end)
{
	uint64_t up, initiations;

	sim->sides[1].reply = true;
	traffic(sim, 0, 1, WG_NS_PER_S, end - HOUR_NS / 2);
	sim->down = true;
	initiations = sim->initiations;
	traffic(sim, 0, 1, WG_NS_PER_S, sim->now_ns + HOUR_NS / 8);
	assert_in_range(sim->initiations - initiations, 80, 110);
	/* Nobody asks any more: the attempt ends. */
	run_until(sim, sim->now_ns + HOUR_NS / 8);
	assert_true(sim->sides[0].gave_up > 0);
	initiations = sim->initiations;
	run_until(sim, sim->now_ns + 60 * WG_NS_PER_S);
	assert_int_equal(sim->initiations, initiations);
	assert_true(no_secrets(&sim->sides[1].peer));
	sim->down = false;
	up = sim->now_ns;
	traffic(sim, 0, 1, WG_NS_PER_S, up + 10 * WG_NS_PER_S);
	assert_true(sim->sides[0].last_delivered_ns > up);
	traffic(sim, 0, 1, WG_NS_PER_S, end);
}

/* Each side is killed once and has lost everything but its key; the sender notices after 15 s without an answer. */
static void hour_restart(struct sim *sim, uint64_t end)
{
	uint64_t at;

	sim->sides[1].reply = true;
	traffic(sim, 0, 1, WG_NS_PER_S, end - HOUR_NS * 2 / 3);
	restart(sim, 1);
	sim->sides[1].reply = true;
	at = sim->now_ns;
	traffic(sim, 0, 1, WG_NS_PER_S, at + 14 * WG_NS_PER_S);
	assert_true(sim->sides[0].last_delivered_ns < at + WG_NS_PER_S);
	traffic(sim, 0, 1, WG_NS_PER_S, at + 18 * WG_NS_PER_S);
	assert_true(sim->sides[0].last_delivered_ns > at + 15 * WG_NS_PER_S);
	traffic(sim, 0, 1, WG_NS_PER_S, end - HOUR_NS / 3);
	restart(sim, 0);
	at = sim->now_ns;
	traffic(sim, 0, 1, WG_NS_PER_S, at + 3 * WG_NS_PER_S);
	assert_true(sim->sides[0].last_delivered_ns > at);
	traffic(sim, 0, 1, WG_NS_PER_S, end);
}

/* Persistent keepalives, no content, each datagram twice: the session never lapses, each repeat is refused. */
static void hour_keepalive(struct sim *sim, uint64_t end)
{
	uint64_t replays = sim->sides[1].results[WG_DROP_REPLAY], rx;

	sim->duplicate = true;
	sim->sides[0].peer.timers.persistent_keepalive_ns = 25 * WG_NS_PER_S;
	sim->sides[0].tick_ns = 0;
	run_until(sim, sim->now_ns + 30 * WG_NS_PER_S);
	rx = sim->sides[1].peer.counters.keepalives_rx;
	while (sim->now_ns < end - 30 * WG_NS_PER_S) {
		run_until(sim, sim->now_ns + 10 * WG_NS_PER_S);
		assert_true(wg_peer_ready(&sim->sides[0].peer, sim->now_ns));
	}
	assert_in_range(sim->sides[1].peer.counters.keepalives_rx - rx, 130, 200);
	assert_in_range(sim->sides[1].results[WG_DROP_REPLAY] - replays, 130, 400);
	run_until(sim, end);
}

static void (*const hours[])(struct sim *, uint64_t) = {
	hour_request, hour_one_way, hour_idle,	  hour_reordered,
	hour_bursts,  hour_outage,  hour_restart, hour_keepalive,
};

static void check_day(struct sim *sim, const struct tai64n_clock *clocks)
{
	for (unsigned i = 0; i < SIDES; i++) {
		struct side *side = &sim->sides[i];
		uint64_t handshakes = side->handshakes_before + side->peer.counters.handshakes;

		/* At two minutes each, 15 busy hours of 24. */
		assert_in_range(handshakes, 400, 1000);
		assert_int_equal(side->results[WG_DROP_TYPE] + side->results[WG_DROP_LENGTH] +
					 side->results[WG_DROP_MAC1] + side->results[WG_DROP_TAG],
				 0);
		assert_true(clocks[i].high_water_ns > T0_UNIX_NS);
		wg_peer_wipe(&side->peer);
		assert_true(sodium_is_zero((const uint8_t *)&side->peer, sizeof(side->peer)));
		assert_int_equal(side->indices.out, 0);
		free(side->delivered);
		print_message("side %u: %lu handshakes, %lu delivered, %lu gave up, %lu expired\n", i,
			      (unsigned long)handshakes, (unsigned long)side->n_delivered,
			      (unsigned long)side->gave_up, (unsigned long)side->expired);
	}
	print_message("%u keys, %lu messages\n", sim->n_keys, (unsigned long)sim->messages);
}

static void test_day(void **state)
{
	struct tai64n_clock clocks[SIDES] = {{0, 0}, {0, 0}};
	struct sim *sim = calloc(1, sizeof(*sim));
	uint8_t key[WG_KEY_BYTES];

	(void)state;
	sim->now_ns = T0_NS;
	sim->seed = 4711;
	for (unsigned i = 0; i < SIDES; i++) {
		test_random_fill(&sim->seed, key, sizeof(key));
		noise_identity_init(&sim->sides[i].identity, key, 0);
		sim->sides[i].delivered = calloc(MAX_SEQ, 1);
		sim->sides[i].indices.next = 1000 * (i + 1);
	}
	for (unsigned i = 0; i < SIDES; i++)
		side_start(sim, i, &clocks[i]);
	for (unsigned hour = 0; hour < DAY_HOURS; hour++) {
		uint64_t end = T0_NS + (hour + 1) * HOUR_NS;

		quiet_wire(sim);
		hours[hour % 8](sim, end);
		run_until(sim, end);
	}
	assert_true(sim->now_ns - T0_NS >= DAY_HOURS * HOUR_NS);
	check_day(sim, clocks);
	free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_day)};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("peer_day", tests, NULL, NULL);
}
