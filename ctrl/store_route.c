// SPDX-License-Identifier: BSD-3-Clause
// Routes: columns in place of documents, so that a million of them load in seconds.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "ctrl/model.h"
#include "ctrl/store.h"

size_t route_blob(const struct ip_prefix *p, uint8_t out[18])
{
	unsigned n = p->addr.family == 4 ? 4 : 16;

	out[0] = p->addr.family;
	memcpy(out + 1, p->addr.bytes, n);
	out[1 + n] = p->len;
	return n + 2;
}

bool route_from_blob(const void *blob, int len, struct ip_prefix *out)
{
	const uint8_t *b = blob;

	if (!b || (len != 6 && len != 18) || b[0] != (len == 6 ? 4 : 6))
		return false;
	*out = (struct ip_prefix){.addr.family = b[0], .len = b[len - 1]};
	memcpy(out->addr.bytes, b + 1, (size_t)len - 2);
	return true;
}

void route_key(const struct route *r, char out[KEY_MAX])
{
	char cidr[IP_PREFIX_TEXT];

	snprintf(out, KEY_MAX, "%s/%s", r->vnet_id, ip_prefix_format(&r->network, cidr));
}

static void read_row(sqlite3_stmt *q, struct route *r)
{
	r->vnet_n = sqlite3_column_int64(q, 0);
	route_from_blob(sqlite3_column_blob(q, 1), sqlite3_column_bytes(q, 1), &r->network);
	r->tunnel_n = sqlite3_column_int64(q, 2);
	memset(r->id, 0, sizeof(r->id));
	if (sqlite3_column_bytes(q, 3) == 16)
		memcpy(r->id, sqlite3_column_blob(q, 3), 16);
	r->created = sqlite3_column_int64(q, 4);
	snprintf(r->comment, sizeof(r->comment), "%s", (const char *)sqlite3_column_text(q, 5));
	snprintf(r->vnet_id, sizeof(r->vnet_id), "%s", (const char *)sqlite3_column_text(q, 6));
	snprintf(r->tunnel_id, sizeof(r->tunnel_id), "%s", (const char *)sqlite3_column_text(q, 7));
	snprintf(r->account_id, sizeof(r->account_id), "%s", (const char *)sqlite3_column_text(q, 8));
}

int route_get(struct store *st, int64_t vnet_n, const struct ip_prefix *p, struct route *out)
{
	sqlite3_stmt *q = store_stmt(st, ST_ROUTE_GET);
	uint8_t blob[18];
	size_t n = route_blob(p, blob);
	int rc;

	sqlite3_bind_int64(q, 1, vnet_n);
	sqlite3_bind_blob(q, 2, blob, (int)n, SQLITE_STATIC);
	rc = q ? sqlite3_step(q) : SQLITE_ERROR;
	if (rc == SQLITE_ROW)
		read_row(q, out);
	sqlite3_reset(q);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_io_error(st);
	return rc == SQLITE_ROW ? 0 : -ENOENT;
}

int route_lookup(struct store *st, int64_t vnet_n, const struct ip_addr *a, struct route *out)
{
	for (int len = (int)ip_addr_bits(a); len >= 0; len--) {
		struct ip_prefix p = {*a, (uint8_t)len};
		int ret;

		ip_addr_mask(&p.addr, (unsigned)len);
		ret = route_get(st, vnet_n, &p, out);
		if (ret != -ENOENT)
			return ret;
	}
	return -ENOENT;
}

static int log_route(struct store *st, const struct route *r, const struct route *before, const struct route *after)
{
	bool shown = st->tx_changes < STORE_AUDIT_CHANGES;
	json_t *b = before ? route_json(before) : NULL, *a = after && shown ? route_json(after) : NULL;
	char key[KEY_MAX];
	int ret;

	route_key(r, key);
	ret = store_log_change(st, T_ROUTES, key, b, a);
	json_decref(a);
	json_decref(b);
	return ret;
}

