// SPDX-License-Identifier: BSD-3-Clause
// Local HTTP with libmicrohttpd, without a thread of its own.
#include "connector/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>
#include <microhttpd.h>

#include "lib/ip.h"

enum {
	FIRST_PORT = 20241,
	LAST_PORT = 20245,
	CONNECTIONS_MAX = 64,
	TIMEOUT_S = 10,
};

struct status {
	struct status_source source;
	struct MHD_Daemon *daemon;
	int epoll_fd;
	char address[300];
};

static enum MHD_Result respond(struct MHD_Connection *c, unsigned code, char *text, size_t n, const char *type,
			       enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(n, text, mode);
	enum MHD_Result result;

	if (!r)
		return MHD_NO;
	if (type)
		MHD_add_response_header(r, "Content-Type", type);
	result = MHD_queue_response(c, code, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result answer_ready(struct status *s, struct MHD_Connection *c)
{
	unsigned n = s->source.ready(s->source.arg), code = n ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
	char text[160];

	snprintf(text, sizeof(text), "{\"status\":%u,\"readyConnections\":%u,\"connectorId\":\"%s\"}", code, n,
		 s->source.connector_id);
	return respond(c, code, text, strlen(text), "application/json", MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result answer_metrics(struct status *s, struct MHD_Connection *c)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		return MHD_NO;
	s->source.metrics(s->source.arg, out);
	fclose(out);
	return respond(c, MHD_HTTP_OK, text, n, "text/plain; version=0.0.4; charset=utf-8", MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
				  const char *version, const char *data, size_t *n, void **con_cls)
{
	static char health[] = "OK\n", none[] = "404 page not found\n", bad[] = "method not allowed\n";

	(void)version;
	(void)data;
	(void)con_cls;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD)) {
		*n = 0;
		return respond(c, MHD_HTTP_METHOD_NOT_ALLOWED, bad, sizeof(bad) - 1, "text/plain",
			       MHD_RESPMEM_PERSISTENT);
	}
	if (!strcmp(url, "/ready"))
		return answer_ready(cls, c);
	if (!strcmp(url, "/metrics"))
		return answer_metrics(cls, c);
	if (!strcmp(url, "/healthcheck"))
		return respond(c, MHD_HTTP_OK, health, sizeof(health) - 1, "text/plain", MHD_RESPMEM_PERSISTENT);
	return respond(c, MHD_HTTP_NOT_FOUND, none, sizeof(none) - 1, "text/plain", MHD_RESPMEM_PERSISTENT);
}

static int listen_on(const char *address, char *err, size_t err_len)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
	char host[256], port_text[8];
	uint16_t port;
	int fd = -1, code, on = 1;

	if (!ip_hostport_split(address, host, sizeof(host), &port)) {
		snprintf(err, err_len, "metrics: %s is not host:port", address);
		return -1;
	}
	snprintf(port_text, sizeof(port_text), "%u", port);
	code = getaddrinfo(host, port_text, &hints, &found);
	if (code) {
		snprintf(err, err_len, "metrics: %s: %s", address, gai_strerror(code));
		return -1;
	}
	for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0)
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (fd >= 0 && (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 64))) {
			snprintf(err, err_len, "metrics: %s: %s", address, strerror(errno));
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

/* A socket on the address, or on the first free default one; notes where. */
static int open_listener(struct status *s, const char *address, char *err, size_t err_len)
{
	int fd = -1;

	if (address) {
		snprintf(s->address, sizeof(s->address), "%s", address);
		return listen_on(address, err, err_len);
	}
	for (int port = FIRST_PORT; fd < 0 && port <= LAST_PORT; port++) {
		snprintf(s->address, sizeof(s->address), "127.0.0.1:%d", port);
		fd = listen_on(s->address, err, err_len);
	}
	return fd;
}

struct status *status_create(const char *address, const struct status_source *source, char *err, size_t err_len)
{
	struct status *s = calloc(1, sizeof(*s));
	const union MHD_DaemonInfo *info = NULL;
	int fd = s ? open_listener(s, address, err, err_len) : -1;

	if (fd < 0) {
		free(s);
		return NULL;
	}
	s->source = *source;
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
				     MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
				     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_END);
	if (s->daemon)
		info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info) {
		snprintf(err, err_len, "metrics: %s: the HTTP server does not start", s->address);
		close(fd);
		free(s);
		return NULL;
	}
	s->epoll_fd = info->epoll_fd;
	return s;
}

void status_destroy(struct status *s)
{
	if (!s)
		return;
	MHD_stop_daemon(s->daemon);
	free(s);
}

int status_fd(const struct status *s)
{
	return s->epoll_fd;
}

void status_run(struct status *s)
{
	MHD_run(s->daemon);
}

const char *status_address(const struct status *s)
{
	return s->address;
}

static size_t swallow(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	return size * n;
}

int status_ask_ready(const char *address, char *err, size_t err_len)
{
	char url[320], why[CURL_ERROR_SIZE] = "";
	CURL *curl = curl_easy_init();
	long code = 0;
	CURLcode got;

	if (!curl) {
		snprintf(err, err_len, "out of memory");
		return 1;
	}
	snprintf(url, sizeof(url), "http://%s/ready", address);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 5L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
	got = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_cleanup(curl);
	if (got != CURLE_OK)
		snprintf(err, err_len, "%s: %s", address, why[0] ? why : curl_easy_strerror(got));
	else if (code != 200)
		snprintf(err, err_len, "%s: not ready (HTTP %ld)", address, code);
	return got != CURLE_OK || code != 200;
}
