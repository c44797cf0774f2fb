// SPDX-License-Identifier: BSD-3-Clause
// show: what the edge sees, and for revision and health also what sluice-ctrl sees; one side may be down.
#include "tools/ctl.h"
#include "tools/render.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Calls one side; a failure becomes an entry of down. New reference or NULL. */
static json_t *ask(struct ctl *ctl, enum ctl_side side, const char *method, json_t *down)
{
	json_t *params = json_object(), *result;

	if (ctl->account && side == CTL_CTRL)
		json_object_set_new(params, "account", json_string(ctl->account));
	result = ctl_call(ctl, side, method, params);
	if (!result)
		json_array_append_new(down, json_pack("{s:s, s:s, s:s?}", "side", side == CTL_EDGE ? "sluice-edge" : "sluice-ctrl", "code",
						      ctl->err.code, "message", ctl->err.message));
	return result;
}

/* An integer at obj.key or obj.revision.key, as a new reference; null when neither is there. */
static json_t *revision_of(json_t *obj, const char *key)
{
	json_t *r = json_object_get(obj, "revision"), *v = json_object_get(obj, key);

	if (!json_is_integer(v))
		v = json_object_get(r, key);
	return json_is_integer(v) ? json_incref(v) : json_null();
}

static const char *overall(json_t *ctrl, json_t *edge, json_t *down)
{
	const char *c = json_string_value(json_object_get(ctrl, "status")), *e = json_string_value(json_object_get(edge, "status"));

	if (json_array_size(down) || (c && strcmp(c, "ok")) || (e && strcmp(e, "ok")))
		return "degraded";
	return "ok";
}

static json_t *merged(struct ctl *ctl, const char *method, bool health)
{
	json_t *down = json_array(), *doc = json_object();
	json_t *ctrl = ask(ctl, CTL_CTRL, method, down), *edge = ask(ctl, CTL_EDGE, method, down);

	if (!ctrl && !edge) {
		json_t *a = json_array_get(down, 0), *b = json_array_get(down, 1);

		ctl_fail(ctl, json_string_value(json_object_get(a, "code")), NULL, "both sides are down: %s; %s",
			 json_string_value(json_object_get(a, "message")), json_string_value(json_object_get(b, "message")));
		json_decref(down);
		json_decref(doc);
		return NULL;
	}
	if (health)
		json_object_set_new(doc, "status", json_string(overall(ctrl, edge, down)));
	json_object_set_new(doc, "configured", revision_of(ctrl ? ctrl : edge, "configured"));
	json_object_set_new(doc, "applied", revision_of(edge, "applied"));
	json_object_set_new(doc, "ctrl", ctrl ? ctrl : json_null());
	json_object_set_new(doc, "edge", edge ? edge : json_null());
	json_object_set_new(doc, "down", down);
	return doc;
}

/* The edge knows what it applied; what is configured is sluice-ctrl's to say. */
static json_t *counters(struct ctl *ctl, json_t *params)
{
	json_t *result = ctl_call(ctl, CTL_EDGE, "show.counters", params), *revision, *down, *ctrl;

	if (!result)
		return NULL;
	revision = json_object_get(result, "revision");
	if (!json_is_object(revision)) {
		json_t *applied = revision;

		revision = json_pack("{s:n, s:O}", "configured", "applied", json_is_integer(applied) ? applied : json_null());
		json_object_set_new(result, "revision", revision);
	}
	if (!json_is_integer(json_object_get(revision, "configured"))) {
		down = json_array();
		ctrl = ask(ctl, CTL_CTRL, "show.revision", down);
		json_object_set_new(revision, "configured", revision_of(ctrl, "configured"));
		json_decref(ctrl);
		json_decref(down);
		ctl_error_clear(&ctl->err);
	}
	return result;
}

static int by_count(const void *a, const void *b)
{
	json_int_t x = json_integer_value(json_object_iter_value(*(void *const *)a));
	json_int_t y = json_integer_value(json_object_iter_value(*(void *const *)b));

	return (x < y) - (x > y);
}

/* For people: what happened, most often first. */
static void sort_drops(json_t *result)
{
	json_t *drops = json_object_get(result, "drops"), *sorted = json_object();
	size_t n = json_object_size(drops), i = 0;
	void **iters = calloc(n + 1, sizeof(*iters));

	if (!json_is_object(drops) || !iters) {
		json_decref(sorted);
		free(iters);
		return;
	}
	for (void *it = json_object_iter(drops); it; it = json_object_iter_next(drops, it))
		iters[i++] = it;
	qsort(iters, n, sizeof(*iters), by_count);
	for (i = 0; i < n; i++) {
		json_t *v = json_object_iter_value(iters[i]);

		if (!json_is_integer(v) || json_integer_value(v))
			json_object_set(sorted, json_object_iter_key(iters[i]), v);
	}
	free(iters);
	json_object_set_new(result, "drops", sorted);
}

/* A failed connection names the side itself. */
static const char *without_side(json_t *d)
{
	const char *side = json_string_value(json_object_get(d, "side")), *message = json_string_value(json_object_get(d, "message"));
	size_t n = strlen(side);

	return !strncmp(message, side, n) && !strncmp(message + n, ": ", 2) ? message + n + 2 : message;
}

static void show_down(struct ctl *ctl, json_t *doc)
{
	json_t *down = json_object_get(doc, "down"), *d;
	size_t i;

	json_array_foreach(down, i, d)
		ctl_warn(ctl, "%s is down: %s", json_string_value(json_object_get(d, "side")), without_side(d));
	json_object_del(doc, "down");
}

static int once(struct ctl *ctl, const struct ctl_inv *inv)
{
	const char *verb = inv->cmd->verb;
	json_t *params = ctl_params(ctl, inv), *result;
	char method[64];
	int rc;

	if (!params)
		return -1;
	ctl_command_method(inv->cmd, method, sizeof(method));
	if (!strcmp(verb, "health") || !strcmp(verb, "revision")) {
		json_decref(params);
		result = merged(ctl, method, !strcmp(verb, "health"));
	} else if (!strcmp(verb, "counters")) {
		result = counters(ctl, params);
	} else {
		result = ctl_call(ctl, CTL_EDGE, method, params);
	}
	if (!result)
		return -1;
	if (!ctl->json) {
		sort_drops(result);
		show_down(ctl, result);
	}
	rc = ctl_emit(ctl, inv, result);
	json_decref(result);
	return rc;
}

int run_show(struct ctl *ctl, const struct ctl_inv *inv)
{
	const char *watch = inv_get(inv, "--watch");
	unsigned seconds = watch ? (unsigned)atoi(watch) : 0;

	if (!watch)
		return once(ctl, inv);
	for (;;) { /* until interrupted, or nobody reads any more; a server that restarts is waited for */
		if (!ctl->json && isatty(STDOUT_FILENO))
			fputs("\033[H\033[2J", ctl->out);
		if (once(ctl, inv) < 0)
			ctl_print_error(ctl);
		ctl_error_clear(&ctl->err);
		if (fflush(ctl->out) == EOF)
			return 0;
		sleep(seconds);
	}
}
