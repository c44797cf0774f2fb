// SPDX-License-Identifier: BSD-3-Clause
// Userspace stack: one libslirp instance per device address, each with an epoll of its own (edge-triggered, so an idle
// socket costs nothing), run only when something happened to it. libslirp's clock is a global of the process: one
// thread.
#include "connector/stack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "connector/ping.h"
#include "lib/log.h"

enum {
	INSTANCES_MAX = 4096,
	BUCKETS = 1024,
	ETHER_BYTES = 14,
	FRAME_MAX_BYTES = ETHER_BYTES + 9216,
	ROUNDS_MAX = 8,		    /* of fill and poll in one turn */
	TICK_MS = 50,		    /* granularity of timers across instances */
	IDLE_MS = 60 * 1000,	    /* without sockets, before an instance is given back */
	FILL_TIMEOUT_MS = 1000,	    /* what libslirp says when nothing is due */
	POLLFDS_MAX = 65536,
};

/* Addresses that libslirp believes to be its own; both are refused before the stack, so no flow can name them. */
static const uint8_t own_net4[4] = {240, 0, 0, 0};
static const uint8_t own_net6[16] = {0xfe, 0xbf, 0, 5, 0, 5, 0, 5};

static const uint8_t device_mac[6] = {0x02, 0x53, 0x4c, 0, 0, 1};
static const uint8_t stack_mac[6] = {0x52, 0x55, 0, 0, 0, 2};

struct stack;

struct instance {
	struct stack *stack;
	Slirp *slirp;
	struct ip_addr device;
	int epoll_fd;
	bool due;
	unsigned sockets;
	uint64_t timer_ms; /* when libslirp wants to run; UINT64_MAX: never */
	uint64_t last_ms;  /* last packet of the device */
	struct instance *next_in_bucket, *next, **prev_next;
	struct instance *next_due;
};

struct stack {
	struct stack_callbacks callbacks;
	unsigned mtu;
	int epoll_fd;
	struct ping *ping;
	struct instance *buckets[BUCKETS], *all, *due;
	unsigned count;
	uint64_t next_tick_ms;
	uint64_t fragments_refused, no_room;
	/* of the instance that runs now */
	struct pollfd *pollfds;
	unsigned pollfd_count;
	struct instance *running;
	bool watched[POLLFDS_MAX]; /* descriptors that stand in the epoll of their instance */
	uint8_t frame[FRAME_MAX_BYTES];
};

static void mark_due(struct instance *in)
{
	if (in->due)
		return;
	in->due = true;
	in->next_due = in->stack->due;
	in->stack->due = in;
}

static void watch(struct instance *in, int fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};
	int type = 0;
	socklen_t bytes = sizeof(type);

	if (fd < 0 || fd >= POLLFDS_MAX || in->stack->watched[fd])
		return;
	/* a datagram socket can always be written: its edges would only wake us after each send */
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes);
	if (type == SOCK_STREAM)
		event.events |= EPOLLOUT;
	if (!epoll_ctl(in->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		in->stack->watched[fd] = true;
		in->sockets++;
	}
}

static void cb_register(int fd, void *opaque)
{
	watch(opaque, fd);
}

static void cb_unregister(int fd, void *opaque)
{
	struct instance *in = opaque;

	if (fd < 0 || fd >= POLLFDS_MAX || !in->stack->watched[fd])
		return;
	epoll_ctl(in->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	in->stack->watched[fd] = false;
	in->sockets--;
}

static int64_t cb_clock(void *opaque)
{
	struct timespec ts;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void cb_guest_error(const char *msg, void *opaque)
{
	(void)opaque;
	log_rated(LOG_LEVEL_DEBUG, "stack: %s", msg);
}

static void cb_notify(void *opaque)
{
	mark_due(opaque);
}

/* The only timer sends router advertisements, which nobody needs. */
static void *cb_timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
	(void)id;
	(void)cb_opaque;
	return opaque;
}

static void cb_timer_free(void *timer, void *opaque)
{
	(void)timer;
	(void)opaque;
}

static void cb_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	(void)timer;
	(void)expire_ms;
	(void)opaque;
}

