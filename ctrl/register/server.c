// SPDX-License-Identifier: BSD-3-Clause
// The HTTPS side of registration: libmicrohttpd with threads of its own; calls that need the store are suspended and
// queued for register_server_dispatch().
#include "ctrl/register/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "lib/ip.h"
#include "lib/log.h"

enum {
	CONNECTIONS_MAX = 512,
	CONNECTIONS_PER_IP_MAX = 256,
	IDLE_TIMEOUT_S = 15,
};

uint64_t register_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const char *text)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", "application/json");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static void remote_text(struct MHD_Connection *connection, char *out, size_t size)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct ip_endpoint e = {0};
	char text[IP_ENDPOINT_TEXT];

	if (info && info->client_addr->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)info->client_addr;

		e.addr.family = 4;
		memcpy(e.addr.bytes, &in->sin_addr, 4);
		e.port = ntohs(in->sin_port);
	} else if (info && info->client_addr->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)info->client_addr;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);

		e.addr.family = mapped ? 4 : 6;
		memcpy(e.addr.bytes, in6->sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
		e.port = ntohs(in6->sin6_port);
	}
	snprintf(out, size, "%s", e.addr.family ? ip_endpoint_format(&e, text) : "unknown");
}

static enum MHD_Result bad_request(struct register_call *call, const char *url, const char *why)
{
	atomic_fetch_add(&call->server->stats.bad_requests, 1);
	log_rated(LOG_LEVEL_INFO, "register: bad request to %s from %s: %s", url, call->request.remote, why);
	return respond(call->connection, MHD_HTTP_BAD_REQUEST, "{\"error\": \"bad_request\"}");
}

static enum MHD_Result answer_challenge(struct register_call *call)
{
	const struct challenge_book *book = &call->server->challenges;
	uint8_t nonce[REGISTER_NONCE_BYTES];
	char base64[sodium_base64_ENCODED_LEN(REGISTER_NONCE_BYTES, sodium_base64_VARIANT_ORIGINAL)];
	char text[128];

	challenge_make(book, call->request.account_tag, call->request.tunnel_id, register_now_ms(), nonce);
	sodium_bin2base64(base64, sizeof(base64), nonce, sizeof(nonce), sodium_base64_VARIANT_ORIGINAL);
	snprintf(text, sizeof(text), "{\"nonce\": \"%s\", \"expires_in_s\": %u}", base64,
		 (unsigned)(book->life_ms / 1000));
	atomic_fetch_add(&call->server->stats.challenges, 1);
	return respond(call->connection, MHD_HTTP_OK, text);
}

/* Hands a well-formed call to dispatch; the connection sleeps until call_finish(). */
static enum MHD_Result enqueue(struct register_call *call)
{
	struct register_server *server = call->server;
	bool stopping;

	pthread_mutex_lock(&server->lock);
	stopping = server->stopping;
	if (!stopping) {
		call->state = CALL_QUEUED;
		call->next = NULL;
		MHD_suspend_connection(call->connection);
		*server->queue_end = call;
		server->queue_end = &call->next;
	}
	pthread_mutex_unlock(&server->lock);
	if (stopping)
		return respond(call->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "{\"error\": \"stopping\"}");
	eventfd_write(server->event_fd, 1);
	return MHD_YES;
}

static enum MHD_Result route(struct register_call *call, const char *url)
{
	const char *wrong;

	remote_text(call->connection, call->request.remote, sizeof(call->request.remote));
	if (call->body_too_long)
		return bad_request(call, url, "longer than 16 KiB");
	if (!strcmp(url, "/v1/challenge")) {
		wrong = register_body_challenge(call->body, call->body_bytes, &call->request);
		return wrong ? bad_request(call, url, wrong) : answer_challenge(call);
	}
	call->goodbye = !strcmp(url, "/v1/goodbye");
	wrong = call->goodbye ? register_body_goodbye(call->body, call->body_bytes, &call->request)
			      : register_body_register(call->body, call->body_bytes, &call->request);
	return wrong ? bad_request(call, url, wrong) : enqueue(call);
}

static bool url_known(const char *url)
{
	return !strcmp(url, "/v1/challenge") || !strcmp(url, "/v1/register") || !strcmp(url, "/v1/goodbye");
}

