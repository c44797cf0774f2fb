// SPDX-License-Identifier: BSD-3-Clause
// The flow log without workers: records into lines, cards, the tail, rotation, and what happens when something is full.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/drop_reasons.h"
#include "dataplane/flowlog/file.h"
#include "dataplane/flowlog/flowlog.h"
#include "dataplane/flowlog/line.h"

static const uint32_t capacity[CARD_KINDS] = {4, 4, 4, 4, 4, 4};
static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/flowlog-test.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) == 0 ? 0 : -1;
}

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct card text_of(const char *id, const char *name, const char *more)
{
	return (struct card){.id = id, .name = name, .more = more};
}

static void put(struct cards *c, enum card_kind kind, uint32_t index, const char *id, const char *name, const char *more)
{
	struct card text = text_of(id, name, more);

	assert_true(cards_put(c, kind, index, &text) >= 0);
}

static struct cards *some_cards(void)
{
	struct cards *c = cards_create(capacity);
	struct card ana = text_of("c-1", "ana", "ana@example.com");

	assert_non_null(c);
	ana.has_v4 = true;
	inet_pton(AF_INET, "100.96.0.2", ana.v4);
	assert_int_equal(cards_put(c, CARD_CLIENT, 0, &ana), 1);
	put(c, CARD_ACCOUNT, 0, "a-1", "default", "");
	put(c, CARD_VNET, 0, "v-1", "blue", "");
	put(c, CARD_TUNNEL, 0, "t-1", "k8s", "");
	put(c, CARD_CONNECTOR, 0, "k-1", "", "node7");
	put(c, CARD_RULE, 0, "r-1", "engineers", "");
	return c;
}

static struct flow_record a_record(const struct cards *c, enum flow_event event)
{
	struct flow_record r = {.at_ns = 5000000000u, .flow = 0x1000000000001, .start_ns = 2000000000u,
				.last_ns = 3125000000u, .packets_up = 10, .bytes_up = 1000, .packets_down = 20,
				.bytes_down = 30000, .revision = 7, .client_port_be = htons(40000),
				.remote_port_be = htons(443), .event = (uint8_t)event, .proto = 6, .family = 4,
				.flags = FLOW_RECORD_ALLOWED};

	r.client = cards_of(c, CARD_CLIENT, 0).card;
	r.account = cards_of(c, CARD_ACCOUNT, 0).card;
	r.vnet = cards_of(c, CARD_VNET, 0).card;
	r.rule = cards_of(c, CARD_RULE, 0).card;
	r.tunnel = cards_of(c, CARD_TUNNEL, 0).card;
	r.connector = cards_of(c, CARD_CONNECTOR, 0).card;
	inet_pton(AF_INET, "198.51.100.101", r.remote_addr);
	return r;
}

#define WALL 1700000000000000000ll

static void line_is(const struct flow_record *r, const struct cards *c, const char *want)
{
	char text[FLOW_LINE_MAX];
	size_t n = flow_line(text, r, c, WALL);

	assert_int_equal(text[n - 1], '\n');
	text[n - 1] = 0;
	assert_string_equal(text, want);
}

#define WHO                                                                                                 \
	"\"client\":\"ana\",\"client_id\":\"c-1\",\"email\":\"ana@example.com\",\"account\":\"default\","      \
	"\"vnet\":\"blue\",\"proto\":\"tcp\",\"src\":\"100.96.0.2\",\"sport\":40000,\"dst\":\"198.51.100.101\"," \
	"\"dport\":443,"

static void golden_lines(void **state)
{
	struct cards *c = some_cards();
	struct flow_record r = a_record(c, FLOW_EVENT_START);

	(void)state;
	line_is(&r, c,
		"{\"time\":\"2023-11-14T22:13:25.000000Z\",\"event\":\"start\",\"flow\":\"0001000000000001\"," WHO
		"\"host\":null,\"detected_protocol\":null,\"verdict\":\"allow\",\"rule\":\"engineers\",\"rule_id\":\"r-1\","
		"\"revision\":7,\"tunnel\":\"k8s\",\"connector_id\":\"k-1\",\"hostname\":\"node7\"}");
	r.event = FLOW_EVENT_END;
	r.reason = FLOW_END_reset;
	r.rule = CARD_DEFAULT;
	r.detected = 1;
	r.flags |= FLOW_RECORD_MID_STREAM;
	memcpy(r.host, "www.example.com", r.host_len = 15);
	line_is(&r, c,
		"{\"time\":\"2023-11-14T22:13:25.000000Z\",\"event\":\"end\",\"flow\":\"0001000000000001\"," WHO
		"\"host\":\"www.example.com\",\"detected_protocol\":\"tls\",\"verdict\":\"allow\",\"rule\":\"default\","
		"\"rule_id\":null,\"revision\":7,\"tunnel\":\"k8s\",\"connector_id\":\"k-1\",\"hostname\":\"node7\","
		"\"start\":\"2023-11-14T22:13:22.000000Z\",\"duration_s\":1.125,\"packets_up\":10,\"bytes_up\":1000,"
		"\"packets_down\":20,\"bytes_down\":30000,\"reason\":\"reset\",\"mid_stream\":true}");
	r = a_record(c, FLOW_EVENT_BLOCKED);
	r.flags = 0;
	r.tunnel = r.connector = CARD_NONE;
	r.reason = DROP_policy_block;
	r.count = 12;
	line_is(&r, c,
		"{\"time\":\"2023-11-14T22:13:25.000000Z\",\"event\":\"blocked\"," WHO
		"\"host\":null,\"detected_protocol\":null,\"verdict\":\"block\",\"rule\":\"engineers\",\"rule_id\":\"r-1\","
		"\"revision\":7,\"tunnel\":null,\"connector_id\":null,\"hostname\":null,\"reason\":\"policy_block\",\"count\":12}");
	cards_destroy(c);
}

