// SPDX-License-Identifier: BSD-3-Clause
// Routing by the kernel: a TUN device whose packets the kernel forwards into the private network, masqueraded or with the
// device's own address (preserve-source).
#include "connector/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "connector/netlink.h"
#include "lib/log.h"

#define TUN_NAME "sluice0"
#define TABLE_NAME "sluice_connector"

enum {
	PACKETS_PER_RUN = 256, /* read before the loop looks at its sockets again */
	PACKET_MAX_BYTES = 65536,
};

/* Switches that forwarding needs; those we had to set are set back at the end. */
static const struct {
	const char *path, *value;
} switches[] = {
	{"/proc/sys/net/ipv4/ip_forward", "1"},
	{"/proc/sys/net/ipv6/conf/all/forwarding", "1"},
};

enum { SWITCHES = sizeof(switches) / sizeof(*switches) };

struct stack {
	struct stack_callbacks callbacks;
	int fd;
	unsigned ifindex;
	struct mnl_socket *table;
	bool set[SWITCHES];
	uint64_t write_failed;
	uint8_t packet[PACKET_MAX_BYTES];
};

static int open_tun(char *err, size_t err_len)
{
	struct ifreq ifr = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL)};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), TUN_NAME);
	if (fd < 0) {
		snprintf(err, err_len, "mode: tun: /dev/net/tun: %s; load the module tun and give this process the device",
			 strerror(errno));
	} else if (ioctl(fd, TUNSETIFF, &ifr)) {
		if (errno == EPERM || errno == EACCES)
			snprintf(err, err_len,
				 "mode: tun needs the capability CAP_NET_ADMIN: grant it (systemd: AmbientCapabilities=CAP_NET_ADMIN; "
				 "Kubernetes: securityContext.capabilities.add: [NET_ADMIN]) or use mode: userspace");
		else
			snprintf(err, err_len, "mode: tun: device %s: %s%s", TUN_NAME, strerror(errno),
				 errno == EBUSY || errno == EEXIST ? "; another connector runs in this network" : "");
		close(fd);
		fd = -1;
	}
	return fd;
}

static bool read_switch(const char *path, char *value)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool got = fd >= 0 && read(fd, value, 1) == 1;

	if (fd >= 0)
		close(fd);
	return got;
}

static bool write_switch(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, value, 1) == 1;

	if (fd >= 0)
		close(fd);
	return done;
}

static bool set_switches(struct stack *s, char *err, size_t err_len)
{
	for (int i = 0; i < SWITCHES; i++) {
		char now = 0;

		if (!read_switch(switches[i].path, &now))
			continue; /* no such family here */
		if (now == switches[i].value[0])
			continue;
		if (!write_switch(switches[i].path, switches[i].value)) {
			snprintf(err, err_len, "mode: tun: %s must be %s and cannot be set: %s; set it on the host or in the pod",
				 switches[i].path, switches[i].value, strerror(errno));
			return false;
		}
		s->set[i] = true;
		log_info("%s is %s while this runs", switches[i].path, switches[i].value);
	}
	return true;
}

static void tun_destroy(struct stack *s)
{
	if (!s)
		return;
	if (s->table)
		mnl_socket_close(s->table);
	if (s->fd >= 0)
		close(s->fd);
	for (int i = 0; i < SWITCHES; i++)
		if (s->set[i])
			write_switch(switches[i].path, "0");
	free(s);
}

static bool add_routes(const struct stack *s, const struct stack_config *config, char *err, size_t err_len)
{
	for (size_t i = 0; i < config->device_network_count; i++) {
		char text[IP_PREFIX_TEXT];
		int failed = netlink_route_add(s->ifindex, &config->device_networks[i]);

		if (failed) {
			snprintf(err, err_len, "mode: tun: route to devices %s: %s",
				 ip_prefix_format(&config->device_networks[i], text), strerror(-failed));
			return false;
		}
	}
	return true;
}

static struct stack *tun_create(const struct stack_config *config, const struct stack_callbacks *callbacks, char *err,
				size_t err_len)
{
	struct stack *s = calloc(1, sizeof(*s));
	int failed;

	if (!s) {
		snprintf(err, err_len, "out of memory");
		return NULL;
	}
	s->callbacks = *callbacks;
	s->fd = open_tun(err, err_len);
	if (s->fd < 0) {
		tun_destroy(s);
		return NULL;
	}
	s->ifindex = if_nametoindex(TUN_NAME);
	failed = netlink_link_up(s->ifindex, config->mtu);
	if (failed)
		snprintf(err, err_len, "mode: tun: device %s: %s", TUN_NAME, strerror(-failed));
	if (failed || !set_switches(s, err, err_len) || !add_routes(s, config, err, err_len) ||
	    (!config->preserve_source && !(s->table = netlink_masquerade(TABLE_NAME, TUN_NAME, err, err_len)))) {
		tun_destroy(s);
		return NULL;
	}
	log_info("device %s, MTU %u, %s", TUN_NAME, config->mtu,
		 config->preserve_source ? "the private network sees devices' own addresses" : "masquerading");
	return s;
}

static bool tun_check(char *err, size_t err_len)
{
	int fd = open_tun(err, err_len);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void tun_input(struct stack *s, const struct packet *p, uint64_t now_ms)
{
	(void)now_ms;
	if (write(s->fd, p->bytes, p->length) < 0)
		s->write_failed++;
}

static int tun_fd(const struct stack *s)
{
	return s->fd;
}

static int tun_run(struct stack *s, uint64_t now_ms)
{
	(void)now_ms;
	for (int i = 0; i < PACKETS_PER_RUN; i++) {
		ssize_t n = read(s->fd, s->packet, sizeof(s->packet));

		if (n <= 0)
			return 1000;
		s->callbacks.output(s->callbacks.arg, s->packet, (uint32_t)n);
	}
	return 0;
}

static void tun_stats(const struct stack *s, struct stack_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->no_room = s->write_failed;
}

const struct stack_ops stack_tun = {
	.check = tun_check,
	.create = tun_create,
	.destroy = tun_destroy,
	.input = tun_input,
	.fd = tun_fd,
	.run = tun_run,
	.stats = tun_stats,
};
