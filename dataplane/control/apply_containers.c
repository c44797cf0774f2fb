// SPDX-License-Identifier: BSD-3-Clause
// Rows of tables accounts, vnets, tunnels: what other rows refer to.
#include "dataplane/control/apply_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/ip.h"

static int read_edge_address(const json_t *json, const char *field, uint8_t family, uint8_t *out, bool *has,
			     struct row_error *e)
{
	const json_t *v = json_object_get(json, field);
	struct ip_addr addr;

	*has = false;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v) || !ip_addr_parse(json_string_value(v), &addr) || addr.family != family)
		return row_fail(e, "invalid", "%s: not an IPv%u address", field, family);
	memcpy(out, addr.bytes, family == 4 ? 4 : 16);
	*has = true;
	return 0;
}

static int read_account(const json_t *json, struct account_record *r, struct row_error *e)
{
	char action[16];

	if (row_text(json, "id", r->id, sizeof(r->id), e) || row_text(json, "default_action", action, sizeof(action), e) ||
	    read_edge_address(json, "edge_v4", 4, r->edge_v4, &r->has_edge_v4, e) ||
	    read_edge_address(json, "edge_v6", 6, r->edge_v6, &r->has_edge_v6, e))
		return -1;
	if (strcmp(action, "allow") != 0 && strcmp(action, "block") != 0)
		return row_fail(e, "invalid", "default_action: '%s' is neither allow nor block", action);
	r->default_allow = !strcmp(action, "allow");
	row_display(json, "name", r->name, sizeof(r->name));
	return 0;
}

int account_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e)
{
	struct account_record *r = calloc(1, sizeof(*r));
	const struct account_record **slot, *old;
	bool fresh;

	if (!r || read_account(json, r, e) || apply_index(a, TABLE_accounts, row->key, &r->index, &fresh, e)) {
		free(r);
		return r ? -1 : row_fail(e, "limit", "out of memory");
	}
	slot = &a->records->accounts[r->index];
	old = *slot;
	r->policy_generation = old ? old->policy_generation : apply_generation(a);
	r->policy_revision = old ? old->policy_revision : a->revision;
	r->policy_ready = old && old->policy_ready;
	if (!old || old->default_allow != r->default_allow)
		policy_account_changed(a, r->index);
	row->index = row->account = r->index;
	apply_card(a, CARD_ACCOUNT, r->index, r->id, r->name, "", NULL);
	APPLY_PUBLISH(a, slot, r, 0);
	return 0;
}

void account_policy_changed(struct apply *a, uint32_t account, bool compiled)
{
	const struct account_record **slot;
	struct account_record *r;

	if (account >= a->records->max_accounts || !a->records->accounts[account])
		return;
	slot = &a->records->accounts[account];
	r = apply_copy(*slot, sizeof(*r));
	if (!r)
		return;
	r->policy_generation = apply_generation(a);
	r->policy_revision = a->revision;
	r->policy_ready |= compiled;
	APPLY_PUBLISH(a, slot, r, 0);
}

int vnet_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e)
{
	struct vnet_record *r = calloc(1, sizeof(*r));
	const struct vnet_record **slot, *old;
	bool fresh;

	if (!r || row_text(json, "id", r->id, sizeof(r->id), e) ||
	    apply_reference(a, TABLE_accounts, json, "account_id", &r->account, e) ||
	    apply_index(a, TABLE_vnets, row->key, &r->index, &fresh, e)) {
		free(r);
		return r ? -1 : row_fail(e, "limit", "out of memory");
	}
	row_display(json, "name", r->name, sizeof(r->name));
	slot = &a->records->vnets[r->index];
	old = *slot;
	if (old && old->account != r->account) {
		free(r);
		return row_fail(e, "invalid", "account_id: a vnet cannot move to another account");
	}
	if (policy_vnet_put(a->edge->policy, r->index, r->id) != 0) {
		if (fresh)
			apply_release(a, a->ids[TABLE_vnets], row->key);
		free(r);
		return row_fail(e, "limit", "out of memory");
	}
	r->routes_generation = old ? old->routes_generation : apply_generation(a);
	row->index = r->index;
	row->account = r->account;
	apply_card(a, CARD_VNET, r->index, r->id, r->name, "", NULL);
	APPLY_PUBLISH(a, slot, r, 0);
	return 0;
}

