// SPDX-License-Identifier: BSD-3-Clause
// Fuzzer: a response that differs from the true one anywhere never makes a session.
#include "lib/wg/fuzz_util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_pair pair;
	static struct wg_datagram truth;
	enum wg_result result;
	bool patched;

	if (!truth.len) {
		struct wg_datagram initiation;

		fuzz_pair_init(&pair);
		initiation = fuzz_initiation(&pair);
		truth = fuzz_answer(&pair, 1, &initiation);
		fuzz_require(truth.len == WG_RESPONSE_BYTES);
	}
	if (!size)
		return 0;
	result = fuzz_patched(&pair, 0, &truth, data, size, &patched);
	fuzz_require(patched ? result >= WG_DROP_TYPE : true);
	fuzz_require(patched || pair.under_load || result == WG_CONSUMED);
	fuzz_require(pair.out.ready == (result == WG_CONSUMED));
	return 0;
}
