// SPDX-License-Identifier: BSD-3-Clause
// Words of the command line into JSON values, and the parameters of a request.
#include "tools/ctl.h"
#include "lib/near.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *bad(struct ctl *ctl, const struct ctl_arg *arg, const char *text, const char *want)
{
	ctl_fail(ctl, "usage", arg->param, "%s: '%s' is not %s", arg->name, text, want);
	return NULL;
}

static bool parse_int(const char *text, long *out)
{
	char *end;

	if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && isdigit((unsigned char)text[1])))
		return false;
	errno = 0;
	*out = strtol(text, &end, 10);
	return !*end && !errno;
}

/* 30, 30s, 2m, 1h, 7d */
static bool parse_duration(const char *text, long *out)
{
	static const char units[] = "smhd";
	static const long seconds[] = {1, 60, 3600, 86400};
	const char *unit;
	char *end;
	long n, mul = 1;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	n = strtol(text, &end, 10);
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1])
			return false;
		mul = seconds[unit - units];
	}
	return !errno && !__builtin_mul_overflow(n, mul, out) && *out <= 100L * 366 * 86400;
}

static bool looks_rfc3339(const char *t)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	size_t i;

	for (i = 0; form[i]; i++)
		if (form[i] == 'd' ? !isdigit((unsigned char)t[i]) : toupper((unsigned char)t[i]) != form[i])
			return false;
	if (t[i] == '.')
		for (i++; isdigit((unsigned char)t[i]);)
			i++;
	return !strcmp(t + i, "Z") || !strcmp(t + i, "z") || ((t[i] == '+' || t[i] == '-') && strlen(t + i) == 6);
}

static json_t *time_value(struct ctl *ctl, const struct ctl_arg *arg, const char *text)
{
	char buf[32];
	struct tm tm;
	time_t at;
	long s;

	if (!strcmp(text, "never"))
		return json_null();
	if (looks_rfc3339(text))
		return json_string(text);
	if (!parse_duration(text, &s))
		return bad(ctl, arg, text, "a time (2027-01-31T12:00:00Z, 12h, 30d or never)");
	at = time(NULL) + s;
	gmtime_r(&at, &tm);
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(buf);
}

static json_t *bool_value(struct ctl *ctl, const struct ctl_arg *arg, const char *text)
{
	static const char *const yes[] = {"true", "on", "yes", "pass"}, *const no[] = {"false", "off", "no", "fail"};

	for (size_t i = 0; i < 4; i++) {
		if (!strcmp(text, yes[i]))
			return json_true();
		if (!strcmp(text, no[i]))
			return json_false();
	}
	return bad(ctl, arg, text, arg->choices && strstr(arg->choices, "pass") ? "pass or fail" : "true or false");
}

static json_t *int_value(struct ctl *ctl, const struct ctl_arg *arg, const char *text)
{
	char want[96];
	long n;

	if (parse_int(text, &n) && n >= arg->min && n <= arg->max)
		return json_integer(n);
	snprintf(want, sizeof(want), "a whole number from %ld to %ld", arg->min, arg->max);
	return bad(ctl, arg, text, want);
}

static json_t *scalar_value(const char *text)
{
	long n;

	if (!strcmp(text, "true") || !strcmp(text, "false"))
		return json_boolean(text[0] == 't');
	return parse_int(text, &n) ? json_integer(n) : json_string(text);
}

static bool chosen(struct ctl *ctl, const struct ctl_arg *arg, const char *text)
{
	char copy[128], want[160], *save, *word;
	struct near near;

	snprintf(copy, sizeof(copy), "%s", arg->choices);
	near_init(&near, text);
	for (word = strtok_r(copy, "|", &save); word; word = strtok_r(NULL, "|", &save)) {
		if (!strcmp(word, text))
			return true;
		near_add(&near, word);
	}
	snprintf(want, sizeof(want), "one of %s", arg->choices);
	for (char *c = want; *c; c++)
		if (*c == '|')
			*c = ' ';
	if (near_best(&near))
		ctl_fail(ctl, "usage", arg->param, "%s: '%s' is not %s; did you mean '%s'?", arg->name, text, want, near_best(&near));
	else
		bad(ctl, arg, text, want);
	return false;
}

static json_t *text_value(struct ctl *ctl, const struct ctl_arg *arg, const char *text)
{
	json_t *v = json_string(text);

	return v ? v : bad(ctl, arg, text, "UTF-8 text");
}

