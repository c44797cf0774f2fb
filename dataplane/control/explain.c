// SPDX-License-Identifier: BSD-3-Clause
// Client → virtual network → route → rules → verdict → connector, each step told.
#include "dataplane/control/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>

#include "dataplane/control/show.h"
#include "dataplane/peers.h"
#include "dataplane/stages/inner.h"
#include "dataplane/stages/verdict.h"
#include "dataplane/tables/route_table.h"
#include "lib/ip.h"
#include "lib/ipc/server.h"

#define PORT_ASSUMED 443

/* The flow in question. */
struct question {
	const struct edge *edge;
	const struct client_record *client;
	struct flow_key key;
	struct ip_addr dst;
	uint16_t dport; /* host order */
	bool dport_assumed;
	const char *host;
	struct names names;
	bool named; /* a host name was given: names are what inspection would end with */
	struct decision d;
};

static json_t *fail(struct explain_error *e, const char *code, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static json_t *fail(struct explain_error *e, const char *code, const char *field, const char *fmt, ...)
{
	va_list ap;

	e->code = code;
	e->field = field;
	va_start(ap, fmt);
	vsnprintf(e->message, sizeof(e->message), fmt, ap);
	va_end(ap);
	return NULL;
}

/* ---- the question ---- */

static const struct client_record *find_client(const struct edge *edge, const char *text)
{
	for (uint32_t i = 0; i < edge->records->max_clients; i++)
		if (show_is_client(client_get(edge->records, i), text))
			return client_get(edge->records, i);
	return NULL;
}

static void known(struct name_text *t, const char *text)
{
	*t = (struct name_text){.state = NAME_KNOWN, .len = (uint16_t)strlen(text), .text = text};
}

/* The name where a client of this protocol and port would show it (decision 10: http.* is missing on TLS). */
static void see_names(struct question *q, const char *host)
{
	struct names *n = &q->names;

	q->named = true;
	q->host = host;
	n->protocol_state = NAME_KNOWN;
	n->sni.state = n->http_host.state = n->http_uri.state = n->http_method.state = n->dns_fqdn.state = NAME_MISSING;
	if (q->key.proto == INNER_ICMP || q->key.proto == INNER_ICMPV6) {
		n->protocol = DETECTED_NONE;
	} else if (q->dport == 53) {
		n->protocol = DETECTED_DNS;
		known(&n->dns_fqdn, host);
	} else if (q->key.proto == INNER_TCP && (q->dport == 80 || q->dport == 8080)) {
		n->protocol = DETECTED_HTTP;
		known(&n->http_host, host);
	} else {
		n->protocol = q->key.proto == INNER_TCP ? DETECTED_TLS : DETECTED_QUIC;
		known(&n->sni, host);
	}
}

static bool read_proto(const char *text, uint8_t family, uint8_t *proto)
{
	if (!text || !strcmp(text, "tcp"))
		*proto = INNER_TCP;
	else if (!strcmp(text, "udp"))
		*proto = INNER_UDP;
	else if (!strcmp(text, "icmp"))
		*proto = family == 4 ? INNER_ICMP : INNER_ICMPV6;
	else
		return false;
	return true;
}

static json_t *ask(struct question *q, const struct explain_query *in, struct explain_error *e)
{
	uint8_t proto;
	uint32_t v4;

	if (!in->client || !in->dst)
		return fail(e, IPC_E_MISSING_FIELD, in->client ? "dst" : "client", "%s: missing", in->client ? "dst" : "client");
	if (!ip_addr_parse(in->dst, &q->dst))
		return fail(e, IPC_E_INVALID, "dst", "dst '%.64s': not an address", in->dst);
	if (!read_proto(in->proto, q->dst.family, &proto))
		return fail(e, IPC_E_INVALID, "proto", "proto '%.16s': not tcp, udp or icmp", in->proto);
	if (in->dport < -1 || in->dport > 65535)
		return fail(e, IPC_E_INVALID, "dport", "dport %lld: not 0 to 65535", (long long)in->dport);
	if (in->host && strlen(in->host) > NAME_HOST_MAX)
		return fail(e, IPC_E_INVALID, "host", "host: longer than %d bytes", NAME_HOST_MAX);
	q->client = find_client(q->edge, in->client);
	if (!q->client)
		return fail(e, IPC_E_NOT_FOUND, "client", "client '%.128s': this edge has no such client", in->client);
	if (q->dst.family == 4 ? !q->client->has_v4 : !q->client->has_v6)
		return fail(e, IPC_E_INVALID, "dst", "client '%s' has no IPv%u address", q->client->name, q->dst.family);
	if (proto == INNER_TCP || proto == INNER_UDP) {
		q->dport_assumed = in->dport < 0;
		q->dport = in->dport < 0 ? PORT_ASSUMED : (uint16_t)in->dport;
	}
	if (q->dst.family == 4) {
		memcpy(&v4, q->dst.bytes, 4);
		flow_key_v4(&q->key, q->client->index, v4, proto, 0, rte_cpu_to_be_16(q->dport));
	} else {
		flow_key_v6(&q->key, q->client->index, q->dst.bytes, proto, 0, rte_cpu_to_be_16(q->dport));
	}
	if (in->host)
		see_names(q, in->host);
	return json_true();
}

/* ---- the answer ---- */

static json_t *address(uint8_t family, const uint8_t *bytes)
{
	struct ip_addr a = {.family = family};
	char text[IP_ADDR_TEXT];

	memcpy(a.bytes, bytes, family == 4 ? 4 : 16);
	return json_string(ip_addr_format(&a, text));
}

/* The route of at most max_len bits that covers the destination; null where there is none. *len: its own. */
static json_t *route(const struct question *q, int max_len, int *len)
{
	struct ip_prefix p = {.addr.family = q->key.family};
	const struct tunnel_record *tunnel;
	char text[IP_PREFIX_TEXT];
	struct route r;

	*len = -1;
	if (!q->d.vnet || max_len < 0 ||
	    route_lookup_covering(q->edge->routes, q->d.vnet->index, q->key.family, q->dst.bytes, (uint8_t)max_len, &r))
		return json_null();
	*len = p.len = r.len;
	memcpy(p.addr.bytes, r.addr, 16);
	tunnel = tunnel_get(q->edge->records, route_record_get(q->edge->records, r.next_hop).tunnel);
	return json_pack("{s:s,s:s?,s:s?}", "network", ip_prefix_format(&p, text), "tunnel", tunnel ? tunnel->name : NULL,
			 "tunnel_id", tunnel ? tunnel->id : NULL);
}

static void put_routes(json_t *out, const struct question *q)
{
	int len;

	json_object_set_new(out, "route", route(q, q->key.family == 4 ? 32 : 128, &len));
	json_object_set_new(out, "next_route", route(q, len - 1, &len));
}

static json_t *step(const struct question *q, const struct policy_step *s)
{
	static const char *const filters[] = {"l4", "http", "dns"}, *const actions[] = {"allow", "block", "off"};
	static const char *const matches[] = {"no", "yes", "unknown"};
	const struct rule_record *r = rule_get(q->edge->records, s->rule);

	return json_pack("{s:I,s:s,s:s?,s:s,s:s,s:s,s:s?,s:b}", "precedence", (json_int_t)(r ? r->precedence : 0), "rule",
			 r ? r->name : "?", "rule_id", r ? r->id : NULL, "filter", filters[s->filter], "action",
			 actions[s->action], "match", matches[s->match], "failed", s->failed, "decided", s->decided);
}

static void put_steps(json_t *out, const struct question *q, struct policy_result *result)
{
	struct policy_query query;
	struct policy_step *steps;
	json_t *list = json_array();
	size_t n;

	verdict_query(&q->key, false, &q->d, &query);
	n = policy_explain(q->edge->policy, &query, q->named ? &q->names : NULL, NULL, 0, result);
	steps = calloc(n + 1, sizeof(*steps));
	n = steps ? policy_explain(q->edge->policy, &query, q->named ? &q->names : NULL, steps, n, result) : 0;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, step(q, &steps[i]));
	free(steps);
	json_object_set_new(out, "rules", list);
}

