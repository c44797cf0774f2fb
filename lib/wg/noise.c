// SPDX-License-Identifier: BSD-3-Clause
// Noise_IKpsk2 as WireGuard runs it: static sides, messages 1 and 2 in both roles, transport keys.
#include "lib/wg/noise.h"

#include "lib/wg/crypto.h"
#include "lib/wg/noise_ik.h"

/* The prologue. */
static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
static const char label_mac1[] = "mac1----";
static const char label_cookie[] = "cookie--";

const char *noise_result_text(enum noise_result result)
{
	switch (result) {
	case NOISE_OK:
		return "ok";
	case NOISE_BAD_STATE:
		return "no such handshake is under way";
	case NOISE_LOW_ORDER:
		return "shared secret is zero";
	case NOISE_DECRYPT:
		return "authentication failed";
	case NOISE_WRONG_PEER:
		return "message of another peer";
	case NOISE_REPLAY:
		return "timestamp is not new";
	case NOISE_RATE:
		return "initiations come too fast";
	}
	return "unknown";
}

void noise_identity_init(struct noise_identity *identity, const uint8_t private_key[WG_KEY_BYTES],
			 uint8_t slot)
{
	memcpy(identity->private_key, private_key, WG_KEY_BYTES);
	wg_clamp(identity->private_key);
	wg_public_key(identity->public_key, identity->private_key);
	wg_hash2(identity->mac1_key, label_mac1, sizeof(label_mac1) - 1, identity->public_key,
		 WG_KEY_BYTES);
	wg_hash2(identity->cookie_key, label_cookie, sizeof(label_cookie) - 1,
		 identity->public_key, WG_KEY_BYTES);
	noise_ik_initial_hash(identity->hash, identifier, sizeof(identifier) - 1,
			      identity->public_key);
	identity->slot = slot;
}

void noise_identity_wipe(struct noise_identity *identity)
{
	wg_wipe(identity, sizeof(*identity));
}

bool noise_key_low_order(const uint8_t public_key[WG_KEY_BYTES])
{
	/* Every clamped scalar is a multiple of eight, so any one tells. */
	uint8_t scalar[WG_KEY_BYTES] = {0}, shared[WG_KEY_BYTES];

	wg_clamp(scalar);
	return !wg_dh(shared, scalar, public_key);
}

void noise_remote_init(struct noise_remote *remote, const uint8_t public_key[WG_KEY_BYTES],
		       const uint8_t psk[WG_KEY_BYTES])
{
	memset(remote, 0, sizeof(*remote));
	memcpy(remote->public_key, public_key, WG_KEY_BYTES);
	if (psk)
		memcpy(remote->psk, psk, WG_KEY_BYTES);
	wg_hash2(remote->mac1_key, label_mac1, sizeof(label_mac1) - 1, public_key, WG_KEY_BYTES);
	wg_hash2(remote->cookie_key, label_cookie, sizeof(label_cookie) - 1, public_key,
		 WG_KEY_BYTES);
	noise_ik_initial_hash(remote->hash, identifier, sizeof(identifier) - 1, public_key);
}

enum noise_result noise_remote_bind(struct noise_remote *remote,
				    const struct noise_identity *identity)
{
	remote->bound[identity->slot] = wg_dh(remote->static_static[identity->slot],
					      identity->private_key, remote->public_key);
	return remote->bound[identity->slot] ? NOISE_OK : NOISE_LOW_ORDER;
}

void noise_remote_wipe(struct noise_remote *remote)
{
	wg_wipe(remote, sizeof(*remote));
}

void noise_handshake_wipe(struct noise_handshake *handshake)
{
	wg_wipe(handshake, sizeof(*handshake));
}

enum noise_result noise_create_initiation(struct noise_handshake *handshake,
					  const struct noise_identity *identity,
					  const struct noise_remote *remote, uint32_t local_index,
					  const uint8_t ephemeral_private[WG_KEY_BYTES],
					  const uint8_t stamp[WG_TAI64N_BYTES],
					  struct wg_initiation *out)
{
	noise_handshake_wipe(handshake);
	memset(out, 0, sizeof(*out));
	if (!remote->bound[identity->slot])
		return NOISE_LOW_ORDER;
	noise_ik_initial_key(handshake->chaining_key);
	memcpy(handshake->hash, remote->hash, sizeof(handshake->hash));
	if (!noise_ik_write1(handshake, remote->public_key, identity->public_key,
			     remote->static_static[identity->slot], ephemeral_private,
			     out->ephemeral, out->enc_static, out->enc_timestamp, stamp,
			     WG_TAI64N_BYTES)) {
		noise_handshake_wipe(handshake);
		memset(out, 0, sizeof(*out));
		return NOISE_LOW_ORDER;
	}
	wg_put_le32(&out->type_le, WG_INITIATION);
	wg_put_le32(&out->sender_le, local_index);
	handshake->local_index = local_index;
	handshake->identity_slot = identity->slot;
	handshake->state = NOISE_INITIATION_CREATED;
	return NOISE_OK;
}

