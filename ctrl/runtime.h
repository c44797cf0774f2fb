// SPDX-License-Identifier: BSD-3-Clause
// What edges report of live peers, and which edges there are: a file of its own beside the store, written in batches
// (about once a second), without revisions and audit rows. All take a NULL ctrl, or one without runtime, as empty.
#ifndef SLUICE_CTRL_RUNTIME_H
#define SLUICE_CTRL_RUNTIME_H

#include "ctrl/ctrl.h"

/* Opens or creates the file (0600). NULL with a sentence in err. */
struct runtime *runtime_open(const char *path, char *err, size_t err_len);
void runtime_close(struct runtime *rt);
/* Commits what was gathered. */
void runtime_flush(struct runtime *rt);

/* An edge has subscribed: doc {"edge_id", "workers", "public_keys", "endpoints", "version"}. */
void runtime_edge_put(struct runtime *rt, const json_t *doc);
/* {"tai64n_high_water": n, "peers": [...]} for the answer of sync.subscribe. */
json_t *runtime_for_edge(struct runtime *rt, const char *edge_id);
/* One edge.report; what is not of its form is skipped. */
void runtime_report(struct runtime *rt, const char *edge_id, const json_t *params);

/* Edges connected, or where none is, those known: [{"edge_id", "workers", "public_keys", "endpoints"}]. */
json_t *runtime_edges(struct ctrl *c);
/* {"public_key", "endpoints"} for a client's config; null and [] where no edge is known. */
json_t *runtime_edge_for_config(struct ctrl *c);
bool runtime_is_edge_key(struct ctrl *c, const char *b64);

void runtime_tunnel_mark(struct runtime *rt, const char *tunnel_id);
bool runtime_tunnel_seen(struct ctrl *c, const char *tunnel_id);
/* The tunnel's last noted status into `status`, which stays as it is where none was. */
void runtime_tunnel_status(struct runtime *rt, const char *tunnel_id, char *status, size_t size);
void runtime_tunnel_status_put(struct runtime *rt, const char *tunnel_id, const char *status, int64_t at);
/* [{"status", "at"}], newest first, at most `max`. */
json_t *runtime_tunnel_changes(struct ctrl *c, const char *tunnel_id, unsigned max);

/* Add last_handshake and endpoint; sessions_live and rtt_us. */
void runtime_show_client(struct ctrl *c, const json_t *doc, json_t *out);
void runtime_show_connector(struct ctrl *c, const json_t *doc, json_t *out);

#endif
