// SPDX-License-Identifier: BSD-3-Clause
// Splits a byte stream into lines, with a cap on length and on the time a line may take (docs/protocols.md, 1).
// Pure: no I/O, no clock of its own.
#ifndef SLUICE_LIB_IPC_LINE_H
#define SLUICE_LIB_IPC_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPC_LINE_MAX_TRUSTED   (16u * 1024 * 1024) /* from a peer that may write */
#define IPC_LINE_MAX_UNTRUSTED (64u * 1024)
#define IPC_LINE_TIME_NS       (10ull * 1000000000)

struct ipc_line {
	char *buf;
	size_t start, end, cap; /* unread bytes: buf[start..end) */
	size_t scanned;		/* no newline in buf[start..scanned) */
	size_t max_bytes;	/* longest line, newline not counted */
	uint64_t first_ns;	/* when the first byte of the unfinished line came; valid while start < end */
};

void ipc_line_init(struct ipc_line *l, size_t max_bytes);
/* Wipes and frees what is buffered. */
void ipc_line_free(struct ipc_line *l);

/* Adds bytes that came at now_ns. 0, -EMSGSIZE (the unfinished line is longer than the cap: give up on this stream;
 * whole lines before it can still be taken), -ENOMEM. */
int ipc_line_push(struct ipc_line *l, const void *data, size_t len, uint64_t now_ns);

/* Takes the next whole line: true, with *line (NUL-terminated in place of the newline, valid until the next push) and
 * its length. Check the length against the cap where several lines came in one push. */
bool ipc_line_next(struct ipc_line *l, char **line, size_t *len);

/* When the unfinished line must be complete (ns), or UINT64_MAX where there is none. Take all whole lines first. */
uint64_t ipc_line_deadline_ns(const struct ipc_line *l);

#endif
