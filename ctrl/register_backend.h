// SPDX-License-Identifier: BSD-3-Clause
// What the registration server (ctrl/register) asks of the store. Every call is made on the thread that
// runs register_server_dispatch(), the daemon's loop; TLS, HTTP and parsing stay on the server's own thread.
#ifndef SLUICE_CTRL_REGISTER_BACKEND_H
#define SLUICE_CTRL_REGISTER_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/register_proof.h"

#define REGISTER_CONNECTORS_MAX 64	/* connectors of one tunnel at a time */
#define REGISTER_SECRET_MAX_BYTES 1024
#define REGISTER_SECRETS_MAX 2		/* while a rotation overlaps */
#define REGISTER_ID_MAX 64		/* bytes of account tag and tunnel id, without the NUL */
#define REGISTER_UUID_BYTES 36
#define REGISTER_HOSTNAME_MAX 253
#define REGISTER_VERSION_MAX 64

enum register_mode {
	REGISTER_MODE_USERSPACE,
	REGISTER_MODE_TUN,
};

const char *register_mode_name(enum register_mode mode); /* "userspace", "tun" */

/* What the server must know of a tunnel to judge a caller. Wiped by the server after use. */
struct register_tunnel {
	size_t secret_count; /* 1 or 2, each may prove */
	struct {
		uint8_t bytes[REGISTER_SECRET_MAX_BYTES];
		size_t length_bytes;
	} secrets[REGISTER_SECRETS_MAX];
	unsigned other_connectors; /* live ones of this tunnel, the asking connector not counted */
};

/* A registration (or renewal) whose proof was good. Strings are UTF-8 text from outside: escape them in logs. */
struct register_request {
	char account_tag[REGISTER_ID_MAX + 1];
	char tunnel_id[REGISTER_ID_MAX + 1];
	char connector_id[REGISTER_UUID_BYTES + 1]; /* lower case */
	uint8_t session_keys[REGISTER_SESSION_KEYS_MAX][REGISTER_KEY_BYTES]; /* distinct, ≥ 1 */
	size_t session_key_count;
	char hostname[REGISTER_HOSTNAME_MAX + 1];
	char client_version[REGISTER_VERSION_MAX + 1];
	enum register_mode mode;
	bool preserve_source;
	uint16_t mtu;	 /* 576–9216 */
	char remote[56]; /* the caller's address, as text with port */
	/* the server's own; not for the backend */
	uint8_t nonce[REGISTER_NONCE_BYTES];
	uint8_t proof[REGISTER_PROOF_BYTES];
};

/* The answer to a good registration. */
struct register_answer {
	unsigned lease_s;
	const char *tunnel_name; /* borrowed during the call of register_call_answer() */
	unsigned sessions;	 /* how many of the keys may be used, from the first */
	unsigned mtu;
	json_t *edges; /* borrowed: [{"edge_id", "workers", "public_keys", "endpoints"}], may be empty */
	json_t *device_networks; /* borrowed: prefixes of the account's devices; NULL: not told */
};

struct register_call; /* one registration that waits for its answer */

struct register_backend {
	void *ctx;

	/* Fills `out` for the tunnel of that account. 0, or -ENOENT: no such account, tunnel, or not of that account
	 * (out untouched). */
	int (*tunnel)(void *ctx, const char *account_tag, const char *tunnel_id, const char *connector_id,
		      struct register_tunnel *out);

	/* Puts the connector (new, or a renewal with the same id) and, once the edges have applied it or after 2 s,
	 * calls register_call_answer() or register_call_refuse(), exactly once, here or later, on this thread.
	 * `request` lives until then. The lease runs out `lease_s` after this call; the backend removes it then. */
	void (*put)(void *ctx, const struct register_request *request, struct register_call *call);

	/* The connector has taken its leave: remove it. Unknown ones are not an error. */
	void (*goodbye)(void *ctx, const char *account_tag, const char *tunnel_id, const char *connector_id);
};

/* Ends the call with 200. */
void register_call_answer(struct register_call *call, const struct register_answer *answer);

/* Ends the call with a refusal: `reason` (one sentence for the log, never sent). The wire says "unauthorized". Use
 * it where a session key belongs to another peer or is of low order, where the connector id belongs to another tunnel,
 * or where the tunnel was deleted meanwhile. */
void register_call_refuse(struct register_call *call, const char *reason);

#endif
