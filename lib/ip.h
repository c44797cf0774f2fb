// SPDX-License-Identifier: BSD-3-Clause
// Addresses, prefixes and endpoints as text and as bytes. Pure: no I/O, no names resolved, no globals.
#ifndef SLUICE_LIB_IP_H
#define SLUICE_LIB_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any text that the formatters below write, NUL included. */
#define IP_ADDR_TEXT	 46
#define IP_PREFIX_TEXT	 50
#define IP_ENDPOINT_TEXT 56

struct ip_addr {
	uint8_t family;	   /* 4 or 6 */
	uint8_t bytes[16]; /* network byte order; IPv4 in the first four, the rest zero */
};

struct ip_prefix {
	struct ip_addr addr; /* bits past len are zero */
	uint8_t len;	     /* 0–32 or 0–128 */
};

struct ip_endpoint {
	struct ip_addr addr;
	uint16_t port; /* host byte order, 1–65535 */
};

/* Dotted quad without leading zeros, or IPv6 as in RFC 4291 (no zone, no brackets). False for anything else. */
bool ip_addr_parse(const char *text, struct ip_addr *out);

/* RFC 5952 text into out (≥ IP_ADDR_TEXT bytes); returns out. */
char *ip_addr_format(const struct ip_addr *a, char *out);

/* Orders IPv4 before IPv6, then by value: < 0, 0, > 0. */
int ip_addr_cmp(const struct ip_addr *a, const struct ip_addr *b);

/* 32 or 128. */
unsigned ip_addr_bits(const struct ip_addr *a);

/* Parses "10.0.0.0/8". 0, or -EINVAL with a sentence in err (≥ 1 byte) that begins with the text (escaped), such as
 * "10.0.0.1/8: host bits are set" or "10.0.0.0: no prefix length". A bare address is taken as /32 or /128 where
 * `bare` is true. The caller puts the field's name before the sentence. */
int ip_prefix_parse(const char *text, bool bare, struct ip_prefix *out, char *err, size_t err_len);

/* Canonical text into out (≥ IP_PREFIX_TEXT bytes), always with the length; returns out. */
char *ip_prefix_format(const struct ip_prefix *p, char *out);

/* Orders by address, then shorter prefix first. */
int ip_prefix_cmp(const struct ip_prefix *a, const struct ip_prefix *b);

/* True if a lies in p (same family). */
bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_addr *a);

/* True if every address of inner lies in outer (equal counts). */
bool ip_prefix_covers(const struct ip_prefix *outer, const struct ip_prefix *inner);

/* True if the two have an address in common. */
bool ip_prefix_overlaps(const struct ip_prefix *a, const struct ip_prefix *b);

/* Clears the bits of a past the first len. */
void ip_addr_mask(struct ip_addr *a, unsigned len);

/* Adds n to a (wraps at the top of the family). */
void ip_addr_add(struct ip_addr *a, uint64_t n);

/* True for an inner source or destination that is never forwarded: 0/8, 127/8, 169.254/16, 224/4, 240/4, ::, ::1,
 * fe80::/10, ff00::/8, ::ffff:0:0/96. Documentation and benchmark ranges are not martian. */
bool ip_addr_is_martian(const struct ip_addr *a);

/* True if the whole prefix is martian. */
bool ip_prefix_is_martian(const struct ip_prefix *p);

/* "203.0.113.1:51820" or "[2001:db8::1]:51820"; a port of 1–65535 is needed. False for anything else. */
bool ip_endpoint_parse(const char *text, struct ip_endpoint *out);

/* Text into out (≥ IP_ENDPOINT_TEXT bytes), IPv6 in brackets; returns out. */
char *ip_endpoint_format(const struct ip_endpoint *e, char *out);

/* Splits "host:port", "[v6]:port" into host (without brackets, NUL-terminated, at most host_len bytes) and port
 * (0–65535). The host is an address or a DNS name of letters, digits, '-', '_' and '.' (≤ 253 bytes); only an IPv6
 * address may and must stand in brackets. False for anything else. */
bool ip_hostport_split(const char *text, char *host, size_t host_len, uint16_t *port);

#endif
