// SPDX-License-Identifier: BSD-3-Clause
// The bed of the tests of apply and of the state file.
#include "dataplane/control/apply_bed.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/handshake.h"
#include "dataplane/tables/device_table.h"
#include "dataplane/tables/policy.h"
#include "dataplane/tables/reclaim.h"
#include "dataplane/tables/route_table.h"

#define PEERS_MAX 4096

/* ---- a reclaim that waits for the test ---- */

struct piece {
	retire_free_fn free_fn;
	void *owner;
	uint64_t what;
};

struct reclaim {
	struct piece *pieces;
	size_t n, room;
};

static void retire(void *ctx, retire_free_fn free_fn, void *owner, uint64_t what)
{
	struct reclaim *r = ctx;

	if (r->n == r->room) {
		r->room = r->room ? 2 * r->room : 64;
		r->pieces = realloc(r->pieces, r->room * sizeof(*r->pieces));
		if (!r->pieces)
			abort();
	}
	r->pieces[r->n++] = (struct piece){free_fn, owner, what};
}

struct retire_ops reclaim_ops(struct reclaim *r)
{
	return (struct retire_ops){retire, r};
}

void reclaim_seal(struct reclaim *r)
{
	(void)r;
}

void reclaim_drain(struct reclaim *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct piece p = r->pieces[i];

		p.free_fn(p.owner, p.what);
	}
	r->n = 0;
}

/* ---- a handshake side that only listens ---- */

static int fails_with;

int handshake_peer_changed(struct handshake *hs, uint32_t peer, const struct peer_record *record)
{
	struct bed *b = (struct bed *)(void *)hs;
	int error = fails_with;

	fails_with = 0;
	if (record && error)
		return error;
	if (peer >= PEERS_MAX)
		abort();
	b->known[peer] = record != NULL;
	return 0;
}

void handshake_connector_changed(struct handshake *hs, uint32_t connector, const struct connector_record *record)
{
	(void)hs;
	(void)connector;
	(void)record;
}

size_t handshake_collect_reports(struct handshake *hs, struct handshake_report *out, size_t max, uint64_t *water)
{
	(void)hs;
	(void)out;
	(void)max;
	*water = 0;
	return 0;
}

bool handshake_peer_info(struct handshake *hs, uint32_t peer, struct handshake_peer_info *out)
{
	(void)hs;
	(void)peer;
	(void)out;
	return false;
}

void handshake_load_runtime(struct handshake *hs, uint64_t water, const struct handshake_runtime *peers, size_t n)
{
	(void)hs;
	(void)water;
	(void)peers;
	(void)n;
}

void bed_peer_fails(int error)
{
	fails_with = error;
}

/* ---- the bed ---- */

static int deny(void *arg, const struct ip_prefix *prefixes, size_t n)
{
	struct bed *b = arg;

	(void)prefixes;
	b->n_denied = n;
	return 0;
}

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "apply_bed: cannot make %s\n", what);
	abort();
}

struct bed *bed_create(const struct bed_size *s)
{
	struct bed *b = calloc(1, sizeof(*b));
	struct edge *e = &b->edge;
	struct policy_limits policy = POLICY_LIMITS_DEFAULT;
	struct apply_config config = {.edge = e, .deny = deny, .arg = b};

	need(b && s->peers <= PEERS_MAX, "the bed");
	b->n_denied = SIZE_MAX;
	e->handshake = (struct handshake *)(void *)b; /* opaque to all but the functions above */
	b->now_s = 1000000;
	b->reclaim = config.reclaim = calloc(1, sizeof(*b->reclaim));
	e->config.cap_routes = s->routes;
	policy.accounts = s->accounts;
	policy.vnets = s->vnets;
	policy.rules_total = s->rules;
	e->records = records_create(s->accounts, s->vnets, s->tunnels, s->clients, s->connectors, s->peers, s->rules, s->routes);
	e->routes = route_table_create(
		&(struct route_config){.vnets = s->vnets, .routes = s->routes, .retire = reclaim_ops(b->reclaim)});
	e->devices = device_table_create(
		&(struct device_config){.capacity = 2 * s->clients, .secret = {1, 2}, .retire = reclaim_ops(b->reclaim)});
	e->policy = policy_create(&policy, reclaim_ops(b->reclaim));
	need(e->records && e->routes && e->devices && e->policy, "tables");
	b->apply = apply_create(&config);
	need(b->apply, "apply");
	return b;
}

void bed_destroy(struct bed *b)
{
	bed_pass(b);
	apply_destroy(b->apply);
	bed_pass(b);
	policy_destroy(b->edge.policy);
	device_table_destroy(b->edge.devices);
	bed_pass(b);
	route_table_destroy(b->edge.routes);
	records_destroy(b->edge.records);
	free(b->reclaim->pieces);
	free(b->reclaim);
	free(b);
}

void bed_pass(struct bed *b)
{
	while (b->reclaim->n)
		reclaim_drain(b->reclaim);
}

size_t bed_waiting(const struct bed *b)
{
	return b->reclaim->n;
}

