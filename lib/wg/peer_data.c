// SPDX-License-Identifier: BSD-3-Clause
// Sessions of a peer and the data that they carry: install, promote, seal, open.
#include <errno.h>

#include "lib/wg/crypto.h"
#include "lib/wg/peer_internal.h"

void wg_peer_drop_pair(struct wg_peer *peer, enum wg_slot slot)
{
	struct wg_keypair *pair = &peer->pairs[slot];

	if (pair->valid)
		wg_peer_free_index(peer, pair->local_index);
	wg_wipe(pair, sizeof(*pair));
}

/* Moves a session to another slot, whose own session ends. */
static void move_pair(struct wg_peer *peer, enum wg_slot to, enum wg_slot from)
{
	wg_peer_drop_pair(peer, to);
	peer->pairs[to] = peer->pairs[from];
	wg_wipe(&peer->pairs[from], sizeof(peer->pairs[from]));
}

void wg_peer_install(struct wg_peer *peer, struct noise_handshake *handshake, bool initiator,
		     uint64_t now_ns)
{
	struct wg_keypair *pair;
	struct noise_keys keys;

	if (initiator) {
		/* The peer may still send on a session of its own that it has not confirmed yet. */
		move_pair(peer, WG_PREVIOUS, peer->pairs[WG_NEXT].valid ? WG_NEXT : WG_CURRENT);
		wg_peer_drop_pair(peer, WG_CURRENT);
		pair = &peer->pairs[WG_CURRENT];
	} else {
		wg_peer_drop_pair(peer, WG_NEXT);
		wg_peer_drop_pair(peer, WG_PREVIOUS);
		pair = &peer->pairs[WG_NEXT];
	}
	pair->local_index = handshake->local_index;
	pair->remote_index = handshake->remote_index;
	pair->initiator = initiator;
	pair->born_ns = now_ns;
	pair->valid = noise_derive_keys(handshake, &keys) == NOISE_OK;
	memcpy(pair->send_key, keys.send, sizeof(pair->send_key));
	memcpy(pair->receive_key, keys.receive, sizeof(pair->receive_key));
	wg_wipe(&keys, sizeof(keys));
}

struct wg_keypair_info wg_peer_current_info(const struct wg_peer *peer)
{
	const struct wg_keypair *pair = &peer->pairs[WG_CURRENT];

	return (struct wg_keypair_info){
		.present = pair->valid,
		.initiator = pair->initiator,
		.born_ns = pair->born_ns,
		.tx_counter = pair->tx_counter,
	};
}

bool wg_peer_rekey_near(const struct wg_peer *peer, uint64_t now_ns)
{
	const struct wg_keypair *pair = &peer->pairs[WG_CURRENT];

	return pair->valid &&
	       ((pair->initiator && now_ns >= pair->born_ns + WG_REKEY_AFTER_TIME_NS) ||
		pair->tx_counter >= WG_REKEY_AFTER_MESSAGES);
}

bool wg_peer_ready(const struct wg_peer *peer, uint64_t now_ns)
{
	struct wg_keypair_info info = wg_peer_current_info(peer);

	return wg_keypair_usable(&info, now_ns);
}

struct wg_keypair *wg_peer_reserve(struct wg_peer *peer, unsigned n, uint64_t now_ns,
				   uint64_t *counter)
{
	struct wg_keypair *pair = &peer->pairs[WG_CURRENT];

	if (!wg_peer_ready(peer, now_ns) || WG_REJECT_AFTER_MESSAGES - pair->tx_counter < n) {
		wg_timers_want(&peer->timers);
		return NULL;
	}
	*counter = pair->tx_counter;
	pair->tx_counter += n;
	return pair;
}

void wg_peer_sent(struct wg_peer *peer, uint32_t inner_len, uint64_t now_ns)
{
	wg_stamps_tx(&peer->stamps, inner_len > 0, now_ns);
	if (inner_len) {
		peer->counters.tx_packets++;
		peer->counters.tx_bytes += inner_len;
	} else {
		peer->counters.keepalives_tx++;
	}
}

