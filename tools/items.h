// SPDX-License-Identifier: BSD-3-Clause
// Items of a list from a file: one a line with '#' comments, or CSV with the header "value,description".
#ifndef SLUICE_TOOLS_ITEMS_H
#define SLUICE_TOOLS_ITEMS_H

#include <jansson.h>
#include <stddef.h>

/* Array of texts (no description) and {value, description} objects; LF or CRLF. NULL with "line N: what" in why. */
json_t *items_parse(const char *text, size_t len, char *why, size_t why_size);

#endif
