// SPDX-License-Identifier: BSD-3-Clause
// Fuzzer: a cookie reply that differs from the true one anywhere is never taken.
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
		pair.under_load = true;
		truth = fuzz_answer(&pair, 1, &initiation);
		fuzz_require(truth.len == WG_COOKIE_REPLY_BYTES);
	}
	if (!size)
		return 0;
	result = fuzz_patched(&pair, 0, &truth, data, size, &patched);
	fuzz_require(patched == (result != WG_CONSUMED));
	/* With a raw initiation under load the answer may be a cookie; a cookie reply is never answered. */
	fuzz_require(pair.out.n_tx == 0 || result == WG_DROP_MAC2);
	return 0;
}
