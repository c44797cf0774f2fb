// SPDX-License-Identifier: BSD-3-Clause
// Fuzzer of the registration bodies: the first byte chooses the request.
#include "ctrl/register/body.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *(*const parsers[])(const char *, size_t, struct register_request *) = {
		register_body_challenge, register_body_register, register_body_goodbye};
	struct register_request r;
	unsigned which;

	if (!size)
		return 0;
	which = data[0] % 3;
	memset(&r, 0, sizeof(r));
	if (parsers[which]((const char *)data + 1, size - 1, &r))
		return 0;
	if (!r.account_tag[0] || !r.tunnel_id[0] || r.session_key_count > REGISTER_SESSION_KEYS_MAX)
		abort();
	if (which == 1 && (!r.session_key_count || !r.mtu || !r.hostname[0]))
		abort();
	return 0;
}
