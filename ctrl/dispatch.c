// SPDX-License-Identifier: BSD-3-Clause
// From the socket to the methods, and back once the edges have followed.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/api.h"
#include "ctrl/ctrl.h"
#include "ctrl/sync.h"
#include "lib/log.h"

#define TIMEOUT_DEFAULT_S 10
#define TIMEOUT_MAX_S	  600

struct answer {
	struct ipc_call *call;
	json_t *result, *warnings;
	uint64_t revision;
	unsigned timeout_s;
};

static void answer_send(struct answer *a, bool applied)
{
	json_object_set_new(a->result, "revision", json_integer((json_int_t)a->revision));
	json_object_set_new(a->result, "applied", json_boolean(applied));
	json_object_set(a->result, "warnings", a->warnings);
	ipc_reply(a->call, a->result);
}

static void answer_free(struct answer *a)
{
	json_decref(a->result);
	json_decref(a->warnings);
	free(a);
}

/* What the edges could not do with it. */
static void add_edge_errors(struct ctrl *c, struct answer *a)
{
	for (struct edge *e = c->edges; e; e = e->next) {
		for (size_t i = 0; i < json_array_size(e->errors) && i < 10; i++) {
			json_t *err = json_array_get(e->errors, i);

			json_array_append_new(a->warnings,
					      json_sprintf("edge %s: %s %s: %s", e->edge_id, json_string_value(json_object_get(err, "table")),
							   json_string_value(json_object_get(err, "key")),
							   json_string_value(json_object_get(err, "message"))));
		}
	}
}

/* What the edges applied and have something to say about: it is the same on each of them. */
static void add_edge_warnings(struct ctrl *c, struct answer *a)
{
	for (struct edge *e = c->edges; e; e = e->next) {
		for (size_t i = 0; i < json_array_size(e->warnings) && i < 10; i++) {
			json_t *text = json_object_get(json_array_get(e->warnings, i), "message"), *told;
			bool known = !json_is_string(text);
			size_t k;

			json_array_foreach(a->warnings, k, told)
				known |= json_equal(told, text);
			if (!known)
				json_array_append(a->warnings, text);
		}
	}
}

static void on_applied(struct ctrl *c, void *user, bool applied, const char *lagging)
{
	struct answer *a = user;

	if (lagging[0]) {
		c->timeouts++;
		ipc_reply_fail(a->call, IPC_E_TIMEOUT, NULL, "revision %llu is stored, but edges %s have not applied it within %u s",
			       (unsigned long long)a->revision, lagging, a->timeout_s);
	} else {
		if (applied) {
			add_edge_errors(c, a);
			add_edge_warnings(c, a);
		}
		answer_send(a, applied);
	}
	answer_free(a);
}

static bool all_applied(const struct ctrl *c, uint64_t revision)
{
	for (const struct edge *e = c->edges; e; e = e->next) {
		if (e->applied < revision)
			return false;
	}
	return c->edges != NULL;
}

static void answer_change(struct ctrl *c, struct ipc_call *call, struct req *r, bool wait, int64_t timeout_s)
{
	struct answer *a = calloc(1, sizeof(*a));

	if (!a) {
		ipc_reply(call, NULL);
		return;
	}
	*a = (struct answer){call, json_incref(r->result), json_incref(r->warnings), c->st->revision, (unsigned)timeout_s};
	if (wait) {
		if (wait_applied(c, a->revision, (uint64_t)timeout_s * 1000, on_applied, a) == 0)
			return;
	}
	answer_send(a, all_applied(c, a->revision));
	answer_free(a);
}

static void on_call(struct ipc_call *call, json_t *params, void *user)
{
	struct ctrl *c = user;
	const struct api_method *m = api_find(ipc_call_method(call));
	struct req r = {.ctrl = c, .st = c->st};
	json_t *t = json_object_get(params, "timeout_s");
	int64_t timeout_s = json_is_integer(t) ? json_integer_value(t) : TIMEOUT_DEFAULT_S;
	bool changed = false;
	int ret;

	if (timeout_s < 0 || timeout_s > TIMEOUT_MAX_S)
		ret = req_fail(&r, IPC_E_INVALID, "timeout_s", "timeout_s %lld: not 0 to %d", (long long)timeout_s, TIMEOUT_MAX_S);
	else
		ret = api_run(&r, m, params, ipc_call_peer(call), &changed);
	if (changed)
		ctrl_revision_made(c);
	if (ret < 0) {
		c->calls_refused++;
		log_debug("%s: refused: %s", m->name, r.err.message);
		ipc_reply_error(call, &r.err);
	} else if (m->flags & API_CHANGE) {
		c->calls_ok++;
		answer_change(c, call, &r, !json_is_false(json_object_get(params, "wait")), timeout_s);
	} else {
		c->calls_ok++;
		if (json_array_size(r.warnings) > 0)
			json_object_set(r.result, "warnings", r.warnings);
		ipc_reply(call, r.result);
	}
	req_end(&r);
}

int dispatch_methods(struct ctrl *c)
{
	static const struct ipc_method sync_methods[] = {
		{"sync.subscribe", IPC_NEED_WRITE, sync_on_subscribe},
		{"sync.applied", IPC_NEED_WRITE, sync_on_applied},
		{"edge.report", IPC_NEED_WRITE, sync_on_report},
		{"edge.audit", IPC_NEED_WRITE, sync_on_audit},
	};
	size_t n = 0;

	while (api_methods[n].name)
		n++;
	c->methods = calloc(n + sizeof(sync_methods) / sizeof(sync_methods[0]) + 1, sizeof(*c->methods)); /* the last one ends it */
	if (!c->methods)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		c->methods[i] = (struct ipc_method){api_methods[i].name,
						    api_methods[i].flags & API_CHANGE ? IPC_NEED_WRITE : IPC_NEED_READ, on_call};
	memcpy(c->methods + n, sync_methods, sizeof(sync_methods));
	return 0;
}
