// SPDX-License-Identifier: BSD-3-Clause
// show.sessions and the lines of show.flows: indexes back into names.
#include "dataplane/control/show.h"

#include <string.h>

#include <sodium.h>

#include "dataplane/tables/flow_table.h"
#include "dataplane/tables/flow_tcp.h"

static void put(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

/* null for a missing or empty text. */
static void put_text(json_t *o, const char *key, const char *text)
{
	json_object_set_new(o, key, text && text[0] ? json_string(text) : json_null());
}

static void put_seconds(json_t *o, const char *key, uint64_t ns)
{
	json_object_set_new(o, key, json_real((double)(ns / 1000000) / 1000));
}

bool show_is_client(const struct client_record *c, const char *text)
{
	return c && (!strcmp(c->name, text) || !strcmp(c->email, text) || !strcmp(c->id, text));
}

static bool wanted(const struct show_filter *f, const struct client_record *client, const struct connector_record *conn)
{
	if (f->client && !show_is_client(client, f->client))
		return false;
	return !f->connector ||
	       (conn && (!strcmp(conn->id, f->connector) || !strcmp(conn->hostname, f->connector)));
}

static void put_endpoint(json_t *o, const char *key, uint8_t family, const uint8_t *address, uint16_t port_be)
{
	struct ip_endpoint e = {.addr.family = family, .port = (uint16_t)(port_be >> 8 | port_be << 8)};
	char text[IP_ENDPOINT_TEXT];

	if (!family) {
		json_object_set_new(o, key, json_null());
		return;
	}
	memcpy(e.addr.bytes, address, family == 4 ? 4 : 16);
	json_object_set_new(o, key, json_string(ip_endpoint_format(&e, text)));
}

static void put_info(json_t *o, const struct handshake_peer_info *i)
{
	json_object_set_new(o, "live", json_boolean(i->has_session));
	json_object_set_new(o, "settled", json_boolean(i->settled));
	json_object_set_new(o, "worker", i->worker == PEER_UNOWNED ? json_null() : json_integer(i->worker));
	put_endpoint(o, "endpoint", i->endpoint.family, i->endpoint.remote, i->endpoint.remote_port_be);
	put_endpoint(o, "local", i->endpoint.family, i->endpoint.local, i->endpoint.local_port_be);
	json_object_set_new(o, "last_handshake",
			    i->last_handshake_unix_s ? json_integer((json_int_t)i->last_handshake_unix_s) : json_null());
	json_object_set_new(o, "age_s",
			    i->has_session ? json_integer((json_int_t)(i->session_age_ns / 1000000000)) : json_null());
	json_object_set_new(o, "rtt_us", i->rtt_ns ? json_integer((json_int_t)(i->rtt_ns / 1000)) : json_null());
	put(o, "rx_packets", i->rx_packets);
	put(o, "rx_bytes", i->rx_bytes);
	put(o, "tx_packets", i->tx_packets);
	put(o, "tx_bytes", i->tx_bytes);
	put(o, "handoffs", i->handoffs);
}

static json_t *session_object(const struct edge *edge, const struct peer_record *p, const struct client_record *client,
			      const struct connector_record *conn)
{
	const struct account_record *account = account_get(edge->records, p->account);
	const struct tunnel_record *tunnel = conn ? tunnel_get(edge->records, conn->tunnel) : NULL;
	struct handshake_peer_info info = {.worker = PEER_UNOWNED};
	char key[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)];
	json_t *o = json_object();

	sodium_bin2base64(key, sizeof(key), p->public_key, 32, sodium_base64_VARIANT_ORIGINAL);
	handshake_peer_info(edge->handshake, p->index, &info);
	put_text(o, "kind", p->kind == PEER_CLIENT ? "client" : "connector");
	put(o, "peer", p->index);
	put_text(o, "public_key", key);
	put_text(o, "account", account ? account->name : NULL);
	put_text(o, "client", client ? client->name : NULL);
	put_text(o, "client_id", client ? client->id : NULL);
	put_text(o, "email", client ? client->email : NULL);
	put_text(o, "connector_id", conn ? conn->id : NULL);
	put_text(o, "hostname", conn ? conn->hostname : NULL);
	put_text(o, "tunnel", tunnel ? tunnel->name : NULL);
	json_object_set_new(o, "session_index", conn ? json_integer(p->session_index) : json_null());
	json_object_set_new(o, "enabled", json_boolean(p->enabled));
	put_info(o, &info);
	return o;
}

