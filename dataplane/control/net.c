// SPDX-License-Identifier: BSD-3-Clause
// Ports, kernel tables, steering.
#include "dataplane/control/net.h"

#include <errno.h>
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/loader.h"
#include "dataplane/handshake.h"
#include "dataplane/outer/outer.h"
#include "dataplane/outer/outer_socket.h"
#include "dataplane/ports/port.h"
#include "dataplane/tables/reclaim.h"

struct net {
	struct edge *edge;
	struct reclaim *reclaim;
	struct loop *loop;
	struct outer *outer;
	unsigned n_sockets;
	struct outer_socket *sockets[EDGE_MAX_LISTEN];
	bool any_port[EDGE_MAX_LISTEN]; /* listen i: warned that its address is not local */
	size_t n_endpoints;
	struct ip_endpoint endpoints[NET_MAX_ENDPOINTS];
	unsigned version;
};

/* outer_config.retire has no argument of its own: there is one edge in a process. */
static struct reclaim *outer_reclaim;

static void free_outer(void *owner, uint64_t what)
{
	void (*free_fn)(void *) = (void (*)(void *))(uintptr_t)what;

	free_fn(owner);
}

static void retire_outer(void *ptr, void (*free_fn)(void *))
{
	struct retire_ops ops = reclaim_ops(outer_reclaim);

	ops.retire(ops.ctx, free_outer, ptr, (uint64_t)(uintptr_t)free_fn);
	reclaim_seal(outer_reclaim);
}

/* Receive queues of an interface as ethtool has them; 1 where the driver does not say. */
static unsigned iface_queues(const char *name)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq req = {.ifr_data = (void *)&channels};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned n = 0;

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%.15s", name);
	if (fd >= 0 && !ioctl(fd, SIOCETHTOOL, &req))
		n = channels.combined_count + channels.rx_count;
	if (fd >= 0)
		close(fd);
	return n ? n : 1;
}

static int open_ports(struct net *net, const struct edge_setup *setup, char *err, size_t err_len)
{
	struct edge *edge = net->edge;

	for (unsigned i = 0; i < setup->n_ports; i++) {
		const struct edge_port_setup *p = &setup->ports[i];
		unsigned queues = p->queues;
		struct port_config cfg = {.kind = p->kind == EDGE_PORT_AF_XDP ? PORT_KIND_XSK : PORT_KIND_ETHDEV,
					  .id = (uint16_t)i,
					  .name = p->name,
					  .pool = edge->mbuf_pool,
					  .busy_poll = edge->config.busy_poll};

		if (!queues) {
			queues = edge->config.n_workers;
			if (cfg.kind == PORT_KIND_XSK && iface_queues(p->name) < queues)
				queues = iface_queues(p->name);
		}
		cfg.n_queues = (uint16_t)queues;
		edge->ports[i] = port_open(&cfg, err, err_len);
		if (!edge->ports[i])
			return -EIO;
		edge->n_ports = i + 1;
	}
	return 0;
}

static void steer_ports(struct net *net)
{
	static struct steer_endpoint eps[NET_MAX_ENDPOINTS];

	for (size_t i = 0; i < net->n_endpoints; i++) {
		const struct ip_endpoint *e = &net->endpoints[i];

		eps[i] = (struct steer_endpoint){.port_be16 = htons(e->port),
						 .family = e->addr.family == 4 ? AF_INET : AF_INET6};
		memcpy(eps[i].addr, e->addr.bytes, 16);
	}
	for (unsigned i = 0; i < net->edge->n_ports; i++) {
		struct steer *steer = port_steer(net->edge->ports[i]);
		int rc = steer ? steer_set_endpoints(steer, eps, net->n_endpoints) : 0;

		if (rc)
			log_error("port %s: cannot steer to %zu endpoints: %s", net->edge->ports[i]->name,
				  net->n_endpoints, strerror(-rc));
	}
}

