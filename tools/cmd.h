// SPDX-License-Identifier: BSD-3-Clause
// The one table of sluicectl's commands: parsing, help, completion, man page, parameters and rendering all come from it.
#ifndef SLUICE_TOOLS_CMD_H
#define SLUICE_TOOLS_CMD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct ctl;
struct ctl_inv;

/* How an argument is given. */
enum ctl_kind {
	CTL_END = 0, /* ends an array of arguments */
	CTL_POS,     /* one word at its place, required unless .optional */
	CTL_REST,    /* all remaining words, at least one unless .optional */
	CTL_OPT,     /* --name VALUE, once */
	CTL_MULTI,   /* --name VALUE, any number of times */
	CTL_FLAG,    /* --name */
};

/* What a value must look like, and which JSON it becomes. */
enum ctl_type {
	CTL_TEXT = 0,
	CTL_INT,      /* min … max → integer */
	CTL_BOOL,     /* true|on|yes|pass, false|off|no|fail → true, false */
	CTL_TIME,     /* RFC 3339, or 30s, 10m, 12h, 30d from now, or never → RFC 3339 text, or null */
	CTL_DURATION, /* 30, 30s, 2m, 1h, 7d → integer, seconds */
	CTL_SCALAR,   /* integer, true or false where it reads as one, else text */
	CTL_JSON,     /* a JSON document */
	CTL_RATE,     /* 100mbit, 20kpps or none → "rate_bps", "rate_pps" of the request (param is not used as a key) */
	CTL_CLEARS,   /* text; the empty text → null */
	CTL_FILE,     /* a path; completion offers files */
};

struct ctl_arg {
	enum ctl_kind kind;
	enum ctl_type type;
	bool required;       /* options: must be given */
	bool optional;       /* positionals: may be absent */
	bool wrap;           /* a single value is sent as an array of one */
	char letter;         /* short form ("-f"), or 0 */
	const char *name;    /* "NETWORK" for positionals, "--vnet" for options */
	const char *metavar; /* what help calls the value of an option */
	const char *param;   /* key in the request; NULL: only the command's own function looks at it */
	const char *choices; /* "a|b|c" or NULL */
	long min, max;       /* of a CTL_INT */
	const char *help;
};

/* Which server a command speaks to. */
enum ctl_side { CTL_LOCAL, CTL_CTRL, CTL_EDGE };

/* Columns of a table, in order; keys that no row has are left out, keys not named here are not shown in tables. */
struct ctl_view {
	const char *key;            /* key of the rows in the result, "routes" */
	const char *const *columns; /* ends with NULL */
};

/* Runs a command. Returns 0 after it emitted the result, or -1 after it set the error of ctl. */
typedef int ctl_run_fn(struct ctl *ctl, const struct ctl_inv *inv);

struct ctl_command {
	const char *resource; /* first word */
	const char *verb;     /* second word, or NULL for a command of one word */
	enum ctl_side side;
	bool write;           /* takes --no-wait; sends wait and timeout_s when given */
	bool destructive;     /* asks on a terminal unless --yes */
	const char *method;   /* NULL: "<resource>.<verb>" (or "<resource>") */
	const struct ctl_arg *args; /* ends with CTL_END; may be NULL */
	const struct ctl_view *view;
	ctl_run_fn *run;      /* NULL: one call with the parameters of the table, its result rendered */
	const char *help;     /* one line */
};

struct ctl_resource {
	const char *name;
	const char *help;
};

extern const struct ctl_command ctl_commands[];   /* ends with .resource == NULL */
extern const struct ctl_resource ctl_resources[]; /* ends with .name == NULL */
extern const struct ctl_arg ctl_globals[];        /* options that every command takes */

/* Index of the first command of a resource, or NULL where there is none. */
const struct ctl_command *ctl_command_first(const char *resource);
/* The command, or NULL. verb may be NULL. */
const struct ctl_command *ctl_command_find(const char *resource, const char *verb);
/* Name of the method into buf (always terminated). */
void ctl_command_method(const struct ctl_command *cmd, char *buf, size_t size);

#define CTL_MAX_ARGS 24

/* Values of one argument, in the order given; strings point into argv. */
struct ctl_values {
	const char **v;
	size_t n;
};

/* A parsed command line. */
struct ctl_inv {
	const struct ctl_command *cmd;
	struct ctl_values values[CTL_MAX_ARGS]; /* by index in cmd->args */
};

/* The first value of the argument called name ("--vnet", "NETWORK"; for a flag: ""), or NULL when absent. */
const char *inv_get(const struct ctl_inv *inv, const char *name);
/* All values; n is 0 when absent. */
struct ctl_values inv_all(const struct ctl_inv *inv, const char *name);
static inline bool inv_has(const struct ctl_inv *inv, const char *name)
{
	return inv_get(inv, name) != NULL;
}

#endif
