// SPDX-License-Identifier: BSD-3-Clause
// One connection of the JSON-RPC server: lines in, calls to handlers, replies and notifications out.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/ipc/server_int.h"
#include "lib/log.h"

#define READ_TURN_BYTES (1u << 20) /* of one connection before others have their turn */

/* While true its lines are left alone: the back pressure of a peer that asks more than it takes. */
static bool paused(const struct ipc_conn *c)
{
	return c->out_bytes > IPC_OUT_HIGH || c->n_calls >= IPC_CALLS_MAX;
}

void ipc_conn_arm(struct ipc_conn *c)
{
	uint32_t want = 0;
	struct epoll_event ev = {.data.ptr = c};

	if (!c->eof && !c->closing && !paused(c))
		want |= EPOLLIN;
	if (c->out_head)
		want |= EPOLLOUT;
	if (want == c->armed)
		return;
	ev.events = want;
	if (epoll_ctl(c->s->epfd, EPOLL_CTL_MOD, c->fd, &ev) == 0)
		c->armed = want;
}

/* Closes what has nothing left to do. */
static void maybe_done(struct ipc_conn *c)
{
	if (!c->out_head && (c->closing || (c->eof && c->n_calls == 0)))
		c->dead = true;
}

void ipc_conn_flush(struct ipc_conn *c)
{
	while (c->out_head) {
		struct out_line *o = c->out_head;
		ssize_t n = send(c->fd, o->p + o->done, o->len - o->done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			c->dead = true;
			ipc_server_wake(c->s);
			return;
		}
		o->done += (size_t)n;
		c->out_bytes -= (size_t)n;
		if (o->done < o->len)
			continue;
		c->out_head = o->next;
		if (!c->out_head)
			c->out_tail = &c->out_head;
		explicit_bzero(o->p, o->len);
		free(o->p);
		free(o);
	}
	if (c->out_bytes > IPC_OUT_HIGH)
		c->was_full = true;
	if (c->was_full && c->out_bytes < IPC_OUT_LOW) {
		c->was_full = false;
		c->resume = true;
		ipc_server_wake(c->s);
		if (c->s->cfg.on_drained)
			c->s->cfg.on_drained(c, c->s->cfg.user);
	}
	maybe_done(c);
	if (c->dead)
		ipc_server_wake(c->s);
	else
		ipc_conn_arm(c);
}

int ipc_conn_send_line(struct ipc_conn *c, char *line, size_t len)
{
	struct out_line *o = line ? malloc(sizeof(*o)) : NULL;
	bool idle = !c->out_head;

	if (!o) {
		free(line);
		return -ENOMEM;
	}
	*o = (struct out_line){.p = line, .len = len};
	*c->out_tail = o;
	c->out_tail = &o->next;
	c->out_bytes += len;
	if (idle && !c->dead)
		ipc_conn_flush(c);
	else if (c->out_bytes > IPC_OUT_HIGH)
		c->was_full = true;
	return 0;
}

void ipc_conn_send_error(struct ipc_conn *c, const json_t *id, const struct ipc_error *e)
{
	size_t len;
	char *line = ipc_build_error(id, e, &len);

	if (!line || ipc_conn_send_line(c, line, len) < 0) {
		c->dead = true;
		ipc_server_wake(c->s);
	}
}

int ipc_conn_notify(struct ipc_conn *c, const char *method, const json_t *params)
{
	size_t len = 0;
	char *line = ipc_build_notification(method, params, &len);

	return ipc_conn_send_line(c, line, len);
}

