/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control thread: one loop over netlink, sluice-ctrl, operators' sockets, signals, and the end of other threads'
 * grace periods. Everything that its parts share.
 */
#ifndef DATAPLANE_CONTROL_CONTROL_H
#define DATAPLANE_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/control/apply.h"
#include "dataplane/control/config.h"
#include "dataplane/control/eal.h"
#include "dataplane/control/loop.h"
#include "dataplane/control/net.h"

struct sync;
struct state;
struct runtime;
struct operators;
struct metrics;
struct reclaim;

#define CONTROL_UUID_LEN 37

struct control {
	struct edge *edge;
	const char *config_path;
	struct edge_setup *setup;
	struct eal_args *eal;
	struct loop *loop;
	struct reclaim *reclaim;
	struct net *net;
	struct apply *apply;
	struct state *state;
	struct runtime *runtime;
	struct sync *sync;
	struct operators *operators;
	struct metrics *metrics;
	char instance[CONTROL_UUID_LEN]; /* of this run */
	int64_t started_s;               /* unix */
	int signal_fd;
	uint64_t second_ms; /* when the last once-a-second work was done */
	uint64_t report_ms; /* when sluice-ctrl was last told what has changed of peers */
	int result;         /* exit status */
};

/* Milliseconds of CLOCK_MONOTONIC; unix seconds. */
uint64_t control_now_ms(void);
int64_t control_unix_s(void);

/* Builds apply, state, sync and the sockets over a prepared edge (memory, ports, workers and handshake thread made).
 * False with a sentence in err. */
bool control_create(struct control *c, char *err, size_t err_len);
/* Runs until SIGTERM or SIGINT. */
void control_run(struct control *c);
/* Ends what control_create made. Before workers end, so that their grace periods pass. */
void control_destroy(struct control *c);

#endif
