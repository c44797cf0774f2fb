// SPDX-License-Identifier: BSD-3-Clause
// Messages 1 to 3 of the WireGuard paper (5.4.2, 5.4.3, 5.4.7): judged, answered, made.
#include "dataplane/handshake/internal.h"

#include <string.h>

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sodium.h>

/* Initiations of our own, over all peers (decision 20). */
#define INITIATIONS_PER_S 500
#define INITIATIONS_BURST 64
#define LOAD_HOLD_NS      WG_NS_PER_S /* under load for so long after the queue was long */

static void fill_random(void *arg, void *to, size_t len)
{
	(void)arg;
	randombytes_buf(to, len);
}

/* Paper, 5.4.7: load is judged by the length of the handshake queue. */
static bool under_load(struct handshake *hs, uint64_t now_ns)
{
	unsigned limit = settings_get(hs->edge->records)->handshake_max_queue / 8;

	if (rte_ring_count(hs->events) > limit)
		hs->loaded_until_ns = now_ns + LOAD_HOLD_NS;
	hs->counters.under_load = now_ns < hs->loaded_until_ns;
	return hs->counters.under_load;
}

/* Source as the cookie binds it: address, port, family. */
struct source_bytes {
	uint8_t address[16];
	uint16_t port_be;
	uint8_t family;
} __attribute__((packed));

static struct source_bytes source_of(const struct endpoint *ep)
{
	struct source_bytes s = {.port_be = ep->remote_port_be, .family = ep->family};

	memcpy(s.address, ep->remote, 16);
	return s;
}

static void send_cookie(struct handshake *hs, const struct noise_identity *identity, const struct message *event,
			const void *bytes, unsigned len)
{
	struct source_bytes source = source_of(&event->endpoint);
	uint8_t nonce[WG_COOKIE_NONCE_BYTES];
	struct wg_cookie_reply reply;
	struct message *msg;

	randombytes_buf(nonce, sizeof(nonce));
	cookie_create_reply(&hs->cookies, identity, bytes, len, &source, sizeof(source), nonce, &reply);
	msg = hs_packet(hs, RECORD_NONE, MSG_SEND_RAW, &reply, sizeof(reply));
	if (msg == NULL)
		return;
	msg->endpoint = event->endpoint;
	hs->counters.cookies_tx++;
	if (!worker_post(hs->edge->workers[event->worker], msg)) {
		message_free(hs->edge, msg);
		hs->counters.originated_failed++;
	}
}

/* The identity a message is for, by its MAC1 (decision 23); checks MAC2 while under load. NULL with the reason. */
static const struct noise_identity *admit(struct handshake *hs, const struct message *event, const void *bytes,
					  unsigned len, enum drop_reason *reason, uint64_t now_ns)
{
	struct source_bytes source = source_of(&event->endpoint);
	const struct noise_identity *identity = NULL;

	*reason = DROP_handshake_mac1;
	for (unsigned i = 0; i < hs->n_identities && identity == NULL; i++)
		if (wg_mac1_check(&hs->identities[i], bytes, len))
			identity = &hs->identities[i];
	if (identity == NULL || !under_load(hs, now_ns))
		return identity;
	cookie_checker_rotate(&hs->cookies, &(struct wg_random){.fill = fill_random}, now_ns);
	if (cookie_check(&hs->cookies, identity, bytes, len, &source, sizeof(source), now_ns) == COOKIE_MAC2_OK)
		return identity;
	*reason = DROP_handshake_mac2;
	send_cookie(hs, identity, event, bytes, len);
	return NULL;
}

/*
 * The worker that the next session of a peer lands on. Sticky, except that a connector session which is still looking
 * for its worker goes where its packets arrive (docs/protocols.md, 3).
 */
static uint8_t land(struct handshake *hs, uint32_t index, uint8_t arrived)
{
	struct hs_peer *p = &hs->peers[index];
	struct message *msg;

	if (p->owner == PEER_UNOWNED) {
		p->owner = arrived;
		__atomic_store_n(&hs->edge->peers[index].owner, arrived, __ATOMIC_RELEASE);
		return arrived;
	}
	if (p->kind != PEER_CONNECTOR || p->settled || p->owner == arrived || p->migrating)
		return p->owner;
	msg = message_alloc(hs->edge);
	if (msg == NULL)
		return p->owner;
	msg->type = MSG_MIGRATE_OUT;
	msg->peer = index;
	msg->migrate.target = arrived;
	p->migrating = true;
	hs_post(hs, p, msg); /* what follows goes the same way and stays behind it */
	return arrived;
}

