// SPDX-License-Identifier: BSD-3-Clause
// The two threads of the flow log.
#include "dataplane/flowlog/flowlog.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/flowlog/file.h"
#include "dataplane/flowlog/line.h"
#include "lib/log.h"

#define PUMP_MAX      1024 /* records of a worker a round */
#define BUSY_US       1000 /* between rounds that found something … */
#define IDLE_US       20000
#define BATCH_BYTES   65536
#define RETRY_MS      1000 /* a file that cannot be written is tried again */
#define LAST_WRITE_MS 2000 /* at the end */

struct flow_log {
	struct flow_log_config config;
	struct cards *cards;
	struct tail *tail;
	struct flow_ring rings[FLOW_LOG_MAX_WORKERS];
	/* file thread */
	struct log_file file;
	struct tail_cursor cursor;
	char batch[BATCH_BYTES];
	size_t n_batch, done;
	uint64_t retry_ms;
	_Atomic uint64_t file_lost, file_bytes, readers_lost;
	_Atomic int file_error;
	/* life */
	pthread_t lines_thread, file_thread;
	bool started;
	_Atomic bool stop, lines_done;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t now_ms(void)
{
	return now_ns(CLOCK_MONOTONIC) / 1000000;
}

static bool make_ring(struct flow_ring *r, unsigned size)
{
	r->mask = size - 1;
	r->records = aligned_alloc(64, (size_t)size * sizeof(*r->records));
	if (r->records)
		memset(r->records, 0, (size_t)size * sizeof(*r->records)); /* no page fault on a worker */
	return r->records != NULL;
}

struct flow_log *flow_log_create(const struct flow_log_config *config, struct cards *cards)
{
	struct flow_log *log = aligned_alloc(64, (sizeof(*log) + 63) / 64 * 64);
	unsigned ring = config->ring ? config->ring : FLOW_LOG_RING;
	bool ok;

