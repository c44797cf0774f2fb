/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same rules over five fields for the policy tables and for rte_acl, and flows to ask both about: what policy_bench and
 * `sluice-pktgen bench --case policy` measure. Ends the process with a message where memory or a table fails. One thread.
 */
#ifndef DATAPLANE_TABLES_POLICY_FIVES_H
#define DATAPLANE_TABLES_POLICY_FIVES_H

#include <rte_acl.h>

#include "dataplane/tables/policy.h"

#define POLICY_FIVES_RULES 4096u
#define POLICY_FIVES_FLOWS (1u << 18)
#define POLICY_FIVES_BURST 32u

struct acl_key {
	uint8_t proto, pad[3];
	uint32_t src, dst;     /* network order */
	uint16_t sport, dport; /* network order */
};

struct policy_fives {
	struct policy_set *p;
	struct policy_rule *rules;
	uint32_t n;
	struct rte_acl_ctx *acl;
	struct policy_query *q;
	const struct policy_query **each;
	struct acl_key *keys;
	const uint8_t **key_at;
	const struct names *names;
	uint32_t n_names;
	uint64_t sum;
};

/* Room for all rules and flows; no tables yet. */
void policy_fives_init(struct policy_fives *b);
/* Frees that room and the context of rte_acl; `p` and the rules are the caller's. */
void policy_fives_free(struct policy_fives *b);
struct expr *policy_fives_parse(const char *text, enum expr_scheme scheme);
/* Fills `rules` with n (1 … POLICY_FIVES_RULES) of prefix, port range and protocol; `people`: each asks for a group too. */
void policy_fives_rules(struct policy_fives *b, uint32_t n, bool people);
/* Frees the expressions of `rules`. */
void policy_fives_rules_free(struct policy_fives *b);
/* Builds rte_acl with the same rules. */
void policy_fives_acl(struct policy_fives *b);
/* POLICY_FIVES_FLOWS random ones, two thirds of them into what some rule names; of `people` identities (0: none). */
void policy_fives_flows(struct policy_fives *b, uint32_t people);
/* How many of the flows the two answer differently; *hits (may be NULL): how many some rule names. */
uint32_t policy_fives_differ(struct policy_fives *b, uint32_t *hits);

#endif
