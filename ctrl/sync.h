// SPDX-License-Identifier: BSD-3-Clause
// Table sync to edges (docs/protocols.md, 1.2): one reader of the store per edge, so that a snapshot is consistent and
// sent piece by piece, as fast as the edge takes it, while changes go on.
#ifndef SLUICE_CTRL_SYNC_H
#define SLUICE_CTRL_SYNC_H

#include "ctrl/ctrl.h"

struct sync_reader;

struct edge {
	struct edge *next;
	struct ctrl *ctrl;
	struct ipc_conn *conn;
	char edge_id[64], instance[64];
	json_t *doc;	  /* {"edge_id", "workers", "public_keys", "endpoints", "version"} */
	json_t *reports;  /* connector id → {"sessions_live", "rtt_us"} */
	json_t *errors;	  /* of the last applied revision: array */
	json_t *warnings; /* the same */
	uint64_t applied; /* revision; 0: none yet */
	uint64_t sent;	  /* everything up to this revision has been queued */
	bool snapshot;	  /* the next round must be one */
	bool first;	  /* the first round is sent even if empty: its end is answered */
	struct sync_reader *reader;
};

/* Handlers for the socket. */
void sync_on_subscribe(struct ipc_call *call, json_t *params, void *user);
void sync_on_applied(struct ipc_call *call, json_t *params, void *user);
void sync_on_audit(struct ipc_call *call, json_t *params, void *user);
void sync_on_report(struct ipc_call *call, json_t *params, void *user);
/* A connection is gone, or has room again. */
void sync_on_close(struct ipc_conn *conn, void *user);
void sync_on_drained(struct ipc_conn *conn, void *user);

/* A new revision: every edge that is not busy is sent it. */
void sync_kick(struct ctrl *c);
void sync_end(struct ctrl *c);

/* [{"edge_id", "workers", "public_keys", "endpoints"}] of the connected ones. */
json_t *sync_connected_edges(struct ctrl *c);
/* The newest report on a connector (borrowed), or NULL: what the edges say together. */
const json_t *sync_connector_report(struct ctrl *c, const char *connector_id);

/* --- the reader (ctrl/sync_reader.c) --- */

struct sync_reader *sync_reader_open(const char *store_path, char *err, size_t err_len);
void sync_reader_close(struct sync_reader *rd);
/* Begins a round: a snapshot, or what changed after `from`; a snapshot too where the log does not reach back to it. Sets
 * *revision and *snapshot to what it will be. 0 or -EIO. */
int sync_reader_begin(struct sync_reader *rd, uint64_t from, bool *snapshot, uint64_t *revision);
/* The next sync.rows line (heap, newline included): 1 and *line; 0: the round is complete; -EIO, -ENOMEM. */
int sync_reader_next(struct sync_reader *rd, char **line, size_t *len);
bool sync_reader_busy(const struct sync_reader *rd);

#endif
