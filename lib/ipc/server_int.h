// SPDX-License-Identifier: BSD-3-Clause
// What server.c and server_conn.c share; not for others.
#ifndef SLUICE_LIB_IPC_SERVER_INT_H
#define SLUICE_LIB_IPC_SERVER_INT_H

#include "lib/ipc/line.h"
#include "lib/ipc/server.h"

struct out_line {
	struct out_line *next;
	char *p;
	size_t len, done;
};

struct ipc_call {
	struct ipc_conn *conn;	     /* NULL: gone */
	struct ipc_call *prev, *next; /* in conn->calls */
	struct ipc_peer peer;
	struct ipc_msg msg; /* owns params and id */
	json_t *no_params;  /* the empty object where none were given */
};

struct ipc_conn {
	struct ipc_server *s;
	struct ipc_conn *prev, *next;
	int fd;
	uint32_t armed; /* epoll events asked for */
	struct ipc_peer peer;
	struct ipc_line in;
	struct out_line *out_head, **out_tail;
	size_t out_bytes;
	struct ipc_call *calls;
	unsigned n_calls;
	uint64_t close_by_ns; /* closing: when to give up flushing */
	void *data;
	bool eof;     /* nothing more will come */
	bool closing; /* flush what is queued, then close */
	bool dead;    /* close at the end of this poll */
	bool was_full;
	bool resume; /* look at buffered lines again */
};

struct ipc_server {
	struct ipc_server_config cfg;
	int epfd, listen_fd, timer_fd, wake_fd;
	bool listen_off; /* out of descriptors: try again in a second */
	gid_t gid_write, gid_read;
	bool has_write, has_read;
	struct ipc_conn *conns;
	unsigned n_conns, n_strangers;
	struct ipc_server_stats stats;
	char chunk[65536];
};

uint64_t ipc_now_ns(void);

/* Reads and writes of one connection (server_conn.c). */
void ipc_conn_readable(struct ipc_conn *c, bool hangup);
void ipc_conn_lines(struct ipc_conn *c);
void ipc_conn_flush(struct ipc_conn *c);
void ipc_conn_arm(struct ipc_conn *c);
void ipc_conn_send_error(struct ipc_conn *c, const json_t *id, const struct ipc_error *e);
void ipc_server_wake(struct ipc_server *s);

#endif
