// SPDX-License-Identifier: BSD-3-Clause
// Random rules, lists, people and flows near what the rules mention, for holding the compiled form against the model. Everything
// comes from draws below a bound: of a seeded generator, or of a fuzzer's bytes.
#ifndef DATAPLANE_TABLES_POLICY_RANDOM_H
#define DATAPLANE_TABLES_POLICY_RANDOM_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tables/policy_internal.h"
#include "dataplane/tables/test_random.h"

#define DRAW_RULES 64u
#define DRAW_PEOPLE 8u
#define DRAW_VNETS 4u

struct draw {
	uint64_t state;
	const uint8_t *bytes; /* NULL: seeded */
	size_t left;
};

static inline uint32_t draw(struct draw *d, uint32_t below)
{
	if (!d->bytes)
		return test_below(&d->state, below);
	if (!d->left)
		return 0;
	d->left--;
	return *d->bytes++ % below;
}

#define PICK(d, list) ((list)[draw(d, sizeof(list) / sizeof((list)[0]))])

static const char *const draw_v4[] = {"10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.255", "10.0.1.0", "10.1.2.3", "9.255.255.255",
				      "192.0.2.1", "192.0.2.128", "0.0.0.0", "255.255.255.255", "172.16.5.4", "172.16.5.5"};
static const char *const draw_v6[] = {"2001:db8::", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::", "fd00::10", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
				      "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"};
static const char *const draw_nets[] = {"10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/31", "10.0.0.2/32", "192.0.2.0/25", "0.0.0.0/0", "172.16.0.0/12",
					"2001:db8::/32", "2001:db8::/127", "::/0", "fd00::/8", "10.0.1.0/24", "10.1.0.0/16"};
static const char *const draw_spans[] = {"10.0.0.1..10.0.0.3", "10.0.0.255..10.1.2.3", "9.0.0.0..10.0.0.0", "2001:db8::1..2001:db8::2", "192.0.2.1..192.0.2.128"};
static const int draw_ports[] = {0, 1, 22, 53, 80, 443, 8080, 65535, 1024, 1023, 442, 444};
static const char *const draw_hosts[] = {"example.com", "www.example.com", "a.b.example.com", "evil.example", "www.evil.example", "notevil.example",
					 "db.corp.example", "corp.example", "x", "com", "example", "10.0.0.1", "a-b.example.com", "Www.Example.COM", "", "e.x"};
static const char *const draw_wild[] = {"*.example.com", "*", "www.*", "*evil*", "a.*.com", "*.corp.example", "x", "*\\\\**e", "WWW.*"};
static const char *const draw_regex[] = {"^www\\\\.", "evil", "example\\\\.com$", "[a-d]b?", ".*", "^$", "(corp|evil)\\\\.example", "^/admin"};
static const char *const draw_uris[] = {"http://example.com/", "http://www.evil.example/admin", "http://x/a?b=c", "http://corp.example/API", ""};
static const char *const draw_methods[] = {"GET", "POST", "get", "DELETE"};
static const char *const draw_protos[] = {"tcp", "udp", "icmp", "icmpv6", "other", "TCP"};
static const char *const draw_seen[] = {"tls", "http", "dns", "quic", "unknown", "ssh"};
static const char *const draw_vnets[] = {"vnet-zero", "vnet-one", "VNET-two", "none"};
static const char *const draw_emails[] = {"ana@example.com", "Bob@example.com", "eve@corp.example", ""};
static const char *const draw_groups[] = {"dev", "ops", "on call", "Dev"};
static const char *const draw_checks[] = {"disk", "firewall", "os"};
static const char *const draw_lists[] = {"nets", "nets2", "gone"};
static const char *const draw_host_lists[] = {"hosts", "hosts2"};

struct text {
	char at[4096];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static inline void say(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at + t->n, sizeof(t->at) - t->n, fmt, ap);
	va_end(ap);
	t->n += n > 0 && (size_t)n < sizeof(t->at) - t->n ? (size_t)n : 0;
}

static inline void say_addr(struct draw *d, struct text *t)
{
	say(t, "%s", draw(d, 3) ? PICK(d, draw_v4) : PICK(d, draw_v6));
}

static inline void say_address(struct draw *d, struct text *t, const char *field, bool star)
{
	static const char *const ops[] = {"==", "!=", "<", "<=", ">", ">="};

	say(t, "%s%s ", field, star ? "[*]" : "");
	switch (draw(d, 4)) {
	case 0:
		say(t, "%s ", PICK(d, ops));
		say_addr(d, t);
		break;
	case 1:
		say(t, "in $%s", PICK(d, draw_lists));
		break;
	default:
		say(t, "in {");
		for (uint32_t i = draw(d, 3) + 1; i; i--) {
			if (draw(d, 3) == 0)
				say_addr(d, t);
			else
				say(t, "%s", draw(d, 3) ? PICK(d, draw_nets) : PICK(d, draw_spans));
			say(t, " ");
		}
		say(t, "}");
	}
}

