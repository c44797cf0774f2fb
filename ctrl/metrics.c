// SPDX-License-Identifier: BSD-3-Clause
// Prometheus text over HTTP. The loop writes the text once a second; the HTTP thread hands out the latest copy.
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

#include <microhttpd.h>

#include "ctrl/ctrl.h"
#include "ctrl/register/register.h"
#include "ctrl/sync.h"
#include "lib/ip.h"

#define TEXT_MAX 16384

struct metrics {
	struct MHD_Daemon *daemon;
	pthread_mutex_t lock; /* of text */
	char text[TEXT_MAX];
};

static enum MHD_Result answer(void *cls, struct MHD_Connection *conn, const char *url, const char *method, const char *version,
			      const char *data, size_t *data_size, void **state)
{
	struct metrics *m = cls;
	bool metrics = strcmp(url, "/metrics") == 0, health = strcmp(url, "/healthcheck") == 0;
	struct MHD_Response *resp;
	enum MHD_Result ret;
	char text[TEXT_MAX] = "OK\n";

	(void)version;
	(void)data;
	(void)data_size;
	(void)state;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return MHD_NO;
	if (metrics) {
		pthread_mutex_lock(&m->lock);
		memcpy(text, m->text, sizeof(text));
		pthread_mutex_unlock(&m->lock);
	} else if (!health) {
		strcpy(text, "not found\n");
	}
	resp = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
	if (!resp)
		return MHD_NO;
	MHD_add_response_header(resp, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
	ret = MHD_queue_response(conn, metrics || health ? MHD_HTTP_OK : MHD_HTTP_NOT_FOUND, resp);
	MHD_destroy_response(resp);
	return ret;
}

static bool to_sockaddr(const char *address, struct sockaddr_storage *ss)
{
	char host[IP_ADDR_TEXT];
	struct ip_addr a;
	uint16_t port;

	memset(ss, 0, sizeof(*ss));
	if (!ip_hostport_split(address, host, sizeof(host), &port) || !ip_addr_parse(host, &a))
		return false;
	if (a.family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, a.bytes, 4);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, a.bytes, 16);
	}
	return true;
}

struct metrics *metrics_start(const char *address, char *err, size_t err_len)
{
	struct metrics *m = calloc(1, sizeof(*m));
	struct sockaddr_storage ss;
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD;

