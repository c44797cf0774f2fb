// SPDX-License-Identifier: BSD-3-Clause
// One run of sluicectl: its global options, its error, calls to the servers, and what it prints.
#ifndef SLUICE_TOOLS_CTL_H
#define SLUICE_TOOLS_CTL_H

#include "tools/cmd.h"

#include <stdio.h>

#define CTL_EXIT_OK 0
#define CTL_EXIT_FAILURE 1
#define CTL_EXIT_USAGE 2

#define CTL_DEFAULT_CTRL_SOCKET "/run/sluice/ctrl.sock"
#define CTL_DEFAULT_EDGE_SOCKET "/run/sluice/edge.sock"
#define CTL_DEFAULT_TIMEOUT_S 10

/* Longest request line a server takes (docs/protocols.md, 1). */
#define CTL_MAX_LINE ((size_t)16 << 20)

struct ctl_error {
	char code[32];      /* "usage", "unavailable", "io", "timeout", or what the server said */
	char *message;      /* one sentence; heap */
	char *field;        /* or NULL; heap */
	char *detail;       /* further lines (the caret under an expression), or NULL; heap */
};

struct ctl {
	const char *ctrl_socket;
	const char *edge_socket;
	const char *account; /* or NULL */
	bool json;
	bool yes;
	bool no_wait;
	int timeout_s; /* 0: not given */
	FILE *out;
	struct ctl_error err;
};

/* Sets the error (replacing an earlier one) and returns -1. field may be NULL. */
int ctl_fail(struct ctl *ctl, const char *code, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void ctl_error_clear(struct ctl_error *err);

/*
 * Calls method on one side and returns the result (a new reference), or NULL with the error of ctl set.
 * Steals params (may be NULL). A method that the server does not know becomes the code "unsupported".
 */
json_t *ctl_call(struct ctl *ctl, enum ctl_side side, const char *method, json_t *params);

/* The request's parameters as the table says, with account, wait and timeout_s. NULL with the error set. */
json_t *ctl_params(struct ctl *ctl, const struct ctl_inv *inv);

/* Prints the one result of a command, as JSON or text, and the warnings in it; does not take the reference. Returns 0 or -1 (error set). */
int ctl_emit(struct ctl *ctl, const struct ctl_inv *inv, json_t *result);

/* Prints the error: a JSON document on stdout with --json, else one line on stderr. */
void ctl_print_error(struct ctl *ctl);

/* A warning on stderr, escaped; nothing with --json (the document holds it). */
void ctl_warn(struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * True when the command may go on: --yes, or no terminal to ask on, or the person said yes. Else false with the
 * error set (code "refused").
 */
bool ctl_confirm(struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Parses argv into ctl and inv. Returns 0; 1 when help or the version was printed (exit 0); -1 on wrong usage, with
 * the error set. inv's values are freed by inv_free().
 */
int ctl_parse(struct ctl *ctl, struct ctl_inv *inv, int argc, char **argv);
void inv_free(struct ctl_inv *inv);

/* One value as the table's type says: a new reference, or NULL with the error set (a usage error naming the argument). */
json_t *ctl_value(struct ctl *ctl, const struct ctl_arg *arg, const char *text);

/* Help at each level; resource and verb may be NULL. */
void ctl_help(FILE *out, const char *resource, const char *verb);

/* Commands of one word that speak to nobody, and those that do more than one call. */
ctl_run_fn run_help, run_completion, run_man;
ctl_run_fn run_client_add, run_client_config, run_client_rotate;
ctl_run_fn run_tunnel_create, run_tunnel_rotate, run_tunnel_token;
ctl_run_fn run_list_items, run_apply, run_export;
ctl_run_fn run_show, run_logs, run_trace, run_capture, run_explain;

#endif
