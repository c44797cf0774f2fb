// SPDX-License-Identifier: BSD-3-Clause
// What the HTTPS registration server (ctrl/register.c) asks of sluice-ctrl's store. Every function may be called from
// any thread: it is marshalled to the store's loop and waits for the answer (milliseconds; longer only while a very
// large apply runs, and register_backend_upsert() for its wait_ms). After register_backend_stop() all answer
// -ESHUTDOWN, so that the HTTPS server can be joined.
#ifndef SLUICE_CTRL_REGISTER_BACKEND_H
#define SLUICE_CTRL_REGISTER_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTER_SECRET_MAX	   512 /* bytes; secrets are 32 or more */
#define REGISTER_SECRETS	   2   /* the current one, and the former while a rotation overlaps */
#define REGISTER_KEYS_MAX	   8   /* sessions of a connector */
#define REGISTER_NAME_MAX	   256 /* a name's room, NUL included */
#define REGISTER_EDGE_ENDPOINTS	   16
#define REGISTER_EDGE_ENDPOINT_LEN 64
#define REGISTER_CONNECTORS_MAX	   64 /* of a tunnel */
#define REGISTER_LEASE_S	   60

struct register_backend; /* owned by sluice-ctrl's main */

struct register_tunnel {
	char tunnel_id[37];		     /* canonical: lower case, hyphens */
	char tunnel_name[REGISTER_NAME_MAX];
	unsigned sessions;		     /* how many session keys a connector may use, 1–8 */
	unsigned mtu;			     /* the setting */
	size_t n_secrets;
	struct {
		uint8_t bytes[REGISTER_SECRET_MAX];
		size_t len;
	} secrets[REGISTER_SECRETS];
};

/* Looks a tunnel up by account tag (32 hex digits) and id (UUID, any case, with or without hyphens). 0; -ENOENT (no such
 * tunnel in this account, or a tag or id that is none); -ESHUTDOWN. Wipe *out with sodium_memzero() after use. */
int register_backend_tunnel(struct register_backend *b, const char *account_tag, const char *tunnel_id,
			    struct register_tunnel *out);

struct register_connector {
	const char *account_tag, *tunnel_id; /* as above */
	const char *connector_id;	     /* UUID */
	const char *hostname;		     /* outside text: valid UTF-8, cut to 255 bytes by the store */
	const char *client_version;	     /* outside text: the same, 64 bytes */
	const char *mode;		     /* "userspace" or "tun" */
	const char *remote;		     /* address of the TLS peer as text; shown in connector.list */
	bool preserve_source;
	unsigned mtu; /* 1280–9000 */
	size_t n_keys;
	uint8_t keys[REGISTER_KEYS_MAX][32];
};

struct register_result {
	uint64_t revision;
	bool applied;	   /* every connected edge has applied it; false: wait_ms is over, or no edge is connected */
	unsigned sessions; /* of the keys, how many may be used: only these are in the tables */
};

/* Adds a connector or renews its lease (REGISTER_LEASE_S from now), and waits until the edges have applied it or wait_ms
 * are over. Call it only after the proof has been checked. 0; else, with the reason for the log in why (≥ 128 bytes):
 * -ENOENT tunnel gone; -EEXIST a key belongs to somebody else, or the connector id to another tunnel; -EINVAL a low-order
 * key, the same key twice, or another bad field; -ENOSPC REGISTER_CONNECTORS_MAX reached; -EIO the store failed;
 * -ESHUTDOWN. */
int register_backend_upsert(struct register_backend *b, const struct register_connector *c, unsigned wait_ms,
			    struct register_result *out, char *why, size_t why_len);

/* Removes a connector (goodbye). 0, -ENOENT, -EIO, -ESHUTDOWN. Does not wait for the edges. */
int register_backend_remove(struct register_backend *b, const char *account_tag, const char *tunnel_id,
			    const char *connector_id);

struct register_edge {
	char edge_id[64];
	unsigned workers;
	size_t n_keys;
	uint8_t public_keys[2][32];
	size_t n_endpoints;
	char endpoints[REGISTER_EDGE_ENDPOINTS][REGISTER_EDGE_ENDPOINT_LEN]; /* "203.0.113.1:51820", "[2001:db8::1]:51820" */
};

/* The edges connected now (where none is: those known from before). *edges is heap, free() it; *n may be 0. 0, -ENOMEM,
 * -ESHUTDOWN. */
int register_backend_edges(struct register_backend *b, struct register_edge **edges, size_t *n);

#endif
