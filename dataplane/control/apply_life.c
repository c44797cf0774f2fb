// SPDX-License-Identifier: BSD-3-Clause
// Making and freeing an apply, what it tells about itself, and its rows as lines of the state file.
#include "dataplane/control/apply_internal.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "dataplane/tables/device_table.h"
#include "dataplane/tables/route_table.h"

#define ROUTES_A_LINE 500

static bool create_parts(struct apply *a)
{
	const struct records *r = a->records;
	uint32_t capacity[TABLE_COUNT] = {[TABLE_accounts] = r->max_accounts,
					  [TABLE_vnets] = r->max_vnets,
					  [TABLE_tunnels] = r->max_tunnels,
					  [TABLE_rules] = r->max_rules,
					  [TABLE_clients] = r->max_clients,
					  [TABLE_connectors] = r->max_connectors};
	uint64_t seed;
	bool ok = true;

	randombytes_buf(&seed, sizeof(seed));
	for (unsigned t = 0; t < TABLE_COUNT; t++) {
		ok &= row_store_init(&a->stores[t]);
		if (capacity[t])
			ok &= (a->ids[t] = id_map_create(capacity[t])) != NULL;
	}
	a->peer_ids = id_map_create(r->max_peers);
	a->peer_owners = calloc(r->max_peers, sizeof(*a->peer_owners));
	a->tunnel_routes = calloc(r->max_tunnels, sizeof(*a->tunnel_routes));
	a->vnet_routes = calloc(r->max_vnets, sizeof(*a->vnet_routes));
	a->tunnel_doomed = calloc(r->max_tunnels, 1);
	a->vnet_doomed = calloc(r->max_vnets, 1);
	a->vnet_dirty = calloc(r->max_vnets, 1);
	a->account_doomed = calloc(r->max_accounts, 1);
	ok &= apply_policy_create(a);
	a->free_routes = calloc(r->max_routes + 1ull, sizeof(*a->free_routes));
	return a->free_routes && route_rows_init(&a->routes, a->edge->config.cap_routes, seed) && ok && a->peer_ids && a->peer_owners &&
	       a->tunnel_routes && a->vnet_routes && a->tunnel_doomed && a->vnet_doomed && a->vnet_dirty &&
	       a->account_doomed;
}

struct apply *apply_create(const struct apply_config *config)
{
	struct apply *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->config = *config;
	a->edge = config->edge;
	a->records = config->edge->records;
	if (create_parts(a))
		return a;
	apply_destroy(a);
	return NULL;
}

void apply_destroy(struct apply *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->n_refused; i++) {
		free(a->refused[i].key);
		json_decref(a->refused[i].row);
	}
	for (unsigned t = 0; t < TABLE_COUNT; t++) {
		row_store_free(&a->stores[t]);
		id_map_destroy(a->ids[t]);
	}
	apply_policy_destroy(a);
	id_map_destroy(a->peer_ids);
	route_rows_free(&a->routes);
	free(a->peer_owners);
	free(a->free_routes);
	free(a->tunnel_routes);
	free(a->vnet_routes);
	free(a->tunnel_doomed);
	free(a->vnet_doomed);
	free(a->vnet_dirty);
	free(a->account_doomed);
	free(a);
}

static json_t *errors_since(const struct apply *a, uint64_t change)
{
	json_t *list = json_array();

	for (unsigned i = 0; list && i < a->n_refused; i++) {
		const struct refused *r = &a->refused[i];

		if (r->change >= change)
			json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s}", "table", apply_table_name(r->table),
							      "key", r->key, "code", r->error.code, "message",
							      r->error.message));
	}
	return list;
}

json_t *apply_errors(const struct apply *a)
{
	return errors_since(a, a->change);
}

json_t *apply_warnings(const struct apply *a)
{
	return a->policy.warnings;
}

json_t *apply_refused(const struct apply *a)
{
	return errors_since(a, 0);
}

uint32_t apply_refused_count(const struct apply *a)
{
	return a->n_refused + a->refused_untold;
}

uint64_t apply_version(const struct apply *a)
{
	return a->version;
}

