/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policy: who may open which flow. Rules of all accounts, compiled per account to bitmaps over terms (decision 11).
 *
 *   control thread   policy_list_*, policy_rules_set, policy_identity_*: each publishes by pointer, the old part goes to
 *                    `retire` and is freed once every reader has passed a quiescent state
 *   workers          policy_decide, policy_decide_burst: no lock, no allocation, no division
 *
 * Sources: "Tables" and "Inspection" of the design; decisions 7–11. The reference model is lib/expr's expr_eval over the
 * same rules; policy_test.c holds both against each other.
 */
#ifndef DATAPLANE_TABLES_POLICY_H
#define DATAPLANE_TABLES_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/inspect/names.h"
#include "dataplane/tables/retire.h"
#include "lib/expr/expr.h"

#define POLICY_RULE_DEFAULT UINT32_MAX     /* no rule: the account's default action decided */
#define POLICY_IDENTITY_NONE UINT32_MAX

enum policy_filter { POLICY_L4, POLICY_HTTP, POLICY_DNS };
enum policy_action { POLICY_ALLOW, POLICY_BLOCK, POLICY_OFF /* http, dns: ends inspection, objects to nothing */ };
enum policy_verdict { POLICY_PENDING, POLICY_PASS, POLICY_DENY };

struct policy_limits {
	uint32_t accounts;              /* account indexes are below this */
	uint32_t vnets;                 /* vnet indexes are below this */
	uint32_t rules, terms;          /* per account: 4,096 and 16,384 */
	uint32_t rules_total;           /* all accounts: 100,000; rule indexes are below this */
	uint32_t lists, list_entries;   /* per account: 1,000 and 1,000,000 */
	uint32_t terms_per_rule;        /* a rule whose disjunctive form is longer is refused by name */
};
#define POLICY_LIMITS_DEFAULT {.accounts = 16, .vnets = 1024, .rules = 4096, .terms = 16384, .rules_total = 100000, .lists = 1000, \
			       .list_entries = 1000000, .terms_per_rule = 1024}

/*
 * One rule, in any order. Expressions stay the caller's; readers may look at them until they have passed a quiescent state after
 * the policy_rules_set that no longer names them, so the caller frees them by the same `retire`.
 */
struct policy_rule {
	uint32_t index;     /* dense over all accounts, stable while the rule lives: in flows, logs and counters */
	int64_t precedence; /* unique per account; lower first */
	enum policy_filter filter;
	enum policy_action action;
	bool silent; /* of a block: rule_settings say not to answer */
	const char *id, *name;
	const struct expr *traffic, *identity, *posture; /* NULL: always true. Lists by id. */
};

/* What one client is, for identity.* and device_posture.*. Copied. */
struct policy_identity {
	const char *email, *name;
	const char *const *groups;
	const char *const *passed, *const *failed; /* names of posture checks that hold now */
	size_t n_groups, n_passed, n_failed;
};

struct policy_error {
	uint32_t rule;     /* index of the rule at fault, or POLICY_RULE_DEFAULT */
	char message[256]; /* one sentence: names rule, list or limit, and the value */
};

struct policy_set;

/* NULL with errno EINVAL or ENOMEM. retire.retire NULL: no readers, freed at once. */
struct policy_set *policy_create(const struct policy_limits *limits, struct retire_ops retire);
void policy_destroy(struct policy_set *p);

/* ---- writer: the control thread ---- */

/*
 * Makes the list `id` of the account what `items` say; an item is an address, a CIDR or a range for EXPR_LIST_IP, text otherwise.
 * What did not change costs nothing; one new item in 100,000 is no recompile. 0, -EINVAL, -ENOSPC (a limit), -ENOMEM, with *error;
 * on an error nothing has changed. Rules that name a list which is not there see it as empty.
 */
int policy_list_put(struct policy_set *p, uint32_t account, const char *id, enum expr_list_type type, const char *const *items, size_t n,
		    struct policy_error *error);
void policy_list_delete(struct policy_set *p, uint32_t account, const char *id);

