// SPDX-License-Identifier: BSD-3-Clause
// Client configs: addresses, edge, allowed IPs.
#include "ctrl/client_config.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "ctrl/model.h"
#include "ctrl/runtime.h"

#define ALLOWED_MAX 1000 /* more prefixes than this make a config unusable: default routes in their place */

struct allowed {
	json_t *out;
	crypto_generichash_state hash;
	size_t n;
};

static int add_network(const struct route *rt, void *arg)
{
	struct allowed *a = arg;
	char cidr[IP_PREFIX_TEXT];

	ip_prefix_format(&rt->network, cidr);
	crypto_generichash_update(&a->hash, (const unsigned char *)cidr, strlen(cidr) + 1);
	if (a->n++ < ALLOWED_MAX)
		json_array_append_new(a->out, json_string(cidr));
	return 0;
}

static void add_host(json_t *out, const char *addr)
{
	char text[IP_PREFIX_TEXT];

	snprintf(text, sizeof(text), "%s/%d", addr, strchr(addr, ':') ? 128 : 32);
	json_array_append_new(out, json_string(text));
}

static json_t *allowed_ips(struct req *r, const json_t *doc, bool full, char hash_hex[33])
{
	struct allowed a = {.out = json_array()};
	uint8_t hash[16];

	crypto_generichash_init(&a.hash, NULL, 0, sizeof(hash));
	route_each(r->st, store_num(r->st, T_VNETS, doc_str(doc, "vnet_id")), 0, add_network, &a);
	crypto_generichash_final(&a.hash, hash, sizeof(hash));
	sodium_bin2hex(hash_hex, 33, hash, sizeof(hash));
	if (a.n > ALLOWED_MAX && !full)
		req_warn(r, "the vnet has %zu routes, too many for a client's config: it takes default routes", a.n);
	if (full || a.n > ALLOWED_MAX) {
		json_decref(a.out);
		return json_pack("[s, s]", "0.0.0.0/0", "::/0");
	}
	add_host(a.out, doc_str(r->account, "edge_v4"));
	add_host(a.out, doc_str(r->account, "edge_v6"));
	return a.out;
}

int client_config_make(struct req *r, json_t *doc, bool full, bool issue)
{
	json_t *addresses = json_array(), *mtu = store_get(r->st, T_SETTINGS, "mtu"), *edge, *config, *v;
	json_t *endpoint = store_get(r->st, T_SETTINGS, "edge_public_endpoint");
	char hash[33];
	size_t i;

	json_array_foreach(json_object_get(doc, "addresses"), i, v)
		add_host(addresses, json_string_value(v));
	edge = runtime_edge_for_config(r->ctrl); /* {"public_key", "endpoints"} */
	config = json_pack("{s:o, s:O, s:O, s:o, s:O}", "addresses", addresses, "edge_public_key", json_object_get(edge, "public_key"),
			   "endpoints", json_object_get(edge, "endpoints"), "allowed_ips", allowed_ips(r, doc, full, hash), "mtu",
			   json_object_get(mtu, "value"));
	if (config && doc_str(endpoint, "value")[0])
		json_object_set_new(config, "endpoints", json_pack("[s]", doc_str(endpoint, "value")));
	if (json_is_null(json_object_get(edge, "public_key")))
		req_warn(r, "no edge has connected yet: the config has no edge key and no endpoint");
	if (issue)
		json_object_set_new(doc, "config_routes", json_string(hash));
	else if (strcmp(doc_str(doc, "config_routes"), hash) != 0)
		req_warn(r, "routes have changed since the config of client '%s' was made", doc_str(doc, "name"));
	json_decref(edge);
	json_decref(mtu);
	json_decref(endpoint);
	return req_answer(r, "config", config);
}