	if (!log)
		return NULL;
	memset(log, 0, sizeof(*log));
	log->config = *config;
	log->cards = cards;
	log->tail = tail_create(config->memory ? config->memory : FLOW_LOG_MEMORY);
	log_file_init(&log->file, config->file, config->max_bytes, config->keep);
	ok = log->tail != NULL && config->workers <= FLOW_LOG_MAX_WORKERS && (ring & (ring - 1)) == 0;
	for (unsigned i = 0; ok && i < config->workers; i++)
		ok = make_ring(&log->rings[i], ring);
	if (ok)
		return log;
	flow_log_destroy(log);
	return NULL;
}

void flow_log_destroy(struct flow_log *log)
{
	if (!log)
		return;
	flow_log_stop(log);
	log_file_close(&log->file);
	for (unsigned i = 0; i < FLOW_LOG_MAX_WORKERS; i++)
		free(log->rings[i].records);
	tail_destroy(log->tail);
	free(log);
}

struct flow_ring *flow_log_ring(struct flow_log *log, unsigned i)
{
	return &log->rings[i];
}

struct tail *flow_log_tail(struct flow_log *log)
{
	return log->tail;
}

bool flow_log_is_client(struct flow_log *log, const struct tail_line *line, const char *text)
{
	const struct card *card;
	bool is;

	cards_lock(log->cards);
	card = cards_find(log->cards, line->client);
	is = card && card_is(card, text);
	cards_unlock(log->cards);
	return is;
}

/* ---- records into lines ---- */

static bool is_denied(const struct flow_record *r)
{
	return r->event == FLOW_EVENT_BLOCKED ||
	       (r->event == FLOW_EVENT_END &&
		(r->reason == FLOW_END_policy_change || r->reason == FLOW_END_client_revoked));
}

static unsigned pump_ring(struct flow_log *log, struct flow_ring *ring, int64_t wall_ns)
{
	const struct flow_record *r;
	unsigned n = 0;

	while (n < PUMP_MAX && (r = flow_ring_peek(ring)) != NULL) {
		char text[FLOW_LINE_MAX];
		struct tail_line line = {.client = r->client, .denied = is_denied(r)};

		cards_lock(log->cards);
		line.len = (uint32_t)flow_line(text, r, log->cards, wall_ns);
		cards_unlock(log->cards);
		flow_ring_pop(ring);
		tail_put(log->tail, &line, text);
		n++;
	}
	return n;
}

unsigned flow_log_pump(struct flow_log *log)
{
	int64_t wall_ns = (int64_t)(now_ns(CLOCK_REALTIME) - now_ns(CLOCK_MONOTONIC));
	unsigned n = 0;

	for (unsigned i = 0; i < log->config.workers; i++)
		n += pump_ring(log, &log->rings[i], wall_ns);
	return n;
}

static void *lines_main(void *arg)
{
	struct flow_log *log = arg;

	while (!atomic_load(&log->stop)) {
		unsigned n = flow_log_pump(log);

		if (n < PUMP_MAX)
			usleep(n > 0 ? BUSY_US : IDLE_US);
	}
	while (flow_log_pump(log) > 0)
		;
	atomic_store(&log->lines_done, true);
	tail_wake(log->tail);
	return NULL;
}

/* ---- lines into the file ---- */

static void gather(struct flow_log *log)
{
	struct tail_line line;

	log->n_batch = log->done = 0;
	while (log->n_batch + FLOW_LINE_MAX <= BATCH_BYTES &&
	       tail_next(log->tail, &log->cursor, &line, log->batch + log->n_batch, BATCH_BYTES - log->n_batch))
		log->n_batch += line.len;
	atomic_store(&log->file_lost, log->cursor.lost);
}

long flow_log_pump_file(struct flow_log *log)
{
	long n;

	if (log->done == log->n_batch)
		gather(log);
	if (log->n_batch == 0)
		return 0;
	n = log->done > 0 && log_file_fd(&log->file) >= 0
		    ? log_file_more(&log->file, log->batch + log->done, log->n_batch - log->done)
		    : log_file_write(&log->file, log->batch + log->done, log->n_batch - log->done, now_ms());
	if (n < 0) {
		if (n != -EAGAIN && atomic_load(&log->file_error) != (int)-n)
			log_warn("flow log: %s: %s; trying again", log->file.path, strerror((int)-n));
		if (n != -EAGAIN)
			atomic_store(&log->file_error, (int)-n);
		return n;
	}
	if (atomic_exchange(&log->file_error, 0))
		log_info("flow log: %s is written again", log->file.path);
	log->done += (size_t)n;
	atomic_fetch_add(&log->file_bytes, (uint64_t)n);
	return n;
}

static void wait_for_file(struct flow_log *log, long rc)
{
	struct pollfd fd = {.fd = log_file_fd(&log->file), .events = POLLOUT};

	/* While the file is stuck lines are still taken note of: those overtaken count at once. */
	if (rc == -EAGAIN)
		poll(&fd, 1, 100);
	else
		usleep(100000);
}

/* Lines that were overtaken while a batch could not be written. */
static void count_overtaken(struct flow_log *log)
{
	struct tail_cursor first = tail_begin(log->tail);

	if (first.sequence > log->cursor.sequence)
		atomic_store(&log->file_lost, log->cursor.lost + first.sequence - log->cursor.sequence);
}

static void *file_main(void *arg)
{
	struct flow_log *log = arg;
	uint64_t until_ms = 0;

	for (;;) {
		bool ending = atomic_load(&log->lines_done);
		long rc = now_ms() < log->retry_ms && !ending ? -ENODATA : flow_log_pump_file(log);

		if (ending && until_ms == 0)
			until_ms = now_ms() + LAST_WRITE_MS;
		if (ending && (rc == 0 || now_ms() > until_ms))
			return NULL;
		if (rc < 0 && rc != -EAGAIN && rc != -ENODATA)
			log->retry_ms = now_ms() + RETRY_MS;
		if (rc < 0) {
			count_overtaken(log);
			wait_for_file(log, rc);
		} else if (rc == 0) {
			tail_wait(log->tail, &log->cursor, 1000);
		}
	}
}

int flow_log_start(struct flow_log *log)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	rc = pthread_create(&log->lines_thread, NULL, lines_main, log);
	if (!rc && log->config.file[0]) {
		rc = pthread_create(&log->file_thread, NULL, file_main, log);
		if (rc) {
			atomic_store(&log->stop, true);
			pthread_join(log->lines_thread, NULL);
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return -rc;
	pthread_setname_np(log->lines_thread, "flow-lines");
	if (log->config.file[0])
		pthread_setname_np(log->file_thread, "flow-file");
	log->started = true;
	return 0;
}

void flow_log_stop(struct flow_log *log)
{
	if (!log->started)
		return;
	log->started = false;
	atomic_store(&log->stop, true);
	pthread_join(log->lines_thread, NULL);
	if (log->config.file[0])
		pthread_join(log->file_thread, NULL);
}

void flow_log_stats(struct flow_log *log, struct flow_log_stats *out)
{
	*out = (struct flow_log_stats){.lines = tail_count(log->tail),
				       .file_lost = atomic_load(&log->file_lost),
				       .readers_lost = atomic_load(&log->readers_lost),
				       .file_bytes = atomic_load(&log->file_bytes),
				       .file_error = atomic_load(&log->file_error)};
	for (unsigned i = 0; i < log->config.workers; i++)
		out->ring_dropped += atomic_load_explicit(&log->rings[i].dropped, memory_order_relaxed);
}

void flow_log_reader_lost(struct flow_log *log, uint64_t n)
{
	atomic_fetch_add(&log->readers_lost, n);
}
