// SPDX-License-Identifier: BSD-3-Clause
// sluice-edge: starts memory, ports, handshake thread and workers in this order, becomes the control thread, and ends
// them in the reverse.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <sodium.h>

#include "dataplane/control/control.h"
#include "dataplane/flowlog/flowlog.h"
#include "dataplane/handshake.h"
#include "dataplane/tables/reclaim.h"
#include "dataplane/worker.h"
#include "lib/log.h"

static const char usage[] =
	"usage: sluice-edge --config FILE [--check] [--ready-fd N]\n"
	"  --config FILE   configuration (YAML)\n"
	"  --check         check the configuration and end\n"
	"  --ready-fd N    write \"ready\" to this descriptor once packets are served\n"
	"  --version       version\n"
	"  --help          this text\n";

struct options {
	const char *config;
	bool check;
	int ready_fd;
};

static int wrong_usage(const char *what)
{
	fprintf(stderr, "sluice-edge: %s (sluice-edge --help says more)\n", what);
	return 2;
}

/* −1: go on; otherwise the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
		{"ready-fd", required_argument, NULL, 'r'}, {"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'}, {0},
	};
	char what[256], *end;
	int opt;

	*o = (struct options){.ready_fd = -1};
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (opt) {
		case 'c':
			o->config = optarg;
			break;
		case 'k':
			o->check = true;
			break;
		case 'r':
			o->ready_fd = (int)strtol(optarg, &end, 10);
			if (*end || end == optarg || o->ready_fd < 0)
				return wrong_usage("--ready-fd: not a descriptor");
			break;
		case 'v':
			puts("sluice-edge " SLUICE_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			snprintf(what, sizeof(what), "%.200s: unknown option, or its value is missing", argv[optind - 1]);
			return wrong_usage(what);
		}
	}
	if (optind < argc) {
		snprintf(what, sizeof(what), "%.200s: unexpected argument", argv[optind]);
		return wrong_usage(what);
	}
	return o->config ? -1 : wrong_usage("--config is missing");
}

/* Keys and preshared keys are in memory: no core, no ptrace by others. Signals come by signalfd alone. */
static void harden(void)
{
	static const int taken[] = {SIGTERM, SIGINT, SIGHUP};
	struct rlimit none = {0, 0}, all = {RLIM_INFINITY, RLIM_INFINITY}, files;
	sigset_t set;

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	if (setrlimit(RLIMIT_MEMLOCK, &all))
		log_debug("RLIMIT_MEMLOCK stays as it is: %s", strerror(errno));
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void name_run(struct control *c)
{
	uint8_t id[16];

	randombytes_buf(id, sizeof(id));
	memcpy(&c->edge->instance, id, sizeof(c->edge->instance));
	id[6] = (id[6] & 0x0f) | 0x40;
	id[8] = (id[8] & 0x3f) | 0x80;
	snprintf(c->instance, sizeof(c->instance),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[0], id[1], id[2], id[3],
		 id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]);
	c->edge->started_ns = edge_now_ns();
}

/* Everything before packets flow. */
static bool prepare(struct control *c, char *err, size_t err_len)
{
	struct edge *edge = c->edge;

	if (edge_memory_create(edge, &c->reclaim, err, err_len))
		return false;
	edge->handshake = handshake_create(edge);
	if (!edge->handshake) {
		snprintf(err, err_len, "the handshake thread cannot be made");
		return false;
	}
	c->net = net_open(edge, c->setup, c->reclaim, err, err_len);
	if (!c->net)
		return false;
	for (unsigned i = 0; i < edge->config.n_workers; i++) {
		edge->workers[i] = worker_create(edge, i);
		if (!edge->workers[i]) {
			snprintf(err, err_len, "worker %u cannot be made", i);
			return false;
		}
		edge->n_workers = i + 1;
	}
	return control_create(c, err, err_len);
}