static inline void say_port(struct draw *d, struct text *t, const char *field, bool star)
{
	static const char *const ops[] = {"==", "!=", "<", "<=", ">", ">=", "&"};
	int a = PICK(d, draw_ports), b = PICK(d, draw_ports);

	say(t, "%s%s ", field, star ? "[*]" : "");
	if (draw(d, 2))
		say(t, "%s %d", PICK(d, ops), a);
	else
		say(t, "in {%d %d..%d %d..%d}", PICK(d, draw_ports), a < b ? a : b, a < b ? b : a, a, a);
}

/* One comparison of texts. */
static inline void say_text(struct draw *d, struct text *t, const char *field, const char *star, const char *value, bool lists)
{
	static const char *const ops[] = {"==", "!=", "contains", "<", ">=", "starts", "ends", "lower", "wildcard", "strict", "matches", "in", "list"};
	const char *op = PICK(d, ops);

	if (!strcmp(op, "starts") || !strcmp(op, "ends"))
		say(t, "%ss_with(%s%s, \"%.*s\")", !strcmp(op, "starts") ? "start" : "end", field, star, (int)draw(d, 5), value);
	else if (!strcmp(op, "lower"))
		say(t, "lower(%s%s) == \"%s\"", field, star, value);
	else if (!strcmp(op, "wildcard") || !strcmp(op, "strict"))
		say(t, "%s%s %s \"%s\"", field, star, !strcmp(op, "strict") ? "strict wildcard" : "wildcard", PICK(d, draw_wild));
	else if (!strcmp(op, "matches"))
		say(t, "%s%s matches \"%s\"", field, star, PICK(d, draw_regex));
	else if (!strcmp(op, "in") || (!lists && !strcmp(op, "list")))
		say(t, "%s%s in {\"%s\" \"%s\"}", field, star, value, PICK(d, draw_hosts));
	else if (!strcmp(op, "list"))
		say(t, "%s%s in $%s", field, star, PICK(d, draw_host_lists));
	else
		say(t, "%s%s %s \"%s\"", field, star, op, value);
}

static inline void say_l4(struct draw *d, struct text *t, bool star)
{
	const char *each = star ? "[*]" : "";

	switch (draw(d, 9)) {
	case 0:
	case 1:
		say_address(d, t, draw(d, 3) ? "net.dst.ip" : "net.src.ip", star);
		break;
	case 2:
	case 3:
		say_port(d, t, draw(d, 3) ? "net.dst.port" : "net.src.port", star);
		break;
	case 4:
		say_text(d, t, "net.protocol", each, PICK(d, draw_protos), false);
		break;
	case 5:
		say_text(d, t, "net.vnet_id", each, PICK(d, draw_vnets), false);
		break;
	case 6:
		say_text(d, t, "net.detected_protocol", each, PICK(d, draw_seen), false);
		break;
	case 7:
		say_text(d, t, "net.sni.domains", star ? "[*]" : draw(d, 2) ? "[0]" : "[2]", PICK(d, draw_hosts), true);
		break;
	default:
		say_text(d, t, "net.sni.host", each, PICK(d, draw_hosts), true);
	}
}

static inline void say_http(struct draw *d, struct text *t, bool star)
{
	const char *each = star ? "[*]" : "";

	switch (draw(d, 7)) {
	case 0:
	case 1:
		say_address(d, t, draw(d, 3) ? "http.conn.dst_ip" : "http.conn.src_ip", star);
		break;
	case 2:
		say_text(d, t, "http.conn.vnet_id", each, PICK(d, draw_vnets), false);
		break;
	case 3:
		say_text(d, t, "http.request.uri", each, PICK(d, draw_uris), false);
		break;
	case 4:
		say_text(d, t, "http.request.method", each, PICK(d, draw_methods), false);
		break;
	case 5:
		say_text(d, t, "http.request.domains", star ? "[*]" : "[1]", PICK(d, draw_hosts), true);
		break;
	default:
		say_text(d, t, "http.request.host", each, PICK(d, draw_hosts), true);
	}
}