size_t apply_tables(const struct apply *a, struct apply_table_info *out, size_t max)
{
	const struct records *r = a->records;
	struct route_stats stats;
	size_t n = 0;

	for (unsigned t = 0; t < TABLE_COUNT && n < max; t++) {
		struct apply_table_info info = {.table = apply_table_name(t),
						.used = a->stores[t].count,
						.bytes = a->stores[t].bytes,
						.refused = a->refused_of[t]};

		switch ((enum apply_table)t) {
		case TABLE_accounts:
			info.capacity = r->max_accounts;
			break;
		case TABLE_vnets:
			info.capacity = r->max_vnets;
			break;
		case TABLE_tunnels:
			info.capacity = r->max_tunnels;
			break;
		case TABLE_clients:
			info.capacity = r->max_clients;
			break;
		case TABLE_connectors:
			info.capacity = r->max_connectors;
			break;
		case TABLE_routes:
			route_table_stats(a->edge->routes, &stats);
			info.used = a->routes.count;
			info.capacity = a->routes.capacity;
			info.bytes = stats.bytes_used + (size_t)a->routes.count * sizeof(struct route_row);
			break;
		default:
			break;
		}
		out[n++] = info;
	}
	if (n < max)
		out[n++] = (struct apply_table_info){.table = "peers",
						     .used = id_map_count(a->peer_ids),
						     .capacity = r->max_peers,
						     .bytes = (size_t)id_map_count(a->peer_ids) *
							      sizeof(struct peer_record)};
	if (n < max)
		out[n++] = (struct apply_table_info){.table = "device_addresses",
						     .used = device_count(a->edge->devices),
						     .capacity = 2 * r->max_clients,
						     .bytes = device_table_bytes(a->edge->devices)};
	return n;
}

static void write_prefix(const struct route_row *r, FILE *out)
{
	struct ip_prefix p = {.addr.family = r->family, .len = r->len};
	char text[IP_PREFIX_TEXT];

	memcpy(p.addr.bytes, r->addr, 16);
	fprintf(out, "\"%s\"", ip_prefix_format(&p, text));
}

/* "name":"text" with what JSON wants escaped. */
static void write_text(const char *name, const char *text, FILE *out)
{
	json_t *v = json_string(text);

	fprintf(out, "\"%s\":", name);
	if (!v || json_dumpf(v, out, JSON_ENCODE_ANY))
		fputs("\"\"", out); /* out of memory, or no UTF-8: the row is refused when it is read */
	json_decref(v);
}

/* A line of routes that share vnet and tunnel. */
static void write_routes(const struct apply *a, struct apply_cursor *c, FILE *out)
{
	const struct route_row *first = NULL;
	uint32_t tunnel, first_tunnel = RECORD_NONE;
	unsigned n = 0;

	for (; c->slot < a->routes.n_slots && n < ROUTES_A_LINE; c->slot++) {
		const struct route_row *r = route_rows_at(&a->routes, c->slot);

		if (!r)
			continue;
		tunnel = route_record_get(a->records, r->index).tunnel;
		if (first && (r->vnet != first->vnet || tunnel != first_tunnel))
			break;
		if (!first) {
			fputs("{\"table\":\"routes\",", out);
			write_text("vnet_id", a->records->vnets[r->vnet]->id, out);
			fputc(',', out);
			write_text("tunnel_id", a->records->tunnels[tunnel]->id, out);
			fputs(",\"networks\":[", out);
		} else {
			fputc(',', out);
		}
		first = r;
		first_tunnel = tunnel;
		write_prefix(r, out);
		n++;
	}
	if (first) {
		fputs("]}\n", out);
		c->lines++;
	}
	if (c->slot == a->routes.n_slots)
		c->table++;
}

bool apply_write(const struct apply *a, struct apply_cursor *c, FILE *out)
{
	const struct row *row;

	if (c->table == TABLE_COUNT)
		return false;
	if (c->table == TABLE_routes) {
		write_routes(a, c, out);
		return true;
	}
	row = row_next(&a->stores[c->table], c->row);
	c->lines += row != NULL;
	if (row)
		fprintf(out, "{\"table\":\"%s\",\"put\":[%s]}\n", apply_table_name(c->table), row->json);
	c->row = row;
	if (!row)
		c->table++;
	return true;
}
