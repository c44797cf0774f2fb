// SPDX-License-Identifier: BSD-3-Clause
// JSON-RPC server on a unix stream socket (docs/protocols.md, 1). It has no loop of its own: one file descriptor becomes
// readable when there is work, so it fits a uv_poll_t as well as an epoll set. One thread owns a server.
#ifndef SLUICE_LIB_IPC_SERVER_H
#define SLUICE_LIB_IPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/ipc/rpc.h"

struct ipc_server;
struct ipc_conn;
struct ipc_call;

struct ipc_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	char comm[32];	/* of the process at connect time, escaped; "?" if it is gone */
	bool may_read, may_write;
};

/* Answers by exactly one ipc_reply() or ipc_reply_error(), now or later. params is an object (empty if none were
 * given), borrowed until the reply. For a notification the reply is taken and not sent. */
typedef void ipc_handler(struct ipc_call *call, json_t *params, void *user);

enum ipc_need { IPC_NEED_READ, IPC_NEED_WRITE };

struct ipc_method {
	const char *name; /* NULL ends the table */
	enum ipc_need need;
	ipc_handler *handler;
};

struct ipc_server_config {
	const char *path;		  /* socket; a stale one is replaced, a live one is -EADDRINUSE */
	mode_t mode;			  /* of the socket; 0: 0666, for the peer's credentials decide */
	const char *group_write;	  /* group names; NULL or unknown to the system: root alone */
	const char *group_read;
	const struct ipc_method *methods; /* must outlive the server */
	void *user;			  /* given to handlers and callbacks */
	size_t max_line_write;		  /* longest line of a peer that may write; 0: IPC_LINE_MAX_TRUSTED */
	unsigned max_conns;		  /* 0: 256; of them at most a quarter for peers without any permission */
	void (*on_close)(struct ipc_conn *conn, void *user);   /* optional: conn is gone after this */
	void (*on_drained)(struct ipc_conn *conn, void *user); /* optional: output fell below the low mark */
};

/* Output of one connection: above HIGH, requests are no longer read and ipc_conn_full() says so; on_drained comes when
 * it has fallen below LOW. Nothing is ever dropped; a peer that never reads only stops itself. */
#define IPC_OUT_HIGH (8u * 1024 * 1024)
#define IPC_OUT_LOW  (2u * 1024 * 1024)
/* Requests of one connection that may wait for their reply before more are read. */
#define IPC_CALLS_MAX 64

/* NULL with a sentence in err. */
struct ipc_server *ipc_server_create(const struct ipc_server_config *cfg, char *err, size_t err_len);
/* Closes all connections (on_close is called), removes the socket. Calls still open stay valid: replying is harmless. */
void ipc_server_destroy(struct ipc_server *s);

/* An epoll descriptor: readable when ipc_server_poll() has something to do (timeouts included). */
int ipc_server_fd(const struct ipc_server *s);

/* Does what is ready: accepts, reads, calls handlers, writes. Waits up to timeout_ms (0: not at all, -1: for ever) for
 * the first event. Returns 0, or negative errno of epoll_wait. Never re-enter it from a handler. */
int ipc_server_poll(struct ipc_server *s, int timeout_ms);

/* Number of open connections. */
unsigned ipc_server_conns(const struct ipc_server *s);

struct ipc_server_stats {
	uint64_t accepted, refused_full, requests, denied, bad_lines, late_lines;
};
const struct ipc_server_stats *ipc_server_get_stats(const struct ipc_server *s);

/* Both end the call (it must not be used after). The result is not stolen; NULL means out of memory and is sent as an
 * internal error. */
void ipc_reply(struct ipc_call *call, const json_t *result);
void ipc_reply_error(struct ipc_call *call, const struct ipc_error *e);
/* Short form. */
void ipc_reply_fail(struct ipc_call *call, const char *name, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Who asked; valid until the reply, also when the connection is gone. */
const struct ipc_peer *ipc_call_peer(const struct ipc_call *call);
const char *ipc_call_method(const struct ipc_call *call);
bool ipc_call_is_notification(const struct ipc_call *call);
/* The connection, or NULL when it is gone. */
struct ipc_conn *ipc_call_conn(const struct ipc_call *call);

/* Queues a notification to a connection. 0 or -ENOMEM. Check ipc_conn_full() between big ones and wait for on_drained. */
int ipc_conn_notify(struct ipc_conn *conn, const char *method, const json_t *params);
/* The same for one line made by the caller (newline included); takes `line` (heap) over. */
int ipc_conn_send_line(struct ipc_conn *conn, char *line, size_t len);
bool ipc_conn_full(const struct ipc_conn *conn);
size_t ipc_conn_queued_bytes(const struct ipc_conn *conn);
/* Closes the connection at the next poll (on_close will be called). */
void ipc_conn_close(struct ipc_conn *conn);
/* A pointer of the caller's, NULL at first. */
void ipc_conn_set_data(struct ipc_conn *conn, void *data);
void *ipc_conn_data(const struct ipc_conn *conn);
const struct ipc_peer *ipc_conn_peer(const struct ipc_conn *conn);

#endif
