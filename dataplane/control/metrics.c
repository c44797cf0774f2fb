// SPDX-License-Identifier: BSD-3-Clause
// A minimal HTTP responder for one page.
#include "dataplane/control/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/control/control.h"
#include "dataplane/control/operators.h"
#include "dataplane/control/show_hits.h"
#include "lib/ip.h"

#define MAX_CLIENTS 16
#define REQUEST_MAX 2048
#define CLIENT_MS   5000

struct metrics_client {
	struct metrics *m;
	int fd; /* −1: free */
	uint64_t deadline_ms;
	size_t n_in;
	char in[REQUEST_MAX + 1];
	char *out; /* the answer, heap; NULL while the request comes */
	size_t n_out, sent;
};

struct metrics {
	struct control *control;
	int fd;
	struct counters counters;
	struct metrics_client clients[MAX_CLIENTS];
};

static void end_client(struct metrics_client *c)
{
	if (c->fd < 0)
		return;
	loop_remove(c->m->control->loop, c->fd);
	close(c->fd);
	free(c->out);
	c->out = NULL;
	c->fd = -1;
}

static char *page(struct metrics *m, size_t *len)
{
	struct apply_table_info tables[20];
	size_t n = apply_tables(m->control->apply, tables, 20);
	struct show_flow_log log;
	struct show_identity id;
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out)
		return NULL;
	operators_identity(m->control->operators, &id);
	operators_counters(m->control->operators, &m->counters);
	operators_flow_log(m->control->operators, &log);
	metrics_write(out, &id, &m->counters, tables, n, apply_refused_count(m->control->apply), &log);
	metrics_write_rules(out, m->control->edge);
	return fclose(out) ? NULL : text;
}

/* The request line decides; headers are not looked at. */
static void make_answer(struct metrics_client *c)
{
	bool get = !strncmp(c->in, "GET ", 4);
	bool right = get && !strncmp(c->in + 4, "/metrics", 8) && (c->in[12] == ' ' || c->in[12] == '?');
	const char *status = right ? "200 OK" : get ? "404 Not Found" : "405 Method Not Allowed";
	size_t len = 0;
	char *body = right ? page(c->m, &len) : strdup("");
	FILE *out = open_memstream(&c->out, &c->n_out);

	if (out) {
		fprintf(out,
			"HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %zu\r\n"
			"Connection: close\r\n\r\n",
			body ? status : "503 Service Unavailable", len);
		if (body)
			fwrite(body, 1, len, out);
		if (fclose(out)) {
			free(c->out);
			c->out = NULL;
		}
	}
	free(body);
}

static void send_some(struct metrics_client *c)
{
	while (c->sent < c->n_out) {
		ssize_t n = send(c->fd, c->out + c->sent, c->n_out - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			break;
		c->sent += (size_t)n;
	}
	end_client(c);
}

static void on_client(void *arg, uint32_t events)
{
	struct metrics_client *c = arg;
	ssize_t n;

	(void)events;
	if (c->out) {
		send_some(c);
		return;
	}
	n = recv(c->fd, c->in + c->n_in, REQUEST_MAX - c->n_in, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		end_client(c);
		return;
	}
	c->n_in += (size_t)n;
	c->in[c->n_in] = 0;
	if (!strstr(c->in, "\r\n\r\n")) {
		if (c->n_in == REQUEST_MAX)
			end_client(c);
		return;
	}
	make_answer(c);
	if (!c->out) {
		end_client(c);
		return;
	}
	loop_modify(c->m->control->loop, c->fd, EPOLLOUT);
	send_some(c);
}

static void on_accept(void *arg, uint32_t events)
{
	struct metrics *m = arg;
	int fd = accept4(m->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	for (unsigned i = 0; i < MAX_CLIENTS; i++) {
		struct metrics_client *c = &m->clients[i];

		if (c->fd >= 0)
			continue;
		*c = (struct metrics_client){.m = m, .fd = fd, .deadline_ms = control_now_ms() + CLIENT_MS};
		if (loop_add(m->control->loop, fd, EPOLLIN, on_client, c)) {
			close(fd);
			c->fd = -1;
		}
		return;
	}
	close(fd);
}

static int listen_on(const struct ip_endpoint *e)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(e->port)};
	bool v4 = e->addr.family == 4;
	int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	int rc;

	if (fd < 0)
		return -errno;
	memcpy(&four.sin_addr, e->addr.bytes, 4);
	memcpy(&six.sin6_addr, e->addr.bytes, 16);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	rc = bind(fd, v4 ? (struct sockaddr *)&four : (struct sockaddr *)&six, v4 ? sizeof(four) : sizeof(six));
	if (rc || listen(fd, 16)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

struct metrics *metrics_create(struct control *control, char *err, size_t err_len)
{
	const char *text = control->edge->config.metrics;
	struct metrics *m = calloc(1, sizeof(*m));
	struct ip_endpoint e;

	if (!m || !ip_endpoint_parse(text, &e)) {
		snprintf(err, err_len, "metrics %s: %s", text, m ? "not an address:port" : "out of memory");
		free(m);
		return NULL;
	}
	m->control = control;
	for (unsigned i = 0; i < MAX_CLIENTS; i++)
		m->clients[i].fd = -1;
	m->fd = listen_on(&e);
	if (m->fd < 0 || loop_add(control->loop, m->fd, EPOLLIN, on_accept, m)) {
		snprintf(err, err_len, "metrics %s: %s", text, m->fd < 0 ? strerror(-m->fd) : "too many descriptors");
		if (m->fd >= 0)
			close(m->fd);
		free(m);
		return NULL;
	}
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < MAX_CLIENTS; i++)
		end_client(&m->clients[i]);
	loop_remove(m->control->loop, m->fd);
	close(m->fd);
	free(m);
}

void metrics_turn(struct metrics *m, uint64_t now_ms)
{
	for (unsigned i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].fd >= 0 && now_ms >= m->clients[i].deadline_ms)
			end_client(&m->clients[i]);
}
