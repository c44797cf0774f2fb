// SPDX-License-Identifier: BSD-3-Clause
// Words for the protocols that inspection knows.
#include "dataplane/inspect/names.h"

#include <stddef.h>

static const char *const names[DETECTED_COUNT] = {
#define PROTOCOL(id, name) [DETECTED_##id] = name,
	DETECTED_PROTOCOLS(PROTOCOL)
#undef PROTOCOL
};

const char *detected_protocol_name(enum detected_protocol p)
{
	return (unsigned)p < DETECTED_COUNT ? names[p] : names[DETECTED_NONE];
}

const struct names names_missing = {
	.protocol_state = NAME_KNOWN,
	.protocol = DETECTED_NONE,
	.sni.state = NAME_MISSING,
	.http_host.state = NAME_MISSING,
	.http_uri.state = NAME_MISSING,
	.http_method.state = NAME_MISSING,
	.dns_fqdn.state = NAME_MISSING,
};
