// SPDX-License-Identifier: BSD-3-Clause
// list items from files, apply with its plan, export.
#include "tools/ctl.h"
#include "tools/files.h"
#include "tools/items.h"
#include "tools/render.h"
#include "tools/yamljson.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)256 << 20)

/* Items of the command line and of --from in one array. */
static json_t *list_items(struct ctl *ctl, const struct ctl_inv *inv)
{
	struct ctl_values words = inv_all(inv, "ITEM");
	const char *path = inv_get(inv, "--from");
	json_t *items = json_array(), *more;
	char why[256], *text;
	size_t len;

	for (size_t i = 0; i < words.n; i++) {
		json_t *v = json_string(words.v[i]);

		if (!v || json_array_append_new(items, v) < 0) {
			ctl_fail(ctl, "usage", "items", "item '%s' is not UTF-8 text", words.v[i]);
			goto failed;
		}
	}
	if (!path)
		return items;
	text = read_whole(ctl, path, INPUT_MAX, &len);
	if (!text)
		goto failed;
	more = items_parse(text, len, why, sizeof(why));
	free(text);
	if (!more) {
		ctl_fail(ctl, "invalid", "items", "%s: %s", path, why);
		goto failed;
	}
	json_array_extend(items, more);
	json_decref(more);
	return items;
failed:
	json_decref(items);
	return NULL;
}

/* remove names values; what describes them does not matter there. */
static void values_only(json_t *items)
{
	json_t *v;
	size_t i;

	json_array_foreach(items, i, v)
		if (json_is_object(v))
			json_array_set(items, i, json_object_get(v, "value"));
}

int run_list_items(struct ctl *ctl, const struct ctl_inv *inv)
{
	json_t *params = ctl_params(ctl, inv), *items = params ? list_items(ctl, inv) : NULL, *result;
	bool create = !strcmp(inv->cmd->verb, "create");
	char method[64];
	int rc;

	if (!items) {
		json_decref(params);
		return -1;
	}
	if (!create && !json_array_size(items)) {
		json_decref(items);
		json_decref(params);
		return ctl_fail(ctl, "usage", "items", "missing: 'ITEM', or --from FILE (see 'sluicectl list %s --help')", inv->cmd->verb);
	}
	if (!strcmp(inv->cmd->verb, "remove"))
		values_only(items);
	if (json_array_size(items))
		json_object_set(params, "items", items);
	json_decref(items);
	ctl_command_method(inv->cmd, method, sizeof(method));
	result = ctl_call(ctl, CTL_CTRL, method, params);
	if (!result)
		return -1;
	rc = ctl_emit(ctl, inv, result);
	json_decref(result);
	return rc;
}

static json_t *read_document(struct ctl *ctl, const char *path)
{
	const char *name = strcmp(path, "-") ? path : "standard input", *dot = strrchr(path, '.');
	bool json_only = dot && !strcmp(dot, ".json");
	json_error_t e;
	json_t *doc;
	char why[256], *text;
	size_t len;

	text = read_whole(ctl, path, INPUT_MAX, &len);
	if (!text)
		return NULL;
	doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
	if (!doc && json_only)
		ctl_fail(ctl, "invalid", "document", "%s: line %d: %s", name, e.line, e.text);
	else if (!doc && !(doc = yaml_parse(text, len, why, sizeof(why))))
		ctl_fail(ctl, "invalid", "document", "%s: %s", name, why);
	read_free(text, len);
	if (!doc || json_is_object(doc))
		return doc;
	json_decref(doc);
	ctl_fail(ctl, "invalid", "document", "%s: the document must be a mapping of resources", name);
	return NULL;
}

static char op_sign(const char *op)
{
	if (!strcmp(op, "create") || !strcmp(op, "add") || !strcmp(op, "+"))
		return '+';
	return !strcmp(op, "delete") || !strcmp(op, "remove") || !strcmp(op, "-") ? '-' : '~';
}

static void put_text(FILE *out, const char *before, json_t *v)
{
	char *cell = render_cell(NULL, v, false);

	if (v && cell)
		fprintf(out, "%s%s", before, cell);
	free(cell);
}

/* "+ route 10.0.0.0/8", "~ rule web: action, traffic"; returns how many deletions. */
static size_t print_plan(FILE *out, json_t *plan)
{
	size_t i, deletes = 0;
	json_t *step;

	json_array_foreach(plan, i, step) {
		const char *op = json_string_value(json_object_get(step, "op"));
		json_t *fields = json_object_get(step, "fields");
		char sign = op_sign(op ? op : "");

		deletes += sign == '-';
		fputc(sign, out);
		put_text(out, " ", json_object_get(step, "resource"));
		put_text(out, " ", json_object_get(step, "name"));
		if (json_is_array(fields) && json_array_size(fields))
			put_text(out, ": ", fields);
		else if (json_is_object(fields) && json_object_size(fields)) {
			const char *key, *before = ": ";
			json_t *v;

			json_object_foreach(fields, key, v) {
				json_t *name = json_string(key);

				put_text(out, before, name);
				json_decref(name);
				before = ", ";
			}
		}
		fputc('\n', out);
	}
	return deletes;
}

