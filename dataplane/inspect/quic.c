// SPDX-License-Identifier: BSD-3-Clause
// QUIC Initial packets of a client.
#include "dataplane/inspect/quic.h"

#include <string.h>

#include "dataplane/inspect/bytes.h"

#define FORM_LONG  0x80
#define FIXED_BIT  0x40
#define TYPE_SHIFT 4
#define INITIALS_MAX 4 /* of one datagram: more are no client's, and each costs a decryption */

enum frame {
	FRAME_PADDING = 0x00,
	FRAME_PING = 0x01,
	FRAME_ACK = 0x02,
	FRAME_ACK_ECN = 0x03,
	FRAME_CRYPTO = 0x06,
	FRAME_CLOSE = 0x1c
};

enum packet_type { PACKET_INITIAL, PACKET_0RTT, PACKET_HANDSHAKE, PACKET_RETRY };

/* One long-header packet; pointers are into the datagram. */
struct packet {
	uint32_t version;
	enum packet_type type;
	const uint8_t *start, *dcid;
	size_t dcid_len;
	size_t number_offset; /* of the packet number, from start */
	size_t rest;          /* bytes from there to the packet's end */
};

static bool skip_ack(struct bytes *b, bool ecn)
{
	uint64_t ranges;

	bytes_varint(b); /* largest */
	bytes_varint(b); /* delay */
	ranges = bytes_varint(b);
	bytes_varint(b); /* first range */
	for (uint64_t i = 0; i < ranges && !b->short_of; i++) {
		bytes_varint(b); /* gap */
		bytes_varint(b); /* length */
	}
	for (unsigned i = 0; ecn && i < 3; i++)
		bytes_varint(b);
	return !b->short_of;
}

/* Most of a first Initial is padding: frames of one zero byte. */
static void skip_padding(struct bytes *b)
{
	size_t n = 0;

	while (n < b->left && b->p[n] == FRAME_PADDING)
		n++;
	bytes_take(b, n);
}

static enum quic_result read_crypto(struct bytes *b, struct stream *crypto)
{
	uint64_t offset = bytes_varint(b), n = bytes_varint(b);
	const uint8_t *data = bytes_take(b, n);

	if (data == NULL)
		return QUIC_BAD;
	switch (stream_add(crypto, offset, data, n)) {
	case STREAM_CONFLICT:
		return QUIC_CONFLICT;
	case STREAM_FULL:
		return QUIC_BAD;
	default:
		return QUIC_OPENED;
	}
}

enum quic_result quic_initial_frames(const uint8_t *plain, size_t len, struct stream *crypto)
{
	struct bytes b = {.p = plain, .left = len};
	enum quic_result added;

	while (b.left > 0) {
		uint64_t type = bytes_varint(&b);

		if (b.short_of)
			return QUIC_BAD;
		switch (type) {
		case FRAME_PADDING:
			skip_padding(&b);
			break;
		case FRAME_PING:
			break;
		case FRAME_ACK:
		case FRAME_ACK_ECN:
			if (!skip_ack(&b, type == FRAME_ACK_ECN))
				return QUIC_BAD;
			break;
		case FRAME_CRYPTO:
			added = read_crypto(&b, crypto);
			if (added != QUIC_OPENED)
				return added;
			break;
		case FRAME_CLOSE:
			return QUIC_OPENED; /* nothing after it matters */
		default:
			return QUIC_BAD;
		}
	}
	return QUIC_OPENED;
}

static enum packet_type type_of(uint32_t version, uint8_t first)
{
	unsigned type = (first >> TYPE_SHIFT) & 3;

	return (enum packet_type)(version == QUIC_V2 ? (type + 3) & 3 : type); /* RFC 9369 3.2 */
}

/* The next packet of a datagram (RFC 9000 17.2). False: no long header of a version we know, or cut short. */
static bool next_packet(struct bytes *b, struct packet *p)
{
	uint32_t first;
	uint64_t n;

	p->start = b->p;
	first = bytes_be(b, 1);
	p->version = bytes_be(b, 4);
	if (b->short_of || (first & (FORM_LONG | FIXED_BIT)) != (FORM_LONG | FIXED_BIT) ||
	    (p->version != QUIC_V1 && p->version != QUIC_V2))
		return false;
	p->type = type_of(p->version, (uint8_t)first);
	p->dcid_len = bytes_be(b, 1);
	p->dcid = bytes_take(b, p->dcid_len);
	n = bytes_be(b, 1);
	if (p->dcid_len > QUIC_CID_MAX || n > QUIC_CID_MAX)
		return false;
	bytes_take(b, n); /* source connection id */
	if (p->type == PACKET_INITIAL) {
		n = bytes_varint(b);
		bytes_take(b, n); /* token */
	}
	n = bytes_varint(b);
	if (b->short_of || n > b->left)
		return false;
	p->number_offset = (size_t)(b->p - p->start);
	p->rest = n;
	bytes_take(b, n);
	return true;
}

