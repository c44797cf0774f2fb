// SPDX-License-Identifier: BSD-3-Clause
// Defaults: the first account and network, and the table of settings.
#include "ctrl/defaults.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "ctrl/model.h"
#include "lib/ip.h"

const struct setting_def setting_defs[] = {
	{"mtu", 1280, 1280, 9000, NULL, "largest inner packet, bytes", NULL},
	{"icmp_errors_per_second", 100, 0, 1000000, NULL, "ICMP errors that a worker sends a second", NULL},
	{"icmp_errors_burst", 50, 1, 1000000, NULL, "ICMP errors that a worker sends at once", NULL},
	{"flow_timeout_tcp_s", 7200, 10, 604800, NULL, "idle TCP flow", NULL},
	{"flow_timeout_tcp_closing_s", 10, 1, 3600, NULL, "TCP flow after FIN or RST", NULL},
	{"flow_timeout_udp_s", 180, 1, 86400, NULL, "idle UDP flow", NULL},
	{"flow_timeout_icmp_s", 30, 1, 3600, NULL, "idle ICMP flow", NULL},
	{"client_max_flows", 4096, 1, 10000000, NULL, "flows of one client", NULL},
	{"client_new_flows_per_second", 500, 1, 1000000, NULL, "new flows of one client a second", NULL},
	{"outer_dscp", 0, 0, 63, NULL, "DSCP of outer packets", NULL},
	{"handshake_max_queue", 1024, 16, 1048576, NULL, "handshakes that may wait before the edge is under load", NULL},
	{"inspect_timeout_ms", 3000, 100, 60000, NULL, "time for a flow's first bytes to show a name, milliseconds", NULL},
	{"inspect_max_bytes", 16384, 1024, 16384, NULL, "bytes of a flow in which its name is looked for", NULL},
	{"inspect_unknown", 0, 0, 0, "block", "flows whose name cannot be had: block, or continue without it", "block|continue"},
	{"edge_public_endpoint", 0, 0, 0, "", "host:port in client configs, in place of what edges announce", NULL},
	{NULL, 0, 0, 0, NULL, NULL, NULL},
};

const struct setting_def *setting_find(const char *key)
{
	for (const struct setting_def *d = setting_defs; d->key; d++) {
		if (strcmp(d->key, key) == 0)
			return d;
	}
	return NULL;
}

/* The first usable address of a pool: the edge's own. */
static char *first_usable(const char *pool, char out[IP_ADDR_TEXT])
{
	struct ip_prefix p;
	char err[128];

	if (ip_prefix_parse(pool, false, &p, err, sizeof(err)) < 0)
		return strcpy(out, "");
	ip_addr_add(&p.addr, 1);
	return ip_addr_format(&p.addr, out);
}

int defaults_account(struct store *st, const char *name, const char *action, const char *pool_v4, const char *pool_v6, char id[33])
{
	char v4[IP_ADDR_TEXT], v6[IP_ADDR_TEXT], ula[IP_PREFIX_TEXT], vnet_id[37], when[32];
	struct ip_prefix p = {.addr = {.family = 6, .bytes = {0xfd}}, .len = 64};
	uint8_t raw[16];
	json_t *doc;
	int ret;

	randombytes_buf(raw, sizeof(raw));
	sodium_bin2hex(id, 33, raw, sizeof(raw));
	randombytes_buf(p.addr.bytes + 1, 5);
	ip_prefix_format(&p, ula);
	pool_v4 = pool_v4 ? pool_v4 : DEFAULT_POOL_V4;
	pool_v6 = pool_v6 ? pool_v6 : ula;
	time_format(time(NULL), when);
	doc = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "name", name, "default_action", action, "device_pool_v4", pool_v4,
			"device_pool_v6", pool_v6, "edge_v4", first_usable(pool_v4, v4), "edge_v6", first_usable(pool_v6, v6), "created_at",
			when);
	ret = doc ? store_put(st, T_ACCOUNTS, id, doc) : -ENOMEM;
	json_decref(doc);
	if (ret < 0)
		return ret;
	uuid_new(vnet_id);
	doc = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "id", vnet_id, "account_id", id, "name", "default", "comment", "", "is_default", 1,
			"created_at", when);
	ret = doc ? store_put(st, T_VNETS, vnet_id, doc) : -ENOMEM;
	json_decref(doc);
	return ret;
}

int defaults_create(struct store *st)
{
	char id[33];
	int ret = defaults_account(st, "default", "block", NULL, NULL, id);

	for (const struct setting_def *d = setting_defs; ret == 0 && d->key; d++) {
		json_t *doc = json_pack("{s:s, s:o}", "key", d->key, "value", d->text ? json_string(d->text) : json_integer(d->value));

		ret = doc ? store_put(st, T_SETTINGS, d->key, doc) : -ENOMEM;
		json_decref(doc);
	}
	return ret < 0 ? ret : store_meta_set(st, "default_account", id);
}
