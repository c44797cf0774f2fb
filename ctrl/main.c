// SPDX-License-Identifier: BSD-3-Clause
// sluice-ctrl: owns the configuration, serves it to people and edges, registers connectors.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "ctrl/ctrl.h"
#include "ctrl/register/register.h"
#include "ctrl/runtime.h"
#include "ctrl/sync.h"
#include "ctrl/tunnel_state.h"
#include "lib/log.h"

static const char *const level_names[] = {"error", "warn", "info", "debug", NULL};

static const struct conf_key register_keys[] = {
	{.name = "listen", .type = CONF_STRINGS, .offset = offsetof(struct ctrl_config, register_listen), .max = REGISTER_LISTEN_MAX},
	{.name = "names", .type = CONF_STRINGS, .offset = offsetof(struct ctrl_config, register_names), .min = 1, .max = 64},
	{.name = "address", .type = CONF_STRING, .offset = offsetof(struct ctrl_config, register_address)},
	{.name = NULL},
};
static const struct conf_key group_keys[] = {
	{.name = "write", .type = CONF_STRING, .offset = offsetof(struct ctrl_config, group_write)},
	{.name = "read", .type = CONF_STRING, .offset = offsetof(struct ctrl_config, group_read)},
	{.name = NULL},
};
static const struct conf_key config_keys[] = {
	{.name = "store", .type = CONF_STRING, .offset = offsetof(struct ctrl_config, store)},
	{.name = "socket", .type = CONF_STRING, .offset = offsetof(struct ctrl_config, socket)},
	{.name = "tls-dir", .type = CONF_STRING, .offset = offsetof(struct ctrl_config, tls_dir)},
	{.name = "metrics", .type = CONF_STRING, .offset = offsetof(struct ctrl_config, metrics)},
	{.name = "register", .type = CONF_MAP, .offset = 0, .sub = register_keys},
	{.name = "groups", .type = CONF_MAP, .offset = 0, .sub = group_keys},
	{.name = "log-level", .type = CONF_CHOICE, .offset = offsetof(struct ctrl_config, log_level), .choices = level_names},
	{.name = NULL},
};

static void usage(FILE *f)
{
	fputs("usage: sluice-ctrl [--config FILE]\n"
	      "Owns Sluice's configuration: serves it on a unix socket, syncs it to edges, registers connectors.\n\n"
	      "  --config FILE   configuration (default /etc/sluice/ctrl.yaml; without a file: defaults)\n"
	      "  --log-json      log messages as JSON\n"
	      "  --version       print the version\n"
	      "  --help          print this\n\n"
	      "Keys of FILE: store, socket, tls-dir, metrics (address:port or off), log-level,\n"
	      "register: {listen: [...], names: [...], address}, groups: {write, read}.\n"
	      "SIGHUP re-reads log-level; SIGTERM ends.\n",
	      f);
}

static int set_text(char **at, const char *value)
{
	if (!*at)
		*at = strdup(value);
	return *at ? 0 : -ENOMEM;
}

static int one_text(struct conf_strings *s, const char *value)
{
	if (s->v)
		return 0;
	s->v = calloc(1, sizeof(*s->v));
	if (!s->v || !(s->v[0] = strdup(value)))
		return -ENOMEM;
	s->n = 1;
	return 0;
}

static int add_names(struct ctrl_config *cfg)
{
	const char *fixed[] = {"localhost", "127.0.0.1", "::1"};
	char host[256] = "localhost", *v[4];
	size_t n = 0;

	if (cfg->register_names.v)
		return 0;
	gethostname(host, sizeof(host) - 1);
	if (strcmp(host, "localhost") != 0)
		v[n++] = strdup(host);
	for (int i = 0; i < 3; i++)
		v[n++] = strdup(fixed[i]);
	cfg->register_names.v = calloc(n, sizeof(char *));
	if (!cfg->register_names.v)
		return -ENOMEM;
	memcpy(cfg->register_names.v, v, n * sizeof(char *));
	cfg->register_names.n = n;
	return 0;
}

static int defaults(struct ctrl_config *cfg)
{
	char address[300];

	if (set_text(&cfg->store, "/var/lib/sluice/ctrl.db") < 0 || set_text(&cfg->socket, "/run/sluice/ctrl.sock") < 0 ||
	    set_text(&cfg->tls_dir, "/var/lib/sluice/tls") < 0 || set_text(&cfg->metrics, "127.0.0.1:9464") < 0 ||
	    set_text(&cfg->group_write, "sluice") < 0 || set_text(&cfg->group_read, "sluice-ro") < 0 ||
	    one_text(&cfg->register_listen, "[::]:8443") < 0 || add_names(cfg) < 0)
		return -ENOMEM;
	snprintf(address, sizeof(address), strchr(cfg->register_names.v[0], ':') ? "[%s]:8443" : "%s:8443", cfg->register_names.v[0]);
	return set_text(&cfg->register_address, address);
}