void bed_change(struct bed *b, bool snapshot, const char *text)
{
	char *copy = strdup(text);
	const char *table;
	json_error_t error;
	json_t *doc, *rows;

	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	doc = json_loads(copy, 0, &error);
	if (!doc) {
		fprintf(stderr, "apply_bed: %s\n%s\n", error.text, copy);
		abort();
	}
	apply_begin(b->apply, ++b->revision, snapshot, b->now_s);
	json_object_foreach (doc, table, rows)
		apply_rows(b->apply, table, json_object_get(rows, "put"), json_object_get(rows, "delete"));
	apply_end(b->apply);
	while (!apply_step(b->apply))
		;
	json_decref(doc);
	free(copy);
}

void bed_put(struct bed *b, const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, format);
	need(vasprintf(&text, format, ap) >= 0, "text");
	va_end(ap);
	bed_change(b, false, text);
	free(text);
}

const char *bed_refused(struct bed *b, const char *table, const char *key)
{
	static char code[32];
	json_t *all = apply_refused(b->apply), *one;
	size_t i;

	code[0] = '\0';
	json_array_foreach (all, i, one)
		if (!strcmp(json_string_value(json_object_get(one, "table")), table) &&
		    !strcmp(json_string_value(json_object_get(one, "key")), key))
			snprintf(code, sizeof(code), "%s", json_string_value(json_object_get(one, "code")));
	json_decref(all);
	return code;
}

/* ---- the dump ---- */

static int compare_lines(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

/* The rows as the state file has them, but routes: one a line, whatever order the table keeps them in. */
static void dump_rows(struct bed *b, FILE *out)
{
	struct apply_cursor cursor = {0};
	char *text = NULL;
	size_t size, i;
	FILE *f = open_memstream(&text, &size);
	json_t *line, *networks, *v;

	while (apply_write(b->apply, &cursor, f))
		;
	fclose(f);
	for (char *save = NULL, *one = strtok_r(text, "\n", &save); one; one = strtok_r(NULL, "\n", &save)) {
		line = json_loads(one, 0, NULL);
		need(line != NULL, one);
		networks = json_object_get(line, "networks");
		if (!networks)
			fprintf(out, "%s\n", one);
		json_array_foreach (networks, i, v)
			fprintf(out, "route %s %s %s\n", json_string_value(json_object_get(line, "vnet_id")),
				json_string_value(json_object_get(line, "tunnel_id")), json_string_value(v));
		json_decref(line);
	}
	free(text);
}

/* What a worker finds for each client. */
static void dump_clients(const struct bed *b, FILE *out)
{
	const struct records *r = b->edge.records;

	for (uint32_t i = 0; i < r->max_clients; i++) {
		const struct client_record *c = client_get(r, i);
		struct device_key key;
		uint32_t v4;

		if (!c)
			continue;
		memcpy(&v4, c->v4, 4);
		device_key_v4(&key, c->account, v4);
		fprintf(out, "client %s in %s of %s, enabled %d, own address %d", c->id, vnet_get(r, c->vnet)->id,
			account_get(r, c->account)->id, c->enabled,
			c->has_v4 && device_lookup(b->edge.devices, &key) == i);
		for (unsigned k = 0; k < CLIENT_MAX_KEYS; k++) {
			const struct peer_record *p = peer_record_get(r, c->peers[k]);

			fprintf(out, ", key %02x%02x mtu %u %s", p ? p->public_key[0] : 0, p ? p->public_key[1] : 0, p ? p->mtu : 0,
				p ? (b->known[p->index] && p->client == i && p->enabled == c->enabled ? "ok" : "wrong") : "none");
		}
		fputc('\n', out);
	}
}

static void dump_connectors(const struct bed *b, FILE *out)
{
	const struct records *r = b->edge.records;

	for (uint32_t t = 0; t < r->max_tunnels; t++) {
		const struct tunnel_record *tunnel = tunnel_get(r, t);

		for (uint32_t i = 0; tunnel && i < tunnel->n_connectors; i++) {
			const struct connector_record *c = connector_get(r, tunnel->connectors[i]);

			fprintf(out, "connector %s of %s, weight %u, draining %d, %u sessions\n", c ? c->id : "none", tunnel->id,
				c ? c->weight : 0, c ? c->draining : 0, c ? c->n_peers : 0);
		}
	}
}

char *bed_dump(struct bed *b)
{
	char *text = NULL, *sorted = NULL, **lines;
	size_t size, n = 0;
	FILE *f = open_memstream(&text, &size);

	dump_rows(b, f);
	dump_clients(b, f);
	dump_connectors(b, f);
	fclose(f);
	lines = calloc(size + 1, sizeof(*lines));
	for (char *save = NULL, *one = strtok_r(text, "\n", &save); one; one = strtok_r(NULL, "\n", &save))
		lines[n++] = one;
	qsort(lines, n, sizeof(*lines), compare_lines);
	f = open_memstream(&sorted, &size);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s\n", lines[i]);
	fclose(f);
	free(lines);
	free(text);
	return sorted;
}
