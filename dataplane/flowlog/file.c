// SPDX-License-Identifier: BSD-3-Clause
// The rotating file.
#include "dataplane/flowlog/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_MS 1000

void log_file_init(struct log_file *f, const char *path, uint64_t max_bytes, unsigned keep)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->path, sizeof(f->path), "%s", path);
	f->max_bytes = max_bytes;
	f->keep = keep;
	f->fd = -1;
}

void log_file_close(struct log_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

/* The name of old file number i; 0 is the file itself. */
static void name_of(const struct log_file *f, unsigned i, char *out, size_t len)
{
	if (i == 0)
		snprintf(out, len, "%s", f->path);
	else
		snprintf(out, len, "%s.%u", f->path, i);
}

static void rotate(struct log_file *f)
{
	char from[sizeof(f->path) + 12], to[sizeof(f->path) + 12];

	log_file_close(f);
	name_of(f, f->keep, to, sizeof(to));
	unlink(to); /* with keep 0 the file itself */
	for (unsigned i = f->keep; i > 0; i--) {
		name_of(f, i - 1, from, sizeof(from));
		name_of(f, i, to, sizeof(to));
		rename(from, to);
	}
}

static int open_file(struct log_file *f)
{
	/* A FIFO's reader may be slow: never blocks. Regular files are not touched by O_NONBLOCK. */
	int fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st)) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	f->fd = fd;
	f->regular = S_ISREG(st.st_mode);
	f->size = f->regular ? (uint64_t)st.st_size : 0;
	f->inode = st.st_ino;
	f->device = st.st_dev;
	return 0;
}

/* Somebody may have moved the file away. */
static void look(struct log_file *f, uint64_t now_ms)
{
	struct stat st;

	if (f->fd < 0 || now_ms < f->looked_ms + LOOK_MS)
		return;
	f->looked_ms = now_ms;
	if (stat(f->path, &st) || st.st_ino != f->inode || st.st_dev != f->device)
		log_file_close(f);
}

long log_file_more(struct log_file *f, const char *text, size_t n)
{
	ssize_t done;
	int rc;

	if (f->fd < 0)
		return -EBADF;
	do
		done = write(f->fd, text, n);
	while (done < 0 && errno == EINTR);
	if (done > 0) {
		f->size += (uint64_t)done;
		return done;
	}
	rc = done < 0 ? -errno : -EIO;
	if (rc != -EAGAIN)
		log_file_close(f);
	return rc;
}

long log_file_write(struct log_file *f, const char *text, size_t n, uint64_t now_ms)
{
	int rc;

	look(f, now_ms);
	if (f->fd >= 0 && f->regular && f->max_bytes && f->size && f->size + n > f->max_bytes)
		rotate(f);
	if (f->fd < 0) {
		rc = open_file(f);
		if (rc)
			return rc;
		if (f->regular && f->max_bytes && f->size && f->size + n > f->max_bytes) {
			rotate(f);
			rc = open_file(f);
			if (rc)
				return rc;
		}
	}
	return log_file_more(f, text, n);
}