static void put_rule(json_t *out, const struct question *q, uint32_t rule)
{
	const struct rule_record *r = rule_get(q->edge->records, rule);

	json_object_set_new(out, "rule", json_string(show_rule_name(q->edge, rule)));
	json_object_set_new(out, "rule_id", r ? json_string(r->id) : json_null());
}

static const char *answer_of(const struct question *q, bool silent)
{
	return silent ? "none" : q->key.proto == INNER_TCP ? "tcp reset" : "icmp prohibited";
}

/* The connector that such a flow would take; for another source port it may be another one. */
static json_t *connector(const struct question *q)
{
	uint32_t peer = peers_of_client(q->edge, q->client);
	unsigned worker = peer == RECORD_NONE ? 0 : q->edge->peers[peer].owner;
	uint32_t pick = connector_pick(q->edge, q->d.tunnel, &q->key, q->d.client_address, false);
	const struct connector_record *c = connector_get(q->edge->records, pick);
	const struct peer_record *session =
		c ? peer_record_get(q->edge->records, connector_session(q->edge, pick, worker)) : NULL;
	unsigned open = 0;

	for (uint32_t i = 0; i < q->d.tunnel->n_connectors; i++)
		open += connector_open(q->edge, q->d.tunnel->connectors[i]);
	if (!c || !session)
		return json_null();
	return json_pack("{s:s,s:s,s:i,s:i,s:i}", "id", c->id, "hostname", c->hostname, "session_index",
			 (int)session->session_index, "one_of", (int)open, "of", (int)q->d.tunnel->n_connectors);
}