static void install(struct handshake *hs, uint32_t index, struct noise_handshake *handshake, bool initiator,
		    const struct endpoint *from, uint64_t now_ns)
{
	struct hs_peer *p = &hs->peers[index];
	struct message *msg = message_alloc(hs->edge);
	uint32_t local = handshake->local_index, remote = handshake->remote_index;
	struct noise_keys keys;

	if (noise_derive_keys(handshake, &keys) != NOISE_OK || msg == NULL) {
		sodium_memzero(&keys, sizeof(keys));
		if (msg != NULL)
			message_free(hs->edge, msg);
		hs_slot_give(hs, local, now_ns);
		return;
	}
	msg->type = MSG_INSTALL_SESSION;
	msg->peer = index;
	msg->endpoint = *from;
	msg->session.local_index = local;
	msg->session.remote_index = remote;
	msg->session.initiator = initiator;
	msg->session.born_ns = now_ns;
	memcpy(msg->session.rx_key, keys.receive, WG_KEY_BYTES);
	memcpy(msg->session.tx_key, keys.send, WG_KEY_BYTES);
	sodium_memzero(&keys, sizeof(keys));
	p->endpoint = *from;
	p->last_handshake_unix_s = hs_unix_ns() / WG_NS_PER_S;
	p->dirty = true;
	p->startup_rank = 0;
	p->draining = false; /* a new handshake speaks for itself: a draining connector says so again */
	wg_timers_session(&p->timers, now_ns);
	hs->counters.completed++;
	hs_post(hs, p, msg);
}

static enum drop_reason reason_of(enum noise_result result)
{
	switch (result) {
	case NOISE_REPLAY:
		return DROP_handshake_replay;
	case NOISE_RATE:
		return DROP_handshake_rate;
	case NOISE_BAD_STATE:
		return DROP_handshake_unexpected;
	default:
		return DROP_handshake_decrypt;
	}
}

/* Binds lazily: one X25519 per peer and identity, paid by the first handshake. */
static bool bound(struct hs_peer *p, const struct noise_identity *identity)
{
	return p->remote.bound[identity->slot] || noise_remote_bind(&p->remote, identity) == NOISE_OK;
}

static enum drop_reason answer(struct handshake *hs, uint32_t index, struct noise_handshake *handshake,
			       const struct message *event, uint64_t now_ns)
{
	struct hs_peer *p = &hs->peers[index];
	uint8_t ephemeral[WG_KEY_BYTES];
	struct wg_response response;
	enum drop_reason reason;
	enum noise_result result;
	struct message *msg;
	uint32_t local;

	if (!hs_slot_take(hs, index, land(hs, index, event->worker), &local, &reason, now_ns)) {
		noise_handshake_wipe(handshake);
		return reason;
	}
	randombytes_buf(ephemeral, sizeof(ephemeral));
	result = noise_create_response(handshake, &p->remote, local, ephemeral, &response);
	sodium_memzero(ephemeral, sizeof(ephemeral));
	if (result != NOISE_OK) {
		hs_slot_give(hs, local, now_ns);
		return reason_of(result);
	}
	cookie_sign(&p->jar, &p->remote, &response, sizeof(response), now_ns);
	wg_timers_initiation_received(&p->timers, now_ns);
	install(hs, index, handshake, false, &event->endpoint, now_ns);
	msg = hs_packet(hs, index, MSG_SEND_RAW, &response, sizeof(response));
	if (msg != NULL) {
		msg->endpoint = event->endpoint;
		hs->counters.responses_tx++;
		hs_post(hs, p, msg);
	}
	return DROP_REASON_COUNT;
}

static enum drop_reason initiation(struct handshake *hs, const struct message *event,
				   const struct wg_initiation *message, uint64_t now_ns)
{
	struct noise_initiation claimed;
	struct noise_handshake handshake;
	const struct noise_identity *identity;
	enum drop_reason reason;
	enum noise_result result;
	struct hs_peer *p;
	uint32_t index;

	hs->counters.initiations_rx++;
	identity = admit(hs, event, message, sizeof(*message), &reason, now_ns);
	if (identity == NULL)
		return reason;
	result = noise_consume_initiation(&claimed, identity, message);
	if (result != NOISE_OK)
		return DROP_handshake_decrypt;
	p = hs_peer_by_key(hs, claimed.remote_static, &index);
	if (p == NULL || !p->enabled || !bound(p, identity)) {
		sodium_memzero(&claimed, sizeof(claimed));
		return DROP_handshake_unknown_peer;
	}
	result = noise_finish_initiation(&claimed, &p->remote, now_ns, &handshake);
	if (result != NOISE_OK)
		return reason_of(result);
	p->identity = identity->slot;
	p->dirty = true;
	return answer(hs, index, &handshake, event, now_ns);
}