static inline void say_atom(struct draw *d, struct text *t, enum expr_scheme scheme, bool star)
{
	if (scheme == EXPR_L4)
		say_l4(d, t, star);
	else if (scheme == EXPR_HTTP)
		say_http(d, t, star);
	else if (scheme == EXPR_DNS)
		say_text(d, t, star || draw(d, 2) ? (star ? "dns.domains" : "dns.fqdn") : "dns.fqdn", star ? "[*]" : "", PICK(d, draw_hosts), true);
	else if (scheme == EXPR_IDENTITY && (star || draw(d, 2)))
		say_text(d, t, "identity.groups.name", star ? "[*]" : "[0]", PICK(d, draw_groups), true);
	else if (scheme == EXPR_IDENTITY)
		say_text(d, t, draw(d, 3) ? "identity.email" : "identity.name", "", PICK(d, draw_emails), true);
	else
		say_text(d, t, draw(d, 2) ? "device_posture.checks.passed" : "device_posture.checks.failed", star ? "[*]" : "[0]", PICK(d, draw_checks), false);
}

static inline void say_expr(struct draw *d, struct text *t, enum expr_scheme scheme, unsigned depth, bool star)
{
	static const char *const joins[] = {"and", "or", "and", "or", "xor"};
	unsigned kind = draw(d, depth > 2 ? 2 : 8);

	if (kind < 2) {
		say_atom(d, t, scheme, star);
	} else if (kind == 2) {
		say(t, "not (");
		say_expr(d, t, scheme, depth + 1, star);
		say(t, ")");
	} else if (kind == 3 && !star) {
		say(t, "%s(", draw(d, 3) ? "any" : "all");
		say_expr(d, t, scheme, depth + 1, true);
		say(t, ")");
	} else {
		const char *join = PICK(d, joins);

		say(t, "(");
		say_expr(d, t, scheme, depth + 1, star);
		for (uint32_t n = draw(d, 2) + 1; n; n--) {
			say(t, " %s ", join);
			say_expr(d, t, scheme, depth + 1, star);
		}
		say(t, ")");
	}
}

static inline bool draw_find_list(void *user, const char *name, struct expr_list *out)
{
	(void)user;
	snprintf(out->id, sizeof(out->id), "%s", name);
	out->type = strncmp(name, "hosts", 5) ? EXPR_LIST_IP : EXPR_LIST_DOMAIN;
	return true;
}

/* NULL: what was said is no expression, as it can be. */
static inline struct expr *draw_expr(struct draw *d, enum expr_scheme scheme, char **said)
{
	const struct expr_lists lists = {.find = draw_find_list};
	struct expr_error error;
	struct text t = {.n = 0};
	struct expr *e = NULL;

	say_expr(d, &t, scheme, 0, false);
	if (expr_parse(t.at, t.n, scheme, &lists, &e, &error))
		return NULL;
	*said = strdup(t.at);
	return e;
}

struct draw_rules {
	struct policy_rule rules[DRAW_RULES];
	struct expr *exprs[DRAW_RULES][3];
	char *said[DRAW_RULES][3];
	uint32_t n;
};

static inline void draw_rules_free(struct draw_rules *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		for (unsigned j = 0; j < 3; j++) {
			expr_free(r->exprs[i][j]);
			free(r->said[i][j]);
		}
	r->n = 0;
}

static inline void draw_rules(struct draw *d, struct draw_rules *r)
{
	static const enum expr_scheme schemes[] = {EXPR_L4, EXPR_HTTP, EXPR_DNS};

	memset(r, 0, sizeof(*r));
	for (uint32_t n = draw(d, DRAW_RULES - 1) + 1, i = 0; r->n < n && i < 4 * DRAW_RULES; i++) {
		uint32_t kind = draw(d, 8), at = r->n;
		struct policy_rule *rule = &r->rules[at];

		*rule = (struct policy_rule){.index = at, .precedence = (int64_t)((at * 37) % 64), .name = "drawn"};
		rule->filter = kind < 5 ? POLICY_L4 : kind < 7 ? POLICY_HTTP : POLICY_DNS;
		rule->action = draw(d, 2) ? POLICY_BLOCK : POLICY_ALLOW;
		if (rule->filter != POLICY_L4 && draw(d, 4) == 0)
			rule->action = POLICY_OFF;
		rule->silent = draw(d, 2);
		r->exprs[at][0] = draw_expr(d, schemes[rule->filter], &r->said[at][0]);
		if (!r->exprs[at][0])
			continue; /* an absent one would match all */
		r->exprs[at][1] = draw(d, 3) ? NULL : draw_expr(d, EXPR_IDENTITY, &r->said[at][1]);
		r->exprs[at][2] = draw(d, 4) ? NULL : draw_expr(d, EXPR_POSTURE, &r->said[at][2]);
		rule->traffic = r->exprs[at][0];
		rule->identity = r->exprs[at][1];
		rule->posture = r->exprs[at][2];
		r->n++;
	}
}