/* Replaces all rules of the account. Disabled rules are left out by the caller. Errors as above (the old rules stay). */
int policy_rules_set(struct policy_set *p, uint32_t account, bool default_allow, const struct policy_rule *rules, size_t n,
		     struct policy_error *error);
/* The id that net.vnet_id compares with; NULL forgets it. 0, -EINVAL (index), -ENOMEM. */
int policy_vnet_put(struct policy_set *p, uint32_t vnet, const char *id);
/* Forgets the account's rules, lists and identities. */
void policy_account_delete(struct policy_set *p, uint32_t account);

/*
 * The interned identity of a client of the account: equal identities share one id. POLICY_IDENTITY_NONE when memory or
 * rows are short. Every get wants a put. An id's row follows rule changes by itself.
 */
uint32_t policy_identity_get(struct policy_set *p, uint32_t account, const struct policy_identity *identity);
void policy_identity_put(struct policy_set *p, uint32_t account, uint32_t id);

/* ---- readers ---- */

/* The direction is the opener's: source is who sent the first packet. Identity is the client's, whichever side it is on. */
struct policy_query {
	uint32_t account, vnet; /* indexes */
	uint32_t identity;      /* of the client */
	uint8_t family, proto;  /* 4 or 6; IP protocol (ICMP, ICMPv6 as they are) */
	uint16_t src_port, dst_port; /* host order; 0 where the protocol has none */
	uint8_t src[16], dst[16];    /* network order, v4 in the first four bytes, rest zero */
	bool from_private;           /* the private side opens: needs a rule that allows it, the default action never does */
};

struct policy_result {
	uint8_t verdict; /* enum policy_verdict */
	bool silent;     /* POLICY_DENY: do not answer */
	bool off;        /* an `off` rule ended inspection */
	bool inspect;    /* POLICY_PENDING: names could still change it */
	uint32_t rule;   /* who decided: a rule's index, or POLICY_RULE_DEFAULT */
	uint32_t l4_rule, other_rule; /* who decided each track; POLICY_RULE_DEFAULT: nobody */
};

/*
 * names NULL: nothing is seen yet. POLICY_PENDING is given only while some name is NAME_UNSEEN. Worker or control thread.
 */
void policy_decide(const struct policy_set *p, const struct policy_query *q, const struct names *names, struct policy_result *out);
/* The same for n ≤ 64 flows without names, memory fetched ahead. */
void policy_decide_burst(const struct policy_set *p, const struct policy_query *const *q, struct policy_result *out, unsigned n);

/* ---- explain: the same tables, told step by step. Control thread. ---- */

enum policy_match { POLICY_NO, POLICY_YES, POLICY_UNKNOWN };

struct policy_step {
	uint32_t rule; /* index */
	enum policy_filter filter;
	enum policy_action action;
	enum policy_match match;
	const char *failed; /* POLICY_NO: the first dimension that said no: "destination", "identity" …; else NULL */
	bool decided;       /* it is what decided its track */
};

/* Every rule of the account in order of evaluation: at most max steps; returns how many there are. */
size_t policy_explain(const struct policy_set *p, const struct policy_query *q, const struct names *names, struct policy_step *steps,
		      size_t max, struct policy_result *out);

struct policy_cover {
	uint32_t rule; /* index of the first that covers it; POLICY_RULE_DEFAULT: nobody does */
	uint32_t more; /* how many others it takes */
	bool clients;  /* what clients open is meant: flows that the private side opens it may still block */
};

/*
 * Do earlier rules of the same track, with the lists as they are now, leave the rule nothing to match? No false alarms; misses what
 * several rules cover only across more than one dimension, and what takes more than the texts that rules write out. Control thread.
 */
struct policy_cover policy_covered_by(const struct policy_set *p, uint32_t account, uint32_t rule);

struct policy_stats {
	uint32_t rules, terms, lists, identities, classes;
	uint64_t list_entries;
	size_t bytes;
	uint64_t last_compile_ns;
};
void policy_stats(const struct policy_set *p, uint32_t account, struct policy_stats *out);

#endif
