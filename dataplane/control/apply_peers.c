// SPDX-License-Identifier: BSD-3-Clause
// Public keys of clients and connectors as peers: one index a key, told to the handshake thread.
#include "dataplane/control/apply_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "dataplane/handshake.h"

int peer_keys_read(const json_t *row, unsigned max, struct peer_set *set, struct row_error *e)
{
	const json_t *keys = json_object_get(row, "public_keys");

	if (!json_is_array(keys) || json_array_size(keys) == 0 || json_array_size(keys) > max)
		return row_fail(e, "invalid", "public_keys: 1 to %u keys are needed", max);
	set->n = (unsigned)json_array_size(keys);
	for (unsigned i = 0; i < set->n; i++) {
		const json_t *v = json_array_get(keys, i);

		if (row_key32("public_keys", v, set->keys[i], e))
			return -1;
		set->texts[i] = json_string_value(v);
		for (unsigned k = 0; k < i; k++)
			if (!memcmp(set->keys[k], set->keys[i], 32))
				return row_fail(e, "invalid", "public_keys: the same key twice");
	}
	return 0;
}

/* The key's index; a new one gets no record yet. */
static int claim(struct apply *a, const struct peer_set *set, unsigned i, uint32_t *index, bool *fresh,
		 struct row_error *e)
{
	int rc = id_map_add(a->peer_ids, set->texts[i], index);
	struct peer_owner *o;

	if (rc < 0)
		return row_fail(e, "limit", "public_keys: no room for another key (capacities.peers is %u)",
				a->records->max_peers);
	o = &a->peer_owners[*index];
	if (rc == 1 && (o->kind != set->kind || o->owner != set->owner))
		return row_fail(e, "exists", "public_keys: a key is in use already");
	*fresh = rc == 0;
	*o = (struct peer_owner){set->kind, set->owner};
	return 0;
}

static void unclaim(struct apply *a, const char *text, uint32_t index)
{
	a->peer_owners[index] = (struct peer_owner){0};
	apply_release(a, a->peer_ids, text);
}

static int tell(struct apply *a, uint32_t index, const struct peer_record *record, struct row_error *e)
{
	switch (handshake_peer_changed(a->edge->handshake, index, record)) {
	case 0:
		return 0;
	case -EEXIST:
		return row_fail(e, "exists", "public_keys: a key is in use already");
	case -EINVAL:
		return row_fail(e, "invalid", "public_keys: a key is a point of low order");
	default:
		return row_fail(e, "limit", "public_keys: the handshake thread has no room for another key");
	}
}

/* Publishes the record of key i if it is new or differs. */
static int publish(struct apply *a, const struct peer_set *set, unsigned i, const struct peer_record *model,
		   struct row_error *e)
{
	uint32_t index = set->index[i];
	const struct peer_record **slot = &a->records->peers[index], *old = *slot;
	struct peer_record *record = apply_copy(model, sizeof(*model));

	if (!record)
		return row_fail(e, "limit", "out of memory");
	record->index = index;
	record->session_index = i;
	memcpy(record->public_key, set->keys[i], 32);
	if (old && !memcmp(old, record, sizeof(*record))) {
		sodium_memzero(record, sizeof(*record));
		free(record);
		return 0;
	}
	__atomic_store_n(slot, record, __ATOMIC_RELEASE);
	if (tell(a, index, record, e)) {
		__atomic_store_n(slot, old, __ATOMIC_RELEASE);
		if (old)
			handshake_peer_changed(a->edge->handshake, index, old);
		/* Workers may have seen it for a moment. */
		const void *given_up = record;
		apply_publish(a, &given_up, NULL, sizeof(*record));
		return -1;
	}
	if (old) {
		const void *replaced = old;
		apply_publish(a, &replaced, NULL, sizeof(*old));
	}
	return 0;
}

int peers_put(struct apply *a, struct peer_set *set, const struct peer_record *model, struct row_error *e)
{
	unsigned n = 0, done = 0;

	for (; n < set->n; n++)
		if (claim(a, set, n, &set->index[n], &set->fresh[n], e))
			break;
	if (n == set->n)
		for (; done < set->n; done++)
			if (publish(a, set, done, model, e))
				break;
	if (n == set->n && done == set->n)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		if (!set->fresh[i])
			continue;
		if (i < done)
			peer_remove(a, set->index[i]);
		else
			unclaim(a, set->texts[i], set->index[i]);
	}
	return -1;
}

void peer_remove(struct apply *a, uint32_t index)
{
	const char *text = id_map_id(a->peer_ids, index);
	char copy[64] = "";

	if (text)
		strncpy(copy, text, sizeof(copy) - 1);
	if (a->records->peers[index]) {
		const struct peer_record **slot = &a->records->peers[index];

		APPLY_PUBLISH(a, slot, NULL, sizeof(**slot));
		handshake_peer_changed(a->edge->handshake, index, NULL);
	}
	unclaim(a, copy, index);
}
