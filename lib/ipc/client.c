// SPDX-License-Identifier: BSD-3-Clause
// JSON-RPC client over a unix socket.
#include "lib/ipc/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/ipc/line.h"
#include "lib/log.h"

#define OUT_MAX		(16u * 1024 * 1024) /* queued behind the line that is being written */
#define READ_TURN_BYTES (1u << 20)

struct pending {
	struct pending *next;
	json_int_t id;
	ipc_reply_fn *fn;
	void *user;
};

struct ipc_client {
	int fd;
	bool paused;
	json_int_t next_id;
	struct ipc_line in;
	char *out;
	size_t out_len, out_done;
	struct pending *pending;
	ipc_notification_fn *on_notification;
	void *notification_user;
	char chunk[65536];
};

static struct ipc_client *client_new(int fd)
{
	struct ipc_client *c = calloc(1, sizeof(*c));

	if (c) {
		c->fd = fd;
		c->next_id = 1;
		ipc_line_init(&c->in, IPC_CLIENT_LINE_MAX);
	}
	return c;
}

struct ipc_client *ipc_client_connect(const char *path, char *err, size_t err_len, int *error)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct ipc_client *c = NULL;
	int fd = -1, ret = -ENAMETOOLONG;

	if (strlen(path) < sizeof(sa.sun_path)) {
		strcpy(sa.sun_path, path);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		ret = fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	}
	if (ret == 0) {
		c = client_new(fd);
		ret = c ? 0 : -ENOMEM;
	}
	if (ret < 0) {
		const char *hint = ret == -ENOENT || ret == -ECONNREFUSED ? " (is the daemon running?)" : "";

		snprintf(err, err_len, "%s: %s%s", path, strerror(-ret), hint);
		if (fd >= 0)
			close(fd);
	}
	if (error)
		*error = ret;
	return c;
}

void ipc_client_free(struct ipc_client *c)
{
	if (!c)
		return;
	while (c->pending) {
		struct pending *p = c->pending;

		c->pending = p->next;
		free(p);
	}
	if (c->out)
		explicit_bzero(c->out, c->out_len);
	free(c->out);
	ipc_line_free(&c->in);
	close(c->fd);
	free(c);
}

int ipc_client_fd(const struct ipc_client *c)
{
	return c->fd;
}

short ipc_client_events(const struct ipc_client *c)
{
	return (short)((c->paused ? 0 : POLLIN) | (c->out_done < c->out_len ? POLLOUT : 0));
}

void ipc_client_on_notification(struct ipc_client *c, ipc_notification_fn *fn, void *user)
{
	c->on_notification = fn;
	c->notification_user = user;
}

void ipc_client_pause(struct ipc_client *c, bool paused)
{
	c->paused = paused;
}

/* Appends a line to the output; takes it over. */
static int queue_line(struct ipc_client *c, char *line, size_t len)
{
	size_t left = c->out_len - c->out_done;
	char *out;

	if (!line)
		return -ENOMEM;
	if (left > OUT_MAX) {
		free(line);
		return -ENOBUFS;
	}
	if (left == 0) {
		if (c->out)
			explicit_bzero(c->out, c->out_len);
		free(c->out);
		out = line;
	} else {
		out = malloc(left + len);
		if (out) {
			memcpy(out, c->out + c->out_done, left);
			memcpy(out + left, line, len);
			explicit_bzero(c->out, c->out_len);
			free(c->out);
		}
		explicit_bzero(line, len);
		free(line);
		if (!out)
			return -ENOMEM;
	}
	c->out = out;
	c->out_len = left + len;
	c->out_done = 0;
	return 0;
}

int ipc_client_notify(struct ipc_client *c, const char *method, const json_t *params)
{
	size_t len = 0;
	char *line = ipc_build_notification(method, params, &len);

	return queue_line(c, line, len);
}

int ipc_client_request(struct ipc_client *c, const char *method, const json_t *params, ipc_reply_fn *fn, void *user)
{
	struct pending *p = malloc(sizeof(*p));
	size_t len = 0;
	char *line;
	int ret;

	if (!p)
		return -ENOMEM;
	*p = (struct pending){c->pending, c->next_id++, fn, user};
	line = ipc_build_request(p->id, method, params, &len);
	ret = queue_line(c, line, len);
	if (ret < 0) {
		free(p);
		return ret;
	}
	c->pending = p;
	return 0;
}

/* 0 also when nothing more can be written now. */
static int flush(struct ipc_client *c)
{
	while (c->out_done < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		c->out_done += (size_t)n;
	}
	return 0;
}

