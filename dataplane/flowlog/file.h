/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file of lines that is rotated by size: PATH, PATH.1 (younger) … PATH.keep (older). Made with mode 0640. What somebody
 * else has moved away or deleted is made anew within a second. A FIFO or a device is written and never rotated. One thread.
 */
#ifndef DATAPLANE_FLOWLOG_FILE_H
#define DATAPLANE_FLOWLOG_FILE_H

#include <stddef.h>
#include <stdint.h>

struct log_file {
	char path[256];
	uint64_t max_bytes; /* of one file; 0: never rotated */
	unsigned keep;      /* old files; 0: the file begins anew */
	/* private */
	int fd; /* −1: not open */
	int regular;
	uint64_t size, inode, device;
	uint64_t looked_ms; /* when the path was compared with what is open */
};

void log_file_init(struct log_file *f, const char *path, uint64_t max_bytes, unsigned keep);
void log_file_close(struct log_file *f);

/*
 * Writes up to n bytes of whole lines; opens and rotates first where needed (so give whole batches). How many bytes were
 * taken, 0 < … ≤ n; −EAGAIN: the reader of a FIFO is slow, poll log_file_fd; else negative errno (ENXIO: a FIFO without a
 * reader) and the file is closed: try again later.
 */
long log_file_write(struct log_file *f, const char *text, size_t n, uint64_t now_ms);
/* As above, for the rest of a batch: neither opens nor rotates. */
long log_file_more(struct log_file *f, const char *text, size_t n);

static inline int log_file_fd(const struct log_file *f)
{
	return f->fd;
}

#endif