/* Decision 27: whatever the texts hold, a line is one line of JSON of bounded length without controls or bidi marks. */
static void hostile_texts(void **state)
{
	static const char *const nasty[] = {"\n{\"event\":\"start\"}", ("\xe2\x80\xae" "evil"), "\x1b[31m", "\\\"\\\"", "\xff\xfe", "\x7f"};
	struct cards *c = some_cards();
	struct flow_record r = a_record(c, FLOW_EVENT_END);
	char text[FLOW_LINE_MAX], name[256];
	size_t n;

	(void)state;
	for (unsigned i = 0; i < sizeof(nasty) / sizeof(nasty[0]); i++) {
		json_t *doc;

		put(c, CARD_RULE, 0, "r-1", nasty[i], "");
		r.rule = cards_of(c, CARD_RULE, 0).card;
		memcpy(r.host, nasty[i], r.host_len = (uint8_t)strlen(nasty[i]));
		n = flow_line(text, &r, c, WALL);
		for (size_t k = 0; k + 1 < n; k++)
			assert_true((unsigned char)text[k] >= 0x20 && (unsigned char)text[k] < 0x7f);
		doc = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(doc);
		json_decref(doc);
	}
	memset(name, '\\', 255);
	name[255] = 0;
	for (unsigned k = 0; k < CARD_KINDS; k++)
		put(c, (enum card_kind)k, 1, name, name, name);
	r.client = cards_of(c, CARD_CLIENT, 1).card;
	r.account = cards_of(c, CARD_ACCOUNT, 1).card;
	r.vnet = cards_of(c, CARD_VNET, 1).card;
	r.rule = cards_of(c, CARD_RULE, 1).card;
	r.tunnel = cards_of(c, CARD_TUNNEL, 1).card;
	r.connector = cards_of(c, CARD_CONNECTOR, 1).card;
	memcpy(r.host, name, r.host_len = 255);
	r.packets_up = r.bytes_up = r.packets_down = r.bytes_down = r.revision = UINT64_MAX;
	r.reason = FLOW_END_client_revoked;
	n = flow_line(text, &r, c, WALL);
	assert_true(n < FLOW_LINE_MAX && text[n - 1] == '\n' && text[n - 2] == '}');
	cards_destroy(c);
}

/* A card once noted keeps its names, whoever has the index later. */
static void cards_outlive_indexes(void **state)
{
	struct cards *c = some_cards();
	struct card_owner ana = cards_of(c, CARD_CLIENT, 0), renamed, bea;

	(void)state;
	assert_int_equal(ana.card, ana.born);
	put(c, CARD_CLIENT, 0, "c-1", "ana maria", "ana@example.com");
	renamed = cards_of(c, CARD_CLIENT, 0);
	assert_true(renamed.card > ana.card);
	assert_int_equal(renamed.born, ana.born);
	put(c, CARD_CLIENT, 0, "c-1", "ana maria", "ana@example.com"); /* nothing new: no new card */
	assert_int_equal(cards_of(c, CARD_CLIENT, 0).card, renamed.card);
	cards_drop(c, CARD_CLIENT, 0);
	assert_int_equal(cards_of(c, CARD_CLIENT, 0).card, renamed.card);
	assert_true(cards_of(c, CARD_CLIENT, 0).born > renamed.card);
	put(c, CARD_CLIENT, 0, "c-2", "bea", "");
	bea = cards_of(c, CARD_CLIENT, 0);
	assert_true(bea.born > renamed.card);
	assert_string_equal(cards_find(c, ana.card)->name, "ana");
	assert_string_equal(cards_find(c, renamed.card)->name, "ana maria");
	assert_string_equal(cards_find(c, bea.card)->name, "bea");
	/* deleted and made again with the same id: another owner all the same */
	cards_drop(c, CARD_CLIENT, 0);
	put(c, CARD_CLIENT, 0, "c-2", "bea", "");
	assert_true(cards_of(c, CARD_CLIENT, 0).born > bea.card);
	assert_null(cards_find(c, CARD_NONE));
	assert_null(cards_find(c, CARD_DEFAULT));
	cards_destroy(c);
}

