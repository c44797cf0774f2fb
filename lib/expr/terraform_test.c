// SPDX-License-Identifier: BSD-3-Clause
// Expressions of public configurations: those of gateway rules are accepted or refused with a reason, those of other
// products are refused by name. Skipped where the reference data is absent.
#include "lib/expr/expr.h"
#include "lib/expr/test_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const char *source_root;

static bool any_list(void *user, const char *name, struct expr_list *out)
{
	(void)user;
	snprintf(out->id, sizeof(out->id), "%s", name);
	out->type = EXPR_LIST_DOMAIN;
	return true;
}

static enum expr_scheme scheme_of(const char *attr, const char *text)
{
	if (!strcmp(attr, "identity") || !strcmp(attr, "match"))
		return EXPR_IDENTITY;
	if (!strcmp(attr, "device_posture"))
		return EXPR_POSTURE;
	return strstr(text, "dns.") ? EXPR_DNS : strstr(text, "http.") ? EXPR_HTTP : EXPR_L4;
}

/* Words with which a refusal says what is not ours. */
static bool has_reason(const char *message)
{
	static const char *const reasons[] = {"is not available: ", "unknown field '", "unknown function '", "leave the field out",
					      "expected a field"};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strstr(message, reasons[i]))
			return true;
	return false;
}

static bool one(const char *attr, const char *text)
{
	static const struct expr_lists lists = {any_list, NULL, NULL};
	bool rule = !strcmp(attr, "traffic") || !strcmp(attr, "identity") || !strcmp(attr, "device_posture");
	struct expr_error error;
	struct expr *e;
	int rc = expr_parse(text, strlen(text), scheme_of(attr, text), &lists, &e, &error);

	expr_free(e);
	if (rc && !(rule ? strstr(error.message, "is not available: ") != NULL : has_reason(error.message)))
		fail_msg("%s: %s: %s", attr, text, error.message);
	if (!rc && !rule && strcmp(attr, "match"))
		fail_msg("%s: %s: accepted", attr, text);
	return !rc;
}

static void test_terraform(void **state)
{
	const char *data = getenv("SLUICE_DATA");
	unsigned accepted = 0, refused = 0;
	json_t *doc, *x;
	char path[512];
	size_t i;

	(void)state;
	snprintf(path, sizeof(path), "%s%s/expressions/terraform_expressions.json", data ? data : source_root, data ? "" : "/../shared/data");
	if (access(path, R_OK) < 0) {
		print_message("skipped: no reference data\n");
		skip();
	}
	doc = json_load_file(path, 0, NULL);
	json_array_foreach(json_object_get(doc, "expressions"), i, x) {
		bool ok = one(json_string_value(json_object_get(x, "attr")), json_string_value(json_object_get(x, "expr")));

		accepted += ok;
		refused += !ok;
	}
	json_decref(doc);
	print_message("# %u accepted, %u refused\n", accepted, refused);
	assert_true(accepted > 40 && refused > 100);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_terraform)};

	source_root = argc > 1 ? argv[1] : ".";
	return cmocka_run_group_tests_name("expr_terraform", tests, NULL, NULL);
}
