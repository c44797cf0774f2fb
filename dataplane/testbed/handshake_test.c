// SPDX-License-Identifier: BSD-3-Clause
// The handshake side against a whole peer of lib/wg, through real workers and frames.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "dataplane/handshake.h"
#include "dataplane/handshake/internal.h"
#include "dataplane/testbed/testbed.h"
#include "lib/wg/peer.h"

#define SPARE 15 /* session number of a connector that the bed does not use: its peer index is free */

/* A stock peer somewhere on the internet. */
struct stock {
	struct noise_identity identity;
	struct wg_peer wg;
	struct far_end link; /* endpoint only */
	uint32_t index;      /* peer index at the edge */
	unsigned inners;
	uint8_t last_inner[1500];
};

static struct testbed *bed;
static struct stock stock;

static void fill(void *arg, void *to, size_t len)
{
	(void)arg;
	randombytes_buf(to, len);
}

static uint32_t spare_peer(unsigned tunnel)
{
	return bed->n_clients + 1 + tunnel * EDGE_MAX_WORKERS + SPARE;
}

/* Makes the edge know the stock peer: client 0 with a new key, or a session of connector 0. */
static void configure(enum peer_kind kind, bool enabled)
{
	struct peer_record *r = (struct peer_record *)(uintptr_t)bed->edge.records->peers[stock.index];
	const struct client_record *client = bed->edge.records->clients[0];

	if (r == NULL)
		r = calloc(1, sizeof(*r));
	r->index = stock.index;
	r->kind = kind;
	r->client = kind == PEER_CLIENT ? 0 : RECORD_NONE;
	r->connector = kind == PEER_CONNECTOR ? 0 : RECORD_NONE;
	r->session_index = 3;
	r->enabled = enabled;
	r->mtu = 1280;
	r->has_v4 = r->has_v6 = true;
	memcpy(r->v4, client->v4, 4);
	memcpy(r->v6, client->v6, 16);
	memcpy(r->public_key, stock.identity.public_key, 32);
	bed->edge.records->peers[stock.index] = r;
	if (kind == PEER_CLIENT)
		((struct client_record *)(uintptr_t)client)->peers[1] = stock.index;
	else
		((struct connector_record *)(uintptr_t)bed->edge.records->connectors[0])
			->peers[bed->edge.records->connectors[0]->n_peers] = stock.index;
	assert_int_equal(handshake_peer_changed(bed->edge.handshake, stock.index, r), 0);
}

static void new_stock(void)
{
	uint8_t key[32], edge_keys[EDGE_MAX_KEYS][32];
	struct wg_peer_config config = {.identity = &stock.identity, .random = {.fill = fill}};

	memset(&stock, 0, sizeof(stock));
	randombytes_buf(key, sizeof(key));
	noise_identity_init(&stock.identity, key, 0);
	assert_int_equal(handshake_public_keys(bed->edge.handshake, edge_keys), 1);
	config.remote_public_key = edge_keys[0];
	config.unix_offset_ns = (int64_t)(hs_unix_ns() - edge_now_ns());
	assert_int_equal(wg_peer_init(&stock.wg, &config), 0);
	stock.link = bed->clients[0];
	stock.link.endpoint.remote[1] = 77;
	stock.index = spare_peer(0);
}

static int setup(void **state)
{
	(void)state;
	bed = testbed_create(2, 2);
	new_stock();
	return 0;
}

static int teardown(void **state)
{
	bool conserved = testbed_conserved(bed);

	(void)state;
	wg_peer_wipe(&stock.wg);
	testbed_destroy(bed);
	return conserved ? 0 : -1;
}

/* Sends what an event of the stock peer produced, to a worker's queue. */
static void emit(const struct wg_out *out, unsigned worker)
{
	uint8_t frame[2048];

	for (unsigned i = 0; i < out->n_tx; i++)
		testbed_inject(bed, worker, frame,
			       testbed_frame(&stock.link, out->tx[i].bytes, out->tx[i].len, frame));
}

/* Gives the stock peer every frame that was sent to it; what it answers goes to the worker. True: there were some. */
static bool deliver(unsigned worker)
{
	uint8_t payload[2048];
	bool any = false;

	for (unsigned i = 0; i < bed->n_out; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(bed->out[i], const uint8_t *);
		unsigned len = bed->out[i]->data_len - 42u;
		struct wg_out out;

		if (memcmp(p + 30, stock.link.endpoint.remote, 4) != 0)
			continue;
		any = true;
		memcpy(payload, p + 42, len);
		if (wg_peer_input(&stock.wg, payload, len, NULL, 0, edge_now_ns(), &out) == WG_INNER) {
			stock.inners++;
			memcpy(stock.last_inner, out.inner, out.inner_len);
		}
		emit(&out, worker);
	}
	testbed_clear(bed);
	return any;
}