/* RFC 9000 A.3. */
static uint64_t whole_number(uint64_t next, uint64_t truncated, unsigned bytes)
{
	uint64_t window = 1ull << (8 * bytes), candidate = (next & ~(window - 1)) | truncated;

	if (candidate + window / 2 <= next && candidate + window < 1ull << 62)
		return candidate + window;
	if (candidate > next + window / 2 && candidate >= window)
		return candidate - window;
	return candidate;
}

/* Makes the state one of this packet's connection id, unless it is already. */
static void use_keys_of(struct quic_state *q, const struct packet *p)
{
	if (q->version == p->version && q->dcid_len == p->dcid_len && memcmp(q->dcid, p->dcid, p->dcid_len) == 0)
		return;
	q->version = p->version;
	q->dcid_len = (uint8_t)p->dcid_len;
	memcpy(q->dcid, p->dcid, p->dcid_len);
	quic_client_keys(p->version, p->dcid, p->dcid_len, &q->keys);
}

static bool same_connection(const struct packet *a, const struct packet *b)
{
	return a->version == b->version && a->dcid_len == b->dcid_len && memcmp(a->dcid, b->dcid, a->dcid_len) == 0;
}

/* Removes both protections of an Initial. Bytes of the payload, or −1: it does not open. */
static int open_initial(struct quic_state *q, const struct quic_crypto *c, const struct packet *p, uint8_t *plain)
{
	uint8_t header[QUIC_DATAGRAM_MAX], mask[5];
	size_t header_len;
	uint64_t number = 0;
	unsigned number_len;

	if (p->rest < 4 + QUIC_SAMPLE_BYTES)
		return -1;
	use_keys_of(q, p);
	quic_header_mask(c, &q->keys, p->start + p->number_offset + 4, mask);
	number_len = ((p->start[0] ^ mask[0]) & 3u) + 1;
	header_len = p->number_offset + number_len;
	memcpy(header, p->start, header_len);
	header[0] ^= mask[0] & 0x0f;
	for (unsigned i = 0; i < number_len; i++) {
		header[p->number_offset + i] ^= mask[1 + i];
		number = number << 8 | header[p->number_offset + i];
	}
	number = whole_number(q->next_number, number, number_len);
	if (!quic_open(c, &q->keys, number, header, header_len, p->start + header_len, p->rest - number_len, plain))
		return -1;
	q->opened = true;
	q->next_number = number >= q->next_number ? number + 1 : q->next_number;
	return (int)(p->rest - number_len - QUIC_TAG_BYTES);
}

enum quic_result quic_datagram(struct quic_state *q, const struct quic_crypto *c, const uint8_t *datagram, size_t len,
			       struct stream *crypto)
{
	struct bytes b = {.p = datagram, .left = len};
	enum quic_result result = QUIC_NOT;
	uint8_t plain[QUIC_DATAGRAM_MAX];
	struct packet first = {0}, p;
	unsigned initials = 0;

	if (len > QUIC_DATAGRAM_MAX)
		return QUIC_NOT;
	while (b.left > 0 && next_packet(&b, &p)) {
		enum quic_result frames;
		int n;

		if (first.start == NULL)
			first = p;
		if (!same_connection(&first, &p)) /* RFC 9000 12.2: not one to be looked at */
			break;
		if (p.type == PACKET_0RTT && result == QUIC_NOT)
			result = QUIC_EARLY;
		if (p.type != PACKET_INITIAL || initials++ >= INITIALS_MAX)
			continue;
		n = open_initial(q, c, &p, plain);
		if (n < 0)
			continue;
		frames = quic_initial_frames(plain, (size_t)n, crypto);
		if (frames != QUIC_OPENED)
			return frames;
		result = QUIC_OPENED;
	}
	return result;
}