json_t *show_sessions(const struct edge *edge, const struct show_filter *filter)
{
	const struct records *r = edge->records;
	json_t *list = json_array();
	bool truncated = false;

	for (uint32_t i = 0; i < r->max_peers; i++) {
		const struct peer_record *p = peer_record_get(r, i);
		const struct client_record *client = p ? client_get(r, p->client) : NULL;
		const struct connector_record *conn = p ? connector_get(r, p->connector) : NULL;

		if (!p || !wanted(filter, client, conn))
			continue;
		truncated = json_array_size(list) >= filter->limit;
		if (truncated)
			break;
		json_array_append_new(list, session_object(edge, p, client, conn));
	}
	return json_pack("{s:o,s:b}", "sessions", list, "truncated", truncated);
}

static const char *proto_name(uint8_t proto)
{
	switch (proto) {
	case 1:
		return "icmp";
	case 6:
		return "tcp";
	case 17:
		return "udp";
	case 58:
		return "icmpv6";
	default:
		return "other";
	}
}

static const char *verdict_name(uint8_t verdict)
{
	switch (verdict) {
	case FLOW_VERDICT_ALLOW:
		return "allow";
	case FLOW_VERDICT_BLOCK:
		return "block";
	default:
		return "pending";
	}
}

static void put_address(json_t *o, const char *key, uint8_t family, const uint8_t *address)
{
	struct ip_addr a = {.family = family};
	char text[IP_ADDR_TEXT];

	memcpy(a.bytes, address, family == 4 ? 4 : 16);
	json_object_set_new(o, key, json_string(ip_addr_format(&a, text)));
}

static void put_names(json_t *o, const struct edge *edge, const struct flow_info *f)
{
	const struct records *r = edge->records;
	const struct client_record *client = client_get(r, f->client);
	const struct account_record *account = client ? account_get(r, client->account) : NULL;
	const struct vnet_record *vnet = client ? vnet_get(r, client->vnet) : NULL;
	const struct tunnel_record *tunnel = tunnel_get(r, f->tunnel);
	const struct connector_record *conn = connector_get(r, f->connector);
	const struct peer_record *session = peer_record_get(r, f->session_peer);

	put_text(o, "account", account ? account->name : NULL);
	put_text(o, "vnet", vnet ? vnet->name : NULL);
	put_text(o, "client", client ? client->name : NULL);
	put_text(o, "client_id", client ? client->id : NULL);
	put_text(o, "email", client ? client->email : NULL);
	put_text(o, "tunnel", tunnel ? tunnel->name : NULL);
	put_text(o, "connector_id", conn ? conn->id : NULL);
	put_text(o, "hostname", conn ? conn->hostname : NULL);
	json_object_set_new(o, "session_index", session ? json_integer(session->session_index) : json_null());
}

const char *show_rule_name(const struct edge *edge, uint32_t rule)
{
	const struct rule_record *r = rule_get(edge->records, rule);

	return rule == RECORD_NONE ? "default" : r ? r->name : NULL;
}

json_t *show_flow(const struct edge *edge, unsigned worker, const struct flow_info *f)
{
	const struct rule_record *rule = rule_get(edge->records, f->rule);
	json_t *o = json_object();

	put(o, "worker", worker);
	put_text(o, "proto", proto_name(f->proto));
	put_names(o, edge, f);
	put_address(o, "src", f->family, f->client_addr);
	put(o, "sport", f->client_port);
	put_address(o, "dst", f->family, f->remote_addr);
	put(o, "dport", f->remote_port);
	put_text(o, "verdict", verdict_name(f->verdict));
	put_text(o, "rule", show_rule_name(edge, f->rule));
	put_text(o, "rule_id", rule ? rule->id : NULL);
	json_object_set_new(o, "tcp_state", f->proto == 6 ? json_string(flow_tcp_name(f->tcp_state)) : json_null());
	put(o, "policy_revision", f->revision);
	put(o, "packets_up", f->packets_up);
	put(o, "bytes_up", f->bytes_up);
	put(o, "packets_down", f->packets_down);
	put(o, "bytes_down", f->bytes_down);
	put_seconds(o, "age_s", f->age_ns);
	put_seconds(o, "idle_s", f->idle_ns);
	return o;
}
