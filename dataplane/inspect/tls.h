/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The name in a TLS ClientHello (RFC 8446, RFC 6066 3, draft-ietf-tls-esni), from records in the clear or from a bare handshake
 * message as QUIC carries it. Pure functions.
 */
#ifndef DATAPLANE_INSPECT_TLS_H
#define DATAPLANE_INSPECT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/inspect/names.h"
#include "dataplane/inspect/parse.h"

#define TLS_ALPN_MAX 64

struct tls_hello {
	bool ech; /* encrypted_client_hello is there (real or grease: nobody can tell): the name is the outer one */
	uint16_t sni_len; /* 0: no usable name */
	uint16_t alpn_len;
	char sni[NAME_HOST_MAX]; /* as host_copy() */
	char alpn[TLS_ALPN_MAX]; /* the protocols in order, with commas; cut at a whole one */
};

/*
 * A handshake message from its first byte. MORE also gives *need, bytes of the whole message (0: not known yet). BAD: no
 * ClientHello, or one whose lengths do not fit; out is then empty. A server_name extension that is malformed, repeated,
 * or names no host leaves sni_len 0 and the hello right.
 */
enum parse tls_client_hello(const uint8_t *message, size_t len, struct tls_hello *out, size_t *need);

/*
 * The same from a stream of records: handshake records may be cut anywhere, also inside the message's header. Other
 * records, empty ones (RFC 8446 5.1) and lengths beyond 2^14 are BAD. The message may take up to `max` bytes, at most
 * 16 KiB, in up to 64 records; for more the answer is MORE with *need beyond max.
 */
enum parse tls_records_hello(const uint8_t *stream, size_t len, size_t max, struct tls_hello *out, size_t *need);

#endif
