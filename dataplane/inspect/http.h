/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The head of a flow's first HTTP/1.x request (RFC 9112): method, host, URI; and the preface of HTTP/2 in the clear
 * (RFC 9113 3.4). Pure functions.
 *
 * What is read as an origin would read it: empty lines before the request line are skipped, a bare LF ends a line, host
 * and port of an absolute target win over the Host header (RFC 9112 3.2.2). What origins disagree about gives no host:
 * none or several Host headers, a folded one (obs-fold), white space before its colon, user information, a bad port.
 */
#ifndef DATAPLANE_INSPECT_HTTP_H
#define DATAPLANE_INSPECT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/inspect/names.h"
#include "dataplane/inspect/parse.h"

#define HTTP_METHOD_MAX 32
#define HTTP_LINES_MAX  256 /* of a head; more are given up */

/* Zeroed before the first call; the same for all calls about one stream, so that no byte is read twice. */
struct http_request {
	bool has_method; /* the request line is whole and right */
	bool has_host;   /* the head is whole, with one host */
	bool has_uri;    /* … and a target that has one: not "*" and not that of CONNECT */
	bool too_long;   /* the URI is left out, or the head has too many lines */
	uint16_t method_len, host_len, uri_len;
	char method[HTTP_METHOD_MAX]; /* as sent: methods are case-sensitive */
	char host[NAME_HOST_MAX];     /* as host_copy(); an IPv6 address with its brackets; no port */
	char uri[NAME_URI_MAX];       /* "http://" host, then path and query as sent, not decoded */
	struct http_progress {
		uint32_t at, target, value; /* offsets in the stream: next line, target, the Host header's value */
		uint32_t target_len, value_len;
		uint16_t lines, hosts;
		bool bad;          /* it was BAD, and stays so */
		bool was_host;     /* the line before was a Host header */
		bool host_unclear; /* folded, or white space where none may be */
	} progress;
};

/*
 * The stream from its first byte to as far as it is there. DONE: the head is whole (or is HTTP/0.9: a method without host, or
 * too long). MORE: r has the method when it is known already. BAD: no HTTP request line; then there is no name in r.
 */
enum parse http_request(const uint8_t *stream, size_t len, struct http_request *r);

/* "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n". */
enum parse http2_preface(const uint8_t *stream, size_t len);

#endif
