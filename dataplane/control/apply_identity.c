// SPDX-License-Identifier: BSD-3-Clause
// Who a client is for rules: person, groups, and the posture checks that count now.
#include <stdlib.h>
#include <string.h>

#include "dataplane/control/apply_internal.h"
#include "dataplane/tables/reclaim.h"

static void sooner(int64_t *due, int64_t at)
{
	if (!*due || at < *due)
		*due = at;
}

/* Checks by name into passed and failed; one that has expired says nothing any more. */
static void read_posture(const json_t *posture, int64_t now_s, struct policy_identity *id, const char **passed,
			 const char **failed, int64_t *due)
{
	const char *check;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)posture, check, v) {
		const json_t *expires = json_object_get(v, "expires_at");
		int64_t at = json_is_integer(expires) ? json_integer_value(expires) : 0;

		if (at && at <= now_s)
			continue;
		if (at)
			sooner(due, at);
		if (json_is_true(json_object_get(v, "passed")))
			passed[id->n_passed++] = check;
		else
			failed[id->n_failed++] = check;
	}
}

uint32_t identity_of(struct apply *a, uint32_t account, const json_t *client, int64_t *due, struct row_error *e)
{
	const json_t *groups = json_object_get(client, "groups"), *posture = json_object_get(client, "posture"), *v;
	size_t n_groups = json_array_size(groups), n_checks = json_object_size(posture), i;
	const char *email = json_string_value(json_object_get(client, "email"));
	const char *name = json_string_value(json_object_get(client, "name"));
	const char **texts = calloc(n_groups + 2 * n_checks + 1, sizeof(*texts));
	struct policy_identity id = {.email = email ? email : "", .name = name ? name : ""};
	uint32_t out = POLICY_IDENTITY_NONE;

	if (texts) {
		json_array_foreach (groups, i, v)
			if (json_is_string(v))
				texts[id.n_groups++] = json_string_value(v);
		id.groups = texts;
		id.passed = texts + n_groups;
		id.failed = texts + n_groups + n_checks;
		read_posture(posture, a->now_s, &id, texts + n_groups, texts + n_groups + n_checks, due);
		out = policy_identity_get(a->edge->policy, account, &id);
	}
	free(texts);
	if (out == POLICY_IDENTITY_NONE)
		row_fail(e, "limit", "no room for another identity");
	return out;
}

static void put_identity(void *owner, uint64_t what)
{
	policy_identity_put(owner, (uint32_t)(what >> 32), (uint32_t)what);
}

/* A worker may decide with it until it has passed a quiescent state. */
void identity_release(struct apply *a, uint32_t account, uint32_t identity)
{
	struct retire_ops ops = reclaim_ops(a->config.reclaim);

	if (identity != POLICY_IDENTITY_NONE)
		ops.retire(ops.ctx, put_identity, a->edge->policy, (uint64_t)account << 32 | identity);
}
