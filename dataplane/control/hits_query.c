// SPDX-License-Identifier: BSD-3-Clause
// Counters per rule, route and client, brought up to date by the workers.
#include "dataplane/control/hits_query.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/control/show_hits.h"
#include "dataplane/worker.h"

#define MAX_QUERIES 8
#define DEADLINE_MS 1000

struct hits_query {
	struct ipc_call *call; /* NULL: free, but for late workers */
	enum hits_by by;
	size_t limit;
	uint64_t deadline_ms;
	struct hits_fold *folds[EDGE_MAX_WORKERS]; /* NULL: done */
	bool posted[EDGE_MAX_WORKERS];
};

struct hits_queries {
	struct edge *edge;
	const struct apply *apply;
	struct hits_query queries[MAX_QUERIES];
};

struct hits_queries *hits_queries_create(struct edge *edge, const struct apply *apply)
{
	struct hits_queries *q = calloc(1, sizeof(*q));

	if (q) {
		q->edge = edge;
		q->apply = apply;
	}
	return q;
}

static bool busy(const struct hits_queries *q, const struct hits_query *h)
{
	for (unsigned i = 0; i < q->edge->n_workers; i++)
		if (h->folds[i])
			return true;
	return false;
}

/* When it cannot be posted it is tried again in the next turn. */
static void post(struct hits_queries *q, struct hits_query *h, unsigned i)
{
	struct message *msg = message_alloc(q->edge);

	if (!msg)
		return;
	msg->type = MSG_FOLD_HITS;
	msg->peer = RECORD_NONE;
	msg->fold = h->folds[i];
	atomic_store(&h->folds[i]->done, false);
	h->posted[i] = worker_post(q->edge->workers[i], msg);
	if (!h->posted[i])
		message_free(q->edge, msg);
}

static void drive(struct hits_queries *q, struct hits_query *h, unsigned i)
{
	struct hits_fold *fold = h->folds[i];

	if (!fold)
		return;
	if (h->posted[i] && !atomic_load_explicit(&fold->done, memory_order_acquire))
		return;
	if (h->call && (!h->posted[i] || fold->cursor != UINT32_MAX)) {
		post(q, h, i);
		return;
	}
	free(fold);
	h->folds[i] = NULL;
}

static void answer(struct hits_queries *q, struct hits_query *h)
{
	json_t *result = show_hits(q->edge, q->apply, h->by, h->limit), *late = json_array();

	for (unsigned i = 0; i < q->edge->n_workers; i++)
		if (h->folds[i])
			json_array_append_new(late, json_integer(i));
	if (json_array_size(late))
		json_object_set(result, "late_workers", late);
	ipc_reply(h->call, result);
	h->call = NULL;
	json_decref(late);
	json_decref(result);
}

void hits_query_start(struct hits_queries *q, struct ipc_call *call, enum hits_by by, size_t limit, uint64_t now_ms)
{
	struct hits_query *h = q->queries;

	while (h < q->queries + MAX_QUERIES && (h->call || busy(q, h)))
		h++;
	if (h == q->queries + MAX_QUERIES) {
		ipc_reply_fail(call, IPC_E_LIMIT, NULL, "too many questions for counters at once: try again");
		return;
	}
	*h = (struct hits_query){.call = call, .by = by, .limit = limit, .deadline_ms = now_ms + DEADLINE_MS};
	for (unsigned i = 0; i < q->edge->n_workers; i++) {
		h->folds[i] = calloc(1, sizeof(struct hits_fold));
		if (h->folds[i])
			post(q, h, i);
	}
}

int hits_queries_turn(struct hits_queries *q, uint64_t now_ms)
{
	int wait = -1;

	for (unsigned k = 0; k < MAX_QUERIES; k++) {
		struct hits_query *h = &q->queries[k];

		for (unsigned i = 0; i < q->edge->n_workers; i++)
			drive(q, h, i);
		if (h->call && (!busy(q, h) || now_ms >= h->deadline_ms))
			answer(q, h);
		if (h->call || busy(q, h))
			wait = 1;
	}
	return wait;
}

void hits_queries_free(struct hits_queries *q)
{
	if (!q)
		return;
	for (unsigned k = 0; k < MAX_QUERIES; k++)
		if (q->queries[k].call)
			answer(q, &q->queries[k]);
	/* What a worker may still write is left to the end of the process. */
	free(q);
}