/* How much of each; the server counts what a long plan leaves out. Returns how many deletions. */
static size_t print_counts(FILE *out, json_t *result, size_t deletes)
{
	json_t *counts = json_object_get(result, "counts");
	long long n[3] = {0, 0, (long long)deletes};
	json_t *step;
	size_t i;

	json_array_foreach(json_object_get(result, "plan"), i, step) {
		const char *op = json_string_value(json_object_get(step, "op"));
		char sign = op_sign(op ? op : "");

		n[0] += sign == '+';
		n[1] += sign == '~';
	}
	if (json_is_object(counts)) {
		n[0] = json_integer_value(json_object_get(counts, "create"));
		n[1] = json_integer_value(json_object_get(counts, "update"));
		n[2] = json_integer_value(json_object_get(counts, "delete"));
	}
	if (json_is_true(json_object_get(result, "plan_truncated")))
		fputs("... (the plan is longer than what is shown)\n", out);
	fprintf(out, "%lld to add, %lld to change, %lld to delete\n", n[0], n[1], n[2]);
	return (size_t)n[2];
}

/* On a terminal a plan that deletes is shown and asked about before it is done. */
static int ask_about_plan(struct ctl *ctl, json_t *params)
{
	json_t *dry = json_copy(params), *result;
	size_t deletes = 0;

	json_object_set_new(dry, "dry_run", json_true());
	result = ctl_call(ctl, CTL_CTRL, "apply", dry);
	if (!result)
		return -1;
	deletes = print_counts(stderr, result, print_plan(stderr, json_object_get(result, "plan")));
	json_decref(result);
	return !deletes || ctl_confirm(ctl, "apply, and delete %zu?", deletes) ? 0 : -1;
}

/* For people: the plan as lines, and nothing twice. */
static void show_plan(struct ctl *ctl, json_t *result, bool dry_run)
{
	print_counts(ctl->out, result, print_plan(ctl->out, json_object_get(result, "plan")));
	json_object_del(result, "plan");
	json_object_del(result, "counts");
	json_object_del(result, "plan_truncated");
	json_object_del(result, "dry_run");
	if (!dry_run)
		return;
	json_object_del(result, "revision");
	json_object_del(result, "applied");
	fputs("nothing was changed (dry run)\n", ctl->out);
}

int run_apply(struct ctl *ctl, const struct ctl_inv *inv)
{
	bool from_stdin = !strcmp(inv_get(inv, "--file"), "-");
	json_t *params = ctl_params(ctl, inv), *doc = params ? read_document(ctl, inv_get(inv, "--file")) : NULL, *result;
	bool ask = inv_has(inv, "--prune") && !inv_has(inv, "--dry-run") && !ctl->yes && !from_stdin && isatty(STDIN_FILENO) &&
		   isatty(STDERR_FILENO);
	int rc;

	if (!doc) {
		json_decref(params);
		return -1;
	}
	json_object_set_new(params, "document", doc);
	if (ask && ask_about_plan(ctl, params) < 0) {
		json_decref(params);
		return -1;
	}
	result = ctl_call(ctl, CTL_CTRL, "apply", params);
	if (!result)
		return -1;
	if (!ctl->json)
		show_plan(ctl, result, inv_has(inv, "--dry-run"));
	rc = ctl_emit(ctl, inv, result);
	json_decref(result);
	return rc;
}

int run_export(struct ctl *ctl, const struct ctl_inv *inv)
{
	const char *format = inv_get(inv, "--output");
	json_t *params = ctl_params(ctl, inv), *result, *doc;
	int rc = 0;

	result = params ? ctl_call(ctl, CTL_CTRL, "export", params) : NULL;
	if (!result)
		return -1;
	doc = json_object_get(result, "document");
	if (!doc)
		rc = ctl_fail(ctl, "protocol", NULL, "export answered without 'document'");
	else if (ctl->json || (format && !strcmp(format, "json")))
		render_json(ctl->out, doc, false);
	else if (yaml_print(ctl->out, doc) < 0)
		rc = ctl_fail(ctl, "io", NULL, "cannot write the document");
	json_decref(result);
	return rc;
}
