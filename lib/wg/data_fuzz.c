// SPDX-License-Identifier: BSD-3-Clause
// Fuzzer: a data message that differs from the true one anywhere is never delivered; inner lengths never lie.
#include "lib/wg/fuzz_util.h"

static uint8_t packet[256];

static void begin(struct fuzz_pair *pair, struct wg_datagram *truth)
{
	struct wg_datagram message;
	int len;

	fuzz_pair_init(pair);
	message = fuzz_initiation(pair);
	message = fuzz_answer(pair, 1, &message);
	message = fuzz_answer(pair, 0, &message);
	fuzz_require(fuzz_give(pair, 1, message.bytes, message.len) == WG_CONSUMED);
	len = wg_peer_send(&pair->peers[0], packet, 60, 1420, FUZZ_NOW_NS, &pair->out);
	fuzz_require(len == 96);
	truth->len = (uint16_t)len;
	memcpy(truth->bytes, packet, (size_t)len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_pair pair;
	static struct wg_datagram truth;
	enum wg_result result;
	bool patched;

	if (!truth.len)
		begin(&pair, &truth);
	if (!size)
		return 0;
	result = fuzz_patched(&pair, 1, &truth, data, size, &patched);
	fuzz_require(patched == (result != WG_INNER));
	if (size >= 20)
		fuzz_require(wg_inner_len(data, (uint32_t)size) <= size);
	return 0;
}
