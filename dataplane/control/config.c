// SPDX-License-Identifier: BSD-3-Clause
// edge.yaml: a table of keys, then the checks that one key alone cannot have.
#include "dataplane/control/config.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "lib/conf.h"
#include "lib/ip.h"

struct raw_port {
	struct {
		char *iface;
		int64_t queues;
	} af_xdp;
	char *pci, *vdev;
	int64_t queues;
};

struct raw_caps {
	int64_t peers, sessions, flows, vnets, routes, mbufs, accounts, tunnels, clients, connectors, rules;
};

struct raw {
	char *edge_id, *workers, *cores, *key_file, *ctrl_socket, *socket, *state_dir, *metrics;
	struct conf_maps ports;
	struct conf_strings listen, advertise, key_files;
	int huge_pages, poll, log_level;
	int64_t memory_mb, edge_id_bits, edge_number;
	struct {
		char *write, *read;
	} groups;
	struct raw_caps caps;
	const struct conf_node *flow_log;
};

/* flow-log, where it is a map */
struct raw_flow_log {
	char *file;
	uint64_t max_size;
	int64_t keep;
};

static const char *const huge_choices[] = {"auto", "off", NULL};
static const char *const poll_choices[] = {"adaptive", "busy", NULL};
static const char *const level_choices[] = {"error", "warn", "info", "debug", NULL};

#define MAX_QUEUES 64

static const struct conf_key af_xdp_keys[] = {
	{.name = "iface", .type = CONF_STRING, .offset = offsetof(struct raw_port, af_xdp.iface), .required = true},
	{.name = "queues",
	 .type = CONF_INT,
	 .offset = offsetof(struct raw_port, af_xdp.queues),
	 .min = 1,
	 .max = MAX_QUEUES},
	{0},
};

/* The offsets of a nested map are its own: af_xdp is the first member. */
static_assert(offsetof(struct raw_port, af_xdp) == 0, "af_xdp_keys count from the start of raw_port");

static const struct conf_key port_keys[] = {
	{.name = "af_xdp", .type = CONF_MAP, .offset = 0, .sub = af_xdp_keys},
	{.name = "pci", .type = CONF_STRING, .offset = offsetof(struct raw_port, pci)},
	{.name = "vdev", .type = CONF_STRING, .offset = offsetof(struct raw_port, vdev)},
	{.name = "queues", .type = CONF_INT, .offset = offsetof(struct raw_port, queues), .min = 1, .max = MAX_QUEUES},
	{0},
};

static const struct conf_key group_keys[] = {
	{.name = "write", .type = CONF_STRING, .offset = offsetof(struct raw, groups.write) - offsetof(struct raw, groups)},
	{.name = "read", .type = CONF_STRING, .offset = offsetof(struct raw, groups.read) - offsetof(struct raw, groups)},
	{0},
};

#define CAP(key, top) {.name = #key, .type = CONF_INT, .offset = offsetof(struct raw_caps, key), .min = 1, .max = (top)}

static const struct conf_key cap_keys[] = {
	CAP(peers, 1 << 22),    CAP(sessions, 1 << 22), CAP(flows, 1 << 24),   CAP(vnets, 1000000),
	CAP(routes, 16777216),  CAP(mbufs, 1 << 22),    CAP(accounts, 1 << 20), CAP(tunnels, 1 << 20),
	CAP(clients, 1 << 22), CAP(connectors, 1 << 20),
	CAP(rules, 1 << 20),    {0},
};

#define STR(key, field) {.name = (key), .type = CONF_STRING, .offset = offsetof(struct raw, field)}

