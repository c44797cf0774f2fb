/* SPDX-License-Identifier: BSD-3-Clause */
/* A rule as the control thread keeps it. */
#ifndef DATAPLANE_CONTROL_APPLY_RULES_H
#define DATAPLANE_CONTROL_APPLY_RULES_H

#include "dataplane/control/apply_policy.h"
#include "dataplane/records.h"

/* Never changes once made: compiled tables point into it. */
struct rule_entry {
	struct rule_entry *next; /* in account_policy.replaced */
	uint32_t index, account;
	uint64_t change; /* the change it came with */
	int64_t precedence;
	enum policy_filter filter;
	enum policy_action action;
	bool enabled, silent;
	bool audit; /* told, never decides: it is not compiled */
	struct expr *traffic, *identity, *posture;
	char id[RECORD_ID_LEN];
	char name[RECORD_NAME_LEN];
};

void rule_entry_free(struct rule_entry *r);
/* Frees what was replaced, once no worker can look at it: after the rules that named it are gone. */
void rules_retire_replaced(struct apply *a, struct account_policy *p);
/* Compiles the account's rules. False: refused (told in the errors of the change), those it had stay. */
bool rules_publish(struct apply *a, uint32_t account);

#endif