static bool launch(struct control *c, char *err, size_t err_len)
{
	int rc = c->edge->flow_log ? flow_log_start(c->edge->flow_log) : 0;

	if (rc) {
		snprintf(err, err_len, "the flow log does not start: %s", strerror(-rc));
		return false;
	}
	rc = handshake_start(c->edge->handshake);
	if (rc) {
		snprintf(err, err_len, "the handshake thread does not start: %s", strerror(-rc));
		return false;
	}
	for (unsigned i = 0; i < c->edge->n_workers; i++) {
		rc = rte_eal_remote_launch(worker_run, c->edge->workers[i], i + 1);
		if (rc) {
			snprintf(err, err_len, "worker %u does not start: %s", i, strerror(-rc));
			return false;
		}
	}
	return true;
}

static void tell_ready(const struct control *c, int ready_fd)
{
	char text[600] = "", endpoint[IP_ENDPOINT_TEXT];
	const struct edge_config *config = &c->edge->config;
	size_t n = 0;

	for (unsigned i = 0; i < config->n_listen && n < sizeof(text); i++) {
		struct ip_endpoint e = {.addr.family = config->listen[i].family, .port = config->listen[i].port};

		memcpy(e.addr.bytes, config->listen[i].address, 16);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? ", " : "", ip_endpoint_format(&e, endpoint));
	}
	log_info("ready: %u worker%s, %u port%s, listening on %s (%zu local endpoints)", c->edge->n_workers,
		 c->edge->n_workers == 1 ? "" : "s", c->edge->n_ports, c->edge->n_ports == 1 ? "" : "s", text,
		 net_steered(c->net));
	if (ready_fd >= 0) {
		if (write(ready_fd, "ready\n", 6) != 6)
			log_warn("--ready-fd %d: %s", ready_fd, strerror(errno));
		close(ready_fd);
	}
}

static void take_down(struct control *c)
{
	struct edge *edge = c->edge;

	control_destroy(c);
	atomic_store(&edge->stop, true);
	rte_eal_mp_wait_lcore();
	if (edge->flow_log)
		flow_log_stop(edge->flow_log);
	if (edge->handshake)
		handshake_stop(edge->handshake);
	net_close(c->net);
	for (unsigned i = 0; i < edge->n_workers; i++)
		worker_destroy(edge->workers[i]);
	if (edge->handshake)
		handshake_destroy(edge->handshake);
	/* What is still retired goes back to tables and to the maps of apply: before either is freed. */
	if (c->reclaim)
		reclaim_drain(c->reclaim);
	apply_destroy(c->apply);
	edge_memory_free(edge, c->reclaim);
	rte_eal_cleanup();
}

static int run(struct control *c, const struct options *o)
{
	char err[512] = "";
	int rc = 1;

	if (eal_start(c->setup, c->eal, err, sizeof(err))) {
		log_error("%s", err);
		return 1;
	}
	log_info("%s", c->eal->says);
	if (c->setup->shared_cores)
		log_warn("%u workers on fewer cores: some share one", c->edge->config.n_workers);
	if (prepare(c, err, sizeof(err)) && launch(c, err, sizeof(err))) {
		tell_ready(c, o->ready_fd);
		control_run(c);
		rc = 0;
	} else {
		log_error("%s", err);
	}
	take_down(c);
	if (!rc)
		log_info("stopped");
	return rc;
}

int main(int argc, char **argv)
{
	static struct edge edge;
	static struct edge_setup setup;
	static struct eal_args eal;
	struct control c = {.edge = &edge, .setup = &setup, .eal = &eal, .signal_fd = -1};
	struct options o;
	char err[512];
	int rc = read_options(argc, argv, &o);

	if (rc >= 0)
		return rc;
	log_init("sluice-edge", LOG_LEVEL_INFO, false);
	if (sodium_init() < 0) {
		log_error("libsodium does not start");
		return 1;
	}
	if (edge_setup_load(o.config, &setup, err, sizeof(err))) {
		fprintf(stderr, "sluice-edge: %s\n", err);
		return 1;
	}
	if (o.check) {
		edge_setup_wipe(&setup);
		printf("%s: good\n", o.config);
		return 0;
	}
	log_set_level(setup.log_level);
	harden();
	c.config_path = o.config;
	edge.config = setup.config;
	edge_setup_wipe(&setup);
	name_run(&c);
	return run(&c, &o);
}
