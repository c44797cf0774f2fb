// SPDX-License-Identifier: BSD-3-Clause
// Files with secrets. The name is taken before the secret exists anywhere else, so a full disk or a name in use is
// known before a server changed anything.
#include "tools/files.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int io_error(struct ctl *ctl, const char *path, const char *what, int error)
{
	return ctl_fail(ctl, error == EEXIST ? "exists" : "io", NULL, "%s: %s: %s", path, what, strerror(error));
}

int secret_file_open(struct ctl *ctl, struct secret_file *f, const char *path, mode_t mode, const char *field)
{
	f->path = path;
	f->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (f->fd >= 0 && !fchmod(f->fd, mode)) /* whatever the umask says */
		return 0;
	if (f->fd < 0 && errno == EEXIST)
		return ctl_fail(ctl, "exists", field, "%s: this file exists already and is never overwritten", path);
	io_error(ctl, path, "cannot create", errno);
	secret_file_abandon(f);
	return -1;
}

static void sync_folder(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(copy);
}

int secret_file_commit(struct ctl *ctl, struct secret_file *f, const char *data, size_t len)
{
	int error;

	while (len) {
		ssize_t n = write(f->fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto failed;
		data += n;
		len -= (size_t)n;
	}
	if (fsync(f->fd) < 0 && errno != EINVAL)
		goto failed;
	if (close(f->fd) < 0) {
		f->fd = -1;
		error = errno;
		unlink(f->path);
		return io_error(ctl, f->path, "cannot write", error);
	}
	f->fd = -1;
	sync_folder(f->path);
	return 0;
failed:
	error = errno;
	secret_file_abandon(f);
	return io_error(ctl, f->path, "cannot write", error);
}

void secret_file_abandon(struct secret_file *f)
{
	if (f->fd < 0)
		return;
	unlink(f->path);
	close(f->fd);
	f->fd = -1;
}

/* Doubles a buffer without leaving a copy of a secret behind. */
static char *grow(char *data, size_t len, size_t *room)
{
	char *bigger = malloc(*room * 2 + 1);

	if (bigger)
		memcpy(bigger, data, len);
	read_free(data, len);
	*room *= 2;
	return bigger;
}

char *read_whole(struct ctl *ctl, const char *path, size_t max, size_t *len)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	size_t room = 4096;
	char *data = malloc(room + 1);
	ssize_t n = 0;
	int error = fd < 0 ? errno : ENOMEM;

	*len = 0;
	while (fd >= 0 && data && (n = read(fd, data + *len, room - *len)) > 0) {
		*len += (size_t)n;
		if (*len > max) {
			errno = EFBIG;
			n = -1;
			break;
		}
		if (*len == room)
			data = grow(data, *len, &room);
	}
	if (n < 0)
		error = errno;
	if (fd > STDIN_FILENO)
		close(fd);
	if (fd < 0 || !data || n < 0) {
		read_free(data, *len);
		io_error(ctl, path, "cannot read", error);
		return NULL;
	}
	data[*len] = 0;
	return data;
}

void read_free(char *data, size_t len)
{
	if (!data)
		return;
	sodium_memzero(data, len);
	free(data);
}