int route_put(struct store *st, const struct route *r)
{
	sqlite3_stmt *q;
	struct route before;
	uint8_t blob[18];
	size_t n = route_blob(&r->network, blob);
	int had = route_get(st, r->vnet_n, &r->network, &before);

	if (had == -EIO)
		return had;
	if (had == 0 && before.tunnel_n == r->tunnel_n && strcmp(before.comment, r->comment) == 0)
		return 0;
	q = store_stmt(st, ST_ROUTE_SET);
	sqlite3_bind_int64(q, 1, r->vnet_n);
	sqlite3_bind_blob(q, 2, blob, (int)n, SQLITE_STATIC);
	sqlite3_bind_int64(q, 3, r->tunnel_n);
	sqlite3_bind_blob(q, 4, r->id, 16, SQLITE_STATIC);
	sqlite3_bind_int64(q, 5, r->created);
	sqlite3_bind_text(q, 6, r->comment, -1, SQLITE_STATIC);
	if (store_run(st, q) < 0)
		return -EIO;
	st->routes += had == 0 ? 0 : 1;
	return log_route(st, r, had == 0 ? &before : NULL, r);
}

int route_del(struct store *st, const struct route *r)
{
	sqlite3_stmt *q;
	struct route before;
	uint8_t blob[18];
	size_t n = route_blob(&r->network, blob);
	int ret = route_get(st, r->vnet_n, &r->network, &before);

	if (ret < 0)
		return ret;
	q = store_stmt(st, ST_ROUTE_DEL);
	sqlite3_bind_int64(q, 1, r->vnet_n);
	sqlite3_bind_blob(q, 2, blob, (int)n, SQLITE_STATIC);
	if (store_run(st, q) < 0)
		return -EIO;
	st->routes--;
	return log_route(st, r, &before, NULL);
}

int route_each(struct store *st, int64_t vnet_n, int64_t tunnel_n, route_fn *fn, void *arg)
{
	sqlite3_stmt *q = store_stmt(st, vnet_n ? ST_ROUTE_EACH_VNET : ST_ROUTE_EACH_TUNNEL);
	int ret = 0, rc = SQLITE_DONE;

	sqlite3_bind_int64(q, 1, vnet_n ? vnet_n : tunnel_n);
	while (ret == 0 && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		struct route r;

		if (vnet_n && tunnel_n && sqlite3_column_int64(q, 2) != tunnel_n)
			continue;
		read_row(q, &r);
		ret = fn(&r, arg);
	}
	if (ret == 0 && rc != SQLITE_DONE)
		ret = store_io_error(st);
	sqlite3_reset(q);
	return ret;
}

bool route_any(struct store *st, int64_t vnet_n, int64_t tunnel_n)
{
	sqlite3_stmt *q = store_stmt(st, vnet_n ? ST_ROUTE_IN_VNET : ST_ROUTE_OF_TUNNEL);
	bool any;

	sqlite3_bind_int64(q, 1, vnet_n ? vnet_n : tunnel_n);
	any = q && sqlite3_step(q) == SQLITE_ROW;
	sqlite3_reset(q);
	return any;
}

static void format_id(const uint8_t b[16], char out[37])
{
	char hex[33];

	sodium_bin2hex(hex, sizeof(hex), b, 16);
	uuid_canonical(hex, out);
}

json_t *route_json(const struct route *r)
{
	char cidr[IP_PREFIX_TEXT], id[37], when[32];

	format_id(r->id, id);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "network", ip_prefix_format(&r->network, cidr), "tunnel_id", r->tunnel_id,
			 "vnet_id", r->vnet_id, "account_id", r->account_id, "comment", r->comment, "created_at",
			 time_format(r->created, when));
}

int route_from_json(struct store *st, const json_t *j, struct route *out)
{
	char err[128], id[37], hex[33];
	size_t w = 0;

	*out = (struct route){0};
	snprintf(out->vnet_id, sizeof(out->vnet_id), "%s", doc_str(j, "vnet_id"));
	snprintf(out->tunnel_id, sizeof(out->tunnel_id), "%s", doc_str(j, "tunnel_id"));
	snprintf(out->account_id, sizeof(out->account_id), "%s", doc_str(j, "account_id"));
	snprintf(out->comment, sizeof(out->comment), "%s", doc_str(j, "comment"));
	out->vnet_n = store_num(st, T_VNETS, out->vnet_id);
	out->tunnel_n = store_num(st, T_TUNNELS, out->tunnel_id);
	if (!out->vnet_n || !out->tunnel_n || !uuid_canonical(doc_str(j, "id"), id) ||
	    !time_parse(doc_str(j, "created_at"), &out->created) ||
	    ip_prefix_parse(doc_str(j, "network"), false, &out->network, err, sizeof(err)) < 0)
		return -EINVAL;
	for (const char *s = id; *s; s++) {
		if (*s != '-')
			hex[w++] = *s;
	}
	return sodium_hex2bin(out->id, 16, hex, w, NULL, NULL, NULL) == 0 ? 0 : -EINVAL;
}