static int got_reply(struct ipc_client *c, const struct ipc_msg *m)
{
	struct ipc_error e;

	for (struct pending **pp = &c->pending; *pp; pp = &(*pp)->next) {
		struct pending *p = *pp;

		if (!json_is_integer(m->id) || p->id != json_integer_value(m->id))
			continue;
		*pp = p->next;
		if (m->kind == IPC_ERROR)
			ipc_error_from_json(m->error, &e);
		p->fn(c, m->result, m->kind == IPC_ERROR ? &e : NULL, p->user);
		free(p);
		return 0;
	}
	/* An error without id tells why the server is about to close: every request that waits hears it. */
	if (m->kind != IPC_ERROR || !json_is_null(m->id))
		return -EBADMSG;
	ipc_error_from_json(m->error, &e);
	log_debug("the server refused a line: %s", e.message);
	while (c->pending) {
		struct pending *p = c->pending;

		c->pending = p->next;
		p->fn(c, NULL, &e, p->user);
		free(p);
	}
	return 0;
}

static int take_lines(struct ipc_client *c)
{
	char *line, err[256];
	size_t len;

	while (!c->paused && ipc_line_next(&c->in, &line, &len)) {
		struct ipc_msg m;
		int ret = 0;

		if (ipc_msg_parse(line, len, &m, err, sizeof(err)) != 0) {
			log_debug("the server sent what is no message: %s", err);
			return -EBADMSG;
		}
		if (m.kind == IPC_NOTIFICATION) {
			json_t *params = m.params ? json_incref(m.params) : json_object();

			if (c->on_notification && params)
				c->on_notification(c, m.method, params, c->notification_user);
			json_decref(params);
		} else {
			ret = m.kind == IPC_REQUEST ? -EBADMSG : got_reply(c, &m);
		}
		ipc_msg_free(&m);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int ipc_client_run(struct ipc_client *c)
{
	int ret = flush(c);
	size_t turn = 0;

	/* A server that refuses a line closes, so writing may fail while its reason is still to be read. */
	if (ret < 0 && ret != -EPIPE && ret != -ECONNRESET)
		return ret;
	ret = take_lines(c);
	while (ret == 0 && !c->paused && turn < READ_TURN_BYTES) {
		ssize_t n = recv(c->fd, c->chunk, sizeof(c->chunk), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0)
			return n == 0 || errno == ECONNRESET ? -EPIPE : -errno;
		ret = ipc_line_push(&c->in, c->chunk, (size_t)n, 0);
		if (ret == 0)
			ret = take_lines(c);
		turn += (size_t)n;
	}
	return ret == -EMSGSIZE ? -EBADMSG : ret;
}

struct answer {
	bool done;
	json_t *result;
	struct ipc_error error;
};

static void on_answer(struct ipc_client *c, json_t *result, const struct ipc_error *e, void *user)
{
	struct answer *a = user;

	(void)c;
	a->done = true;
	a->result = json_incref(result);
	if (e)
		a->error = *e;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Waits for the socket. 0, or -ETIMEDOUT. */
static int wait_ready(struct ipc_client *c, int64_t until_ms)
{
	struct pollfd pfd = {.fd = c->fd, .events = ipc_client_events(c)};
	int64_t left = until_ms < 0 ? -1 : until_ms - now_ms();
	int n;

	if (until_ms >= 0 && left <= 0)
		return -ETIMEDOUT;
	n = poll(&pfd, 1, left > 1000000 ? 1000000 : (int)left);
	return n < 0 && errno != EINTR ? -errno : 0;
}

/* After a failure nothing may call back into the stack frame of a call that has returned. */
static void forget_pending(struct ipc_client *c, const struct answer *a)
{
	for (struct pending **pp = &c->pending; *pp;) {
		struct pending *p = *pp;

		if (p->user == a) {
			*pp = p->next;
			free(p);
		} else {
			pp = &p->next;
		}
	}
}

int ipc_client_call(struct ipc_client *c, const char *method, const json_t *params, int timeout_ms, json_t **result,
		    struct ipc_error *e)
{
	struct answer a = {0};
	int64_t until = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	int ret = ipc_client_request(c, method, params, on_answer, &a);

	*result = NULL;
	*e = (struct ipc_error){0};
	while (ret == 0) {
		ret = ipc_client_run(c);
		if (a.done)
			break;
		if (ret == 0)
			ret = wait_ready(c, until);
	}
	forget_pending(c, &a);
	if (a.done && a.result) {
		*result = a.result;
		return 0;
	}
	if (a.done)
		*e = a.error;
	else if (ret == -ETIMEDOUT)
		ipc_error_set(e, IPC_E_TIMEOUT, NULL, "%s: no answer within %d ms", method, timeout_ms);
	else
		ipc_error_set(e, IPC_E_INTERNAL, NULL, "%s: %s", method,
			      ret == -EPIPE ? "the daemon closed the connection" : strerror(-ret));
	return -1;
}
