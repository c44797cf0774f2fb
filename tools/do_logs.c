// SPDX-License-Identifier: BSD-3-Clause
// logs: lines of the edge's flow log, as they are with --json, else one aligned line each.
#include "tools/ctl.h"
#include "tools/stream.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RED   "\033[31m"
#define GREEN "\033[32m"
#define DIM   "\033[2m"
#define PLAIN "\033[0m"

/* Columns are as wide as what they have held so far, within these bounds. */
enum column { COL_CLIENT, COL_SRC, COL_DST, COL_RULE, COL_TUNNEL, COLUMNS };
static const int widest[COLUMNS] = {24, 48, 64, 24, 24};

struct logs_out {
	struct ctl *ctl;
	bool colours;
	int width[COLUMNS];
	char day[11]; /* of the last line, "2026-11-24" */
};

static const char *text_of(json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text ? text : "";
}

/* Outside text: safe for a terminal. */
static const char *safe(const char *text, char *out, size_t size)
{
	log_escape(out, size, text, strlen(text));
	return out;
}

static void cell(struct logs_out *o, enum column c, const char *text)
{
	int len = (int)strlen(text);

	if (len > o->width[c])
		o->width[c] = len < widest[c] ? len : widest[c];
	fprintf(o->ctl->out, "%-*s  ", o->width[c], text);
}

/* "1.2kB": three digits and a unit. */
static const char *size_text(json_int_t bytes, char *out, size_t len)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double v = (double)bytes;
	unsigned u = 0;

	while (v >= 999.5 && u < 4) {
		v /= 1000;
		u++;
	}
	snprintf(out, len, u && v < 9.95 ? "%.1f%s" : "%.0f%s", v, units[u]);
	return out;
}

static void address(json_t *line, const char *host_key, const char *port_key, char *out, size_t size)
{
	const char *ip = text_of(line, host_key), *proto = text_of(line, "proto");
	bool ports = !strcmp(proto, "tcp") || !strcmp(proto, "udp");
	json_int_t port = json_integer_value(json_object_get(line, port_key));

	if (!ports)
		snprintf(out, size, "%s", ip[0] ? ip : "?");
	else
		snprintf(out, size, strchr(ip, ':') ? "[%s]:%lld" : "%s:%lld", ip[0] ? ip : "?", (long long)port);
}

static void print_time(struct logs_out *o, json_t *line)
{
	const char *t = text_of(line, "time");

	if (strlen(t) < 24) {
		fprintf(o->ctl->out, "%-12s  ", "?");
		return;
	}
	if (strncmp(t, o->day, 10) != 0) {
		snprintf(o->day, sizeof(o->day), "%.10s", t);
		fprintf(o->ctl->out, "%s%s UTC%s\n", o->colours ? DIM : "", o->day, o->colours ? PLAIN : "");
	}
	fprintf(o->ctl->out, "%.12s  ", t + 11);
}

static void print_what(struct logs_out *o, json_t *line, const char *event)
{
	char up[16], down[16], text[512];

	if (!strcmp(event, "end")) {
		fprintf(o->ctl->out, "%s  %.1fs  up %s  down %s", safe(text_of(line, "reason"), text, sizeof(text)),
			json_number_value(json_object_get(line, "duration_s")),
			size_text(json_integer_value(json_object_get(line, "bytes_up")), up, sizeof(up)),
			size_text(json_integer_value(json_object_get(line, "bytes_down")), down, sizeof(down)));
	} else if (!strcmp(event, "blocked")) {
		fprintf(o->ctl->out, "%s", safe(text_of(line, "reason"), text, sizeof(text)));
		if (json_integer_value(json_object_get(line, "count")) != 1)
			fprintf(o->ctl->out, "  %lld packets", json_integer_value(json_object_get(line, "count")));
	}
}

static void print_line(struct logs_out *o, json_t *line)
{
	const char *event = text_of(line, "event"), *host = text_of(line, "host"), *rule = text_of(line, "rule");
	bool denied = !strcmp(text_of(line, "verdict"), "block");
	const char *colour = denied ? RED : !strcmp(event, "start") ? GREEN : "";
	char src[96], dst[400], shown[320], name[160];

	print_time(o, line);
	fprintf(o->ctl->out, "%s%-7s%s  ", o->colours ? colour : "", event, o->colours && *colour ? PLAIN : "");
	cell(o, COL_CLIENT, safe(text_of(line, "client"), name, sizeof(name)));
	fprintf(o->ctl->out, "%-6s  ", text_of(line, "proto"));
	address(line, "src", "sport", src, sizeof(src));
	cell(o, COL_SRC, src);
	address(line, "dst", "dport", dst, sizeof(dst));
	if (*host)
		snprintf(dst + strlen(dst), sizeof(dst) - strlen(dst), " %s", safe(host, shown, sizeof(shown)));
	cell(o, COL_DST, dst);
	fprintf(o->ctl->out, "%-5s  ", text_of(line, "verdict"));
	cell(o, COL_RULE, *rule ? safe(rule, name, sizeof(name)) : "-");
	cell(o, COL_TUNNEL, *text_of(line, "tunnel") ? safe(text_of(line, "tunnel"), name, sizeof(name)) : "-");
	print_what(o, line, event);
	fputc('\n', o->ctl->out);
}

static void tell_lost(struct logs_out *o, json_int_t lost)
{
	if (!o->ctl->json) {
		ctl_warn(o->ctl, "%lld lines lost: they came faster than they were read", (long long)lost);
		return;
	}
	fprintf(o->ctl->out, "{\"event\":\"lost\",\"count\":%lld}\n", (long long)lost);
}

static void on_lines(const char *method, json_t *params, void *user)
{
	json_int_t lost = json_integer_value(json_object_get(params, "lost"));
	json_t *lines = json_object_get(params, "lines"), *line;
	struct logs_out *o = user;
	size_t i;

	if (strcmp(method, "logs.lines") != 0)
		return;
	if (lost > 0)
		tell_lost(o, lost);
	json_array_foreach(lines, i, line) {
		if (!o->ctl->json) {
			print_line(o, line);
			continue;
		}
		json_dumpf(line, o->ctl->out, JSON_COMPACT);
		fputc('\n', o->ctl->out);
	}
}

int run_logs(struct ctl *ctl, const struct ctl_inv *inv)
{
	struct logs_out o = {.ctl = ctl, .colours = !ctl->json && isatty(STDOUT_FILENO)};
	bool follow = inv_has(inv, "--follow");
	json_t *params = ctl_params(ctl, inv);

	if (!params)
		return -1;
	return ctl_stream(ctl, follow ? "logs.follow" : "logs.read", params, follow, on_lines, &o);
}
