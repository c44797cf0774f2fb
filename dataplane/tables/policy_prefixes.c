// SPDX-License-Identifier: BSD-3-Clause
// Spans of addresses as the fewest prefixes that make them up.
#include "dataplane/tables/policy_internal.h"

#include <stdlib.h>

/* The largest prefix that begins at `first` and does not go beyond `last`; first moves behind it. True: that was all. */
static bool next_prefix(struct ip_addr *first, const struct ip_addr *last, struct ip_prefix *out)
{
	unsigned bits = ip_addr_bits(first), len = bits;
	struct ip_addr end = *first, best = *first;

	while (len > 0) {
		unsigned bit = len - 1;

		if (first->bytes[bit / 8] >> (7 - bit % 8) & 1)
			break;
		end.bytes[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
		if (ip_addr_cmp(&end, last) > 0)
			break;
		best = end;
		len--;
	}
	*out = (struct ip_prefix){.addr = *first, .len = (uint8_t)len};
	if (ip_addr_cmp(&best, last) >= 0)
		return true;
	*first = best;
	for (unsigned i = bits / 8; i-- > 0;)
		if (++first->bytes[i])
			break;
	return false;
}

struct ip_prefix *policy_prefixes_of(const struct policy_span *spans, uint32_t n, uint32_t *count)
{
	struct ip_prefix *out = malloc(sizeof(*out));
	uint32_t room = 1;

	*count = 0;
	for (uint32_t i = 0; out && i < n; i++) {
		struct ip_addr first = spans[i].first;
		bool last = false;

		while (!last) {
			if (*count == room) {
				struct ip_prefix *more = realloc(out, (room *= 2) * sizeof(*out));

				if (!more) {
					free(out);
					return NULL;
				}
				out = more;
			}
			last = next_prefix(&first, &spans[i].last, &out[(*count)++]);
		}
	}
	return out;
}
