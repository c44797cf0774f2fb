// SPDX-License-Identifier: BSD-3-Clause
// Readers of the flow log over a real socket: filters, limits, one that stands still, one too many.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/control/logs.h"
#include "dataplane/flowlog/flowlog.h"
#include "lib/ipc/client.h"

static const uint32_t capacity[CARD_KINDS] = {4, 4, 4, 4, 4, 4};
static char dir[] = "/tmp/logs-test.XXXXXX", path[64];
static struct cards *cards;
static struct flow_log *flow_log;
static struct logs *logs;
static struct ipc_server *server;

/* What one reader has got. */
struct heard {
	struct ipc_client *c;
	unsigned lines, first, last; /* counts of the records, in order */
	uint64_t lost, answered_lines;
	bool answered, in_order;
	char refused[32];
};

static void on_read(struct ipc_call *call, json_t *params, void *user)
{
	json_t *limit = json_object_get(params, "limit");
	const struct logs_filter filter = {.client = json_string_value(json_object_get(params, "client")),
					   .denied = json_is_true(json_object_get(params, "denied")),
					   .limit = limit ? json_integer_value(limit) : -1};

	(void)user;
	if (strcmp(ipc_call_method(call), "logs.follow") == 0)
		logs_follow(logs, call, &filter);
	else
		logs_read(logs, call, &filter);
}

static void on_close(struct ipc_conn *conn, void *user)
{
	(void)user;
	logs_closed(logs, conn);
}

static const struct ipc_method methods[] = {
	{"logs.read", IPC_NEED_READ, on_read}, {"logs.follow", IPC_NEED_READ, on_read}, {0}};

static int setup(void **state)
{
	const struct flow_log_config config = {.workers = 1, .ring = 64, .memory = 1 << 20};
	struct ipc_server_config cfg = {.path = path, .methods = methods, .on_close = on_close};
	struct card ana = {.id = "c-1", .name = "ana", .more = "ana@example.com"}, bea = {.id = "c-2", .name = "bea", .more = ""};
	char err[256];

	(void)state;
	cards = cards_create(capacity);
	cards_put(cards, CARD_CLIENT, 0, &ana);
	cards_put(cards, CARD_CLIENT, 1, &bea);
	flow_log = flow_log_create(&config, cards);
	logs = logs_create(flow_log);
	server = ipc_server_create(&cfg, err, sizeof(err));
	return flow_log && logs && server ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	ipc_server_destroy(server);
	logs_free(logs);
	flow_log_destroy(flow_log);
	cards_destroy(cards);
	return 0;
}

/* Lines first … first + n − 1, every third refused, every second bea's. */
static void put_lines(unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		struct flow_record *r = flow_ring_room(flow_log_ring(flow_log, 0));

		assert_non_null(r);
		memset(r, 0, sizeof(*r));
		r->family = 4;
		r->proto = 6;
		r->event = i % 3 == 0 ? FLOW_EVENT_BLOCKED : FLOW_EVENT_START;
		r->client = cards_of(cards, CARD_CLIENT, i % 2).card;
		r->revision = i;
		flow_ring_push(flow_log_ring(flow_log, 0));
		flow_log_pump(flow_log);
	}
}

static void on_notification(struct ipc_client *c, const char *method, json_t *params, void *user)
{
	struct heard *h = user;
	json_t *lines = json_object_get(params, "lines"), *line;
	size_t i;

	(void)c;
	assert_string_equal(method, "logs.lines");
	h->lost += (uint64_t)json_integer_value(json_object_get(params, "lost"));
	json_array_foreach(lines, i, line) {
		unsigned n = (unsigned)json_integer_value(json_object_get(line, "revision"));

		h->in_order &= h->lines == 0 || n > h->last;
		h->first = h->lines == 0 ? n : h->first;
		h->last = n;
		h->lines++;
	}
}

static void on_reply(struct ipc_client *c, json_t *result, const struct ipc_error *e, void *user)
{
	struct heard *h = user;

	(void)c;
	h->answered = true;
	h->answered_lines = (uint64_t)json_integer_value(json_object_get(result, "lines"));
	snprintf(h->refused, sizeof(h->refused), "%s", e ? e->name : "");
}

static void ask(struct heard *h, const char *method, const char *params)
{
	json_t *p = json_loads(params, 0, NULL);
	char err[256];

	*h = (struct heard){.in_order = true};
	h->c = ipc_client_connect(path, err, sizeof(err), NULL);
	assert_non_null(h->c);
	ipc_client_on_notification(h->c, on_notification, h);
	assert_int_equal(ipc_client_request(h->c, method, p, on_reply, h), 0);
	json_decref(p);
	assert_int_equal(ipc_client_run(h->c), 0);
}

