// SPDX-License-Identifier: BSD-3-Clause
// Help at each level, the manual page and the completion script, all from the table.
#include "tools/ctl.h"

#include <string.h>

static bool is_option(const struct ctl_arg *a)
{
	return a->kind == CTL_OPT || a->kind == CTL_MULTI || a->kind == CTL_FLAG;
}

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

/* "[--vnet V]", "--email E", "CIDR", "[ITEM...]" */
static void arg_synopsis(FILE *out, const struct ctl_arg *a)
{
	bool maybe = is_option(a) ? !a->required : a->optional;

	fprintf(out, " %s", maybe ? "[" : "");
	if (is_option(a) && a->letter && a->required)
		fprintf(out, "-%c", a->letter);
	else
		fputs(a->kind == CTL_POS && a->choices ? a->choices : a->name, out);
	if (a->metavar)
		fprintf(out, " %s", a->choices ? a->choices : a->metavar);
	fprintf(out, "%s%s", maybe ? "]" : "", a->kind == CTL_MULTI ? "..." : "");
	if (a->kind == CTL_REST)
		fputs("...", out);
}

static void synopsis(FILE *out, const struct ctl_command *c)
{
	fprintf(out, "%s%s%s", c->resource, c->verb ? " " : "", c->verb ? c->verb : "");
	for (const struct ctl_arg *a = c->args; a && a->kind != CTL_END; a++)
		arg_synopsis(out, a);
}

static void arg_line(FILE *out, const struct ctl_arg *a)
{
	char left[64];

	snprintf(left, sizeof(left), "%s%c%s%s%s%s", is_option(a) && a->letter ? "-" : "", is_option(a) && a->letter ? a->letter : ' ',
		 is_option(a) && a->letter ? ", " : "", a->name, a->metavar ? " " : "", a->metavar ? a->metavar : "");
	fprintf(out, "  %-28s %s", left[0] == ' ' ? left + 1 : left, a->help);
	if (a->choices)
		fprintf(out, " (%s)", a->choices);
	fputc('\n', out);
}

static void global_help(FILE *out)
{
	fputs("\nOptions of every command:\n", out);
	for (const struct ctl_arg *a = ctl_globals; a->kind != CTL_END; a++)
		arg_line(out, a);
}

static void command_help(FILE *out, const struct ctl_command *c)
{
	fputs("usage: sluicectl ", out);
	synopsis(out, c);
	fprintf(out, "\n\n%s%s\n", c->help, c->destructive ? " (asks first on a terminal)" : "");
	if (c->args)
		fputc('\n', out);
	for (const struct ctl_arg *a = c->args; a && a->kind != CTL_END; a++)
		arg_line(out, a);
	global_help(out);
}

static void resource_help(FILE *out, const struct ctl_resource *r)
{
	fprintf(out, "usage: sluicectl %s VERB ...\n\n%s\n\n", r->name, r->help);
	for (const struct ctl_command *c = ctl_command_first(r->name); c->resource && !strcmp(c->resource, r->name); c++) {
		fputs("  sluicectl ", out);
		synopsis(out, c);
		fprintf(out, "\n        %s\n", c->help);
	}
	fprintf(out, "\nMore on one: sluicectl %s VERB --help\n", r->name);
}

void ctl_help(FILE *out, const char *resource, const char *verb)
{
	const struct ctl_command *c = resource ? ctl_command_find(resource, verb) : NULL;

	if (c) {
		command_help(out, c);
		return;
	}
	for (const struct ctl_resource *r = ctl_resources; resource && r->name; r++) {
		if (!strcmp(r->name, resource)) {
			resource_help(out, r);
			return;
		}
	}
	fputs("usage: sluicectl [OPTION]... COMMAND [VERB] ...\n\nOperates a Sluice edge and its configuration.\n\n", out);
	for (const struct ctl_resource *r = ctl_resources; r->name; r++)
		fprintf(out, "  %-12s %s\n", r->name, r->help);
	global_help(out);
	fputs("\nMore on one: sluicectl COMMAND --help\n", out);
}

