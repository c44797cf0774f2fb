// SPDX-License-Identifier: BSD-3-Clause
// client add, config, rotate: private keys are made and stay on this side; the server sees the public key only.
#include "tools/ctl.h"
#include "tools/files.h"
#include "tools/render.h"
#include "tools/wgconf.h"

#include <qrencode.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_FILE_MAX ((size_t)1 << 20)

/* Keys and output of one command. */
struct client_job {
	struct ctl *ctl;
	const struct ctl_inv *inv;
	char priv[WG_KEY_TEXT], pub[WG_KEY_TEXT];
	bool has_priv;
	struct secret_file file;
	char *text; /* the configuration */
};

/* The key given with --public-key, or a fresh pair; the file's name is taken before anything is sent. */
static int job_open(struct client_job *job, bool new_key)
{
	const char *key = inv_get(job->inv, "--public-key"), *path = inv_get(job->inv, "--config-file");

	job->file.fd = -1;
	if (new_key && key) {
		if (!wg_key_valid(key))
			return ctl_fail(job->ctl, "usage", "public_key", "--public-key: '%s' is not 32 bytes of base64", key);
		snprintf(job->pub, sizeof(job->pub), "%s", key);
	} else if (new_key) {
		wg_key_new(job->priv, job->pub);
		job->has_priv = true;
	}
	return path ? secret_file_open(job->ctl, &job->file, path, 0600, "config_file") : 0;
}

static void job_close(struct client_job *job)
{
	secret_file_abandon(&job->file);
	read_free(job->text, job->text ? strlen(job->text) : 0);
	sodium_memzero(job->priv, sizeof(job->priv));
}

static int job_text(struct client_job *job, const char *name, json_t *config)
{
	struct wg_config c = {
		.name = name ? name : "client",
		.private_key = job->has_priv ? job->priv : NULL,
		.endpoint = inv_get(job->inv, "--endpoint"),
		.keepalive = inv_has(job->inv, "--keepalive"),
	};
	char why[128];

	job->text = wg_config_text(&c, config, why, sizeof(why));
	return job->text ? 0 : ctl_fail(job->ctl, "protocol", NULL, "%s", why);
}

static int job_write(struct client_job *job)
{
	return job->file.fd < 0 ? 0 : secret_file_commit(job->ctl, &job->file, job->text, strlen(job->text));
}

/* Two modules a character, upper and lower half blocks, with the quiet zone that cameras want. */
static char *qr_text(const char *text)
{
	static const char *const block[4] = {"\xe2\x96\x88", "\xe2\x96\x80", "\xe2\x96\x84", " "}; /* light on dark */
	QRcode *qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	char *out = NULL;
	size_t len = 0;
	FILE *f = qr ? open_memstream(&out, &len) : NULL;

	for (int y = -2; f && y < qr->width + 2; y += 2) {
		for (int x = -2; x < qr->width + 2; x++) {
			bool in = x >= 0 && x < qr->width;
			int top = in && y >= 0 && y < qr->width ? qr->data[y * qr->width + x] & 1 : 0;
			int low = in && y + 1 >= 0 && y + 1 < qr->width ? qr->data[(y + 1) * qr->width + x] & 1 : 0;

			fputs(block[top * 2 + low], f);
		}
		fputc('\n', f);
	}
	if (f)
		fclose(f);
	QRcode_free(qr);
	return out;
}

/* Adds the configuration to the JSON document, or prints it. The text goes to the file alone when there is one. */
static int job_print(struct client_job *job, json_t *result)
{
	const char *path = inv_get(job->inv, "--config-file");
	char *qr = inv_has(job->inv, "--qr") ? qr_text(job->text) : NULL;
	struct ctl *ctl = job->ctl;
	int rc = 0;

	if (inv_has(job->inv, "--qr") && !qr)
		ctl_warn(ctl, "the configuration does not fit into a QR code");
	if (ctl->json) {
		if (path)
			json_object_set_new(result, "config_file", json_string(path));
		else
			json_object_set_new(result, "wireguard_config", json_string(job->text));
		if (qr)
			json_object_set_new(result, "qr", json_string(qr));
		rc = ctl_emit(ctl, job->inv, result);
	} else if (path) {
		json_object_del(result, "config");
		json_object_set_new(result, "config_file", json_string(path));
		rc = ctl_emit(ctl, job->inv, result);
	} else {
		json_t *warnings = json_object_get(result, "warnings"), *w;
		size_t i;

		if (!qr)
			fputs(job->text, ctl->out);
		json_array_foreach(warnings, i, w)
			ctl_warn(ctl, "%s", json_is_string(w) ? json_string_value(w) : "(not text)");
	}
	if (qr && !ctl->json)
		fputs(qr, ctl->out);
	read_free(qr, qr ? strlen(qr) : 0);
	return rc;
}