static void ether_header(uint8_t *frame, uint16_t type)
{
	memcpy(frame, stack_mac, 6);
	memcpy(frame + 6, device_mac, 6);
	packet_put16(frame + 12, type);
}

/* libslirp asks who has the device's address: the device answers (RFC 826). */
static void answer_arp(struct instance *in, const uint8_t *arp, size_t n)
{
	uint8_t frame[ETHER_BYTES + 28];
	uint8_t *a = frame + ETHER_BYTES;

	if (n < 28 || packet_get16(arp + 6) != 1)
		return;
	ether_header(frame, 0x0806);
	memcpy(a, arp, 6);
	packet_put16(a + 6, 2);
	memcpy(a + 8, device_mac, 6);
	memcpy(a + 14, arp + 24, 4);
	memcpy(a + 18, arp + 8, 10);
	slirp_input(in->slirp, frame, sizeof(frame));
}

/* The same for IPv6 (RFC 4861, 4.3 and 4.4). `ip`: the whole solicitation. */
static void answer_solicitation(struct instance *in, const uint8_t *ip, size_t n)
{
	uint8_t frame[ETHER_BYTES + 40 + 32] = {0};
	uint8_t *header = frame + ETHER_BYTES, *na = header + 40;
	struct ip_addr target = {.family = 6}, asker = {.family = 6};

	if (n < 40 + 24)
		return;
	memcpy(target.bytes, ip + 40 + 8, 16);
	memcpy(asker.bytes, ip + 8, 16);
	ether_header(frame, 0x86dd);
	packet_header(header, &target, &asker, PACKET_ICMP6, 255, 32);
	na[0] = 136;
	na[4] = 0x60; /* solicited, override */
	memcpy(na + 8, target.bytes, 16);
	na[24] = 2; /* target link-layer address */
	na[25] = 1;
	memcpy(na + 26, device_mac, 6);
	packet_put16(na + 2, packet_fold(packet_sum(na, 32, packet_pseudo6(target.bytes, asker.bytes, 32, PACKET_ICMP6))));
	slirp_input(in->slirp, frame, sizeof(frame));
}

/* libslirp signs its ICMP errors with an address of its own network; towards the device they come from the address that it
 * tried to reach, the one quoted. The frame is copied before it is changed. */
static void output_own_error(struct stack *s, const uint8_t *ip, size_t n, bool v6)
{
	size_t at = v6 ? 40 : (ip[0] & 0x0fu) * 4u;
	uint8_t copy[FRAME_MAX_BYTES];
	uint8_t *icmp = copy + at;

	if (n > sizeof(copy) || ip[v6 ? 6 : 9] != (v6 ? PACKET_ICMP6 : PACKET_ICMP4) || n < at + 8 + (v6 ? 40 : 20))
		return;
	memcpy(copy, ip, n);
	if (v6 ? icmp[0] >= 128 : icmp[0] != 3 && icmp[0] != 11 && icmp[0] != 12)
		return;
	if (v6) {
		memcpy(copy + 8, icmp + 8 + 24, 16);
		packet_put16(icmp + 2, 0);
		packet_put16(icmp + 2, packet_fold(packet_sum(icmp, n - at,
							      packet_pseudo6(copy + 8, copy + 24, (uint32_t)(n - at),
									     PACKET_ICMP6))));
	} else {
		memcpy(copy + 12, icmp + 8 + 16, 4);
		packet_put16(copy + 10, 0);
		packet_put16(copy + 10, packet_fold(packet_sum(copy, at, 0)));
	}
	s->callbacks.output(s->callbacks.arg, copy, (uint32_t)n);
}

