// SPDX-License-Identifier: BSD-3-Clause
// Retired pieces behind rte_rcu_qsbr: a ring in order of retirement, a token per batch.
#include "dataplane/tables/reclaim.h"

#include <stdlib.h>

#include <rte_rcu_qsbr.h>

struct piece {
	retire_free_fn free_fn;
	void *owner;
	uint64_t what;
	uint64_t token; /* of its batch, from the seal on */
};

struct reclaim {
	struct rte_rcu_qsbr *qsbr;
	struct piece *ring;
	uint32_t capacity;
	uint32_t head;	 /* the oldest */
	uint32_t n;	 /* all that wait */
	uint32_t n_open; /* of those, the youngest: retired since the last seal */
	uint64_t passed; /* the last token that every reader was seen to have passed */
};

struct reclaim *reclaim_create(struct rte_rcu_qsbr *qsbr, uint32_t capacity)
{
	struct reclaim *r = qsbr && capacity >= 2 ? calloc(1, sizeof(*r)) : NULL;

	if (!r)
		return NULL;
	r->qsbr = qsbr;
	r->capacity = capacity;
	r->ring = calloc(capacity, sizeof(*r->ring));
	if (!r->ring) {
		free(r);
		return NULL;
	}
	return r;
}

void reclaim_destroy(struct reclaim *r)
{
	if (!r)
		return;
	reclaim_drain(r);
	free(r->ring);
	free(r);
}

static void retire(void *ctx, retire_free_fn free_fn, void *owner, uint64_t what)
{
	struct reclaim *r = ctx;

	if (r->n == r->capacity) /* a batch that is larger than the queue */
		reclaim_drain(r);
	r->ring[((uint64_t)r->head + r->n) % r->capacity] =
		(struct piece){.free_fn = free_fn, .owner = owner, .what = what};
	r->n++;
	r->n_open++;
}

struct retire_ops reclaim_ops(struct reclaim *r)
{
	return (struct retire_ops){.retire = retire, .ctx = r};
}

void reclaim_seal(struct reclaim *r)
{
	uint64_t token;

	if (!r->n_open)
		return;
	token = rte_rcu_qsbr_start(r->qsbr);
	for (; r->n_open > 0; r->n_open--)
		r->ring[((uint64_t)r->head + r->n - r->n_open) % r->capacity].token = token;
}

static uint32_t free_passed(struct reclaim *r, bool wait)
{
	uint32_t freed = 0;

	while (r->n > r->n_open) {
		struct piece p = r->ring[r->head];

		if (p.token != r->passed && rte_rcu_qsbr_check(r->qsbr, p.token, wait) != 1)
			break;
		r->passed = p.token;
		r->head = r->head + 1 == r->capacity ? 0 : r->head + 1;
		r->n--;
		freed++;
		p.free_fn(p.owner, p.what);
	}
	return freed;
}

uint32_t reclaim_poll(struct reclaim *r)
{
	return free_passed(r, false);
}

void reclaim_drain(struct reclaim *r)
{
	reclaim_seal(r);
	free_passed(r, true);
}

uint32_t reclaim_pending(const struct reclaim *r)
{
	return r->n;
}
