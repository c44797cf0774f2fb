// SPDX-License-Identifier: BSD-3-Clause
// Readers of the flow log.
#include "dataplane/control/logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/flowlog/flowlog.h"
#include "dataplane/flowlog/line.h"

#define BATCH_BYTES  65536
#define FOLLOW_MS    50 /* a line is told within so long */
#define LINES_A_TURN 2000

struct reader {
	struct ipc_conn *conn; /* NULL: free */
	struct ipc_call *call; /* logs.read: to be answered at the end; NULL: it follows */
	struct tail_cursor cursor;
	uint64_t until; /* logs.read: number of the line that is not read any more */
	uint64_t lines, told_lost;
	char *client; /* heap; NULL: all */
	bool denied;
};

struct logs {
	struct flow_log *log;
	struct reader readers[LOGS_READERS_MAX];
};

struct logs *logs_create(struct flow_log *log)
{
	struct logs *l = calloc(1, sizeof(*l));

	if (l)
		l->log = log;
	return l;
}

static void end_reader(struct reader *r)
{
	free(r->client);
	*r = (struct reader){0};
}

void logs_free(struct logs *l)
{
	for (unsigned i = 0; l && i < LOGS_READERS_MAX; i++)
		end_reader(&l->readers[i]);
	free(l);
}

static bool wanted(struct logs *l, const struct reader *r, const struct tail_line *line)
{
	return (!r->denied || line->denied) && (!r->client || flow_log_is_client(l->log, line, r->client));
}

/* Moves the cursor so that the last `limit` lines that are wanted are still to come. */
static void skip_to_last(struct logs *l, struct reader *r, int64_t limit)
{
	struct tail *tail = flow_log_tail(l->log);
	struct tail_cursor end = tail_end(tail), c = tail_begin(tail);
	char text[FLOW_LINE_MAX];
	struct tail_line line;
	int64_t have = 0;

	if (limit == 0) {
		r->cursor = end;
		return;
	}
	r->cursor = c;
	if (limit < 0)
		return;
	while (c.sequence < end.sequence && tail_next(tail, &c, &line, text, sizeof(text)))
		have += wanted(l, r, &line);
	while (have > limit && tail_next(tail, &r->cursor, &line, text, sizeof(text)))
		have -= wanted(l, r, &line);
	r->cursor.lost = 0;
}

/* A place for a reader of this call, or NULL after it was refused. */
static struct reader *new_reader(struct logs *l, struct ipc_call *call, const struct logs_filter *filter)
{
	struct reader *r = l->readers;

	if (!l->log) {
		ipc_reply_fail(call, IPC_E_UNSUPPORTED, NULL, "the flow log is off (flow-log in the edge's configuration)");
		return NULL;
	}
	while (r < l->readers + LOGS_READERS_MAX && r->conn)
		r++;
	if (r == l->readers + LOGS_READERS_MAX || !ipc_call_conn(call)) {
		ipc_reply_fail(call, IPC_E_LIMIT, NULL, "%d readers have the flow log open already: try again", LOGS_READERS_MAX);
		return NULL;
	}
	r->conn = ipc_call_conn(call);
	r->denied = filter->denied;
	r->client = filter->client ? strdup(filter->client) : NULL;
	skip_to_last(l, r, filter->limit);
	return r;
}

void logs_read(struct logs *l, struct ipc_call *call, const struct logs_filter *filter)
{
	struct reader *r = new_reader(l, call, filter);

	if (!r)
		return;
	r->call = call;
	r->until = tail_end(flow_log_tail(l->log)).sequence;
}

void logs_follow(struct logs *l, struct ipc_call *call, const struct logs_filter *filter)
{
	json_t *result;

	if (!new_reader(l, call, filter))
		return;
	result = json_pack("{s:b}", "following", 1);
	ipc_reply(call, result);
	json_decref(result);
}

void logs_closed(struct logs *l, const struct ipc_conn *conn)
{
	for (unsigned i = 0; i < LOGS_READERS_MAX; i++) {
		struct reader *r = &l->readers[i];
		struct ipc_call *call = r->call;

		if (r->conn != conn)
			continue;
		end_reader(r);
		if (call)
			ipc_reply_fail(call, IPC_E_INTERNAL, NULL, "the reader is gone");
	}
}

/* One notification with what fits a batch. False: nothing was there to be told. */
static bool send_batch(struct logs *l, struct reader *r, unsigned *budget)
{
	struct tail *tail = flow_log_tail(l->log);
	char text[FLOW_LINE_MAX], *out = NULL;
	struct tail_line line;
	size_t size = 0;
	unsigned n = 0;
	FILE *f = NULL;

	while (*budget > 0 && size < BATCH_BYTES && (!r->call || r->cursor.sequence < r->until) &&
	       tail_next(tail, &r->cursor, &line, text, sizeof(text))) {
		--*budget;
		if (!wanted(l, r, &line))
			continue;
		if (!f) {
			f = open_memstream(&out, &size);
			if (!f)
				return false;
			fprintf(f, "{\"jsonrpc\":\"2.0\",\"method\":\"logs.lines\",\"params\":{\"lost\":%llu,\"lines\":[",
				(unsigned long long)(r->cursor.lost - r->told_lost));
			flow_log_reader_lost(l->log, r->cursor.lost - r->told_lost);
			r->told_lost = r->cursor.lost;
		}
		if (n++ > 0)
			fputc(',', f);
		fwrite(text, 1, line.len - 1, f);
		fflush(f);
	}
	if (!f)
		return false;
	fputs("]}}\n", f);
	fclose(f);
	r->lines += n;
	ipc_conn_send_line(r->conn, out, size);
	return true;
}

static void answer(struct reader *r)
{
	json_t *result = json_pack("{s:I,s:I}", "lines", (json_int_t)r->lines, "lost", (json_int_t)r->cursor.lost);
	struct ipc_call *call = r->call;

	end_reader(r);
	ipc_reply(call, result);
	json_decref(result);
}

unsigned logs_readers(const struct logs *l)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LOGS_READERS_MAX; i++)
		n += l->readers[i].conn != NULL;
	return n;
}

int logs_turn(struct logs *l)
{
	unsigned budget = LINES_A_TURN;
	int wait = -1;

	for (unsigned i = 0; i < LOGS_READERS_MAX; i++) {
		struct reader *r = &l->readers[i];

		if (!r->conn)
			continue;
		while (budget > 0 && ipc_conn_queued_bytes(r->conn) < LOGS_QUEUE_MAX && send_batch(l, r, &budget))
			;
		if (r->call && budget > 0 && ipc_conn_queued_bytes(r->conn) < LOGS_QUEUE_MAX)
			answer(r);
		wait = FOLLOW_MS;
	}
	return budget > 0 ? wait : 0;
}
