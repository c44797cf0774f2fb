// SPDX-License-Identifier: BSD-3-Clause
// sluice-connector: command line.
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <sodium.h>

#include "connector/config.h"
#include "connector/connector.h"
#include "connector/status.h"
#include "lib/log.h"

static const char help_text[] =
	"Usage: sluice-connector tunnel [--config FILE] run [TUNNEL]\n"
	"       sluice-connector tunnel ready --metrics HOST:PORT\n"
	"       sluice-connector --help | --version\n"
	"\n"
	"Connects a private network to a Sluice edge. `run` dials out and carries the flows of devices until SIGTERM;\n"
	"`ready` asks a running connector and exits 0 if it has a live session.\n"
	"\n"
	"  --config FILE         YAML: tunnel, credentials-file, metrics, edge, edge-ca, mode, grace-period, log-level,\n"
	"                        mtu, max-active-flows, allow, deny, preserve-source, warp-routing\n"
	"  --metrics HOST:PORT   (ready) where the connector serves /ready\n"
	"\n"
	"Environment: TUNNEL_CRED_FILE, TUNNEL_METRICS, TUNNEL_EDGE, TUNNEL_EDGE_CA.\n"
	"Exit: 0 clean, 1 failure, 2 wrong usage.\n";

static int usage(const char *why, const char *what)
{
	fprintf(stderr, "sluice-connector: %s%s%s (see --help)\n", why, what ? ": " : "", what ? what : "");
	return 2;
}

static int failure(const char *why)
{
	char text[1024];

	log_escape(text, sizeof(text), why, strlen(why));
	fprintf(stderr, "sluice-connector: %s\n", text);
	return 1;
}

/* No dump may hold a key. Every flow costs a descriptor, so take all that are allowed. */
static void harden(void)
{
	struct rlimit core = {0, 0}, files;

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &core);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/* a TCP flow's two buffers of 128 KiB go back to the system when it ends */
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	signal(SIGPIPE, SIG_IGN);
}

static int run(const char *config_file, const char *tunnel)
{
	struct connector_config config;
	char err[1024] = "";
	int code;

	if (config_load(&config, config_file, tunnel, getenv, err, sizeof(err))) {
		config_free(&config);
		return failure(err);
	}
	log_init("sluice-connector", (enum log_level)config.log_level, false);
	code = connector_run(&config, err, sizeof(err));
	config_free(&config);
	return code ? failure(err) : 0;
}

static int ready(const char *metrics)
{
	char err[1024];

	if (!metrics)
		metrics = getenv("TUNNEL_METRICS");
	if (!metrics)
		return usage("tunnel ready needs --metrics HOST:PORT", NULL);
	return status_ask_ready(metrics, err, sizeof(err)) ? failure(err) : 0;
}

enum {
	OPT_CONFIG = 1,
	OPT_METRICS,
	OPT_HELP,
	OPT_VERSION,
};

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, OPT_CONFIG},   {"metrics", required_argument, NULL, OPT_METRICS},
		{"help", no_argument, NULL, OPT_HELP},		   {"version", no_argument, NULL, OPT_VERSION},
		{NULL, 0, NULL, 0},
	};
	const char *config = NULL, *metrics = NULL;
	int opt;

	harden();
	if (sodium_init() < 0)
		return failure("libsodium does not start");
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			fputs(help_text, stdout);
			return 0;
		}
		if (opt == OPT_VERSION) {
			printf("sluice-connector %s\n", SLUICE_VERSION);
			return 0;
		}
		if (opt == OPT_CONFIG)
			config = optarg;
		else if (opt == OPT_METRICS)
			metrics = optarg;
		else
			return usage(opt == ':' ? "an option lacks its value" : "unknown option", argv[optind - 1]);
	}
	argv += optind;
	argc -= optind;
	if (argc < 2 || strcmp(argv[0], "tunnel"))
		return usage("the command is `tunnel run` or `tunnel ready`", NULL);
	if (!strcmp(argv[1], "run") && metrics)
		return usage("--metrics belongs to `tunnel ready`; give metrics in the config file", NULL);
	if (!strcmp(argv[1], "run") && argc <= 3)
		return run(config, argc == 3 ? argv[2] : NULL);
	if (!strcmp(argv[1], "ready") && argc == 2)
		return ready(metrics);
	return usage("unexpected", argv[argc - 1]);
}
