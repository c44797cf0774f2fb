// SPDX-License-Identifier: BSD-3-Clause
// Flow records into lines of JSON.
#include "dataplane/flowlog/line.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dataplane/drop_reasons.h"
#include "dataplane/inspect/names.h"
#include "lib/ip.h"
#include "lib/log.h"

struct line {
	char *p;
	size_t n;
};

static const char *const end_names[FLOW_END_COUNT] = {
#define FLOW_END(name, text) #name,
	FLOW_ENDS(FLOW_END)
#undef FLOW_END
};

static const char *const end_texts[FLOW_END_COUNT] = {
#define FLOW_END(name, text) text,
	FLOW_ENDS(FLOW_END)
#undef FLOW_END
};

static const char *const detected_names[DETECTED_COUNT] = {
#define PROTOCOL(id, name) name,
	DETECTED_PROTOCOLS(PROTOCOL)
#undef PROTOCOL
};

const char *flow_end_name(unsigned end)
{
	return end < FLOW_END_COUNT ? end_names[end] : NULL;
}

const char *flow_end_text(unsigned end)
{
	return end < FLOW_END_COUNT ? end_texts[end] : NULL;
}

static void add(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->p + l->n, FLOW_LINE_MAX - l->n, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < FLOW_LINE_MAX - l->n)
		l->n += (size_t)n;
}

/* Outside text: capped, controls and bidi escaped, then as a JSON string. max ≤ 2 × FLOW_TEXT_MAX. */
static void add_text(struct line *l, const char *key, const void *text, size_t len, size_t max)
{
	char safe[2 * FLOW_TEXT_MAX];
	size_t n;

	if (len == 0) {
		add(l, ",\"%s\":null", key);
		return;
	}
	add(l, ",\"%s\":\"", key);
	n = log_escape(safe, max, text, len);
	for (size_t i = 0; i < n && l->n < FLOW_LINE_MAX - 4; i++) {
		if (safe[i] == '"' || safe[i] == '\\')
			l->p[l->n++] = '\\';
		l->p[l->n++] = safe[i];
	}
	l->p[l->n++] = '"';
}

static void add_name(struct line *l, const char *key, const char *text)
{
	add_text(l, key, text ? text : "", text ? strlen(text) : 0, FLOW_TEXT_MAX);
}

static void add_time(struct line *l, const char *key, uint64_t at_ns, int64_t wall_ns)
{
	uint64_t ns = (uint64_t)((int64_t)at_ns + wall_ns);
	time_t s = (time_t)(ns / 1000000000u);
	struct tm tm;
	char text[32];

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	add(l, "\"%s\":\"%s.%06uZ\"", key, text, (unsigned)(ns % 1000000000u / 1000));
}

static void add_address(struct line *l, const char *key, bool known, uint8_t family, const uint8_t *bytes)
{
	struct ip_addr a = {.family = family};
	char text[IP_ADDR_TEXT];

	if (!known) {
		add(l, ",\"%s\":null", key);
		return;
	}
	memcpy(a.bytes, bytes, family == 4 ? 4 : 16);
	add(l, ",\"%s\":\"%s\"", key, ip_addr_format(&a, text));
}

static void add_proto(struct line *l, uint8_t proto)
{
	const char *name = proto == 6 ? "tcp" : proto == 17 ? "udp" : proto == 1 ? "icmp" : proto == 58 ? "icmpv6" : NULL;

	if (name)
		add(l, ",\"proto\":\"%s\"", name);
	else
		add(l, ",\"proto\":\"%u\"", proto);
}

static uint16_t host_order(uint16_t be)
{
	return (uint16_t)(be >> 8 | be << 8);
}

static void add_who(struct line *l, const struct flow_record *r, const struct cards *cards)
{
	const struct card *client = cards_find(cards, r->client), *account = cards_find(cards, r->account),
			  *vnet = cards_find(cards, r->vnet);
	bool v4 = r->family == 4;

	add_name(l, "client", client ? client->name : NULL);
	add_name(l, "client_id", client ? client->id : NULL);
	add_name(l, "email", client ? client->more : NULL);
	add_name(l, "account", account ? account->name : NULL);
	add_name(l, "vnet", vnet ? vnet->name : NULL);
	add_proto(l, r->proto);
	add_address(l, "src", client && (v4 ? client->has_v4 : client->has_v6), r->family,
		    client ? v4 ? client->v4 : client->v6 : NULL);
	add(l, ",\"sport\":%u", host_order(r->client_port_be));
	add_address(l, "dst", true, r->family, r->remote_addr);
	add(l, ",\"dport\":%u", host_order(r->remote_port_be));
}

static void add_decision(struct line *l, const struct flow_record *r, const struct cards *cards)
{
	const struct card *rule = cards_find(cards, r->rule), *tunnel = cards_find(cards, r->tunnel),
			  *connector = cards_find(cards, r->connector);

	add_text(l, "host", r->host, r->host_len, 2 * FLOW_TEXT_MAX);
	add_name(l, "detected_protocol",
		 r->detected > 0 && r->detected < DETECTED_COUNT ? detected_names[r->detected] : NULL);
	add(l, ",\"verdict\":\"%s\"", r->flags & FLOW_RECORD_ALLOWED ? "allow" : "block");
	add_name(l, "rule", r->rule == CARD_DEFAULT ? "default" : rule ? rule->name : NULL);
	add_name(l, "rule_id", rule ? rule->id : NULL);
	add(l, ",\"revision\":%llu", (unsigned long long)r->revision);
	add_name(l, "tunnel", tunnel ? tunnel->name : NULL);
	add_name(l, "connector_id", connector ? connector->id : NULL);
	add_name(l, "hostname", connector ? connector->more : NULL);
}

static void add_end(struct line *l, const struct flow_record *r, int64_t wall_ns)
{
	uint64_t ms = r->last_ns > r->start_ns ? (r->last_ns - r->start_ns) / 1000000 : 0;
	const char *reason = flow_end_name(r->reason);

	add(l, ",");
	add_time(l, "start", r->start_ns, wall_ns);
	add(l, ",\"duration_s\":%llu.%03u", (unsigned long long)(ms / 1000), (unsigned)(ms % 1000));
	add(l, ",\"packets_up\":%llu,\"bytes_up\":%llu,\"packets_down\":%llu,\"bytes_down\":%llu",
	    (unsigned long long)r->packets_up, (unsigned long long)r->bytes_up, (unsigned long long)r->packets_down,
	    (unsigned long long)r->bytes_down);
	add_name(l, "reason", reason);
}

size_t flow_line(char *out, const struct flow_record *r, const struct cards *cards, int64_t wall_ns)
{
	static const char *const events[] = {"start", "end", "blocked"};
	struct line l = {.p = out};

	add(&l, "{");
	add_time(&l, "time", r->at_ns, wall_ns);
	add(&l, ",\"event\":\"%s\"", r->event <= FLOW_EVENT_BLOCKED ? events[r->event] : "?");
	if (r->event != FLOW_EVENT_BLOCKED)
		add(&l, ",\"flow\":\"%016llx\"", (unsigned long long)r->flow);
	add_who(&l, r, cards);
	add_decision(&l, r, cards);
	if (r->event == FLOW_EVENT_END)
		add_end(&l, r, wall_ns);
	if (r->event == FLOW_EVENT_BLOCKED) {
		add_name(&l, "reason", drop_reason_name(r->reason));
		add(&l, ",\"count\":%u", r->count);
	}
	if (r->flags & FLOW_RECORD_MID_STREAM)
		add(&l, ",\"mid_stream\":true");
	add(&l, "}\n");
	return l.n;
}
