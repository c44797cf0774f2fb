// SPDX-License-Identifier: BSD-3-Clause
// Documents: indexes, sync rows, and the small conversions that everybody needs.
#include "ctrl/model.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

const char *const table_names[T_COUNT] = {"accounts", "vnets",   "tunnels",    "routes",   "lists",
					  "rules",    "clients", "connectors", "settings", "deny"};
const char *const table_singulars[T_COUNT] = {"account", "vnet",   "tunnel",    "route",   "list",
					      "rule",	 "client", "connector", "setting", "deny"};

const char *doc_str(const json_t *doc, const char *key)
{
	const char *s = json_string_value(json_object_get(doc, key));

	return s ? s : "";
}

int64_t doc_int(const json_t *doc, const char *key)
{
	return json_integer_value(json_object_get(doc, key));
}

bool doc_true(const json_t *doc, const char *key)
{
	return json_is_true(json_object_get(doc, key));
}

void uuid_new(char out[37])
{
	uint8_t b[16];

	randombytes_buf(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5],
		 b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

bool uuid_canonical(const char *text, char out[37])
{
	size_t n = strlen(text), w = 0;

	if (n != 32 && n != 36)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool hyphen_here = n == 36 && (i == 8 || i == 13 || i == 18 || i == 23);

		if (hyphen_here ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
		if (hyphen_here)
			continue;
		if (w == 8 || w == 13 || w == 18 || w == 23)
			out[w++] = '-';
		out[w++] = (char)tolower((unsigned char)text[i]);
	}
	out[w] = 0;
	return true;
}

bool time_parse(const char *text, int64_t *out)
{
	struct tm tm = {0};
	int y, mo, d, h, mi, s, n = 0, oh = 0, om = 0;
	char sign;
	int64_t t;

	if (strlen(text) > 40 || sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &y, &mo, &d, &h, &mi, &s, &n) != 6 || n != 19)
		return false;
	text += n;
	if (*text == '.') {
		text++;
		if (!isdigit((unsigned char)*text))
			return false;
		text += strspn(text, "0123456789");
	}
	if (strcmp(text, "Z") != 0 && strcmp(text, "z") != 0) {
		if (strlen(text) != 6 || sscanf(text, "%c%2d:%2d%n", &sign, &oh, &om, &n) != 3 || n != 6 ||
		    (sign != '+' && sign != '-') || oh > 23 || om > 59 || oh < 0 || om < 0)
			return false;
		if (sign == '-')
			oh = -oh, om = -om;
	}
	if (y < 1970 || mo < 1 || mo > 12 || d < 1 || d > 31 || h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 60)
		return false;
	tm = (struct tm){.tm_year = y - 1900, .tm_mon = mo - 1, .tm_mday = d, .tm_hour = h, .tm_min = mi, .tm_sec = s};
	t = timegm(&tm);
	if (tm.tm_mday != d)
		return false; /* such as 30 February */
	*out = t - oh * 3600 - om * 60;
	return true;
}

