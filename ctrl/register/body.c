// SPDX-License-Identifier: BSD-3-Clause
// Parsing of the registration bodies with jansson; a table of fields per request.
#include "ctrl/register/body.h"

#include <string.h>

#include <sodium.h>

const char *register_mode_name(enum register_mode mode)
{
	return mode == REGISTER_MODE_TUN ? "tun" : "userspace";
}

/* Copies a string of 1…max bytes without NUL. */
static bool take_text(const json_t *v, char *out, size_t max)
{
	size_t n = json_string_length(v);

	if (!json_is_string(v) || !n || n > max || memchr(json_string_value(v), 0, n))
		return false;
	memcpy(out, json_string_value(v), n);
	out[n] = 0;
	return true;
}

static bool take_bytes(const json_t *v, uint8_t *out, size_t bytes)
{
	size_t got = 0;

	if (!json_is_string(v) || memchr(json_string_value(v), 0, json_string_length(v)))
		return false;
	return !sodium_base642bin(out, bytes, json_string_value(v), json_string_length(v), NULL,
				  &got, NULL, sodium_base64_VARIANT_ORIGINAL) &&
	       got == bytes;
}

static bool take_version(const json_t *v, struct register_request *out)
{
	(void)out;
	return json_is_integer(v) && json_integer_value(v) == 1;
}

static bool id_ok(const char *id)
{
	return strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") ==
	       strlen(id);
}

static bool take_account(const json_t *v, struct register_request *out)
{
	return take_text(v, out->account_tag, REGISTER_ID_MAX) && id_ok(out->account_tag);
}

static bool take_tunnel(const json_t *v, struct register_request *out)
{
	return take_text(v, out->tunnel_id, REGISTER_ID_MAX) && id_ok(out->tunnel_id);
}

static bool take_connector(const json_t *v, struct register_request *out)
{
	const char *id = out->connector_id;

	if (!take_text(v, out->connector_id, REGISTER_UUID_BYTES) ||
	    strlen(id) != REGISTER_UUID_BYTES)
		return false;
	for (size_t i = 0; i < REGISTER_UUID_BYTES; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		/* lower case only: one connector has one spelling, in the proof too */
		if (dash ? id[i] != '-' : !strchr("0123456789abcdef", id[i]))
			return false;
	}
	return true;
}

static bool take_nonce(const json_t *v, struct register_request *out)
{
	return take_bytes(v, out->nonce, sizeof(out->nonce));
}

static bool take_proof(const json_t *v, struct register_request *out)
{
	return take_bytes(v, out->proof, sizeof(out->proof));
}

static bool take_keys(const json_t *v, struct register_request *out)
{
	size_t n = json_array_size(v);

	if (!json_is_array(v) || !n || n > REGISTER_SESSION_KEYS_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!take_bytes(json_array_get(v, i), out->session_keys[i], REGISTER_KEY_BYTES))
			return false;
		for (size_t j = 0; j < i; j++)
			if (!memcmp(out->session_keys[i], out->session_keys[j], REGISTER_KEY_BYTES))
				return false;
	}
	out->session_key_count = n;
	return true;
}

static bool take_hostname(const json_t *v, struct register_request *out)
{
	return take_text(v, out->hostname, REGISTER_HOSTNAME_MAX);
}

static bool take_client_version(const json_t *v, struct register_request *out)
{
	return take_text(v, out->client_version, REGISTER_VERSION_MAX);
}

static bool take_mode(const json_t *v, struct register_request *out)
{
	char text[16];

	if (!take_text(v, text, sizeof(text) - 1))
		return false;
	for (int m = REGISTER_MODE_USERSPACE; m <= REGISTER_MODE_TUN; m++) {
		out->mode = (enum register_mode)m;
		if (!strcmp(text, register_mode_name(out->mode)))
			return true;
	}
	return false;
}

static bool take_preserve(const json_t *v, struct register_request *out)
{
	out->preserve_source = json_is_true(v);
	return json_is_boolean(v);
}

static bool take_mtu(const json_t *v, struct register_request *out)
{
	json_int_t mtu = json_integer_value(v);

	if (!json_is_integer(v) || mtu < 576 || mtu > 9216)
		return false;
	out->mtu = (uint16_t)mtu;
	return true;
}

struct field {
	const char *name;
	bool (*take)(const json_t *v, struct register_request *out);
	const char *wrong; /* the words for the log */
};

static const struct field challenge_fields[] = {
	{"version", take_version, "version: not 1"},
	{"account_tag", take_account, "account_tag: not an id"},
	{"tunnel_id", take_tunnel, "tunnel_id: not an id"},
	{0},
};

static const struct field register_fields[] = {
	{"version", take_version, "version: not 1"},
	{"account_tag", take_account, "account_tag: not an id"},
	{"tunnel_id", take_tunnel, "tunnel_id: not an id"},
	{"connector_id", take_connector, "connector_id: not a UUID in lower case"},
	{"nonce", take_nonce, "nonce: not 32 bytes of base64"},
	{"session_keys", take_keys, "session_keys: not 1 to 8 distinct keys"},
	{"hostname", take_hostname, "hostname: not a text of 1 to 253 bytes"},
	{"client_version", take_client_version, "client_version: not a text of 1 to 64 bytes"},
	{"mode", take_mode, "mode: not userspace or tun"},
	{"preserve_source", take_preserve, "preserve_source: not true or false"},
	{"mtu", take_mtu, "mtu: not 576 to 9216"},
	{"proof", take_proof, "proof: not 32 bytes of base64"},
	{0},
};

static const struct field goodbye_fields[] = {
	{"version", take_version, "version: not 1"},
	{"account_tag", take_account, "account_tag: not an id"},
	{"tunnel_id", take_tunnel, "tunnel_id: not an id"},
	{"connector_id", take_connector, "connector_id: not a UUID in lower case"},
	{"nonce", take_nonce, "nonce: not 32 bytes of base64"},
	{"proof", take_proof, "proof: not 32 bytes of base64"},
	{0},
};

static const char *read_fields(const json_t *root, const struct field *fields,
			       struct register_request *out)
{
	size_t known = 0;

	if (!json_is_object(root))
		return "not a JSON object";
	for (; fields[known].name; known++) {
		const json_t *v = json_object_get(root, fields[known].name);

		if (!v || !fields[known].take(v, out))
			return fields[known].wrong;
	}
	return json_object_size(root) == known ? NULL : "an unknown field";
}

static const char *parse(const char *body, size_t length, const struct field *fields,
			 struct register_request *out)
{
	const char *wrong;
	json_t *root;

	if (length > REGISTER_BODY_MAX_BYTES)
		return "longer than 16 KiB";
	root = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL);
	if (!root)
		return "not JSON";
	wrong = read_fields(root, fields, out);
	json_decref(root);
	return wrong;
}

const char *register_body_challenge(const char *body, size_t length, struct register_request *out)
{
	return parse(body, length, challenge_fields, out);
}

const char *register_body_register(const char *body, size_t length, struct register_request *out)
{
	return parse(body, length, register_fields, out);
}

const char *register_body_goodbye(const char *body, size_t length, struct register_request *out)
{
	return parse(body, length, goodbye_fields, out);
}
