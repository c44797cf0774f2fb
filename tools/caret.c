// SPDX-License-Identifier: BSD-3-Clause
// A caret under the place that the server's message names.
#include "tools/caret.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* Cells that text takes on a terminal, after escaping. */
static int cells(const char *text)
{
	wchar_t wide[2048];
	size_t n = mbstowcs(wide, text, 2047);
	int w;

	if (n == (size_t)-1)
		return (int)strlen(text);
	wide[n] = 0;
	w = wcswidth(wide, n);
	return w < 0 ? (int)n : w;
}

char *caret_lines(const char *text, unsigned line, unsigned column)
{
	char shown[4096], before[4096], *out = NULL;
	size_t len;

	for (; line > 1; line--) {
		text = strchr(text, '\n');
		if (!text)
			return NULL;
		text++;
	}
	len = strcspn(text, "\n");
	if (!line || !column || column - 1 > len)
		return NULL;
	log_escape(shown, sizeof(shown), text, len);
	log_escape(before, sizeof(before), text, column - 1);
	return asprintf(&out, "  %s\n  %*s^\n", shown, cells(before), "") < 0 ? NULL : out;
}

void caret_explain(struct ctl *ctl, const struct ctl_inv *inv)
{
	const struct ctl_arg *args = inv->cmd ? inv->cmd->args : NULL;
	struct ctl_error *e = &ctl->err;
	unsigned line, column;
	const char *at;

	if (!e->field || !e->message || e->detail)
		return;
	at = strstr(e->message, "line ");
	if (!at || sscanf(at, "line %u, column %u", &line, &column) != 2)
		return;
	for (size_t i = 0; args && args[i].kind != CTL_END; i++) {
		if (args[i].param && !strcmp(args[i].param, e->field) && inv->values[i].n == 1) {
			e->detail = caret_lines(inv->values[i].v[0], line, column);
			return;
		}
	}
}
