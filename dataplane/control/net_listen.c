// SPDX-License-Identifier: BSD-3-Clause
// Which endpoints the edge listens on: the configured ones, "any" spelled out over the local addresses.
#include "dataplane/control/net.h"

#include <string.h>
#include <sys/socket.h>

#include "dataplane/outer/outer.h"

static bool to_ip(const struct outer_addr *from, struct ip_addr *to)
{
	memset(to, 0, sizeof(*to));
	to->family = from->family == AF_INET ? 4 : 6;
	memcpy(to->bytes, from->b, to->family == 4 ? 4 : 16);
	return !ip_addr_is_martian(to);
}

static bool is_any(const struct listen_address *l)
{
	static const uint8_t zero[16];

	return !memcmp(l->address, zero, sizeof(zero));
}

size_t net_expand(const struct listen_address *listen, unsigned n_listen, const struct outer_local *locals,
		  size_t n_locals, struct ip_endpoint *out, size_t max)
{
	size_t n = 0;

	for (unsigned i = 0; i < n_listen; i++) {
		const struct listen_address *l = &listen[i];

		for (size_t k = 0; k < n_locals; k++) {
			struct ip_endpoint e = {.port = l->port};
			bool known = false;

			if (!to_ip(&locals[k].addr, &e.addr) || e.addr.family != l->family || locals[k].tentative)
				continue;
			if (!is_any(l) && memcmp(e.addr.bytes, l->address, 16) != 0)
				continue;
			for (size_t j = 0; j < n && !known; j++)
				known = out[j].port == e.port && !ip_addr_cmp(&out[j].addr, &e.addr);
			if (!known && n < max)
				out[n++] = e;
		}
	}
	return n;
}
