/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's first QUIC datagrams (RFC 9000, 9001, 9369): opens the Initial packets of versions 1 and 2 and puts the
 * CRYPTO frames together, over coalesced packets and several datagrams. Pure but for the keys it keeps; no allocation.
 */
#ifndef DATAPLANE_INSPECT_QUIC_H
#define DATAPLANE_INSPECT_QUIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/inspect/quic_keys.h"
#include "dataplane/inspect/stream.h"

#define QUIC_CID_MAX      20   /* RFC 9000 17.2 */
#define QUIC_DATAGRAM_MAX 4096 /* longer ones are not looked at */

/* What is kept between the datagrams of one flow; zeroed at its begin. */
struct quic_state {
	bool opened; /* some Initial was */
	uint8_t dcid_len;
	uint32_t version; /* 0: no keys yet; then those of version and dcid */
	uint64_t next_number; /* largest packet number so far + 1 */
	uint8_t dcid[QUIC_CID_MAX];
	struct quic_keys keys;
};

enum quic_result {
	QUIC_NOT,     /* nothing in it is an Initial that opens; also versions we do not know */
	QUIC_EARLY,   /* as QUIC_NOT, but it looks like 0-RTT of a known version: the Initial may have been overtaken */
	QUIC_OPENED,  /* an Initial was opened, its CRYPTO frames are in the stream */
	QUIC_BAD,     /* an Initial was opened and breaks the protocol: no server will answer it */
	QUIC_CONFLICT /* … or says other bytes for an offset than before */
};

enum quic_result quic_datagram(struct quic_state *q, const struct quic_crypto *c, const uint8_t *datagram, size_t len,
			       struct stream *crypto);

/* The frames of one opened Initial: PADDING, PING, ACK, CRYPTO, CONNECTION_CLOSE (RFC 9000 12.4). */
enum quic_result quic_initial_frames(const uint8_t *plain, size_t len, struct stream *crypto);

#endif
