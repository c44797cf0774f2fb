// SPDX-License-Identifier: BSD-3-Clause
// Waiting until every connected edge has applied a revision.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctrl/ctrl.h"
#include "ctrl/sync.h"

struct waiter {
	struct waiter *next;
	uint64_t revision, deadline_ns;
	wait_fn *fn;
	void *user;
};

uint64_t ctrl_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Names of the connected edges that have not applied it; "" where all have. */
static void lagging(struct ctrl *c, uint64_t revision, char *out, size_t out_len)
{
	size_t n = 0;

	out[0] = 0;
	for (struct edge *e = c->edges; e; e = e->next) {
		if (e->applied < revision && n + strlen(e->edge_id) + 3 < out_len)
			n += (size_t)snprintf(out + n, out_len - n, "%s%s", n ? ", " : "", e->edge_id);
	}
}

static void on_timer(uv_timer_t *t)
{
	wait_check(t->data);
}

static void set_timer(struct ctrl *c)
{
	uint64_t first = UINT64_MAX, now = ctrl_now_ns();

	for (struct waiter *w = c->waiters; w; w = w->next)
		first = w->deadline_ns < first ? w->deadline_ns : first;
	if (first == UINT64_MAX)
		uv_timer_stop(&c->wait_timer);
	else
		uv_timer_start(&c->wait_timer, on_timer, first > now ? (first - now) / 1000000 + 1 : 0, 0);
}

void wait_check(struct ctrl *c)
{
	uint64_t now = ctrl_now_ns();
	struct waiter **pp = &c->waiters;

	while (*pp) {
		struct waiter *w = *pp;
		char names[512];

		lagging(c, w->revision, names, sizeof(names));
		if (names[0] && now < w->deadline_ns) {
			pp = &w->next;
			continue;
		}
		*pp = w->next;
		w->fn(c, w->user, !names[0] && c->edges, names);
		free(w);
		pp = &c->waiters; /* fn may have changed the list */
	}
	set_timer(c);
}

int wait_applied(struct ctrl *c, uint64_t revision, uint64_t timeout_ms, wait_fn *fn, void *user)
{
	struct waiter *w = malloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct waiter){c->waiters, revision, ctrl_now_ns() + timeout_ms * 1000000u, fn, user};
	c->waiters = w;
	wait_check(c);
	return 0;
}

void wait_cancel(struct ctrl *c, void *user)
{
	for (struct waiter **pp = &c->waiters; *pp;) {
		struct waiter *w = *pp;

		if (w->user == user) {
			*pp = w->next;
			free(w);
		} else {
			pp = &w->next;
		}
	}
}

void wait_end(struct ctrl *c)
{
	while (c->waiters) {
		struct waiter *w = c->waiters;

		c->waiters = w->next;
		w->fn(c, w->user, false, "");
		free(w);
	}
}