/* Calls client.config, with what this command line says about it. New reference to the whole result, or NULL. */
static json_t *get_config(struct ctl *ctl, const struct ctl_inv *inv, const char *client)
{
	json_t *params = json_pack("{s:s}", "client", client);

	if (ctl->account)
		json_object_set_new(params, "account", json_string(ctl->account));
	if (inv_has(inv, "--full"))
		json_object_set_new(params, "full", json_true());
	return ctl_call(ctl, CTL_CTRL, "client.config", params);
}

static void warn_unannounced(struct ctl *ctl, json_t *result, json_t *config)
{
	if (!json_array_size(json_object_get(config, "endpoints")) && !json_array_size(json_object_get(result, "warnings")))
		ctl_warn(ctl, "no edge has announced an endpoint yet: get the configuration again with 'client config'");
}

/* A client whose key could not be kept is of no use to anybody. */
static void remove_client(struct ctl *ctl, json_t *client)
{
	struct ctl_error why = ctl->err;
	const char *id = json_string_value(json_object_get(client, "id"));
	json_t *params, *gone;

	ctl->err = (struct ctl_error){0};
	if (!id)
		id = json_string_value(json_object_get(client, "name"));
	params = json_pack("{s:s?}", "client", id);
	if (ctl->account)
		json_object_set_new(params, "account", json_string(ctl->account));
	gone = ctl_call(ctl, CTL_CTRL, "client.delete", params);
	ctl_error_clear(&ctl->err);
	ctl->err = why;
	if (!gone)
		ctl_warn(ctl, "client '%s' could not be deleted again", id ? id : "");
	json_decref(gone);
}

/* The config object of an add; with --full it is asked for, since add answers with the routes. New reference. */
static json_t *added_config(struct ctl *ctl, const struct ctl_inv *inv, json_t *result, const char *id)
{
	json_t *config = json_object_get(result, "config");
	json_t *again;

	if (config && !inv_has(inv, "--full"))
		return json_incref(config);
	again = id ? get_config(ctl, inv, id) : NULL;
	config = json_incref(json_object_get(again, "config"));
	json_decref(again);
	if (config)
		json_object_set(result, "config", config);
	return config;
}

int run_client_add(struct ctl *ctl, const struct ctl_inv *inv)
{
	struct client_job job = {.ctl = ctl, .inv = inv, .file = {.fd = -1}};
	json_t *params = ctl_params(ctl, inv), *result = NULL, *client, *config = NULL;
	int rc = -1;

	if (!params || job_open(&job, true) < 0) {
		json_decref(params);
		goto out;
	}
	json_object_set_new(params, "public_key", json_string(job.pub));
	result = ctl_call(ctl, CTL_CTRL, "client.add", params);
	if (!result)
		goto out;
	client = json_object_get(result, "client");
	config = added_config(ctl, inv, result, json_string_value(json_object_get(client, "id")));
	if (!config && !ctl->err.message)
		ctl_fail(ctl, "protocol", NULL, "client.add answered without 'config'");
	if (!config || job_text(&job, inv_get(inv, "NAME"), config) < 0 || job_write(&job) < 0) {
		remove_client(ctl, client);
		goto out;
	}
	warn_unannounced(ctl, result, config);
	rc = job_print(&job, result);
out:
	json_decref(config);
	json_decref(result);
	job_close(&job);
	return rc;
}

/* True when key is (one of) the client's public keys. */
static bool has_key(json_t *client, const char *key)
{
	json_t *keys = json_object_get(client, "public_keys"), *k;
	const char *one = json_string_value(json_object_get(client, "public_key"));
	size_t i;

	if (one && !strcmp(one, key))
		return true;
	json_array_foreach(keys, i, k)
		if (json_is_string(k) && !strcmp(json_string_value(k), key))
			return true;
	return false;
}