int run_help(struct ctl *ctl, const struct ctl_inv *inv)
{
	struct ctl_values words = inv_all(inv, "COMMAND");
	const char *resource = words.n ? words.v[0] : NULL;

	if (resource && !ctl_command_first(resource))
		return ctl_fail(ctl, "usage", NULL, "unknown command '%s'", resource);
	ctl_help(ctl->out, resource, words.n > 1 ? words.v[1] : NULL);
	return 0;
}

/* roff: a leading dot or quote and backslashes and hyphens are escaped. */
static void roff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

static void man_arg(FILE *out, const struct ctl_arg *a)
{
	fputs(".TP\n.B ", out);
	if (is_option(a) && a->letter)
		fprintf(out, "\\-%c, ", a->letter);
	roff(out, a->name);
	if (a->metavar)
		fprintf(out, " \\fI%s\\fR", a->metavar);
	fputc('\n', out);
	roff(out, a->help);
	if (a->choices) {
		fputs(" (", out);
		roff(out, a->choices);
		fputc(')', out);
	}
	fputc('\n', out);
}

static void man_command(FILE *out, const struct ctl_command *c)
{
	fputs(".SS sluicectl ", out);
	fprintf(out, "%s%s%s\n", c->resource, c->verb ? " " : "", c->verb ? c->verb : "");
	fprintf(out, ".B sluicectl %s%s%s\n", c->resource, c->verb ? " " : "", c->verb ? c->verb : "");
	for (const struct ctl_arg *a = c->args; a && a->kind != CTL_END; a++) {
		char word[256];
		FILE *mem = fmemopen(word, sizeof(word), "w");

		arg_synopsis(mem, a);
		fclose(mem);
		roff(out, word + 1);
		fputc('\n', out);
	}
	fputs(".PP\n", out);
	roff(out, c->help);
	fputs(c->destructive ? " (asks first on a terminal).\n" : ".\n", out);
	for (const struct ctl_arg *a = c->args; a && a->kind != CTL_END; a++)
		man_arg(out, a);
}

int run_man(struct ctl *ctl, const struct ctl_inv *inv)
{
	FILE *out = ctl->out;

	(void)inv;
	fprintf(out, ".TH SLUICECTL 1 \"\" \"Sluice %s\" \"Sluice\"\n.SH NAME\nsluicectl \\- operate a Sluice edge and its configuration\n",
		SLUICE_VERSION);
	fputs(".SH SYNOPSIS\n.B sluicectl\n[\\fIoption\\fR]... \\fIcommand\\fR [\\fIverb\\fR] ...\n.SH DESCRIPTION\n"
	      "Speaks JSON\\-RPC with\n.BR sluice\\-ctrl ,\nwhich owns the configuration, and with\n.BR sluice\\-edge ,\n"
	      "which forwards. A change returns when every connected edge has applied it.\n.SH OPTIONS\n",
	      out);
	for (const struct ctl_arg *a = ctl_globals; a->kind != CTL_END; a++)
		man_arg(out, a);
	fputs(".SH COMMANDS\n", out);
	for (const struct ctl_command *c = ctl_commands; c->resource; c++)
		man_command(out, c);
	fputs(".SH EXIT STATUS\n0 for success, 1 for a failure, 2 for wrong usage. Errors are one line on standard error; with\n"
	      ".B \\-\\-json\nthe error is the one document on standard output:\n.B {\"error\": {\"code\", \"message\", \"field\"}}\n"
	      ".SH ENVIRONMENT\n.TP\n.B SLUICE_CTRL_SOCKET, SLUICE_EDGE_SOCKET\nsockets, where the options are absent\n",
	      out);
	return 0;
}

static void words_of(FILE *out, const struct ctl_command *c)
{
	for (const struct ctl_arg *a = c->args; a && a->kind != CTL_END; a++)
		if (is_option(a))
			fprintf(out, "%s ", a->name);
}

/* case arms "resource verb --option)" for options that take a value */
static void complete_values(FILE *out, const char *where, const struct ctl_arg *args)
{
	for (const struct ctl_arg *a = args; a && a->kind != CTL_END; a++) {
		char words[128];

		if (a->kind != CTL_OPT && a->kind != CTL_MULTI)
			continue;
		snprintf(words, sizeof(words), "%s", a->choices ? a->choices : "");
		for (char *w = words; *w; w++)
			if (*w == '|')
				*w = ' ';
		fprintf(out, "\t\"%s%s\"%s%s%s%c%s) ", where, a->name, a->letter ? " | \"" : "", a->letter ? where : "",
			a->letter ? "-" : "", a->letter ? a->letter : ' ', a->letter ? "\"" : "");
		if (a->type == CTL_FILE)
			fputs("mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n", out);
		else
			fprintf(out, "words=\"%s\" ;;\n", words);
	}
}