static void settle_traffic(unsigned worker)
{
	do
		testbed_run(bed);
	while (deliver(worker));
}

static void say(const void *inner, unsigned len, unsigned worker)
{
	uint8_t buffer[2048], frame[2048];
	struct wg_out out;
	int n;

	memcpy(buffer + WG_DATA_HEADER_BYTES, inner, len);
	n = wg_peer_send(&stock.wg, buffer, len, 1420, edge_now_ns(), &out);
	emit(&out, worker);
	if (n > 0)
		testbed_inject(bed, worker, frame, testbed_frame(&stock.link, buffer, (unsigned)n, frame));
}

/* A new initiation of the stock peer as bytes. */
static void initiation(uint8_t out[WG_INITIATION_BYTES])
{
	uint8_t ephemeral[32], stamp[WG_TAI64N_BYTES];
	struct noise_handshake h = {0};

	usleep(25000); /* stamps of one peer are 17 ms apart, and accepted 20 ms apart */
	stock.wg.tai64n_tx_ns = tai64n_clock_next(&stock.wg.own_tai64n, hs_unix_ns(), stock.wg.tai64n_tx_ns);
	tai64n_encode(stamp, stock.wg.tai64n_tx_ns);
	randombytes_buf(ephemeral, sizeof(ephemeral));
	noise_remote_bind(&stock.wg.remote, &stock.identity);
	assert_int_equal(noise_create_initiation(&h, &stock.identity, &stock.wg.remote, 99, ephemeral, stamp,
						 (struct wg_initiation *)(void *)out),
			 NOISE_OK);
	cookie_sign(&stock.wg.jar, &stock.wg.remote, out, WG_INITIATION_BYTES, edge_now_ns());
}

static unsigned inject(const uint8_t *message, unsigned len, unsigned worker)
{
	uint8_t frame[512];
	unsigned n;

	testbed_clear(bed);
	testbed_inject(bed, worker, frame, testbed_frame(&stock.link, message, len, frame));
	testbed_run(bed);
	n = bed->n_out;
	return n;
}

static void connect_stock(unsigned worker)
{
	struct wg_out out;

	usleep(25000);
	wg_peer_connect(&stock.wg);
	stock.wg.timers.retry_ns = 0;
	stock.wg.timers.initiation_tx_ns = 0;
	wg_peer_tick(&stock.wg, edge_now_ns(), &out);
	assert_int_equal(out.n_tx, 1);
	emit(&out, worker);
	settle_traffic(worker);
	assert_true(wg_peer_ready(&stock.wg, edge_now_ns()));
}

static void client_connects(void **state)
{
	uint8_t p[1500], q[1500], m[WG_INITIATION_BYTES];
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5, 53, 64);

	(void)state;
	configure(PEER_CLIENT, true);
	/* the responder may not send before it has received data (paper, 5.4.5): the session waits in `next` */
	initiation(m);
	assert_int_equal(inject(m, sizeof(m), 1), 1);
	assert_null(bed->edge.peers[stock.index].current);
	assert_non_null(bed->edge.peers[stock.index].next);
	testbed_clear(bed);
	connect_stock(1);
	say(p, len, 1);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 1);
	assert_true(testbed_open(bed, 0, &bed->connectors[0][1], q) > 0);
	assert_non_null(bed->edge.peers[stock.index].current);
	assert_int_equal(bed->edge.peers[stock.index].owner, 1);
	/* rekey twice: three keypairs live, the owner stays wherever the handshake arrives */
	connect_stock(0);
	connect_stock(0);
	assert_int_equal(bed->edge.peers[stock.index].owner, 1);
	say(p, len, 0);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 1);
	assert_int_equal(testbed_drops(bed, DROP_no_session), 0);
}

