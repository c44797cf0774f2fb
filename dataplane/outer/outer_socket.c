// SPDX-License-Identifier: BSD-3-Clause
/* Holds a listen endpoint in the kernel: receives nothing, tells path MTU errors. */
#include "dataplane/outer/outer_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_PER_CALL 64
#define QUOTED_MAX	1500

struct outer_socket {
	int fd;
	struct outer_addr local;
	uint16_t port;
};

static socklen_t to_sockaddr(const struct outer_addr *addr, uint16_t port,
			     struct sockaddr_storage *out)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	out->ss_family = addr->family;
	if (addr->family == AF_INET) {
		in4->sin_port = htons(port);
		memcpy(&in4->sin_addr, addr->b, 4);
		return sizeof(*in4);
	}
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, addr->b, 16);
	return sizeof(*in6);
}

static void from_sockaddr(const struct sockaddr_storage *from, struct outer_addr *addr,
			  uint16_t *port)
{
	memset(addr, 0, sizeof(*addr));
	addr->family = (uint8_t)from->ss_family;
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *in4 = (const struct sockaddr_in *)from;

		memcpy(addr->b, &in4->sin_addr, 4);
		*port = ntohs(in4->sin_port);
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

		memcpy(addr->b, &in6->sin6_addr, 16);
		*port = ntohs(in6->sin6_port);
	}
}

/* Everything before bind: not one packet may get into the receive queue. */
static int prepare(int fd, uint8_t family)
{
	struct sock_filter drop_all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	const struct sock_fprog filter = {.len = 1, .filter = drop_all};
	const int one = 1, probe4 = IP_PMTUDISC_PROBE, probe6 = IPV6_PMTUDISC_PROBE;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)))
		return -errno;
	if (family == AF_INET)
		return setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one)) ||
				       setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe4,
						  sizeof(probe4))
			       ? -errno
			       : 0;
	return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) ||
			       setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof(one)) ||
			       setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6,
					  sizeof(probe6))
		       ? -errno
		       : 0;
}

struct outer_socket *outer_socket_open(const struct outer_addr *local, uint16_t port, char *err,
				       size_t err_size)
{
	struct outer_socket *sock = NULL;
	struct sockaddr_storage addr;
	char text[INET6_ADDRSTRLEN] = "?";
	int fd = -1, res = -EAFNOSUPPORT;

	if (local->family == AF_INET || local->family == AF_INET6) {
		inet_ntop(local->family, local->b, text, sizeof(text));
		fd = socket(local->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		res = fd < 0 ? -errno : prepare(fd, local->family);
	}
	if (!res) {
		socklen_t len = to_sockaddr(local, port, &addr);

		res = bind(fd, (struct sockaddr *)&addr, len) ? -errno : 0;
	}
	if (!res) {
		sock = calloc(1, sizeof(*sock));
		res = sock ? 0 : -ENOMEM;
	}
	if (res) {
		snprintf(err, err_size, "listen address %s, UDP port %u: %s", text, port,
			 strerror(-res));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	sock->fd = fd;
	sock->local = *local;
	sock->port = port;
	return sock;
}

void outer_socket_close(struct outer_socket *sock)
{
	if (!sock)
		return;
	close(sock->fd);
	free(sock);
}

int outer_socket_fd(const struct outer_socket *sock)
{
	return sock->fd;
}

/* The error that a message carries, or NULL. */
static const struct sock_extended_err *find_error(struct msghdr *msg)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg))
		if ((cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_RECVERR) ||
		    (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_RECVERR))
			return (const struct sock_extended_err *)CMSG_DATA(cmsg);
	return NULL;
}

static bool is_pmtu(const struct sock_extended_err *error)
{
	return error && error->ee_errno == EMSGSIZE &&
	       (error->ee_origin == SO_EE_ORIGIN_ICMP || error->ee_origin == SO_EE_ORIGIN_ICMP6);
}

/* One error of the queue: 1 given on, 0 of another kind, or negative errno. */
static int process_one(struct outer_socket *sock, outer_pmtu_fn fn, void *arg)
{
	uint8_t quoted[QUOTED_MAX];
	char control[512] __attribute__((aligned(8)));
	struct sockaddr_storage remote = {0};
	struct iovec iov = {quoted, sizeof(quoted)};
	struct msghdr msg = {.msg_name = &remote,
			     .msg_namelen = sizeof(remote),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(sock->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	const struct sock_extended_err *error = find_error(&msg);

	if (!is_pmtu(error) || remote.ss_family != sock->local.family)
		return 0;
	struct outer_pmtu_event ev = {.local = sock->local,
				      .local_port = sock->port,
				      .mtu = error->ee_info,
				      .quoted = quoted,
				      .quoted_len = (size_t)n};

	from_sockaddr(&remote, &ev.remote, &ev.remote_port);
	fn(arg, &ev);
	return 1;
}

int outer_socket_process(struct outer_socket *sock, outer_pmtu_fn fn, void *arg)
{
	int given = 0, error;
	socklen_t len = sizeof(error);

	for (int i = 0; i < EVENTS_PER_CALL; i++) {
		int res = process_one(sock, fn, arg);

		if (res == -EAGAIN)
			break;
		if (res < 0)
			return res;
		given += res;
	}
	/* an error waits beside the queue too, and would keep poll from sleeping */
	getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return given;
}
