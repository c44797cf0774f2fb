// SPDX-License-Identifier: BSD-3-Clause
// Text of a WireGuard configuration as wg-quick and the mobile apps read it.
#include "tools/wgconf.h"
#include "lib/log.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void encode(const unsigned char key[WG_KEY_BYTES], char text[WG_KEY_TEXT])
{
	sodium_bin2base64(text, WG_KEY_TEXT, key, WG_KEY_BYTES, sodium_base64_VARIANT_ORIGINAL);
}

static bool decode(const char *text, unsigned char key[WG_KEY_BYTES])
{
	size_t len = 0;

	return strlen(text) == WG_KEY_TEXT - 1 &&
	       !sodium_base642bin(key, WG_KEY_BYTES, text, WG_KEY_TEXT - 1, NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) &&
	       len == WG_KEY_BYTES;
}

void wg_key_new(char priv[WG_KEY_TEXT], char pub[WG_KEY_TEXT])
{
	unsigned char key[WG_KEY_BYTES];

	randombytes_buf(key, sizeof(key));
	key[0] &= 248;
	key[31] = (unsigned char)((key[31] & 127) | 64);
	encode(key, priv);
	wg_key_public(priv, pub);
	sodium_memzero(key, sizeof(key));
}

bool wg_key_public(const char *priv, char pub[WG_KEY_TEXT])
{
	unsigned char key[WG_KEY_BYTES], point[WG_KEY_BYTES];
	bool ok = decode(priv, key);

	if (ok) {
		crypto_scalarmult_base(point, key);
		encode(point, pub);
	}
	sodium_memzero(key, sizeof(key));
	return ok;
}

bool wg_key_valid(const char *key)
{
	unsigned char bytes[WG_KEY_BYTES];

	return decode(key, bytes);
}

/* "  PrivateKey = value  # comment" → value, trimmed, into out. */
static bool line_value(const char *line, size_t len, const char *key, char *out, size_t size)
{
	size_t n = strlen(key), end;

	while (len && isspace((unsigned char)*line)) {
		line++;
		len--;
	}
	if (len < n || strncasecmp(line, key, n))
		return false;
	for (line += n, len -= n; len && (*line == ' ' || *line == '\t'); len--)
		line++;
	if (!len || *line != '=')
		return false;
	for (line++, len--; len && isspace((unsigned char)*line); len--)
		line++;
	for (end = 0; end < len && line[end] != '#'; end++)
		;
	while (end && isspace((unsigned char)line[end - 1]))
		end--;
	if (end >= size)
		return false;
	memcpy(out, line, end);
	out[end] = 0;
	return true;
}

bool wg_key_find(const char *text, char priv[WG_KEY_TEXT])
{
	const char *line = text;
	char buf[128];
	size_t len;

	for (; *line; line += len + (line[len] != 0)) {
		len = strcspn(line, "\n");
		if (!line_value(line, len, "PrivateKey", buf, sizeof(buf)))
			continue;
		len = strlen(buf);
		if (len == WG_KEY_TEXT - 1)
			memcpy(priv, buf, WG_KEY_TEXT);
		sodium_memzero(buf, sizeof(buf));
		return len == WG_KEY_TEXT - 1 && wg_key_valid(priv);
	}
	while (isspace((unsigned char)*text))
		text++;
	len = strcspn(text, " \t\r\n");
	if (len != WG_KEY_TEXT - 1 || text[len + strspn(text + len, " \t\r\n")])
		return false;
	memcpy(priv, text, len);
	priv[len] = 0;
	return wg_key_valid(priv);
}

json_t *wg_allowed_find(const char *text)
{
	json_t *out = NULL;
	size_t len;

	for (; *text; text += len + (text[len] != 0)) {
		char *buf, *save, *word;

		len = strcspn(text, "\n");
		buf = malloc(len + 1);
		if (buf && line_value(text, len, "AllowedIPs", buf, len + 1)) {
			out = out ? out : json_array();
			for (word = strtok_r(buf, ", \t", &save); word; word = strtok_r(NULL, ", \t", &save))
				json_array_append_new(out, json_string(word));
		}
		free(buf);
	}
	return out;
}

/* A server's value may hold only what addresses, keys and host names are made of: it never starts a line of its own. */
static bool safe(const char *text)
{
	return text && *text && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=.:-_[]") == strlen(text);
}

static bool put_list(FILE *f, const char *key, json_t *array, const char *suffix)
{
	json_t *v;
	size_t i;

	fprintf(f, "%s = ", key);
	json_array_foreach(array, i, v) {
		const char *text = json_string_value(v);

		if (!safe(text))
			return false;
		fprintf(f, "%s%s%s", i ? ", " : "", text, !*suffix || strchr(text, '/') ? "" : strchr(text, ':') ? "/128" : "/32");
	}
	fputc('\n', f);
	return json_array_size(array) > 0;
}

static bool put_endpoints(FILE *f, const char *wanted, json_t *endpoints)
{
	const char *used = wanted ? wanted : json_string_value(json_array_get(endpoints, 0));
	json_t *v;
	size_t i;

	if (!used) {
		fputs("# Endpoint: no edge has announced one yet\n", f);
		return true;
	}
	if (!safe(used))
		return false;
	fprintf(f, "Endpoint = %s\n", used);
	json_array_foreach(endpoints, i, v) {
		const char *other = json_string_value(v);

		if (safe(other) && strcmp(other, used))
			fprintf(f, "# Endpoint = %s\n", other);
	}
	return true;
}

static const char *write_config(FILE *f, const struct wg_config *c, json_t *config)
{
	const char *edge_key = json_string_value(json_object_get(config, "edge_public_key"));
	json_int_t mtu = json_integer_value(json_object_get(config, "mtu"));
	char name[1024];

	log_escape(name, sizeof(name), c->name, strlen(c->name));
	fprintf(f, "# %s\n[Interface]\n", name);
	if (c->private_key)
		fprintf(f, "PrivateKey = %s\n", c->private_key);
	else
		fputs("# PrivateKey = (the device keeps it)\n", f);
	if (!put_list(f, "Address", json_object_get(config, "addresses"), "/"))
		return "addresses";
	if (mtu)
		fprintf(f, "MTU = %" JSON_INTEGER_FORMAT "\n", mtu);
	fputs("\n[Peer]\n", f);
	if (edge_key && !wg_key_valid(edge_key))
		return "edge_public_key";
	if (edge_key)
		fprintf(f, "PublicKey = %s\n", edge_key);
	else
		fputs("# PublicKey: no edge has announced one yet\n", f);
	if (!put_list(f, "AllowedIPs", json_object_get(config, "allowed_ips"), ""))
		return "allowed_ips";
	if (!put_endpoints(f, c->endpoint, json_object_get(config, "endpoints")))
		return "endpoints";
	if (c->keepalive)
		fprintf(f, "PersistentKeepalive = %d\n", WG_KEEPALIVE_S);
	return NULL;
}

char *wg_config_text(const struct wg_config *c, json_t *config, char *why, size_t why_size)
{
	char *text = NULL;
	const char *bad;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	bad = write_config(f, c, config);
	fclose(f);
	if (!bad)
		return text;
	snprintf(why, why_size, "the server's configuration has no usable '%s'", bad);
	sodium_memzero(text, len);
	free(text);
	return NULL;
}
