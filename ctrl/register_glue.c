// SPDX-License-Identifier: BSD-3-Clause
// The registration server's questions, answered from the store. All on the loop.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "ctrl/api.h"
#include "ctrl/ctrl.h"
#include "ctrl/model.h"
#include "ctrl/runtime.h"
#include "lib/log.h"

#define WAIT_MS 2000

/* The tunnel's document where it is that account's; else NULL. */
static json_t *find_tunnel(struct ctrl *c, const char *account_tag, const char *tunnel_id)
{
	char id[37], tag[40];
	json_t *doc;
	size_t n = 0;

	for (; account_tag[n] && n < sizeof(tag) - 1; n++)
		tag[n] = account_tag[n] >= 'A' && account_tag[n] <= 'F' ? (char)(account_tag[n] + 32) : account_tag[n];
	tag[n] = 0;
	if (!uuid_canonical(tunnel_id, id))
		return NULL;
	doc = store_get(c->st, T_TUNNELS, id);
	if (doc && strcmp(doc_str(doc, "account_id"), tag) != 0) {
		json_decref(doc);
		doc = NULL;
	}
	return doc;
}

struct counting {
	const char *tunnel_id, *but;
	unsigned n;
};

static int count_one(json_t *doc, void *arg)
{
	struct counting *k = arg;

	k->n += strcmp(doc_str(doc, "tunnel_id"), k->tunnel_id) == 0 && strcmp(doc_str(doc, "id"), k->but) != 0;
	return 0;
}

static int on_tunnel(void *ctx, const char *account_tag, const char *tunnel_id, const char *connector_id, struct register_tunnel *out)
{
	struct ctrl *c = ctx;
	json_t *doc = find_tunnel(c, account_tag, tunnel_id);
	struct counting k = {doc_str(doc, "id"), connector_id, 0};
	int64_t now = (int64_t)time(NULL);

	if (!doc)
		return -ENOENT;
	out->secret_count = 0;
	for (int slot = 0; slot < REGISTER_SECRETS_MAX; slot++) {
		size_t len = sizeof(out->secrets[0].bytes);

		if (store_secret_get(c->st, k.tunnel_id, slot, out->secrets[out->secret_count].bytes, &len, now) == 0)
			out->secrets[out->secret_count++].length_bytes = len;
	}
	store_each(c->st, T_CONNECTORS, doc_str(doc, "account_id"), count_one, &k);
	out->other_connectors = k.n;
	json_decref(doc);
	return out->secret_count > 0 ? 0 : -ENOENT;
}

struct pending {
	struct register_call *call;
	json_t *tunnel;
	unsigned sessions, mtu;
};

/* Where an account's devices are: its pools. The caller's reference. */
static json_t *device_networks(struct ctrl *c, const char *account_id)
{
	json_t *account = store_get(c->st, T_ACCOUNTS, account_id), *list = json_array();

	for (int i = 0; i < 2; i++) {
		json_t *pool = json_object_get(account, i ? "device_pool_v6" : "device_pool_v4");

		if (json_is_string(pool))
			json_array_append(list, pool);
	}
	json_decref(account);
	return list;
}

static void give_answer(struct ctrl *c, void *user, bool applied, const char *lagging)
{
	struct pending *p = user;
	json_t *edges = runtime_edges(c), *e;
	struct register_answer a = {.lease_s = CTRL_LEASE_S,
				    .tunnel_name = doc_str(p->tunnel, "name"),
				    .sessions = p->sessions,
				    .mtu = p->mtu,
				    .edges = edges,
				    .device_networks = device_networks(c, doc_str(p->tunnel, "account_id"))};
	size_t i;

	(void)applied;
	if (lagging[0])
		log_info("registration at tunnel %s: answered before edges %s had applied it", a.tunnel_name, lagging);
	json_array_foreach(edges, i, e)
		json_object_del(e, "version");
	if (c->stopping)
		register_call_refuse(p->call, "sluice-ctrl is stopping");
	else
		register_call_answer(p->call, &a);
	json_decref(a.device_networks);
	json_decref(edges);
	json_decref(p->tunnel);
	free(p);
}

/* NULL, or why the keys are refused. */
static const char *keys_fault(struct ctrl *c, const struct register_request *rq)
{
	for (size_t i = 0; i < rq->session_key_count; i++) {
		char b64[45], value[KEY_MAX];

		key_format(rq->session_keys[i], b64);
		unique_key(b64, value);
		if (key_low_order(rq->session_keys[i]) || rq->session_keys[i][31] > 0x7f)
			return "a session key is of low order or not canonical";
		if (store_taken(c->st, value, rq->connector_id) || runtime_is_edge_key(c, b64))
			return "a session key belongs to somebody else";
	}
	return NULL;
}