static void output_ip(struct instance *in, const uint8_t *ip, size_t n)
{
	struct stack *s = in->stack;
	bool v6 = ip[0] >> 4 == 6;
	uint8_t type = v6 && n >= 48 && ip[6] == PACKET_ICMP6 ? ip[40] : 0;

	if (n < (v6 ? 40 : 20))
		return;
	if (type == 135) {
		answer_solicitation(in, ip, n);
		return;
	}
	if (type >= 133 && type <= 137)
		return; /* neighbour discovery: stays here */
	if (v6 ? !memcmp(ip + 8, own_net6, 8) || (ip[8] == 0xfe && (ip[9] & 0xc0) == 0x80) : !memcmp(ip + 12, own_net4, 3))
		output_own_error(s, ip, n, v6);
	else
		s->callbacks.output(s->callbacks.arg, ip, (uint32_t)n);
}

static ssize_t cb_send(const void *buf, size_t len, void *opaque)
{
	struct instance *in = opaque;
	const uint8_t *frame = buf;

	if (len <= ETHER_BYTES)
		return (ssize_t)len;
	switch (packet_get16(frame + 12)) {
	case 0x0806:
		answer_arp(in, frame + ETHER_BYTES, len - ETHER_BYTES);
		break;
	case 0x0800:
	case 0x86dd:
		output_ip(in, frame + ETHER_BYTES, len - ETHER_BYTES);
		break;
	default:
		break;
	}
	return (ssize_t)len;
}

static const SlirpCb slirp_callbacks = {
	.send_packet = cb_send,
	.guest_error = cb_guest_error,
	.clock_get_ns = cb_clock,
	.timer_free = cb_timer_free,
	.timer_mod = cb_timer_mod,
	.register_poll_fd = cb_register,
	.unregister_poll_fd = cb_unregister,
	.notify = cb_notify,
	.timer_new_opaque = cb_timer_new,
};

static struct instance **bucket_of(struct stack *s, const struct ip_addr *device)
{
	uint32_t h = 2166136261u;

	for (int i = 0; i < 16; i++)
		h = (h ^ device->bytes[i]) * 16777619u;
	return &s->buckets[h % BUCKETS];
}

static Slirp *slirp_make(struct instance *in)
{
	SlirpConfig config = {
		.version = 4,
		.in_enabled = true,
		.in6_enabled = true,
		.vprefix_len = 64,
		.if_mtu = in->stack->mtu,
		.if_mru = in->stack->mtu,
		.disable_host_loopback = true,
		.disable_dns = true,
		.disable_dhcp = true,
	};

	memcpy(&config.vnetwork, own_net4, 4);
	config.vnetmask.s_addr = htonl(0xffffff00);
	config.vhost.s_addr = config.vnetwork.s_addr | htonl(2);
	config.vdhcp_start.s_addr = config.vnetwork.s_addr | htonl(15);
	config.vnameserver.s_addr = config.vnetwork.s_addr | htonl(3);
	memcpy(&config.vprefix_addr6, own_net6, 16);
	config.vhost6 = config.vnameserver6 = config.vprefix_addr6;
	config.vhost6.s6_addr[15] = 2;
	config.vnameserver6.s6_addr[15] = 3;
	return slirp_new(&config, &slirp_callbacks, in);
}

static struct instance *instance_make(struct stack *s, const struct ip_addr *device, uint64_t now_ms)
{
	struct instance *in = s->count < INSTANCES_MAX ? calloc(1, sizeof(*in)) : NULL;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = in};
	struct instance **bucket = bucket_of(s, device);

	if (!in)
		return NULL;
	in->stack = s;
	in->device = *device;
	in->timer_ms = UINT64_MAX;
	in->last_ms = now_ms;
	in->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (in->epoll_fd < 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, in->epoll_fd, &event) ||
	    !(in->slirp = slirp_make(in))) {
		if (in->epoll_fd >= 0)
			close(in->epoll_fd);
		free(in);
		return NULL;
	}
	in->next_in_bucket = *bucket;
	*bucket = in;
	in->next = s->all;
	in->prev_next = &s->all;
	if (in->next)
		in->next->prev_next = &in->next;
	s->all = in;
	s->count++;
	return in;
}