static enum drop_reason response(struct handshake *hs, const struct message *event, const struct wg_response *message,
				 uint64_t now_ns)
{
	uint32_t local = wg_get_le32(&message->receiver_le), index;
	enum drop_reason reason;
	enum noise_result result;
	struct hs_peer *p;

	hs->counters.responses_rx++;
	if (admit(hs, event, message, sizeof(*message), &reason, now_ns) == NULL)
		return reason;
	index = hs_peer_by_index(hs, local);
	p = hs_peer_get(hs, index);
	if (p == NULL || !p->enabled || p->pending.state != NOISE_INITIATION_CREATED || p->pending.local_index != local)
		return DROP_handshake_unexpected;
	result = noise_consume_response(&p->pending, &hs->identities[p->identity], &p->remote, message);
	if (result != NOISE_OK)
		return reason_of(result);
	install(hs, index, &p->pending, true, &event->endpoint, now_ns);
	wg_timers_complete(&p->timers, now_ns);
	if (p->kind == PEER_CONNECTOR)
		hs_send_landed(hs, index);
	return DROP_REASON_COUNT;
}

static enum drop_reason cookie_reply(struct handshake *hs, const struct wg_cookie_reply *message, uint64_t now_ns)
{
	struct hs_peer *p = hs_peer_get(hs, hs_peer_by_index(hs, wg_get_le32(&message->receiver_le)));

	hs->counters.cookies_rx++;
	if (p == NULL || !cookie_consume_reply(&p->jar, &p->remote, message, now_ns))
		return DROP_handshake_unexpected;
	return DROP_REASON_COUNT;
}

enum drop_reason hs_receive(struct handshake *hs, struct message *event, uint64_t now_ns)
{
	const void *bytes = rte_pktmbuf_mtod(event->mbuf, const void *);

	switch (wg_message_type(bytes, event->mbuf->data_len)) {
	case WG_INITIATION:
		return initiation(hs, event, bytes, now_ns);
	case WG_RESPONSE:
		return response(hs, event, bytes, now_ns);
	case WG_COOKIE_REPLY:
		return cookie_reply(hs, bytes, now_ns);
	default:
		return DROP_wg_type;
	}
}

/* The pending initiation of an earlier try is forgotten: only the last one can be answered. */
static void forget_pending(struct handshake *hs, struct hs_peer *p, uint64_t now_ns)
{
	if (p->pending.state == NOISE_NONE)
		return;
	hs_slot_give(hs, p->pending.local_index, now_ns);
	noise_handshake_wipe(&p->pending);
}

bool hs_send_initiation(struct handshake *hs, uint32_t index, uint64_t now_ns)
{
	struct hs_peer *p = &hs->peers[index];
	const struct noise_identity *identity = &hs->identities[p->identity];
	uint8_t ephemeral[WG_KEY_BYTES], stamp[WG_TAI64N_BYTES];
	struct wg_initiation initiation;
	enum drop_reason reason;
	enum noise_result result;
	struct message *msg;
	uint32_t local;

	if (p->endpoint.family == 0 || !bound(p, identity) ||
	    !hs_allow(&hs->initiation_tat_ns, now_ns, WG_NS_PER_S / INITIATIONS_PER_S, INITIATIONS_BURST))
		return false;
	forget_pending(hs, p, now_ns);
	if (p->owner == PEER_UNOWNED)
		land(hs, index, (uint8_t)(index % hs->edge->n_workers));
	if (!hs_slot_take(hs, index, p->owner, &local, &reason, now_ns))
		return false;
	p->stamp_tx_ns = tai64n_clock_next(&hs->stamps, hs_unix_ns(), p->stamp_tx_ns);
	tai64n_encode(stamp, p->stamp_tx_ns);
	randombytes_buf(ephemeral, sizeof(ephemeral));
	result = noise_create_initiation(&p->pending, identity, &p->remote, local, ephemeral, stamp, &initiation);
	sodium_memzero(ephemeral, sizeof(ephemeral));
	if (result != NOISE_OK) {
		hs_slot_give(hs, local, now_ns);
		return false;
	}
	cookie_sign(&p->jar, &p->remote, &initiation, sizeof(initiation), now_ns);
	msg = hs_packet(hs, index, MSG_SEND_RAW, &initiation, sizeof(initiation));
	if (msg == NULL)
		return false;
	msg->endpoint = p->endpoint;
	hs->counters.initiations_tx++;
	hs_post(hs, p, msg);
	wg_timers_initiation_sent(&p->timers, now_ns, randombytes_uniform((uint32_t)WG_REKEY_JITTER_MAX_NS));
	return true;
}
