// SPDX-License-Identifier: BSD-3-Clause
// A list that changes, all of it at once. What comes and what goes are put beside its set of addresses first, as sets of their own that
// nobody asks; then rows are published, by one pointer, in which the list is its set with the first and without the second; behind that
// the set itself follows, prefix by prefix, and nobody sees it.
#include "dataplane/tables/policy_compiled.h"

#include <errno.h>
#include <stdlib.h>

static void before(struct ip_addr *a)
{
	for (unsigned i = ip_addr_bits(a) / 8; i-- > 0;)
		if (a->bytes[i]--)
			break;
}

/* a without b, both sorted and disjoint: into out, room for na + nb; how many. */
static uint32_t without(const struct policy_span *a, uint32_t na, const struct policy_span *b, uint32_t nb, struct policy_span *out)
{
	uint32_t n = 0, j = 0;

	for (uint32_t i = 0; i < na; i++) {
		struct policy_span left = a[i];
		bool some = true;

		while (j < nb && ip_addr_cmp(&b[j].last, &left.first) < 0)
			j++;
		for (uint32_t k = j; some && k < nb && ip_addr_cmp(&b[k].first, &left.last) <= 0; k++) {
			if (ip_addr_cmp(&b[k].first, &left.first) > 0) {
				out[n] = (struct policy_span){left.first, b[k].first};
				before(&out[n++].last);
			}
			some = ip_addr_cmp(&b[k].last, &left.last) < 0;
			left.first = b[k].last;
			ip_addr_add(&left.first, 1);
		}
		if (some)
			out[n++] = left;
	}
	return n;
}

/* A set that holds just the spans, under a name that no rule has. */
static uint32_t aside(struct policy_classes *c, const char *key, const struct policy_span *spans, uint32_t n, int *rc)
{
	uint32_t set = *rc ? POLICY_NONE : policy_set_get(c, key, 1);

	if (set == POLICY_NONE)
		*rc = *rc ? *rc : -ENOMEM;
	else
		*rc = policy_set_fill(c, set, spans, n);
	return set;
}

static int swap(struct policy_account *a, uint32_t set, const struct policy_span *old, uint32_t n_old, const struct policy_span *new,
		uint32_t n_new, struct policy_span *room)
{
	struct policy_compiled *c = a->view->compiled;
	struct policy_overlay over = {.set = set};
	uint32_t n = without(new, n_new, old, n_old, room);
	int rc = 0;

	over.added = aside(a->classes, "+", room, n, &rc);
	n = without(old, n_old, new, n_new, room);
	over.removed = aside(a->classes, "-", room, n, &rc);
	if (!rc && !policy_compiled_overlay(a->set, c, a->classes, &over))
		rc = -ENOMEM;
	if (!rc)
		rc = policy_set_fill(a->classes, set, new, n_new);
	if (!rc)
		c->overlay = NO_OVERLAY;
	else if (c->overlay.set != POLICY_NONE) /* the set is as it was: back to it */
		policy_compiled_overlay(a->set, c, a->classes, &NO_OVERLAY);
	if (over.removed != POLICY_NONE)
		policy_set_put(a->classes, over.removed);
	if (over.added != POLICY_NONE)
		policy_set_put(a->classes, over.added);
	return rc;
}

int policy_set_swap(struct policy_account *a, uint32_t set, const struct policy_list *old, const struct policy_list *new)
{
	uint32_t n_old = old ? old->n_spans : 0;
	struct policy_span *room;
	int rc;

	if (!a->view || !a->view->compiled)
		return policy_set_fill(a->classes, set, new->spans, new->n_spans);
	room = malloc(((size_t)n_old + new->n_spans + 1) * sizeof(*room));
	if (!room)
		return -ENOMEM;
	rc = swap(a, set, old ? old->spans : NULL, n_old, new->spans, new->n_spans, room);
	free(room);
	return rc;
}