static void instance_free(struct instance *in)
{
	struct stack *s = in->stack;
	struct instance **at = bucket_of(s, &in->device);

	while (*at != in)
		at = &(*at)->next_in_bucket;
	*at = in->next_in_bucket;
	*in->prev_next = in->next;
	if (in->next)
		in->next->prev_next = in->prev_next;
	for (at = &s->due; *at; at = &(*at)->next_due)
		if (*at == in) {
			*at = in->next_due;
			break;
		}
	slirp_cleanup(in->slirp); /* closes its sockets; each is unregistered */
	close(in->epoll_fd);
	s->count--;
	free(in);
}

static void slirp_destroy(struct stack *s)
{
	if (!s)
		return;
	while (s->all)
		instance_free(s->all);
	ping_destroy(s->ping);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	free(s->pollfds);
	free(s);
}

static struct stack *slirp_create(const struct stack_config *config, const struct stack_callbacks *callbacks, char *err,
				  size_t err_len)
{
	struct stack *s = calloc(1, sizeof(*s));

	if (s) {
		s->callbacks = *callbacks;
		s->mtu = config->mtu;
		s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		s->pollfds = calloc(POLLFDS_MAX, sizeof(*s->pollfds));
		/* tagged with the stack itself; instances are tagged with themselves */
		s->ping = s->epoll_fd >= 0 ? ping_create(s->epoll_fd, s, callbacks) : NULL;
	}
	if (!s || !s->pollfds || !s->ping) {
		snprintf(err, err_len, "userspace stack: %s", strerror(errno));
		slirp_destroy(s);
		return NULL;
	}
	return s;
}

static struct instance *instance_for(struct stack *s, const struct ip_addr *device, uint64_t now_ms)
{
	struct instance *in = *bucket_of(s, device);

	while (in && ip_addr_cmp(&in->device, device))
		in = in->next_in_bucket;
	return in ? in : instance_make(s, device, now_ms);
}

static void slirp_input_packet(struct stack *s, const struct packet *p, uint64_t now_ms)
{
	bool v6 = p->src.family == 6;
	struct instance *in;

	if (p->echo_request && !p->fragment) {
		ping_request(s->ping, p, now_ms);
		return;
	}
	/* libslirp knows no IPv6 fragments, and would answer an IPv4 ping it may not send by a datagram to port 7 */
	if ((v6 && p->fragment) || (p->protocol == PACKET_ICMP4 && !ping_permitted(s->ping, 4))) {
		s->fragments_refused++;
		return;
	}
	in = p->length + ETHER_BYTES <= sizeof(s->frame) ? instance_for(s, &p->src, now_ms) : NULL;
	if (!in) {
		s->no_room++;
		return;
	}
	in->last_ms = now_ms;
	ether_header(s->frame, v6 ? 0x86dd : 0x0800);
	memcpy(s->frame + ETHER_BYTES, p->bytes, p->length);
	slirp_input(in->slirp, s->frame, (int)(ETHER_BYTES + p->length));
	mark_due(in);
}

static int slirp_fd(const struct stack *s)
{
	return s->epoll_fd;
}

static int cb_add_poll(int fd, int events, void *opaque)
{
	struct stack *s = opaque;
	struct pollfd *p = &s->pollfds[s->pollfd_count];

	if (s->pollfd_count == POLLFDS_MAX)
		return -1;
	watch(s->running, fd); /* not every socket is registered by libslirp itself */
	p->fd = fd;
	p->events = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
			    (events & SLIRP_POLL_PRI ? POLLPRI : 0));
	p->revents = 0;
	return (int)s->pollfd_count++;
}

