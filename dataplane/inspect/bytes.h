/* SPDX-License-Identifier: BSD-3-Clause */
/* A cursor over bytes of the network: every take is checked; after one that failed all others fail too. */
#ifndef DATAPLANE_INSPECT_BYTES_H
#define DATAPLANE_INSPECT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
	const uint8_t *p;
	size_t left;
	bool short_of; /* a take wanted more than there was */
};

/* The next n bytes, or NULL when there are fewer. */
static inline const uint8_t *bytes_take(struct bytes *b, size_t n)
{
	const uint8_t *p = b->p;

	if (b->short_of || n > b->left) {
		b->short_of = true;
		return NULL;
	}
	b->p += n;
	b->left -= n;
	return p;
}

/* An unsigned number of n ≤ 4 bytes, big-endian; 0 when there are fewer. */
static inline uint32_t bytes_be(struct bytes *b, unsigned n)
{
	const uint8_t *p = bytes_take(b, n);
	uint32_t v = 0;

	for (unsigned i = 0; p != NULL && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* The next n bytes as a cursor of their own; an empty one that is short when there are fewer. */
static inline struct bytes bytes_sub(struct bytes *b, size_t n)
{
	const uint8_t *p = bytes_take(b, n);

	return (struct bytes){.p = p, .left = p != NULL ? n : 0, .short_of = p == NULL};
}

/* A vector of TLS (RFC 8446 3.4): its length in `prefix` bytes, then the bytes. */
static inline struct bytes bytes_vector(struct bytes *b, unsigned prefix)
{
	size_t n = bytes_be(b, prefix);

	return bytes_sub(b, n);
}

/* A variable-length integer of QUIC (RFC 9000 16). */
static inline uint64_t bytes_varint(struct bytes *b)
{
	const uint8_t *p = bytes_take(b, 1);
	uint64_t v;
	unsigned more;

	if (p == NULL)
		return 0;
	v = *p & 0x3f;
	more = (1u << (*p >> 6)) - 1;
	p = bytes_take(b, more);
	for (unsigned i = 0; p != NULL && i < more; i++)
		v = v << 8 | p[i];
	return p != NULL ? v : 0;
}

#endif
