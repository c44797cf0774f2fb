/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of policy share. */
#ifndef DATAPLANE_TABLES_POLICY_INTERNAL_H
#define DATAPLANE_TABLES_POLICY_INTERNAL_H

#include "dataplane/tables/policy.h"
#include "dataplane/inspect/names.h"
#include "lib/ip.h"

/* ---- lists ---- */

struct policy_span {
	struct ip_addr first, last; /* of one family */
};

/* Immutable once published. */
struct policy_list {
	char id[64];
	enum expr_list_type type;
	uint32_t n_spans, n_texts;
	struct policy_span *spans; /* sorted, disjoint, IPv4 before IPv6 */
	char **texts;              /* sorted; lower case */
	uint64_t items;            /* as given */
};

/* A list of its items, or NULL with *error and *rc (-EINVAL, -ENOMEM). */
struct policy_list *policy_list_make(const char *id, enum expr_list_type type, const char *const *items, size_t n,
				     struct policy_error *error, int *rc);
void policy_list_free(struct policy_list *list);
bool policy_list_has(const struct policy_list *list, const struct expr_value *v);

/* ---- identities ---- */

/* Immutable; its values point into `text`. */
struct policy_person {
	struct expr_value email, name;
	struct expr_value *groups, *passed, *failed;
	size_t n_groups, n_passed, n_failed;
	uint64_t refs; /* writer's */
	uint64_t hash;
	size_t key_len;
	char *key; /* canonical text of all of it */
};

struct policy_persons {
	uint32_t capacity;
	const struct policy_person *at[];
};

/* ---- an account ---- */

struct policy_view_rule {
	uint32_t index;
	int64_t precedence;
	enum policy_filter filter;
	enum policy_action action;
	bool silent;
	bool names_source; /* its traffic asks for net.src.ip */
	const struct expr *traffic, *identity, *posture;
};

struct policy_compiled;
struct policy_classes;
struct policy_search;
struct route_table;

/* What readers see of an account: immutable, replaced as a whole. Rules in order of evaluation: filter, `off` first, precedence. */
struct policy_view {
	bool default_allow;
	uint32_t n_rules, n_lists;
	struct policy_view_rule *rules;
	const struct policy_list **lists; /* sorted by id */
	struct policy_compiled *compiled; /* NULL: no rules yet */
	struct policy_set *set;           /* writer's */
};

struct policy_account {
	const struct policy_view *view;        /* NULL: blocks everything */
	struct policy_persons *persons;        /* readers index it; NULL: none */
	uint32_t persons_used;
	uint32_t *free_persons, n_free;
	uint32_t *by_hash; /* open addressing, id + 1; writer's */
	uint32_t hash_size;
	uint64_t list_entries;
	uint64_t last_compile_ns;
	struct policy_set *set;
	struct policy_classes *classes; /* NULL: no rule has named an address yet */
	struct route_table *addresses;  /* readers': address → class of sets; comes with classes */
};

#define POLICY_VNET_TEXT 40

struct policy_set {
	struct policy_limits limits;
	struct retire_ops retire;
	struct policy_account *accounts; /* [limits.accounts] */
	uint32_t rules_total;
	uint32_t n_vnets;
	const char **vnets; /* [limits.vnets]: id text by index */
	struct policy_compiled *graves; /* no reader is left; their sets are put back by the next change */
	int (*search)(const struct policy_search *search, uint64_t blocks, uint64_t *out); /* policy_search_fn */
};

/* ---- facts for the interpreter (policy_facts.c) ---- */

#define POLICY_DOMAINS_MAX 128

/* Values that an environment points to. */
struct policy_facts {
	struct expr_env env;
	struct expr_value src, dst, sport, dport, proto, vnet, sni, host, uri, method, fqdn, detected;
	struct expr_value domains[3][POLICY_DOMAINS_MAX];
};

/* Nothing is known: all is missing. */
void policy_facts_none(struct policy_facts *f, const struct policy_view *view);
void policy_facts_person(struct policy_facts *f, const struct policy_person *who);
void policy_facts_proto(struct policy_facts *f, uint8_t proto);
void policy_facts_vnet(struct policy_facts *f, const char *id);
void policy_facts_detected(struct policy_facts *f, enum detected_protocol protocol);
/* The known name of one dimension (enum policy_dim). */
void policy_facts_name(struct policy_facts *f, const struct policy_view *view, unsigned dim, const struct name_text *text);
/* Everything known of a flow. */
void policy_facts_flow(struct policy_facts *f, const struct policy_set *p, const struct policy_account *a, const struct policy_view *view,
		       const struct policy_query *q, const struct names *names);

/* ---- decision 7 (policy_decide.c) ---- */

struct policy_track {
	bool pending;
	const struct policy_view_rule *decided;
};

#define POLICY_REFUSED                                                                                                       \
	((struct policy_result){.verdict = POLICY_DENY,                                                                      \
				.rule = POLICY_RULE_DEFAULT,                                                                 \
				.l4_rule = POLICY_RULE_DEFAULT,                                                              \
				.other_rule = POLICY_RULE_DEFAULT})

bool policy_track_applies(enum policy_filter filter, const struct policy_query *q);
/* A flow that the private side opens: only a rule that names its source allows it. */
bool policy_rule_counts(const struct policy_view_rule *rule, const struct policy_query *q);
void policy_combine(const struct policy_view *view, const struct policy_query *q, const struct policy_track *l4,
		    const struct policy_track *other, struct policy_result *out);

/* The reference model: rules one after the other by the interpreter. Control thread, tests. */
void policy_model_decide(const struct policy_set *p, const struct policy_query *q, const struct names *names, struct policy_result *out);
/* Takes the portable search even where the CPU has a faster one. For tests. */
void policy_force_portable(struct policy_set *p, bool portable);

/* ---- lists ---- */

uint32_t policy_spans_merge(struct policy_span *spans, uint32_t n);
/* The fewest prefixes of n spans, in their order; heap, *count of them. NULL when out of memory. Pure. */
struct ip_prefix *policy_prefixes_of(const struct policy_span *spans, uint32_t n, uint32_t *count);
const struct policy_list *policy_view_list(const struct policy_view *view, const char *id);

/* Frees `what` after every reader has moved on. */
void policy_retire(struct policy_set *p, void (*free_fn)(void *), const void *what);

#endif
