// SPDX-License-Identifier: BSD-3-Clause
// Flow dumps from the workers' own tables.
#include "dataplane/control/flow_query.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/control/show.h"
#include "dataplane/worker.h"

#define MAX_QUERIES 8
#define DEADLINE_MS 1000

/* One worker's part. */
struct part {
	struct flow_dump *dump; /* NULL: done */
	bool posted;
};

struct flow_query {
	struct ipc_call *call; /* NULL: free, but for dumps of late workers */
	struct flow_filter filter;
	uint64_t deadline_ms;
	json_t *flows;
	bool truncated;
	struct part parts[EDGE_MAX_WORKERS];
};

struct flow_queries {
	struct edge *edge;
	struct flow_query queries[MAX_QUERIES];
};

struct flow_queries *flow_queries_create(struct edge *edge)
{
	struct flow_queries *q = calloc(1, sizeof(*q));

	if (q)
		q->edge = edge;
	return q;
}

static bool busy(const struct flow_queries *q, const struct flow_query *f)
{
	for (unsigned i = 0; i < q->edge->n_workers; i++)
		if (f->parts[i].dump)
			return true;
	return false;
}

/* Asks worker i for its next piece; when that cannot be posted it is tried again in the next turn. */
static void post(struct flow_queries *q, struct flow_query *f, unsigned i)
{
	struct message *msg = message_alloc(q->edge);

	if (!msg)
		return;
	msg->type = MSG_DUMP_FLOWS;
	msg->dump = f->parts[i].dump;
	atomic_store(&f->parts[i].dump->done, false);
	f->parts[i].posted = worker_post(q->edge->workers[i], msg);
	if (!f->parts[i].posted)
		message_free(q->edge, msg);
}

static void take(struct flow_queries *q, struct flow_query *f, unsigned worker)
{
	const struct flow_dump *d = f->parts[worker].dump;

	for (uint32_t i = 0; i < d->n; i++) {
		struct ip_addr a = {.family = d->flows[i].family};

		memcpy(a.bytes, d->flows[i].remote_addr, a.family == 4 ? 4 : 16);
		if (f->filter.has_dst && !ip_prefix_contains(&f->filter.dst, &a))
			continue;
		if (json_array_size(f->flows) >= f->filter.limit) {
			f->truncated = true;
			return;
		}
		json_array_append_new(f->flows, show_flow(q->edge, worker, &d->flows[i]));
	}
}

static void end_part(struct flow_query *f, unsigned i)
{
	free(f->parts[i].dump);
	f->parts[i].dump = NULL;
}

/* One look at a worker's part. */
static void drive(struct flow_queries *q, struct flow_query *f, unsigned i)
{
	struct part *p = &f->parts[i];

	if (!p->dump)
		return;
	if (!p->posted) {
		if (f->call)
			post(q, f, i);
		else
			end_part(f, i);
		return;
	}
	if (!atomic_load_explicit(&p->dump->done, memory_order_acquire))
		return;
	p->posted = false;
	if (f->call)
		take(q, f, i);
	if (!f->call || f->truncated || p->dump->cursor == UINT32_MAX)
		end_part(f, i);
	else
		post(q, f, i);
}

static void answer(struct flow_queries *q, struct flow_query *f)
{
	json_t *late = json_array();
	json_t *result = json_pack("{s:O,s:b}", "flows", f->flows, "truncated", f->truncated);

	for (unsigned i = 0; i < q->edge->n_workers; i++)
		if (f->parts[i].dump && !f->truncated)
			json_array_append_new(late, json_integer(i));
	if (json_array_size(late))
		json_object_set(result, "late_workers", late);
	ipc_reply(f->call, result);
	f->call = NULL;
	json_decref(result);
	json_decref(late);
	json_decref(f->flows);
	f->flows = NULL;
}

void flow_query_start(struct flow_queries *q, struct ipc_call *call, const struct flow_filter *filter, uint64_t now_ms)
{
	struct flow_query *f = q->queries;

	while (f < q->queries + MAX_QUERIES && (f->call || busy(q, f)))
		f++;
	if (f == q->queries + MAX_QUERIES) {
		ipc_reply_fail(call, IPC_E_LIMIT, NULL, "too many flow listings at once: try again");
		return;
	}
	*f = (struct flow_query){
		.call = call, .filter = *filter, .deadline_ms = now_ms + DEADLINE_MS, .flows = json_array()};
	for (unsigned i = 0; i < q->edge->n_workers; i++) {
		f->parts[i].dump = calloc(1, sizeof(struct flow_dump));
		if (!f->parts[i].dump)
			continue;
		f->parts[i].dump->client = filter->client;
		post(q, f, i);
	}
}

int flow_queries_turn(struct flow_queries *q, uint64_t now_ms)
{
	int wait = -1;

	for (unsigned k = 0; k < MAX_QUERIES; k++) {
		struct flow_query *f = &q->queries[k];

		for (unsigned i = 0; i < q->edge->n_workers; i++)
			drive(q, f, i);
		if (f->call && (!busy(q, f) || now_ms >= f->deadline_ms))
			answer(q, f);
		if (f->call || busy(q, f))
			wait = 1;
	}
	return wait;
}

void flow_queries_free(struct flow_queries *q)
{
	if (!q)
		return;
	for (unsigned k = 0; k < MAX_QUERIES; k++)
		if (q->queries[k].call)
			answer(q, &q->queries[k]);
	/* Dumps that a worker may still fill are left to the end of the process. */
	free(q);
}
