// SPDX-License-Identifier: BSD-3-Clause
// The registration server: HTTPS for connectors (docs/protocols.md, 2). TLS and HTTP run on threads of its own;
// everything that asks the store runs in register_server_dispatch(), on the caller's loop.
#ifndef SLUICE_CTRL_REGISTER_REGISTER_H
#define SLUICE_CTRL_REGISTER_REGISTER_H

#include <stddef.h>
#include <stdint.h>

#include "ctrl/register_backend.h"

#define REGISTER_LISTEN_MAX 8

struct register_server;

struct register_server_config {
	const char *const *listen; /* "host:port" with literal addresses; port 0 picks one. "[::]" takes IPv4 too
				    * unless an IPv4 address is in the list */
	size_t listen_count;	   /* 1…REGISTER_LISTEN_MAX */
	const char *tls_dir;
	const char *const *names; /* for the certificate, ≥ 1 */
	size_t name_count;
	uint64_t challenge_life_ms; /* 0: CHALLENGE_LIFE_MS */
	struct register_backend backend;
};

struct register_server_stats {
	uint64_t challenges, registrations, goodbyes; /* given, granted, taken */
	uint64_t unauthorized, bad_requests, limited; /* refused */
};

/* Starts to listen. 0, or negative errno with one sentence in err. */
int register_server_create(const struct register_server_config *config, struct register_server **out, char *err,
			   size_t err_len);

/* Ends everything; calls without an answer are refused, so the backend must forget them before. NULL is fine. */
void register_server_destroy(struct register_server *server);

/* Readable (poll, level-triggered) when register_server_dispatch() has work. */
int register_server_fd(const struct register_server *server);

/* Judges the waiting calls and asks the backend. On the loop's thread, never from inside the backend. */
void register_server_dispatch(struct register_server *server);

/* PEM of the CA, for credentials files; lives as long as the server. */
const char *register_server_ca_pem(const struct register_server *server);

/* The port of the n-th listen address. */
uint16_t register_server_port(const struct register_server *server, size_t n);

/* Any thread. */
void register_server_stats_get(struct register_server *server, struct register_server_stats *out);

#endif
