// SPDX-License-Identifier: BSD-3-Clause
// The line splitter of the JSON IPC.
#include "lib/ipc/line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES 65536u /* an empty buffer larger than this is given back */

void ipc_line_init(struct ipc_line *l, size_t max_bytes)
{
	*l = (struct ipc_line){.max_bytes = max_bytes};
}

void ipc_line_free(struct ipc_line *l)
{
	if (l->buf)
		explicit_bzero(l->buf, l->cap);
	free(l->buf);
	ipc_line_init(l, l->max_bytes);
}

/* Makes room for `more` bytes after end. Old contents are wiped: lines may hold secrets. */
static int make_room(struct ipc_line *l, size_t more)
{
	size_t used = l->end - l->start, cap = l->cap ? l->cap : 4096;
	char *buf;

	if (l->start > 0 && l->end + more > l->cap) {
		memmove(l->buf, l->buf + l->start, used);
		l->scanned -= l->start;
		l->start = 0;
		l->end = used;
	}
	if (l->end + more <= l->cap)
		return 0;
	while (cap < used + more)
		cap *= 2;
	buf = malloc(cap);
	if (!buf)
		return -ENOMEM;
	if (l->buf) {
		memcpy(buf, l->buf, used);
		explicit_bzero(l->buf, l->cap);
		free(l->buf);
	}
	l->buf = buf;
	l->cap = cap;
	return 0;
}

int ipc_line_push(struct ipc_line *l, const void *data, size_t len, uint64_t now_ns)
{
	const char *last = memrchr(data, '\n', len);
	int ret;

	if (len == 0)
		return 0;
	ret = make_room(l, len);
	if (ret < 0)
		return ret;
	if (last || l->start == l->end)
		l->first_ns = now_ns;
	memcpy(l->buf + l->end, data, len);
	l->end += len;
	/* What follows the last newline, or all of it, is the unfinished line. */
	if (last)
		return (size_t)((const char *)data + len - 1 - last) > l->max_bytes ? -EMSGSIZE : 0;
	if (memrchr(l->buf + l->start, '\n', l->end - l->start - len))
		return 0; /* whole lines are still waiting: judged when they are taken */
	return l->end - l->start > l->max_bytes ? -EMSGSIZE : 0;
}

bool ipc_line_next(struct ipc_line *l, char **line, size_t *len)
{
	char *nl;

	if (l->start == l->end) {
		l->start = l->end = l->scanned = 0;
		if (l->cap > KEEP_BYTES)
			ipc_line_free(l);
		return false;
	}
	if (l->scanned < l->start)
		l->scanned = l->start;
	nl = memchr(l->buf + l->scanned, '\n', l->end - l->scanned);
	if (!nl) {
		l->scanned = l->end;
		return false;
	}
	*line = l->buf + l->start;
	*len = (size_t)(nl - *line);
	*nl = 0;
	l->start = l->scanned = (size_t)(nl + 1 - l->buf);
	return true;
}

uint64_t ipc_line_deadline_ns(const struct ipc_line *l)
{
	return l->start == l->end ? UINT64_MAX : l->first_ns + IPC_LINE_TIME_NS;
}
