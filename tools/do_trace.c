// SPDX-License-Identifier: BSD-3-Clause
// trace: live packets of the edge, one line each: how far through the stages it came, and what became of it.
#include "tools/ctl.h"
#include "tools/packet_text.h"
#include "tools/stream.h"
#include "lib/log.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define RED   "\033[31m"
#define GREEN "\033[32m"
#define PLAIN "\033[0m"

struct trace_out {
	struct ctl *ctl;
	bool colours;
};

/* The way of a packet, in order; the edge's own begin at encrypt. */
static const char *const stages[] = {"rx", "classify", "session", "decrypt", "replay", "inner_check",
				     "flow", "decide", "act", "encrypt", "outer", "tx"};

const char *packet_member(json_t *packet, const char *key)
{
	const char *text = json_string_value(json_object_get(packet, key));

	return text ? text : "";
}

char *packet_verdict(json_t *packet, char *out, size_t size)
{
	const char *outcome = packet_member(packet, "outcome"), *rule = packet_member(packet, "rule");
	const char *tunnel = packet_member(packet, "tunnel"), *host = packet_member(packet, "hostname");
	bool up = !strcmp(packet_member(packet, "direction"), "up");
	char raw[1024], *p = raw, *end = raw + sizeof(raw);

	if (!strcmp(outcome, "dropped"))
		p += snprintf(p, (size_t)(end - p), "dropped at %s: %s", packet_member(packet, "stage"), packet_member(packet, "reason"));
	else if (!strcmp(outcome, "sent") && up && *tunnel)
		p += snprintf(p, (size_t)(end - p), "sent to %.200s (%.200s)", tunnel, host);
	else if (!strcmp(outcome, "sent") && *packet_member(packet, "client"))
		p += snprintf(p, (size_t)(end - p), "sent to %.200s", packet_member(packet, "client"));
	else
		p += snprintf(p, (size_t)(end - p), "%.40s", outcome);
	if (*rule)
		snprintf(p, (size_t)(end - p), ", rule %.200s", rule);
	log_escape(out, size, raw, strlen(raw));
	return out;
}

static void print_time(FILE *out, json_t *packet)
{
	long long ns = json_integer_value(json_object_get(packet, "time_ns"));
	time_t s = (time_t)(ns / 1000000000);
	struct tm tm;

	gmtime_r(&s, &tm);
	fprintf(out, "%02d:%02d:%02d.%06lld", tm.tm_hour, tm.tm_min, tm.tm_sec, ns % 1000000000 / 1000);
}

static void print_side(FILE *out, json_t *packet, const char *ip_key, const char *port_key)
{
	const char *ip = packet_member(packet, ip_key);
	json_t *port = json_object_get(packet, port_key);

	if (!json_is_integer(port))
		fprintf(out, "%s", ip);
	else
		fprintf(out, strchr(ip, ':') ? "[%s]:%lld" : "%s:%lld", ip, json_integer_value(port));
}

static const char *protocol_name(json_int_t proto)
{
	return proto == 6 ? "tcp" : proto == 17 ? "udp" : proto == 1 ? "icmp" : proto == 58 ? "icmpv6" : "ip";
}

static void print_path(FILE *out, json_t *packet)
{
	const char *last = packet_member(packet, "stage"), *direction = packet_member(packet, "direction");
	unsigned i = !strcmp(direction, "own") ? 9 : 0;

	for (; i < sizeof(stages) / sizeof(stages[0]); i++) {
		fprintf(out, "%s", stages[i]);
		if (!strcmp(stages[i], last))
			return;
		fputc('>', out);
	}
}

static void print_packet(struct trace_out *o, json_t *packet)
{
	const char *outcome = packet_member(packet, "outcome");
	const char *colour = !o->colours ? "" : !strcmp(outcome, "dropped") ? RED : !strcmp(outcome, "sent") ? GREEN : "";
	FILE *out = o->ctl->out;
	char text[1200], client[200];

	print_time(out, packet);
	log_escape(client, sizeof(client), packet_member(packet, "client"), strlen(packet_member(packet, "client")));
	fprintf(out, " w%lld %-4s %-12s ", json_integer_value(json_object_get(packet, "worker")), packet_member(packet, "direction"),
		*client ? client : "-");
	if (*packet_member(packet, "src")) {
		fprintf(out, "%-6s ", protocol_name(json_integer_value(json_object_get(packet, "protocol"))));
		print_side(out, packet, "src", "sport");
		fputs(" > ", out);
		print_side(out, packet, "dst", "dport");
	} else if (*packet_member(packet, "outer_src")) {
		fputs("outer  from ", out);
		print_side(out, packet, "outer_src", "outer_sport");
	} else {
		fputs("outer ", out);
	}
	if (*packet_member(packet, "tcp_flags"))
		fprintf(out, " [%s]", packet_member(packet, "tcp_flags"));
	fprintf(out, " %lldB  ", json_integer_value(json_object_get(packet, "length")));
	print_path(out, packet);
	fprintf(out, "  %s%s%s\n", colour, packet_verdict(packet, text, sizeof(text)), *colour ? PLAIN : "");
}

static void on_packets(const char *method, json_t *params, void *user)
{
	json_int_t lost = json_integer_value(json_object_get(params, "lost"));
	json_t *packets = json_object_get(params, "packets"), *packet;
	struct trace_out *o = user;
	size_t i;

	if (strcmp(method, "trace.packets") != 0)
		return;
	if (lost > 0 && !o->ctl->json)
		ctl_warn(o->ctl, "%lld packets not shown: they came faster than they were read", (long long)lost);
	else if (lost > 0)
		fprintf(o->ctl->out, "{\"lost\":%lld}\n", (long long)lost);
	json_array_foreach(packets, i, packet) {
		if (!o->ctl->json) {
			print_packet(o, packet);
			continue;
		}
		json_dumpf(packet, o->ctl->out, JSON_COMPACT);
		fputc('\n', o->ctl->out);
	}
}

int run_trace(struct ctl *ctl, const struct ctl_inv *inv)
{
	struct trace_out o = {.ctl = ctl, .colours = !ctl->json && isatty(STDOUT_FILENO)};
	json_t *params = ctl_params(ctl, inv);

	return params ? ctl_stream(ctl, "trace", params, false, on_packets, &o) : -1;
}