/* path NULL: the usual place, which need not exist. */
static int load_config(const char *path, struct ctrl_config *cfg, char *err, size_t err_len)
{
	struct conf_node *root;
	int ret;

	cfg->log_level = LOG_LEVEL_INFO;
	if (!path && access("/etc/sluice/ctrl.yaml", F_OK) == 0)
		path = "/etc/sluice/ctrl.yaml";
	if (path) {
		root = conf_load(path, err, err_len);
		ret = root ? conf_read(root, config_keys, cfg, err, err_len) : -EINVAL;
		conf_free(root);
		if (ret < 0)
			return ret;
	}
	if (defaults(cfg) < 0) {
		snprintf(err, err_len, "out of memory");
		return -ENOMEM;
	}
	return 0;
}

const char *ctrl_edge_ca(const struct ctrl *c)
{
	return c->reg ? register_server_ca_pem(c->reg) : NULL;
}

const char *ctrl_register_address(const struct ctrl *c)
{
	return c->reg ? c->cfg.register_address : NULL;
}

void ctrl_revision_made(struct ctrl *c)
{
	c->tunnels_moved = true;
	sync_kick(c);
}

static void on_ipc(uv_poll_t *p, int status, int events)
{
	struct ctrl *c = p->data;

	(void)status;
	(void)events;
	ipc_server_poll(c->ipc, 0);
}

static void on_register(uv_poll_t *p, int status, int events)
{
	struct ctrl *c = p->data;

	(void)status;
	(void)events;
	register_server_dispatch(c->reg);
}

static void on_tick(uv_timer_t *t)
{
	struct ctrl *c = t->data;

	expiry_run(c);
	if (++c->ticks % 5 == 0)
		expiry_flush_renewals(c);
	if (c->ticks % 60 == 0)
		store_purge(c->st, (int64_t)time(NULL));
	tunnel_state_run(c);
	runtime_flush(c->rt);
	metrics_update(c);
}

static const char *config_path;

static void on_hup(uv_signal_t *s, int num)
{
	struct ctrl *c = s->data;
	struct ctrl_config cfg = {0};
	char err[512];

	(void)num;
	if (load_config(config_path, &cfg, err, sizeof(err)) < 0) {
		log_error("SIGHUP: %s; the configuration stays as it was", err);
	} else {
		c->cfg.log_level = cfg.log_level;
		log_set_level((enum log_level)cfg.log_level);
		log_info("SIGHUP: log level is %s", level_names[cfg.log_level]);
	}
	conf_release(config_keys, &cfg);
}

static void on_term(uv_signal_t *s, int num)
{
	struct ctrl *c = s->data;

	log_info("%s: ending", strsignal(num));
	c->stopping = true;
	uv_stop(c->loop);
}

/* Makes the directory of a file, 0700, where it is missing. */
static int make_dir_of(const char *file, mode_t mode, char *err, size_t err_len)
{
	char dir[4096];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", file);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = 0;
	if (mkdir(dir, mode) == 0 || errno == EEXIST)
		return 0;
	snprintf(err, err_len, "%.900s: %s", dir, strerror(errno));
	return -errno;
}

static int start_registration(struct ctrl *c, char *err, size_t err_len)
{
	struct register_server_config rc = {
		.listen = (const char *const *)c->cfg.register_listen.v,
		.listen_count = c->cfg.register_listen.n,
		.tls_dir = c->cfg.tls_dir,
		.names = (const char *const *)c->cfg.register_names.v,
		.name_count = c->cfg.register_names.n,
		.backend = register_glue(c),
	};

	if (rc.listen_count == 0) {
		log_warn("register: no listen address, connectors cannot register");
		return 0;
	}
	if (make_dir_of(c->cfg.tls_dir, 0700, err, err_len) < 0)
		return -EIO;
	return register_server_create(&rc, &c->reg, err, err_len);
}

static int start_socket(struct ctrl *c, char *err, size_t err_len)
{
	struct ipc_server_config ic = {
		.path = c->cfg.socket,
		.group_write = c->cfg.group_write,
		.group_read = c->cfg.group_read,
		.user = c,
		.max_line_write = CTRL_LINE_MAX,
		.on_close = sync_on_close,
		.on_drained = sync_on_drained,
	};

	if (make_dir_of(c->cfg.socket, 0755, err, err_len) < 0)
		return -EIO;
	if (dispatch_methods(c) < 0) {
		snprintf(err, err_len, "out of memory");
		return -ENOMEM;
	}
	ic.methods = c->methods;
	c->ipc = ipc_server_create(&ic, err, err_len);
	return c->ipc ? 0 : -EIO;
}

