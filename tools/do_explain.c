// SPDX-License-Identifier: BSD-3-Clause
// explain: the way of a flow through the edge's tables, for people.
#include "tools/ctl.h"
#include "tools/render.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

#define LABEL "%-11s"

static const char *text(json_t *o, const char *key, const char *other)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s && s[0] ? s : other;
}

/* Escaped, in one of a few buffers that take turns. */
static const char *safe(const char *s)
{
	static char bufs[8][1200];
	static unsigned next;
	char *out = bufs[next++ % 8];

	log_escape(out, sizeof(bufs[0]), s, strlen(s));
	return out;
}

static const char *safe_at(json_t *o, const char *key, const char *other)
{
	return safe(text(o, key, other));
}

static void print_head(FILE *out, json_t *r)
{
	json_t *dport = json_object_get(r, "dport"), *host = json_object_get(r, "host");

	fprintf(out, "%s <%s> %s → %s %s", safe_at(r, "client", "?"), safe_at(r, "email", "no e-mail"), safe_at(r, "src", "?"),
		safe_at(r, "dst", "?"), safe_at(r, "proto", "?"));
	if (json_is_integer(dport))
		fprintf(out, " port %" JSON_INTEGER_FORMAT "%s", json_integer_value(dport),
			json_is_true(json_object_get(r, "dport_assumed")) ? " (assumed)" : "");
	if (json_is_string(host))
		fprintf(out, ", name %s (as in %s)", safe(json_string_value(host)), safe_at(r, "seen_as", "?"));
	fputs("\n", out);
	if (json_is_false(json_object_get(r, "enabled")))
		fprintf(out, LABEL "disabled, revoked or expired: nothing of it passes\n", "client");
	fprintf(out, LABEL "%s, account %s\n", "network", safe_at(r, "vnet", "?"), safe_at(r, "account", "?"));
}

static void print_route(FILE *out, json_t *r)
{
	json_t *route = json_object_get(r, "route"), *next = json_object_get(r, "next_route");

	if (json_is_object(route))
		fprintf(out, LABEL "%s → tunnel %s\n", "route", safe_at(route, "network", "?"), safe_at(route, "tunnel", "?"));
	else
		fprintf(out, LABEL "none covers %s\n", "route", safe_at(r, "dst", "?"));
	if (json_is_object(next))
		fprintf(out, LABEL "(without it: %s → tunnel %s)\n", "", safe_at(next, "network", "?"), safe_at(next, "tunnel", "?"));
}

/* What became of one rule: "decides", "no: destination", or what stood before it. */
static void print_match(FILE *out, json_t *step, bool decided_before)
{
	const char *match = text(step, "match", "?"), *failed = text(step, "failed", NULL);

	if (json_is_true(json_object_get(step, "decided")))
		fputs("matches, decides", out);
	else if (!strcmp(match, "unknown"))
		fputs("depends on a name that inspection must see", out);
	else if (!strcmp(match, "yes"))
		fputs(decided_before ? "would match, comes too late" : "matches", out);
	else if (failed)
		fprintf(out, "no: %s differs", safe(failed));
	else
		fputs("no", out);
	fputs("\n", out);
}

static int longest_name(json_t *rules)
{
	json_t *step;
	size_t i;
	int n = 4;

	json_array_foreach(rules, i, step) {
		int len = (int)strlen(safe_at(step, "rule", "?"));

		n = len > n ? len : n;
	}
	return n > 40 ? 40 : n;
}

static void print_rules(FILE *out, json_t *r)
{
	json_t *rules = json_object_get(r, "rules"), *step;
	bool decided[2] = {false, false}; /* l4; http and dns */
	int width = longest_name(rules);
	size_t i;

	json_array_foreach(rules, i, step) {
		const char *filter = text(step, "filter", "?");
		bool *track = &decided[strcmp(filter, "l4") != 0];
		bool here = json_is_true(json_object_get(step, "decided"));

		fprintf(out, LABEL "%s %8" JSON_INTEGER_FORMAT "  %-4s  %-5s  %-*s  ", i ? "" : "rules", here ? "▶" : " ",
			json_integer_value(json_object_get(step, "precedence")), safe(filter), safe_at(step, "action", "?"), width,
			safe_at(step, "rule", "?"));
		print_match(out, step, *track);
		*track |= here;
	}
	if (!i)
		fprintf(out, LABEL "none\n", "rules");
}

static void print_verdict(FILE *out, json_t *r)
{
	const char *verdict = text(r, "verdict", "?"), *rule = text(r, "rule", NULL), *rule_id = text(r, "rule_id", NULL);

	fprintf(out, LABEL, "verdict");
	if (!strcmp(verdict, "inspect"))
		fputs("INSPECT: a name decides; try --host NAME\n", out);
	else if (!strcmp(verdict, "drop"))
		fprintf(out, "DROP: %s%s%s\n", safe_at(r, "reason", "?"), text(r, "reason_text", NULL) ? ", " : "", safe_at(r, "reason_text", ""));
	else
		fprintf(out, "%s by %s%s%s\n", !strcmp(verdict, "allow") ? "ALLOW" : "BLOCK", rule_id ? "rule " : "the account's default action",
			rule_id && rule ? safe(rule) : "", !strcmp(verdict, "block") ? ", before a packet leaves" : "");
	if (text(r, "answer", NULL))
		fprintf(out, LABEL "%s\n", "answer", safe_at(r, "answer", "?"));
	if (!strcmp(text(r, "inspection", ""), "off"))
		fprintf(out, LABEL "off: an off rule matches on addresses\n", "inspection");
}

static void print_connector(FILE *out, json_t *r)
{
	json_t *c = json_object_get(r, "connector");

	if (json_is_object(c))
		fprintf(out, LABEL "%s (%s), session %" JSON_INTEGER_FORMAT "; one of %" JSON_INTEGER_FORMAT " that take new flows\n", "connector",
			safe_at(c, "hostname", "?"), safe_at(c, "id", "?"), json_integer_value(json_object_get(c, "session_index")),
			json_integer_value(json_object_get(c, "one_of")));
}

int run_explain(struct ctl *ctl, const struct ctl_inv *inv)
{
	json_t *params = ctl_params(ctl, inv), *result = params ? ctl_call(ctl, CTL_EDGE, "explain", params) : NULL;

	if (!result)
		return -1;
	if (ctl->json) {
		render_json(ctl->out, result, false);
	} else {
		print_head(ctl->out, result);
		print_route(ctl->out, result);
		print_rules(ctl->out, result);
		print_verdict(ctl->out, result);
		print_connector(ctl->out, result);
	}
	json_decref(result);
	return 0;
}
