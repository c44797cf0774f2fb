/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WireGuard on the wire (paper, section 5.4) and the constants of its timers (section 6). Integers are little-endian.
 * Everything here is pure; any thread.
 */
#ifndef LIB_WG_WIRE_H
#define LIB_WG_WIRE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WG_KEY_BYTES 32
#define WG_HASH_BYTES 32
#define WG_MAC_BYTES 16
#define WG_TAG_BYTES 16
#define WG_COOKIE_BYTES 16
#define WG_COOKIE_NONCE_BYTES 24
#define WG_TAI64N_BYTES 12

#define WG_NS_PER_S UINT64_C(1000000000)
#define WG_NS_PER_MS UINT64_C(1000000)

/* Section 6.1 */
#define WG_REKEY_AFTER_MESSAGES (UINT64_C(1) << 60)
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - (UINT64_C(1) << 13)) /* 2^64 - 2^13 - 1 */
#define WG_REKEY_AFTER_TIME_NS (120 * WG_NS_PER_S)
#define WG_REJECT_AFTER_TIME_NS (180 * WG_NS_PER_S)
#define WG_REKEY_ATTEMPT_TIME_NS (90 * WG_NS_PER_S)
#define WG_REKEY_TIMEOUT_NS (5 * WG_NS_PER_S)
#define WG_KEEPALIVE_TIMEOUT_NS (10 * WG_NS_PER_S)
/* Jitter on top of each retry: below a third of a second. */
#define WG_REKEY_JITTER_MAX_NS (333 * WG_NS_PER_MS)
/* Keys and handshakes are wiped that long after the last handshake. */
#define WG_ZERO_KEYS_AFTER_NS (3 * WG_REJECT_AFTER_TIME_NS)
/* Section 5.4.7: age of the responder's cookie secret, and of a cookie in the initiator's hands. */
#define WG_COOKIE_LIFETIME_NS (120 * WG_NS_PER_S)
/* At most this many initiations of one peer are accepted in a second. */
#define WG_INITIATIONS_PER_SECOND 50
#define WG_INITIATION_INTERVAL_NS (WG_NS_PER_S / WG_INITIATIONS_PER_SECOND)
/* Under load, by source address (the front door and the handshake queue use these). */
#define WG_HANDSHAKES_PER_SECOND_PER_SOURCE 20
#define WG_HANDSHAKES_BURST_PER_SOURCE 5

#define WG_INITIATION_BYTES 148
#define WG_RESPONSE_BYTES 92
#define WG_COOKIE_REPLY_BYTES 64
#define WG_DATA_HEADER_BYTES 16
#define WG_DATA_OVERHEAD_BYTES (WG_DATA_HEADER_BYTES + WG_TAG_BYTES)
#define WG_DATA_MIN_BYTES WG_DATA_OVERHEAD_BYTES
#define WG_PADDING_BYTES 16

enum wg_message_type {
	WG_BAD_LENGTH = -1, /* a known type of a wrong length */
	WG_BAD_TYPE = 0,    /* unknown type, reserved bytes not zero, or shorter than four bytes */
	WG_INITIATION = 1,
	WG_RESPONSE = 2,
	WG_COOKIE_REPLY = 3,
	WG_DATA = 4,
};

struct wg_macs {
	uint8_t mac1[WG_MAC_BYTES];
	uint8_t mac2[WG_MAC_BYTES];
};

struct wg_initiation {
	uint32_t type_le; /* type in the low byte, three reserved zero bytes */
	uint32_t sender_le;
	uint8_t ephemeral[WG_KEY_BYTES];
	uint8_t enc_static[WG_KEY_BYTES + WG_TAG_BYTES];
	uint8_t enc_timestamp[WG_TAI64N_BYTES + WG_TAG_BYTES];
	struct wg_macs macs;
} __attribute__((packed));
static_assert(sizeof(struct wg_initiation) == WG_INITIATION_BYTES, "initiation is 148 bytes");

struct wg_response {
	uint32_t type_le;
	uint32_t sender_le;
	uint32_t receiver_le;
	uint8_t ephemeral[WG_KEY_BYTES];
	uint8_t enc_empty[WG_TAG_BYTES];
	struct wg_macs macs;
} __attribute__((packed));
static_assert(sizeof(struct wg_response) == WG_RESPONSE_BYTES, "response is 92 bytes");