/* Says once for each configured address that no interface has. */
static void check_listen(struct net *net, const struct outer_local *locals, size_t n)
{
	static struct ip_endpoint out[NET_MAX_ENDPOINTS];
	const struct edge_config *c = &net->edge->config;

	for (unsigned i = 0; i < c->n_listen; i++) {
		bool found = net_expand(&c->listen[i], 1, locals, n, out, NET_MAX_ENDPOINTS) > 0;
		struct ip_endpoint e = {.addr.family = c->listen[i].family, .port = c->listen[i].port};
		char text[IP_ENDPOINT_TEXT];

		memcpy(e.addr.bytes, c->listen[i].address, 16);
		if (!found && !net->any_port[i])
			log_warn("listen %s: no usable local address yet; it is steered as soon as there is one",
				 ip_endpoint_format(&e, text));
		net->any_port[i] = !found;
	}
}

static void addresses_changed(void *arg, const struct outer_snapshot *snap)
{
	static struct ip_endpoint fresh[NET_MAX_ENDPOINTS];
	struct net *net = arg;
	const struct edge_config *c = &net->edge->config;
	size_t n_locals, n;
	const struct outer_local *locals = outer_locals(snap, &n_locals);

	__atomic_store_n(&net->edge->outer, snap, __ATOMIC_RELEASE);
	check_listen(net, locals, n_locals);
	n = net_expand(c->listen, c->n_listen, locals, n_locals, fresh, NET_MAX_ENDPOINTS);
	if (n == net->n_endpoints && !memcmp(fresh, net->endpoints, n * sizeof(fresh[0])))
		return;
	memcpy(net->endpoints, fresh, n * sizeof(fresh[0]));
	net->n_endpoints = n;
	net->version++;
	steer_ports(net);
}

static int open_outer(struct net *net, char *err, size_t err_len)
{
	struct outer_port ports[EDGE_MAX_PORTS];
	struct outer_config cfg = {.ports = ports, .retire = retire_outer, .changed = addresses_changed, .arg = net};

	for (unsigned i = 0; i < net->edge->n_ports; i++)
		if (net->edge->ports[i]->ifindex)
			ports[cfg.n_ports++] = (struct outer_port){net->edge->ports[i]->ifindex, (uint16_t)i};
	net->outer = outer_open(&cfg, err, err_len);
	if (!net->outer)
		return -EIO;
	addresses_changed(net, outer_snapshot_get(net->outer));
	return 0;
}

/* A socket that cannot be bound costs port-unreachable answers and path MTU news, not the edge. */
static void open_sockets(struct net *net)
{
	const struct edge_config *c = &net->edge->config;

	for (unsigned i = 0; i < c->n_listen; i++) {
		struct outer_addr local = {.family = c->listen[i].family == 4 ? AF_INET : AF_INET6};
		char err[256] = "";

		memcpy(local.b, c->listen[i].address, 16);
		net->sockets[i] = outer_socket_open(&local, c->listen[i].port, err, sizeof(err));
		if (!net->sockets[i])
			log_warn("listen: %s", err);
	}
	net->n_sockets = c->n_listen;
}

struct net *net_open(struct edge *edge, const struct edge_setup *setup, struct reclaim *reclaim, char *err,
		     size_t err_len)
{
	struct net *net = calloc(1, sizeof(*net));

	if (!net) {
		snprintf(err, err_len, "out of memory");
		return NULL;
	}
	net->edge = edge;
	net->reclaim = outer_reclaim = reclaim;
	if (open_ports(net, setup, err, err_len) || open_outer(net, err, err_len)) {
		net_close(net);
		return NULL;
	}
	open_sockets(net);
	return net;
}

void net_close(struct net *net)
{
	if (!net)
		return;
	net->n_endpoints = 0;
	steer_ports(net);
	for (unsigned i = 0; i < net->n_sockets; i++)
		if (net->sockets[i])
			outer_socket_close(net->sockets[i]);
	if (net->reclaim)
		reclaim_drain(net->reclaim);
	outer_close(net->outer);
	net->edge->outer = NULL;
	while (net->edge->n_ports > 0) {
		port_close(net->edge->ports[--net->edge->n_ports]);
		net->edge->ports[net->edge->n_ports] = NULL;
	}
	free(net);
}