static inline int draw_put_list(struct draw *d, struct policy_set *p, const char *id)
{
	const char *items[8];
	struct policy_error error;
	bool hosts = id[0] == 'h'; /* "hosts" and its like; the others hold addresses */
	uint32_t n = draw(d, 8);

	for (uint32_t i = 0; i < n; i++)
		items[i] = hosts ? PICK(d, draw_hosts) : draw(d, 2) ? PICK(d, draw_nets) : draw(d, 3) ? PICK(d, draw_v4) : PICK(d, draw_v6);
	return policy_list_put(p, 0, id, hosts ? EXPR_LIST_DOMAIN : EXPR_LIST_IP, items, n, &error);
}

static inline uint32_t draw_person(struct draw *d, struct policy_set *p)
{
	const char *groups[3], *passed[2], *failed[2];
	struct policy_identity id = {.email = PICK(d, draw_emails), .name = PICK(d, draw_emails), .groups = groups, .passed = passed, .failed = failed};

	for (id.n_groups = 0; id.n_groups < 3 && draw(d, 2); id.n_groups++)
		groups[id.n_groups] = PICK(d, draw_groups);
	for (id.n_passed = 0; id.n_passed < 2 && draw(d, 2); id.n_passed++)
		passed[id.n_passed] = PICK(d, draw_checks);
	for (id.n_failed = 0; id.n_failed < 2 && draw(d, 2); id.n_failed++)
		failed[id.n_failed] = PICK(d, draw_checks);
	return policy_identity_get(p, 0, &id);
}

/* One of the addresses that rules name, or a neighbour. */
static inline void draw_address(struct draw *d, uint8_t family, uint8_t out[16])
{
	struct ip_addr a;

	if (!ip_addr_parse(family == 4 ? PICK(d, draw_v4) : PICK(d, draw_v6), &a))
		abort();
	memset(out, 0, 16);
	memcpy(out, a.bytes, family == 4 ? 4 : 16);
	if (draw(d, 3) == 0)
		out[family == 4 ? 3 : 15] = (uint8_t)(out[family == 4 ? 3 : 15] + draw(d, 3) - 1);
	if (draw(d, 8) == 0)
		out[draw(d, 4)] ^= (uint8_t)(1u << draw(d, 8));
}

static inline void draw_query(struct draw *d, const uint32_t *people, struct policy_query *q)
{
	static const uint8_t protos[] = {6, 6, 6, 17, 17, 1, 58, 47};

	memset(q, 0, sizeof(*q));
	q->vnet = draw(d, DRAW_VNETS + 1);
	q->identity = draw(d, 12) ? people[draw(d, DRAW_PEOPLE)] : POLICY_IDENTITY_NONE;
	q->family = draw(d, 3) ? 4 : 6;
	q->proto = PICK(d, protos);
	if (q->proto == 6 || q->proto == 17) {
		q->src_port = (uint16_t)(draw(d, 2) ? 40000 + draw(d, 256) : (uint32_t)PICK(d, draw_ports));
		q->dst_port = (uint16_t)((uint32_t)PICK(d, draw_ports) + (draw(d, 4) ? 0 : draw(d, 3)));
	}
	draw_address(d, q->family, q->src);
	draw_address(d, q->family, q->dst);
	q->from_private = draw(d, 8) == 0;
}

static inline void draw_name(struct draw *d, struct name_text *n, const char *value)
{
	n->state = (uint8_t)draw(d, 3);
	n->text = value;
	n->len = (uint16_t)strlen(value);
}

static inline void draw_names(struct draw *d, struct names *n)
{
	memset(n, 0, sizeof(*n));
	n->protocol_state = (uint8_t)draw(d, 3);
	n->protocol = (uint8_t)draw(d, DETECTED_COUNT);
	draw_name(d, &n->sni, PICK(d, draw_hosts));
	draw_name(d, &n->http_host, PICK(d, draw_hosts));
	draw_name(d, &n->http_uri, PICK(d, draw_uris));
	draw_name(d, &n->http_method, PICK(d, draw_methods));
	draw_name(d, &n->dns_fqdn, PICK(d, draw_hosts));
}

static inline bool draw_same(const struct policy_result *a, const struct policy_result *b)
{
	return a->verdict == b->verdict && a->silent == b->silent && a->off == b->off && a->inspect == b->inspect && a->rule == b->rule &&
	       a->l4_rule == b->l4_rule && a->other_rule == b->other_rule;
}

#endif
