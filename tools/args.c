// SPDX-License-Identifier: BSD-3-Clause
// Command lines, parsed by the table: global options anywhere, "--opt value" and "--opt=value", "--" ends options.
// Wrong usage names the word and the nearest known one.
#include "tools/ctl.h"
#include "lib/near.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parse {
	struct ctl *ctl;
	struct ctl_inv *inv;
	int argc, at; /* at: next word */
	char **argv;
	const char *words[2]; /* resource and verb as given */
	const char *rest[1 << 12];
	size_t nrest;
	bool help;
};

const char *inv_get(const struct ctl_inv *inv, const char *name)
{
	struct ctl_values v = inv_all(inv, name);

	return v.n ? v.v[0] : NULL;
}

struct ctl_values inv_all(const struct ctl_inv *inv, const char *name)
{
	const struct ctl_arg *args = inv->cmd ? inv->cmd->args : NULL;

	for (size_t i = 0; args && args[i].kind != CTL_END; i++)
		if (!strcmp(args[i].name, name))
			return inv->values[i];
	return (struct ctl_values){NULL, 0};
}

void inv_free(struct ctl_inv *inv)
{
	for (size_t i = 0; i < CTL_MAX_ARGS; i++)
		free(inv->values[i].v);
	memset(inv, 0, sizeof(*inv));
}

static void add_value(struct ctl_values *values, const char *text)
{
	const char **v = reallocarray(values->v, values->n + 1, sizeof(*v));

	if (!v)
		abort();
	v[values->n++] = text;
	values->v = v;
}

static int usage(struct parse *p, const char *field, const char *what, const char *word, const char *nearest)
{
	const struct ctl_command *cmd = p->inv->cmd;
	const char *verb = cmd && cmd->verb ? cmd->verb : NULL;
	const char *res = cmd ? cmd->resource : p->words[0] && ctl_command_first(p->words[0]) ? p->words[0] : NULL;

	return ctl_fail(p->ctl, "usage", field, "%s '%s'%s%s%s (see 'sluicectl%s%s%s%s --help')", what, word,
			nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "", res ? " " : "", res ? res : "",
			verb ? " " : "", verb ? verb : "");
}

/* Matches "--name", "--name=value" or "-x" against one array of options. */
static const struct ctl_arg *find_option(const struct ctl_arg *args, const char *word, const char **value)
{
	size_t len = strcspn(word, "=");

	for (; args && args->kind != CTL_END; args++) {
		if (args->kind == CTL_POS || args->kind == CTL_REST)
			continue;
		if (word[1] != '-') {
			if (args->letter && word[1] == args->letter) {
				*value = word[2] ? word + 2 : NULL;
				return args;
			}
		} else if (strlen(args->name) == len && !strncmp(args->name, word, len)) {
			*value = word[len] ? word + len + 1 : NULL;
			return args;
		}
	}
	return NULL;
}

static int unknown_option(struct parse *p, const char *word)
{
	struct near near;
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	near_init(&near, name);
	for (const struct ctl_arg *a = ctl_globals; a->kind != CTL_END; a++)
		near_add(&near, a->name);
	for (const struct ctl_arg *a = p->inv->cmd ? p->inv->cmd->args : NULL; a && a->kind != CTL_END; a++)
		if (a->kind != CTL_POS && a->kind != CTL_REST)
			near_add(&near, a->name);
	return usage(p, NULL, "unknown option", name, near_best(&near));
}

/* Gives the option's value, from the word itself or the next one. */
static int option_value(struct parse *p, const struct ctl_arg *arg, const char **value)
{
	if (arg->kind == CTL_FLAG) {
		if (*value)
			return usage(p, arg->param, "no value is taken by", arg->name, NULL);
		*value = "";
		return 0;
	}
	if (!*value) {
		if (p->at >= p->argc)
			return usage(p, arg->param, "a value is missing after", arg->name, NULL);
		*value = p->argv[p->at++];
	}
	return 0;
}

static int set_global(struct parse *p, const struct ctl_arg *arg, const char *value)
{
	struct ctl *ctl = p->ctl;
	const char *n = arg->name;

	if (!strcmp(n, "--socket")) {
		ctl->ctrl_socket = value;
	} else if (!strcmp(n, "--edge-socket")) {
		ctl->edge_socket = value;
	} else if (!strcmp(n, "--account")) {
		ctl->account = value;
	} else if (!strcmp(n, "--json")) {
		ctl->json = true;
	} else if (!strcmp(n, "--yes")) {
		ctl->yes = true;
	} else if (!strcmp(n, "--no-wait")) {
		ctl->no_wait = true;
	} else if (!strcmp(n, "--timeout")) {
		json_t *v = ctl_value(ctl, arg, value);

		if (!v)
			return -1;
		ctl->timeout_s = (int)json_integer_value(v);
		json_decref(v);
	} else if (!strcmp(n, "--help")) {
		p->help = true;
	} else {
		printf("sluicectl %s\n", SLUICE_VERSION);
		return 1;
	}
	return 0;
}

