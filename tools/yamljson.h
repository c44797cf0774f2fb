// SPDX-License-Identifier: BSD-3-Clause
// YAML documents as JSON values and back (YAML 1.2 core schema; no anchors, aliases, tags or second documents).
#ifndef SLUICE_TOOLS_YAMLJSON_H
#define SLUICE_TOOLS_YAMLJSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#define YAML_DEPTH_MAX 32

/* New reference, or NULL with "line N: what" in why. Keys are text; a key that comes twice is an error. */
json_t *yaml_parse(const char *text, size_t len, char *why, size_t why_size);

/* Writes value as one YAML document in ASCII that yaml_parse() reads back equal. 0, or -EIO. */
int yaml_print(FILE *out, json_t *value);

#endif
