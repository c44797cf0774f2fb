// SPDX-License-Identifier: BSD-3-Clause
// Rows of tables settings and deny: each is applied as a whole, after its rows changed.
#include "dataplane/control/apply_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/handshake.h"
#include "lib/log.h"

static const struct setting {
	const char *key;
	size_t offset;
	unsigned size; /* bytes of the field */
	int64_t min, max, fallback;
	const char *const *words; /* the value is one of these, and stored as its place */
} settings[] = {
#define SETTING(field, min_, max_, fallback_)                                                      \
	{#field, offsetof(struct settings_record, field), sizeof(((struct settings_record *)0)->field), min_, max_, fallback_, NULL}
	SETTING(mtu, 1280, 9000, 1280),
	SETTING(icmp_errors_per_second, 1, 1000000, 100),
	SETTING(icmp_errors_burst, 1, 1000000, 50),
	SETTING(flow_timeout_tcp_s, 1, 604800, 7200),
	SETTING(flow_timeout_tcp_closing_s, 1, 3600, 10),
	SETTING(flow_timeout_udp_s, 1, 86400, 180),
	SETTING(flow_timeout_icmp_s, 1, 3600, 30),
	SETTING(client_max_flows, 1, 16777216, 4096),
	SETTING(client_new_flows_per_second, 1, 1000000, 500),
	SETTING(inspect_timeout_ms, 100, 60000, 3000),
	SETTING(inspect_max_bytes, 1024, 16384, 16384),
	SETTING(outer_dscp, 0, 63, 0),
	SETTING(handshake_max_queue, 1, 1048576, 1024),
#undef SETTING
	{"inspect_unknown", offsetof(struct settings_record, inspect_unknown_continue), 1, 0, 1, 0,
	 (const char *const[]){"block", "continue"}},
};

#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))

static const struct setting *setting_find(const char *key)
{
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (!strcmp(settings[i].key, key))
			return &settings[i];
	return NULL;
}

static bool setting_word(const json_t *v, const struct setting *s, int64_t *out)
{
	const char *text = json_string_value(v);

	for (*out = s->min; text && *out <= s->max; ++*out)
		if (!strcmp(s->words[*out], text))
			return true;
	return false;
}

/* A whole number, or one as text; or one of its words. */
static bool setting_value(const json_t *row, const struct setting *s, int64_t *out)
{
	const json_t *v = json_object_get(row, "value");
	const char *text = json_string_value(v);
	char *end;

	if (s->words)
		return setting_word(v, s, out);
	if (json_is_integer(v)) {
		*out = json_integer_value(v);
	} else if (text && text[0]) {
		errno = 0;
		*out = strtoll(text, &end, 10);
		if (*end || errno)
			return false;
	} else {
		return false;
	}
	return *out >= s->min && *out <= s->max;
}

/* Keys that this edge does not use are kept and ignored. */
int setting_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e)
{
	const struct setting *s = setting_find(row->key);
	int64_t value;

	if (s && s->words && !setting_value(json, s, &value))
		return row_fail(e, "invalid", "value: %s is %s or %s", s->key, s->words[0], s->words[1]);
	if (s && !setting_value(json, s, &value))
		return row_fail(e, "invalid", "value: %s is a number from %lld to %lld", s->key, (long long)s->min,
				(long long)s->max);
	a->settings_changed = true;
	return 0;
}

void setting_remove(struct apply *a, struct row *row)
{
	(void)row;
	a->settings_changed = true;
}

static void store(void *record, const struct setting *s, int64_t value)
{
	uint8_t *at = (uint8_t *)record + s->offset;

	if (s->size == 1)
		*at = (uint8_t)value;
	else if (s->size == 2)
		*(uint16_t *)(void *)at = (uint16_t)value;
	else
		*(uint32_t *)(void *)at = (uint32_t)value;
}

/* The legs of clients have the MTU of the settings. */
static void publish_mtu(struct apply *a, uint16_t mtu)
{
	for (uint32_t i = 0; i < a->records->max_peers; i++) {
		const struct peer_record **slot = &a->records->peers[i];
		struct peer_record *r;

		if (!*slot || (*slot)->kind != PEER_CLIENT || (*slot)->mtu == mtu)
			continue;
		r = apply_copy(*slot, sizeof(*r));
		if (!r)
			return;
		r->mtu = mtu;
		APPLY_PUBLISH(a, slot, r, sizeof(*r));
		handshake_peer_changed(a->edge->handshake, i, r);
	}
}

void settings_publish(struct apply *a)
{
	struct settings_record *r = calloc(1, sizeof(*r));

	a->settings_changed = false;
	if (!r)
		return;
	for (size_t i = 0; i < N_SETTINGS; i++) {
		const struct row *row = row_find(&a->stores[TABLE_settings], settings[i].key);
		json_t *json = row ? json_loads(row->json, 0, NULL) : NULL;
		int64_t value = settings[i].fallback;

		if (json && !setting_value(json, &settings[i], &value))
			value = settings[i].fallback;
		store(r, &settings[i], value);
		json_decref(json);
	}
	publish_mtu(a, r->mtu);
	APPLY_PUBLISH(a, &a->records->settings, r, 0);
}

int deny_put(struct apply *a, struct row *row, const json_t *json, struct row_error *e)
{
	struct ip_prefix p;
	char err[160];

	(void)json;
	if (ip_prefix_parse(row->key, true, &p, err, sizeof(err)))
		return row_fail(e, "invalid", "network: %s", err);
	a->deny_changed = true;
	return 0;
}

void deny_remove(struct apply *a, struct row *row)
{
	(void)row;
	a->deny_changed = true;
}

void deny_publish(struct apply *a)
{
	const struct row_store *s = &a->stores[TABLE_deny];
	struct ip_prefix *list = calloc(s->count ? s->count : 1, sizeof(*list));
	size_t n = 0;
	char err[160];
	int rc = 0;

	a->deny_changed = false;
	for (const struct row *row = row_next(s, NULL); list && row; row = row_next(s, row))
		if (!ip_prefix_parse(row->key, true, &list[n], err, sizeof(err)))
			n++;
	if (list && a->config.deny)
		rc = a->config.deny(a->config.arg, list, n);
	if (rc)
		log_error("deny list of %zu prefixes cannot be set: %s", n, strerror(-rc));
	free(list);
}
