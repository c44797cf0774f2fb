// SPDX-License-Identifier: BSD-3-Clause
// Inside of the registration server: what the HTTP side (server.c) and the judge (judge.c) share.
#ifndef SLUICE_CTRL_REGISTER_SERVER_H
#define SLUICE_CTRL_REGISTER_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <microhttpd.h>

#include "ctrl/register/body.h"
#include "ctrl/register/challenge.h"
#include "ctrl/register/register.h"
#include "ctrl/register/tls.h"

enum call_state {
	CALL_READING,  /* the HTTP thread has it */
	CALL_QUEUED,   /* suspended; waits for dispatch */
	CALL_WAITING,  /* suspended; the backend has it */
	CALL_ANSWERED, /* status and text are set; the HTTP thread has it again */
};

/* One HTTP request. `state` and the list are guarded by the server's lock; the rest belongs to the thread whose turn
 * the state says it is. */
struct register_call {
	struct register_server *server;
	struct MHD_Connection *connection;
	struct register_call *next; /* in the queue, or among the waiting */
	enum call_state state;
	bool goodbye;
	struct register_request request;
	unsigned status;
	char *text; /* heap JSON */
	size_t body_bytes;
	bool body_too_long;
	char body[REGISTER_BODY_MAX_BYTES];
};

struct register_server {
	struct register_backend backend;
	struct register_tls tls;
	struct challenge_book challenges; /* key and life: read by all; the spent: dispatch only */
	struct MHD_Daemon *daemons[REGISTER_LISTEN_MAX];
	uint16_t ports[REGISTER_LISTEN_MAX];
	size_t daemon_count;
	int event_fd;
	pthread_mutex_t lock; /* queue, waiting, stopping, call.state */
	struct register_call *queue, **queue_end;
	struct register_call *waiting;
	bool stopping;
	struct {
		atomic_uint_fast64_t challenges, registrations, goodbyes, unauthorized, bad_requests, limited;
	} stats;
};

uint64_t register_now_ms(void);

/* Gives status and text (heap, taken over) to a call that the HTTP thread waits for, and wakes it. */
void call_finish(struct register_call *call, unsigned status, char *text);

/* On dispatch: nonce, secret, proof, limit; then the backend. Finishes the call or leaves it with the backend. */
void judge_call(struct register_call *call);

#endif