int wg_peer_seal(struct wg_peer *peer, uint8_t *buffer, uint32_t len, uint32_t mtu, uint64_t now_ns)
{
	uint8_t *inner = buffer + WG_DATA_HEADER_BYTES;
	uint32_t padded = wg_padded_len(len, mtu);
	struct wg_keypair *pair;
	uint64_t counter;

	if (!wg_peer_ready(peer, now_ns))
		return -EAGAIN;
	pair = wg_peer_reserve(peer, 1, now_ns, &counter);
	if (!pair)
		return -EAGAIN;
	memset(inner + len, 0, padded - len);
	wg_data_header(buffer, pair->remote_index, counter);
	wg_aead_seal(inner, pair->send_key, counter, inner, padded, NULL, 0);
	wg_peer_sent(peer, len, now_ns);
	return (int)(padded + WG_DATA_OVERHEAD_BYTES);
}

void wg_peer_keepalive(struct wg_peer *peer, uint64_t now_ns, struct wg_out *out)
{
	uint8_t buffer[WG_DATA_OVERHEAD_BYTES];

	if (wg_peer_seal(peer, buffer, 0, 0, now_ns) == WG_DATA_OVERHEAD_BYTES)
		memcpy(wg_out_add(out, sizeof(buffer), false)->bytes, buffer, sizeof(buffer));
}

static struct wg_keypair *pair_of_index(struct wg_peer *peer, uint32_t local_index)
{
	for (unsigned i = 0; i < WG_SLOTS; i++)
		if (peer->pairs[i].valid && peer->pairs[i].local_index == local_index)
			return &peer->pairs[i];
	return NULL;
}

static bool may_receive(const struct wg_keypair *pair, uint64_t now_ns)
{
	return now_ns < pair->born_ns + WG_REJECT_AFTER_TIME_NS;
}

struct wg_keypair *wg_peer_find(struct wg_peer *peer, uint32_t local_index, uint64_t now_ns)
{
	struct wg_keypair *pair = pair_of_index(peer, local_index);

	return pair && may_receive(pair, now_ns) ? pair : NULL;
}

/* First data on a session that we answered: the initiator has it, so we may send on it. */
static void promote(struct wg_peer *peer, uint64_t now_ns, struct wg_out *out)
{
	move_pair(peer, WG_PREVIOUS, WG_CURRENT);
	move_pair(peer, WG_CURRENT, WG_NEXT);
	wg_timers_complete(&peer->timers, now_ns);
	peer->counters.handshakes++;
	out->ready = true;
}

enum wg_result wg_peer_received(struct wg_peer *peer, struct wg_keypair *keypair, uint64_t counter,
				uint32_t inner_len, uint64_t now_ns, struct wg_out *out)
{
	if (!wg_replay_accept(&keypair->replay, counter))
		return WG_DROP_REPLAY;
	out->authenticated = true;
	if (keypair == &peer->pairs[WG_NEXT])
		promote(peer, now_ns, out);
	wg_stamps_rx(&peer->stamps, inner_len > 0, now_ns);
	if (!inner_len) {
		peer->counters.keepalives_rx++;
		return WG_CONSUMED;
	}
	peer->counters.rx_packets++;
	peer->counters.rx_bytes += inner_len;
	return WG_INNER;
}

enum wg_result wg_peer_take_data(struct wg_peer *peer, uint8_t *datagram, size_t len,
				 uint64_t now_ns, struct wg_out *out)
{
	struct wg_keypair *pair = pair_of_index(peer, wg_data_receiver(datagram));
	uint8_t *inner = datagram + WG_DATA_HEADER_BYTES;
	uint32_t inner_len = (uint32_t)(len - WG_DATA_OVERHEAD_BYTES);
	uint64_t counter = wg_data_counter(datagram);
	enum wg_result result;

	if (!pair)
		return WG_DROP_INDEX;
	if (!may_receive(pair, now_ns) || counter >= WG_REJECT_AFTER_MESSAGES)
		return WG_DROP_EXPIRED;
	if (!wg_replay_check(&pair->replay, counter))
		return WG_DROP_REPLAY;
	if (!wg_aead_open(inner, pair->receive_key, counter, inner, inner_len, NULL, 0))
		return WG_DROP_TAG;
	result = wg_peer_received(peer, pair, counter, inner_len, now_ns, out);
	if (result == WG_INNER) {
		out->inner = inner;
		out->inner_len = inner_len;
	}
	wg_peer_rekey_if_due(peer, now_ns, out);
	return result;
}