static void put_verdict(json_t *out, struct question *q, const struct policy_result *result)
{
	static const char *const verdicts[] = {[POLICY_PENDING] = "inspect", [POLICY_PASS] = "allow", [POLICY_DENY] = "block"};
	json_t *c;

	json_object_set_new(out, "verdict", json_string(verdicts[result->verdict]));
	put_rule(out, q, result->rule);
	json_object_set_new(out, "inspection", json_string(result->inspect ? "needed" : result->off ? "off" : "not needed"));
	if (result->verdict == POLICY_DENY) {
		json_object_set_new(out, "reason", json_string("policy_block"));
		json_object_set_new(out, "answer", json_string(answer_of(q, result->silent)));
		json_object_set_new(out, "connector", json_null());
		return;
	}
	c = connector(q);
	if (json_is_null(c)) {
		json_object_set_new(out, "verdict", json_string("drop"));
		json_object_set_new(out, "reason", json_string("no_connector"));
	}
	json_object_set_new(out, "connector", c);
}

static json_t *head(const struct question *q)
{
	static const char *const protos[] = {[INNER_ICMP] = "icmp", [INNER_TCP] = "tcp", [INNER_UDP] = "udp", [INNER_ICMPV6] = "icmpv6"};
	const struct account_record *account = account_get(q->edge->records, q->client->account);
	const struct vnet_record *vnet = vnet_get(q->edge->records, q->client->vnet);
	bool ports = q->key.proto == INNER_TCP || q->key.proto == INNER_UDP;
	json_t *o = json_pack("{s:s,s:s,s:s,s:b,s:s?,s:s?,s:s?}", "client", q->client->name, "client_id", q->client->id, "email",
			      q->client->email, "enabled", q->client->enabled, "account", account ? account->name : NULL, "vnet",
			      vnet ? vnet->name : NULL, "vnet_id", vnet ? vnet->id : NULL);

	json_object_set_new(o, "src", address(q->key.family, q->key.family == 4 ? q->client->v4 : q->client->v6));
	json_object_set_new(o, "dst", address(q->key.family, q->dst.bytes));
	json_object_set_new(o, "proto", json_string(protos[q->key.proto]));
	json_object_set_new(o, "dport", ports ? json_integer(q->dport) : json_null());
	json_object_set_new(o, "dport_assumed", json_boolean(q->dport_assumed));
	json_object_set_new(o, "host", q->host ? json_string(q->host) : json_null());
	json_object_set_new(o, "seen_as", q->named ? json_string(detected_protocol_name(q->names.protocol)) : json_null());
	return o;
}

json_t *explain(const struct edge *edge, const struct explain_query *in, struct explain_error *error)
{
	struct question q = {.edge = edge};
	struct policy_result result;
	enum drop_reason reason;
	json_t *out;

	if (!ask(&q, in, error))
		return NULL;
	reason = verdict_way(edge, &q.key, &q.d);
	out = head(&q);
	put_routes(out, &q);
	if (reason == DROP_REASON_COUNT && q.d.account->policy_ready) {
		put_steps(out, &q, &result);
		put_verdict(out, &q, &result);
		return out;
	}
	if (reason == DROP_REASON_COUNT)
		reason = DROP_policy_block;
	json_object_set_new(out, "rules", json_array());
	json_object_set_new(out, "verdict", json_string("drop"));
	json_object_set_new(out, "reason", json_string(drop_reason_name(reason)));
	json_object_set_new(out, "reason_text", json_string(drop_reason_text(reason)));
	json_object_set_new(out, "connector", json_null());
	return out;
}