static json_t *connector_doc(const struct register_request *rq, const json_t *tunnel, const json_t *old, unsigned sessions)
{
	int64_t now = (int64_t)time(NULL);
	json_t *keys = json_array(), *doc;

	for (size_t i = 0; i < rq->session_key_count && i < sessions; i++) {
		char b64[45];

		key_format(rq->session_keys[i], b64);
		json_array_append_new(keys, json_string(b64));
	}
	doc = json_pack("{s:s, s:O, s:O, s:s, s:s, s:s, s:i, s:i, s:b, s:I, s:I, s:b, s:o, s:s}", "id", rq->connector_id, "account_id",
			json_object_get(tunnel, "account_id"), "tunnel_id", json_object_get(tunnel, "id"), "hostname", rq->hostname, "version",
			rq->client_version, "mode", register_mode_name(rq->mode), "mtu", (int)rq->mtu, "weight", 100, "draining", 0, "since",
			(json_int_t)now, "lease_expires", (json_int_t)now + CTRL_LEASE_S, "preserve_source", rq->preserve_source, "public_keys",
			keys, "remote", rq->remote);
	if (doc && old) {
		json_object_set(doc, "weight", json_object_get(old, "weight"));
		json_object_set(doc, "draining", json_object_get(old, "draining"));
		json_object_set(doc, "since", json_object_get(old, "since"));
	}
	return doc;
}

/* True where only the lease moves: that is noted and written with others of its kind. */
static bool only_lease(const json_t *old, json_t *now)
{
	json_t *same;
	bool equal;

	if (!old)
		return false;
	same = json_copy(now);
	json_object_set(same, "lease_expires", json_object_get(old, "lease_expires"));
	json_object_set(same, "remote", json_object_get(old, "remote"));
	equal = json_equal(same, old);
	json_decref(same);
	return equal;
}

static const char *put_connector(struct ctrl *c, const struct register_request *rq, const json_t *tunnel, unsigned sessions)
{
	struct store_author who = {.method = "register", .silent = true};
	json_t *old = store_get(c->st, T_CONNECTORS, rq->connector_id), *doc;
	const char *fault = NULL;
	uint64_t before = c->st->revision, rev;

	if (old && strcmp(doc_str(old, "tunnel_id"), doc_str(tunnel, "id")) != 0) {
		json_decref(old);
		return "the connector id belongs to another tunnel";
	}
	doc = connector_doc(rq, tunnel, old, sessions);
	if (!doc) {
		fault = "the registration holds text that is not UTF-8";
	} else if (only_lease(old, doc)) {
		json_object_set(c->renewals, rq->connector_id, json_object_get(doc, "lease_expires"));
	} else if (store_begin(c->st) < 0) {
		fault = "the store failed";
	} else if (store_put(c->st, T_CONNECTORS, rq->connector_id, doc) < 0) {
		store_rollback(c->st);
		fault = "the store refused the connector";
	} else if (store_commit(c->st, &who, &rev) < 0) {
		fault = "the store failed";
	} else if (rev != before) {
		json_object_del(c->renewals, rq->connector_id);
		ctrl_revision_made(c);
	}
	json_decref(old);
	json_decref(doc);
	return fault;
}

static void on_put(void *ctx, const struct register_request *rq, struct register_call *call)
{
	struct ctrl *c = ctx;
	json_t *tunnel = find_tunnel(c, rq->account_tag, rq->tunnel_id), *mtu;
	const char *fault = tunnel ? keys_fault(c, rq) : "the tunnel was deleted meanwhile";
	struct pending *p = fault ? NULL : calloc(1, sizeof(*p));

	if (p) {
		p->call = call;
		p->tunnel = tunnel;
		p->sessions = (unsigned)doc_int(tunnel, "sessions");
		if (p->sessions > rq->session_key_count)
			p->sessions = (unsigned)rq->session_key_count;
		mtu = store_get(c->st, T_SETTINGS, "mtu");
		p->mtu = (unsigned)doc_int(mtu, "value");
		json_decref(mtu);
		fault = put_connector(c, rq, tunnel, p->sessions);
	} else if (!fault) {
		fault = "out of memory";
	}
	if (fault) {
		json_decref(tunnel);
		free(p);
		register_call_refuse(call, fault);
		return;
	}
	runtime_tunnel_mark(c->rt, doc_str(tunnel, "id"));
	if (wait_applied(c, c->st->revision, WAIT_MS, give_answer, p) < 0)
		give_answer(c, p, false, "");
}

static void on_goodbye(void *ctx, const char *account_tag, const char *tunnel_id, const char *connector_id)
{
	struct ctrl *c = ctx;
	struct store_author who = {.method = "goodbye", .silent = true};
	json_t *tunnel = find_tunnel(c, account_tag, tunnel_id), *doc = store_get(c->st, T_CONNECTORS, connector_id);
	uint64_t rev;

	if (tunnel && doc && strcmp(doc_str(doc, "tunnel_id"), doc_str(tunnel, "id")) == 0 && store_begin(c->st) == 0) {
		store_del(c->st, T_CONNECTORS, connector_id);
		json_object_del(c->renewals, connector_id);
		if (store_commit(c->st, &who, &rev) == 0)
			ctrl_revision_made(c);
	}
	json_decref(tunnel);
	json_decref(doc);
}

struct register_backend register_glue(struct ctrl *c)
{
	return (struct register_backend){.ctx = c, .tunnel = on_tunnel, .put = on_put, .goodbye = on_goodbye};
}
