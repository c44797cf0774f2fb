// SPDX-License-Identifier: BSD-3-Clause
// Runtime facts of peers: collected, told, kept in a file.
#include "dataplane/control/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "dataplane/control/rows.h"
#include "dataplane/peers.h"
#include "lib/ip.h"
#include "lib/log.h"

#define COLLECT_MAX 256
#define REPORT_MAX  500
#define SAVE_MS     5000
#define FILE_MAX    (64u << 20)

/* Marks of rows; expires_at holds when the peer was active last. */
enum { TOLD = 0, UNTOLD = 1, TELLING = 2 };

struct link {
	uint32_t sessions_live;
	bool draining;
	uint64_t rtt_us;
	bool known;
};

struct runtime {
	struct edge *edge;
	char path[300];
	struct row_store peers; /* key: public key in base64; json: as in edge.report; mark: above */
	uint64_t high_water_ns, high_water_told;
	struct link *links; /* [max_connectors]: what was told */
	struct handshake_report reports[COLLECT_MAX];
	uint64_t saved_ms;
	bool unsaved;
};

struct runtime *runtime_create(struct edge *edge, const char *dir)
{
	struct runtime *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->edge = edge;
	snprintf(r->path, sizeof(r->path), "%s/runtime.json", dir);
	r->links = calloc(edge->records->max_connectors, sizeof(*r->links));
	if (!r->links || !row_store_init(&r->peers)) {
		free(r->links);
		free(r);
		return NULL;
	}
	return r;
}

void runtime_free(struct runtime *r)
{
	if (!r)
		return;
	row_store_free(&r->peers);
	free(r->links);
	free(r);
}

/* ---- endpoints as text ---- */

static void endpoint_text(uint8_t family, const uint8_t *address, uint16_t port_be, char out[IP_ENDPOINT_TEXT])
{
	struct ip_endpoint e = {.addr.family = family, .port = (uint16_t)(port_be >> 8 | port_be << 8)};

	memcpy(e.addr.bytes, address, family == 4 ? 4 : 16);
	ip_endpoint_format(&e, out);
}

static bool endpoint_half(const json_t *v, uint8_t family, uint8_t out[16], uint16_t *port_be, uint8_t *got)
{
	struct ip_endpoint e;

	if (!json_is_string(v) || !ip_endpoint_parse(json_string_value(v), &e) || (family && e.addr.family != family))
		return false;
	memcpy(out, e.addr.bytes, 16);
	*port_be = (uint16_t)(e.port >> 8 | e.port << 8);
	*got = e.addr.family;
	return true;
}

static bool read_endpoint(const json_t *peer, struct endpoint *out)
{
	memset(out, 0, sizeof(*out));
	if (endpoint_half(json_object_get(peer, "endpoint"), 0, out->remote, &out->remote_port_be, &out->family) &&
	    endpoint_half(json_object_get(peer, "local"), out->family, out->local, &out->local_port_be, &out->family))
		return true;
	memset(out, 0, sizeof(*out));
	return false;
}

/* ---- rows ---- */

static json_int_t active_at(const json_t *peer)
{
	return json_integer_value(json_object_get(peer, "active_at"));
}

/* At capacity the peer that was silent longest goes. */
static void make_room(struct runtime *r)
{
	struct row *oldest = NULL;

	if (r->peers.count < r->edge->records->max_peers)
		return;
	for (struct row *row = row_next(&r->peers, NULL); row; row = row_next(&r->peers, row))
		if (!oldest || row->expires_at < oldest->expires_at)
			oldest = row;
	if (oldest)
		row_remove(&r->peers, oldest);
}