static int cb_get_revents(int idx, void *opaque)
{
	struct stack *s = opaque;
	int r;

	if (idx < 0 || (unsigned)idx >= s->pollfd_count)
		return 0;
	r = s->pollfds[idx].revents;
	return (r & POLLIN ? SLIRP_POLL_IN : 0) | (r & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (r & POLLPRI ? SLIRP_POLL_PRI : 0) | (r & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (r & POLLHUP ? SLIRP_POLL_HUP : 0);
}

/* Lets an instance do all it can now. True if it is still not at rest. */
static bool instance_run(struct instance *in, uint64_t now_ms)
{
	struct stack *s = in->stack;
	uint32_t timeout = FILL_TIMEOUT_MS;
	int ready = 1;

	s->running = in;
	for (int round = 0; round < ROUNDS_MAX && ready > 0; round++) {
		timeout = FILL_TIMEOUT_MS;
		s->pollfd_count = 0;
		slirp_pollfds_fill(in->slirp, &timeout, cb_add_poll, s);
		ready = s->pollfd_count ? poll(s->pollfds, s->pollfd_count, 0) : 0;
		slirp_pollfds_poll(in->slirp, ready < 0, cb_get_revents, s);
	}
	s->running = NULL;
	in->timer_ms = timeout >= FILL_TIMEOUT_MS && !in->sockets ? UINT64_MAX : now_ms + timeout;
	if (in->timer_ms < s->next_tick_ms)
		s->next_tick_ms = in->timer_ms;
	return ready > 0;
}

/* Marks instances whose time has come, and gives back those that nobody uses. */
static void tick(struct stack *s, uint64_t now_ms)
{
	struct instance *in, *next;

	s->next_tick_ms = UINT64_MAX;
	for (in = s->all; in; in = next) {
		next = in->next;
		if (!in->sockets && in->last_ms + IDLE_MS <= now_ms) {
			instance_free(in);
			continue;
		}
		if (in->timer_ms <= now_ms)
			mark_due(in);
		else if (in->timer_ms < s->next_tick_ms)
			s->next_tick_ms = in->timer_ms;
		if (in->last_ms + IDLE_MS < s->next_tick_ms && !in->sockets)
			s->next_tick_ms = in->last_ms + IDLE_MS;
	}
	if (s->next_tick_ms < now_ms + TICK_MS)
		s->next_tick_ms = now_ms + TICK_MS;
}

static void collect_events(struct stack *s, uint64_t now_ms)
{
	struct epoll_event events[64], inner[64];
	int n = epoll_wait(s->epoll_fd, events, 64, 0);
	bool pinged = false;

	for (int i = 0; i < n; i++) {
		struct instance *in = events[i].data.ptr;

		if (events[i].data.ptr == s) {
			pinged = true;
			continue;
		}
		while (epoll_wait(in->epoll_fd, inner, 64, 0) == 64)
			;
		mark_due(in);
	}
	if (pinged)
		ping_run(s->ping, now_ms);
}

static int slirp_run(struct stack *s, uint64_t now_ms)
{
	struct instance *in, *due;

	collect_events(s, now_ms);
	if (now_ms >= s->next_tick_ms || !s->next_tick_ms) {
		tick(s, now_ms);
		ping_run(s->ping, now_ms);
	}
	due = s->due;
	s->due = NULL;
	while ((in = due)) {
		due = in->next_due;
		in->due = false;
		if (instance_run(in, now_ms))
			mark_due(in);
	}
	if (s->due)
		return 0;
	if (s->next_tick_ms == UINT64_MAX)
		return FILL_TIMEOUT_MS;
	return s->next_tick_ms <= now_ms ? 0 : s->next_tick_ms - now_ms > 1000 ? 1000 : (int)(s->next_tick_ms - now_ms);
}

static void slirp_stats(const struct stack *s, struct stack_stats *out)
{
	memset(out, 0, sizeof(*out));
	ping_stats(s->ping, out);
	out->fragments_refused = s->fragments_refused;
	out->no_room = s->no_room;
	out->instances = s->count;
}

const struct stack_ops stack_slirp = {
	.heavy = true,
	.create = slirp_create,
	.destroy = slirp_destroy,
	.input = slirp_input_packet,
	.fd = slirp_fd,
	.run = slirp_run,
	.stats = slirp_stats,
};