static enum MHD_Result begin(struct register_server *server, struct MHD_Connection *connection, const char *url,
			     const char *method, void **con_cls)
{
	struct register_call *call;

	if (!url_known(url))
		return respond(connection, MHD_HTTP_NOT_FOUND, "{\"error\": \"not_found\"}");
	if (strcmp(method, MHD_HTTP_METHOD_POST))
		return respond(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "{\"error\": \"method_not_allowed\"}");
	call = calloc(1, sizeof(*call));
	if (!call)
		return MHD_NO;
	call->server = server;
	call->connection = connection;
	*con_cls = call;
	return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *data, size_t *data_bytes, void **con_cls)
{
	struct register_server *server = cls;
	struct register_call *call = *con_cls;
	enum call_state state;

	(void)version;
	if (!call)
		return begin(server, connection, url, method, con_cls);
	if (*data_bytes) {
		if (*data_bytes > sizeof(call->body) - call->body_bytes) {
			call->body_too_long = true;
		} else {
			memcpy(call->body + call->body_bytes, data, *data_bytes);
			call->body_bytes += *data_bytes;
		}
		*data_bytes = 0;
		return MHD_YES;
	}
	pthread_mutex_lock(&server->lock);
	state = call->state;
	pthread_mutex_unlock(&server->lock);
	if (state == CALL_READING)
		return route(call, url);
	if (state != CALL_ANSWERED)
		return MHD_YES; /* still asleep */
	return respond(connection, call->status, call->text ? call->text : "{\"error\": \"internal\"}");
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
			 enum MHD_RequestTerminationCode code)
{
	struct register_call *call = *con_cls;

	(void)cls;
	(void)connection;
	(void)code;
	if (!call)
		return;
	free(call->text);
	sodium_memzero(call, sizeof(*call));
	free(call);
	*con_cls = NULL;
}

void call_finish(struct register_call *call, unsigned status, char *text)
{
	struct register_server *server = call->server;

	pthread_mutex_lock(&server->lock);
	for (struct register_call **at = &server->waiting; *at; at = &(*at)->next)
		if (*at == call) {
			*at = call->next;
			break;
		}
	call->status = status;
	call->text = text;
	call->state = CALL_ANSWERED;
	MHD_resume_connection(call->connection); /* the call is the HTTP thread's from here */
	pthread_mutex_unlock(&server->lock);
}

static struct register_call *next_queued(struct register_server *server)
{
	struct register_call *call;

	pthread_mutex_lock(&server->lock);
	call = server->queue;
	if (call) {
		server->queue = call->next;
		if (!server->queue)
			server->queue_end = &server->queue;
		call->state = CALL_WAITING;
		call->next = server->waiting;
		server->waiting = call;
	}
	pthread_mutex_unlock(&server->lock);
	return call;
}

void register_server_dispatch(struct register_server *server)
{
	struct register_call *call;
	eventfd_t ignored;

	eventfd_read(server->event_fd, &ignored);
	while ((call = next_queued(server)))
		judge_call(call);
}

/* A listening socket; `v6_only` for an IPv6 address beside IPv4 ones. Returns it or a negative errno. */
static int listen_on(const struct sockaddr *addr, socklen_t addr_bytes, bool v6_only, uint16_t *port)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, only = v6_only, err = 0;
	struct sockaddr_in6 bound;
	socklen_t bound_bytes = sizeof(bound);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    (addr->sa_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only))) ||
	    bind(fd, addr, addr_bytes) || listen(fd, 128) ||
	    getsockname(fd, (struct sockaddr *)&bound, &bound_bytes))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	*port = ntohs(bound.sin6_port); /* at the same place in sockaddr_in */
	return fd;
}

static int parse_listen(const char *text, struct sockaddr_storage *addr, socklen_t *bytes)
{
	struct ip_addr ip;
	char host[256];
	uint16_t port;

	memset(addr, 0, sizeof(*addr));
	if (!ip_hostport_split(text, host, sizeof(host), &port) || !ip_addr_parse(host, &ip))
		return -EINVAL;
	if (ip.family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)addr;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, ip.bytes, 4);
		*bytes = sizeof(*in);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, ip.bytes, 16);
		*bytes = sizeof(*in6);
	}
	return 0;
}

static void on_mhd_log(void *cls, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void on_mhd_log(void *cls, const char *format, va_list args)
{
	char text[512];

	(void)cls;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = 0;
	log_rated(LOG_LEVEL_DEBUG, "register: %s", text);
}

static struct MHD_Daemon *start_daemon(struct register_server *server, int fd)
{
	return MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME |
			MHD_USE_ERROR_LOG,
		0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL, MHD_OPTION_LISTEN_SOCKET,
		fd, MHD_OPTION_HTTPS_MEM_KEY, server->tls.key_pem, MHD_OPTION_HTTPS_MEM_CERT, server->tls.server_pem,
		MHD_OPTION_HTTPS_PRIORITIES, "NORMAL:-VERS-ALL:+VERS-TLS1.3", MHD_OPTION_NOTIFY_COMPLETED, on_completed,
		NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned)CONNECTIONS_PER_IP_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_END);
}

