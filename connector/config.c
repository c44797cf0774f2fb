// SPDX-License-Identifier: BSD-3-Clause
// Config file, environment, credentials: one structure out of three places.
#include "connector/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <sodium.h>

#include "lib/ip.h"

enum {
	CREDENTIALS_MAX_BYTES = 64 * 1024,
	SECRET_MIN_BYTES = 32,
	SECRET_MAX_BYTES = 1024,
	ID_MAX_BYTES = 64,
};

static const char *const mode_names[] = {"userspace", "tun", NULL};
static const char *const level_names[] = {"error", "warn", "info", "debug", NULL};

const char *connector_mode_name(int mode)
{
	return mode_names[mode];
}

#define AT(field) offsetof(struct connector_config, field)

static const struct conf_key warp_keys[] = {
	{.name = "enabled", .type = CONF_BOOL, .offset = 0},
	{0},
};

static const struct conf_key keys[] = {
	{.name = "tunnel", .type = CONF_STRING, .offset = AT(tunnel)},
	{.name = "credentials-file", .type = CONF_STRING, .offset = AT(credentials_file)},
	{.name = "metrics", .type = CONF_STRING, .offset = AT(metrics)},
	{.name = "edge", .type = CONF_STRINGS, .offset = AT(edge), .min = 1, .max = 16},
	{.name = "edge-ca", .type = CONF_STRING, .offset = AT(edge_ca_file)},
	{.name = "mode", .type = CONF_CHOICE, .offset = AT(mode), .choices = mode_names},
	{.name = "grace-period", .type = CONF_DURATION, .offset = AT(grace_ms), .min = 0, .max = CONFIG_GRACE_MAX_MS},
	{.name = "log-level", .type = CONF_CHOICE, .offset = AT(log_level), .choices = level_names},
	{.name = "mtu", .type = CONF_INT, .offset = AT(mtu), .min = 1280, .max = 9000},
	{.name = "max-active-flows", .type = CONF_INT, .offset = AT(max_active_flows), .min = 0, .max = 1000000},
	{.name = "allow", .type = CONF_STRINGS, .offset = AT(allow), .max = FENCE_ENTRIES_MAX},
	{.name = "deny", .type = CONF_STRINGS, .offset = AT(deny), .max = FENCE_ENTRIES_MAX},
	{.name = "preserve-source", .type = CONF_BOOL, .offset = AT(preserve_source)},
	{.name = "warp-routing", .type = CONF_MAP, .offset = AT(warp_routing), .sub = warp_keys},
	{0},
};

static int read_config_file(struct connector_config *config, const char *file, char *err, size_t err_len)
{
	struct conf_node *root = conf_load(file, err, err_len);
	int failed;

	if (!root)
		return -1;
	failed = conf_read(root, keys, config, err, err_len);
	conf_free(root);
	return failed ? -1 : 0;
}

static void replace(char **at, const char *text)
{
	free(*at);
	*at = strdup(text);
}

static void strings_clear(struct conf_strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	memset(s, 0, sizeof(*s));
}

static void strings_add(struct conf_strings *s, const char *text, size_t bytes)
{
	s->v = realloc(s->v, (s->n + 1) * sizeof(*s->v));
	s->v[s->n++] = strndup(text, bytes);
}

/* "a:1,b:2" */
static void strings_split(struct conf_strings *s, const char *text)
{
	strings_clear(s);
	while (*text) {
		size_t n = strcspn(text, ", ");

		if (n)
			strings_add(s, text, n);
		text += n + (text[n] != 0);
	}
}

static void read_environment(struct connector_config *config, char *(*getenv_fn)(const char *name))
{
	const char *v;

	if ((v = getenv_fn("TUNNEL_CRED_FILE")) && *v)
		replace(&config->credentials_file, v);
	if ((v = getenv_fn("TUNNEL_METRICS")) && *v)
		replace(&config->metrics, v);
	if ((v = getenv_fn("TUNNEL_EDGE")) && *v)
		strings_split(&config->edge, v);
	if ((v = getenv_fn("TUNNEL_EDGE_CA")) && *v)
		replace(&config->edge_ca_file, v);
}