static void cards_are_bounded(void **state)
{
	struct cards *c = some_cards();
	uint32_t first = cards_of(c, CARD_RULE, 0).card;
	char name[32];

	(void)state;
	for (unsigned i = 0; i < CARDS_RETIRED_MAX; i++) {
		snprintf(name, sizeof(name), "rule %u", i);
		put(c, CARD_RULE, 0, "r-1", name, "");
	}
	assert_non_null(cards_find(c, first));
	put(c, CARD_RULE, 0, "r-1", "one more", "");
	assert_null(cards_find(c, first));
	assert_string_equal(cards_find(c, cards_of(c, CARD_RULE, 0).card)->name, "one more");
	assert_non_null(cards_find(c, cards_of(c, CARD_CLIENT, 0).card)); /* those in use stay */
	cards_destroy(c);
}

static void ring_full(void **state)
{
	struct cards *c = some_cards();
	struct flow_log_config config = {.workers = 1, .ring = 4};
	struct flow_log *log = flow_log_create(&config, c);
	struct flow_ring *ring = flow_log_ring(log, 0);
	struct flow_record r = a_record(c, FLOW_EVENT_START);
	struct flow_log_stats s;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 6; i++) {
			struct flow_record *room = flow_ring_room(ring);

			assert_int_equal(room != NULL, i < 4);
			assert_int_equal(flow_ring_has_room(ring), i < 4);
			if (!room)
				continue;
			*room = r;
			flow_ring_push(ring);
		}
		assert_int_equal(flow_log_pump(log), 4);
		assert_int_equal(flow_log_pump(log), 0);
	}
	flow_log_stats(log, &s);
	assert_int_equal(s.ring_dropped, 6);
	assert_int_equal(s.lines, 12);
	flow_log_destroy(log);
	cards_destroy(c);
}

static void tail_overtakes(void **state)
{
	struct tail *t = tail_create(1024);
	struct tail_cursor slow = tail_begin(t), fresh;
	struct tail_line line = {.client = 5, .denied = true}, got;
	char text[200], out[200];
	unsigned seen = 0;

	(void)state;
	assert_null(tail_create(1000)); /* no power of two */
	assert_false(tail_next(t, &slow, &got, out, sizeof(out)));
	for (unsigned i = 0; i < 100; i++) {
		line.len = (uint32_t)snprintf(text, sizeof(text), "line %u %.*s\n", i, (int)(i % 60),
					      "............................................................");
		tail_put(t, &line, text);
	}
	while (tail_next(t, &slow, &got, out, sizeof(out))) {
		char want[16];

		snprintf(want, sizeof(want), "line %u ", (unsigned)slow.lost + seen++);
		assert_memory_equal(out, want, strlen(want));
		assert_true(got.client == 5 && got.denied && out[got.len - 1] == '\n');
	}
	assert_true(seen > 5 && seen + slow.lost == 100);
	fresh = tail_end(t);
	assert_false(tail_next(t, &fresh, &got, out, sizeof(out)));
	tail_put(t, &line, text);
	assert_false(tail_next(t, &fresh, &got, out, 4)); /* no room: skipped and counted */
	assert_int_equal(fresh.lost, 1);
	line.len = 257;
	tail_put(t, &line, text); /* longer than a quarter: not taken */
	assert_int_equal(tail_count(t), 101);
	tail_destroy(t);
}

static long file_size(const char *name)
{
	struct stat st;

	return stat(in_dir(name), &st) ? -1 : (long)st.st_size;
}

