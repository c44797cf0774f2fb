// SPDX-License-Identifier: BSD-3-Clause
// One connected ping socket per device, origin and identifier; the kernel gives each an identifier of its own, and
// answers get the device's back.
#include "connector/ping.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"

enum {
	ECHO_BYTES = 8, /* type, code, checksum, identifier, sequence */
	MESSAGE_MAX_BYTES = 9216,
	ANSWER_TTL = 64,
};

struct ping_socket {
	int fd; /* -1: free */
	struct ip_addr device, origin;
	uint16_t id;
	uint64_t last_ms;
};

struct ping {
	int epoll_fd;
	void *tag;
	struct stack_callbacks callbacks;
	bool permitted[2]; /* IPv4, IPv6 */
	uint64_t requests, replies, dropped;
	struct ping_socket sockets[PING_SOCKETS_MAX];
	uint8_t buffer[40 + MESSAGE_MAX_BYTES];
};

static int open_socket(int family)
{
	return socket(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		      family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

bool ping_permitted(const struct ping *ping, int family)
{
	return ping->permitted[family == 6];
}

struct ping *ping_create(int epoll_fd, void *tag, const struct stack_callbacks *callbacks)
{
	struct ping *ping = calloc(1, sizeof(*ping));
	int denied = 0;

	if (!ping)
		return NULL;
	ping->epoll_fd = epoll_fd;
	ping->tag = tag;
	ping->callbacks = *callbacks;
	for (int i = 0; i < PING_SOCKETS_MAX; i++)
		ping->sockets[i].fd = -1;
	for (int i = 0; i < 2; i++) {
		int fd = open_socket(i ? 6 : 4);

		ping->permitted[i] = fd >= 0;
		denied |= fd < 0 && (errno == EACCES || errno == EPERM);
		if (fd >= 0)
			close(fd);
	}
	if (denied)
		log_warn("ICMP echo is off: this process's group %u is not within the sysctl net.ipv4.ping_group_range "
			 "(it rules IPv6 too)",
			 (unsigned)getegid());
	return ping;
}

static void socket_close(struct ping_socket *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void ping_destroy(struct ping *ping)
{
	if (!ping)
		return;
	for (int i = 0; i < PING_SOCKETS_MAX; i++)
		socket_close(&ping->sockets[i]);
	free(ping);
}

static bool socket_connect(struct ping *ping, struct ping_socket *s, const struct packet *p)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = ping->tag};
	bool v6 = p->dst.family == 6;

	s->fd = open_socket(p->dst.family);
	if (s->fd < 0)
		return false;
	memcpy(&in.sin_addr, p->dst.bytes, 4);
	memcpy(&in6.sin6_addr, p->dst.bytes, 16);
	if (connect(s->fd, v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in, v6 ? sizeof(in6) : sizeof(in)) ||
	    epoll_ctl(ping->epoll_fd, EPOLL_CTL_ADD, s->fd, &event)) {
		socket_close(s);
		return false;
	}
	s->device = p->src;
	s->origin = p->dst;
	s->id = p->sport;
	return true;
}

/* The socket of that device, origin and identifier: there, or made, maybe in place of the longest idle one. */
static struct ping_socket *socket_for(struct ping *ping, const struct packet *p)
{
	struct ping_socket *pick = NULL;

	for (int i = 0; i < PING_SOCKETS_MAX; i++) {
		struct ping_socket *s = &ping->sockets[i];

		if (s->fd >= 0 && s->id == p->sport && !ip_addr_cmp(&s->device, &p->src) &&
		    !ip_addr_cmp(&s->origin, &p->dst))
			return s;
		if (!pick || (pick->fd >= 0 && (s->fd < 0 || s->last_ms < pick->last_ms)))
			pick = s;
	}
	socket_close(pick);
	return socket_connect(ping, pick, p) ? pick : NULL;
}

void ping_request(struct ping *ping, const struct packet *p, uint64_t now_ms)
{
	struct ping_socket *s;

	ping->requests++;
	if (!ping->permitted[p->src.family == 6]) {
		ping->dropped++;
		log_rated(LOG_LEVEL_WARN, "ICMP echo to a private address dropped: not permitted by net.ipv4.ping_group_range");
		return;
	}
	s = socket_for(ping, p);
	/* the kernel puts identifier and checksum in */
	if (!s || send(s->fd, p->bytes + p->l4_at, p->l4_bytes, MSG_DONTWAIT) < 0) {
		ping->dropped++;
		return;
	}
	s->last_ms = now_ms;
}

/* Makes the device's echo reply of what a socket gave (`n` bytes behind the room for headers) and gives it out. */
static void answer(struct ping *ping, const struct ping_socket *s, size_t n)
{
	bool v6 = s->origin.family == 6;
	size_t header = v6 ? 40 : 20;
	uint8_t *icmp = ping->buffer + header;
	uint32_t sum = v6 ? packet_pseudo6(s->origin.bytes, s->device.bytes, (uint32_t)n, PACKET_ICMP6) : 0;

	packet_header(ping->buffer, &s->origin, &s->device, v6 ? PACKET_ICMP6 : PACKET_ICMP4, ANSWER_TTL, n);
	packet_put16(icmp + 4, s->id);
	packet_put16(icmp + 2, 0);
	packet_put16(icmp + 2, packet_fold(packet_sum(icmp, n, sum)));
	ping->replies++;
	ping->callbacks.output(ping->callbacks.arg, ping->buffer, (uint32_t)(header + n));
}

static void read_socket(struct ping *ping, struct ping_socket *s, uint64_t now_ms)
{
	bool v6 = s->origin.family == 6;
	uint8_t *icmp = ping->buffer + (v6 ? 40 : 20);
	ssize_t n;

	/* each read also takes a pending error (an unreachable) off the socket */
	for (int i = 0; i < 64; i++) {
		n = recv(s->fd, icmp, MESSAGE_MAX_BYTES, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < ECHO_BYTES || icmp[0] != (v6 ? 129 : 0))
			continue;
		s->last_ms = now_ms;
		answer(ping, s, (size_t)n);
	}
}

void ping_run(struct ping *ping, uint64_t now_ms)
{
	for (int i = 0; i < PING_SOCKETS_MAX; i++) {
		struct ping_socket *s = &ping->sockets[i];

		if (s->fd < 0)
			continue;
		read_socket(ping, s, now_ms);
		if (s->last_ms + PING_IDLE_MS <= now_ms)
			socket_close(s);
	}
}

void ping_stats(const struct ping *ping, struct stack_stats *out)
{
	out->echo_requests += ping->requests;
	out->echo_replies += ping->replies;
	out->echo_dropped += ping->dropped;
}
