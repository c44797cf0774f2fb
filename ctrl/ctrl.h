// SPDX-License-Identifier: BSD-3-Clause
// The daemon: what its parts share. Everything runs on one libuv loop.
#ifndef SLUICE_CTRL_CTRL_H
#define SLUICE_CTRL_CTRL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <uv.h>

#include "ctrl/register_backend.h"
#include "ctrl/store.h"
#include "lib/conf.h"
#include "lib/ipc/server.h"

/* Longest line of a peer that may write: an apply of a million routes fits (docs/protocols.md, 1). */
#define CTRL_LINE_MAX (256u * 1024 * 1024)
#define CTRL_LEASE_S  60

struct ctrl_config {
	char *store, *socket, *tls_dir, *metrics, *register_address;
	struct conf_strings register_listen, register_names;
	char *group_write, *group_read;
	int log_level;
};

struct edge;
struct waiter;
struct runtime;
struct register_server;
struct metrics;

struct ctrl {
	struct ctrl_config cfg;
	uv_loop_t *loop;
	struct store *st;
	struct runtime *rt;
	struct ipc_server *ipc;
	struct ipc_method *methods; /* api_methods and the sync's, for the server */
	struct register_server *reg;
	struct metrics *metrics;
	struct edge *edges; /* connected ones, newest first */
	struct waiter *waiters;
	json_t *renewals; /* connector id → lease end, not written yet */
	uint64_t started_ns;
	uint64_t calls_ok, calls_refused, timeouts;
	uv_poll_t ipc_poll, reg_poll;
	uv_timer_t tick, wait_timer;
	uv_signal_t sigterm, sigint, sighup;
	unsigned ticks;
	bool tunnels_moved; /* connectors or what edges say of them changed: tunnel_state_run() has work */
	bool stopping;
};

/* PEM of the registration's CA, and its address for credentials files; NULL where registration is off. */
const char *ctrl_edge_ca(const struct ctrl *c);
const char *ctrl_register_address(const struct ctrl *c);

/* After every new revision: edges hear of it. */
void ctrl_revision_made(struct ctrl *c);

/* --- waiting until edges have applied a revision (ctrl/wait.c) --- */

/* Called once. applied: every connected edge has it (and there is one). lagging: "" or the names of the edges that had not
 * when the time was over. */
typedef void wait_fn(struct ctrl *c, void *user, bool applied, const char *lagging);
/* Calls fn at once where no edge is connected or all have it already. -ENOMEM. */
int wait_applied(struct ctrl *c, uint64_t revision, uint64_t timeout_ms, wait_fn *fn, void *user);
void wait_check(struct ctrl *c);
void wait_cancel(struct ctrl *c, void *user); /* forgets waiters of this user */
void wait_end(struct ctrl *c);		       /* calls back all, not applied */
uint64_t ctrl_now_ns(void);

/* --- api on the socket (ctrl/dispatch.c) --- */
int dispatch_methods(struct ctrl *c);

/* --- by time (ctrl/expiry.c) --- */
void expiry_run(struct ctrl *c);
/* Lease ends that were only noted so far. */
void expiry_flush_renewals(struct ctrl *c);
/* After a start connectors get a full lease to come back in. */
void expiry_extend_leases(struct ctrl *c);

/* --- registration (ctrl/register_glue.c) --- */
struct register_backend register_glue(struct ctrl *c);

/* --- metrics (ctrl/metrics.c): NULL address or "off": none --- */
struct metrics *metrics_start(const char *address, char *err, size_t err_len);
void metrics_update(struct ctrl *c);
void metrics_stop(struct metrics *m);

#endif
