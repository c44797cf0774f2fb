// SPDX-License-Identifier: BSD-3-Clause
// Shows the place of an error inside a value that was given on the command line.
#ifndef SLUICE_TOOLS_CARET_H
#define SLUICE_TOOLS_CARET_H

#include "tools/ctl.h"

/*
 * Where the error names a field that came from the command line and its message a "line N, column M", adds that line of
 * the value with a caret under the place as the error's detail. Columns count bytes from 1.
 */
void caret_explain(struct ctl *ctl, const struct ctl_inv *inv);

/* The two lines, "  <text>\n  <caret>\n", escaped; NULL when line or column lie outside the text. Heap. */
char *caret_lines(const char *text, unsigned line, unsigned column);

#endif
