// SPDX-License-Identifier: BSD-3-Clause
// Fuzzer: any bytes as an inner packet; what parses must stay in bounds in everything that follows the parser.
#include <stdlib.h>
#include <string.h>

#include "dataplane/stages/icmp_error.h"
#include "dataplane/stages/inner.h"
#include "dataplane/stages/tcp_reset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t source[16] = {0xfd, [15] = 1};
	uint8_t out[ICMP_ERROR_MAX_BYTES];
	struct inner_info info, quote;
	uint8_t *copy;

	if (size > 65535 || inner_parse(data, (unsigned)size, &info) != INNER_OK)
		return 0;
	if (info.length > size || info.l4_offset > info.length)
		abort();
	copy = malloc(info.length);
	memcpy(copy, data, info.length);
	if (info.icmp_error)
		inner_parse_quote(copy + info.l4_offset + 8, info.length - info.l4_offset - 8u, info.family, &quote);
	for (unsigned e = ICMP_ERROR_NO_ROUTE; e <= ICMP_ERROR_TOO_BIG; e++)
		if (icmp_error_build((enum icmp_error)e, copy, info.length, source, 1280, out) > sizeof(out))
			abort();
	inner_ecn_decapsulate(copy, info.family, 3);
	inner_ttl_decrement(copy, info.family);
	if (info.family == 4 && inner_parse(copy, info.length, &info) != INNER_OK)
		abort(); /* the checksum must have been kept right */
	free(copy);
	/* a reset is a good packet, and calls for none itself */
	for (unsigned to_sender = 0; to_sender < 2; to_sender++) {
		uint8_t reset[TCP_RESET_MAX_BYTES];
		unsigned n = tcp_reset_build(data, (unsigned)size, to_sender, reset);
		struct inner_info r;

		if (n > 0 && (inner_parse(reset, n, &r) != INNER_OK || r.proto != INNER_TCP || tcp_reset_build(reset, n, true, reset) != 0))
			abort();
	}
	return 0;
}
