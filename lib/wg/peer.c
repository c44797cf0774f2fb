// SPDX-License-Identifier: BSD-3-Clause
// One WireGuard peer for a single thread: events in, datagrams out; handshakes are here, data is in peer_data.c.
#include "lib/wg/peer_internal.h"

#include <errno.h>

#include "lib/wg/crypto.h"

const char *wg_result_text(enum wg_result result)
{
	static const char *const texts[WG_RESULTS] = {
		[WG_CONSUMED] = "consumed",
		[WG_INNER] = "inner packet",
		[WG_DROP_TYPE] = "not a WireGuard message",
		[WG_DROP_LENGTH] = "message of a wrong length",
		[WG_DROP_MAC1] = "wrong MAC1",
		[WG_DROP_MAC2] = "under load and no valid MAC2",
		[WG_DROP_INDEX] = "unknown receiver index",
		[WG_DROP_HANDSHAKE] = "handshake failed authentication",
		[WG_DROP_REPLAY] = "replayed",
		[WG_DROP_RATE] = "initiations come too fast",
		[WG_DROP_EXPIRED] = "session expired",
		[WG_DROP_TAG] = "wrong tag",
	};

	return (unsigned)result < WG_RESULTS ? texts[result] : "unknown";
}

int wg_peer_init(struct wg_peer *peer, const struct wg_peer_config *config)
{
	memset(peer, 0, sizeof(*peer));
	if (wg_equal(config->remote_public_key, config->identity->public_key, WG_KEY_BYTES))
		return -EINVAL;
	noise_remote_init(&peer->remote, config->remote_public_key, config->psk);
	if (noise_remote_bind(&peer->remote, config->identity) != NOISE_OK) {
		noise_remote_wipe(&peer->remote);
		return -EINVAL;
	}
	peer->config = *config;
	peer->config.remote_public_key = NULL;
	peer->config.psk = NULL;
	peer->timers.persistent_keepalive_ns = config->persistent_keepalive_ns;
	return 0;
}

static void drop_handshake(struct wg_peer *peer)
{
	if (peer->has_handshake_index)
		wg_peer_free_index(peer, peer->handshake.local_index);
	peer->has_handshake_index = false;
	noise_handshake_wipe(&peer->handshake);
}

static void drop_keys(struct wg_peer *peer)
{
	drop_handshake(peer);
	for (unsigned i = 0; i < WG_SLOTS; i++)
		wg_peer_drop_pair(peer, i);
}

void wg_peer_wipe(struct wg_peer *peer)
{
	drop_keys(peer);
	wg_wipe(peer, sizeof(*peer));
}

bool wg_peer_has_index(const struct wg_peer *peer, uint32_t local_index)
{
	if (peer->has_handshake_index && peer->handshake.local_index == local_index)
		return true;
	for (unsigned i = 0; i < WG_SLOTS; i++)
		if (peer->pairs[i].valid && peer->pairs[i].local_index == local_index)
			return true;
	return false;
}

static void random_fill(struct wg_peer *peer, void *to, size_t len)
{
	peer->config.random.fill(peer->config.random.arg, to, len);
}

static uint32_t new_index(struct wg_peer *peer)
{
	uint32_t index;

	if (peer->config.new_index)
		return peer->config.new_index(peer->config.index_arg);
	do {
		random_fill(peer, &index, sizeof(index));
	} while (wg_peer_has_index(peer, index));
	return index;
}

void wg_peer_free_index(struct wg_peer *peer, uint32_t index)
{
	if (peer->config.free_index)
		peer->config.free_index(peer->config.index_arg, index);
}

struct wg_datagram *wg_out_add(struct wg_out *out, uint16_t len, bool to_source)
{
	struct wg_datagram *datagram = &out->tx[out->n_tx++];

	assert(out->n_tx <= WG_OUT_MAX);
	datagram->len = len;
	datagram->to_source = to_source;
	return datagram;
}

static void send_initiation(struct wg_peer *peer, uint64_t now_ns, struct wg_out *out)
{
	struct tai64n_clock *clock =
		peer->config.tai64n ? peer->config.tai64n : &peer->own_tai64n;
	uint8_t ephemeral[WG_KEY_BYTES], stamp[WG_TAI64N_BYTES];
	struct wg_initiation message;
	uint32_t jitter;

	drop_handshake(peer);
	random_fill(peer, &jitter, sizeof(jitter));
	wg_timers_initiation_sent(&peer->timers, now_ns, jitter % WG_REKEY_JITTER_MAX_NS);
	peer->tai64n_tx_ns = tai64n_clock_next(
		clock, now_ns + (uint64_t)peer->config.unix_offset_ns, peer->tai64n_tx_ns);
	tai64n_encode(stamp, peer->tai64n_tx_ns);
	random_fill(peer, ephemeral, sizeof(ephemeral));
	/* The binding was made at init, so that only an ephemeral of ours could fail; then a retry draws another. */
	if (noise_create_initiation(&peer->handshake, peer->config.identity, &peer->remote,
				    new_index(peer), ephemeral, stamp, &message) == NOISE_OK) {
		peer->has_handshake_index = true;
		cookie_sign(&peer->jar, &peer->remote, &message, sizeof(message), now_ns);
		memcpy(wg_out_add(out, sizeof(message), false)->bytes, &message, sizeof(message));
		peer->counters.initiations_tx++;
	}
	wg_wipe(ephemeral, sizeof(ephemeral));
}

