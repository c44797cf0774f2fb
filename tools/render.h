// SPDX-License-Identifier: BSD-3-Clause
// A JSON document as text for people: key-value blocks and tables (libsmartcols). Text from outside is escaped, nothing
// is cut, whatever the width of the terminal.
#ifndef SLUICE_TOOLS_RENDER_H
#define SLUICE_TOOLS_RENDER_H

#include "tools/cmd.h"

#include <stdio.h>

/*
 * Scalars of doc first, then one block per object and one table per array of objects, with headings where there is more
 * than one block. view (may be NULL) orders the columns of the array it names. human: 12.3k, 4.5MiB.
 * Returns 0, or -ENOMEM.
 */
int render_text(FILE *out, json_t *doc, const struct ctl_view *view, bool human);

/* doc as one JSON text in ASCII, indented (or on one line), newline at the end. */
void render_json(FILE *out, json_t *doc, bool one_line);

/* One value as a cell. key (may be NULL) tells times and sizes. Heap. */
char *render_cell(const char *key, json_t *value, bool human);

#endif
