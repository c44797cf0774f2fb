// SPDX-License-Identifier: BSD-3-Clause
// Lines in a ring of bytes; offsets and sequence numbers only grow.
#include "dataplane/flowlog/tail.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct tail {
	pthread_mutex_t lock;
	pthread_cond_t more;
	size_t bytes;
	uint64_t oldest, oldest_sequence; /* offset and number of the oldest line */
	uint64_t next, next_sequence;
	unsigned woken;
	char *ring;
};

struct tail *tail_create(size_t bytes)
{
	struct tail *t = bytes < 64 || (bytes & (bytes - 1)) ? NULL : calloc(1, sizeof(*t));
	pthread_condattr_t attr;

	if (!t)
		return NULL;
	t->bytes = bytes;
	t->ring = malloc(bytes);
	if (!t->ring) {
		free(t);
		return NULL;
	}
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->more, &attr);
	pthread_condattr_destroy(&attr);
	return t;
}

void tail_destroy(struct tail *t)
{
	if (!t)
		return;
	pthread_cond_destroy(&t->more);
	pthread_mutex_destroy(&t->lock);
	free(t->ring);
	free(t);
}

static void copy_in(struct tail *t, uint64_t at, const void *from, size_t n)
{
	size_t first = t->bytes - (at & (t->bytes - 1));

	if (first > n)
		first = n;
	memcpy(t->ring + (at & (t->bytes - 1)), from, first);
	memcpy(t->ring, (const char *)from + first, n - first);
}

static void copy_out(const struct tail *t, uint64_t at, void *to, size_t n)
{
	size_t first = t->bytes - (at & (t->bytes - 1));

	if (first > n)
		first = n;
	memcpy(to, t->ring + (at & (t->bytes - 1)), first);
	memcpy((char *)to + first, t->ring, n - first);
}

void tail_put(struct tail *t, const struct tail_line *line, const char *text)
{
	size_t need = sizeof(*line) + line->len;
	struct tail_line old;

	if (need > t->bytes / 4)
		return;
	pthread_mutex_lock(&t->lock);
	while (t->next + need - t->oldest > t->bytes) {
		copy_out(t, t->oldest, &old, sizeof(old));
		t->oldest += sizeof(old) + old.len;
		t->oldest_sequence++;
	}
	copy_in(t, t->next, line, sizeof(*line));
	copy_in(t, t->next + sizeof(*line), text, line->len);
	t->next += need;
	t->next_sequence++;
	pthread_cond_broadcast(&t->more);
	pthread_mutex_unlock(&t->lock);
}

struct tail_cursor tail_begin(struct tail *t)
{
	struct tail_cursor c = {0};

	pthread_mutex_lock(&t->lock);
	c.offset = t->oldest;
	c.sequence = t->oldest_sequence;
	pthread_mutex_unlock(&t->lock);
	return c;
}

struct tail_cursor tail_end(struct tail *t)
{
	struct tail_cursor c = {0};

	pthread_mutex_lock(&t->lock);
	c.offset = t->next;
	c.sequence = t->next_sequence;
	pthread_mutex_unlock(&t->lock);
	return c;
}

bool tail_next(struct tail *t, struct tail_cursor *c, struct tail_line *line, char *text, size_t size)
{
	bool got = false;

	pthread_mutex_lock(&t->lock);
	if (c->sequence < t->oldest_sequence) {
		c->lost += t->oldest_sequence - c->sequence;
		c->sequence = t->oldest_sequence;
		c->offset = t->oldest;
	}
	while (!got && c->sequence < t->next_sequence) {
		copy_out(t, c->offset, line, sizeof(*line));
		got = line->len <= size;
		if (got)
			copy_out(t, c->offset + sizeof(*line), text, line->len);
		else
			c->lost++;
		c->offset += sizeof(*line) + line->len;
		c->sequence++;
	}
	pthread_mutex_unlock(&t->lock);
	return got;
}

void tail_wait(struct tail *t, const struct tail_cursor *c, unsigned ms)
{
	struct timespec until;
	unsigned woken;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&t->lock);
	woken = t->woken;
	while (c->sequence >= t->next_sequence && woken == t->woken && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&t->more, &t->lock, &until);
	pthread_mutex_unlock(&t->lock);
}

void tail_wake(struct tail *t)
{
	pthread_mutex_lock(&t->lock);
	t->woken++;
	pthread_cond_broadcast(&t->more);
	pthread_mutex_unlock(&t->lock);
}

uint64_t tail_count(struct tail *t)
{
	uint64_t n;

	pthread_mutex_lock(&t->lock);
	n = t->next_sequence;
	pthread_mutex_unlock(&t->lock);
	return n;
}