static int open_stores(struct ctrl *c, char *err, size_t err_len)
{
	char path[4096];

	if (make_dir_of(c->cfg.store, 0700, err, err_len) < 0)
		return -EIO;
	c->st = store_open(c->cfg.store, err, err_len);
	if (!c->st)
		return -EIO;
	snprintf(path, sizeof(path), "%s-runtime", c->cfg.store);
	c->rt = runtime_open(path, err, err_len);
	return c->rt ? 0 : -EIO;
}

static int start(struct ctrl *c, char *err, size_t err_len)
{
	/* The socket first: it tells whether another sluice-ctrl runs on this store. */
	if (start_socket(c, err, err_len) < 0 || open_stores(c, err, err_len) < 0)
		return -EIO;
	c->renewals = json_object();
	expiry_extend_leases(c);
	if (start_registration(c, err, err_len) < 0)
		return -EIO;
	if (strcmp(c->cfg.metrics, "off") != 0) {
		c->metrics = metrics_start(c->cfg.metrics, err, err_len);
		if (!c->metrics)
			return -EIO;
	}
	return 0;
}

static void attach(struct ctrl *c)
{
	uv_poll_init(c->loop, &c->ipc_poll, ipc_server_fd(c->ipc));
	c->ipc_poll.data = c;
	uv_poll_start(&c->ipc_poll, UV_READABLE, on_ipc);
	if (c->reg) {
		uv_poll_init(c->loop, &c->reg_poll, register_server_fd(c->reg));
		c->reg_poll.data = c;
		uv_poll_start(&c->reg_poll, UV_READABLE, on_register);
	}
	uv_timer_init(c->loop, &c->wait_timer);
	uv_timer_init(c->loop, &c->tick);
	c->wait_timer.data = c->tick.data = c;
	uv_timer_start(&c->tick, on_tick, 1000, 1000);
	uv_signal_init(c->loop, &c->sigterm);
	uv_signal_init(c->loop, &c->sigint);
	uv_signal_init(c->loop, &c->sighup);
	c->sigterm.data = c->sigint.data = c->sighup.data = c;
	uv_signal_start(&c->sigterm, on_term, SIGTERM);
	uv_signal_start(&c->sigint, on_term, SIGINT);
	uv_signal_start(&c->sighup, on_hup, SIGHUP);
}

static void close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void finish(struct ctrl *c)
{
	c->stopping = true;
	if (c->st && c->renewals)
		expiry_flush_renewals(c);
	wait_end(c);
	register_server_destroy(c->reg);
	c->reg = NULL;
	metrics_stop(c->metrics);
	sync_end(c);
	ipc_server_destroy(c->ipc);
	uv_walk(c->loop, close_handle, NULL);
	uv_run(c->loop, UV_RUN_DEFAULT);
	uv_loop_close(c->loop);
	runtime_close(c->rt);
	store_close(c->st);
	json_decref(c->renewals);
	free(c->methods);
	conf_release(config_keys, &c->cfg);
}

/* Secrets are in memory: nobody may read it from a dump. */
static void no_dumps(void)
{
	struct rlimit none = {0, 0};

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
}

static int run(struct ctrl *c)
{
	char err[1024];

	if (load_config(config_path, &c->cfg, err, sizeof(err)) < 0) {
		fprintf(stderr, "sluice-ctrl: %s\n", err);
		conf_release(config_keys, &c->cfg);
		return 1;
	}
	log_set_level((enum log_level)c->cfg.log_level);
	if (start(c, err, sizeof(err)) < 0) {
		log_error("%s", err);
		finish(c);
		return 1;
	}
	attach(c);
	metrics_update(c);
	log_info("version %s ready on %s: revision %llu, %llu routes", SLUICE_VERSION, c->cfg.socket, (unsigned long long)c->st->revision,
		 (unsigned long long)c->st->routes);
	uv_run(c->loop, UV_RUN_DEFAULT);
	finish(c);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'},
		{"log-json", no_argument, NULL, 'j'},	  {NULL, 0, NULL, 0},
	};
	static struct ctrl c;
	static uv_loop_t loop;
	bool json = false;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'c') {
			config_path = optarg;
		} else if (o == 'j') {
			json = true;
		} else if (o == 'h') {
			usage(stdout);
			return 0;
		} else if (o == 'v') {
			printf("sluice-ctrl %s\n", SLUICE_VERSION);
			return 0;
		} else {
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sluice-ctrl: unexpected argument '%s' (see --help)\n", argv[optind]);
		return 2;
	}
	no_dumps();
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	log_init("sluice-ctrl", LOG_LEVEL_INFO, json);
	if (sodium_init() < 0 || uv_loop_init(&loop) < 0)
		return 1;
	c.loop = &loop;
	c.started_ns = ctrl_now_ns();
	return run(&c);
}