static int start_listen(struct register_server *server, const struct register_server_config *config, size_t n, char *err,
			size_t err_len)
{
	struct sockaddr_storage addr;
	socklen_t bytes;
	bool any_v4 = false;
	int fd;

	for (size_t i = 0; i < config->listen_count; i++)
		any_v4 |= config->listen[i][0] != '[';
	if (parse_listen(config->listen[n], &addr, &bytes)) {
		snprintf(err, err_len, "register.listen: %s is not an address and port", config->listen[n]);
		return -EINVAL;
	}
	fd = listen_on((struct sockaddr *)&addr, bytes, any_v4, &server->ports[n]);
	if (fd < 0) {
		snprintf(err, err_len, "register.listen: %s: %s", config->listen[n], strerror(-fd));
		return fd;
	}
	server->daemons[n] = start_daemon(server, fd);
	if (!server->daemons[n]) {
		close(fd);
		snprintf(err, err_len, "register.listen: %s: the HTTPS server does not start", config->listen[n]);
		return -EIO;
	}
	server->daemon_count = n + 1;
	return 0;
}

int register_server_create(const struct register_server_config *config, struct register_server **out, char *err,
			   size_t err_len)
{
	struct register_server *server;
	int failed;

	if (!config->listen_count || config->listen_count > REGISTER_LISTEN_MAX) {
		snprintf(err, err_len, "register.listen: %zu addresses, not 1 to %d", config->listen_count,
			 REGISTER_LISTEN_MAX);
		return -EINVAL;
	}
	if (sodium_init() < 0 || !(server = calloc(1, sizeof(*server)))) {
		snprintf(err, err_len, "register: out of memory");
		return -ENOMEM;
	}
	server->backend = config->backend;
	server->queue_end = &server->queue;
	server->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&server->lock, NULL);
	challenge_init(&server->challenges,
		       config->challenge_life_ms ? config->challenge_life_ms : CHALLENGE_LIFE_MS);
	failed = register_tls_load(config->tls_dir, config->names, config->name_count, &server->tls, err, err_len);
	for (size_t n = 0; !failed && n < config->listen_count; n++)
		failed = start_listen(server, config, n, err, err_len);
	if (failed) {
		register_server_destroy(server);
		return failed;
	}
	*out = server;
	return 0;
}

/* Ends every call that sleeps, as libmicrohttpd demands before it is stopped. */
static void refuse_all(struct register_server *server)
{
	struct register_call *call, *next;

	pthread_mutex_lock(&server->lock);
	server->stopping = true;
	*server->queue_end = server->waiting;
	call = server->queue;
	server->queue = server->waiting = NULL;
	server->queue_end = &server->queue;
	for (; call; call = next) {
		next = call->next;
		call->status = MHD_HTTP_SERVICE_UNAVAILABLE;
		call->text = strdup("{\"error\": \"stopping\"}");
		call->state = CALL_ANSWERED;
		MHD_resume_connection(call->connection);
	}
	pthread_mutex_unlock(&server->lock);
}

void register_server_destroy(struct register_server *server)
{
	if (!server)
		return;
	refuse_all(server);
	for (size_t n = 0; n < server->daemon_count; n++)
		MHD_stop_daemon(server->daemons[n]);
	register_tls_free(&server->tls);
	pthread_mutex_destroy(&server->lock);
	close(server->event_fd);
	sodium_memzero(server, sizeof(*server));
	free(server);
}

int register_server_fd(const struct register_server *server)
{
	return server->event_fd;
}

const char *register_server_ca_pem(const struct register_server *server)
{
	return server->tls.ca_pem;
}

uint16_t register_server_port(const struct register_server *server, size_t n)
{
	return server->ports[n];
}

void register_server_stats_get(struct register_server *server, struct register_server_stats *out)
{
	out->challenges = atomic_load(&server->stats.challenges);
	out->registrations = atomic_load(&server->stats.registrations);
	out->goodbyes = atomic_load(&server->stats.goodbyes);
	out->unauthorized = atomic_load(&server->stats.unauthorized);
	out->bad_requests = atomic_load(&server->stats.bad_requests);
	out->limited = atomic_load(&server->stats.limited);
}