/* A small file as heap text (the caller wipes and frees), or NULL with a line in err. */
static char *read_text(const char *path, size_t *bytes, char *err, size_t err_len)
{
	char *text = malloc(CREDENTIALS_MAX_BYTES + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	ssize_t n = 0;

	while (text && fd >= 0 && got <= CREDENTIALS_MAX_BYTES &&
	       (n = read(fd, text + got, CREDENTIALS_MAX_BYTES + 1 - got)) > 0)
		got += (size_t)n;
	if (!text || fd < 0 || n < 0) {
		snprintf(err, err_len, "%s: %s", path, strerror(errno));
	} else if (got > CREDENTIALS_MAX_BYTES) {
		snprintf(err, err_len, "%s: longer than %d bytes", path, CREDENTIALS_MAX_BYTES);
	} else {
		close(fd);
		text[got] = 0;
		*bytes = got;
		return text;
	}
	if (fd >= 0)
		close(fd);
	if (text)
		sodium_memzero(text, CREDENTIALS_MAX_BYTES + 1);
	free(text);
	return NULL;
}

static bool id_ok(const char *id)
{
	size_t n = strlen(id);

	return n && n <= ID_MAX_BYTES &&
	       strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == n;
}

static const char *take_secret(struct connector_config *config, const json_t *v)
{
	size_t bytes = 0;

	if (!json_is_string(v))
		return "is not base64 text";
	config->secret = calloc(1, SECRET_MAX_BYTES);
	if (sodium_base642bin(config->secret, SECRET_MAX_BYTES, json_string_value(v), json_string_length(v), NULL,
			      &bytes, NULL, sodium_base64_VARIANT_ORIGINAL))
		return "is not base64";
	if (bytes < SECRET_MIN_BYTES)
		return "is shorter than 32 bytes";
	config->secret_bytes = bytes;
	return NULL;
}

/* `Edge`: one address or a list; what config or environment said stands. */
static const char *take_edge(struct connector_config *config, const json_t *v)
{
	bool taken = config->edge.n > 0;
	size_t i;
	json_t *item;

	if (json_is_string(v)) {
		if (!taken)
			strings_add(&config->edge, json_string_value(v), json_string_length(v));
		return NULL;
	}
	if (!json_is_array(v) || !json_array_size(v))
		return "is not an address";
	json_array_foreach(v, i, item) {
		if (!json_is_string(item))
			return "is not an address";
		if (!taken)
			strings_add(&config->edge, json_string_value(item), json_string_length(item));
	}
	return NULL;
}

static const char *take_text(char **at, const json_t *v)
{
	if (!json_is_string(v) || !json_string_length(v))
		return "is not a text";
	replace(at, json_string_value(v));
	return NULL;
}

static const char *take_credential(struct connector_config *config, const char *key, const json_t *v)
{
	if (!strcmp(key, "AccountTag"))
		return take_text(&config->account_tag, v);
	if (!strcmp(key, "TunnelID"))
		return take_text(&config->tunnel_id, v);
	if (!strcmp(key, "TunnelName"))
		return take_text(&config->tunnel_name, v);
	if (!strcmp(key, "TunnelSecret"))
		return take_secret(config, v);
	if (!strcmp(key, "EdgeCA"))
		return take_text(&config->edge_ca_pem, v);
	if (!strcmp(key, "Edge"))
		return take_edge(config, v);
	if (!strcmp(key, "Endpoint"))
		return NULL; /* files of the reference product have it */
	return "is not a known key";
}

static const char *missing_credential(const struct connector_config *config)
{
	if (!config->account_tag || !id_ok(config->account_tag))
		return "AccountTag is missing or not an id";
	if (!config->tunnel_id || !id_ok(config->tunnel_id))
		return "TunnelID is missing or not an id";
	return config->secret_bytes ? NULL : "TunnelSecret is missing";
}

static int read_credentials(struct connector_config *config, char *err, size_t err_len)
{
	const char *file = config->credentials_file, *key, *wrong = NULL;
	json_t *root = NULL, *value;
	json_error_t where;
	size_t bytes = 0;
	char *text;

	text = read_text(file, &bytes, err, err_len);
	if (!text)
		return -1;
	root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where);
	sodium_memzero(text, bytes);
	free(text);
	if (!json_is_object(root)) {
		/* without the parser's words: they may quote the secret */
		snprintf(err, err_len, "%s:%d: not a JSON object", file, root ? 1 : where.line);
		json_decref(root);
		return -1;
	}
	json_object_foreach(root, key, value) {
		wrong = take_credential(config, key, value);
		if (wrong) {
			snprintf(err, err_len, "%s: %s %s", file, key, wrong);
			break;
		}
	}
	if (json_is_string(json_object_get(root, "TunnelSecret"))) {
		value = json_object_get(root, "TunnelSecret");
		sodium_memzero((void *)(uintptr_t)json_string_value(value), json_string_length(value));
	}
	json_decref(root);
	if (!wrong && (wrong = missing_credential(config)))
		snprintf(err, err_len, "%s: %s", file, wrong);
	return wrong ? -1 : 0;
}

