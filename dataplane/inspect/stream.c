// SPDX-License-Identifier: BSD-3-Clause
// Reassembly of a flow's first bytes.
#include "dataplane/inspect/stream.h"

#include <stdbool.h>
#include <string.h>

void stream_init(struct stream *s, uint32_t limit)
{
	s->limit = (uint16_t)(limit < STREAM_MAX_BYTES ? limit : STREAM_MAX_BYTES);
	s->n_ranges = 0;
}

/* True when every byte of [begin, end) that is there already is the same as in data. */
static bool agrees(const struct stream *s, uint16_t begin, uint16_t end, const uint8_t *data)
{
	for (unsigned i = 0; i < s->n_ranges; i++) {
		uint16_t from = s->ranges[i].begin > begin ? s->ranges[i].begin : begin;
		uint16_t to = s->ranges[i].end < end ? s->ranges[i].end : end;

		if (from < to && memcmp(s->bytes + from, data + (from - begin), (size_t)(to - from)) != 0)
			return false;
	}
	return true;
}

/* Joins [begin, end) with all ranges that it touches. False: it would be one range too many. */
static bool join(struct stream *s, uint16_t begin, uint16_t end)
{
	unsigned first = 0, last;

	while (first < s->n_ranges && s->ranges[first].end < begin)
		first++;
	last = first; /* ranges first … last−1 touch it */
	while (last < s->n_ranges && s->ranges[last].begin <= end) {
		begin = s->ranges[last].begin < begin ? s->ranges[last].begin : begin;
		end = s->ranges[last].end > end ? s->ranges[last].end : end;
		last++;
	}
	if (first == last && s->n_ranges == STREAM_MAX_RANGES)
		return false;
	memmove(&s->ranges[first + 1], &s->ranges[last], (s->n_ranges - last) * sizeof(s->ranges[0]));
	s->ranges[first] = (struct stream_range){begin, end};
	s->n_ranges = (uint16_t)(s->n_ranges + 1 - (last - first));
	return true;
}

enum stream_add stream_add(struct stream *s, uint64_t offset, const uint8_t *data, size_t len)
{
	uint16_t begin, end;

	if (len == 0 || offset >= s->limit)
		return STREAM_SEEN;
	begin = (uint16_t)offset;
	end = (uint16_t)(len < (size_t)(s->limit - begin) ? begin + len : s->limit);
	if (!agrees(s, begin, end, data))
		return STREAM_CONFLICT;
	for (unsigned i = 0; i < s->n_ranges; i++)
		if (s->ranges[i].begin <= begin && end <= s->ranges[i].end)
			return STREAM_SEEN;
	if (!join(s, begin, end))
		return STREAM_FULL;
	memcpy(s->bytes + begin, data, (size_t)(end - begin));
	return STREAM_NEW;
}