/* MAC1, and MAC2 while under load; a cookie is the answer to a message without it. */
static enum wg_result check_macs(struct wg_peer *peer, const uint8_t *message, size_t len,
				 const void *src, size_t src_len, uint64_t now_ns,
				 struct wg_out *out)
{
	const struct noise_identity *identity = peer->config.identity;
	struct cookie_checker *checker = peer->config.checker;
	uint8_t nonce[WG_COOKIE_NONCE_BYTES];
	struct wg_cookie_reply reply;

	if (!wg_mac1_check(identity, message, len))
		return WG_DROP_MAC1;
	if (!checker || !peer->config.under_load || !*peer->config.under_load)
		return WG_CONSUMED;
	cookie_checker_rotate(checker, &peer->config.random, now_ns);
	if (cookie_check(checker, identity, message, len, src, src_len, now_ns) == COOKIE_MAC2_OK)
		return WG_CONSUMED;
	random_fill(peer, nonce, sizeof(nonce));
	cookie_create_reply(checker, identity, message, len, src, src_len, nonce, &reply);
	memcpy(wg_out_add(out, sizeof(reply), true)->bytes, &reply, sizeof(reply));
	peer->counters.cookies_tx++;
	return WG_DROP_MAC2;
}

static enum wg_result answer_initiation(struct wg_peer *peer, struct noise_handshake *handshake,
					uint64_t now_ns, struct wg_out *out)
{
	uint8_t ephemeral[WG_KEY_BYTES];
	uint32_t index = new_index(peer);
	struct wg_response response;
	enum noise_result result;

	random_fill(peer, ephemeral, sizeof(ephemeral));
	result = noise_create_response(handshake, &peer->remote, index, ephemeral, &response);
	wg_wipe(ephemeral, sizeof(ephemeral));
	if (result != NOISE_OK) {
		wg_peer_free_index(peer, index);
		return WG_DROP_HANDSHAKE;
	}
	cookie_sign(&peer->jar, &peer->remote, &response, sizeof(response), now_ns);
	memcpy(wg_out_add(out, sizeof(response), true)->bytes, &response, sizeof(response));
	peer->counters.responses_tx++;
	wg_peer_install(peer, handshake, false, now_ns);
	wg_timers_session(&peer->timers, now_ns);
	out->authenticated = true;
	return WG_CONSUMED;
}

static enum wg_result take_initiation(struct wg_peer *peer, const uint8_t *datagram,
				      uint64_t now_ns, struct wg_out *out)
{
	struct noise_initiation initiation;
	struct noise_handshake handshake;
	enum wg_result result;

	if (noise_consume_initiation(&initiation, peer->config.identity,
				     (const struct wg_initiation *)datagram) != NOISE_OK)
		return WG_DROP_HANDSHAKE;
	switch (noise_finish_initiation(&initiation, &peer->remote, now_ns, &handshake)) {
	case NOISE_OK:
		break;
	case NOISE_REPLAY:
		return WG_DROP_REPLAY;
	case NOISE_RATE:
		return WG_DROP_RATE;
	default:
		return WG_DROP_HANDSHAKE;
	}
	peer->counters.initiations_rx++;
	wg_timers_initiation_received(&peer->timers, now_ns);
	result = answer_initiation(peer, &handshake, now_ns, out);
	noise_handshake_wipe(&handshake);
	return result;
}

static enum wg_result take_response(struct wg_peer *peer, const uint8_t *datagram, uint64_t now_ns,
				    struct wg_out *out)
{
	const struct wg_response *message = (const struct wg_response *)datagram;

	if (!peer->has_handshake_index ||
	    wg_get_le32(&message->receiver_le) != peer->handshake.local_index)
		return WG_DROP_INDEX;
	if (noise_consume_response(&peer->handshake, peer->config.identity, &peer->remote,
				   message) != NOISE_OK)
		return WG_DROP_HANDSHAKE;
	peer->counters.responses_rx++;
	peer->counters.handshakes++;
	peer->has_handshake_index = false; /* the session has it now */
	wg_peer_install(peer, &peer->handshake, true, now_ns);
	wg_stamps_session(&peer->stamps);
	wg_timers_session(&peer->timers, now_ns);
	wg_timers_complete(&peer->timers, now_ns);
	out->authenticated = true;
	out->ready = true;
	/* The responder may not send before it has heard from us on the new session (5.4.3). */
	wg_peer_keepalive(peer, now_ns, out);
	return WG_CONSUMED;
}