static void refused(void **state)
{
	uint8_t m[WG_INITIATION_BYTES], bad[WG_INITIATION_BYTES];

	(void)state;
	/* 1: nobody knows this key */
	initiation(m);
	assert_int_equal(inject(m, sizeof(m), 0), 0);
	assert_int_equal(testbed_drops(bed, DROP_handshake_unknown_peer), 1);
	/* 2: known, but disabled */
	configure(PEER_CLIENT, false);
	initiation(m);
	assert_int_equal(inject(m, sizeof(m), 0), 0);
	assert_int_equal(testbed_drops(bed, DROP_handshake_unknown_peer), 2);
	/* 3: every flipped byte before MAC2 is refused, with MAC1 or before it */
	configure(PEER_CLIENT, true);
	initiation(m);
	for (unsigned i = 0; i < sizeof(m) - WG_MAC_BYTES; i++) {
		memcpy(bad, m, sizeof(m));
		bad[i] ^= 0x40;
		assert_int_equal(inject(bad, sizeof(bad), 0), 0);
	}
	assert_int_equal(testbed_drops(bed, DROP_handshake_mac1) + testbed_drops(bed, DROP_wg_type),
			 sizeof(m) - WG_MAC_BYTES);
	/* 4: as it was, it is answered; 5: a second time it is a replay */
	assert_int_equal(inject(m, sizeof(m), 0), 1);
	usleep(25000);
	assert_int_equal(inject(m, sizeof(m), 0), 0);
	assert_int_equal(testbed_drops(bed, DROP_handshake_replay), 1);
	/* 6: wrong length */
	assert_int_equal(inject(m, sizeof(m) - 1, 0), 0);
	assert_int_equal(testbed_drops(bed, DROP_wg_length), 1);
	/* 7: a response nobody waits for, with a right MAC1 */
	memset(bad, 0, WG_RESPONSE_BYTES);
	bad[0] = WG_RESPONSE;
	cookie_sign(&stock.wg.jar, &stock.wg.remote, bad, WG_RESPONSE_BYTES, edge_now_ns());
	assert_int_equal(inject(bad, WG_RESPONSE_BYTES, 0), 0);
	assert_int_equal(testbed_drops(bed, DROP_handshake_unexpected), 1);
}

/* Paper, 5.4.7: under load an initiation without MAC2 earns a cookie, and with the cookie an answer. */
static void cookies(void **state)
{
	uint8_t m[WG_INITIATION_BYTES], frame[512], payload[64];
	struct handshake_counters counters;
	struct wg_out out;

	(void)state;
	configure(PEER_CLIENT, true);
	bed->edge.handshake->loaded_until_ns = edge_now_ns() + 10 * WG_NS_PER_S;
	wg_peer_connect(&stock.wg);
	wg_peer_tick(&stock.wg, edge_now_ns(), &out);
	memcpy(m, out.tx[0].bytes, sizeof(m));
	assert_int_equal(inject(m, sizeof(m), 0), 1);
	assert_int_equal(testbed_drops(bed, DROP_handshake_mac2), 1);
	assert_int_equal(bed->out[0]->data_len, 42 + WG_COOKIE_REPLY_BYTES);
	memcpy(payload, rte_pktmbuf_mtod_offset(bed->out[0], uint8_t *, 42), sizeof(payload));
	assert_int_equal(wg_peer_input(&stock.wg, payload, sizeof(payload), NULL, 0, edge_now_ns(), &out), WG_CONSUMED);
	initiation(m);
	/* from another port the cookie is worth nothing */
	testbed_clear(bed);
	stock.link.endpoint.remote_port_be ^= 1;
	testbed_inject(bed, 0, frame, testbed_frame(&stock.link, m, sizeof(m), frame));
	stock.link.endpoint.remote_port_be ^= 1;
	testbed_run(bed);
	assert_int_equal(testbed_drops(bed, DROP_handshake_mac2), 2);
	assert_int_equal(inject(m, sizeof(m), 0), 1);
	assert_int_equal(bed->out[0]->data_len, 42 + WG_RESPONSE_BYTES);
	handshake_counters_get(bed->edge.handshake, &counters);
	assert_true(counters.under_load);
	assert_int_equal(counters.cookies_tx, 2);
}

/* Decision 20: after a restart the edge begins, at the endpoint it knew, and at data of an unknown session. */
static void edge_begins(void **state)
{
	struct handshake_runtime runtime = {.active_at_unix_s = 1000};
	struct handshake_counters counters;
	uint8_t p[64];
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5, 53, 8);

	(void)state;
	memcpy(runtime.public_key, stock.identity.public_key, 32);
	runtime.endpoint = stock.link.endpoint;
	handshake_load_runtime(bed->edge.handshake, 0, &runtime, 1);
	configure(PEER_CLIENT, true);
	handshake_tick(bed->edge.handshake, edge_now_ns());
	settle_traffic(0);
	assert_true(wg_peer_ready(&stock.wg, edge_now_ns()));
	assert_non_null(bed->edge.peers[stock.index].current);
	handshake_counters_get(bed->edge.handshake, &counters);
	assert_int_equal(counters.initiations_tx, 1);
	/* within Rekey-Timeout no second one goes out */
	handshake_tick(bed->edge.handshake, edge_now_ns());
	testbed_run(bed);
	handshake_counters_get(bed->edge.handshake, &counters);
	assert_int_equal(counters.initiations_tx, 1);
	say(p, len, 0);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 1);
}

