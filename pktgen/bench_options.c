// SPDX-License-Identifier: BSD-3-Clause
// The command line of `sluice-pktgen bench`.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pktgen/bench.h"

#define MAX_CLIENTS 1000000
#define MAX_FLOWS   8000000
#define MAX_ROUTES  2000000
#define MAX_RULES   4096
#define MAX_TENANTS 10000
#define MIN_SIZE    44 /* an IPv4 and a UDP header, and what tells packets apart */
#define MAX_SIZE    1420

static const struct bench_scale scale_normal = {1000, 10000, 10000, 1000, 1};
static const struct bench_scale scale_large = {100000, 1000000, 1000000, 4096, 1};

static const char *const names[] = {
#define CASE(name, text) #name,
	BENCH_CASES(CASE)
#undef CASE
};

static const char *const texts[] = {
#define CASE(name, text) text,
	BENCH_CASES(CASE)
#undef CASE
};

const char *bench_case_name(enum bench_case c)
{
	static char dashed[BENCH_CASE_COUNT][16];

	for (unsigned i = 0; i < sizeof(dashed[0]) - 1 && names[c][i]; i++)
		dashed[c][i] = names[c][i] == '_' ? '-' : names[c][i];
	return dashed[c];
}

static void help(void)
{
	puts("usage: sluice-pktgen bench [OPTIONS]\n"
	     "Measures the edge's own code on in-memory ports with real WireGuard packets, encrypted before the clock starts.\n"
	     "\n"
	     "  --case NAME,…   only these cases; may be repeated:");
	for (unsigned i = 0; i < BENCH_CASE_COUNT; i++)
		printf("                    %-11s %s\n", bench_case_name((enum bench_case)i), texts[i]);
	printf("  --size N,…      bytes of the inner packets, %u … %u, or imix: 7 x 64, 4 x 594, 1 x 1420 (64,512,1420,imix)\n"
	       "  --clients N     clients with a live session (1000, then 100000)\n"
	       "  --flows N       flows that packets are spread over (10000, then 1000000)\n"
	       "  --routes N      routes of their network (10000, then 1000000)\n"
	       "  --rules N       rules of their account (1000, then 4096)\n"
	       "  --tenants N     networks that routes are spread over in `lookup` (1)\n"
	       "  --json FILE     write all rows\n"
	       "  --svg FILE      draw them (gnuplot)\n"
	       "  --core N        run on this core\n"
	       "  --stages        show the cycles of each stage in the best repetition\n"
	       "  --quick         end within 60 s\n",
	       MIN_SIZE, MAX_SIZE);
}

static int bad(const char *option, const char *value, const char *what)
{
	fprintf(stderr, "sluice-pktgen: --%s %s: %s\n", option, value, what);
	return 2;
}

/* A number of the option in 1 … max, or 0 with a message. */
static unsigned number(const char *option, const char *value, unsigned long min, unsigned long max)
{
	char *end, what[64];
	unsigned long n;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno == 0 && *end == '\0' && end != value && n >= min && n <= max)
		return (unsigned)n;
	snprintf(what, sizeof(what), "not a number from %lu to %lu", min, max);
	bad(option, value, what);
	return 0;
}

