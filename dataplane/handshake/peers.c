// SPDX-License-Identifier: BSD-3-Clause
// The handshake side's table of peers: by index, by public key, by receiver index.
#include "dataplane/handshake/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "lib/log.h"

/* A peer may use up one slot per two seconds for ever, and this many at once (a connector's port tries). */
#define SLOT_PERIOD_NS (2 * WG_NS_PER_S)
#define SLOT_BURST     96

static uint32_t key_hash(const uint8_t key[WG_KEY_BYTES])
{
	uint64_t h;

	/* public keys of configured peers: nobody can choose many of them to collide */
	memcpy(&h, key, sizeof(h));
	h *= 0x9e3779b97f4a7c15ull;
	return (uint32_t)(h >> 32);
}

static uint32_t *key_place(struct handshake *hs, const uint8_t key[WG_KEY_BYTES])
{
	uint32_t i = key_hash(key) & hs->by_key_mask;

	while (hs->by_key[i] != 0 && memcmp(hs->peers[hs->by_key[i] - 1].remote.public_key, key, WG_KEY_BYTES) != 0)
		i = (i + 1) & hs->by_key_mask;
	return &hs->by_key[i];
}

/* Removal with backward shift, so that no tombstones gather. */
static void key_remove(struct handshake *hs, const uint8_t key[WG_KEY_BYTES])
{
	uint32_t *place = key_place(hs, key), hole, i;

	if (*place == 0)
		return;
	hole = (uint32_t)(place - hs->by_key);
	hs->by_key[hole] = 0;
	for (i = (hole + 1) & hs->by_key_mask; hs->by_key[i] != 0; i = (i + 1) & hs->by_key_mask) {
		uint32_t moved = hs->by_key[i];

		hs->by_key[i] = 0;
		*key_place(hs, hs->peers[moved - 1].remote.public_key) = moved;
	}
}

struct hs_peer *hs_peer_by_key(struct handshake *hs, const uint8_t key[WG_KEY_BYTES], uint32_t *index)
{
	uint32_t place = *key_place(hs, key);

	if (place == 0)
		return NULL;
	*index = place - 1;
	return &hs->peers[place - 1];
}

struct hs_peer *hs_peer_get(struct handshake *hs, uint32_t index)
{
	return index < hs->edge->config.cap_peers && hs->peers[index].used ? &hs->peers[index] : NULL;
}

static bool slot_number(struct handshake *hs, uint32_t local_index, uint32_t *worker, uint32_t *slot)
{
	return peer_index_decode(hs->edge->index, local_index, worker, slot);
}

bool hs_slot_take(struct handshake *hs, uint32_t peer, uint8_t worker, uint32_t *local_index,
		  enum drop_reason *reason, uint64_t now_ns)
{
	int64_t slot;

	*reason = DROP_handshake_rate;
	if (!hs_allow(&hs->peers[peer].slots_tat_ns, now_ns, SLOT_PERIOD_NS, SLOT_BURST))
		return false;
	*reason = DROP_handshake_no_slot;
	slot = peer_slots_take(hs->slots[worker], now_ns);
	if (slot < 0)
		return false;
	hs->slot_peer[(size_t)worker * hs->edge->config.cap_sessions + (size_t)slot] = peer;
	*local_index = peer_index_encode(hs->edge->index, worker, (uint32_t)slot);
	return true;
}

void hs_slot_give(struct handshake *hs, uint32_t local_index, uint64_t now_ns)
{
	uint32_t worker, slot;

	if (!slot_number(hs, local_index, &worker, &slot))
		return;
	hs->slot_peer[(size_t)worker * hs->edge->config.cap_sessions + slot] = RECORD_NONE;
	peer_slots_give(hs->slots[worker], slot, now_ns);
}

uint32_t hs_peer_by_index(struct handshake *hs, uint32_t local_index)
{
	uint32_t worker, slot;

	if (!slot_number(hs, local_index, &worker, &slot))
		return RECORD_NONE;
	return hs->slot_peer[(size_t)worker * hs->edge->config.cap_sessions + slot];
}

static int compare_runtime(const void *a, const void *b)
{
	return memcmp(((const struct handshake_runtime *)a)->public_key,
		      ((const struct handshake_runtime *)b)->public_key, WG_KEY_BYTES);
}

/* What an earlier run knew of the peer: its endpoint and its last stamp, so that no old initiation passes. */
static void apply_runtime(struct handshake *hs, uint32_t index)
{
	struct hs_peer *p = &hs->peers[index];
	struct handshake_runtime key;
	const struct handshake_runtime *r;

	if (hs->n_runtime == 0)
		return;
	memcpy(key.public_key, p->remote.public_key, WG_KEY_BYTES);
	r = bsearch(&key, hs->runtime, hs->n_runtime, sizeof(key), compare_runtime);
	if (r == NULL)
		return;
	if (r->has_tai64n_rx && tai64n_compare(r->tai64n_rx, p->remote.tai64n_rx) > 0)
		memcpy(p->remote.tai64n_rx, r->tai64n_rx, WG_TAI64N_BYTES);
	/* heard in this run already, or nothing new */
	if (r->endpoint.family == 0 || p->last_handshake_unix_s != 0 ||
	    memcmp(&p->endpoint, &r->endpoint, sizeof(p->endpoint)) == 0)
		return;
	p->endpoint = r->endpoint;
	p->startup_rank = r->active_at_unix_s + 1;
}

