// SPDX-License-Identifier: BSD-3-Clause
// Case handshake: initiations of many clients through a worker and the handshake thread's own code, both on the clock; beside
// them what libsodium needs for the curve alone, and what packets cost that only pretend.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "dataplane/handshake.h"
#include "dataplane/testbed/testbed.h"
#include "lib/wg/cookie.h"
#include "lib/wg/noise.h"
#include "lib/wg/tai64n.h"
#include "pktgen/bench_bed.h"

#define CLIENTS  512   /* no one of them shakes hands more often than 50 times a second */
#define BATCH    32    /* waiting at once: below what the edge takes for load */
#define MOST     8192  /* handshakes of a run: each takes a slot, which rests for minutes afterwards */
#define CURVE_OPS 3    /* X25519 of a responder: es, ee, se; ss was computed when the peer was first met */
#define FRAME    192

struct initiator {
	struct noise_identity identity;
	struct noise_remote edge;
	struct noise_handshake handshake;
	struct cookie_jar jar;
	struct far_end link; /* its address */
};

struct shake {
	struct testbed *bed;
	struct initiator *clients;
	unsigned next;     /* client */
	uint64_t stamp_ns; /* of the last initiation */
	uint64_t thread, worker; /* cycles of the last batch */
	double curve, base; /* cycles: X25519, and that of the base point */
};

enum pretence { HONEST, BAD_MAC1, BAD_REST };

static void *need(void *p)
{
	if (p != NULL)
		return p;
	fprintf(stderr, "sluice-pktgen: no memory for clients that shake hands\n");
	exit(1);
}

/* Gives client i of the bed the key of our initiator, which it knows as an old acquaintance. */
static void meet(struct shake *x, uint32_t i, const uint8_t edge_key[32])
{
	struct initiator *c = &x->clients[i];
	struct peer_record *r = (struct peer_record *)(uintptr_t)x->bed->edge.records->peers[i];
	uint8_t key[32];

	randombytes_buf(key, sizeof(key));
	noise_identity_init(&c->identity, key, 0);
	noise_remote_init(&c->edge, edge_key, NULL);
	c->link = x->bed->clients[i];
	memcpy(r->public_key, c->identity.public_key, 32);
	if (noise_remote_bind(&c->edge, &c->identity) != NOISE_OK || handshake_peer_changed(x->bed->edge.handshake, i, r) != 0) {
		fprintf(stderr, "sluice-pktgen: the edge does not take a client's key\n");
		exit(1);
	}
}

/* A frame with an initiation of the next client; pretences are made from an honest one. */
static unsigned make_frame(struct shake *x, enum pretence how, uint8_t frame[FRAME])
{
	struct initiator *c = &x->clients[x->next++ % CLIENTS];
	uint8_t ephemeral[32], stamp[WG_TAI64N_BYTES];
	struct wg_initiation message;

	x->stamp_ns += 1u << 25;
	tai64n_encode(stamp, x->stamp_ns);
	randombytes_buf(ephemeral, sizeof(ephemeral));
	if (noise_create_initiation(&c->handshake, &c->identity, &c->edge, x->next, ephemeral, stamp, &message) != NOISE_OK)
		exit(1);
	if (how == BAD_REST)
		message.enc_static[7] ^= 1;
	cookie_sign(&c->jar, &c->edge, &message, sizeof(message), bench_now_ns());
	if (how == BAD_MAC1)
		message.macs.mac1[3] ^= 1;
	return testbed_frame(&c->link, (const uint8_t *)&message, sizeof(message), frame);
}

/* Opens what the edge answered; how many responses are as they must be. */
static unsigned take_responses(struct shake *x, unsigned first)
{
	struct testbed *bed = x->bed;
	unsigned good = 0;

	for (unsigned i = 0; i < bed->n_out; i++) {
		const uint8_t *frame = rte_pktmbuf_mtod(bed->out[i], const uint8_t *);
		const struct wg_response *response = (const void *)(frame + 42);
		struct initiator *c;
		struct noise_keys keys;
		uint32_t index;

		if (bed->out[i]->data_len != 42 + WG_RESPONSE_BYTES || wg_message_type(response, WG_RESPONSE_BYTES) != WG_RESPONSE)
			continue;
		index = wg_get_le32(&response->receiver_le) - 1; /* the number that make_frame gave */
		if (index - first >= BATCH)
			continue;
		c = &x->clients[index % CLIENTS];
		good += memcmp(frame + 30, c->link.endpoint.remote, 4) == 0 &&
			noise_consume_response(&c->handshake, &c->identity, &c->edge, response) == NOISE_OK &&
			noise_derive_keys(&c->handshake, &keys) == NOISE_OK;
	}
	testbed_clear(bed);
	return good;
}

/* All that waits, by the worker's code and the handshake thread's, each on a clock of its own. */
static void run_all(struct shake *x)
{
	unsigned work;

	x->thread = x->worker = 0;
	do {
		uint64_t begin = bench_clock(), middle;

		work = worker_turn(x->bed->edge.workers[0]);
		middle = bench_clock();
		work += handshake_turn(x->bed->edge.handshake);
		x->worker += middle - begin;
		x->thread += bench_clock() - middle;
	} while (work > 0);
}

