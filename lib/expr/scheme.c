// SPDX-License-Identifier: BSD-3-Clause
// Fields: which there are, other spellings of them, and those of the reference product that are refused, with the reason.
#include "lib/expr/internal.h"
#include "lib/near.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct expr_field_info fields[EXPR_FIELD_COUNT] = {
#define EXPR_FIELD_ROW(id, name, kind, array, fold, inspected, scheme) [EXPR_F_##id] = {name, kind, array, fold, inspected, scheme},
	EXPR_FIELDS(EXPR_FIELD_ROW)
#undef EXPR_FIELD_ROW
};

static const char *const scheme_names[EXPR_SCHEMES] = {
	[EXPR_L4] = "the traffic of a rule with the filter l4",     [EXPR_HTTP] = "the traffic of a rule with the filter http",
	[EXPR_DNS] = "the traffic of a rule with the filter dns",   [EXPR_IDENTITY] = "the identity expression of a rule",
	[EXPR_POSTURE] = "the posture expression of a rule",
};

static const struct {
	const char *name;
	enum expr_field field;
} spellings[] = {
	{"net.vmnet_id", EXPR_F_NET_VNET_ID},
	{"net.protocol.detection", EXPR_F_NET_DETECTED_PROTOCOL},
};

#define NO_GEO "it needs a database of places of addresses, which Sluice does not have"
#define NO_CATEGORY "it needs a feed of categories of host names, which Sluice does not have"
#define NO_APP "it needs a catalogue of applications, which Sluice does not have"
#define NO_BODY "it needs decrypted bodies and responses, which Sluice does not look into"
#define NO_ANSWER "it needs the answers of name servers, which Sluice does not look into"
#define NO_ATTRIBUTE "a client carries an e-mail address, a name and names of groups only"

/* By prefix of whole words; the first that fits counts. */
static const struct {
	const char *name, *reason;
} refused[] = {
	{"net.src.geo", NO_GEO},
	{"net.dst.geo", NO_GEO},
	{"http.conn.src_ip.geo", NO_GEO},
	{"http.conn.dst_ip.geo", NO_GEO},
	{"http.conn.src.geo", NO_GEO},
	{"http.conn.dst.geo", NO_GEO},
	{"dns.src.geo", NO_GEO},
	{"dns.dst.geo", NO_GEO},
	{"net.fqdn", NO_CATEGORY},
	{"http.request.uri.content_category", NO_CATEGORY},
	{"http.request.uri.security_category", NO_CATEGORY},
	{"http.request.content_category", NO_CATEGORY},
	{"http.request.security_category", NO_CATEGORY},
	{"dns.content_category", NO_CATEGORY},
	{"dns.security_category", NO_CATEGORY},
	{"dns.indicator_feed", NO_CATEGORY},
	{"dns.indicator_feeds", NO_CATEGORY},
	{"app", NO_APP},
	{"net.proxy_endpoint", "there are no proxy endpoints: clients come over WireGuard"},
	{"net.src.internal_src_ip", "a client has one address: use net.src.ip"},
	{"http.conn.internal_src_ip", "a client has one address: use http.conn.src_ip"},
	{"http.request.uri.path", "use http.request.uri, which holds scheme, host, path and query"},
	{"http.request.uri.query", "use http.request.uri, which holds scheme, host, path and query"},
	{"http.request.uri.path_and_query", "use http.request.uri, which holds scheme, host, path and query"},
	{"http.request.headers", "of a request only method, host and address are read"},
	{"http.response", NO_BODY},
	{"http.upload", NO_BODY},
	{"http.download", NO_BODY},
	{"http.body_phase", NO_BODY},
	{"dlp", NO_BODY},
	{"dns.response", NO_ANSWER},
	{"dns.authoritative_ns_ips", NO_ANSWER},
	{"dns.resolved_ip", NO_ANSWER},
	{"dns.src_ip", "the question's address is the client's: use net.src.ip in a rule with the filter l4"},
	{"identity.groups.id", NO_ATTRIBUTE},
	{"identity.groups.email", NO_ATTRIBUTE},
	{"identity.saml_attributes", NO_ATTRIBUTE},
	{"identity.oidc_claims", NO_ATTRIBUTE},
	{"identity.saml", NO_ATTRIBUTE},
	{"identity.oidc", NO_ATTRIBUTE},
	{"http.host", "it belongs to another product: use http.request.host"},
	{"ip.src", "it belongs to another product: use net.src.ip"},
	{"ip.addr", "it belongs to another product: use net.src.ip or net.dst.ip"},
	{"cf", "it belongs to another product"},
	{"ssl", "it belongs to another product"},
	{"os", "a client carries no facts of its system; posture checks are in device_posture.checks"},
};

const struct expr_field_info *expr_field_info(enum expr_field f)
{
	return &fields[f];
}

const char *expr_kind_name(enum expr_kind k)
{
	static const char *const names[] = {"a Bool", "a whole number", "an address", "text"};

	return names[k];
}

static bool named(const char *known, const char *name, size_t len)
{
	return strlen(known) == len && !memcmp(known, name, len);
}

static bool find(const char *name, size_t len, enum expr_field *out)
{
	for (unsigned f = 0; f < EXPR_FIELD_COUNT; f++) {
		if (named(fields[f].name, name, len)) {
			*out = (enum expr_field)f;
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		if (named(spellings[i].name, name, len)) {
			*out = spellings[i].field;
			return true;
		}
	}
	return false;
}

static const char *refusal(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		size_t n = strlen(refused[i].name);

		if (len >= n && !memcmp(refused[i].name, name, n) && (len == n || name[n] == '.'))
			return refused[i].reason;
	}
	return NULL;
}

static int unknown(struct expr_parser *p, const char *name, size_t len, size_t offset, size_t length)
{
	char word[64], shown[96];
	struct near near;

	snprintf(word, sizeof(word), "%.*s", (int)(len < 63 ? len : 63), name);
	near_init(&near, word);
	for (unsigned f = 0; f < EXPR_FIELD_COUNT; f++)
		if (fields[f].scheme == p->scheme)
			near_add(&near, fields[f].name);
	expr_show(p, offset, offset + length, shown, sizeof(shown));
	if (near_best(&near))
		return expr_fail(p, offset, length, "unknown field '%s'; did you mean '%s'?", shown, near_best(&near));
	return expr_fail(p, offset, length, "unknown field '%s'", shown);
}

int expr_field_find(struct expr_parser *p, const char *name, size_t len, size_t offset, size_t length, enum expr_field *out)
{
	const char *reason;

	if (named("true", name, len) || named("false", name, len))
		return expr_fail(p, offset, length, "'%.*s' is no expression: leave the field out for a rule that always matches", (int)len, name);
	if (find(name, len, out)) {
		if (fields[*out].scheme == p->scheme)
			return 0;
		return expr_fail(p, offset, length, "'%.*s' belongs into %s; this is %s", (int)len, name, scheme_names[fields[*out].scheme],
				 scheme_names[p->scheme]);
	}
	reason = refusal(name, len);
	if (reason)
		return expr_fail(p, offset, length, "'%.*s' is not available: %s", (int)(len < 80 ? len : 80), name, reason);
	return unknown(p, name, len, offset, length);
}
