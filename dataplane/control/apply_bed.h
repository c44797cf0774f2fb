/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An apply on tables of its own, for tests: a handshake side that keeps what it is told, and a reclaim whose grace period
 * ends when the test says so. One thread.
 */
#ifndef DATAPLANE_CONTROL_APPLY_BED_H
#define DATAPLANE_CONTROL_APPLY_BED_H

#include "dataplane/control/apply.h"

struct bed_size {
	uint32_t accounts, vnets, tunnels, clients, connectors, peers, rules, routes;
};
#define BED_SIZE {.accounts = 4, .vnets = 8, .tunnels = 8, .clients = 32, .connectors = 16, .peers = 64, .rules = 32, .routes = 4096}

struct bed {
	struct edge edge;
	struct reclaim *reclaim;
	struct apply *apply;
	bool known[4096]; /* by peer index: what the handshake side was told */
	size_t n_denied;          /* of the last call of the deny list, SIZE_MAX: none yet */
	uint64_t revision;
	int64_t now_s;
};

/* Aborts with a message when something cannot be made. */
struct bed *bed_create(const struct bed_size *size);
void bed_destroy(struct bed *b);

/* Grace period: what was retired is freed. */
void bed_pass(struct bed *b);
/* Pieces that wait. */
size_t bed_waiting(const struct bed *b);

/* Applies {"table": {"put": [...], "delete": [...]}, …} (JSON text, ' for ") as one change, to its end. */
void bed_change(struct bed *b, bool snapshot, const char *text);
/* The same in printf's form, a delta. */
void bed_put(struct bed *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next handshake_peer_changed fails with this. */
void bed_peer_fails(int error);

/* All rows and what the workers would find, as sorted lines; heap. Equal texts: equal edges. */
char *bed_dump(struct bed *b);

/* Has the refused rows' code for this table and key; "" where it is not refused. */
const char *bed_refused(struct bed *b, const char *table, const char *key);

#endif
