// SPDX-License-Identifier: BSD-3-Clause
// MAC1, MAC2 and cookies, both sides.
#include "lib/wg/cookie.h"

#include "lib/wg/crypto.h"

static bool is_handshake_len(size_t len)
{
	return len == WG_INITIATION_BYTES || len == WG_RESPONSE_BYTES;
}

/* The two MACs are the last 32 bytes of both messages that have them. */
static struct wg_macs *macs_of(void *message, size_t len)
{
	return (struct wg_macs *)((uint8_t *)message + len - sizeof(struct wg_macs));
}

static const struct wg_macs *const_macs_of(const void *message, size_t len)
{
	return (const struct wg_macs *)((const uint8_t *)message + len - sizeof(struct wg_macs));
}

bool wg_mac1_check(const struct noise_identity *identity, const void *message, size_t len)
{
	uint8_t mac[WG_MAC_BYTES];

	if (!is_handshake_len(len))
		return false;
	wg_mac(mac, identity->mac1_key, sizeof(identity->mac1_key), message,
	       len - sizeof(struct wg_macs));
	return wg_equal(mac, const_macs_of(message, len)->mac1, sizeof(mac));
}

static bool secret_is_fresh(const struct cookie_checker *checker, uint64_t now_ns)
{
	return checker->has_secret && now_ns - checker->secret_ns < WG_COOKIE_LIFETIME_NS;
}

void cookie_checker_rotate(struct cookie_checker *checker, const struct wg_random *random,
			   uint64_t now_ns)
{
	if (secret_is_fresh(checker, now_ns))
		return;
	random->fill(random->arg, checker->secret, sizeof(checker->secret));
	checker->secret_ns = now_ns;
	checker->has_secret = true;
}

static void make_cookie(const struct cookie_checker *checker, const void *src, size_t src_len,
			uint8_t cookie[WG_COOKIE_BYTES])
{
	wg_mac(cookie, checker->secret, sizeof(checker->secret), src, src_len);
}

enum cookie_verdict cookie_check(const struct cookie_checker *checker,
				 const struct noise_identity *identity, const void *message,
				 size_t len, const void *src, size_t src_len, uint64_t now_ns)
{
	uint8_t cookie[WG_COOKIE_BYTES], mac[WG_MAC_BYTES];
	bool right;

	if (!wg_mac1_check(identity, message, len))
		return COOKIE_BAD_MAC1;
	if (!secret_is_fresh(checker, now_ns))
		return COOKIE_MAC1_ONLY;
	make_cookie(checker, src, src_len, cookie);
	wg_mac(mac, cookie, sizeof(cookie), message, len - WG_MAC_BYTES);
	right = wg_equal(mac, const_macs_of(message, len)->mac2, sizeof(mac));
	wg_wipe(cookie, sizeof(cookie));
	return right ? COOKIE_MAC2_OK : COOKIE_MAC1_ONLY;
}

void cookie_create_reply(const struct cookie_checker *checker,
			 const struct noise_identity *identity, const void *message, size_t len,
			 const void *src, size_t src_len,
			 const uint8_t nonce[WG_COOKIE_NONCE_BYTES], struct wg_cookie_reply *out)
{
	uint8_t cookie[WG_COOKIE_BYTES];

	wg_put_le32(&out->type_le, WG_COOKIE_REPLY);
	memcpy(&out->receiver_le, (const uint8_t *)message + 4, sizeof(out->receiver_le));
	memcpy(out->nonce, nonce, sizeof(out->nonce));
	make_cookie(checker, src, src_len, cookie);
	wg_xaead_seal(out->enc_cookie, identity->cookie_key, nonce, cookie, sizeof(cookie),
		      const_macs_of(message, len)->mac1, WG_MAC_BYTES);
	wg_wipe(cookie, sizeof(cookie));
}

void cookie_sign(struct cookie_jar *jar, const struct noise_remote *remote, void *message,
		 size_t len, uint64_t now_ns)
{
	struct wg_macs *macs = macs_of(message, len);

	wg_mac(macs->mac1, remote->mac1_key, sizeof(remote->mac1_key), message,
	       len - sizeof(*macs));
	memcpy(jar->last_mac1, macs->mac1, sizeof(jar->last_mac1));
	jar->has_last_mac1 = true;
	if (jar->has_cookie && now_ns - jar->cookie_ns < WG_COOKIE_LIFETIME_NS)
		wg_mac(macs->mac2, jar->cookie, sizeof(jar->cookie), message, len - WG_MAC_BYTES);
	else
		memset(macs->mac2, 0, sizeof(macs->mac2));
}

bool cookie_consume_reply(struct cookie_jar *jar, const struct noise_remote *remote,
			  const struct wg_cookie_reply *reply, uint64_t now_ns)
{
	uint8_t cookie[WG_COOKIE_BYTES];

	if (!jar->has_last_mac1 ||
	    !wg_xaead_open(cookie, remote->cookie_key, reply->nonce, reply->enc_cookie,
			   sizeof(cookie), jar->last_mac1, sizeof(jar->last_mac1)))
		return false;
	memcpy(jar->cookie, cookie, sizeof(jar->cookie));
	wg_wipe(cookie, sizeof(cookie));
	jar->cookie_ns = now_ns;
	jar->has_cookie = true;
	jar->has_last_mac1 = false;
	return true;
}

void cookie_jar_wipe(struct cookie_jar *jar)
{
	wg_wipe(jar, sizeof(*jar));
}

void cookie_checker_wipe(struct cookie_checker *checker)
{
	wg_wipe(checker, sizeof(*checker));
}
