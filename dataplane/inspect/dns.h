/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The question of a DNS query (RFC 1035 4), in a datagram or behind the two length bytes of TCP (RFC 7766 8). Told from
 * other traffic by its header alone, whatever the port: a standard query with no answers. Pure functions.
 */
#ifndef DATAPLANE_INSPECT_DNS_H
#define DATAPLANE_INSPECT_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/inspect/names.h"
#include "dataplane/inspect/parse.h"

struct dns_question {
	bool has_name;   /* one question, whole and right */
	uint16_t type;   /* host order */
	uint16_t len;
	char name[NAME_DNS_MAX]; /* lower case, without the dot at the end; the root is "." */
};

/*
 * A whole message. BAD: no query. DONE without a name: a query whose question cannot be read for certain (none or several,
 * cut short, a compression pointer, which a first question cannot have, label types, length). Bytes that would be read as
 * something else ('.' and '\' in a label, controls, beyond ASCII) are written as zone files do: \. \\ \DDD.
 */
enum parse dns_query(const uint8_t *message, size_t len, struct dns_question *out);

/* The same with its length in front; MORE until all of it is there. Lengths below 17 or beyond 4,096 are BAD. */
enum parse dns_tcp_query(const uint8_t *stream, size_t len, struct dns_question *out);

#endif
