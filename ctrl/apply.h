// SPDX-License-Identifier: BSD-3-Clause
// Inside of apply: the plan, and the part for routes.
#ifndef SLUICE_CTRL_APPLY_H
#define SLUICE_CTRL_APPLY_H

#include "ctrl/api.h"

#define PLAN_MAX 10000 /* steps shown; all are counted */

struct apply {
	struct req *r;
	json_t *doc; /* the document */
	json_t *plan;
	uint64_t created, updated, deleted;
	bool prune;
};

/* Notes one step. op: "create", "update", "delete". fields: names of what changes (stolen) or NULL. */
void apply_step(struct apply *a, const char *op, const char *resource, const char *name, json_t *fields);

/* "routes" of the document; 0 or -1 with the request's error. */
int apply_routes(struct apply *a);

#endif
