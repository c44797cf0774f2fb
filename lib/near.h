// SPDX-License-Identifier: BSD-3-Clause
// The known name nearest to a mistyped one.
#ifndef SLUICE_LIB_NEAR_H
#define SLUICE_LIB_NEAR_H

#include <stddef.h>

struct near {
	const char *word;
	const char *best;
	size_t distance;
};

/* word is kept by reference. */
void near_init(struct near *near, const char *word);
/* A known name; NULL is skipped. Kept by reference. */
void near_add(struct near *near, const char *name);
/* The nearest one, or NULL when none is near enough to be meant. */
const char *near_best(const struct near *near);

/* Changes (insert, delete, replace, swap of neighbours) from a to b; words past 63 bytes count as far apart. */
size_t near_distance(const char *a, const char *b);

#endif
