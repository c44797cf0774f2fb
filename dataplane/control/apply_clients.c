// SPDX-License-Identifier: BSD-3-Clause
// Rows of table clients: a record, one or two peers, up to two device addresses.
#include "dataplane/control/apply_internal.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "dataplane/tables/device_table.h"
#include "dataplane/tables/reclaim.h"

static int read_addresses(const json_t *json, struct client_record *c, struct row_error *e)
{
	const json_t *list = json_object_get(json, "addresses"), *v;
	size_t i;

	if (!json_is_array(list))
		return row_fail(e, "invalid", "addresses: a list is needed");
	json_array_foreach (list, i, v) {
		const char *text = json_string_value(v);
		struct ip_prefix p;
		char err[128];

		if (json_is_null(v))
			continue;
		if (!text || ip_prefix_parse(text, true, &p, err, sizeof(err)) || p.len != ip_addr_bits(&p.addr))
			return row_fail(e, "invalid", "addresses: '%s' is no address", text ? text : "");
		if (p.addr.family == 4 ? c->has_v4 : c->has_v6)
			return row_fail(e, "invalid", "addresses: two of one family");
		if (p.addr.family == 4) {
			c->has_v4 = true;
			memcpy(c->v4, p.addr.bytes, 4);
		} else {
			c->has_v6 = true;
			memcpy(c->v6, p.addr.bytes, 16);
		}
	}
	return 0;
}

static int read_rates(const json_t *json, struct client_record *c, struct row_error *e)
{
	int64_t pps, bps;

	if (row_number(json, "rate_pps", 1, INT64_MAX, 0, &pps, e) ||
	    row_number(json, "rate_bps", 1, INT64_MAX, 0, &bps, e))
		return -1;
	c->rate_pps = (uint64_t)pps;
	c->rate_bps = (uint64_t)bps;
	return 0;
}

/* *due: when the row means something else, unix s; 0: never. */
static int read_client(struct apply *a, const json_t *json, struct client_record *c, struct peer_record *model,
		       int64_t *due, struct row_error *e)
{
	const json_t *psk = json_object_get(json, "preshared_key");
	const struct vnet_record *vnet;
	int64_t expires_at;
	bool enabled;

	if (row_text(json, "id", c->id, sizeof(c->id), e) ||
	    apply_reference(a, TABLE_accounts, json, "account_id", &c->account, e) ||
	    apply_reference(a, TABLE_vnets, json, "vnet_id", &c->vnet, e) || read_addresses(json, c, e) ||
	    row_bool(json, "enabled", true, &enabled, e) ||
	    row_number(json, "expires_at", 0, INT64_MAX, 0, &expires_at, e) || read_rates(json, c, e))
		return -1;
	vnet = vnet_get(a->records, c->vnet);
	if (!vnet || vnet->account != c->account)
		return row_fail(e, "invalid", "vnet_id: belongs to another account");
	row_display(json, "name", c->name, sizeof(c->name));
	row_display(json, "email", c->email, sizeof(c->email));
	c->enabled = enabled && (!expires_at || expires_at > a->now_s);
	*due = expires_at > a->now_s ? expires_at : 0;
	if (psk && !json_is_null(psk)) {
		if (row_key32("preshared_key", psk, model->preshared_key, e))
			return -1;
		model->has_psk = true;
	}
	c->identity = identity_of(a, c->account, json, due, e);
	return c->identity == POLICY_IDENTITY_NONE ? -1 : 0;
}

static void address_keys(const struct client_record *c, struct device_key keys[2])
{
	uint32_t be;

	memcpy(&be, c->v4, 4);
	memset(keys, 0, 2 * sizeof(keys[0]));
	if (c->has_v4)
		device_key_v4(&keys[0], c->account, be);
	if (c->has_v6)
		device_key_v6(&keys[1], c->account, c->v6);
}

static int check_addresses(struct apply *a, const struct client_record *c, struct row_error *e)
{
	struct device_key keys[2];

	address_keys(c, keys);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t owner = keys[i].family ? device_lookup(a->edge->devices, &keys[i]) : DEVICE_NONE;

		if (owner != DEVICE_NONE && owner != c->index)
			return row_fail(e, "exists", "addresses: another client of the account has one of them");
	}
	return 0;
}

/* Memory that the table has retired may be all that it lacks. */
static bool set_address(struct apply *a, const struct device_key *key, uint32_t client)
{
	if (device_set(a->edge->devices, key, client) >= 0)
		return true;
	reclaim_drain(a->config.reclaim);
	return device_set(a->edge->devices, key, client) >= 0;
}

/* Sets the new addresses; on failure none of them is set that was not before. */
static int set_addresses(struct apply *a, const struct client_record *c, const struct client_record *old,
			 struct row_error *e)
{
	struct device_key keys[2], old_keys[2] = {0};