static int check_tunnel(const struct connector_config *config, const char *wanted, const char *from, char *err,
			size_t err_len)
{
	if (!wanted || !strcmp(wanted, config->tunnel_id) ||
	    (config->tunnel_name && !strcmp(wanted, config->tunnel_name)))
		return 0;
	snprintf(err, err_len, "%s: tunnel %s is not the one of %s (%s%s%s)", from, wanted, config->credentials_file,
		 config->tunnel_id, config->tunnel_name ? ", " : "", config->tunnel_name ? config->tunnel_name : "");
	return -1;
}

static int check_fence(struct connector_config *config, char *err, size_t err_len)
{
	const char *const *allow = (const char *const *)config->allow.v, *const *deny = (const char *const *)config->deny.v;

	if (fence_allow(&config->fence, allow, config->allow.n, "allow", err, err_len) ||
	    fence_deny(&config->fence, deny, config->deny.n, "deny", err, err_len))
		return -1;
	if (!config->preserve_source || config->mode == CONNECTOR_MODE_TUN)
		return 0;
	snprintf(err, err_len, "preserve-source: true needs mode: tun (a userspace stack opens connections of its own)");
	return -1;
}

static int check_edge(struct connector_config *config, char *err, size_t err_len)
{
	size_t bytes;
	char host[256];
	uint16_t port;

	if (config->edge_ca_file) { /* stands above the credentials' */
		free(config->edge_ca_pem);
		config->edge_ca_pem = read_text(config->edge_ca_file, &bytes, err, err_len);
		if (!config->edge_ca_pem)
			return -1;
	}
	if (!config->edge.n || !config->edge_ca_pem) {
		snprintf(err, err_len,
			 "no registration address or authority: give edge (or TUNNEL_EDGE) and edge-ca (or TUNNEL_EDGE_CA), or "
			 "Edge and EdgeCA in %s",
			 config->credentials_file);
		return -1;
	}
	for (size_t i = 0; i < config->edge.n; i++) {
		if (!ip_hostport_split(config->edge.v[i], host, sizeof(host), &port) || !port) {
			snprintf(err, err_len, "edge: %s is not host:port", config->edge.v[i]);
			return -1;
		}
	}
	return 0;
}

int config_load(struct connector_config *config, const char *file, const char *tunnel,
		char *(*getenv_fn)(const char *name), char *err, size_t err_len)
{
	char host[256];
	uint16_t port;

	memset(config, 0, sizeof(*config));
	config->grace_ms = 30000;
	config->log_level = LOG_LEVEL_INFO;
	config->warp_routing.enabled = true;
	if (file && read_config_file(config, file, err, err_len))
		return -1;
	read_environment(config, getenv_fn);
	if (!config->credentials_file) {
		snprintf(err, err_len, "%s%sno credentials: give credentials-file or TUNNEL_CRED_FILE",
			 file ? file : "", file ? ": " : "");
		return -1;
	}
	if (config->metrics && !ip_hostport_split(config->metrics, host, sizeof(host), &port)) {
		snprintf(err, err_len, "metrics: %s is not host:port", config->metrics);
		return -1;
	}
	if (check_fence(config, err, err_len) || read_credentials(config, err, err_len) || check_edge(config, err, err_len))
		return -1;
	if (config->tunnel && check_tunnel(config, config->tunnel, file, err, err_len))
		return -1;
	return check_tunnel(config, tunnel, "command line", err, err_len);
}

void config_free(struct connector_config *config)
{
	conf_release(keys, config);
	fence_free(&config->fence);
	free(config->account_tag);
	free(config->tunnel_id);
	free(config->tunnel_name);
	if (config->secret)
		sodium_memzero(config->secret, SECRET_MAX_BYTES);
	free(config->secret);
	free(config->edge_ca_pem);
	memset(config, 0, sizeof(*config));
}