static void turns(struct heard *h)
{
	for (unsigned i = 0; i < 100; i++) {
		ipc_server_poll(server, 0);
		logs_turn(logs);
		ipc_server_poll(server, 0);
		if (h)
			assert_int_equal(ipc_client_run(h->c), 0);
	}
}

static struct heard read_with(const char *params)
{
	struct heard h;

	ask(&h, "logs.read", params);
	turns(&h);
	assert_true(h.answered && h.in_order);
	assert_int_equal(h.answered_lines, h.lines);
	ipc_client_free(h.c);
	turns(NULL);
	assert_int_equal(logs_readers(logs), 0);
	return h;
}

static void filters_and_limits(void **state)
{
	struct heard h;

	(void)state;
	put_lines(0, 60);
	h = read_with("{}");
	assert_int_equal(h.lines, 60);
	h = read_with("{\"limit\": 5}");
	assert_int_equal(h.lines, 5);
	assert_int_equal(h.first, 55);
	h = read_with("{\"denied\": true}");
	assert_int_equal(h.lines, 20);
	h = read_with("{\"denied\": true, \"limit\": 1}");
	assert_int_equal(h.first, 57);
	h = read_with("{\"client\": \"bea\"}");
	assert_int_equal(h.lines, 30);
	assert_int_equal(h.first, 1);
	h = read_with("{\"client\": \"ana@example.com\", \"limit\": 2}");
	assert_int_equal(h.lines, 2);
	assert_int_equal(h.last, 58);
	assert_int_equal(read_with("{\"client\": \"nobody\"}").lines, 0);
	assert_int_equal(read_with("{\"limit\": 0}").lines, 0);
}

static void follow_goes_on(void **state)
{
	struct heard h;

	(void)state;
	put_lines(0, 30);
	ask(&h, "logs.follow", "{\"limit\": 3}");
	turns(&h);
	assert_true(h.answered);
	assert_int_equal(h.lines, 3);
	put_lines(30, 10);
	turns(&h);
	assert_int_equal(h.lines, 13);
	assert_int_equal(h.last, 39);
	assert_true(h.in_order && h.lost == 0);
	ipc_client_free(h.c);
}

/* It reads nothing while more lines come than are kept: what it then gets and what it has lost are all there were. */
static void slow_reader(void **state)
{
	struct flow_log_stats s;
	struct heard h;

	(void)state;
	ask(&h, "logs.follow", "{\"limit\": 0}");
	turns(&h);
	for (unsigned i = 0; i < 200; i++) {
		put_lines(i * 50, 50);
		ipc_server_poll(server, 0);
		logs_turn(logs);
	}
	turns(&h);
	assert_true(h.in_order);
	assert_true(h.lost > 0);
	assert_int_equal(h.lines + h.lost, 10000);
	flow_log_stats(flow_log, &s);
	assert_int_equal(s.readers_lost, h.lost);
	ipc_client_free(h.c);
}

static void one_too_many(void **state)
{
	struct heard h[LOGS_READERS_MAX + 1];

	(void)state;
	for (unsigned i = 0; i <= LOGS_READERS_MAX; i++) {
		ask(&h[i], "logs.follow", "{}");
		turns(&h[i]);
		assert_true(h[i].answered);
		assert_string_equal(h[i].refused, i < LOGS_READERS_MAX ? "" : "limit");
	}
	assert_int_equal(logs_readers(logs), LOGS_READERS_MAX);
	ipc_client_free(h[3].c);
	turns(NULL);
	assert_int_equal(logs_readers(logs), LOGS_READERS_MAX - 1);
	ipc_client_free(h[LOGS_READERS_MAX].c);
	ask(&h[3], "logs.follow", "{}");
	turns(&h[3]);
	assert_string_equal(h[3].refused, "");
	for (unsigned i = 0; i < LOGS_READERS_MAX; i++)
		ipc_client_free(h[i].c);
}

static void log_off(void **state)
{
	struct heard h;

	(void)state;
	logs_free(logs);
	logs = logs_create(NULL);
	ask(&h, "logs.read", "{}");
	turns(&h);
	assert_string_equal(h.refused, "unsupported");
	ipc_client_free(h.c);
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {T(filters_and_limits), T(follow_goes_on), T(slow_reader), T(one_too_many), T(log_off)};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