static void keep(struct runtime *r, const char *key, const json_t *peer, uint32_t mark)
{
	struct row *row = row_find(&r->peers, key);
	char *text;

	if (!row)
		make_room(r);
	if (!row)
		row = row_add(&r->peers, key);
	text = row ? json_dumps(peer, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	if (!text)
		return;
	row_set_json(&r->peers, row, text);
	row->mark = mark;
	row->expires_at = active_at(peer);
	r->unsaved = true;
}

static bool younger(struct runtime *r, const char *key, const json_t *peer)
{
	const struct row *row = row_find(&r->peers, key);
	json_t *ours = row ? json_loads(row->json, 0, NULL) : NULL;
	bool yes = !ours || active_at(peer) > active_at(ours);

	json_decref(ours);
	return yes;
}

static void merge(struct runtime *r, const json_t *runtime, uint32_t mark)
{
	json_int_t water = json_integer_value(json_object_get(runtime, "tai64n_high_water"));
	const json_t *peer;
	uint8_t raw[32];
	size_t i;

	if (water > 0 && (uint64_t)water > r->high_water_ns)
		r->high_water_ns = (uint64_t)water;
	json_array_foreach (json_object_get(runtime, "peers"), i, peer) {
		const json_t *key = json_object_get(peer, "public_key");
		struct row_error ignored;

		if (!row_key32("public_key", key, raw, &ignored) && younger(r, json_string_value(key), peer))
			keep(r, json_string_value(key), peer, mark);
	}
}

void runtime_merge(struct runtime *r, const json_t *runtime)
{
	if (json_is_object(runtime))
		merge(r, runtime, TOLD);
}

void runtime_load_file(struct runtime *r)
{
	json_error_t error;
	struct stat st;
	json_t *all;

	if (stat(r->path, &st))
		return;
	all = st.st_size > FILE_MAX ? NULL : json_load_file(r->path, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(all))
		log_warn("%s: cannot be read, starting without it", r->path);
	else
		merge(r, all, UNTOLD);
	json_decref(all);
	r->unsaved = false;
}

void runtime_give(struct runtime *r)
{
	struct handshake_runtime *list = calloc(r->peers.count + 1, sizeof(*list));
	size_t n = 0;

	for (struct row *row = row_next(&r->peers, NULL); list && row; row = row_next(&r->peers, row)) {
		json_t *peer = json_loads(row->json, 0, NULL);
		const char *stamp = json_string_value(json_object_get(peer, "tai64n_rx"));
		struct handshake_runtime *out = &list[n];
		struct row_error ignored;
		size_t len = 0;

		if (!row_key32("public_key", json_object_get(peer, "public_key"), out->public_key, &ignored)) {
			read_endpoint(peer, &out->endpoint);
			out->has_tai64n_rx = stamp && strlen(stamp) == 24 &&
					     !sodium_hex2bin(out->tai64n_rx, 12, stamp, 24, NULL, &len, NULL) &&
					     len == 12;
			out->active_at_unix_s = active_at(peer) > 0 ? (uint64_t)active_at(peer) : 0;
			n++;
		}
		json_decref(peer);
	}
	if (list)
		handshake_load_runtime(r->edge->handshake, r->high_water_ns, list, n);
	free(list);
}

/* ---- collect and tell ---- */

static json_t *report_json(const struct handshake_report *p)
{
	char key[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)], stamp[25];
	char endpoint[IP_ENDPOINT_TEXT], local[IP_ENDPOINT_TEXT];
	json_t *o = json_object();

	sodium_bin2base64(key, sizeof(key), p->public_key, 32, sodium_base64_VARIANT_ORIGINAL);
	sodium_bin2hex(stamp, sizeof(stamp), p->tai64n_rx, 12);
	json_object_set_new(o, "public_key", json_string(key));
	if (p->endpoint.family) {
		endpoint_text(p->endpoint.family, p->endpoint.remote, p->endpoint.remote_port_be, endpoint);
		endpoint_text(p->endpoint.family, p->endpoint.local, p->endpoint.local_port_be, local);
		json_object_set_new(o, "endpoint", json_string(endpoint));
		json_object_set_new(o, "local", json_string(local));
	}
	if (p->has_tai64n_rx)
		json_object_set_new(o, "tai64n_rx", json_string(stamp));
	if (p->last_handshake_unix_s)
		json_object_set_new(o, "last_handshake", json_integer((json_int_t)p->last_handshake_unix_s));
	json_object_set_new(o, "active_at", json_integer((json_int_t)p->active_at_unix_s));
	return o;
}

void runtime_collect(struct runtime *r)
{
	size_t n;

	do {
		uint64_t water = 0;

		n = handshake_collect_reports(r->edge->handshake, r->reports, COLLECT_MAX, &water);
		if (water > r->high_water_ns) {
			r->high_water_ns = water;
			r->unsaved = true;
		}
		for (size_t i = 0; i < n; i++) {
			json_t *peer = report_json(&r->reports[i]);
			const char *key = json_string_value(json_object_get(peer, "public_key"));

			if (key)
				keep(r, key, peer, UNTOLD);
			json_decref(peer);
		}
	} while (n == COLLECT_MAX);
}

/* Sessions of a connector now, and the best round trip among them. */
static struct link link_now(struct runtime *r, const struct connector_record *c)
{
	struct link l = {.known = true};