char *time_format(int64_t unix_s, char out[32])
{
	time_t t = unix_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

void key_format(const uint8_t key[32], char out[45])
{
	sodium_bin2base64(out, 45, key, 32, sodium_base64_VARIANT_ORIGINAL);
}

bool key_parse(const char *b64, uint8_t out[32])
{
	char again[45];
	size_t n;

	if (strlen(b64) != 44 || sodium_base642bin(out, 32, b64, 44, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 || n != 32)
		return false;
	key_format(out, again);
	return strcmp(again, b64) == 0;
}

void unique_key(const char *public_key_b64, char out[KEY_MAX])
{
	snprintf(out, KEY_MAX, "key:%s", public_key_b64);
}

void unique_addr(const char *account, const char *addr, char out[KEY_MAX])
{
	snprintf(out, KEY_MAX, "addr:%s:%s", account, addr);
}

void unique_precedence(const char *account, int64_t n, char out[KEY_MAX])
{
	snprintf(out, KEY_MAX, "precedence:%s:%lld", account, (long long)n);
}

static void sooner(struct model_index *ix, int64_t at)
{
	if (at > 0 && (ix->due == 0 || at < ix->due))
		ix->due = at;
}

static void index_client(const json_t *doc, struct model_index *ix)
{
	const json_t *v;
	const char *check;
	size_t i;

	unique_key(doc_str(doc, "public_key"), ix->unique[ix->n_unique++]);
	if (json_object_get(doc, "old_public_key")) {
		unique_key(doc_str(doc, "old_public_key"), ix->unique[ix->n_unique++]);
		sooner(ix, doc_int(doc, "old_until"));
	}
	json_array_foreach(json_object_get(doc, "addresses"), i, v)
		if (i < 2)
			unique_addr(ix->account, json_string_value(v), ix->unique[ix->n_unique++]);
	if (!doc_true(doc, "expired"))
		sooner(ix, doc_int(doc, "expires_at"));
	json_object_foreach(json_object_get(doc, "posture"), check, v)
		sooner(ix, doc_int(v, "expires_at"));
}

void model_index(enum table t, const json_t *doc, struct model_index *ix)
{
	const json_t *v;
	size_t i;

	ix->account = doc_str(doc, "account_id");
	ix->name = json_string_value(json_object_get(doc, "name"));
	ix->due = 0;
	ix->n_unique = 0;
	if (t == T_CLIENTS)
		index_client(doc, ix);
	if (t == T_RULES)
		unique_precedence(ix->account, doc_int(doc, "precedence"), ix->unique[ix->n_unique++]);
	if (t == T_CONNECTORS) {
		json_array_foreach(json_object_get(doc, "public_keys"), i, v)
			if (ix->n_unique < MODEL_UNIQUE_MAX)
				unique_key(json_string_value(v), ix->unique[ix->n_unique++]);
		sooner(ix, doc_int(doc, "lease_expires"));
	}
}

/* Copies the named members (absent: null), in order. */
static json_t *pick(const json_t *doc, const char *const *names)
{
	json_t *row = json_object();

	for (; row && *names; names++) {
		json_t *v = json_object_get(doc, *names);

		json_object_set_new(row, *names, v ? json_incref(v) : json_null());
	}
	return row;
}

static void set_or_null(json_t *row, const json_t *doc, const char *key)
{
	json_t *v = json_object_get(doc, key);

	json_object_set_new(row, key, v ? json_incref(v) : json_null());
}

static json_t *client_row(const json_t *doc, const char *psk, int64_t now)
{
	static const char *const names[] = {"id", "account_id", "vnet_id", "name", "email", "groups", "posture", NULL};
	json_t *row = pick(doc, names), *keys = json_array();
	int64_t expires = doc_int(doc, "expires_at");
	bool on = doc_true(doc, "enabled") && !doc_true(doc, "expired") && (expires == 0 || expires > now);

	json_object_set_new(row, "enabled", json_boolean(on));
	json_object_set_new(row, "expires_at", expires ? json_integer(expires) : json_null());
	set_or_null(row, doc, "rate_bps");
	set_or_null(row, doc, "rate_pps");
	json_object_set(row, "addresses", json_object_get(doc, "addresses"));
	json_array_append(keys, json_object_get(doc, "public_key"));
	if (json_object_get(doc, "old_public_key"))
		json_array_append(keys, json_object_get(doc, "old_public_key"));
	json_object_set_new(row, "public_keys", keys);
	json_object_set_new(row, "preshared_key", psk ? json_string(psk) : json_null());
	return row;
}

static json_t *list_row(const json_t *doc)
{
	static const char *const names[] = {"id", "account_id", "name", "type", NULL};
	json_t *row = pick(doc, names), *items = json_array();
	json_t *it;
	size_t i;

	json_array_foreach(json_object_get(doc, "items"), i, it)
		json_array_append(items, json_object_get(it, "value"));
	json_object_set_new(row, "items", items);
	return row;
}

json_t *model_row(enum table t, const json_t *doc, const char *psk_b64, int64_t now)
{
	static const char *const account[] = {"id", "name", "default_action", "device_pool_v4", "device_pool_v6", "edge_v4", "edge_v6", NULL};
	static const char *const vnet[] = {"id", "account_id", "name", "is_default", NULL};
	static const char *const tunnel[] = {"id", "account_id", "name", "affinity", "sessions", NULL};
	static const char *const rule[] = {"id",       "account_id",     "name",	  "precedence", "enabled", "action", "filters", "traffic",
					   "identity", "device_posture", "rule_settings", NULL};
	static const char *const connector[] = {"id",	   "account_id", "tunnel_id", "hostname",	"version",	   "mode",	  "mtu",
						"weight",  "draining",	 "since",     "lease_expires", "preserve_source", "public_keys", NULL};
	static const char *const setting[] = {"key", "value", NULL};
	static const char *const deny[] = {"network", NULL};
	static const char *const *const plain[T_COUNT] = {
		[T_ACCOUNTS] = account, [T_VNETS] = vnet,	      [T_TUNNELS] = tunnel, [T_RULES] = rule,
		[T_CONNECTORS] = connector, [T_SETTINGS] = setting, [T_DENY] = deny,
	};

	if (t == T_CLIENTS)
		return client_row(doc, psk_b64, now);
	if (t == T_LISTS)
		return list_row(doc);
	return t == T_ROUTES ? NULL : pick(doc, plain[t]);
}
