// SPDX-License-Identifier: BSD-3-Clause
// Packets of a tap to the one who asked.
#include "dataplane/control/taps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "dataplane/control/audit.h"
#include "dataplane/control/control.h"
#include "dataplane/flowlog/cards.h"
#include "dataplane/stages/inner.h"
#include "dataplane/tables/reclaim.h"
#include "dataplane/worker.h"
#include "lib/ip.h"

#define QUEUE_MAX  (1u << 20) /* bytes that wait for the reader; then records wait in the rings, and are lost there */
#define BATCH      64
#define BATCHES    16 /* a turn */
#define TURN_MS    5

struct taps {
	struct control *control;
	struct tap *tap; /* that is on; NULL: none */
	struct ipc_call *call;
	struct ipc_conn *conn;
	bool data;
	uint64_t count, told, lost_told;
};

struct taps *taps_create(struct control *control)
{
	struct taps *t = calloc(1, sizeof(*t));

	if (t)
		t->control = control;
	return t;
}

static void free_tap(void *tap, uint64_t unused)
{
	(void)unused;
	tap_destroy(tap);
}

static void take_off(struct taps *t)
{
	struct retire_ops ops = reclaim_ops(t->control->reclaim);

	if (!t->tap)
		return;
	__atomic_store_n(&t->control->edge->tap, NULL, __ATOMIC_RELEASE);
	ops.retire(ops.ctx, free_tap, t->tap, 0);
	reclaim_seal(t->control->reclaim);
	t->tap = NULL;
	t->call = NULL;
	t->conn = NULL;
}

void taps_free(struct taps *t)
{
	if (!t)
		return;
	take_off(t);
	free(t);
}

void taps_start(struct taps *t, struct ipc_call *call, const struct tap_filter *filter, bool data, uint64_t count)
{
	if (t->tap) {
		ipc_reply_fail(call, IPC_E_IN_USE, NULL, "another trace or capture is on (process %d): one at a time",
			       t->conn ? (int)ipc_conn_peer(t->conn)->pid : 0);
		return;
	}
	if (!ipc_call_conn(call)) {
		ipc_reply_fail(call, IPC_E_INTERNAL, NULL, "the reader is gone");
		return;
	}
	t->tap = tap_create(filter, t->control->edge->n_workers);
	if (!t->tap) {
		ipc_reply_fail(call, IPC_E_LIMIT, NULL, "no memory for the packets");
		return;
	}
	t->call = call;
	t->conn = ipc_call_conn(call);
	t->data = data;
	t->count = count;
	t->told = t->lost_told = 0;
	__atomic_store_n(&t->control->edge->tap, t->tap, __ATOMIC_RELEASE);
}

void taps_closed(struct taps *t, const struct ipc_conn *conn)
{
	struct ipc_call *call = t->call;

	if (!t->tap || t->conn != conn)
		return;
	take_off(t);
	ipc_reply_fail(call, IPC_E_INTERNAL, NULL, "the reader is gone");
}

/* ---- a packet as JSON ---- */

static void put_text(json_t *o, const char *key, const char *text)
{
	json_object_set_new(o, key, text && text[0] ? json_string(text) : json_null());
}

static void put_address(json_t *o, const char *key, uint8_t family, const uint8_t *bytes)
{
	struct ip_addr a = {.family = family};
	char text[IP_ADDR_TEXT];

	memcpy(a.bytes, bytes, family == 4 ? 4 : 16);
	json_object_set_new(o, key, json_string(ip_addr_format(&a, text)));
}

static uint16_t host_order(uint16_t be)
{
	return (uint16_t)(be >> 8 | be << 8);
}

/* The headers of the inner packet that it holds. */
static void put_inner(json_t *o, const struct tap_record *r, const uint8_t *p)
{
	struct inner_info info;
	char flags[8], *f = flags;

	if (!r->family || inner_parse(p, r->kept, &info) != INNER_OK) {
		/* cut short by the snap length, or malformed: addresses alone */
		if (r->family && r->kept >= (r->family == 4 ? 20 : 40)) {
			put_address(o, "src", r->family, inner_src(p, r->family));
			put_address(o, "dst", r->family, inner_dst(p, r->family));
		}
		return;
	}
	put_address(o, "src", r->family, inner_src(p, r->family));
	put_address(o, "dst", r->family, inner_dst(p, r->family));
	json_object_set_new(o, "protocol", json_integer(info.proto));
	if (info.proto == INNER_TCP || info.proto == INNER_UDP) {
		json_object_set_new(o, "sport", json_integer(host_order(info.src_port_be)));
		json_object_set_new(o, "dport", json_integer(host_order(info.dst_port_be)));
	}
	if (info.proto == INNER_TCP && !info.later_fragment) {
		for (unsigned i = 0; i < 6; i++)
			if (info.tcp_flags & 1u << i)
				*f++ = "FSRPAU"[i];
		*f = 0;
		put_text(o, "tcp_flags", flags);
	}
}