struct wg_cookie_reply {
	uint32_t type_le;
	uint32_t receiver_le;
	uint8_t nonce[WG_COOKIE_NONCE_BYTES];
	uint8_t enc_cookie[WG_COOKIE_BYTES + WG_TAG_BYTES];
} __attribute__((packed));
static_assert(sizeof(struct wg_cookie_reply) == WG_COOKIE_REPLY_BYTES, "cookie reply is 64 bytes");

struct wg_data {
	uint32_t type_le;
	uint32_t receiver_le;
	uint64_t counter_le;
	/* encrypted inner packet, then the tag */
} __attribute__((packed));
static_assert(sizeof(struct wg_data) == WG_DATA_HEADER_BYTES, "data header is 16 bytes");

static inline uint32_t wg_get_le32(const void *from)
{
	const uint8_t *b = from;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t wg_get_le64(const void *from)
{
	return (uint64_t)wg_get_le32(from) | (uint64_t)wg_get_le32((const uint8_t *)from + 4) << 32;
}

static inline void wg_put_le32(void *to, uint32_t value)
{
	uint8_t b[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
			(uint8_t)(value >> 24)};

	memcpy(to, b, sizeof(b));
}

static inline void wg_put_le64(void *to, uint64_t value)
{
	wg_put_le32(to, (uint32_t)value);
	wg_put_le32((uint8_t *)to + 4, (uint32_t)(value >> 32));
}

/*
 * What a UDP payload claims to be: type byte, reserved bytes and exact length are checked (data: at least 32, any
 * length from there, since padding is cut at the MTU). buf may be NULL when len is 0.
 */
static inline enum wg_message_type wg_message_type(const void *buf, size_t len)
{
	if (len < 4)
		return WG_BAD_TYPE;
	switch (wg_get_le32(buf)) {
	case WG_INITIATION:
		return len == WG_INITIATION_BYTES ? WG_INITIATION : WG_BAD_LENGTH;
	case WG_RESPONSE:
		return len == WG_RESPONSE_BYTES ? WG_RESPONSE : WG_BAD_LENGTH;
	case WG_COOKIE_REPLY:
		return len == WG_COOKIE_REPLY_BYTES ? WG_COOKIE_REPLY : WG_BAD_LENGTH;
	case WG_DATA:
		return len >= WG_DATA_MIN_BYTES ? WG_DATA : WG_BAD_LENGTH;
	default:
		return WG_BAD_TYPE;
	}
}

/*
 * Length of the plaintext of a data message that carries inner_len bytes: padded to 16, but never past the MTU of the
 * tunnel (mtu 0: no cap). An inner packet longer than the MTU is not padded. 0 stays 0: a keepalive.
 */
static inline uint32_t wg_padded_len(uint32_t inner_len, uint32_t mtu)
{
	uint32_t padded = (inner_len + (WG_PADDING_BYTES - 1)) & ~(uint32_t)(WG_PADDING_BYTES - 1);

	if (mtu && padded > mtu)
		padded = inner_len > mtu ? inner_len : mtu;
	return padded;
}

/* Writes the 16 bytes before the ciphertext. */
static inline void wg_data_header(uint8_t to[WG_DATA_HEADER_BYTES], uint32_t receiver,
				  uint64_t counter)
{
	wg_put_le32(to, WG_DATA);
	wg_put_le32(to + 4, receiver);
	wg_put_le64(to + 8, counter);
}

static inline uint32_t wg_data_receiver(const uint8_t *message)
{
	return wg_get_le32(message + 4);
}

static inline uint64_t wg_data_counter(const uint8_t *message)
{
	return wg_get_le64(message + 8);
}

/*
 * Length of the IP packet at the start of a decrypted, maybe padded plaintext, from its own header (IPv4 total length,
 * IPv6 payload length + 40), or 0 when it is neither IPv4 nor IPv6, or is longer than len.
 */
static inline uint32_t wg_inner_len(const uint8_t *inner, uint32_t len)
{
	uint32_t total;

	if (len >= 20 && inner[0] >> 4 == 4) {
		total = (uint32_t)inner[2] << 8 | inner[3];
		return total >= 20 && total <= len ? total : 0;
	}
	if (len >= 40 && inner[0] >> 4 == 6) {
		total = ((uint32_t)inner[4] << 8 | inner[5]) + 40;
		return total <= len ? total : 0;
	}
	return 0;
}

/* Source of randomness for those who need it more than once: fills len bytes at to. */
struct wg_random {
	void (*fill)(void *arg, void *to, size_t len);
	void *arg;
};

#endif
