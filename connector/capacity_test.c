// SPDX-License-Identifier: BSD-3-Clause
// Tests of what fits: control groups of both versions, descriptors, the scenario's 100 MiB.
#include "connector/capacity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1024ull * 1024)

static char dir[] = "/tmp/capacity_testXXXXXX";

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void folder(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_true(!mkdir(path, 0700));
}

static uint64_t limit_of(const char *cgroup)
{
	char path[256];

	put("self", cgroup);
	snprintf(path, sizeof(path), "%s/self", dir);
	return capacity_memory_bytes(path, dir);
}

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	folder("pod");
	folder("pod/box");
	folder("memory");
	folder("memory/pod");
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"pod/box/memory.max", "pod/box", "pod/memory.max", "pod", "memory.max", "self",
					    "memory/pod/memory.limit_in_bytes", "memory/pod", "memory"};
	char path[256];

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
	return rmdir(dir);
}

static void version_2_takes_the_lowest_of_all_parents(void **state)
{
	(void)state;
	put("pod/box/memory.max", "max\n");
	assert_true(limit_of("0::/pod/box\n") == CAPACITY_NO_MEMORY_LIMIT);
	put("pod/memory.max", "104857600\n");
	assert_int_equal(limit_of("0::/pod/box\n"), 104857600);
	put("pod/box/memory.max", "209715200\n");
	assert_int_equal(limit_of("0::/pod/box\n"), 104857600);
	put("pod/box/memory.max", "52428800\n");
	assert_int_equal(limit_of("0::/pod/box\n"), 52428800);
	/* inside a namespace the group is the root */
	put("memory.max", "73400320\n");
	assert_int_equal(limit_of("0::/\n"), 73400320);
	assert_int_equal(limit_of("0::/not/visible/here\n"), 73400320);
}

static void version_1_reads_the_memory_controller(void **state)
{
	(void)state;
	put("memory/pod/memory.limit_in_bytes", "104857600\n");
	assert_int_equal(limit_of("5:cpu:/pod\n4:hugetlb,memory:/pod\n"), 104857600);
	assert_true(limit_of("5:cpu:/pod\n") == CAPACITY_NO_MEMORY_LIMIT);
	put("memory/pod/memory.limit_in_bytes", "9223372036854771712\n");
	assert_true(limit_of("4:memory:/pod\n") == CAPACITY_NO_MEMORY_LIMIT);
}

static void what_cannot_be_read_does_not_limit(void **state)
{
	(void)state;
	assert_true(capacity_memory_bytes("/does/not/exist", dir) == CAPACITY_NO_MEMORY_LIMIT);
	assert_true(limit_of("rubbish\n") == CAPACITY_NO_MEMORY_LIMIT);
	assert_true(limit_of("") == CAPACITY_NO_MEMORY_LIMIT);
}

static void the_scenario_has_room_for_300(void **state)
{
	struct capacity l = capacity_flows(0, 16384, 100 * MIB, 1 << 20, true);

	(void)state;
	assert_int_equal(l.tcp, 301);
	assert_int_equal(l.flows, 5 * 301);
	assert_true(capacity_flows(0, 16384, 1229 * MIB, 1 << 20, true).tcp >= 4000);
	assert_int_equal(capacity_flows(0, 16384, 10 * MIB, 1 << 20, true).tcp, 16);
	assert_int_equal(capacity_flows(0, 16384, CAPACITY_NO_MEMORY_LIMIT, 1 << 20, true).tcp, 16384);
	assert_int_equal(capacity_flows(0, 16384, 100 * MIB, 1 << 20, false).tcp, 16384);
}

static void descriptors_and_the_operator_bound_it(void **state)
{
	(void)state;
	assert_int_equal(capacity_flows(0, 16384, CAPACITY_NO_MEMORY_LIMIT, 1024, true).flows, 1024 - 256);
	assert_int_equal(capacity_flows(0, 16384, CAPACITY_NO_MEMORY_LIMIT, 64, true).flows, 16);
	assert_int_equal(capacity_flows(0, 16384, CAPACITY_NO_MEMORY_LIMIT, 1024, false).flows, 16384);
	assert_int_equal(capacity_flows(500, 16384, 100 * MIB, 1 << 20, true).tcp, 500);
	assert_int_equal(capacity_flows(3, 16384, 100 * MIB, 1 << 20, true).flows, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_2_takes_the_lowest_of_all_parents),
		cmocka_unit_test(version_1_reads_the_memory_controller),
		cmocka_unit_test(what_cannot_be_read_does_not_limit),
		cmocka_unit_test(the_scenario_has_room_for_300),
		cmocka_unit_test(descriptors_and_the_operator_bound_it),
	};

	return cmocka_run_group_tests_name("connector capacity", tests, setup, teardown);
}