json_t *ctl_value(struct ctl *ctl, const struct ctl_arg *arg, const char *text)
{
	json_error_t e;
	json_t *v;
	long n;

	if (arg->choices && arg->type != CTL_BOOL && !chosen(ctl, arg, text))
		return NULL;
	switch (arg->type) {
	case CTL_INT:
		return int_value(ctl, arg, text);
	case CTL_BOOL:
		return bool_value(ctl, arg, text);
	case CTL_TIME:
		return time_value(ctl, arg, text);
	case CTL_DURATION:
		return parse_duration(text, &n) ? json_integer(n) : bad(ctl, arg, text, "a duration (30s, 2m, 1h, 7d)");
	case CTL_SCALAR:
		v = scalar_value(text);
		return v ? v : bad(ctl, arg, text, "UTF-8 text");
	case CTL_JSON:
		v = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
		return v ? v : bad(ctl, arg, text, "JSON");
	case CTL_CLEARS:
		return *text ? text_value(ctl, arg, text) : json_null();
	default:
		return text_value(ctl, arg, text);
	}
}

/* "100mbit", "20kpps": the number, and whether it is packets. Whole numbers; k, m, g are powers of 1,000. */
static bool parse_rate(const char *text, long *out, bool *packets)
{
	static const char prefixes[] = "kmg";
	const char *prefix;
	char *unit;
	long n, mul = 1;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	n = strtol(text, &unit, 10);
	prefix = *unit ? strchr(prefixes, tolower((unsigned char)*unit)) : NULL;
	if (prefix) {
		for (long i = 0; i <= prefix - prefixes; i++)
			mul *= 1000;
		unit++;
	}
	*packets = !strcmp(unit, "pps");
	return !errno && (*packets || !strcmp(unit, "bit") || !strcmp(unit, "bps")) && !__builtin_mul_overflow(n, mul, out);
}

/* Each value sets its own key; none sets both to null. 0 or -1. */
static int rate_params(struct ctl *ctl, const struct ctl_arg *arg, const struct ctl_values *values, json_t *params)
{
	for (size_t i = 0; i < values->n; i++) {
		const char *text = values->v[i];
		bool packets, none = !strcmp(text, "none");
		long n = 0;

		if (!none && !parse_rate(text, &n, &packets)) {
			bad(ctl, arg, text, "a rate (100mbit, 20kpps or none)");
			return -1;
		}
		if (none ? json_object_get(params, "rate_bps") || json_object_get(params, "rate_pps") :
			   json_object_get(params, packets ? "rate_pps" : "rate_bps") != NULL)
			return ctl_fail(ctl, "usage", arg->param, "%s: '%s' contradicts another %s", arg->name, text, arg->name);
		if (none || !packets)
			json_object_set_new(params, "rate_bps", none ? json_null() : json_integer(n));
		if (none || packets)
			json_object_set_new(params, "rate_pps", none ? json_null() : json_integer(n));
	}
	return 0;
}

static json_t *arg_values(struct ctl *ctl, const struct ctl_arg *arg, const struct ctl_values *values)
{
	json_t *array;

	if (arg->kind == CTL_FLAG)
		return json_true();
	if (arg->kind != CTL_MULTI && arg->kind != CTL_REST && !arg->wrap)
		return ctl_value(ctl, arg, values->v[0]);
	array = json_array();
	for (size_t i = 0; i < values->n; i++) {
		json_t *v = ctl_value(ctl, arg, values->v[i]);

		if (!v || json_array_append_new(array, v) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

json_t *ctl_params(struct ctl *ctl, const struct ctl_inv *inv)
{
	const struct ctl_arg *args = inv->cmd->args;
	json_t *params = json_object();

	if (ctl->account && inv->cmd->side == CTL_CTRL)
		json_object_set_new(params, "account", json_string(ctl->account));
	for (size_t i = 0; args && args[i].kind != CTL_END; i++) {
		json_t *v;

		if (!args[i].param || !inv->values[i].n)
			continue;
		if (args[i].type == CTL_RATE) {
			if (rate_params(ctl, &args[i], &inv->values[i], params) == 0)
				continue;
			json_decref(params);
			return NULL;
		}
		v = arg_values(ctl, &args[i], &inv->values[i]);
		if (!v) {
			json_decref(params);
			return NULL;
		}
		json_object_set_new(params, args[i].param, v);
	}
	if (inv->cmd->write && ctl->no_wait)
		json_object_set_new(params, "wait", json_false());
	if (inv->cmd->write && ctl->timeout_s)
		json_object_set_new(params, "timeout_s", json_integer(ctl->timeout_s));
	return params;
}