static void put_names(json_t *o, const struct cards *cards, const struct tap_record *r)
{
	const struct card *client = cards_find(cards, r->client), *rule = cards_find(cards, r->rule),
			  *tunnel = cards_find(cards, r->tunnel), *connector = cards_find(cards, r->connector);

	put_text(o, "client", client ? client->name : NULL);
	put_text(o, "rule", r->rule == CARD_DEFAULT ? "default" : rule ? rule->name : NULL);
	put_text(o, "tunnel", tunnel ? tunnel->name : NULL);
	put_text(o, "hostname", connector ? connector->more : NULL);
}

static void put_time(json_t *o, uint64_t at_ns)
{
	struct timespec wall, mono;
	int64_t ns;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	ns = (wall.tv_sec - mono.tv_sec) * 1000000000ll + wall.tv_nsec - mono.tv_nsec + (int64_t)at_ns;
	json_object_set_new(o, "time_ns", json_integer(ns));
}

static void put_data(json_t *o, const struct tap_record *r)
{
	char text[sodium_base64_ENCODED_LEN(TAP_SNAP, sodium_base64_VARIANT_ORIGINAL)];

	sodium_bin2base64(text, sizeof(text), r->data, r->kept, sodium_base64_VARIANT_ORIGINAL);
	json_object_set_new(o, "data", json_string(text));
}

static json_t *packet_object(const struct taps *t, const struct tap_record *r)
{
	static const char *const outcomes[] = {"sent", "dropped", "consumed", "handed_over"};
	static const char *const directions[] = {"up", "down", "own", NULL};
	struct cards *cards = t->control->edge->cards;
	json_t *o = json_object();

	put_time(o, r->at_ns);
	json_object_set_new(o, "worker", json_integer(r->worker));
	put_text(o, "direction", r->direction <= TAP_UNKNOWN ? directions[r->direction] : NULL);
	put_text(o, "outcome", r->outcome <= TAP_HANDED ? outcomes[r->outcome] : NULL);
	put_text(o, "stage", worker_stage_name(r->stage));
	put_text(o, "reason", r->outcome == TAP_DROPPED ? drop_reason_name(r->reason) : NULL);
	json_object_set_new(o, "received", json_boolean(r->received));
	json_object_set_new(o, "length", json_integer(r->length));
	cards_lock(cards);
	put_names(o, cards, r);
	cards_unlock(cards);
	if (r->outer_family) {
		put_address(o, "outer_src", r->outer_family, r->remote);
		json_object_set_new(o, "outer_sport", json_integer(host_order(r->remote_port_be)));
	}
	if (!t->tap->filter.outer)
		put_inner(o, r, r->data);
	if (t->data)
		put_data(o, r);
	return o;
}

/* ---- out to the reader ---- */

/* One notification of at most BATCH packets of a ring. How many. */
static unsigned send_ring(struct taps *t, struct tap_ring *ring)
{
	json_t *list = json_array(), *params;
	const struct tap_record *r;
	uint64_t lost;
	unsigned n = 0;

	while (n < BATCH && (t->count == 0 || t->told < t->count) && (r = tap_peek(ring)) != NULL) {
		json_array_append_new(list, packet_object(t, r));
		tap_pop(ring);
		t->told++;
		n++;
	}
	lost = tap_dropped(t->tap);
	params = json_pack("{s:I,s:o}", "lost", (json_int_t)(lost - t->lost_told), "packets", list);
	if (n > 0) {
		ipc_conn_notify(t->conn, t->data ? "capture.packets" : "trace.packets", params);
		t->lost_told = lost;
	}
	json_decref(params);
	return n;
}

static void end(struct taps *t)
{
	json_t *result = json_pack("{s:I,s:I}", "packets", (json_int_t)t->told, "lost", (json_int_t)tap_dropped(t->tap));
	struct ipc_call *call = t->call;

	take_off(t);
	ipc_reply(call, result);
	json_decref(result);
}

int taps_turn(struct taps *t)
{
	unsigned n = 1;

	if (!t->tap)
		return -1;
	for (unsigned i = 0; i < BATCHES && n > 0; i++) {
		n = 0;
		for (unsigned w = 0; w < t->tap->workers; w++)
			if (ipc_conn_queued_bytes(t->conn) < QUEUE_MAX)
				n += send_ring(t, t->tap->rings[w]);
	}
	if (t->count != 0 && t->told >= t->count) {
		end(t);
		return -1;
	}
	return n > 0 ? 0 : TURN_MS;
}
