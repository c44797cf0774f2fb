/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of policy share. */
#ifndef DATAPLANE_TABLES_POLICY_INTERNAL_H
#define DATAPLANE_TABLES_POLICY_INTERNAL_H

#include "dataplane/tables/policy.h"
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
	const struct expr *traffic, *identity, *posture;
};

/* What readers see of an account: immutable, replaced as a whole. Rules in order of evaluation: filter, `off` first, precedence. */
struct policy_view {
	bool default_allow;
	uint32_t n_rules, n_lists;
	struct policy_view_rule *rules;
	const struct policy_list **lists; /* sorted by id */
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
};

#define POLICY_VNET_TEXT 40

struct policy_set {
	struct policy_limits limits;
	struct retire_ops retire;
	struct policy_account *accounts; /* [limits.accounts] */
	uint32_t rules_total;
	uint32_t n_vnets;
	const char **vnets; /* [limits.vnets]: id text by index */
};

/* Frees `what` after every reader has moved on. */
void policy_retire(struct policy_set *p, void (*free_fn)(void *), const void *what);

#endif
