// SPDX-License-Identifier: BSD-3-Clause
// Tests of the connector's own fence.
#include "connector/fence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool passes(const struct fence *f, const char *text)
{
	struct ip_addr a;

	assert_true(ip_addr_parse(text, &a));
	return fence_passes(f, &a);
}

static void an_empty_fence_is_open(void **state)
{
	const struct fence f = {0};

	(void)state;
	assert_true(passes(&f, "10.0.0.1"));
	assert_true(passes(&f, "2001:db8::1"));
}

static void deny_stands_above_allow(void **state)
{
	static const char *const allow[] = {"10.0.0.0/8", "2001:db8::/32"}, *const deny[] = {"10.9.0.0/16", "10.1.2.3"};
	struct fence f = {0};
	char err[256];

	(void)state;
	assert_int_equal(fence_allow(&f, allow, 2, "allow", err, sizeof(err)), 0);
	assert_int_equal(fence_deny(&f, deny, 2, "deny", err, sizeof(err)), 0);
	assert_true(passes(&f, "10.8.255.255"));
	assert_false(passes(&f, "10.9.0.1"));
	assert_false(passes(&f, "10.1.2.3"));
	assert_true(passes(&f, "10.1.2.4"));
	assert_false(passes(&f, "192.0.2.1"));
	assert_true(passes(&f, "2001:db8::1"));
	assert_false(passes(&f, "2001:db9::1"));
	fence_free(&f);
}

static void deny_alone_refuses_only_its_own(void **state)
{
	static const char *const deny[] = {"0.0.0.0/0"};
	struct fence f = {0};
	char err[256];

	(void)state;
	assert_int_equal(fence_deny(&f, deny, 1, "deny", err, sizeof(err)), 0);
	assert_false(passes(&f, "192.0.2.1"));
	assert_true(passes(&f, "2001:db8::1"));
	fence_free(&f);
}

static void errors_name_key_and_value(void **state)
{
	static const char *const bad[] = {"10.0.0.1/8"};
	struct fence f = {0};
	char err[256];

	(void)state;
	assert_int_equal(fence_allow(&f, bad, 1, "allow", err, sizeof(err)), -1);
	assert_non_null(strstr(err, "allow: 10.0.0.1/8: host bits are set"));
	assert_int_equal(fence_deny(&f, bad, FENCE_ENTRIES_MAX + 1, "deny", err, sizeof(err)), -1);
	assert_non_null(strstr(err, "deny: more than 1024 entries"));
	fence_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_fence_is_open),
		cmocka_unit_test(deny_stands_above_allow),
		cmocka_unit_test(deny_alone_refuses_only_its_own),
		cmocka_unit_test(errors_name_key_and_value),
	};

	return cmocka_run_group_tests_name("connector fence", tests, NULL, NULL);
}
