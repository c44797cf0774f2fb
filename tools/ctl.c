// SPDX-License-Identifier: BSD-3-Clause
// Errors, calls to the two servers, and questions on the terminal.
#include "tools/ctl.h"
#include "lib/ipc/client.h"
#include "lib/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a write may take beyond the server's own limit before we give up on the connection. */
#define CTL_GRACE_MS 5000

/* Room in a line for what surrounds the parameters. */
#define CTL_ENVELOPE 256

void ctl_error_clear(struct ctl_error *err)
{
	free(err->message);
	free(err->field);
	free(err->detail);
	memset(err, 0, sizeof(*err));
}

static __attribute__((format(printf, 1, 0))) char *vformat(const char *fmt, va_list ap)
{
	char raw[2048], text[4096];
	int n = vsnprintf(raw, sizeof(raw), fmt, ap);

	log_escape(text, sizeof(text), raw, n < 0 ? 0 : n < (int)sizeof(raw) ? (size_t)n : sizeof(raw) - 1);
	return strdup(text);
}

int ctl_fail(struct ctl *ctl, const char *code, const char *field, const char *fmt, ...)
{
	char *f = field ? strdup(field) : NULL;
	va_list ap;
	char *message;

	va_start(ap, fmt);
	message = vformat(fmt, ap);
	va_end(ap);
	ctl_error_clear(&ctl->err);
	snprintf(ctl->err.code, sizeof(ctl->err.code), "%s", code);
	ctl->err.message = message;
	ctl->err.field = f;
	return -1;
}

void ctl_warn(struct ctl *ctl, const char *fmt, ...)
{
	va_list ap;
	char *text;

	if (ctl->json)
		return;
	va_start(ap, fmt);
	text = vformat(fmt, ap);
	va_end(ap);
	fflush(ctl->out);
	fprintf(stderr, "sluicectl: warning: %s\n", text ? text : "");
	free(text);
}

void ctl_print_error(struct ctl *ctl)
{
	struct ctl_error *e = &ctl->err;

	fflush(ctl->out);
	if (ctl->json) {
		json_t *doc = json_pack("{s:{s:s, s:s, s:s?}}", "error", "code", e->code, "message",
					e->message ? e->message : "out of memory", "field", e->field);

		json_dumpf(doc, ctl->out, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		fputc('\n', ctl->out);
		json_decref(doc);
		return;
	}
	fprintf(stderr, "sluicectl: %s\n", e->message ? e->message : "out of memory");
	if (e->detail)
		fputs(e->detail, stderr);
}

bool ctl_confirm(struct ctl *ctl, const char *fmt, ...)
{
	char *text, answer[16];
	va_list ap;

	if (ctl->yes || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return true;
	va_start(ap, fmt);
	text = vformat(fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s [y/N] ", text ? text : "");
	free(text);
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return true;
	ctl_fail(ctl, "refused", NULL, "nothing was changed");
	return false;
}

static const char *side_name(enum ctl_side side)
{
	return side == CTL_EDGE ? "sluice-edge" : "sluice-ctrl";
}

static void call_failed(struct ctl *ctl, enum ctl_side side, const char *method, const struct ipc_error *e)
{
	if (e->code == IPC_NO_METHOD) {
		ctl_fail(ctl, IPC_E_UNSUPPORTED, NULL, "%s does not support '%s'", side_name(side), method);
		return;
	}
	ctl_fail(ctl, e->name[0] ? e->name : "protocol", e->field[0] ? e->field : NULL, "%s", "");
	free(ctl->err.message);
	ctl->err.message = strdup(e->message); /* escaped already */
}

json_t *ctl_call(struct ctl *ctl, enum ctl_side side, const char *method, json_t *params)
{
	const char *path = side == CTL_EDGE ? ctl->edge_socket : ctl->ctrl_socket;
	int timeout_ms = (ctl->timeout_s ? ctl->timeout_s : CTL_DEFAULT_TIMEOUT_S) * 1000 + CTL_GRACE_MS;
	struct ipc_error e = {0};
	json_t *result = NULL;
	struct ipc_client *client;
	char why[512];

	if (params && json_dumpb(params, NULL, 0, JSON_COMPACT) > CTL_MAX_LINE - CTL_ENVELOPE) {
		ctl_fail(ctl, IPC_E_LIMIT, NULL, "the request is longer than %zu MiB; split it", CTL_MAX_LINE >> 20);
		json_decref(params);
		return NULL;
	}
	client = ipc_client_connect(path, why, sizeof(why), NULL);
	if (!client) {
		ctl_fail(ctl, "unavailable", NULL, "%s: %s", side_name(side), why);
		json_decref(params);
		return NULL;
	}
	if (ipc_client_call(client, method, params, timeout_ms, &result, &e) < 0) {
		call_failed(ctl, side, method, &e);
		result = NULL;
	}
	ipc_client_free(client);
	json_decref(params);
	return result;
}
