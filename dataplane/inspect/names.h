/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What inspection has learned of a flow's first payload: the seam between dataplane/inspect (which fills it) and
 * dataplane/tables/policy* (which reads it). Three states a name (decision 8): unseen while inspection runs and could
 * still find it, missing once it is certain that there is none, known. Texts are the client's claim: any bytes.
 */
#ifndef DATAPLANE_INSPECT_NAMES_H
#define DATAPLANE_INSPECT_NAMES_H

#include <stdint.h>

/* One list feeds the enum, net.detected_protocol and the flow log. PROTOCOL(id, "name") */
#define DETECTED_PROTOCOLS(PROTOCOL)                                                                        \
	PROTOCOL(NONE, "unknown")                                                                           \
	PROTOCOL(TLS, "tls")                                                                                \
	PROTOCOL(TLS_ECH, "tls-ech") /* encrypted ClientHello: its outer name is not the name (decision 10) */ \
	PROTOCOL(HTTP, "http")                                                                              \
	PROTOCOL(HTTP2, "http2") /* prior-knowledge preface, in the clear */                                 \
	PROTOCOL(QUIC, "quic")                                                                              \
	PROTOCOL(DNS, "dns")                                                                                \
	PROTOCOL(SSH, "ssh")

enum detected_protocol {
#define PROTOCOL(id, name) DETECTED_##id,
	DETECTED_PROTOCOLS(PROTOCOL)
#undef PROTOCOL
	DETECTED_COUNT
};

const char *detected_protocol_name(enum detected_protocol p);

enum name_state { NAME_UNSEEN, NAME_MISSING, NAME_KNOWN };

struct name_text {
	uint8_t state;    /* enum name_state */
	uint16_t len;     /* NAME_KNOWN: bytes */
	const char *text; /* not terminated; in the inspector's memory, for the length of the call */
};

#define NAME_HOST_MAX 255  /* host names, lower case, without the dot at the end */
#define NAME_URI_MAX  2048 /* "http://" host path */
#define NAME_DNS_MAX  1008 /* name of a DNS question, as zone files write it: up to 4 characters a byte */

struct names {
	uint8_t protocol_state; /* enum name_state of net.detected_protocol */
	uint8_t protocol;       /* enum detected_protocol */
	struct name_text sni;         /* net.sni.host; net.sni.domains is it and its parents */
	struct name_text http_host;   /* http.request.host, without port */
	struct name_text http_uri;
	struct name_text http_method;
	struct name_text dns_fqdn;
};

/* Nothing can come any more: a flow that ended, or had its say, without a name. */
extern const struct names names_missing;

/* Everything unseen: a flow whose inspection begins (or has not). */
#define NAMES_UNSEEN ((struct names){0})

#endif
