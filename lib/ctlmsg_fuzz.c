// SPDX-License-Identifier: BSD-3-Clause
// Fuzzer of ctlmsg_decode(): no overread, and whatever it takes encodes to what it takes again.
#include "lib/ctlmsg.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t packet[CTLMSG_PACKET_MAX_BYTES];
	struct ctlmsg msg, again;

	ctlmsg_is_addressed(data, size);
	for (int from = CTLMSG_FROM_EDGE; from <= CTLMSG_FROM_CONNECTOR; from++) {
		enum ctlmsg_side side = (enum ctlmsg_side)from;
		int n;

		if (ctlmsg_decode(data, size, side, &msg))
			continue;
		n = ctlmsg_encode(&msg, side, packet, sizeof(packet));
		if (n < 0 || ctlmsg_decode(packet, (size_t)n, side, &again) ||
		    memcmp(&msg, &again, sizeof(msg)))
			abort();
	}
	return 0;
}