static const struct conf_key top_keys[] = {
	{.name = "edge-id", .type = CONF_STRING, .offset = offsetof(struct raw, edge_id), .required = true},
	{.name = "ports",
	 .type = CONF_MAPS,
	 .offset = offsetof(struct raw, ports),
	 .min = 1,
	 .max = EDGE_MAX_PORTS,
	 .sub = port_keys,
	 .sub_size = sizeof(struct raw_port),
	 .required = true},
	STR("workers", workers),
	STR("cores", cores),
	{.name = "listen",
	 .type = CONF_STRINGS,
	 .offset = offsetof(struct raw, listen),
	 .min = 1,
	 .max = EDGE_MAX_LISTEN,
	 .required = true},
	{.name = "advertise", .type = CONF_STRINGS, .offset = offsetof(struct raw, advertise), .max = EDGE_MAX_LISTEN},
	STR("private-key-file", key_file),
	{.name = "private-key-files",
	 .type = CONF_STRINGS,
	 .offset = offsetof(struct raw, key_files),
	 .min = 1,
	 .max = EDGE_MAX_KEYS},
	STR("ctrl-socket", ctrl_socket),
	STR("socket", socket),
	STR("state-dir", state_dir),
	STR("metrics", metrics),
	{.name = "huge-pages", .type = CONF_CHOICE, .offset = offsetof(struct raw, huge_pages), .choices = huge_choices},
	{.name = "memory-mb", .type = CONF_INT, .offset = offsetof(struct raw, memory_mb), .min = 64, .max = 1 << 20},
	{.name = "edge-id-bits", .type = CONF_INT, .offset = offsetof(struct raw, edge_id_bits), .min = 0, .max = 8},
	{.name = "edge-number", .type = CONF_INT, .offset = offsetof(struct raw, edge_number), .min = 0, .max = 255},
	{.name = "poll", .type = CONF_CHOICE, .offset = offsetof(struct raw, poll), .choices = poll_choices},
	{.name = "groups", .type = CONF_MAP, .offset = offsetof(struct raw, groups), .sub = group_keys},
	{.name = "log-level", .type = CONF_CHOICE, .offset = offsetof(struct raw, log_level), .choices = level_choices},
	{.name = "flow-log", .type = CONF_NODE, .offset = offsetof(struct raw, flow_log)},
	{.name = "capacities", .type = CONF_MAP, .offset = offsetof(struct raw, caps), .sub = cap_keys},
	{0},
};

static const struct conf_key flow_log_keys[] = {
	{.name = "file", .type = CONF_STRING, .offset = offsetof(struct raw_flow_log, file)},
	{.name = "max-size",
	 .type = CONF_SIZE,
	 .offset = offsetof(struct raw_flow_log, max_size),
	 .min = 1 << 16,
	 .max = (int64_t)1 << 40},
	{.name = "keep", .type = CONF_INT, .offset = offsetof(struct raw_flow_log, keep), .min = 0, .max = 1000},
	{0},
};

static void raw_defaults(struct raw *raw)
{
	*raw = (struct raw){
		.workers = strdup("auto"),
		.ctrl_socket = strdup("/run/sluice/ctrl.sock"),
		.socket = strdup("/run/sluice/edge.sock"),
		.state_dir = strdup("/var/lib/sluice/edge"),
		.metrics = strdup("127.0.0.1:9465"),
		.log_level = LOG_LEVEL_INFO,
		.groups = {strdup("sluice"), strdup("sluice-ro")},
		.caps = {.peers = 4096,
			 .sessions = 8192,
			 .flows = 65536,
			 .vnets = 1024,
			 .routes = 1048576,
			 .mbufs = 16384,
			 .accounts = 256,
			 .tunnels = 1024,
			 .clients = 4096,
			 .connectors = 4096,
			 .rules = 100000},
	};
}

/* What the checks below share. */
struct check {
	const struct conf_node *root;
	const struct raw *raw;
	struct edge_setup *setup;
	char *err;
	size_t err_len;
};

#define FAIL(c, key, ...)                                                                          \
	conf_error(conf_get((c)->root, (key)) ? conf_get((c)->root, (key)) : (c)->root, (c)->err,  \
		   (c)->err_len, __VA_ARGS__)

static int copy_text(const struct check *c, const char *key, const char *from, char *to, size_t to_len)
{
	if (strlen(from) >= to_len)
		return FAIL(c, key, "%s: longer than %zu bytes", key, to_len - 1);
	memcpy(to, from, strlen(from) + 1);
	return 0;
}

