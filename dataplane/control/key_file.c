// SPDX-License-Identifier: BSD-3-Clause
// A WireGuard private key from a file that only its owner may read.
#include "dataplane/control/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

static int fail(char *err, size_t err_len, const char *path, const char *what)
{
	snprintf(err, err_len, "%s: %s", path, what);
	return -EINVAL;
}

static int decode(const char *path, char *text, size_t len, uint8_t key[32], char *err, size_t err_len)
{
	size_t n = 0;

	while (len > 0 && strchr("\r\n \t", text[len - 1]))
		len--;
	if (len != 44 || sodium_base642bin(key, 32, text, len, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) || n != 32)
		return fail(err, err_len, path, "not a base64 private key of 32 bytes (make one with `wg genkey`)");
	if (sodium_is_zero(key, 32))
		return fail(err, err_len, path, "the private key is all zero");
	return 0;
}

int edge_key_load(const char *path, uint8_t key[32], char *err, size_t err_len)
{
	char text[128], what[96];
	struct stat st;
	ssize_t len;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

	if (fd < 0)
		return fail(err, err_len, path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return fail(err, err_len, path, "not a plain file");
	}
	if (st.st_mode & 077) {
		close(fd);
		snprintf(what, sizeof(what), "mode %04o: private keys must not be readable by others (chmod 600)",
			 (unsigned)(st.st_mode & 07777));
		return fail(err, err_len, path, what);
	}
	len = read(fd, text, sizeof(text));
	rc = len < 0 ? fail(err, err_len, path, strerror(errno)) : decode(path, text, (size_t)len, key, err, err_len);
	sodium_memzero(text, sizeof(text));
	close(fd);
	if (rc)
		sodium_memzero(key, 32);
	return rc;
}
