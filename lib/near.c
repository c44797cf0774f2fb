// SPDX-License-Identifier: BSD-3-Clause
// Edit distance (optimal string alignment) over short words.
#include "lib/near.h"

#include <stdint.h>
#include <string.h>

#define NEAR_MAX 63

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

size_t near_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	size_t row[3][NEAR_MAX + 1];

	if (n > NEAR_MAX || m > NEAR_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= m; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *cur = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];

		cur[0] = i;
		for (size_t j = 1; j <= m; j++) {
			cur[j] = min3(prev[j] + 1, cur[j - 1] + 1, prev[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && prev2[j - 2] + 1 < cur[j])
				cur[j] = prev2[j - 2] + 1;
		}
	}
	return row[n % 3][m];
}

void near_init(struct near *near, const char *word)
{
	*near = (struct near){.word = word, .best = NULL, .distance = SIZE_MAX};
}

void near_add(struct near *near, const char *name)
{
	size_t d;

	if (!name)
		return;
	d = near_distance(near->word, name);
	if (d < near->distance) {
		near->distance = d;
		near->best = name;
	}
}

const char *near_best(const struct near *near)
{
	size_t len = strlen(near->word);

	/* one change for short words, a third of the letters for long ones */
	return near->distance <= (len < 4 ? 1 : (len + 2) / 3) ? near->best : NULL;
}