static void complete_choices(FILE *out)
{
	for (const struct ctl_command *c = ctl_commands; c->resource; c++) {
		char where[96];

		snprintf(where, sizeof(where), "%s %s ", c->resource, c->verb ? c->verb : "");
		complete_values(out, where, c->args);
	}
}

static void complete_commands(FILE *out)
{
	for (const struct ctl_command *c = ctl_commands; c->resource; c++) {
		fprintf(out, "\t\"%s %s\") words=\"", c->resource, c->verb ? c->verb : "");
		words_of(out, c);
		for (const struct ctl_arg *a = c->args; a && a->kind != CTL_END; a++) {
			if (a->kind != CTL_POS || !a->choices)
				continue;
			for (const char *w = a->choices; *w; w++)
				fputc(*w == '|' ? ' ' : *w, out);
			fputc(' ', out);
		}
		fputs("$globals\" ;;\n", out);
	}
}

static void complete_verbs(FILE *out)
{
	for (const struct ctl_resource *r = ctl_resources; r->name; r++) {
		const struct ctl_command *c = ctl_command_first(r->name);

		if (!c->verb)
			continue;
		fprintf(out, "\t\"%s\") words=\"", r->name);
		for (; c->resource && same(c->resource, r->name); c++)
			fprintf(out, "%s ", c->verb);
		fputs("\" ;;\n", out);
	}
}

int run_completion(struct ctl *ctl, const struct ctl_inv *inv)
{
	FILE *out = ctl->out;

	(void)inv;
	fputs("# bash completion for sluicectl; put it into /usr/share/bash-completion/completions/sluicectl\n"
	      "_sluicectl()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	      "\tlocal words='' resource='' verb='' i w takes globals resources single\n\tglobals='",
	      out);
	for (const struct ctl_arg *a = ctl_globals; a->kind != CTL_END; a++)
		fprintf(out, "%s ", a->name);
	fputs("'\n\tresources='", out);
	for (const struct ctl_resource *r = ctl_resources; r->name; r++)
		fprintf(out, "%s ", r->name);
	fputs("'\n\tsingle=' ", out);
	for (const struct ctl_command *c = ctl_commands; c->resource; c++)
		if (!c->verb)
			fprintf(out, "%s ", c->resource);
	fputs("'\n\ttakes=' ", out);
	for (const struct ctl_arg *a = ctl_globals; a->kind != CTL_END; a++)
		if (a->kind == CTL_OPT)
			fprintf(out, "%s ", a->name);
	fputs("'\n\tCOMPREPLY=()\n\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tw=${COMP_WORDS[i]}\n"
	      "\t\tif [[ $takes == *\" $w \"* ]]; then ((i++)); continue; fi\n\t\t[[ $w == -* ]] && continue\n"
	      "\t\tif [[ -z $resource ]]; then resource=$w; elif [[ -z $verb && $single != *\" $resource \"* ]]; then verb=$w; fi\n"
	      "\tdone\n\tcase \"$resource $verb $prev\" in\n",
	      out);
	complete_choices(out);
	fputs("\t*) case \"$prev\" in\n\t--socket | --edge-socket) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ; return ;;\n"
	      "\t--account | --timeout) return ;;\n\tesac\n"
	      "\tif [[ -z $resource ]]; then\n\t\twords=\"$resources $globals\"\n"
	      "\telif [[ -z $verb && $single != *\" $resource \"* ]]; then\n\tcase \"$resource\" in\n",
	      out);
	complete_verbs(out);
	fputs("\tesac\n\telse\n\tcase \"$resource $verb\" in\n", out);
	complete_commands(out);
	fputs("\tesac\n\tfi ;;\n\tesac\n\t[[ -n $words ]] && mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n\treturn 0\n}\n"
	      "complete -F _sluicectl sluicectl\n",
	      out);
	return 0;
}
