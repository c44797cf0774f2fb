/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Caps of one client (decision 15): flows, new flows a second, packets and bits a second, answers to what is blocked. A
 * client lives on one worker, which keeps its state; while a key rotation overlaps it may live on two, and each keeps its own.
 */
#ifndef DATAPLANE_STAGES_LIMITS_H
#define DATAPLANE_STAGES_LIMITS_H

#include "dataplane/stages/stage.h"
#include "dataplane/tables/token_bucket.h"

/* Blocked flows of one client that are kept, so that their next packets are cheap. */
#define BLOCKED_FLOWS_MAX 64
/* TCP resets about a client's blocked packets. */
#define RESETS_PER_S 100
#define RESETS_BURST 100

struct client_state {
	uint32_t flows, blocked; /* entries in this worker's flow table; of those, blocked */
	uint64_t new_flow_tat_ns, reset_tat_ns; /* GCRA states */
	uint64_t rate_pps, rate_bps; /* what the buckets were made for */
	struct token_bucket packets[2], bits[2]; /* by direction */
} __attribute__((aligned(64)));

/* Allocates w->clients and fills in the hooks of the flow table that keep the counts. False: no memory. */
bool limits_create(struct worker *w, struct flow_hooks *hooks);

/* A new flow of the client may begin: takes its share of the rate. */
bool limits_may_open(struct worker *w, uint32_t client);
/* A blocked flow of the client may take an entry. */
bool limits_may_keep_blocked(const struct worker *w, uint32_t client);
/* The packet fits the client's packets and bits a second. Cheap for clients without such caps. */
bool limits_may_pass(struct worker *w, const struct rte_mbuf *m, const struct client_record *client);
/* A reset about the client's packets may be sent. */
bool limits_may_reset(struct worker *w, uint32_t client);

/* Sets the flow's verdict; the count of blocked flows follows. */
void limits_set_verdict(struct worker *w, struct flow_entry *f, enum flow_verdict verdict);

#endif