static enum wg_result take_cookie(struct wg_peer *peer, const uint8_t *datagram, uint64_t now_ns)
{
	const struct wg_cookie_reply *reply = (const struct wg_cookie_reply *)datagram;

	if (!wg_peer_has_index(peer, wg_get_le32(&reply->receiver_le)))
		return WG_DROP_INDEX;
	if (!cookie_consume_reply(&peer->jar, &peer->remote, reply, now_ns))
		return WG_DROP_HANDSHAKE;
	peer->counters.cookies_rx++;
	return WG_CONSUMED;
}

static enum wg_result take_handshake(struct wg_peer *peer, const uint8_t *datagram, size_t len,
				     const void *src, size_t src_len, uint64_t now_ns,
				     struct wg_out *out)
{
	enum wg_result result = check_macs(peer, datagram, len, src, src_len, now_ns, out);

	if (result != WG_CONSUMED)
		return result;
	if (len == WG_INITIATION_BYTES)
		return take_initiation(peer, datagram, now_ns, out);
	return take_response(peer, datagram, now_ns, out);
}

static void out_reset(struct wg_out *out)
{
	out->n_tx = 0;
	out->inner = NULL;
	out->inner_len = 0;
	out->authenticated = out->ready = out->give_up = out->expired = false;
}

enum wg_result wg_peer_input(struct wg_peer *peer, uint8_t *datagram, size_t len, const void *src,
			     size_t src_len, uint64_t now_ns, struct wg_out *out)
{
	enum wg_result result = WG_DROP_TYPE;

	out_reset(out);
	switch (wg_message_type(datagram, len)) {
	case WG_INITIATION:
	case WG_RESPONSE:
		result = take_handshake(peer, datagram, len, src, src_len, now_ns, out);
		break;
	case WG_COOKIE_REPLY:
		result = take_cookie(peer, datagram, now_ns);
		break;
	case WG_DATA:
		result = wg_peer_take_data(peer, datagram, len, now_ns, out);
		break;
	case WG_BAD_LENGTH:
		result = WG_DROP_LENGTH;
		break;
	case WG_BAD_TYPE:
		break;
	}
	if (result != WG_CONSUMED && result != WG_INNER)
		peer->counters.dropped++;
	return result;
}

/* Does what the timers say, adding to out; returns the next time. */
static uint64_t do_due(struct wg_peer *peer, uint64_t now_ns, struct wg_out *out)
{
	struct wg_keypair_info info = wg_peer_current_info(peer);
	uint64_t next_ns;
	unsigned actions = wg_timers_poll(&peer->timers, &peer->stamps, &info, now_ns, &next_ns);

	if (!actions)
		return next_ns;
	if (actions & WG_EXPIRE_KEYS) {
		drop_keys(peer);
		out->expired = true;
	}
	if (actions & WG_GIVE_UP)
		out->give_up = true;
	if (actions & WG_SEND_INITIATION)
		send_initiation(peer, now_ns, out);
	if (actions & WG_SEND_KEEPALIVE)
		wg_peer_keepalive(peer, now_ns, out);
	/* Nothing else can be due at the same time; this is for the next deadline. */
	info = wg_peer_current_info(peer);
	actions = wg_timers_poll(&peer->timers, &peer->stamps, &info, now_ns, &next_ns);
	return actions ? now_ns : next_ns;
}

uint64_t wg_peer_tick(struct wg_peer *peer, uint64_t now_ns, struct wg_out *out)
{
	out_reset(out);
	return do_due(peer, now_ns, out);
}

void wg_peer_connect(struct wg_peer *peer)
{
	wg_timers_want(&peer->timers);
}

int wg_peer_send(struct wg_peer *peer, uint8_t *buffer, uint32_t len, uint32_t mtu,
		 uint64_t now_ns, struct wg_out *out)
{
	int sealed;

	out_reset(out);
	sealed = wg_peer_seal(peer, buffer, len, mtu, now_ns);
	if (sealed < 0)
		wg_timers_want(&peer->timers);
	if (sealed < 0 || wg_peer_rekey_near(peer, now_ns))
		do_due(peer, now_ns, out);
	return sealed;
}

void wg_peer_rekey_if_due(struct wg_peer *peer, uint64_t now_ns, struct wg_out *out)
{
	if (wg_peer_rekey_near(peer, now_ns))
		do_due(peer, now_ns, out);
}
