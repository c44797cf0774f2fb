/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inspection of one flow: its client's first bytes go in, names come out (names.h). An inspector is an object of fixed
 * size out of a pool that the caller owns; nothing here allocates, waits or knows the time. One thread.
 *
 *   inspect_start, then inspect_segment (TCP) or inspect_datagram (UDP) for each payload of the client until the
 *   answer is INSPECT_FINAL; inspect_end when something else ends it (a timeout, a limit of the caller).
 *
 * After each call `names` says what is known so far: what can no longer come is missing at once, so that a decision need
 * not wait for the rest. Inspection covers the first request alone: TLS ClientHello, HTTP/1.x head, DNS question.
 */
#ifndef DATAPLANE_INSPECT_INSPECT_H
#define DATAPLANE_INSPECT_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/inspect/dns.h"
#include "dataplane/inspect/ends.h"
#include "dataplane/inspect/http.h"
#include "dataplane/inspect/names.h"
#include "dataplane/inspect/quic.h"
#include "dataplane/inspect/stream.h"
#include "dataplane/inspect/tls.h"

enum inspect_transport { INSPECT_TCP, INSPECT_UDP };

enum inspect_step {
	INSPECT_WAIT,  /* more may come */
	INSPECT_AGAIN, /* the same, and the packet brought nothing that was not there */
	INSPECT_FINAL, /* nothing is unseen any more; `end` says why */
	INSPECT_REFUSE /* the packet contradicts bytes that came before it: drop it, nothing has changed */
};

struct inspect_limits {
	uint32_t bytes;   /* of the client's stream, ≤ STREAM_MAX_BYTES */
	uint32_t packets; /* with payload */
};

struct inspector {
	struct names names; /* texts point into `result` and `http` */
	uint8_t transport;  /* enum inspect_transport */
	uint8_t end;        /* enum inspect_end */
	bool fin;           /* the client's stream ends at fin_offset */
	uint16_t packets;
	uint32_t base_seq;
	uint32_t fin_offset;
	struct inspect_limits limits;
	struct quic_state quic;
	union {
		struct tls_hello tls;
		struct dns_question dns;
	} result;
	struct http_request http; /* keeps its place in the stream */
	struct stream stream; /* its bytes are not cleared */
};

/* first_seq: sequence number of the client's first byte (its SYN's plus one), host order; ignored for UDP. */
void inspect_start(struct inspector *in, enum inspect_transport transport, uint32_t first_seq,
		   const struct inspect_limits *limits);

/* A segment of the client, in any order, again, or overlapping; what came first for a byte stays. Sequence number in host order. */
enum inspect_step inspect_segment(struct inspector *in, uint32_t seq, const uint8_t *payload, size_t len, bool fin);

/* A datagram of the client. crypto NULL: QUIC is not recognised. */
enum inspect_step inspect_datagram(struct inspector *in, const struct quic_crypto *crypto, const uint8_t *payload, size_t len);

/* The other side spoke first: some protocols are known by that (SSH). */
enum inspect_step inspect_server_first(struct inspector *in, const uint8_t *payload, size_t len);

/* What is unseen becomes missing, an unseen protocol "unknown". Does nothing when it has ended already. */
void inspect_end(struct inspector *in, enum inspect_end why);

#endif
