// SPDX-License-Identifier: BSD-3-Clause
// Status of tunnels.
#include "ctrl/tunnel_state.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctrl/model.h"
#include "ctrl/runtime.h"
#include "ctrl/sync.h"
#include "lib/log.h"

const char *tunnel_status(unsigned alive, unsigned known_dead, bool seen)
{
	if (alive + known_dead == 0)
		return seen ? "down" : "inactive";
	return known_dead == 0 ? "healthy" : alive > 0 ? "degraded" : "down";
}

static void note(struct ctrl *c, const char *tunnel_id, const char *status)
{
	char last[16] = "inactive";

	runtime_tunnel_status(c->rt, tunnel_id, last, sizeof(last));
	if (strcmp(last, status) != 0)
		runtime_tunnel_status_put(c->rt, tunnel_id, status, (int64_t)time(NULL));
}

void tunnel_state_show(struct ctrl *c, const char *tunnel_id, const json_t *connectors, json_t *out)
{
	unsigned alive = 0, known_dead = 0;
	long long sessions = 0;
	const char *status;
	json_t *changes, *one;
	char live[80];
	size_t i;

	json_array_foreach(connectors, i, one) {
		const json_t *n = json_object_get(one, "sessions_live");

		if (json_is_integer(n) && json_integer_value(n) == 0)
			known_dead++;
		else
			alive++;
		sessions += json_integer_value(n);
	}
	status = tunnel_status(alive, known_dead, runtime_tunnel_seen(c, tunnel_id));
	if (c)
		note(c, tunnel_id, status);
	changes = runtime_tunnel_changes(c, tunnel_id, TUNNEL_CHANGES_SHOWN);
	snprintf(live, sizeof(live), "%u connector%s, %lld session%s", alive, alive == 1 ? "" : "s", sessions, sessions == 1 ? "" : "s");
	json_object_set_new(out, "status", json_string(status));
	one = json_object_get(json_array_get(changes, 0), "at");
	json_object_set(out, "status_since", one ? one : json_null());
	json_object_set_new(out, "status_changes", changes);
	json_object_set_new(out, "live", json_string(live));
}

static int count_connector(json_t *doc, void *arg)
{
	struct ctrl *c = ((void **)arg)[0];
	json_t *counts = ((void **)arg)[1], *k;
	const json_t *report = sync_connector_report(c, doc_str(doc, "id"));
	const char *which = report && doc_int(report, "sessions_live") == 0 ? "dead" : "alive";

	k = json_object_get(counts, doc_str(doc, "tunnel_id"));
	if (!k && json_object_set_new(counts, doc_str(doc, "tunnel_id"), k = json_object()) < 0)
		return 0;
	json_object_set_new(k, which, json_integer(doc_int(k, which) + 1));
	return 0;
}

static int note_tunnel(json_t *doc, void *arg)
{
	struct ctrl *c = ((void **)arg)[0];
	const char *id = doc_str(doc, "id");
	const json_t *k = json_object_get(((void **)arg)[1], id);

	note(c, id, tunnel_status((unsigned)doc_int(k, "alive"), (unsigned)doc_int(k, "dead"), runtime_tunnel_seen(c, id)));
	return 0;
}

void tunnel_state_run(struct ctrl *c)
{
	json_t *counts;
	void *arg[2];

	if (!c->tunnels_moved || !c->rt)
		return;
	c->tunnels_moved = false;
	counts = json_object();
	arg[0] = c;
	arg[1] = counts;
	store_each(c->st, T_CONNECTORS, NULL, count_connector, arg);
	store_each(c->st, T_TUNNELS, NULL, note_tunnel, arg);
	json_decref(counts);
}