	address_keys(c, keys);
	if (old)
		address_keys(old, old_keys);
	for (unsigned i = 0; i < 2; i++) {
		if (!keys[i].family || !memcmp(&keys[i], &old_keys[i], sizeof(keys[i])) ||
		    set_address(a, &keys[i], c->index))
			continue;
		if (i == 1 && keys[0].family && memcmp(&keys[0], &old_keys[0], sizeof(keys[0])) != 0)
			device_remove(a->edge->devices, &keys[0]);
		return row_fail(e, "limit", "addresses: the table of device addresses is full");
	}
	return 0;
}

/* Takes addresses of `old` away that `c` (NULL: none) does not have. */
static void drop_addresses(struct apply *a, const struct client_record *old, const struct client_record *c)
{
	struct device_key keys[2] = {0}, old_keys[2];

	address_keys(old, old_keys);
	if (c)
		address_keys(c, keys);
	for (unsigned i = 0; i < 2; i++)
		if (old_keys[i].family && memcmp(&keys[i], &old_keys[i], sizeof(keys[i])) != 0)
			device_remove(a->edge->devices, &old_keys[i]);
}

static void fill_model(struct apply *a, const struct client_record *c, struct peer_record *m)
{
	m->kind = PEER_CLIENT;
	m->client = c->index;
	m->connector = m->tunnel = RECORD_NONE;
	m->account = c->account;
	m->vnet = c->vnet;
	m->enabled = c->enabled;
	m->has_v4 = c->has_v4;
	m->has_v6 = c->has_v6;
	memcpy(m->v4, c->v4, 4);
	memcpy(m->v6, c->v6, 16);
	m->mtu = settings_get(a->records)->mtu;
}

/* Peers first (they may be refused), then addresses, then the record that leads to both. */
static int put_client(struct apply *a, struct client_record *c, struct peer_set *set, const struct peer_record *model,
		      struct row_error *e)
{
	const struct client_record **slot = &a->records->clients[c->index], *old = *slot;

	if (check_addresses(a, c, e) || peers_put(a, set, model, e))
		return -1;
	if (set_addresses(a, c, old, e)) {
		for (unsigned i = 0; i < set->n; i++)
			if (set->fresh[i])
				peer_remove(a, set->index[i]);
		return -1;
	}
	for (unsigned i = 0; i < CLIENT_MAX_KEYS; i++)
		c->peers[i] = i < set->n ? set->index[i] : RECORD_NONE;
	if (old) {
		c->generation = old->generation;
		if (!memcmp(old, c, sizeof(*c))) {
			identity_release(a, c->account, c->identity); /* the record that stays has its own */
			free(c);
			return 0;
		}
		drop_addresses(a, old, c);
	}
	c->generation = apply_generation(a);
	apply_card(a, CARD_CLIENT, c->index, c->id, c->name, c->email, c);
	__atomic_store_n(slot, c, __ATOMIC_RELEASE);
	if (old) {
		const void *replaced = old;

		for (unsigned i = 0; i < CLIENT_MAX_KEYS; i++) {
			bool kept = false;

			for (unsigned k = 0; k < set->n; k++)
				kept |= old->peers[i] == set->index[k];
			if (old->peers[i] != RECORD_NONE && !kept)
				peer_remove(a, old->peers[i]);
		}
		identity_release(a, old->account, old->identity);
		apply_publish(a, &replaced, NULL, 0);
	}
	return 0;
}

int client_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e)
{
	struct client_record *c = record_alloc(sizeof(*c));
	struct peer_record model = {0};
	struct peer_set set = {.kind = PEER_CLIENT};
	bool fresh = false;
	int64_t due = 0;
	int rc = -1;

	if (!c)
		return row_fail(e, "limit", "out of memory");
	c->identity = POLICY_IDENTITY_NONE;
	if (!read_client(a, json, c, &model, &due, e) && !peer_keys_read(json, CLIENT_MAX_KEYS, &set, e) &&
	    !apply_index(a, TABLE_clients, row->key, &c->index, &fresh, e)) {
		uint32_t index = c->index, account = c->account;

		set.owner = index;
		fill_model(a, c, &model);
		rc = put_client(a, c, &set, &model, e);
		if (!rc) {
			row->index = index;
			row->account = account;
			row->expires_at = due;
			if (due && (!a->due || due < a->due))
				a->due = due;
		} else if (fresh) {
			apply_release(a, a->ids[TABLE_clients], row->key);
		}
	}
	if (rc) {
		identity_release(a, c->account, c->identity);
		free(c);
	}
	sodium_memzero(&model, sizeof(model));
	return rc;
}

void client_remove(struct apply *a, struct row *row)
{
	const struct client_record **slot, *old;

	if (row->index == RECORD_NONE)
		return;
	slot = &a->records->clients[row->index];
	old = *slot;
	drop_addresses(a, old, NULL);
	for (unsigned i = 0; i < CLIENT_MAX_KEYS; i++)
		if (old->peers[i] != RECORD_NONE)
			peer_remove(a, old->peers[i]);
	apply_card_drop(a, CARD_CLIENT, row->index);
	identity_release(a, old->account, old->identity);
	APPLY_PUBLISH(a, slot, NULL, 0);
	apply_release(a, a->ids[TABLE_clients], row->key);
}
