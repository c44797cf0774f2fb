// SPDX-License-Identifier: BSD-3-Clause
// Streams of notifications from the edge.
#include "tools/stream.h"
#include "lib/ipc/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

struct stream {
	struct ctl *ctl;
	ctl_notification_fn *fn;
	void *user;
	bool answered, failed, deaf; /* deaf: nobody reads standard output any more */
	struct ipc_error error;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

static void on_notification(struct ipc_client *c, const char *method, json_t *params, void *user)
{
	struct stream *s = user;

	(void)c;
	s->fn(method, params, s->user);
}

static void on_reply(struct ipc_client *c, json_t *result, const struct ipc_error *e, void *user)
{
	struct stream *s = user;

	(void)c;
	(void)result;
	s->answered = true;
	if (e) {
		s->failed = true;
		s->error = *e;
	}
}

/* Waits for either side; true when whoever reads standard output has gone. */
static bool wait_for_more(struct ipc_client *c)
{
	struct pollfd fds[2] = {{.fd = ipc_client_fd(c), .events = ipc_client_events(c)}, {.fd = 1, .events = 0}};

	return poll(fds, 2, 1000) > 0 && (fds[1].revents & (POLLERR | POLLNVAL));
}

static int run(struct stream *s, struct ipc_client *c, bool follow)
{
	int rc = 0;

	while (rc == 0 && !s->failed && !interrupted && !s->deaf && (follow || !s->answered)) {
		rc = ipc_client_run(c);
		s->deaf = fflush(s->ctl->out) == EOF;
		if (rc == 0 && !s->failed && !s->deaf && (follow || !s->answered))
			s->deaf = wait_for_more(c);
	}
	return rc;
}

int ctl_stream(struct ctl *ctl, const char *method, json_t *params, bool follow, ctl_notification_fn *fn, void *user)
{
	struct stream s = {.ctl = ctl, .fn = fn, .user = user};
	struct sigaction stop = {.sa_handler = on_interrupt};
	struct ipc_client *c;
	char why[512];
	int rc;

	c = ipc_client_connect(ctl->edge_socket, why, sizeof(why), NULL);
	if (!c) {
		json_decref(params);
		return ctl_fail(ctl, "unavailable", NULL, "sluice-edge: %s", why);
	}
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	ipc_client_on_notification(c, on_notification, &s);
	rc = ipc_client_request(c, method, params, on_reply, &s);
	json_decref(params);
	if (rc == 0)
		rc = run(&s, c, follow);
	ipc_client_free(c);
	if (s.failed && s.error.code == IPC_NO_METHOD)
		return ctl_fail(ctl, IPC_E_UNSUPPORTED, NULL, "sluice-edge does not support '%s'", method);
	if (s.failed)
		return ctl_fail(ctl, s.error.name[0] ? s.error.name : "protocol", s.error.field[0] ? s.error.field : NULL, "%s",
				s.error.message);
	if (rc < 0 && !s.deaf && !interrupted)
		return ctl_fail(ctl, "unavailable", NULL, "sluice-edge: %s",
				rc == -EPIPE ? "the daemon closed the connection" : strerror(-rc));
	return 0;
}
