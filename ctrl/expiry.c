// SPDX-License-Identifier: BSD-3-Clause
// Changes that time makes: clients, rotations and posture checks expire, leases of connectors end.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctrl/ctrl.h"
#include "ctrl/model.h"
#include "lib/log.h"

#define DUE_BATCH 500

static void expire_posture(json_t *doc, int64_t now)
{
	json_t *posture = json_object_get(doc, "posture"), *v;
	const char *check;
	void *tmp;

	json_object_foreach_safe(posture, tmp, check, v) {
		int64_t at = doc_int(v, "expires_at");

		if (at > 0 && at <= now)
			json_object_del(posture, check);
	}
}

static int expire_client(struct store *st, const char *key, int64_t now)
{
	json_t *doc = store_get(st, T_CLIENTS, key);
	int64_t at, old;
	int ret;

	if (!doc)
		return 0;
	at = doc_int(doc, "expires_at");
	old = doc_int(doc, "old_until");
	if (at > 0 && at <= now && !doc_true(doc, "expired")) {
		json_object_set_new(doc, "expired", json_true());
		log_info("client %s: expired", doc_str(doc, "name"));
	}
	if (old > 0 && old <= now) {
		json_object_del(doc, "old_public_key");
		json_object_del(doc, "old_until");
		log_info("client %s: the overlap of its rotation is over", doc_str(doc, "name"));
	}
	expire_posture(doc, now);
	ret = store_put(st, T_CLIENTS, key, doc);
	json_decref(doc);
	return ret;
}

static int expire_connector(struct store *st, const char *key)
{
	json_t *doc = store_get(st, T_CONNECTORS, key);

	if (doc)
		log_info("connector %s (%s): its lease has ended", key, doc_str(doc, "hostname"));
	json_decref(doc);
	return store_del(st, T_CONNECTORS, key);
}

/* One transaction for the connectors (silent), one for the rest. */
static void run_part(struct ctrl *c, const struct store_due *due, size_t n, bool connectors, int64_t now)
{
	struct store_author who = {.method = "expiry", .silent = connectors};
	uint64_t before = c->st->revision, rev;
	bool any = false;

	for (size_t i = 0; i < n; i++)
		any = any || (due[i].table == T_CONNECTORS) == connectors;
	if (!any || store_begin(c->st) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if ((due[i].table == T_CONNECTORS) != connectors)
			continue;
		if (connectors)
			expire_connector(c->st, due[i].key);
		else if (due[i].table == T_CLIENTS)
			expire_client(c->st, due[i].key, now);
	}
	if (store_commit(c->st, &who, &rev) == 0 && rev != before)
		ctrl_revision_made(c);
}

void expiry_run(struct ctrl *c)
{
	struct store_due due[DUE_BATCH];
	int64_t now = (int64_t)time(NULL);
	size_t n = store_due(c->st, now, due, DUE_BATCH);

	if (n == 0)
		return;
	if (json_object_size(c->renewals) > 0) { /* a lease that only memory knows to be renewed is not over */
		expiry_flush_renewals(c);
		n = store_due(c->st, now, due, DUE_BATCH);
	}
	run_part(c, due, n, false, now);
	run_part(c, due, n, true, now);
}

void expiry_flush_renewals(struct ctrl *c)
{
	struct store_author who = {.method = "lease", .silent = true};
	uint64_t before = c->st->revision, rev;
	const char *id;
	json_t *until;

	if (json_object_size(c->renewals) == 0 || store_begin(c->st) < 0)
		return;
	json_object_foreach(c->renewals, id, until) {
		json_t *doc = store_get(c->st, T_CONNECTORS, id);

		if (doc) {
			json_object_set(doc, "lease_expires", until);
			store_put(c->st, T_CONNECTORS, id, doc);
		}
		json_decref(doc);
	}
	json_object_clear(c->renewals);
	if (store_commit(c->st, &who, &rev) == 0 && rev != before)
		ctrl_revision_made(c);
}

static int note_lease(json_t *doc, void *arg)
{
	struct ctrl *c = arg;

	return json_object_set_new(c->renewals, doc_str(doc, "id"), json_integer((json_int_t)time(NULL) + CTRL_LEASE_S));
}

void expiry_extend_leases(struct ctrl *c)
{
	store_each(c->st, T_CONNECTORS, NULL, note_lease, c);
	expiry_flush_renewals(c);
}
