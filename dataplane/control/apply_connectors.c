// SPDX-License-Identifier: BSD-3-Clause
// Rows of table connectors: a record, one peer a session, a place in the tunnel's list.
#include "dataplane/control/apply_internal.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/handshake.h"

static int read_connector(struct apply *a, const json_t *json, struct connector_record *c, struct row_error *e)
{
	const struct tunnel_record *tunnel;
	int64_t weight, mtu;

	if (row_text(json, "id", c->id, sizeof(c->id), e) ||
	    apply_reference(a, TABLE_accounts, json, "account_id", &c->account, e) ||
	    apply_reference(a, TABLE_tunnels, json, "tunnel_id", &c->tunnel, e) ||
	    row_number(json, "weight", 0, 256, 100, &weight, e) || row_number(json, "mtu", 576, 65535, 1280, &mtu, e) ||
	    row_bool(json, "draining", false, &c->draining, e) ||
	    row_bool(json, "preserve_source", false, &c->preserve_source, e))
		return -1;
	tunnel = tunnel_get(a->records, c->tunnel);
	if (!tunnel || tunnel->account != c->account)
		return row_fail(e, "invalid", "tunnel_id: belongs to another account");
	row_display(json, "hostname", c->hostname, sizeof(c->hostname));
	c->weight = (uint32_t)weight;
	c->mtu = (uint16_t)mtu;
	return 0;
}

/* Adds the connector to its tunnel's list, or takes it out. */
static int tunnel_list(struct apply *a, uint32_t tunnel, uint32_t connector, bool member, struct row_error *e)
{
	const struct tunnel_record **slot = &a->records->tunnels[tunnel];
	struct tunnel_record *t;
	unsigned at = 0;

	if (!*slot)
		return 0;
	while (at < (*slot)->n_connectors && (*slot)->connectors[at] != connector)
		at++;
	if ((at < (*slot)->n_connectors) == member)
		return 0;
	if (member && at == TUNNEL_MAX_CONNECTORS)
		return row_fail(e, "limit", "tunnel_id: the tunnel has %d connectors already", TUNNEL_MAX_CONNECTORS);
	t = apply_copy(*slot, sizeof(*t));
	if (!t)
		return row_fail(e, "limit", "out of memory");
	if (member)
		t->connectors[t->n_connectors++] = connector;
	else
		t->connectors[at] = t->connectors[--t->n_connectors];
	t->connectors_generation = apply_generation(a);
	APPLY_PUBLISH(a, slot, t, 0);
	return 0;
}

static void drop_peers(struct apply *a, const struct connector_record *old, const struct peer_set *keep)
{
	for (unsigned i = 0; i < old->n_peers; i++) {
		bool kept = false;

		for (unsigned k = 0; keep && k < keep->n; k++)
			kept |= old->peers[i] == keep->index[k];
		if (!kept)
			peer_remove(a, old->peers[i]);
	}
}

static int put_connector(struct apply *a, struct connector_record *c, struct peer_set *set, struct row_error *e)
{
	const struct connector_record **slot = &a->records->connectors[c->index], *old = *slot;
	struct row_error ignored;
	struct peer_record model;

	memset(&model, 0, sizeof(model)); /* padding too: records are compared as bytes */
	model.kind = PEER_CONNECTOR;
	model.client = model.vnet = RECORD_NONE;
	model.connector = c->index;
	model.account = c->account;
	model.tunnel = c->tunnel;
	model.enabled = true;
	model.mtu = c->mtu;
	if (tunnel_list(a, c->tunnel, c->index, true, e))
		return -1;
	if (peers_put(a, set, &model, e)) {
		if (!old || old->tunnel != c->tunnel)
			tunnel_list(a, c->tunnel, c->index, false, &ignored);
		return -1;
	}
	c->n_peers = set->n;
	for (unsigned i = 0; i < CONNECTOR_MAX_SESSIONS; i++)
		c->peers[i] = i < set->n ? set->index[i] : RECORD_NONE;
	if (old && !memcmp(old, c, sizeof(*c))) {
		free(c);
		return 0;
	}
	apply_card(a, CARD_CONNECTOR, c->index, c->id, "", c->hostname, NULL);
	__atomic_store_n(slot, c, __ATOMIC_RELEASE);
	handshake_connector_changed(a->edge->handshake, c->index, c);
	if (old) {
		const void *replaced = old;

		if (old->tunnel != c->tunnel)
			tunnel_list(a, old->tunnel, c->index, false, &ignored);
		drop_peers(a, old, set);
		apply_publish(a, &replaced, NULL, 0);
	}
	return 0;
}

int connector_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e)
{
	struct connector_record *c = calloc(1, sizeof(*c));
	struct peer_set set = {.kind = PEER_CONNECTOR};
	bool fresh = false;
	int rc = -1;

	if (!c)
		return row_fail(e, "limit", "out of memory");
	if (!read_connector(a, json, c, e) && !peer_keys_read(json, CONNECTOR_MAX_SESSIONS, &set, e) &&
	    !apply_index(a, TABLE_connectors, row->key, &c->index, &fresh, e)) {
		uint32_t index = c->index, account = c->account;

		set.owner = index;
		rc = put_connector(a, c, &set, e);
		if (!rc) {
			row->index = index;
			row->account = account;
		} else if (fresh) {
			apply_release(a, a->ids[TABLE_connectors], row->key);
		}
	}
	if (rc)
		free(c);
	return rc;
}

/* Out of the tunnel's list first, so that no new flow finds it; then its sessions; then the record. */
void connector_remove(struct apply *a, struct row *row)
{
	const struct connector_record **slot, *old;
	struct row_error ignored;

	if (row->index == RECORD_NONE)
		return;
	slot = &a->records->connectors[row->index];
	old = *slot;
	tunnel_list(a, old->tunnel, row->index, false, &ignored);
	drop_peers(a, old, NULL);
	handshake_connector_changed(a->edge->handshake, row->index, NULL);
	apply_card_drop(a, CARD_CONNECTOR, row->index);
	APPLY_PUBLISH(a, slot, NULL, 0);
	apply_release(a, a->ids[TABLE_connectors], row->key);
}
