// SPDX-License-Identifier: BSD-3-Clause
// Parsing of the registration server's answers.
#include "connector/registration.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

static bool take_number(const json_t *root, const char *key, json_int_t min, json_int_t max, unsigned *out)
{
	const json_t *v = json_object_get(root, key);

	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return false;
	*out = (unsigned)json_integer_value(v);
	return true;
}

static bool take_text(const json_t *root, const char *key, char *out, size_t size)
{
	const json_t *v = json_object_get(root, key);

	if (!json_is_string(v) || json_string_length(v) >= size)
		return false;
	snprintf(out, size, "%s", json_string_value(v));
	return true;
}

static bool take_bytes(const json_t *v, uint8_t *out, size_t bytes)
{
	size_t got = 0;

	return json_is_string(v) &&
	       !sodium_base642bin(out, bytes, json_string_value(v), json_string_length(v), NULL, &got, NULL,
				  sodium_base64_VARIANT_ORIGINAL) &&
	       got == bytes;
}

static const char *take_edge(const json_t *v, struct registration_edge *e)
{
	const json_t *keys = json_object_get(v, "public_keys"), *endpoints = json_object_get(v, "endpoints");

	if (!take_text(v, "edge_id", e->id, sizeof(e->id)) || !e->id[0])
		return "edges: no edge_id";
	if (!take_number(v, "workers", 1, 1024, &e->workers))
		return "edges: workers is not 1 to 1024";
	for (size_t i = 0; i < json_array_size(keys) && e->key_count < REGISTRATION_EDGE_KEYS_MAX; i++)
		if (!take_bytes(json_array_get(keys, i), e->keys[e->key_count++], REGISTER_KEY_BYTES))
			return "edges: a public key is not 32 bytes of base64";
	for (size_t i = 0; i < json_array_size(endpoints) && e->endpoint_count < REGISTRATION_ENDPOINTS_MAX; i++) {
		const char *text = json_string_value(json_array_get(endpoints, i));

		if (!text || !ip_endpoint_parse(text, &e->endpoints[e->endpoint_count++]))
			return "edges: an endpoint is not address:port";
	}
	return e->key_count && e->endpoint_count ? NULL : "edges: no public key or no endpoint";
}

static const char *take_networks(const json_t *v, struct registration *out)
{
	char why[160];

	for (size_t i = 0; i < json_array_size(v) && i < REGISTRATION_NETWORKS_MAX; i++) {
		const char *text = json_string_value(json_array_get(v, i));

		if (!text || ip_prefix_parse(text, false, &out->device_networks[out->device_network_count++], why, sizeof(why)))
			return "device_networks: not a prefix";
	}
	return NULL;
}

static const char *read_answer(const json_t *root, struct registration *out)
{
	const json_t *edges = json_object_get(root, "edges");
	const char *wrong = NULL;

	if (!take_number(root, "lease_s", 5, 86400, &out->lease_s))
		return "lease_s is not 5 to 86400";
	if (!take_number(root, "sessions", 1, REGISTER_SESSION_KEYS_MAX, &out->sessions))
		return "sessions is not 1 to 8";
	if (!take_number(root, "mtu", 1280, 9000, &out->mtu))
		return "mtu is not 1280 to 9000";
	if (!take_text(root, "tunnel_name", out->tunnel_name, sizeof(out->tunnel_name)))
		return "tunnel_name is not a text";
	if (!json_is_array(edges))
		return "edges is not a list";
	wrong = take_networks(json_object_get(root, "device_networks"), out);
	for (size_t i = 0; !wrong && i < json_array_size(edges) && i < REGISTRATION_EDGES_MAX; i++)
		wrong = take_edge(json_array_get(edges, i), &out->edges[out->edge_count++]);
	return wrong;
}

const char *registration_parse(const char *text, size_t length, struct registration *out)
{
	json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const char *wrong;

	memset(out, 0, sizeof(*out));
	wrong = json_is_object(root) ? read_answer(root, out) : "not a JSON object";
	json_decref(root);
	return wrong;
}

bool registration_parse_nonce(const char *text, size_t length, uint8_t nonce[REGISTER_NONCE_BYTES])
{
	json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	bool good = take_bytes(json_object_get(root, "nonce"), nonce, REGISTER_NONCE_BYTES);

	json_decref(root);
	return good;
}