static int read_tunnel(struct apply *a, const json_t *json, struct tunnel_record *r, struct row_error *e)
{
	char affinity[16] = "none";

	if (row_text(json, "id", r->id, sizeof(r->id), e) ||
	    apply_reference(a, TABLE_accounts, json, "account_id", &r->account, e))
		return -1;
	if (json_is_string(json_object_get(json, "affinity")))
		row_display(json, "affinity", affinity, sizeof(affinity));
	if (strcmp(affinity, "none") != 0 && strcmp(affinity, "client") != 0)
		return row_fail(e, "invalid", "affinity: '%s' is neither none nor client", affinity);
	r->affinity_client = !strcmp(affinity, "client");
	row_display(json, "name", r->name, sizeof(r->name));
	return 0;
}

int tunnel_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e)
{
	struct tunnel_record *r = calloc(1, sizeof(*r));
	const struct tunnel_record **slot, *old;
	bool fresh;

	if (!r || read_tunnel(a, json, r, e) || apply_index(a, TABLE_tunnels, row->key, &r->index, &fresh, e)) {
		free(r);
		return r ? -1 : row_fail(e, "limit", "out of memory");
	}
	slot = &a->records->tunnels[r->index];
	old = *slot;
	if (old && old->account != r->account) {
		free(r);
		return row_fail(e, "invalid", "account_id: a tunnel cannot move to another account");
	}
	if (old) {
		r->n_connectors = old->n_connectors;
		memcpy(r->connectors, old->connectors, sizeof(r->connectors));
	}
	r->connectors_generation =
		old && old->affinity_client == r->affinity_client ? old->connectors_generation : apply_generation(a);
	row->index = r->index;
	row->account = r->account;
	apply_card(a, CARD_TUNNEL, r->index, r->id, r->name, "", NULL);
	APPLY_PUBLISH(a, slot, r, 0);
	return 0;
}

void container_remove(struct apply *a, enum apply_table table, struct row *row)
{
	struct records *r = a->records;

	if (row->index == RECORD_NONE)
		return;
	switch (table) {
	case TABLE_accounts:
		apply_card_drop(a, CARD_ACCOUNT, row->index);
		APPLY_PUBLISH(a, &r->accounts[row->index], NULL, 0);
		policy_account_removed(a, row->index);
		a->account_doomed[row->index] = false;
		break;
	case TABLE_vnets:
		apply_card_drop(a, CARD_VNET, row->index);
		APPLY_PUBLISH(a, &r->vnets[row->index], NULL, 0);
		policy_vnet_put(a->edge->policy, row->index, NULL);
		a->vnet_doomed[row->index] = a->vnet_dirty[row->index] = false;
		break;
	default:
		apply_card_drop(a, CARD_TUNNEL, row->index);
		APPLY_PUBLISH(a, &r->tunnels[row->index], NULL, 0);
		a->tunnel_doomed[row->index] = false;
		break;
	}
	apply_release(a, a->ids[table], row->key);
}

bool container_doomed(struct apply *a, enum apply_table table, const struct row *row)
{
	const struct records *r = a->records;

	if (row->index == RECORD_NONE)
		return false;
	if (table == TABLE_clients)
		return a->account_doomed[r->clients[row->index]->account] || a->vnet_doomed[r->clients[row->index]->vnet];
	if (table == TABLE_connectors)
		return a->account_doomed[r->connectors[row->index]->account] ||
		       a->tunnel_doomed[r->connectors[row->index]->tunnel];
	return row->account != RECORD_NONE && a->account_doomed[row->account];
}
