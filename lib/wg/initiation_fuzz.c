// SPDX-License-Identifier: BSD-3-Clause
// Fuzzer: an initiation that differs from the true one anywhere is never answered with a response.
#include "lib/wg/fuzz_util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_pair pair;
	static struct wg_datagram truth;
	enum wg_result result;
	bool patched;

	if (!truth.len) {
		fuzz_pair_init(&pair);
		truth = fuzz_initiation(&pair);
	}
	if (!size)
		return 0;
	result = fuzz_patched(&pair, 1, &truth, data, size, &patched);
	fuzz_require(patched ? result >= WG_DROP_TYPE : true);
	fuzz_require(patched || pair.under_load || result == WG_CONSUMED);
	fuzz_require(pair.out.n_tx == (result == WG_CONSUMED || result == WG_DROP_MAC2));
	return 0;
}
