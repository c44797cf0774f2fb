// SPDX-License-Identifier: BSD-3-Clause
// A small reactor over epoll.
#include "dataplane/control/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MAX_WATCHES 256

struct watch {
	int fd; /* −1: free */
	loop_fn fn;
	void *arg;
};

struct loop {
	int epoll_fd;
	bool stop;
	struct watch watches[MAX_WATCHES];
};

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < MAX_WATCHES; i++)
		loop->watches[i].fd = -1;
	if (loop->epoll_fd < 0) {
		free(loop);
		return NULL;
	}
	return loop;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	close(loop->epoll_fd);
	free(loop);
}

static int find(const struct loop *loop, int fd)
{
	for (int i = 0; i < MAX_WATCHES; i++)
		if (loop->watches[i].fd == fd)
			return i;
	return -1;
}

int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *arg)
{
	int slot = find(loop, -1);
	struct epoll_event ev = {.events = events, .data.u32 = (uint32_t)slot};

	if (slot < 0)
		return -ENOSPC;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	loop->watches[slot] = (struct watch){fd, fn, arg};
	return 0;
}

int loop_modify(struct loop *loop, int fd, uint32_t events)
{
	int slot = find(loop, fd);
	struct epoll_event ev = {.events = events, .data.u32 = (uint32_t)slot};

	if (fd < 0 || slot < 0)
		return -ENOENT;
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &ev) ? -errno : 0;
}

void loop_remove(struct loop *loop, int fd)
{
	int slot = fd < 0 ? -1 : find(loop, fd);

	if (slot < 0)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	loop->watches[slot].fd = -1;
}

/* One event at a time: a callback may remove what a later event of the same wait would name. */
void loop_run(struct loop *loop, loop_turn_fn turn, void *arg)
{
	loop->stop = false;
	while (!loop->stop) {
		int timeout_ms = turn(arg);
		int n = 1;

		for (int taken = 0; n == 1 && taken < MAX_WATCHES && !loop->stop; taken++) {
			struct epoll_event ev;

			n = epoll_wait(loop->epoll_fd, &ev, 1, timeout_ms);
			if (n == 1 && loop->watches[ev.data.u32].fd >= 0)
				loop->watches[ev.data.u32].fn(loop->watches[ev.data.u32].arg, ev.events);
			timeout_ms = 0;
		}
	}
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}
