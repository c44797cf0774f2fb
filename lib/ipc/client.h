// SPDX-License-Identifier: BSD-3-Clause
// JSON-RPC client on a unix stream socket: blocking for sluicectl, or driven by somebody's poll loop (the edge's sync).
// One thread owns a client.
#ifndef SLUICE_LIB_IPC_CLIENT_H
#define SLUICE_LIB_IPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ipc/rpc.h"

struct ipc_client;

/* Longest line taken from the server: lists of a million routes come in one. */
#define IPC_CLIENT_LINE_MAX (512u * 1024 * 1024)

/* Connects. Blocking is short: a unix socket connects at once or not at all. NULL with a sentence in err
 * ("/run/sluice/ctrl.sock: No such file or directory (is sluice-ctrl running?)") and *error (may be NULL) = -errno. */
struct ipc_client *ipc_client_connect(const char *path, char *err, size_t err_len, int *error);
void ipc_client_free(struct ipc_client *c);

/* --- blocking --- */

/* Sends a request and waits up to timeout_ms (-1: for ever) for its reply. 0 with *result (new reference); or -1 with
 * e filled: what the server said; or name "timeout" / "internal" where no answer came (the connection is then of no
 * further use). Notifications that come meanwhile go to the callback below, if set. */
int ipc_client_call(struct ipc_client *c, const char *method, const json_t *params, int timeout_ms, json_t **result,
		    struct ipc_error *e);

/* --- driven from a loop --- */

/* Descriptor, and the poll(2) events to wait for now (POLLIN and / or POLLOUT, 0 while paused with nothing to send). */
int ipc_client_fd(const struct ipc_client *c);
short ipc_client_events(const struct ipc_client *c);

/* Called for each reply to ipc_client_request() (exactly one of result, e is not NULL; both borrowed). */
typedef void ipc_reply_fn(struct ipc_client *c, json_t *result, const struct ipc_error *e, void *user);
/* Called for each notification; params is an object (borrowed; keep with json_incref()). */
typedef void ipc_notification_fn(struct ipc_client *c, const char *method, json_t *params, void *user);
void ipc_client_on_notification(struct ipc_client *c, ipc_notification_fn *fn, void *user);

/* Queues a request / a notification; nothing is written before ipc_client_run(). 0, -ENOMEM, -ENOBUFS (16 MiB queued). */
int ipc_client_request(struct ipc_client *c, const char *method, const json_t *params, ipc_reply_fn *fn, void *user);
int ipc_client_notify(struct ipc_client *c, const char *method, const json_t *params);

/* Writes what can be written, reads what is there (at most 1 MiB a call) and calls back. 0; -EPIPE when the server
 * closed; -EBADMSG when it sent what is no message; another negative errno. After a failure: ipc_client_free(). */
int ipc_client_run(struct ipc_client *c);

/* While paused nothing is read and no callback is called: the back pressure of a slow reader. Takes effect at once, also
 * inside a callback (whole lines already read are kept until resumed: call ipc_client_run() after resuming). */
void ipc_client_pause(struct ipc_client *c, bool paused);

#endif