static bool add_cases(struct bench_options *o, char *list)
{
	for (char *rest = NULL, *name = strtok_r(list, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
		bool found = false;

		for (unsigned i = 0; i < BENCH_CASE_COUNT; i++) {
			if (strcmp(name, bench_case_name((enum bench_case)i)) != 0)
				continue;
			o->cases[i] = found = true;
		}
		if (!found) {
			bad("case", name, "no such case (bench --help lists them)");
			return false;
		}
	}
	return true;
}

static bool add_size(struct bench_options *o, unsigned size)
{
	for (unsigned i = 0; i < o->n_sizes; i++)
		if (o->sizes[i] == size)
			return true;
	if (o->n_sizes == BENCH_MAX_SIZES)
		return false;
	o->sizes[o->n_sizes++] = size;
	return true;
}

/* The sizes in the mix are measured before it, so that it can be held against them. */
static bool add_imix_parts(struct bench_options *o)
{
	for (uint32_t i = 0; i < BENCH_IMIX_PARTS; i++)
		if (!add_size(o, bench_size_of(BENCH_IMIX, i)))
			return bad("size", "imix", "at most 16 sizes, its parts among them") == 0;
	return true;
}

static bool add_sizes(struct bench_options *o, char *list)
{
	o->n_sizes = 0;
	for (char *rest = NULL, *text = strtok_r(list, ",", &rest); text != NULL; text = strtok_r(NULL, ",", &rest)) {
		bool mix = strcmp(text, "imix") == 0;
		unsigned n = mix ? BENCH_IMIX : number("size", text, MIN_SIZE, MAX_SIZE);

		if (n == 0 || (mix && !add_imix_parts(o)))
			return false;
		if (!add_size(o, n)) {
			bad("size", text, "at most 16 sizes");
			return false;
		}
	}
	return o->n_sizes > 0;
}

/* Numbers that were not given are those of the normal scale; with none given, both scales are run. */
static void choose_scales(struct bench_options *o, const struct bench_scale *given)
{
	const unsigned *in = (const unsigned *)given;
	unsigned *out = (unsigned *)&o->scales[0];
	bool any = false;

	o->scales[0] = scale_normal;
	o->scales[1] = scale_large;
	for (unsigned i = 0; i < sizeof(*given) / sizeof(unsigned); i++) {
		any |= in[i] != 0;
		if (in[i] != 0)
			out[i] = in[i];
	}
	o->n_scales = any ? 1 : 2;
}

/* The field that an option sets, and its largest value. */
static unsigned *scale_field(struct bench_scale *s, int opt, unsigned long *max)
{
	*max = opt == 'c' ? MAX_CLIENTS : opt == 'f' ? MAX_FLOWS : opt == 'r' ? MAX_ROUTES : opt == 'u' ? MAX_RULES : MAX_TENANTS;
	return opt == 'c' ? &s->clients : opt == 'f' ? &s->flows : opt == 'r' ? &s->routes : opt == 'u' ? &s->rules : &s->tenants;
}

int bench_read_options(int argc, char **argv, struct bench_options *o, bool *done)
{
	static const struct option known[] = {
		{"case", required_argument, NULL, 'a'},	  {"size", required_argument, NULL, 's'},
		{"clients", required_argument, NULL, 'c'}, {"flows", required_argument, NULL, 'f'},
		{"routes", required_argument, NULL, 'r'},  {"rules", required_argument, NULL, 'u'},
		{"tenants", required_argument, NULL, 't'}, {"json", required_argument, NULL, 'j'},
		{"svg", required_argument, NULL, 'v'},	   {"core", required_argument, NULL, 'o'},
		{"quick", no_argument, NULL, 'q'},	   {"help", no_argument, NULL, 'h'},
		{"stages", no_argument, NULL, 'g'},
		{0},
	};
	struct bench_scale given = {0};
	bool any_case = false;
	unsigned long max;
	unsigned *field;
	int opt, index;

	*done = false;
	*o = (struct bench_options){.n_sizes = 5, .sizes = {64, 512, 594, 1420, BENCH_IMIX}, .core = -1};
	while ((opt = getopt_long(argc, argv, "", known, &index)) != -1) {
		switch (opt) {
		case 'a':
			any_case = true;
			if (!add_cases(o, optarg))
				return 2;
			break;
		case 's':
			if (!add_sizes(o, optarg))
				return 2;
			break;
		case 'j':
			o->json = optarg;
			break;
		case 'v':
			o->svg = optarg;
			break;
		case 'o':
			o->core = (int)number("core", optarg, 0, 1023);
			if (o->core == 0 && strcmp(optarg, "0") != 0)
				return 2;
			break;
		case 'q':
			o->quick = true;
			break;
		case 'g':
			o->stages = true;
			break;
		case 'h':
			help();
			*done = true;
			return 0;
		case '?':
			return 2;
		default:
			field = scale_field(&given, opt, &max);
			*field = number(known[index].name, optarg, 1, max);
			if (*field == 0)
				return 2;
		}
	}
	if (optind < argc)
		return bad("case", argv[optind], "options only, no arguments");
	for (unsigned i = 0; i < BENCH_CASE_COUNT; i++)
		o->cases[i] |= !any_case;
	o->rules_given = given.rules != 0;
	choose_scales(o, &given);
	return 0;
}