enum noise_result noise_consume_initiation(struct noise_initiation *initiation,
					   const struct noise_identity *identity,
					   const struct wg_initiation *message)
{
	struct noise_handshake *hs = &initiation->handshake;
	enum noise_result result;

	wg_wipe(initiation, sizeof(*initiation));
	noise_ik_initial_key(hs->chaining_key);
	memcpy(hs->hash, identity->hash, sizeof(hs->hash));
	result = noise_ik_read1_static(hs, identity->private_key, message->ephemeral,
				       message->enc_static, initiation->remote_static);
	if (result != NOISE_OK) {
		wg_wipe(initiation, sizeof(*initiation));
		return result;
	}
	memcpy(initiation->enc_timestamp, message->enc_timestamp, sizeof(message->enc_timestamp));
	hs->remote_index = wg_get_le32(&message->sender_le);
	hs->identity_slot = identity->slot;
	hs->state = NOISE_INITIATION_CONSUMED;
	return NOISE_OK;
}

static enum noise_result prove_initiation(struct noise_initiation *initiation,
					  const struct noise_remote *remote, uint64_t now_ns,
					  uint8_t stamp[WG_TAI64N_BYTES])
{
	struct noise_handshake *hs = &initiation->handshake;

	if (hs->state != NOISE_INITIATION_CONSUMED)
		return NOISE_BAD_STATE;
	if (!wg_equal(initiation->remote_static, remote->public_key, WG_KEY_BYTES))
		return NOISE_WRONG_PEER;
	if (!remote->bound[hs->identity_slot])
		return NOISE_LOW_ORDER;
	if (!noise_ik_read1_payload(hs, remote->static_static[hs->identity_slot],
				    initiation->enc_timestamp, stamp, WG_TAI64N_BYTES))
		return NOISE_DECRYPT;
	if (memcmp(stamp, remote->tai64n_rx, WG_TAI64N_BYTES) <= 0)
		return NOISE_REPLAY;
	if (remote->initiation_rx_ns &&
	    now_ns - remote->initiation_rx_ns < WG_INITIATION_INTERVAL_NS)
		return NOISE_RATE;
	return NOISE_OK;
}

enum noise_result noise_finish_initiation(struct noise_initiation *initiation,
					  struct noise_remote *remote, uint64_t now_ns,
					  struct noise_handshake *handshake)
{
	uint8_t stamp[WG_TAI64N_BYTES];
	enum noise_result result = prove_initiation(initiation, remote, now_ns, stamp);

	if (result == NOISE_OK) {
		memcpy(remote->tai64n_rx, stamp, sizeof(stamp));
		remote->initiation_rx_ns = now_ns;
		*handshake = initiation->handshake;
	}
	wg_wipe(initiation, sizeof(*initiation));
	return result;
}

enum noise_result noise_create_response(struct noise_handshake *handshake,
					const struct noise_remote *remote, uint32_t local_index,
					const uint8_t ephemeral_private[WG_KEY_BYTES],
					struct wg_response *out)
{
	struct noise_handshake *hs = handshake;

	memset(out, 0, sizeof(*out));
	if (hs->state != NOISE_INITIATION_CONSUMED) {
		noise_handshake_wipe(hs);
		return NOISE_BAD_STATE;
	}
	if (!noise_ik_write2(hs, remote->public_key, remote->psk, ephemeral_private, out->ephemeral,
			     out->enc_empty, NULL, 0)) {
		noise_handshake_wipe(hs);
		memset(out, 0, sizeof(*out));
		return NOISE_LOW_ORDER;
	}
	wg_put_le32(&out->type_le, WG_RESPONSE);
	wg_put_le32(&out->sender_le, local_index);
	wg_put_le32(&out->receiver_le, hs->remote_index);
	hs->local_index = local_index;
	hs->state = NOISE_RESPONSE_CREATED;
	return NOISE_OK;
}

enum noise_result noise_consume_response(struct noise_handshake *handshake,
					 const struct noise_identity *identity,
					 const struct noise_remote *remote,
					 const struct wg_response *message)
{
	struct noise_handshake hs = *handshake;
	enum noise_result result = NOISE_BAD_STATE;

	if (hs.state == NOISE_INITIATION_CREATED && hs.identity_slot == identity->slot &&
	    wg_get_le32(&message->receiver_le) == hs.local_index)
		result = noise_ik_read2(&hs, identity->private_key, remote->psk,
					message->ephemeral, message->enc_empty, NULL, 0);
	if (result == NOISE_OK) {
		hs.remote_index = wg_get_le32(&message->sender_le);
		hs.state = NOISE_RESPONSE_CONSUMED;
		*handshake = hs;
	}
	noise_handshake_wipe(&hs);
	return result;
}

enum noise_result noise_derive_keys(struct noise_handshake *handshake, struct noise_keys *keys)
{
	enum noise_state state = handshake->state;

	if (state == NOISE_RESPONSE_CONSUMED)
		wg_kdf(keys->send, keys->receive, NULL, handshake->chaining_key, NULL, 0);
	else if (state == NOISE_RESPONSE_CREATED)
		wg_kdf(keys->receive, keys->send, NULL, handshake->chaining_key, NULL, 0);
	else
		return NOISE_BAD_STATE;
	noise_handshake_wipe(handshake);
	return NOISE_OK;
}