static void unknown_index_begins(void **state)
{
	struct handshake_runtime runtime = {.active_at_unix_s = 0};
	struct handshake_counters counters;
	uint8_t data[64] = {WG_DATA};

	(void)state;
	memcpy(runtime.public_key, stock.identity.public_key, 32);
	runtime.endpoint = stock.link.endpoint;
	configure(PEER_CLIENT, true);
	handshake_load_runtime(bed->edge.handshake, 0, &runtime, 1);
	bed->edge.handshake->peers[stock.index].startup_rank = 0; /* not by itself */
	assert_int_equal(inject(data, sizeof(data), 0), 0);
	assert_int_equal(testbed_drops(bed, DROP_session_unknown), 1);
	handshake_tick(bed->edge.handshake, edge_now_ns());
	settle_traffic(0);
	handshake_counters_get(bed->edge.handshake, &counters);
	assert_int_equal(counters.initiations_tx, 1);
	assert_true(wg_peer_ready(&stock.wg, edge_now_ns()));
	/* a stranger's data begins nothing */
	stock.link.endpoint.remote[1] = 78;
	inject(data, sizeof(data), 0);
	handshake_tick(bed->edge.handshake, edge_now_ns());
	testbed_run(bed);
	handshake_counters_get(bed->edge.handshake, &counters);
	assert_int_equal(counters.initiations_tx, 1);
}

static void hello(bool settled, unsigned worker)
{
	struct ctlmsg m = {.type = CTLMSG_HELLO};
	uint8_t packet[CTLMSG_PACKET_MAX_BYTES];
	int len;

	m.hello.session_index = 3;
	m.hello.flags = settled ? CTLMSG_HELLO_SETTLED : 0;
	len = ctlmsg_encode(&m, CTLMSG_FROM_CONNECTOR, packet, sizeof(packet));
	say(packet, (unsigned)len, worker);
	settle_traffic(worker);
}

static struct ctlmsg last_control(void)
{
	struct ctlmsg m = {0};

	assert_int_equal(ctlmsg_decode(stock.last_inner, sizeof(stock.last_inner), CTLMSG_FROM_EDGE, &m), 0);
	return m;
}

/* docs/protocols.md, 3: a connector session goes where its handshakes arrive until it says that it has settled. */
static void connector_lands(void **state)
{
	struct ctlmsg m;

	(void)state;
	configure(PEER_CONNECTOR, true);
	connect_stock(0);
	hello(false, 0);
	m = last_control();
	assert_int_equal(m.type, CTLMSG_LANDED);
	assert_int_equal(m.landed.worker, 0);
	assert_int_equal(m.landed.workers, 2);
	assert_int_equal(m.landed.session_index, 3);
	assert_false(bed->edge.peers[stock.index].settled);
	stock.link.endpoint.remote_port_be ^= 0x100;
	connect_stock(1);
	hello(false, 1);
	m = last_control();
	assert_int_equal(m.landed.worker, 1);
	assert_int_equal(bed->edge.peers[stock.index].owner, 1);
	hello(true, 1);
	assert_true(bed->edge.peers[stock.index].settled);
	/* from now on it stays */
	connect_stock(0);
	hello(true, 0);
	m = last_control();
	assert_int_equal(m.landed.worker, 1);
	assert_int_equal(bed->edge.peers[stock.index].owner, 1);
	/* link-local from a client is noise, never control */
	assert_int_equal(testbed_drops(bed, DROP_control_bad), 0);
}

static void revoked(void **state)
{
	uint8_t p[1500];
	unsigned len = packet_udp4(p, "100.96.0.10", "198.51.100.101", 5, 53, 64);
	uint32_t sessions;

	(void)state;
	configure(PEER_CLIENT, true);
	connect_stock(0);
	say(p, len, 0);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 1);
	sessions = worker_session_count(bed->edge.workers[0]);
	configure(PEER_CLIENT, false);
	testbed_run(bed);
	assert_int_equal(worker_session_count(bed->edge.workers[0]), sessions - 1);
	testbed_clear(bed);
	say(p, len, 0);
	testbed_run(bed);
	assert_int_equal(bed->n_out, 0);
	assert_int_equal(testbed_drops(bed, DROP_session_unknown), 1);
}

/* An authentic peer that handshakes without end uses up its own allowance, not the slots of others. */
static void slot_allowance(void **state)
{
	uint8_t m[WG_INITIATION_BYTES];
	unsigned answered = 0;

	(void)state;
	configure(PEER_CLIENT, true);
	for (unsigned i = 0; i < 110; i++) {
		initiation(m);
		answered += inject(m, sizeof(m), 0);
	}
	assert_true(answered >= 96 && answered < 100);
	assert_true(testbed_drops(bed, DROP_handshake_rate) > 10);
}

int main(void)
{
#define BED_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		BED_TEST(client_connects),	 BED_TEST(refused),	   BED_TEST(cookies), BED_TEST(edge_begins),
		BED_TEST(unknown_index_begins), BED_TEST(connector_lands), BED_TEST(revoked), BED_TEST(slot_allowance),
	};

	return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}
