// SPDX-License-Identifier: BSD-3-Clause
// tunnel create, rotate, token: the secret is made here and written to the credentials file; nothing prints it but token.
#include "tools/ctl.h"
#include "tools/files.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET_MIN 32
#define SECRET_MAX 1024
#define CREDENTIALS_MAX ((size_t)1 << 20)
#define TEXT_MAX sodium_base64_ENCODED_LEN(SECRET_MAX, sodium_base64_VARIANT_ORIGINAL)

struct secret {
	char text[TEXT_MAX]; /* base64 */
};

/* base64 of at least 32 bytes, spaces at the ends cut; rewritten in its one canonical form. */
static bool secret_parse(struct secret *s, const char *text)
{
	unsigned char raw[SECRET_MAX];
	size_t len = 0, n;
	bool ok;

	text += strspn(text, " \t\r\n");
	n = strcspn(text, " \t\r\n");
	ok = !text[n + strspn(text + n, " \t\r\n")] &&
	     !sodium_base642bin(raw, sizeof(raw), text, n, NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) && len >= SECRET_MIN;
	if (ok)
		sodium_bin2base64(s->text, sizeof(s->text), raw, len, sodium_base64_VARIANT_ORIGINAL);
	sodium_memzero(raw, sizeof(raw));
	return ok;
}

static int secret_get(struct ctl *ctl, const struct ctl_inv *inv, struct secret *s)
{
	const char *path = inv_get(inv, "--secret-file");
	unsigned char raw[SECRET_MIN];
	size_t len;
	char *text;
	bool ok;

	if (!path) {
		randombytes_buf(raw, sizeof(raw));
		sodium_bin2base64(s->text, sizeof(s->text), raw, sizeof(raw), sodium_base64_VARIANT_ORIGINAL);
		sodium_memzero(raw, sizeof(raw));
		return 0;
	}
	text = read_whole(ctl, path, 4096, &len);
	if (!text)
		return -1;
	ok = secret_parse(s, text);
	read_free(text, len);
	return ok ? 0
		  : ctl_fail(ctl, "invalid", "secret", "%s: the secret must be base64 of %d to %d bytes", path, SECRET_MIN, SECRET_MAX);
}

static const char *text_of(json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

/* What create and rotate answer beside the tunnel. */
static char *credentials(json_t *result, const struct secret *s)
{
	json_t *tunnel = json_object_get(result, "tunnel");
	const char *tag = text_of(result, "account_tag"), *id = text_of(tunnel, "id"), *name = text_of(tunnel, "name");
	json_t *doc;
	char *text;

	if (!tag || !id || !name)
		return NULL;
	doc = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?}", "AccountTag", tag, "TunnelID", id, "TunnelName", name, "TunnelSecret",
			s->text, "EdgeCA", text_of(result, "edge_ca"), "Edge", text_of(result, "edge"));
	text = json_dumps(doc, JSON_INDENT(2));
	json_decref(doc);
	return text;
}

/* The file: as given; <id>.json when the secret exists nowhere else; none when the operator brought the secret. */
static int write_credentials(struct ctl *ctl, const struct ctl_inv *inv, struct secret_file *f, json_t *result, const struct secret *s)
{
	const char *id = text_of(json_object_get(result, "tunnel"), "id");
	char *text = credentials(result, s), path[128];
	int rc;

	if (!text)
		return ctl_fail(ctl, "protocol", NULL, "the server answered without account tag, tunnel id or name");
	if (f->fd < 0 && !inv_has(inv, "--secret-file")) {
		snprintf(path, sizeof(path), "%.64s.json", id);
		if (strchr(path, '/') || secret_file_open(ctl, f, path, 0400, "credentials_file") < 0) {
			read_free(text, strlen(text));
			return -1;
		}
		json_object_set_new(result, "credentials_file", json_string(path));
	} else if (f->fd >= 0) {
		json_object_set_new(result, "credentials_file", json_string(f->path));
	}
	rc = f->fd < 0 ? 0 : secret_file_commit(ctl, f, text, strlen(text));
	read_free(text, strlen(text));
	return rc;
}

/* Deletes the tunnel again whose secret could not be kept; the first error stays. */
static void remove_tunnel(struct ctl *ctl, json_t *result)
{
	const char *id = text_of(json_object_get(result, "tunnel"), "id");
	struct ctl_error why = ctl->err;
	json_t *params, *gone;

	ctl->err = (struct ctl_error){0};
	params = json_pack("{s:s?}", "tunnel", id);
	if (ctl->account)
		json_object_set_new(params, "account", json_string(ctl->account));
	gone = id ? ctl_call(ctl, CTL_CTRL, "tunnel.delete", params) : NULL;
	ctl_error_clear(&ctl->err);
	ctl->err = why;
	if (!gone)
		ctl_warn(ctl, "tunnel '%s' could not be deleted again", id ? id : "");
	json_decref(gone);
}