static const struct ipc_method *find_method(const struct ipc_server *s, const char *name)
{
	for (const struct ipc_method *m = s->cfg.methods; m->name; m++) {
		if (strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

static void call_free(struct ipc_call *call)
{
	struct ipc_conn *c = call->conn;

	if (c) {
		if (call->prev)
			call->prev->next = call->next;
		else
			c->calls = call->next;
		if (call->next)
			call->next->prev = call->prev;
		if (c->n_calls-- == IPC_CALLS_MAX || c->eof) {
			c->resume = true;
			ipc_server_wake(c->s);
		}
		if (c->eof)
			maybe_done(c);
	}
	ipc_msg_free(&call->msg);
	json_decref(call->no_params);
	free(call);
}

/* Takes msg over. */
static void dispatch(struct ipc_conn *c, struct ipc_msg *msg)
{
	const struct ipc_method *m = find_method(c->s, msg->method);
	struct ipc_call *call = calloc(1, sizeof(*call));

	if (!call || !(call->no_params = json_object())) {
		free(call);
		ipc_msg_free(msg);
		c->dead = true;
		return;
	}
	call->msg = *msg;
	call->peer = c->peer;
	call->conn = c;
	call->next = c->calls;
	if (call->next)
		call->next->prev = call;
	c->calls = call;
	c->n_calls++;
	c->s->stats.requests++;
	if (!c->peer.may_read || (m && m->need == IPC_NEED_WRITE && !c->peer.may_write)) {
		c->s->stats.denied++;
		ipc_reply_fail(call, IPC_E_PERMISSION_DENIED, NULL, "%s: user id %u may not call this method", msg->method,
			       (unsigned)c->peer.uid);
	} else if (!m) {
		struct ipc_error e = {.code = IPC_NO_METHOD};

		snprintf(e.message, sizeof(e.message), "no method '%s'", msg->method);
		ipc_reply_error(call, &e);
	} else {
		m->handler(call, call->msg.params ? call->msg.params : call->no_params, c->s->cfg.user);
	}
}

static void give_up(struct ipc_conn *c, int code, const char *why)
{
	struct ipc_error e = {.code = code};

	snprintf(e.message, sizeof(e.message), "%s", why);
	c->s->stats.bad_lines++;
	log_rated(LOG_LEVEL_INFO, "%s: connection of pid %d (%s) closed: %s", c->s->cfg.path, (int)c->peer.pid, c->peer.comm, why);
	c->closing = true;
	c->close_by_ns = ipc_now_ns() + 1000000000u;
	ipc_conn_send_error(c, NULL, &e);
}

static void too_long(struct ipc_conn *c)
{
	char why[96];

	snprintf(why, sizeof(why), "the line is longer than %zu bytes", c->in.max_bytes);
	give_up(c, IPC_INVALID_REQUEST, why);
}

void ipc_conn_lines(struct ipc_conn *c)
{
	char *line, err[256];
	size_t len;

	while (!c->dead && !c->closing && !paused(c) && ipc_line_next(&c->in, &line, &len)) {
		struct ipc_msg msg;
		int ret;

		if (len > c->in.max_bytes) {
			too_long(c);
			break;
		}
		ret = ipc_msg_parse(line, len, &msg, err, sizeof(err));
		explicit_bzero(line, len);
		if (ret != 0) {
			give_up(c, ret, err);
		} else if (msg.kind == IPC_RESULT || msg.kind == IPC_ERROR) {
			ipc_msg_free(&msg);
			give_up(c, IPC_INVALID_REQUEST, "not a JSON-RPC 2.0 message: a reply to a server");
		} else {
			dispatch(c, &msg);
		}
	}
	if (c->eof)
		maybe_done(c);
}

/* One read. False when there is nothing more to read for now. */
static bool read_once(struct ipc_conn *c)
{
	struct ipc_server *s = c->s;
	ssize_t n = recv(c->fd, s->chunk, sizeof(s->chunk), MSG_DONTWAIT);
	int ret;

	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		c->eof = true;
		if (n < 0)
			c->dead = true;
		return false;
	}
	ret = ipc_line_push(&c->in, s->chunk, (size_t)n, ipc_now_ns());
	explicit_bzero(s->chunk, (size_t)n);
	if (ret == -ENOMEM)
		c->dead = true;
	ipc_conn_lines(c);
	if (ret == -EMSGSIZE && !c->closing && !c->dead)
		too_long(c);
	return !c->dead && !c->closing && !paused(c);
}

void ipc_conn_readable(struct ipc_conn *c, bool hangup)
{
	size_t turn = 0;

	if (c->eof || c->closing || paused(c)) {
		c->dead = c->dead || hangup;
		return;
	}
	while (read_once(c) && (turn += sizeof(c->s->chunk)) < READ_TURN_BYTES)
		;
	/* The peer is gone altogether: nobody is left to read answers. What it sent before is done first. */
	if (hangup && (c->eof || c->closing))
		c->dead = true;
	if (c->eof)
		maybe_done(c);
}

static void reply_line(struct ipc_call *call, char *line, size_t len)
{
	struct ipc_conn *c = call->conn;

	if (c && !c->dead && line && call->msg.kind == IPC_REQUEST) {
		if (ipc_conn_send_line(c, line, len) < 0)
			c->dead = true;
	} else {
		free(line);
	}
	call_free(call);
}

void ipc_reply(struct ipc_call *call, const json_t *result)
{
	size_t len = 0;
	char *line;

	if (!result) {
		ipc_reply_fail(call, IPC_E_INTERNAL, NULL, "out of memory");
		return;
	}
	line = call->msg.kind == IPC_REQUEST && call->conn ? ipc_build_result(call->msg.id, result, &len) : NULL;
	reply_line(call, line, len);
}

void ipc_reply_error(struct ipc_call *call, const struct ipc_error *e)
{
	size_t len = 0;
	char *line = call->conn ? ipc_build_error(call->msg.id, e, &len) : NULL;

	reply_line(call, line, len);
}

void ipc_reply_fail(struct ipc_call *call, const char *name, const char *field, const char *fmt, ...)
{
	struct ipc_error e;
	char text[sizeof(e.message)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ipc_error_set(&e, name, field, "%s", text);
	ipc_reply_error(call, &e);
}

const struct ipc_peer *ipc_call_peer(const struct ipc_call *call)
{
	return &call->peer;
}

const char *ipc_call_method(const struct ipc_call *call)
{
	return call->msg.method;
}

bool ipc_call_is_notification(const struct ipc_call *call)
{
	return call->msg.kind == IPC_NOTIFICATION;
}

struct ipc_conn *ipc_call_conn(const struct ipc_call *call)
{
	return call->conn;
}

bool ipc_conn_full(const struct ipc_conn *c)
{
	return c->out_bytes > IPC_OUT_HIGH;
}

size_t ipc_conn_queued_bytes(const struct ipc_conn *c)
{
	return c->out_bytes;
}

void ipc_conn_close(struct ipc_conn *c)
{
	c->dead = true;
	ipc_server_wake(c->s);
}

void ipc_conn_set_data(struct ipc_conn *c, void *data)
{
	c->data = data;
}

void *ipc_conn_data(const struct ipc_conn *c)
{
	return c->data;
}

const struct ipc_peer *ipc_conn_peer(const struct ipc_conn *c)
{
	return &c->peer;
}
