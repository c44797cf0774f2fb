/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * May this flow be? Destination, route and rules for a flow's key, whoever opened it; the same answer for the first packet
 * and for every later look at it after the tables have changed.
 */
#ifndef DATAPLANE_STAGES_VERDICT_H
#define DATAPLANE_STAGES_VERDICT_H

#include "dataplane/stages/stage.h"
#include "dataplane/tables/policy.h"

/* Everything that a decision is made of. Pointers live until the next quiescent state. */
struct decision {
	const struct client_record *client;
	const struct account_record *account;
	const struct vnet_record *vnet;
	const struct tunnel_record *tunnel;
	uint32_t route; /* index; set where tunnel is */
	const uint8_t *client_address; /* 4 or 16 bytes by the key's family */
	uint32_t rule;                 /* who decided: index of a rule, or POLICY_RULE_DEFAULT */
	bool silent;                   /* blocked: rule_settings say not to answer */
	bool pending;                  /* it may pass, but a name that is not seen yet could still forbid it */
};

/*
 * Evaluates the key against the tables. names: what inspection has learned; NULL: nothing yet. from_private: the private side opens (or opened) the flow; then the default action
 * allows nothing, a rule must. DROP_REASON_COUNT: it may pass, and d is whole. Else a reason; d->rule and d->silent are set
 * where it is DROP_policy_block.
 */
enum drop_reason verdict_of(const struct worker *w, const struct flow_key *key, bool from_private, const struct names *names,
			    struct decision *d);

/* The two halves of it, for explain: destination and route, without the rules; and what the rules are asked. */
enum drop_reason verdict_way(const struct edge *edge, const struct flow_key *key, struct decision *d);
void verdict_query(const struct flow_key *key, bool from_private, const struct decision *d, struct policy_query *q);

/* True where nothing that the flow was decided by has changed since. */
bool verdict_is_current(const struct worker *w, const struct flow_entry *f);

/* Writes into the flow what it was decided by. */
void verdict_stamp(struct flow_entry *f, const struct decision *d);

#endif
