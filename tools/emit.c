// SPDX-License-Identifier: BSD-3-Clause
// The result of a command: JSON as it came, or text, the outcome of a change in one last line.
#include "tools/ctl.h"
#include "tools/render.h"

#include <string.h>

static void warn_all(struct ctl *ctl, json_t *result)
{
	json_t *warnings = json_object_get(result, "warnings"), *w;
	size_t i;

	json_array_foreach(warnings, i, w)
		ctl_warn(ctl, "%s", json_is_string(w) ? json_string_value(w) : "(not text)");
}

static void outcome(struct ctl *ctl, json_t *revision, json_t *applied)
{
	if (!json_is_integer(revision))
		return;
	fprintf(ctl->out, "revision %" JSON_INTEGER_FORMAT " %s\n", json_integer_value(revision),
		json_is_true(applied)	? "applied"
		: ctl->no_wait		? "stored"
					: "stored; no edge is connected to apply it");
}

int ctl_emit(struct ctl *ctl, const struct ctl_inv *inv, json_t *result)
{
	bool change = inv->cmd->write && json_object_get(result, "applied");
	json_t *shown;
	int rc;

	if (ctl->json) {
		render_json(ctl->out, result, inv_has(inv, "--watch"));
		return 0;
	}
	shown = json_copy(result);
	json_object_del(shown, "warnings");
	json_object_del(shown, "edge_ca"); /* a certificate is no reading for people; the credentials file has it */
	if (change) {
		json_object_del(shown, "revision");
		json_object_del(shown, "applied");
	}
	rc = render_text(ctl->out, shown, inv->cmd->view, inv_has(inv, "--human"));
	if (!rc && change)
		outcome(ctl, json_object_get(result, "revision"), json_object_get(result, "applied"));
	json_decref(shown);
	warn_all(ctl, result);
	return rc ? ctl_fail(ctl, "internal", NULL, "out of memory") : 0;
}