static int take_option(struct parse *p, const char *word)
{
	const struct ctl_arg *args = p->inv->cmd ? p->inv->cmd->args : NULL;
	const char *value = NULL;
	const struct ctl_arg *arg = find_option(args, word, &value);
	bool own = arg != NULL;

	if (!arg)
		arg = find_option(ctl_globals, word, &value);
	if (!arg)
		return unknown_option(p, word);
	if (option_value(p, arg, &value) < 0)
		return -1;
	if (!own)
		return set_global(p, arg, value);
	struct ctl_values *values = &p->inv->values[arg - args];

	if (arg->kind == CTL_OPT && values->n)
		return usage(p, arg->param, "given twice:", arg->name, NULL);
	if (arg->kind != CTL_FLAG || !values->n)
		add_value(values, value);
	return 0;
}

static int take_resource(struct parse *p, const char *word)
{
	struct near near;

	p->words[0] = word;
	if (ctl_command_first(word)) {
		p->inv->cmd = ctl_command_find(word, NULL);
		return 0;
	}
	near_init(&near, word);
	for (const struct ctl_resource *r = ctl_resources; r->name; r++)
		near_add(&near, r->name);
	return usage(p, NULL, "unknown command", word, near_best(&near));
}

static int take_verb(struct parse *p, const char *word)
{
	struct near near;

	p->words[1] = word;
	p->inv->cmd = ctl_command_find(p->words[0], word);
	if (p->inv->cmd)
		return 0;
	near_init(&near, word);
	for (const struct ctl_command *c = ctl_command_first(p->words[0]); c->resource && !strcmp(c->resource, p->words[0]); c++)
		near_add(&near, c->verb);
	char what[64];

	snprintf(what, sizeof(what), "unknown command '%s", p->words[0]);
	return ctl_fail(p->ctl, "usage", NULL, "%s %s'%s%s%s (see 'sluicectl %s --help')", what, word,
			near_best(&near) ? "; did you mean '" : "", near_best(&near) ? near_best(&near) : "",
			near_best(&near) ? "'?" : "", p->words[0]);
}

static int take_word(struct parse *p, const char *word)
{
	if (!p->words[0])
		return take_resource(p, word);
	if (!p->inv->cmd)
		return take_verb(p, word);
	if (p->nrest == sizeof(p->rest) / sizeof(p->rest[0]))
		return usage(p, NULL, "too many words at", word, NULL);
	p->rest[p->nrest++] = word;
	return 0;
}

/* Hands the plain words to the positionals. */
static int place_words(struct parse *p)
{
	const struct ctl_arg *args = p->inv->cmd->args;
	size_t at = 0;

	for (size_t i = 0; args && args[i].kind != CTL_END; i++) {
		struct ctl_values *values = &p->inv->values[i];
		size_t want = args[i].kind == CTL_POS ? 1 : args[i].kind == CTL_REST ? p->nrest : 0;

		while (want && at < p->nrest && values->n < want)
			add_value(values, p->rest[at++]);
		if (!want ? args[i].required && !values->n : !values->n && !args[i].optional)
			return usage(p, args[i].param, "missing:", args[i].name, NULL);
		if (args[i].kind == CTL_REST && !values->n && !args[i].optional)
			return usage(p, args[i].param, "missing:", args[i].name, NULL);
	}
	if (at < p->nrest)
		return usage(p, NULL, "one word too many:", p->rest[at], NULL);
	return 0;
}

/* All values are looked at before anything is sent, so that wrong usage never leaves half a change. */
static int check_values(struct parse *p)
{
	const struct ctl_arg *args = p->inv->cmd->args;

	for (size_t i = 0; args && args[i].kind != CTL_END; i++) {
		for (size_t k = 0; k < p->inv->values[i].n && args[i].kind != CTL_FLAG; k++) {
			json_t *v = ctl_value(p->ctl, &args[i], p->inv->values[i].v[k]);

			if (!v)
				return -1;
			json_decref(v);
		}
	}
	return 0;
}

static int incomplete(struct parse *p)
{
	if (!p->words[0])
		return ctl_fail(p->ctl, "usage", NULL, "a command is missing (see 'sluicectl --help')");
	return ctl_fail(p->ctl, "usage", NULL, "'%s' needs a verb (see 'sluicectl %s --help')", p->words[0], p->words[0]);
}

/* --json counts wherever it stands, also for errors in the words before it. */
static bool json_wanted(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

int ctl_parse(struct ctl *ctl, struct ctl_inv *inv, int argc, char **argv)
{
	static struct parse p; /* large; one command line a process */
	bool options = true;
	int rc = 0;

	memset(inv, 0, sizeof(*inv));
	p = (struct parse){.ctl = ctl, .inv = inv, .argc = argc, .at = 1, .argv = argv};
	ctl->json = json_wanted(argc, argv);
	while (!rc && p.at < argc) {
		const char *word = argv[p.at++];

		if (options && !strcmp(word, "--"))
			options = false;
		else if (options && word[0] == '-' && word[1])
			rc = take_option(&p, word);
		else
			rc = take_word(&p, word);
	}
	if (rc)
		return rc;
	if (p.help) {
		ctl_help(stdout, p.words[0], p.words[1]);
		return 1;
	}
	if (!inv->cmd)
		return incomplete(&p);
	return place_words(&p) < 0 || check_values(&p) < 0 ? -1 : 0;
}
