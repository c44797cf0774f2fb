// SPDX-License-Identifier: BSD-3-Clause
/* Any bytes as a frame: the parser reads nothing behind them, and what it says lies inside them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/outer_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outer_headers h;
	uint8_t *frame = malloc(size + 1); /* exactly as long as the frame, but for malloc(0) */

	if (!frame)
		return 0;
	memcpy(frame + 1, data, size);
	enum outer_parse_result res = outer_parse(frame + 1, frame + 1 + size, (uint32_t)size, &h);

	if (res == OUTER_PARSE_UDP) {
		if (h.payload_off + h.payload_len > size || h.l4_off + 8 != h.payload_off ||
		    h.l3_off + 20 > h.l4_off)
			abort();
	}
	if (res != OUTER_PARSE_OTHER) {
		enum outer_verdict verdict = outer_judge(res, &h);

		if (h.family != 4 && h.family != 6)
			abort();
		if ((verdict == OUTER_DATA && h.payload_len < 32) || (verdict == OUTER_HANDSHAKE && h.payload_len < 64))
			abort();
	}
	free(frame);
	return 0;
}
