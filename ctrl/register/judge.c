// SPDX-License-Identifier: BSD-3-Clause
// Who may register: challenge, proof, limit. Runs on the daemon's loop. Every refusal looks the same on the wire; the
// work done is the same for a tunnel that exists and one that does not.
#include "ctrl/register/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "lib/log.h"

static void refuse(struct register_call *call, const char *reason)
{
	const struct register_request *r = &call->request;

	atomic_fetch_add(&call->server->stats.unauthorized, 1);
	log_rated(LOG_LEVEL_WARN, "register: refused %s of connector %s, tunnel %s, account %s, from %s: %s",
		  call->goodbye ? "goodbye" : "registration", r->connector_id, r->tunnel_id, r->account_tag,
		  r->remote, reason);
	call_finish(call, MHD_HTTP_UNAUTHORIZED, strdup("{\"error\": \"unauthorized\"}"));
}

/* True if one of the tunnel's secrets proves the request. Always computes REGISTER_SECRETS_MAX proofs. */
static bool proof_holds(const struct register_server *server, const struct register_call *call,
			const struct register_tunnel *tunnel)
{
	const struct register_request *r = &call->request;
	const struct register_proof_fields fields = {
		.nonce = r->nonce,
		.account_tag = r->account_tag,
		.tunnel_id = r->tunnel_id,
		.connector_id = r->connector_id,
		.session_keys = r->session_keys,
		.session_key_count = r->session_key_count,
		.hostname = r->hostname,
		.client_version = r->client_version,
		.mode = register_mode_name(r->mode),
		.cert_sha256 = server->tls.leaf_sha256,
	};
	uint8_t proof[REGISTER_PROOF_BYTES];
	bool good = false;

	for (size_t i = 0; i < REGISTER_SECRETS_MAX; i++) {
		if (call->goodbye)
			register_proof_goodbye(tunnel->secrets[i].bytes, tunnel->secrets[i].length_bytes, &fields,
					       proof);
		else
			register_proof_register(tunnel->secrets[i].bytes, tunnel->secrets[i].length_bytes,
						&fields, proof);
		good |= register_proof_equal(proof, r->proof) & (i < tunnel->secret_count);
	}
	sodium_memzero(proof, sizeof(proof));
	return good;
}

static const char *nonce_reason(int err)
{
	switch (err) {
	case -EBADMSG:
		return "the nonce was not made here for this tunnel";
	case -ETIME:
		return "the challenge has expired";
	case -EALREADY:
		return "the nonce has served before";
	default:
		return "too many registrations within the life of a challenge";
	}
}

/* NULL, or why not. On success the nonce is spent and tunnel is filled. */
static const char *authenticate(struct register_call *call, struct register_tunnel *tunnel)
{
	struct register_server *server = call->server;
	const struct register_request *r = &call->request;
	uint64_t now_ms = register_now_ms();
	int known, nonce;
	bool proved;

	/* a tunnel that nobody knows is judged with secrets that nobody knows */
	for (size_t i = 0; i < REGISTER_SECRETS_MAX; i++) {
		tunnel->secrets[i].length_bytes = 32;
		randombytes_buf(tunnel->secrets[i].bytes, 32);
	}
	tunnel->secret_count = 0;
	tunnel->other_connectors = 0;
	nonce = challenge_check(&server->challenges, r->account_tag, r->tunnel_id, now_ms, r->nonce);
	known = server->backend.tunnel(server->backend.ctx, r->account_tag, r->tunnel_id, r->connector_id,
				       tunnel);
	proved = proof_holds(server, call, tunnel);

	if (known)
		return "no such tunnel in that account";
	if (nonce)
		return nonce_reason(nonce);
	if (!proved)
		return "the proof is wrong (secret, fields or certificate)";
	nonce = challenge_spend(&server->challenges, now_ms, r->nonce);
	return nonce ? nonce_reason(nonce) : NULL;
}

void judge_call(struct register_call *call)
{
	struct register_server *server = call->server;
	const struct register_request *r = &call->request;
	struct register_tunnel tunnel;
	const char *reason = authenticate(call, &tunnel);
	unsigned others = tunnel.other_connectors;

	sodium_memzero(&tunnel, sizeof(tunnel));
	if (reason) {
		refuse(call, reason);
	} else if (call->goodbye) {
		atomic_fetch_add(&server->stats.goodbyes, 1);
		server->backend.goodbye(server->backend.ctx, r->account_tag, r->tunnel_id, r->connector_id);
		call_finish(call, MHD_HTTP_OK, strdup("{}"));
	} else if (others >= REGISTER_CONNECTORS_MAX) {
		atomic_fetch_add(&server->stats.limited, 1);
		log_rated(LOG_LEVEL_WARN, "register: tunnel %s has %u connectors, the limit; refused connector %s from %s",
			  r->tunnel_id, others, r->connector_id, r->remote);
		call_finish(call, MHD_HTTP_TOO_MANY_REQUESTS, strdup("{\"error\": \"limit\"}"));
	} else {
		server->backend.put(server->backend.ctx, r, call);
	}
}

void register_call_answer(struct register_call *call, const struct register_answer *answer)
{
	json_t *body = json_pack("{s:I, s:s, s:I, s:I, s:O}", "lease_s", (json_int_t)answer->lease_s, "tunnel_name",
				 answer->tunnel_name, "sessions", (json_int_t)answer->sessions, "mtu",
				 (json_int_t)answer->mtu, "edges", answer->edges);
	char *text;

	if (body && answer->device_networks)
		json_object_set(body, "device_networks", answer->device_networks);
	text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (text)
		atomic_fetch_add(&call->server->stats.registrations, 1);
	call_finish(call, text ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR, text);
}

void register_call_refuse(struct register_call *call, const char *reason)
{
	refuse(call, reason);
}