static void batch(struct shake *x, enum pretence how, struct bench_measure *m, struct bench_row *row)
{
	uint64_t bad = testbed_drops(x->bed, DROP_handshake_mac1) + testbed_drops(x->bed, DROP_handshake_decrypt);
	unsigned first = x->next, good;
	uint8_t frame[FRAME];

	for (unsigned i = 0; i < BATCH; i++)
		testbed_inject(x->bed, 0, frame, make_frame(x, how, frame));
	run_all(x);
	good = take_responses(x, first);
	if (how != HONEST)
		good = (unsigned)(testbed_drops(x->bed, how == BAD_MAC1 ? DROP_handshake_mac1 : DROP_handshake_decrypt) +
				  testbed_drops(x->bed, how == BAD_MAC1 ? DROP_handshake_decrypt : DROP_handshake_mac1) - bad);
	row->verified += good;
	row->lost += BATCH - good;
	bench_measure_burst(m, x->worker + x->thread, BATCH);
	bench_measure_rep(m, x->worker + x->thread, 0, BATCH);
}

/* The share of the curve in a row: what stands under `aead`, and its rest. */
static double add_row(struct bench *b, struct bench_measure *m, struct bench_row *row, double curve)
{
	bench_measure_end(m, row);
	row->aead = curve;
	row->rest = row->total - curve;
	bench_add(b, row);
	return row->total;
}

static double measure(struct bench *b, struct shake *x, enum pretence how, const char *what, unsigned most, double curve)
{
	struct bench_row row = {.name = "handshake", .scale = {.clients = CLIENTS}, .aead_impl = what};
	uint64_t end = bench_now_ns() + (uint64_t)(bench_seconds(b) * 1e9);
	struct bench_measure m = {0};

	bench_progress(b, "handshake, %s", what);
	do
		batch(x, how, &m, &row);
	while (m.n_reps * BATCH < most && (bench_now_ns() < end || m.n_reps < 8));
	return add_row(b, &m, &row, curve);
}

/* ---- the floor: libsodium's curve alone ---- */

static double measure_curve(struct bench *b, bool base)
{
	struct bench_row row = {.name = "handshake", .aead_impl = base ? "libsodium base" : "libsodium x25519"};
	uint64_t end = bench_now_ns() + (uint64_t)(bench_seconds(b) * 0.3e9);
	uint8_t secret[32], point[32], out[32];
	struct bench_measure m = {0};

	randombytes_buf(secret, sizeof(secret));
	crypto_scalarmult_base(point, secret);
	while (bench_now_ns() < end) {
		uint64_t begin = bench_clock();

		for (unsigned i = 0; i < BATCH; i++) {
			if (base ? crypto_scalarmult_base(out, secret) : crypto_scalarmult(out, secret, point))
				exit(1);
			memcpy(base ? secret : point, out, 32);
		}
		bench_measure_burst(&m, bench_clock() - begin, BATCH);
		bench_measure_rep(&m, bench_clock() - begin, 0, BATCH);
	}
	bench_measure_end(&m, &row);
	row.verified = row.packets;
	row.aead = row.total;
	row.rest = 0;
	bench_add(b, &row);
	return row.total;
}

static void summary(const struct bench *b, const struct shake *x, double whole, double mac1, double rest)
{
	double floor = CURVE_OPS * x->curve + x->base;

	printf("  responder handshakes: %.0f a second per core; libsodium's %u X25519 and one of the base point alone allow %.0f\n"
	       "  a bad MAC1 costs %.2f us; a good MAC1 with a bad rest %.1f us, one X25519 %.1f us\n",
	       b->tsc_hz / whole, CURVE_OPS, b->tsc_hz / floor, mac1 / b->tsc_hz * 1e6, rest / b->tsc_hz * 1e6,
	       x->curve / b->tsc_hz * 1e6);
}

static void prepare(struct bench *b, struct shake *x)
{
	const struct testbed_size size = {.workers = 1, .clients = CLIENTS, .spare_sessions = 2 * MOST, .mtu = 1420, .no_log = true};
	uint8_t keys[EDGE_MAX_KEYS][32];

	bench_start_dpdk(b);
	x->bed = testbed_create_sized(&size);
	x->clients = need(calloc(CLIENTS, sizeof(*x->clients)));
	x->stamp_ns = 1700000000ull * 1000000000ull;
	handshake_public_keys(x->bed->edge.handshake, keys);
	for (uint32_t i = 0; i < CLIENTS; i++)
		meet(x, i, keys[0]);
}

void bench_run_handshake(struct bench *b)
{
	struct shake x = {0};
	double whole, mac1, rest, floor;

	if (!b->options.cases[BENCH_handshake])
		return;
	prepare(b, &x);
	x.curve = measure_curve(b, false);
	x.base = measure_curve(b, true);
	floor = CURVE_OPS * x.curve + x.base;
	measure(b, &x, HONEST, "first contact", CLIENTS, floor + x.curve);
	whole = measure(b, &x, HONEST, "edge", MOST, floor);
	mac1 = measure(b, &x, BAD_MAC1, "bad MAC1", MOST, 0);
	rest = measure(b, &x, BAD_REST, "bad rest", MOST, x.curve);
	summary(b, &x, whole, mac1, rest);
	testbed_destroy(x.bed);
	sodium_memzero(x.clients, CLIENTS * sizeof(*x.clients));
	free(x.clients);
}
