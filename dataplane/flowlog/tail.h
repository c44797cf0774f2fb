/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last lines of the flow log in memory: one writer, any number of readers, each at its own pace. Nobody waits for
 * anybody: a reader that is overtaken goes on with the oldest line there is and is told how many it has lost.
 */
#ifndef DATAPLANE_FLOWLOG_TAIL_H
#define DATAPLANE_FLOWLOG_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tail;

/* Where a reader is. */
struct tail_cursor {
	uint64_t offset, sequence;
	uint64_t lost; /* lines overtaken, in all */
};

struct tail_line {
	uint32_t client; /* card number */
	bool denied;     /* a refusal, or the end of a flow that is no longer allowed */
	uint32_t len;    /* of the text, newline included */
};

/* bytes: of text kept, a power of two. NULL when memory is short. */
struct tail *tail_create(size_t bytes);
void tail_destroy(struct tail *t);

/* line->len ≤ bytes / 4. One thread. */
void tail_put(struct tail *t, const struct tail_line *line, const char *text);

/* Cursors at the oldest line, and behind the newest. Any thread. */
struct tail_cursor tail_begin(struct tail *t);
struct tail_cursor tail_end(struct tail *t);

/*
 * The next line of a reader into text (size bytes; a longer line is skipped and counts as lost). False: none yet.
 * Any thread; each cursor by one thread at a time.
 */
bool tail_next(struct tail *t, struct tail_cursor *c, struct tail_line *line, char *text, size_t size);

/* Waits until there is something behind the cursor, tail_wake() is called, or ms are over. */
void tail_wait(struct tail *t, const struct tail_cursor *c, unsigned ms);
void tail_wake(struct tail *t);

/* Lines put so far. */
uint64_t tail_count(struct tail *t);

#endif