/* Reads --private-key-file and checks that it is this client's. */
static int check_key(struct client_job *job, const char *name, json_t **allowed_before)
{
	const char *path = inv_get(job->inv, "--private-key-file");
	struct ctl *ctl = job->ctl;
	json_t *params, *result;
	size_t len;
	char *text = read_whole(ctl, path, KEY_FILE_MAX, &len);
	bool found, ours;

	if (!text)
		return -1;
	found = wg_key_find(text, job->priv) && wg_key_public(job->priv, job->pub);
	if (found)
		*allowed_before = wg_allowed_find(text);
	read_free(text, len);
	if (!found)
		return ctl_fail(ctl, "invalid", "private_key_file",
				"%s: holds no private key (32 bytes of base64, or a configuration with PrivateKey)", path);
	job->has_priv = true;
	params = json_pack("{s:s}", "client", name);
	if (ctl->account)
		json_object_set_new(params, "account", json_string(ctl->account));
	result = ctl_call(ctl, CTL_CTRL, "client.show", params);
	if (!result)
		return -1;
	ours = has_key(json_object_get(result, "client"), job->pub);
	json_decref(result);
	if (!ours)
		return ctl_fail(ctl, "invalid", "private_key_file", "%s: this private key is not the one of client '%s'", path, name);
	return 0;
}

static bool in_array(json_t *array, const char *text)
{
	json_t *v;
	size_t i;

	json_array_foreach(array, i, v)
		if (json_is_string(v) && !strcmp(json_string_value(v), text))
			return true;
	return false;
}

/* What is in one array and not in the other, as one more warning of the result. */
static void warn_routes(json_t *result, json_t *before, json_t *now)
{
	json_t *warnings = json_object_get(result, "warnings"), *v;
	char *text = NULL;
	size_t len = 0, i;
	bool full = in_array(before, "0.0.0.0/0") || in_array(now, "0.0.0.0/0");
	FILE *f = before && !full ? open_memstream(&text, &len) : NULL;

	if (!f)
		return;
	json_array_foreach(now, i, v)
		if (json_is_string(v) && !in_array(before, json_string_value(v)))
			fprintf(f, " +%s", json_string_value(v));
	json_array_foreach(before, i, v)
		if (!in_array(now, json_string_value(v)))
			fprintf(f, " -%s", json_string_value(v));
	fclose(f);
	if (len) {
		char *sentence = NULL;

		if (!json_is_array(warnings)) {
			warnings = json_array();
			json_object_set_new(result, "warnings", warnings);
		}
		if (asprintf(&sentence, "routes changed since that configuration was made:%s", text) >= 0)
			json_array_append_new(warnings, json_string(sentence));
		free(sentence);
	}
	free(text);
}

int run_client_config(struct ctl *ctl, const struct ctl_inv *inv)
{
	struct client_job job = {.ctl = ctl, .inv = inv, .file = {.fd = -1}};
	const char *name = inv_get(inv, "CLIENT");
	json_t *result = NULL, *config, *before = NULL;
	int rc = -1;

	if (check_key(&job, name, &before) < 0 || job_open(&job, false) < 0)
		goto out;
	result = get_config(ctl, inv, name);
	if (!result)
		goto out;
	config = json_object_get(result, "config");
	if (job_text(&job, name, config) < 0 || job_write(&job) < 0)
		goto out;
	warn_routes(result, before, json_object_get(config, "allowed_ips"));
	warn_unannounced(ctl, result, config);
	rc = job_print(&job, result);
out:
	json_decref(before);
	json_decref(result);
	job_close(&job);
	return rc;
}

/* The new configuration is on disk before the server learns the new key: a failure never loses the only copy of it. */
int run_client_rotate(struct ctl *ctl, const struct ctl_inv *inv)
{
	struct client_job job = {.ctl = ctl, .inv = inv, .file = {.fd = -1}};
	const char *name = inv_get(inv, "CLIENT"), *path = inv_get(inv, "--config-file");
	json_t *params = ctl_params(ctl, inv), *got = NULL, *result = NULL;
	int rc = -1;

	if (!params || job_open(&job, true) < 0)
		goto out;
	got = get_config(ctl, inv, name);
	if (!got || job_text(&job, name, json_object_get(got, "config")) < 0 || job_write(&job) < 0)
		goto out;
	json_object_set_new(params, "public_key", json_string(job.pub));
	result = ctl_call(ctl, CTL_CTRL, "client.rotate", params);
	params = NULL;
	if (!result) {
		if (path)
			unlink(path);
		goto out;
	}
	if (!json_object_get(result, "config"))
		json_object_set(result, "config", json_object_get(got, "config"));
	warn_unannounced(ctl, result, json_object_get(got, "config"));
	rc = job_print(&job, result);
out:
	json_decref(params);
	json_decref(got);
	json_decref(result);
	job_close(&job);
	return rc;
}
