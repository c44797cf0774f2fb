// SPDX-License-Identifier: BSD-3-Clause
// What the registration server answers (docs/protocols.md, 2). Pure.
#ifndef SLUICE_CONNECTOR_REGISTRATION_H
#define SLUICE_CONNECTOR_REGISTRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ip.h"
#include "lib/register_proof.h"

#define REGISTRATION_EDGES_MAX 8
#define REGISTRATION_ENDPOINTS_MAX 16
#define REGISTRATION_EDGE_KEYS_MAX 2
#define REGISTRATION_NETWORKS_MAX 8

struct registration_edge {
	char id[65];
	unsigned workers; /* ≥ 1 */
	uint8_t keys[REGISTRATION_EDGE_KEYS_MAX][REGISTER_KEY_BYTES];
	unsigned key_count; /* ≥ 1 */
	struct ip_endpoint endpoints[REGISTRATION_ENDPOINTS_MAX];
	unsigned endpoint_count; /* ≥ 1 */
};

struct registration {
	unsigned lease_s;  /* 5–86,400 */
	unsigned sessions; /* 1–8: how many of our keys may be used */
	unsigned mtu;	   /* 1,280–9,000 */
	char tunnel_name[129];
	struct ip_prefix device_networks[REGISTRATION_NETWORKS_MAX]; /* where the account's devices are */
	size_t device_network_count;
	struct registration_edge edges[REGISTRATION_EDGES_MAX];
	unsigned edge_count; /* may be 0: no edge is there yet */
};

/* Reads the 200 answer of /v1/register. Unknown keys are passed over (a newer server may say more); edges and endpoints
 * beyond our room too. NULL, or a few static words that say what is wrong. */
const char *registration_parse(const char *text, size_t length, struct registration *out);

/* Reads the nonce of a /v1/challenge answer. False: not of the form. */
bool registration_parse_nonce(const char *text, size_t length, uint8_t nonce[REGISTER_NONCE_BYTES]);

#endif
