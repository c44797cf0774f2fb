// SPDX-License-Identifier: BSD-3-Clause
// sluicectl: the operator's and administrator's tool. Everything it knows about commands is in commands.c.
#include "tools/ctl.h"
#include "tools/caret.h"

#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *env_or(const char *name, const char *fallback)
{
	const char *v = getenv(name);

	return v && *v ? v : fallback;
}

/* The question before something is deleted names it by its positionals. */
static bool confirm(struct ctl *ctl, const struct ctl_inv *inv)
{
	const struct ctl_arg *args = inv->cmd->args;
	const char *what = args && args[0].kind == CTL_POS && inv->values[0].n ? inv->values[0].v[0] : "";

	return ctl_confirm(ctl, "%s%s%s '%s'?", inv->cmd->resource, inv->cmd->verb ? " " : "", inv->cmd->verb ? inv->cmd->verb : "",
			   what);
}

/* One call as the table says. */
static int run_call(struct ctl *ctl, const struct ctl_inv *inv)
{
	json_t *params = ctl_params(ctl, inv);
	json_t *result;
	char method[64];
	int rc;

	if (!params)
		return -1;
	ctl_command_method(inv->cmd, method, sizeof(method));
	result = ctl_call(ctl, inv->cmd->side, method, params);
	if (!result)
		return -1;
	rc = ctl_emit(ctl, inv, result);
	json_decref(result);
	return rc;
}

static int run(struct ctl *ctl, struct ctl_inv *inv, int argc, char **argv)
{
	int rc = ctl_parse(ctl, inv, argc, argv);

	if (rc < 0)
		return CTL_EXIT_USAGE;
	if (rc > 0)
		return CTL_EXIT_OK;
	if (inv->cmd->destructive && !confirm(ctl, inv))
		return CTL_EXIT_FAILURE;
	rc = inv->cmd->run ? inv->cmd->run(ctl, inv) : run_call(ctl, inv);
	if (rc < 0) {
		caret_explain(ctl, inv);
		return strcmp(ctl->err.code, "usage") ? CTL_EXIT_FAILURE : CTL_EXIT_USAGE;
	}
	return CTL_EXIT_OK;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {
		.ctrl_socket = env_or("SLUICE_CTRL_SOCKET", CTL_DEFAULT_CTRL_SOCKET),
		.edge_socket = env_or("SLUICE_EDGE_SOCKET", CTL_DEFAULT_EDGE_SOCKET),
		.out = stdout,
	};
	struct ctl_inv inv = {0};
	int status;

	/* names may hold any script; a terminal without a UTF-8 locale still gets their bytes */
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8"))
		setlocale(LC_CTYPE, "C.UTF-8");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	status = run(&ctl, &inv, argc, argv);
	if (status != CTL_EXIT_OK)
		ctl_print_error(&ctl);
	if (fflush(stdout) == EOF && status == CTL_EXIT_OK) {
		perror("sluicectl: standard output");
		status = CTL_EXIT_FAILURE;
	}
	inv_free(&inv);
	ctl_error_clear(&ctl.err);
	return status;
}
