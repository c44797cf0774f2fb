/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows of lists and rules, and who clients are, into edge->policy. Lists take effect as they come; the rules of an account
 * are compiled once, at the end of a change. Expressions are parsed when their row comes and kept parsed: a change of a
 * list or of another rule does not look at them again. Control thread.
 */
#ifndef DATAPLANE_CONTROL_APPLY_POLICY_H
#define DATAPLANE_CONTROL_APPLY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "dataplane/control/rows.h"
#include "dataplane/tables/policy.h"

struct apply;
struct rule_entry;

/* A list that goes with the rules that named it. */
struct list_delete {
	struct list_delete *next;
	char id[];
};

/* What is to be done for an account at the end of a change, and what is kept for it. */
struct account_policy {
	bool rules_changed; /* compile them again; stays set while they are refused */
	bool stale;         /* flows must decide again */
	struct rule_entry *replaced; /* rules that the compiled tables may still point into */
	struct list_delete *list_deletes;
	char *refused_rule; /* key of the row that the last compilation failed on: of rules, else of accounts */
};

#define APPLY_WARNINGS_MAX 100

struct apply_policy {
	struct account_policy *accounts; /* [max_accounts] */
	struct rule_entry **rules;       /* [max_rules], by rule index */
	json_t *warnings;                /* of this change: [{table, key, code, message}] */
};

bool apply_policy_create(struct apply *a);
void apply_policy_destroy(struct apply *a);

int list_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e);
void list_remove(struct apply *a, struct row *row);
int rule_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e);
void rule_remove(struct apply *a, struct row *row);

/* The account is new or its default action differs: its rules are compiled at the end of the change. */
void policy_account_changed(struct apply *a, uint32_t account);
/* The account goes, after its clients, lists and rules. */
void policy_account_removed(struct apply *a, uint32_t account);

/* A change begins: forgets its warnings. */
void policy_begin(struct apply *a);
/* After rows came: flows of accounts whose lists changed decide again. */
void policy_lists_done(struct apply *a);
/* At the end of a change: compiles what changed. */
void policy_publish(struct apply *a);

/*
 * The identity of a client row, and when it will be another one (unix s, 0: never): posture checks count until they
 * expire. POLICY_IDENTITY_NONE with the reason. The caller gives it back with identity_release.
 */
uint32_t identity_of(struct apply *a, uint32_t account, const json_t *client, int64_t *due, struct row_error *e);
/* Gives an identity back once no worker can hold it. */
void identity_release(struct apply *a, uint32_t account, uint32_t identity);

#endif
