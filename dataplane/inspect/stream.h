/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first bytes of one direction, put together from pieces in any order (TCP segments, QUIC CRYPTO frames). Bounded;
 * the first byte seen for an offset wins, and a piece that says otherwise is refused whole, so that the caller can keep
 * it from the far end too. Pure; one thread.
 */
#ifndef DATAPLANE_INSPECT_STREAM_H
#define DATAPLANE_INSPECT_STREAM_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_MAX_BYTES  16384
#define STREAM_MAX_RANGES 64 /* pieces that do not touch each other */

struct stream {
	uint16_t limit; /* bytes kept, ≤ STREAM_MAX_BYTES */
	uint16_t n_ranges;
	struct stream_range {
		uint16_t begin, end;
	} ranges[STREAM_MAX_RANGES]; /* ascending, with gaps between them */
	uint8_t bytes[STREAM_MAX_BYTES];
};

enum stream_add {
	STREAM_NEW,      /* some of its bytes were not there */
	STREAM_SEEN,     /* all of it below the limit was there, the same; also an empty piece */
	STREAM_CONFLICT, /* differs from what came first: nothing taken */
	STREAM_FULL      /* one range too many: nothing taken */
};

/* limit above STREAM_MAX_BYTES counts as that. The bytes are not cleared: only what ranges name is ever read. */
void stream_init(struct stream *s, uint32_t limit);
/* Bytes at or beyond the limit are left out. */
enum stream_add stream_add(struct stream *s, uint64_t offset, const uint8_t *data, size_t len);

/* Bytes from offset 0 without a gap. */
static inline size_t stream_prefix(const struct stream *s)
{
	return s->n_ranges > 0 && s->ranges[0].begin == 0 ? s->ranges[0].end : 0;
}

#endif