static int check_texts(const struct check *c)
{
	struct edge_config *out = &c->setup->config;
	const struct raw *raw = c->raw;

	for (const char *p = raw->edge_id; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", *p))
			return FAIL(c, "edge-id", "edge-id '%s': only letters, digits, '-', '_' and '.'", raw->edge_id);
	if (copy_text(c, "edge-id", raw->edge_id, out->edge_id, sizeof(out->edge_id)) ||
	    copy_text(c, "ctrl-socket", raw->ctrl_socket, out->ctrl_socket, sizeof(out->ctrl_socket)) ||
	    copy_text(c, "socket", raw->socket, out->socket, sizeof(out->socket)) ||
	    copy_text(c, "state-dir", raw->state_dir, out->state_dir, sizeof(out->state_dir) - 32) ||
	    copy_text(c, "metrics", strcmp(raw->metrics, "off") ? raw->metrics : "", out->metrics, sizeof(out->metrics)) ||
	    copy_text(c, "groups", raw->groups.write, c->setup->group_write, sizeof(c->setup->group_write)) ||
	    copy_text(c, "groups", raw->groups.read, c->setup->group_read, sizeof(c->setup->group_read)))
		return -EINVAL;
	if (out->metrics[0]) {
		struct ip_endpoint e;

		if (!ip_endpoint_parse(out->metrics, &e))
			return FAIL(c, "metrics", "metrics '%s': not an address:port, nor 'off'", out->metrics);
	}
	return 0;
}

static int check_listen(const struct check *c)
{
	struct edge_config *out = &c->setup->config;

	for (size_t i = 0; i < c->raw->listen.n; i++) {
		const char *text = c->raw->listen.v[i];
		struct listen_address *l = &out->listen[i];
		struct ip_endpoint e;

		if (!ip_endpoint_parse(text, &e))
			return FAIL(c, "listen", "listen '%s': not an address:port", text);
		l->family = e.addr.family;
		l->port = e.port;
		memcpy(l->address, e.addr.bytes, sizeof(l->address));
		for (size_t k = 0; k < i; k++)
			if (!memcmp(l, &out->listen[k], sizeof(*l)))
				return FAIL(c, "listen", "listen '%s': given twice", text);
	}
	out->n_listen = (unsigned)c->raw->listen.n;
	for (size_t i = 0; i < c->raw->advertise.n; i++) {
		const char *text = c->raw->advertise.v[i];
		char host[256];
		uint16_t port;

		if (strlen(text) >= sizeof(out->advertise[i]) || !ip_hostport_split(text, host, sizeof(host), &port) || !port)
			return FAIL(c, "advertise", "advertise '%s': not a host:port of at most %zu bytes", text,
				    sizeof(out->advertise[i]) - 1);
		memcpy(out->advertise[i], text, strlen(text) + 1);
	}
	out->n_advertise = (unsigned)c->raw->advertise.n;
	return 0;
}

static int check_ports(const struct check *c)
{
	const struct raw_port *ports = c->raw->ports.v;

	for (size_t i = 0; i < c->raw->ports.n; i++) {
		const struct raw_port *p = &ports[i];
		struct edge_port_setup *out = &c->setup->ports[i];
		const char *name = p->af_xdp.iface ? p->af_xdp.iface : p->pci ? p->pci : p->vdev;
		int64_t queues = p->af_xdp.iface ? p->af_xdp.queues : p->queues;

		if (!!p->af_xdp.iface + !!p->pci + !!p->vdev != 1)
			return FAIL(c, "ports", "ports: item %zu: exactly one of af_xdp, pci, vdev is needed", i + 1);
		if (p->af_xdp.iface && p->queues)
			return FAIL(c, "ports", "ports: item %zu: queues of af_xdp belong inside it", i + 1);
		if (strlen(name) >= (p->af_xdp.iface ? 16 : sizeof(out->name)))
			return FAIL(c, "ports", "ports: item %zu: name '%s' is too long", i + 1, name);
		if (queues > c->setup->config.n_workers)
			return FAIL(c, "ports", "ports: '%s': %lld queues, but only %u workers to serve them", name,
				    (long long)queues, c->setup->config.n_workers);
		out->kind = p->af_xdp.iface ? EDGE_PORT_AF_XDP : p->pci ? EDGE_PORT_PCI : EDGE_PORT_VDEV;
		out->queues = (unsigned)queues;
		memcpy(out->name, name, strlen(name) + 1);
		for (size_t k = 0; k < i; k++)
			if (!strcmp(out->name, c->setup->ports[k].name))
				return FAIL(c, "ports", "ports: '%s' is given twice", name);
	}
	c->setup->n_ports = (unsigned)c->raw->ports.n;
	return 0;
}

int edge_cores_parse(const char *text, unsigned *cores, unsigned max)
{
	bool seen[CPU_SETSIZE] = {false};
	unsigned n = 0;

	while (*text) {
		char *end;
		unsigned long from, to;

		if (*text < '0' || *text > '9')
			return -EINVAL;
		from = to = strtoul(text, &end, 10);
		if (*end == '-') {
			if (end[1] < '0' || end[1] > '9')
				return -EINVAL;
			to = strtoul(end + 1, &end, 10);
		}
		if ((*end && *end != ',') || (*end == ',' && !end[1]) || from > to || to >= CPU_SETSIZE)
			return -EINVAL;
		for (unsigned long k = from; k <= to; k++)
			seen[k] = true;
		text = *end ? end + 1 : end;
	}
	for (unsigned k = 0; k < CPU_SETSIZE; k++) {
		if (!seen[k])
			continue;
		if (n == max)
			return -E2BIG;
		cores[n++] = k;
	}
	return n ? (int)n : -EINVAL;
}

/* Workers take the last cores, so that the first stays for the control thread, the kernel and everything else. */
static int check_workers(const struct check *c)
{
	struct edge_config *out = &c->setup->config;
	unsigned cores[CPU_SETSIZE], n_cores = 0, wanted = 0;
	cpu_set_t allowed;
	char *end;

	CPU_ZERO(&allowed);
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return FAIL(c, "cores", "cores: the machine's cores cannot be read: %s", strerror(errno));
	if (c->raw->cores) {
		int n = edge_cores_parse(c->raw->cores, cores, CPU_SETSIZE);

		if (n < 0)
			return FAIL(c, "cores", "cores '%s': not of the form \"1-3,7\"", c->raw->cores);
		for (int i = 0; i < n; i++)
			if (!CPU_ISSET(cores[i], &allowed))
				return FAIL(c, "cores", "cores: core %u is not there, or not ours to use", cores[i]);
		n_cores = (unsigned)n;
	} else {
		for (unsigned k = CPU_SETSIZE; k-- > 0;)
			if (CPU_ISSET(k, &allowed))
				cores[n_cores++] = k;
	}
	if (!strcmp(c->raw->workers, "auto")) {
		wanted = c->raw->cores ? n_cores : n_cores > 1 ? n_cores - 1 : 1;
		wanted = wanted > EDGE_MAX_WORKERS ? EDGE_MAX_WORKERS : wanted;
	} else {
		unsigned long v = strtoul(c->raw->workers, &end, 10);

		if (*end || c->raw->workers[0] < '0' || c->raw->workers[0] > '9' || v < 1 || v > EDGE_MAX_WORKERS)
			return FAIL(c, "workers", "workers '%s': not a number from 1 to %d, nor 'auto'", c->raw->workers,
				    EDGE_MAX_WORKERS);
		wanted = (unsigned)v;
	}
	out->n_workers = wanted;
	c->setup->shared_cores = wanted > n_cores;
	for (unsigned i = 0; i < wanted; i++) {
		out->worker_cores[i] = cores[i % n_cores];
		CPU_CLR(out->worker_cores[i], &allowed);
	}
	out->control_core = UINT32_MAX;
	for (unsigned k = 0; k < CPU_SETSIZE && out->control_core == UINT32_MAX; k++)
		if (CPU_ISSET(k, &allowed))
			out->control_core = k;
	if (out->control_core == UINT32_MAX)
		out->control_core = out->worker_cores[wanted - 1];
	return 0;
}

/* The flow table's slots are found by a mask. */
static int check_flows(const struct check *c, int64_t flows)
{
	int64_t above = 16;

	while (above < flows)
		above *= 2;
	if (above == flows)
		return 0;
	if (above == 16)
		return FAIL(c, "capacities", "capacities.flows %lld: at least 16, and a power of two", (long long)flows);
	return FAIL(c, "capacities", "capacities.flows %lld: not a power of two; %lld and %lld are", (long long)flows,
		    (long long)above / 2, (long long)above);
}

static int check_numbers(const struct check *c)
{
	struct edge_config *out = &c->setup->config;
	const struct raw_caps *caps = &c->raw->caps;

	if (check_flows(c, caps->flows))
		return -EINVAL;
	out->edge_number_bits = (unsigned)c->raw->edge_id_bits;
	out->edge_number = (unsigned)c->raw->edge_number;
	if (out->edge_number >= 1u << out->edge_number_bits)
		return FAIL(c, "edge-number", "edge-number %u: does not fit edge-id-bits %u", out->edge_number,
			    out->edge_number_bits);
	out->busy_poll = c->raw->poll == 1;
	c->setup->huge_pages = c->raw->huge_pages == 0;
	c->setup->memory_mb = (unsigned)c->raw->memory_mb;
	c->setup->log_level = (enum log_level)c->raw->log_level;
	out->cap_peers = (unsigned)caps->peers;
	out->cap_sessions = (unsigned)caps->sessions;
	out->cap_flows = (unsigned)caps->flows;
	out->cap_vnets = (unsigned)caps->vnets;
	out->cap_routes = (unsigned)caps->routes;
	out->cap_mbufs = (unsigned)caps->mbufs;
	out->cap_accounts = (unsigned)caps->accounts;
	out->cap_tunnels = (unsigned)caps->tunnels;
	out->cap_clients = (unsigned)caps->clients;
	out->cap_connectors = (unsigned)caps->connectors;
	out->cap_rules = (unsigned)caps->rules;
	return 0;
}

/* `flow-log: off`, or a map; absent: flows.log in the state directory. */
static int check_flow_log(const struct check *c)
{
	const struct conf_node *node = c->raw->flow_log;
	struct edge_config *out = &c->setup->config;
	struct raw_flow_log raw = {.max_size = 64u << 20, .keep = 4};
	const char *file;
	int rc = 0;

	if (node && node->kind == CONF_KIND_SCALAR && !strcmp(node->text, "off"))
		return 0;
	if (node && node->kind != CONF_KIND_MAP)
		return FAIL(c, "flow-log", "flow-log: neither 'off' nor a map of file, max-size and keep");
	if (node)
		rc = conf_read(node, flow_log_keys, &raw, c->err, c->err_len);
	file = raw.file ? raw.file : "";
	if (!rc && strlen(file) >= sizeof(out->flow_log.file))
		rc = FAIL(c, "flow-log", "flow-log: file: longer than %zu bytes", sizeof(out->flow_log.file) - 1);
	if (!rc && raw.file && raw.file[0] != '/' && strcmp(file, "off") != 0)
		rc = FAIL(c, "flow-log", "flow-log: file '%s': neither an absolute path nor 'off'", file);
	if (!rc) {
		out->flow_log.on = true;
		out->flow_log.max_bytes = raw.max_size;
		out->flow_log.keep = (unsigned)raw.keep;
		if (!raw.file)
			snprintf(out->flow_log.file, sizeof(out->flow_log.file), "%.240s/flows.log", out->state_dir);
		else if (strcmp(file, "off") != 0)
			memcpy(out->flow_log.file, file, strlen(file) + 1);
	}
	conf_release(flow_log_keys, &raw);
	return rc ? -EINVAL : 0;
}

static int check_keys(const struct check *c)
{
	const struct raw *raw = c->raw;
	struct edge_config *out = &c->setup->config;

	if (!raw->key_file == !raw->key_files.n)
		return FAIL(c, raw->key_file ? "private-key-files" : "edge-id",
			    "private-key-file: exactly one of private-key-file and private-key-files is needed");
	out->n_keys = raw->key_file ? 1 : (unsigned)raw->key_files.n;
	for (unsigned i = 0; i < out->n_keys; i++) {
		const char *path = raw->key_file ? raw->key_file : raw->key_files.v[i];

		if (copy_text(c, raw->key_file ? "private-key-file" : "private-key-files", path, c->setup->key_files[i],
			      sizeof(c->setup->key_files[i])))
			return -EINVAL;
		if (edge_key_load(path, out->private_keys[i], c->err, c->err_len))
			return -EINVAL;
	}
	if (out->n_keys == 2 && !sodium_memcmp(out->private_keys[0], out->private_keys[1], 32))
		return FAIL(c, "private-key-files", "private-key-files: both files hold the same key");
	return 0;
}

int edge_setup_load(const char *path, struct edge_setup *setup, char *err, size_t err_len)
{
	struct conf_node *root = conf_load(path, err, err_len);
	struct raw raw;
	struct check c = {root, &raw, setup, err, err_len};
	int rc;

	if (!root)
		return -EINVAL;
	memset(setup, 0, sizeof(*setup));
	raw_defaults(&raw);
	rc = conf_read(root, top_keys, &raw, err, err_len);
	if (!rc && (check_texts(&c) || check_workers(&c) || check_ports(&c) || check_listen(&c) || check_numbers(&c) ||
		    check_flow_log(&c) ||
		    check_keys(&c)))
		rc = -EINVAL;
	conf_release(top_keys, &raw);
	conf_free(root);
	if (rc)
		edge_setup_wipe(setup);
	return rc;
}

void edge_setup_wipe(struct edge_setup *setup)
{
	sodium_memzero(setup->config.private_keys, sizeof(setup->config.private_keys));
}
