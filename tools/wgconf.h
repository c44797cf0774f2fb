// SPDX-License-Identifier: BSD-3-Clause
// Configuration of a stock WireGuard client: keys, the text, and what an older text said.
#ifndef SLUICE_TOOLS_WGCONF_H
#define SLUICE_TOOLS_WGCONF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define WG_KEY_BYTES 32
#define WG_KEY_TEXT 45 /* base64 and the NUL */

#define WG_KEEPALIVE_S 25

/* A fresh X25519 private key (clamped) and its public key, both base64. */
void wg_key_new(char priv[WG_KEY_TEXT], char pub[WG_KEY_TEXT]);
/* Public key of a private one. False when priv is not 32 bytes of base64. */
bool wg_key_public(const char *priv, char pub[WG_KEY_TEXT]);
/* True for 44 letters of base64 that hold 32 bytes. */
bool wg_key_valid(const char *key);

/*
 * The private key in a file: the whole file is the key, or it is a configuration with "PrivateKey = …".
 * False when there is none. len bytes, NUL-terminated.
 */
bool wg_key_find(const char *text, char priv[WG_KEY_TEXT]);

/* AllowedIPs of a configuration as an array of texts (all [Peer] lines joined); NULL when there is none. New reference. */
json_t *wg_allowed_find(const char *text);

struct wg_config {
	const char *name;        /* of the client, for the comment on top */
	const char *private_key; /* or NULL: a comment stands in its place */
	const char *endpoint;    /* instead of the server's first one; or NULL */
	bool keepalive;
};

/*
 * The text, from the server's config object (docs/protocols.md, client.config). Heap; wipe it (read_free()). NULL with a
 * sentence in why when the object cannot be read. Values that would break out of their line are refused.
 */
char *wg_config_text(const struct wg_config *c, json_t *config, char *why, size_t why_size);

#endif
