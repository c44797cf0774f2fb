// SPDX-License-Identifier: BSD-3-Clause
// Limits out of control groups and descriptors.
#include "connector/capacity.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FLOWS_MIN = 16,
	OWN_DESCRIPTORS = 256, /* ping sockets, sessions, HTTP, one epoll for each of the first devices */
};

#define UNLIMITED (1ull << 60) /* v1 writes "none" as a number near 2^63 */

static uint64_t read_limit(const char *path)
{
	uint64_t value = CAPACITY_NO_MEMORY_LIMIT;
	FILE *f = fopen(path, "re");
	char text[64], *end;

	if (!f)
		return value;
	if (fgets(text, sizeof(text), f) && text[0] >= '0' && text[0] <= '9') {
		errno = 0;
		value = strtoull(text, &end, 10);
		if (errno || value >= UNLIMITED)
			value = CAPACITY_NO_MEMORY_LIMIT;
	}
	fclose(f);
	return value;
}

/* The lowest limit from the group up to the root; a group that is not visible here (another namespace) is passed over. */
static uint64_t lowest(const char *base, char *group, const char *name)
{
	uint64_t least = CAPACITY_NO_MEMORY_LIMIT;
	char path[PATH_MAX + 512];

	for (;;) {
		size_t n = strlen(group);
		uint64_t limit;
		char *slash;

		while (n && group[n - 1] == '/')
			group[--n] = 0;
		snprintf(path, sizeof(path), "%s%s/%s", base, group, name);
		limit = read_limit(path);
		if (limit < least)
			least = limit;
		slash = strrchr(group, '/');
		if (!slash)
			return least;
		*slash = 0;
	}
}

/* One line, "id:controllers:/group". */
static uint64_t limit_of_line(char *line, const char *root)
{
	char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
	char base[512];

	if (!group)
		return CAPACITY_NO_MEMORY_LIMIT;
	*group++ = 0;
	controllers++;
	group[strcspn(group, "\n")] = 0;
	if (!*controllers)
		return lowest(root, group, "memory.max");
	for (char *save, *c = strtok_r(controllers, ",", &save); c; c = strtok_r(NULL, ",", &save)) {
		if (strcmp(c, "memory"))
			continue;
		snprintf(base, sizeof(base), "%s/memory", root);
		return lowest(base, group, "memory.limit_in_bytes");
	}
	return CAPACITY_NO_MEMORY_LIMIT;
}

uint64_t capacity_memory_bytes(const char *cgroup_file, const char *root)
{
	uint64_t least = CAPACITY_NO_MEMORY_LIMIT;
	FILE *f = fopen(cgroup_file, "re");
	char line[PATH_MAX + 128];

	if (!f)
		return least;
	while (fgets(line, sizeof(line), f)) {
		uint64_t limit = limit_of_line(line, root);

		if (limit < least)
			least = limit;
	}
	fclose(f);
	return least;
}

struct capacity capacity_flows(unsigned wanted, unsigned capacity, uint64_t memory_bytes, uint64_t descriptors, bool heavy)
{
	struct capacity l = {.flows = wanted ? wanted : capacity};
	uint64_t room = descriptors > OWN_DESCRIPTORS ? descriptors - OWN_DESCRIPTORS : 0;

	if (heavy && room < l.flows)
		l.flows = (unsigned)room;
	if (l.flows < FLOWS_MIN)
		l.flows = wanted && wanted < FLOWS_MIN ? wanted : FLOWS_MIN;
	l.tcp = l.flows;
	if (heavy && !wanted && memory_bytes != CAPACITY_NO_MEMORY_LIMIT) {
		uint64_t kib = memory_bytes / 1024, each = CAPACITY_TCP_FLOW_KIB + CAPACITY_OTHER_PER_TCP * CAPACITY_OTHER_FLOW_KIB;
		uint64_t tcp = kib > CAPACITY_BASE_KIB ? (kib - CAPACITY_BASE_KIB) / each : 0;

		tcp = tcp < FLOWS_MIN ? FLOWS_MIN : tcp;
		if (tcp < l.tcp)
			l.tcp = (unsigned)tcp;
		if (l.tcp * (1ull + CAPACITY_OTHER_PER_TCP) < l.flows)
			l.flows = l.tcp * (1 + CAPACITY_OTHER_PER_TCP);
	}
	return l;
}
