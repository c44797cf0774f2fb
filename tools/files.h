// SPDX-License-Identifier: BSD-3-Clause
// Files with secrets: written once and never over another, read with a limit, wiped.
#ifndef SLUICE_TOOLS_FILES_H
#define SLUICE_TOOLS_FILES_H

#include "tools/ctl.h"

#include <sys/types.h>

/* A file that is being made. Between open and commit its content is empty. */
struct secret_file {
	const char *path;
	int fd; /* -1: none */
};

/*
 * Makes path with mode, O_EXCL: an existing file, also a dangling link, is refused. Returns 0, or -1 with the error of
 * ctl set (code "exists" or "io", field as given).
 */
int secret_file_open(struct ctl *ctl, struct secret_file *f, const char *path, mode_t mode, const char *field);
/* Writes, syncs file and folder, closes. On failure the file is removed again, -1 and the error set. */
int secret_file_commit(struct ctl *ctl, struct secret_file *f, const char *data, size_t len);
/* Removes a file that was opened and not committed; does nothing otherwise. */
void secret_file_abandon(struct secret_file *f);

/*
 * Reads a whole file ("-": standard input) of at most max bytes into fresh memory, NUL-terminated; *len without the
 * NUL. NULL with the error set. Free with read_free().
 */
char *read_whole(struct ctl *ctl, const char *path, size_t max, size_t *len);
/* Wipes and frees; NULL is fine. */
void read_free(char *data, size_t len);

#endif
