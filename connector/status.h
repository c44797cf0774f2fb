// SPDX-License-Identifier: BSD-3-Clause
// The connector's local HTTP: /ready, /healthcheck, /metrics (semantics 1.7), driven by the caller's loop. And the client
// of `tunnel ready`.
#ifndef SLUICE_CONNECTOR_STATUS_H
#define SLUICE_CONNECTOR_STATUS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct status;

struct status_source {
	void *arg;
	unsigned (*ready)(void *arg);	       /* live sessions */
	void (*metrics)(void *arg, FILE *out); /* Prometheus text */
	const char *connector_id;
};

/* Listens on `address` (host:port), or on the first free of 127.0.0.1:20241 … 20245 where it is NULL. NULL with a sentence
 * in err. */
struct status *status_create(const char *address, const struct status_source *source, char *err, size_t err_len);
void status_destroy(struct status *s);

/* Readable when status_run() has work; call that once a second, too. */
int status_fd(const struct status *s);
void status_run(struct status *s);

/* Where it listens, as text. */
const char *status_address(const struct status *s);

/* GET http://ADDRESS/ready: 0 for 200, 1 for anything else with a sentence in err. */
int status_ask_ready(const char *address, char *err, size_t err_len);

#endif