	l.draining = __atomic_load_n(&r->edge->connector_live[c->index], __ATOMIC_RELAXED) == CONNECTOR_DRAINING;

	for (uint32_t i = 0; i < c->n_peers; i++) {
		struct handshake_peer_info info;

		if (!handshake_peer_info(r->edge->handshake, c->peers[i], &info))
			continue;
		l.sessions_live += info.has_session && info.settled;
		if (info.rtt_ns && (!l.rtt_us || info.rtt_ns / 1000 < l.rtt_us))
			l.rtt_us = info.rtt_ns / 1000;
	}
	return l;
}

/* A round trip is told again when it has changed by more than a fourth and a millisecond. */
static bool link_differs(const struct link *told, const struct link *now)
{
	uint64_t diff = told->rtt_us > now->rtt_us ? told->rtt_us - now->rtt_us : now->rtt_us - told->rtt_us;

	return !told->known || told->sessions_live != now->sessions_live || told->draining != now->draining || (diff > 1000 && diff > told->rtt_us / 4);
}

static json_t *links_report(struct runtime *r)
{
	const struct records *records = r->edge->records;
	json_t *list = json_array();

	for (uint32_t i = 0; i < records->max_connectors; i++) {
		const struct connector_record *c = connector_get(records, i);
		struct link now;

		if (!c) {
			r->links[i].known = false;
			continue;
		}
		now = link_now(r, c);
		if (!link_differs(&r->links[i], &now))
			continue;
		r->links[i] = now;
		json_array_append_new(list, json_pack("{s:s,s:i,s:I,s:b}", "connector_id", c->id, "sessions_live",
						      (int)now.sessions_live, "rtt_us", (json_int_t)now.rtt_us, "draining",
						      now.draining));
	}
	return list;
}

json_t *runtime_report(struct runtime *r)
{
	json_t *peers = json_array(), *links = links_report(r);

	for (struct row *row = row_next(&r->peers, NULL); row; row = row_next(&r->peers, row)) {
		if (row->mark != UNTOLD || json_array_size(peers) >= REPORT_MAX)
			continue;
		json_array_append_new(peers, json_loads(row->json, 0, NULL));
		row->mark = TELLING;
	}
	if (!json_array_size(peers) && !json_array_size(links) && r->high_water_told == r->high_water_ns) {
		json_decref(peers);
		json_decref(links);
		return NULL;
	}
	return json_pack("{s:I,s:o,s:o}", "tai64n_high_water", (json_int_t)r->high_water_ns, "peers", peers, "connectors",
			 links);
}

void runtime_told(struct runtime *r)
{
	for (struct row *row = row_next(&r->peers, NULL); row; row = row_next(&r->peers, row))
		if (row->mark == TELLING)
			row->mark = TOLD;
	r->high_water_told = r->high_water_ns;
}

void runtime_tell_all(struct runtime *r)
{
	for (uint32_t i = 0; i < r->edge->records->max_connectors; i++)
		r->links[i].known = false;
	for (struct row *row = row_next(&r->peers, NULL); row; row = row_next(&r->peers, row))
		if (row->mark == TELLING)
			row->mark = UNTOLD;
}

/* ---- the file ---- */

static bool write_file(struct runtime *r, const char *path)
{
	FILE *f = fopen(path, "we");
	bool first = true, ok;

	if (!f || fchmod(fileno(f), 0600)) {
		if (f)
			fclose(f);
		return false;
	}
	fprintf(f, "{\"tai64n_high_water\":%llu,\"peers\":[", (unsigned long long)r->high_water_ns);
	for (struct row *row = row_next(&r->peers, NULL); row; row = row_next(&r->peers, row)) {
		fprintf(f, "%s\n%s", first ? "" : ",", row->json);
		first = false;
	}
	fputs("]}\n", f);
	ok = !ferror(f);
	return !fclose(f) && ok;
}

void runtime_save(struct runtime *r, uint64_t now_ms, bool now)
{
	char tmp[320];

	if (!r->unsaved || (!now && now_ms < r->saved_ms + SAVE_MS))
		return;
	r->saved_ms = now_ms;
	snprintf(tmp, sizeof(tmp), "%s.new", r->path);
	if (write_file(r, tmp) && !rename(tmp, r->path))
		r->unsaved = false;
	else
		log_rated(LOG_LEVEL_WARN, "%s: cannot be written: %s", r->path, strerror(errno));
}