void handshake_load_runtime(struct handshake *hs, uint64_t tai64n_high_water_ns, const struct handshake_runtime *peers,
			    size_t n)
{
	struct handshake_runtime *copy;

	pthread_mutex_lock(&hs->lock);
	tai64n_clock_load(&hs->stamps, tai64n_high_water_ns);
	copy = n == 0 ? NULL : calloc(n, sizeof(*peers));
	if (copy != NULL) {
		memcpy(copy, peers, n * sizeof(*peers));
		qsort(copy, n, sizeof(*peers), compare_runtime);
		free(hs->runtime);
		hs->runtime = copy;
		hs->n_runtime = n;
		for (uint32_t i = 0; i < hs->edge->config.cap_peers; i++)
			if (hs->peers[i].used)
				apply_runtime(hs, i);
	}
	pthread_mutex_unlock(&hs->lock);
}

/* Forgets the peer's sessions and pending handshake; the owner worker does its part by message. */
static void drop_sessions(struct handshake *hs, uint32_t index, bool forget)
{
	struct hs_peer *p = &hs->peers[index];

	if (p->pending.state != NOISE_NONE) {
		hs_slot_give(hs, p->pending.local_index, edge_now_ns());
		noise_handshake_wipe(&p->pending);
	}
	if (p->owner != PEER_UNOWNED)
		hs_tell(hs, index, MSG_REMOVE_PEER, forget);
	wg_timers_stop(&p->timers);
	p->timers.session_ns = 0;
	p->settled = false;
}

static void remove_peer(struct handshake *hs, uint32_t index)
{
	struct hs_peer *p = &hs->peers[index];
	uint32_t connector = p->connector;

	drop_sessions(hs, index, true);
	key_remove(hs, p->remote.public_key);
	__atomic_store_n(&hs->edge->peers[index].owner, PEER_UNOWNED, __ATOMIC_RELEASE);
	noise_remote_wipe(&p->remote);
	cookie_jar_wipe(&p->jar);
	memset(p, 0, sizeof(*p));
	hs->n_used--;
	if (connector != RECORD_NONE)
		hs_connector_refresh(hs, connector);
}

static int add_peer(struct handshake *hs, uint32_t index, const struct peer_record *record)
{
	struct hs_peer *p = &hs->peers[index];
	uint32_t *place = key_place(hs, record->public_key);

	if (*place != 0)
		return -EEXIST;
	memset(p, 0, sizeof(*p));
	p->used = true;
	p->owner = PEER_UNOWNED;
	noise_remote_init(&p->remote, record->public_key, record->has_psk ? record->preshared_key : NULL);
	*place = index + 1;
	hs->n_used++;
	apply_runtime(hs, index);
	return 0;
}

/* A new preshared key: what was derived with the old one must go; the last stamp stays. */
static void change_psk(struct handshake *hs, uint32_t index, const struct peer_record *record)
{
	struct hs_peer *p = &hs->peers[index];
	static const uint8_t none[WG_KEY_BYTES];
	const uint8_t *psk = record->has_psk ? record->preshared_key : none;

	if (sodium_memcmp(p->remote.psk, psk, WG_KEY_BYTES) == 0)
		return;
	memcpy(p->remote.psk, psk, WG_KEY_BYTES);
	drop_sessions(hs, index, false);
}

static int change_peer(struct handshake *hs, uint32_t index, const struct peer_record *record)
{
	struct hs_peer *p = &hs->peers[index];
	int rc;

	if (noise_key_low_order(record->public_key))
		return -EINVAL;
	if (p->used && memcmp(p->remote.public_key, record->public_key, WG_KEY_BYTES) != 0)
		remove_peer(hs, index);
	if (!p->used) {
		rc = add_peer(hs, index, record);
		if (rc < 0)
			return rc;
	}
	change_psk(hs, index, record);
	if (p->enabled && !record->enabled)
		drop_sessions(hs, index, false);
	p->enabled = record->enabled;
	p->kind = record->kind;
	p->connector = record->connector;
	p->session_index = record->session_index;
	p->mtu = record->mtu;
	return 0;
}

int handshake_peer_changed(struct handshake *hs, uint32_t peer, const struct peer_record *record)
{
	int rc = 0;

	if (peer >= hs->edge->config.cap_peers)
		return -EINVAL;
	pthread_mutex_lock(&hs->lock);
	if (record != NULL)
		rc = change_peer(hs, peer, record);
	else if (hs->peers[peer].used)
		remove_peer(hs, peer);
	pthread_mutex_unlock(&hs->lock);
	return rc;
}
