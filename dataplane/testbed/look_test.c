// SPDX-License-Identifier: BSD-3-Clause
// What a tap is shown of packets that really went through: once each, whole, with where they left and why.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/tap/tap.h"
#include "dataplane/testbed/testbed.h"

#define CLIENT "100.96.0.10"
#define SERVER "198.51.100.101"

static struct testbed *bed;
static struct tap *tap;

static int setup(void **state)
{
	(void)state;
	bed = testbed_create(2, 8);
	return 0;
}

static int teardown(void **state)
{
	bool conserved = testbed_conserved(bed);

	(void)state;
	bed->edge.tap = NULL;
	testbed_destroy(bed);
	tap_destroy(tap);
	tap = NULL;
	return conserved ? 0 : -1;
}

static struct tap_filter everything(bool outer)
{
	return (struct tap_filter){.client = RECORD_NONE, .outer = outer, .snap = TAP_SNAP};
}

static void put_on(struct tap_filter filter)
{
	bed->edge.tap = NULL;
	tap_destroy(tap);
	tap = tap_create(&filter, bed->edge.n_workers);
	assert_non_null(tap);
	bed->edge.tap = tap;
}

/* The next record of a worker, copied; false: none. */
static bool next_of(unsigned worker, struct tap_record *out)
{
	const struct tap_record *r = tap_peek(tap->rings[worker]);

	if (r == NULL)
		return false;
	*out = *r;
	tap_pop(tap->rings[worker]);
	return true;
}

static struct tap_record next(void)
{
	struct tap_record r;

	assert_true(next_of(0, &r));
	return r;
}

static void no_more(void)
{
	struct tap_record r;

	for (unsigned w = 0; w < 2; w++)
		if (next_of(w, &r))
			fail_msg("worker %u: one record too many: outcome %u at %s", w, r.outcome, worker_stage_name(r.stage));
}

static void pass(struct far_end *from, const uint8_t *p, unsigned len)
{
	testbed_clear(bed);
	testbed_send(bed, 0, from, p, len);
	testbed_run(bed);
}

static unsigned udp(uint8_t *p, const char *dst)
{
	return packet_udp4(p, CLIENT, dst, 5000, 53, 100);
}

static void left(const struct tap_record *r, enum tap_outcome outcome, enum worker_stage stage)
{
	assert_int_equal(r->outcome, outcome);
	assert_string_equal(worker_stage_name(r->stage), worker_stage_name(stage));
}

static void inner_both_ways(void **state)
{
	uint8_t p[1500];
	unsigned len = udp(p, SERVER);
	struct tap_record r;

	(void)state;
	put_on(everything(false));
	pass(&bed->clients[0], p, len);
	r = next();
	left(&r, TAP_SENT, STAGE_encrypt);
	assert_int_equal(r.direction, TAP_UP);
	assert_int_equal(r.length, len);
	assert_int_equal(r.kept, len); /* no padding */
	assert_int_equal(r.data[8], 63);
	assert_memory_equal(r.data + 12, p + 12, len - 12);
	assert_int_equal(r.client, cards_of(bed->edge.cards, CARD_CLIENT, 0).card);
	assert_int_equal(r.tunnel, cards_of(bed->edge.cards, CARD_TUNNEL, 0).card);
	assert_int_equal(r.connector, cards_of(bed->edge.cards, CARD_CONNECTOR, 0).card);
	assert_int_equal(r.rule, CARD_DEFAULT);
	no_more();
	len = packet_udp4(p, SERVER, CLIENT, 53, 5000, 33);
	pass(&bed->connectors[0][0], p, len);
	r = next();
	left(&r, TAP_SENT, STAGE_encrypt);
	assert_int_equal(r.direction, TAP_DOWN);
	assert_int_equal(r.length, len);
	assert_int_equal(r.client, cards_of(bed->edge.cards, CARD_CLIENT, 0).card);
	assert_int_equal(r.tunnel, cards_of(bed->edge.cards, CARD_TUNNEL, 0).card);
	no_more();
}

static void inner_drops(void **state)
{
	uint8_t p[1500];
	struct tap_record r;

	(void)state;
	put_on(everything(false));
	pass(&bed->clients[0], p, udp(p, "127.0.0.1"));
	r = next();
	left(&r, TAP_DROPPED, STAGE_inner_check);
	assert_int_equal(r.reason, DROP_inner_martian);
	assert_int_equal(r.direction, TAP_UP);
	no_more();
	pass(&bed->clients[0], p, udp(p, "192.0.2.1"));
	r = next();
	left(&r, TAP_DROPPED, STAGE_decide);
	assert_int_equal(r.reason, DROP_no_route);
	assert_memory_equal(r.data, p, r.length);
	r = next(); /* and the edge's answer */
	left(&r, TAP_SENT, STAGE_encrypt);
	assert_int_equal(r.direction, TAP_OWN);
	assert_int_equal(r.client, cards_of(bed->edge.cards, CARD_CLIENT, 0).card);
	no_more();
	testbed_rules(bed, 0, false, NULL, 0);
	pass(&bed->clients[0], p, udp(p, SERVER));
	r = next();
	left(&r, TAP_DROPPED, STAGE_decide);
	assert_int_equal(r.reason, DROP_policy_block);
	assert_int_equal(r.rule, CARD_DEFAULT);
}