static void on_netlink(void *arg, uint32_t events)
{
	struct net *net = arg;

	(void)events;
	outer_process(net->outer);
}

static void on_path_mtu(void *arg, const struct outer_pmtu_event *ev)
{
	struct net *net = arg;

	handshake_path_mtu(net->edge->handshake, ev->remote.family == AF_INET ? 4 : 6, ev->remote.b,
			   htons(ev->remote_port), ev->mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)ev->mtu);
}

static void on_socket(void *arg, uint32_t events)
{
	struct net *net = arg;

	(void)events;
	for (unsigned i = 0; i < net->n_sockets; i++)
		if (net->sockets[i])
			outer_socket_process(net->sockets[i], on_path_mtu, net);
}

int net_watch(struct net *net, struct loop *loop)
{
	int rc = loop_add(loop, outer_fd(net->outer), EPOLLIN, on_netlink, net);

	net->loop = loop;
	for (unsigned i = 0; i < net->n_sockets && !rc; i++)
		if (net->sockets[i])
			rc = loop_add(loop, outer_socket_fd(net->sockets[i]), EPOLLERR, on_socket, net);
	return rc;
}

void net_unwatch(struct net *net)
{
	if (!net->loop)
		return;
	loop_remove(net->loop, outer_fd(net->outer));
	for (unsigned i = 0; i < net->n_sockets; i++)
		if (net->sockets[i])
			loop_remove(net->loop, outer_socket_fd(net->sockets[i]));
	net->loop = NULL;
}

int net_turn(struct net *net)
{
	return outer_process(net->outer);
}

void net_neighbour(struct net *net, uint32_t ifindex, uint8_t family, const uint8_t address[16])
{
	struct outer_addr a = {.family = family == 4 ? AF_INET : AF_INET6};

	memcpy(a.b, address, 16);
	outer_request_neigh(net->outer, ifindex, &a);
}

static bool on_port(const struct net *net, uint32_t ifindex)
{
	for (unsigned i = 0; i < net->edge->n_ports; i++)
		if (net->edge->ports[i]->ifindex == ifindex)
			return true;
	return false;
}

size_t net_endpoints(const struct net *net, char out[][IP_ENDPOINT_TEXT + 32], size_t max)
{
	const struct edge_config *c = &net->edge->config;
	static struct ip_endpoint eps[NET_MAX_ENDPOINTS];
	size_t n = 0, n_locals;
	const struct outer_local *locals = outer_locals(outer_snapshot_get(net->outer), &n_locals);

	for (unsigned i = 0; i < c->n_advertise && n < max; i++)
		snprintf(out[n++], IP_ENDPOINT_TEXT + 32, "%s", c->advertise[i]);
	if (n)
		return n;
	for (size_t k = 0; k < n_locals; k++) {
		size_t found;

		if (!on_port(net, locals[k].ifindex))
			continue;
		found = net_expand(c->listen, c->n_listen, &locals[k], 1, eps, NET_MAX_ENDPOINTS);
		for (size_t i = 0; i < found && n < max; i++)
			ip_endpoint_format(&eps[i], out[n++]);
	}
	return n;
}

unsigned net_endpoints_version(const struct net *net)
{
	return net->version;
}

void net_endpoints_changed(struct net *net)
{
	net->version++;
}

size_t net_steered(const struct net *net)
{
	return net->n_endpoints;
}

int net_deny(struct net *net, const struct ip_prefix *prefixes, size_t n)
{
	struct steer_prefix *list = calloc(n ? n : 1, sizeof(*list));
	int rc = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		memcpy(list[i].addr, prefixes[i].addr.bytes, 16);
		list[i].len = prefixes[i].len;
		list[i].family = prefixes[i].addr.family == 4 ? AF_INET : AF_INET6;
	}
	for (unsigned i = 0; i < net->edge->n_ports && !rc; i++) {
		struct steer *steer = port_steer(net->edge->ports[i]);

		rc = steer ? steer_set_denied(steer, list, n) : 0;
	}
	free(list);
	return rc;
}
