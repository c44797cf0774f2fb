// SPDX-License-Identifier: BSD-3-Clause
// Registers the connector over HTTPS, renews at a third of the lease, tries again for ever, and says goodbye. Runs on a
// thread of its own; the caller's loop is told through a descriptor.
#ifndef SLUICE_CONNECTOR_REGISTRAR_H
#define SLUICE_CONNECTOR_REGISTRAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connector/registration.h"

struct registrar;

struct registrar_config {
	/* all borrowed: they outlive the registrar */
	const char *const *edge; /* registration addresses, host:port; tried in turn */
	size_t edge_count;
	const char *ca_pem; /* the only authority that is trusted */
	const char *account_tag, *tunnel_id, *connector_id, *hostname, *version, *mode;
	const uint8_t *secret;
	size_t secret_bytes;
	bool preserve_source;
	unsigned mtu;
	const uint8_t (*session_keys)[REGISTER_KEY_BYTES]; /* public */
	size_t session_key_count;
	unsigned backoff_min_ms; /* 0: 1,000 */
};

struct registrar_stats {
	uint64_t successes, failures;
	bool registered; /* the last attempt succeeded */
};

/* Starts. NULL with a sentence in err. */
struct registrar *registrar_create(const struct registrar_config *config, char *err, size_t err_len);

/* Readable when registrar_take() has something. */
int registrar_fd(const struct registrar *r);

/* The newest answer not taken yet. */
bool registrar_take(struct registrar *r, struct registration *out);

/* Asks for a registration now (the edges are gone, say); a backoff in progress is not cut short. */
void registrar_kick(struct registrar *r);

/* Stops; says goodbye before (at most `goodbye_ms`, 0: not at all) where a registration stands. Frees. NULL is fine. */
void registrar_destroy(struct registrar *r, unsigned goodbye_ms);

/* Any thread. */
void registrar_stats_get(struct registrar *r, struct registrar_stats *out);

/* The pause before attempt number `failures` + 1 after so many failures in a row: doubles from min_ms to a minute, less
 * up to a half by `random` (any 32 bits), so that connectors of one outage come back apart. */
unsigned registrar_backoff_ms(unsigned failures, unsigned min_ms, uint32_t random);

#endif