static void filters(void **state)
{
	struct tap_filter f = everything(false);
	uint8_t p[1500];
	struct tap_record r;

	(void)state;
	f.client = 1;
	put_on(f);
	pass(&bed->clients[0], p, udp(p, SERVER));
	no_more();
	f.client = 0;
	put_on(f);
	pass(&bed->clients[0], p, udp(p, SERVER));
	r = next();
	pass(&bed->connectors[0][0], p, packet_udp4(p, SERVER, CLIENT, 53, 5000, 33));
	r = next();
	assert_int_equal(r.direction, TAP_DOWN);
	/* the address of the private side, whichever way the packet goes */
	f = everything(false);
	f.has_dst = true;
	f.dst_family = 4;
	f.dst_len = 25;
	inet_pton(AF_INET, "198.51.100.0", f.dst);
	put_on(f);
	pass(&bed->connectors[0][0], p, packet_udp4(p, SERVER, CLIENT, 53, 5000, 33));
	r = next();
	pass(&bed->clients[0], p, udp(p, "198.51.100.128"));
	no_more();
	pass(&bed->clients[0], p, udp(p, "198.51.100.127"));
	r = next();
	no_more();
	f.has_dst = false;
	f.dropped = true;
	f.snap = 20;
	put_on(f);
	pass(&bed->clients[0], p, udp(p, SERVER));
	no_more();
	pass(&bed->clients[0], p, udp(p, "192.0.2.1"));
	r = next();
	assert_int_equal(r.reason, DROP_no_route);
	assert_int_equal(r.kept, 20);
	assert_int_equal(r.length, 128);
	no_more();
}

static void frames(void **state)
{
	uint8_t p[1500], frame[2048];
	unsigned len = udp(p, SERVER), n;
	struct tap_record r;

	(void)state;
	put_on(everything(true));
	n = testbed_seal(bed, &bed->clients[0], p, len, frame);
	testbed_inject(bed, 0, frame, n);
	testbed_run(bed);
	r = next(); /* as it came, and what became of it */
	left(&r, TAP_SENT, STAGE_encrypt);
	assert_true(r.received);
	assert_int_equal(r.length, n);
	assert_memory_equal(r.data, frame, n);
	assert_int_equal(r.client, cards_of(bed->edge.cards, CARD_CLIENT, 0).card);
	r = next(); /* as it went out */
	left(&r, TAP_SENT, STAGE_tx);
	assert_false(r.received);
	assert_int_equal(r.length, bed->out[0]->data_len);
	assert_memory_equal(r.data, rte_pktmbuf_mtod(bed->out[0], const uint8_t *), r.length);
	no_more();
	testbed_inject(bed, 0, frame, n); /* again */
	testbed_run(bed);
	r = next();
	left(&r, TAP_DROPPED, STAGE_replay);
	assert_int_equal(r.reason, DROP_replayed);
	assert_memory_equal(r.data, frame, n);
	frame[60] ^= 1;
	testbed_inject(bed, 0, frame, n);
	testbed_run(bed);
	r = next();
	left(&r, TAP_DROPPED, STAGE_decrypt);
	assert_memory_equal(r.data, frame, n);
	testbed_inject(bed, 0, frame, 30);
	testbed_run(bed);
	r = next();
	left(&r, TAP_DROPPED, STAGE_classify);
	assert_int_equal(r.length, 30);
	no_more();
	/* on the wrong worker: told there, as handed over, and not again */
	n = testbed_seal(bed, &bed->clients[0], p, len, frame);
	testbed_inject(bed, 1, frame, n);
	testbed_clear(bed);
	testbed_run(bed);
	assert_true(next_of(1, &r));
	left(&r, TAP_HANDED, STAGE_session);
	assert_memory_equal(r.data, frame, n);
	r = next();
	assert_false(r.received);
	no_more();
}

static void ring_full(void **state)
{
	uint8_t p[1500];
	struct tap_record r;
	unsigned got = 0;

	(void)state;
	put_on(everything(false));
	for (unsigned i = 0; i < TAP_RING + 10; i++) {
		pass(&bed->clients[0], p, udp(p, SERVER));
		assert_int_equal(bed->n_out, 1); /* packets pass all the same */
	}
	assert_int_equal(tap_dropped(tap), 10);
	while (next_of(0, &r))
		got++;
	assert_int_equal(got, TAP_RING);
	bed->edge.tap = NULL;
	pass(&bed->clients[0], p, udp(p, SERVER));
	no_more();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {T(inner_both_ways), T(inner_drops), T(filters), T(frames), T(ring_full)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