static void rotation(void **state)
{
	struct log_file f;
	struct stat st;

	(void)state;
	log_file_init(&f, in_dir("r.log"), 100, 2);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(log_file_write(&f, "0123456789012345678901234567890123456789", 40, i), 40);
	/* two writes fit a file; the fifth file is the current one with one write, two old ones are kept */
	assert_int_equal(file_size("r.log"), 40);
	assert_int_equal(file_size("r.log.1"), 80);
	assert_int_equal(file_size("r.log.2"), 80);
	assert_int_equal(file_size("r.log.3"), -1);
	assert_int_equal(stat(in_dir("r.log"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640 & ~(mode_t)022);
	/* somebody moves it away: made anew within a second */
	assert_int_equal(unlink(in_dir("r.log")), 0);
	assert_int_equal(log_file_write(&f, "x\n", 2, 500), 2);
	assert_int_equal(file_size("r.log"), -1);
	assert_int_equal(log_file_write(&f, "y\n", 2, 2000), 2);
	assert_int_equal(file_size("r.log"), 2);
	log_file_close(&f);
	/* a file that is there already is gone on with, its size counts */
	log_file_init(&f, in_dir("r.log"), 100, 0);
	assert_int_equal(log_file_write(&f, "z\n", 2, 3000), 2);
	assert_int_equal(file_size("r.log"), 4);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(log_file_write(&f, "0123456789012345678901234567890123456789", 40, 4000), 40);
	assert_int_equal(file_size("r.log"), 40); /* keep 0: begun anew */
	log_file_close(&f);
	log_file_init(&f, in_dir("no/such/dir"), 100, 0);
	assert_int_equal(log_file_write(&f, "z\n", 2, 0), -ENOENT);
	log_file_init(&f, "/dev/full", 100, 2);
	assert_int_equal(log_file_write(&f, "z\n", 2, 0), -ENOSPC);
	assert_int_equal(access("/dev/full.1", F_OK), -1);
}

static void push_lines(struct flow_log *log, const struct flow_record *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct flow_record *room = flow_ring_room(flow_log_ring(log, 0));

		assert_non_null(room);
		*room = *r;
		room->count = i;
		flow_ring_push(flow_log_ring(log, 0));
		if (i % 16 == 15)
			flow_log_pump(log);
	}
	flow_log_pump(log);
}

/* A FIFO whose reader stands still: lines wait in memory, then the oldest are lost and counted; none is torn. */
static void slow_reader(void **state)
{
	struct cards *c = some_cards();
	struct flow_log_config config = {.workers = 1, .ring = 64, .memory = 65536};
	struct flow_record r = a_record(c, FLOW_EVENT_BLOCKED);
	struct flow_log_stats s;
	struct flow_log *log;
	unsigned lines = 0;
	char text[4096];
	FILE *reader;
	long rc;
	int fd;

	(void)state;
	snprintf(config.file, sizeof(config.file), "%s", in_dir("fifo"));
	assert_int_equal(mkfifo(config.file, 0600), 0);
	log = flow_log_create(&config, c);
	push_lines(log, &r, 1);
	assert_int_equal(flow_log_pump_file(log), -ENXIO); /* no reader yet */
	fd = open(config.file, O_RDONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	push_lines(log, &r, 999);
	while ((rc = flow_log_pump_file(log)) > 0)
		;
	assert_int_equal(rc, -EAGAIN);
	push_lines(log, &r, 1000);
	reader = fdopen(fd, "r");
	for (;;) {
		json_t *doc;

		while (flow_log_pump_file(log) > 0)
			;
		if (!fgets(text, sizeof(text), reader))
			break;
		doc = json_loads(text, 0, NULL);
		assert_non_null(doc);
		json_decref(doc);
		lines++;
		clearerr(reader);
	}
	flow_log_stats(log, &s);
	assert_true(s.file_lost > 0);
	assert_int_equal(lines + s.file_lost, 2000);
	fclose(reader);
	flow_log_destroy(log);
	cards_destroy(c);
}

/* With its threads: what was put before the stop is in the file after it. */
static void threads(void **state)
{
	struct cards *c = some_cards();
	struct flow_log_config config = {.workers = 1, .max_bytes = 1 << 20, .keep = 1};
	struct flow_record r = a_record(c, FLOW_EVENT_START);
	struct flow_log *log;
	unsigned lines = 0;
	char text[4096];
	FILE *f;

	(void)state;
	snprintf(config.file, sizeof(config.file), "%s", in_dir("t.log"));
	log = flow_log_create(&config, c);
	assert_int_equal(flow_log_start(log), 0);
	for (unsigned i = 0; i < 1000; i++) {
		struct flow_record *room = flow_ring_room(flow_log_ring(log, 0));

		*room = r;
		flow_ring_push(flow_log_ring(log, 0));
	}
	flow_log_stop(log);
	f = fopen(config.file, "r");
	assert_non_null(f);
	while (fgets(text, sizeof(text), f))
		lines++;
	assert_int_equal(lines, 1000);
	fclose(f);
	flow_log_destroy(log);
	cards_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_lines),	     cmocka_unit_test(hostile_texts), cmocka_unit_test(cards_outlive_indexes),
		cmocka_unit_test(cards_are_bounded), cmocka_unit_test(ring_full),     cmocka_unit_test(tail_overtakes),
		cmocka_unit_test(rotation),	     cmocka_unit_test(slow_reader),   cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
