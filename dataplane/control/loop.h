/* SPDX-License-Identifier: BSD-3-Clause */
/* The control thread's event loop: descriptors in one epoll set, and a housekeeping call between turns. One thread. */
#ifndef DATAPLANE_CONTROL_LOOP_H
#define DATAPLANE_CONTROL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* events: EPOLLIN and so on. */
typedef void (*loop_fn)(void *arg, uint32_t events);
/* Called once a turn, before waiting; returns for how many ms the loop may wait at most (0: go on at once). */
typedef int (*loop_turn_fn)(void *arg);

struct loop *loop_create(void); /* NULL with errno */
void loop_free(struct loop *loop);

/* Watches fd; the loop does not own it. 0 or negative errno (-ENOSPC: too many). */
int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *arg);
int loop_modify(struct loop *loop, int fd, uint32_t events);
/* Also right inside a callback, of this or another descriptor. Before close(fd). */
void loop_remove(struct loop *loop, int fd);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop, loop_turn_fn turn, void *arg);
void loop_stop(struct loop *loop);

#endif