	if (!m || !to_sockaddr(address, &ss)) {
		snprintf(err, err_len, "metrics '%s': not address:port", address);
		free(m);
		return NULL;
	}
	pthread_mutex_init(&m->lock, NULL);
	if (ss.ss_family == AF_INET6)
		flags |= MHD_USE_DUAL_STACK;
	m->daemon = MHD_start_daemon(flags, 0, NULL, NULL, answer, m, MHD_OPTION_SOCK_ADDR, &ss, MHD_OPTION_CONNECTION_LIMIT, 32u,
				     MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
	if (!m->daemon) {
		snprintf(err, err_len, "metrics %s: cannot listen: %s", address, strerror(errno));
		pthread_mutex_destroy(&m->lock);
		free(m);
		return NULL;
	}
	return m;
}

void metrics_stop(struct metrics *m)
{
	if (!m)
		return;
	MHD_stop_daemon(m->daemon);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

struct page {
	char text[TEXT_MAX];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void line(struct page *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(p->text + p->n, sizeof(p->text) - p->n, fmt, ap);
	va_end(ap);
	if (n > 0 && p->n + (size_t)n < sizeof(p->text))
		p->n += (size_t)n;
	else
		p->text[p->n] = 0; /* a line that does not fit is left out whole */
}

static void head(struct page *p, const char *name, const char *type, const char *help)
{
	line(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct page *p, const char *name, const char *type, const char *help, uint64_t value)
{
	head(p, name, type, help);
	line(p, "%s %" PRIu64 "\n", name, value);
}

static void edges(struct page *p, const struct ctrl *c)
{
	unsigned n = 0;

	for (const struct edge *e = c->edges; e; e = e->next)
		n++;
	one(p, "sluice_ctrl_edges_connected", "gauge", "Edges that sync.", n);
	head(p, "sluice_ctrl_edge_applied_revision", "gauge", "Revision that an edge has applied.");
	n = 0;
	for (const struct edge *e = c->edges; e && n++ < 100; e = e->next)
		line(p, "sluice_ctrl_edge_applied_revision{edge=\"%s\"} %" PRIu64 "\n", e->edge_id, e->applied);
}

static void registration(struct page *p, const struct ctrl *c)
{
	struct register_server_stats s;

	if (!c->reg)
		return;
	register_server_stats_get(c->reg, &s);
	head(p, "sluice_ctrl_registration_requests_total", "counter", "Requests of connectors by outcome.");
	line(p, "sluice_ctrl_registration_requests_total{outcome=\"challenge\"} %" PRIu64 "\n", s.challenges);
	line(p, "sluice_ctrl_registration_requests_total{outcome=\"registered\"} %" PRIu64 "\n", s.registrations);
	line(p, "sluice_ctrl_registration_requests_total{outcome=\"goodbye\"} %" PRIu64 "\n", s.goodbyes);
	line(p, "sluice_ctrl_registration_requests_total{outcome=\"unauthorized\"} %" PRIu64 "\n", s.unauthorized);
	line(p, "sluice_ctrl_registration_requests_total{outcome=\"bad_request\"} %" PRIu64 "\n", s.bad_requests);
	line(p, "sluice_ctrl_registration_requests_total{outcome=\"limit\"} %" PRIu64 "\n", s.limited);
}

static void ipc(struct page *p, const struct ctrl *c)
{
	const struct ipc_server_stats *s = ipc_server_get_stats(c->ipc);

	one(p, "sluice_ctrl_ipc_connections", "gauge", "Open connections on the socket.", ipc_server_conns(c->ipc));
	one(p, "sluice_ctrl_ipc_requests_total", "counter", "Requests on the socket.", s->requests);
	one(p, "sluice_ctrl_ipc_denied_total", "counter", "Requests that the peer's credentials did not allow.", s->denied);
	one(p, "sluice_ctrl_ipc_bad_lines_total", "counter", "Lines that closed their connection.", s->bad_lines + s->late_lines);
	one(p, "sluice_ctrl_calls_refused_total", "counter", "Calls answered with an error.", c->calls_refused);
	one(p, "sluice_ctrl_apply_timeouts_total", "counter", "Changes that edges did not apply in time.", c->timeouts);
}

void metrics_update(struct ctrl *c)
{
	struct page *p;

	if (!c->metrics || !(p = calloc(1, sizeof(*p))))
		return;
	head(p, "sluice_ctrl_info", "gauge", "Version of sluice-ctrl.");
	line(p, "sluice_ctrl_info{version=\"%s\"} 1\n", SLUICE_VERSION);
	one(p, "sluice_ctrl_revision", "gauge", "Revision of the configuration.", c->st->revision);
	one(p, "sluice_ctrl_uptime_seconds", "gauge", "Time since start.", (ctrl_now_ns() - c->started_ns) / 1000000000u);
	head(p, "sluice_ctrl_objects", "gauge", "Objects in the store by table.");
	for (int t = 0; t < T_COUNT; t++)
		line(p, "sluice_ctrl_objects{table=\"%s\"} %" PRIu64 "\n", table_names[t], store_count(c->st, (enum table)t, NULL));
	one(p, "sluice_ctrl_change_log_rows", "gauge", "Changes kept for deltas and rollback.", c->st->changes);
	edges(p, c);
	ipc(p, c);
	registration(p, c);
	pthread_mutex_lock(&c->metrics->lock);
	memcpy(c->metrics->text, p->text, sizeof(p->text));
	pthread_mutex_unlock(&c->metrics->lock);
	free(p);
}