static int tunnel_secret(struct ctl *ctl, const struct ctl_inv *inv, const char *method, bool created)
{
	const char *path = inv_get(inv, "--credentials-file");
	json_t *params = ctl_params(ctl, inv), *result = NULL;
	struct secret_file f = {.fd = -1};
	struct secret secret = {0};
	int rc = -1;

	if (!params || secret_get(ctl, inv, &secret) < 0 ||
	    (path && secret_file_open(ctl, &f, path, 0400, "credentials_file") < 0)) {
		json_decref(params);
		goto out;
	}
	json_object_set_new(params, "secret", json_string(secret.text));
	result = ctl_call(ctl, CTL_CTRL, method, params);
	if (!result)
		goto out;
	rc = write_credentials(ctl, inv, &f, result, &secret);
	if (rc < 0 && created)
		remove_tunnel(ctl, result);
	if (!rc)
		rc = ctl_emit(ctl, inv, result);
out:
	secret_file_abandon(&f);
	sodium_memzero(&secret, sizeof(secret));
	json_decref(result);
	return rc;
}

int run_tunnel_create(struct ctl *ctl, const struct ctl_inv *inv)
{
	return tunnel_secret(ctl, inv, "tunnel.create", true);
}

int run_tunnel_rotate(struct ctl *ctl, const struct ctl_inv *inv)
{
	return tunnel_secret(ctl, inv, "tunnel.rotate", false);
}

static char *token_text(json_t *creds)
{
	json_t *doc = json_pack("{s:s, s:s, s:s, s:s}", "a", text_of(creds, "AccountTag"), "s", text_of(creds, "TunnelSecret"), "t",
				text_of(creds, "TunnelID"), "e", text_of(creds, "Edge") ? text_of(creds, "Edge") : "");
	char *json = doc ? json_dumps(doc, JSON_COMPACT) : NULL, *text = NULL;
	size_t len = json ? strlen(json) : 0, room = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);

	if (json && (text = malloc(room)))
		sodium_bin2base64(text, room, (const unsigned char *)json, len, sodium_base64_VARIANT_ORIGINAL);
	read_free(json, len);
	json_decref(doc);
	return text;
}

/* The credentials file, if it has what a token needs. New reference, or NULL with the error set. */
static json_t *credentials_read(struct ctl *ctl, const char *path)
{
	static const char *const need[] = {"AccountTag", "TunnelID", "TunnelSecret"};
	json_error_t e;
	json_t *creds;
	size_t len;
	char *text = read_whole(ctl, path, CREDENTIALS_MAX, &len);

	if (!text)
		return NULL;
	creds = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
	read_free(text, len);
	if (!json_is_object(creds)) {
		ctl_fail(ctl, "invalid", "credentials_file", "%s: line %d: not a credentials file", path, creds ? 1 : e.line);
		json_decref(creds);
		return NULL;
	}
	for (size_t i = 0; i < 3; i++) {
		if (text_of(creds, need[i]))
			continue;
		ctl_fail(ctl, "invalid", "credentials_file", "%s: '%s' is missing", path, need[i]);
		json_decref(creds);
		return NULL;
	}
	return creds;
}

int run_tunnel_token(struct ctl *ctl, const struct ctl_inv *inv)
{
	const char *path = inv_get(inv, "--credentials-file"), *id;
	json_t *params = ctl_params(ctl, inv), *creds, *shown = NULL, *result;
	char *token;
	int rc = -1;

	creds = params ? credentials_read(ctl, path) : NULL;
	if (!creds) {
		json_decref(params);
		return -1;
	}
	shown = ctl_call(ctl, CTL_CTRL, "tunnel.show", params);
	id = shown ? text_of(json_object_get(shown, "tunnel"), "id") : NULL;
	if (shown && (!id || strcmp(id, text_of(creds, "TunnelID")))) {
		ctl_fail(ctl, "invalid", "credentials_file", "%s: belongs to tunnel %s, not to '%s'", path, text_of(creds, "TunnelID"),
			 inv_get(inv, "TUNNEL"));
	} else if (shown) {
		token = token_text(creds);
		result = json_pack("{s:s?}", "token", token);
		if (ctl->json)
			rc = ctl_emit(ctl, inv, result);
		else
			rc = fprintf(ctl->out, "%s\n", token) < 0 ? -1 : 0;
		json_decref(result);
		read_free(token, token ? strlen(token) : 0);
	}
	json_decref(shown);
	json_decref(creds);
	return rc;
}
