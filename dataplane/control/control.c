// SPDX-License-Identifier: BSD-3-Clause
// The control thread's life.
#include "dataplane/control/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_ring.h>

#include "dataplane/control/metrics.h"
#include "dataplane/control/operators.h"
#include "dataplane/control/reread.h"
#include "dataplane/control/runtime.h"
#include "dataplane/control/state.h"
#include "dataplane/control/sync.h"
#include "dataplane/control/telemetry.h"
#include "dataplane/tables/reclaim.h"
#include "dataplane/worker.h"
#include "lib/log.h"

#define IDLE_MS    100
#define REPORT_MS  100
#define RECLAIM_MS 5 /* while something waits for its grace period */

uint64_t control_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int64_t control_unix_s(void)
{
	return (int64_t)time(NULL);
}

static void on_signal(void *arg, uint32_t events)
{
	struct control *c = arg;
	struct signalfd_siginfo info;

	(void)events;
	while (read(c->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			reread(c->config_path, c->setup, c->edge, c->net);
		} else {
			log_info("stopping: %s", info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
			loop_stop(c->loop);
		}
	}
}

/* What workers ask of this thread. */
static void on_inbox(void *arg, uint32_t events)
{
	struct control *c = arg;
	uint64_t drain;
	void *p;

	(void)events;
	if (read(c->edge->control_wake_fd, &drain, sizeof(drain)) < 0 && errno != EAGAIN)
		log_rated(LOG_LEVEL_WARN, "control inbox: %s", strerror(errno));
	while (!rte_ring_sc_dequeue(c->edge->control_inbox, &p)) {
		struct message *msg = p;

		if (msg->type == CTL_NEIGHBOUR)
			net_neighbour(c->net, msg->peer, msg->endpoint.family, msg->endpoint.remote);
		message_free(c->edge, msg);
	}
}

static int watch_all(struct control *c)
{
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	c->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (c->signal_fd < 0)
		return -errno;
	rc = loop_add(c->loop, c->signal_fd, EPOLLIN, on_signal, c);
	if (!rc)
		rc = loop_add(c->loop, c->edge->control_wake_fd, EPOLLIN, on_inbox, c);
	return rc ? rc : net_watch(c->net, c->loop);
}

static int deny(void *arg, const struct ip_prefix *prefixes, size_t n)
{
	struct control *c = arg;

	return net_deny(c->net, prefixes, n);
}

bool control_create(struct control *c, char *err, size_t err_len)
{
	const struct edge_config *config = &c->edge->config;
	struct apply_config apply = {.edge = c->edge, .reclaim = c->reclaim, .deny = deny, .arg = c};
	int rc;

	snprintf(err, err_len, "out of memory");
	c->started_s = control_unix_s();
	c->loop = loop_create();
	c->apply = apply_create(&apply);
	if (!c->loop || !c->apply)
		return false;
	rc = watch_all(c);
	if (rc) {
		snprintf(err, err_len, "cannot watch signals and sockets: %s", strerror(-rc));
		return false;
	}
	c->state = state_create(config->state_dir, config->edge_id, c->apply, err, err_len);
	if (!c->state)
		return false;
	c->runtime = runtime_create(c->edge, config->state_dir);
	c->sync = c->runtime ? sync_create(c) : NULL;
	if (!c->sync)
		return false;
	c->operators = operators_create(c, err, err_len);
	if (!c->operators)
		return false;
	rc = telemetry_start(c->edge);
	if (rc)
		log_warn("DPDK telemetry: %s: its tools cannot read the counters", strerror(-rc));
	c->metrics = config->metrics[0] ? metrics_create(c, err, err_len) : NULL;
	return c->metrics || !config->metrics[0];
}

static int sooner(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static void every_second(struct control *c, uint64_t now_ms)
{
	if (now_ms < c->second_ms + 1000)
		return;
	c->second_ms = now_ms;
	operators_second(c->operators);
}

/* Clients and posture checks expire at their second. How long until the next, ms; −1: none. */
static int expire(struct control *c)
{
	struct timespec ts;
	int64_t due, ms;

	clock_gettime(CLOCK_REALTIME, &ts);
	apply_expire(c->apply, ts.tv_sec);
	due = apply_due(c->apply);
	ms = due ? (due - ts.tv_sec) * 1000 - ts.tv_nsec / 1000000 : -1;
	return ms > IDLE_MS ? IDLE_MS : ms < 0 && due ? 0 : (int)ms;
}

static int turn(void *arg)
{
	struct control *c = arg;
	uint64_t now_ms = control_now_ms();
	int wait = IDLE_MS;

	every_second(c, now_ms);
	/* an endpoint that is not told is lost with a crash, and its client waits out its own timers */
	if (now_ms >= c->report_ms + REPORT_MS) {
		c->report_ms = now_ms;
		sync_report(c->sync);
	}
	wait = sooner(wait, expire(c));
	wait = sooner(wait, net_turn(c->net));
	wait = sooner(wait, sync_turn(c->sync, now_ms));
	wait = sooner(wait, state_turn(c->state, now_ms));
	runtime_save(c->runtime, now_ms, false);
	wait = sooner(wait, operators_turn(c->operators, now_ms));
	if (c->metrics)
		metrics_turn(c->metrics, now_ms);
	reclaim_poll(c->reclaim);
	return reclaim_pending(c->reclaim) ? sooner(wait, RECLAIM_MS) : wait;
}

void control_run(struct control *c)
{
	loop_run(c->loop, turn, c);
}

void control_destroy(struct control *c)
{
	telemetry_stop();
	metrics_free(c->metrics);
	operators_free(c->operators);
	if (c->sync) {
		sync_report(c->sync);
		sync_free(c->sync);
	}
	if (c->runtime)
		runtime_save(c->runtime, control_now_ms(), true);
	runtime_free(c->runtime);
	if (c->state)
		state_flush(c->state);
	state_free(c->state);
	if (c->net)
		net_unwatch(c->net);
	if (c->signal_fd >= 0)
		close(c->signal_fd);
	loop_free(c->loop);
}
