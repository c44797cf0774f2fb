// SPDX-License-Identifier: BSD-3-Clause
/* The socket that holds a listen endpoint: silent, takes nothing, tells forged and real path MTU
 * errors. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/outer/outer_socket.h"

static bool usable;

#define NEED_ROOT()                                                                    \
	do {                                                                           \
		if (!usable) {                                                         \
			print_message("skipped: needs root and network namespaces\n"); \
			skip();                                                        \
		}                                                                      \
	} while (0)

static int setup(void **state)
{
	(void)state;
	usable = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 &&
		 system("ip link set lo up && ip addr add 203.0.113.1/32 dev lo && "
			"ip addr add 2001:db8:e::1/128 dev lo nodad") == 0;
	return 0;
}

static struct outer_addr address(int family, const char *text)
{
	struct outer_addr addr = {.family = (uint8_t)family};

	assert_int_equal(inet_pton(family, text, addr.b), 1);
	return addr;
}

static struct outer_socket *open_socket(int family)
{
	struct outer_addr local =
		address(family, family == AF_INET ? "203.0.113.1" : "2001:db8:e::1");
	char err[256] = "";
	struct outer_socket *sock = outer_socket_open(&local, 51820, err, sizeof(err));

	if (!sock)
		fail_msg("%s", err);
	return sock;
}

struct seen {
	int n;
	struct outer_pmtu_event last;
	uint8_t quoted[64];
};

static void on_event(void *arg, const struct outer_pmtu_event *ev)
{
	struct seen *seen = arg;

	seen->n++;
	seen->last = *ev;
	memcpy(seen->quoted, ev->quoted, ev->quoted_len < 64 ? ev->quoted_len : 64);
}

static uint16_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

#define QUOTE "\x04\0\0\0receiver"

/* "Fragmentation needed", quoting a packet from our endpoint (or another port) to 192.0.2.7:40000.
 */
static void send_icmp4(uint8_t type, uint8_t code, uint16_t mtu, uint16_t from_port)
{
	struct {
		struct icmphdr icmp;
		struct iphdr ip;
		struct udphdr udp;
		uint8_t payload[12];
	} __attribute__((packed)) msg = {
		.icmp = {.type = type, .code = code, .un.frag.mtu = htons(mtu)},
		.ip = {.version = 4,
		       .ihl = 5,
		       .tot_len = htons(1452),
		       .ttl = 60,
		       .protocol = 17,
		       .saddr = inet_addr("203.0.113.1"),
		       .daddr = inet_addr("192.0.2.7")},
		.udp = {.source = htons(from_port), .dest = htons(40000), .len = htons(1432)},
	};
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = inet_addr("203.0.113.1")};
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	memcpy(msg.payload, QUOTE, 12);
	msg.icmp.checksum = checksum(&msg, sizeof(msg));
	assert_int_equal(sendto(fd, &msg, sizeof(msg), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(msg));
	close(fd);
}

static void send_icmp6(uint32_t mtu)
{
	struct {
		struct icmp6_hdr icmp;
		struct ip6_hdr ip;
		struct udphdr udp;
		uint8_t payload[12];
	} __attribute__((packed)) msg = {
		.icmp = {.icmp6_type = ICMP6_PACKET_TOO_BIG, .icmp6_mtu = htonl(mtu)},
		.ip = {.ip6_flow = htonl(6U << 28),
		       .ip6_plen = htons(1412),
		       .ip6_nxt = 17,
		       .ip6_hlim = 60},
		.udp = {.source = htons(51820), .dest = htons(40000), .len = htons(1412)},
	};
	struct sockaddr_in6 to = {.sin6_family = AF_INET6};
	int fd = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);

	memcpy(msg.payload, QUOTE, 12);
	inet_pton(AF_INET6, "2001:db8:e::1", &msg.ip.ip6_src);
	inet_pton(AF_INET6, "2001:db8:77::7", &msg.ip.ip6_dst);
	inet_pton(AF_INET6, "2001:db8:e::1", &to.sin6_addr);
	assert_int_equal(sendto(fd, &msg, sizeof(msg), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(msg));
	close(fd);
}

static bool has_error(const struct outer_socket *sock, int timeout_ms)
{
	struct pollfd p = {.fd = outer_socket_fd(sock)};

	return poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLERR);
}

static void check_event(const struct seen *seen, const char *local, const char *remote)
{
	const struct outer_addr l = address(seen->last.local.family, local);
	const struct outer_addr r = address(seen->last.local.family, remote);

	assert_memory_equal(&seen->last.local, &l, sizeof(l));
	assert_memory_equal(&seen->last.remote, &r, sizeof(r));
	assert_int_equal(seen->last.local_port, 51820);
	assert_int_equal(seen->last.remote_port, 40000);
	assert_true(seen->last.quoted_len >= 12);
	assert_memory_equal(seen->quoted, QUOTE, 12);
}

static void test_pmtu_v4(void **state)
{
	struct seen seen = {0};

	(void)state;
	NEED_ROOT();
	struct outer_socket *sock = open_socket(AF_INET);

	assert_false(has_error(sock, 0));
	send_icmp4(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 1300, 51820);
	assert_true(has_error(sock, 1000));
	assert_int_equal(outer_socket_process(sock, on_event, &seen), 1);
	assert_int_equal(seen.last.mtu, 1300);
	check_event(&seen, "203.0.113.1", "192.0.2.7");
	assert_false(has_error(sock, 0));
	assert_int_equal(outer_socket_process(sock, on_event, &seen), 0);

	/* several at once; other errors are taken and not given on; another port is not ours */
	send_icmp4(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 1200, 51820);
	send_icmp4(ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0, 51820);
	send_icmp4(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 0, 51820);
	send_icmp4(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 1100, 51821);
	assert_true(has_error(sock, 1000));
	usleep(20000);
	assert_int_equal(outer_socket_process(sock, on_event, &seen), 2);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.last.mtu, 0);
	assert_false(has_error(sock, 0));
	outer_socket_close(sock);
}

static void test_pmtu_v6(void **state)
{
	struct seen seen = {0};

	(void)state;
	NEED_ROOT();
	struct outer_socket *sock = open_socket(AF_INET6);

	send_icmp6(1400);
	assert_true(has_error(sock, 1000));
	assert_int_equal(outer_socket_process(sock, on_event, &seen), 1);
	assert_int_equal(seen.last.mtu, 1400);
	check_event(&seen, "2001:db8:e::1", "2001:db8:77::7");
	assert_false(has_error(sock, 0));
	outer_socket_close(sock);
}

/* A datagram to the endpoint: errno of a connected sender afterwards. */
static int poke(int family)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET,
				  .sin_port = htons(51820),
				  .sin_addr.s_addr = inet_addr("203.0.113.1")};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(51820)};
	int fd = socket(family, SOCK_DGRAM, 0), error = -1;
	socklen_t len = sizeof(error);

	inet_pton(AF_INET6, "2001:db8:e::1", &in6.sin6_addr);
	assert_int_equal(family == AF_INET ? connect(fd, (struct sockaddr *)&in4, sizeof(in4))
					   : connect(fd, (struct sockaddr *)&in6, sizeof(in6)),
			 0);
	assert_int_equal(send(fd, "hello", 5, 0), 5);
	struct pollfd p = {.fd = fd};

	poll(&p, 1, 100);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	close(fd);
	return error;
}

static void test_silent(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};
	char buf[16];

	(void)state;
	NEED_ROOT();
	for (int i = 0; i < 2; i++) {
		struct outer_socket *sock = open_socket(families[i]);

		assert_int_equal(poke(families[i]), 0);
		assert_int_equal(recv(outer_socket_fd(sock), buf, sizeof(buf), MSG_DONTWAIT), -1);
		assert_int_equal(errno, EAGAIN);
		outer_socket_close(sock);
		/* without it the kernel answers: that is what it is for */
		assert_int_equal(poke(families[i]), ECONNREFUSED);
	}
}

static void test_refusals(void **state)
{
	struct outer_addr foreign, none = {.family = AF_UNSPEC};
	char err[256] = "";

	(void)state;
	NEED_ROOT();
	foreign = address(AF_INET, "203.0.113.99");
	assert_null(outer_socket_open(&foreign, 51820, err, sizeof(err)));
	assert_non_null(strstr(err, "203.0.113.99"));
	assert_non_null(strstr(err, "51820"));
	struct outer_socket *sock = open_socket(AF_INET);
	struct outer_addr taken = address(AF_INET, "203.0.113.1");

	assert_null(outer_socket_open(&taken, 51820, err, sizeof(err)));
	assert_non_null(strstr(err, "203.0.113.1"));
	assert_null(outer_socket_open(&none, 51820, err, sizeof(err)));
	outer_socket_close(sock);
	outer_socket_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pmtu_v4),
		cmocka_unit_test(test_pmtu_v6),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests_name("outer_socket", tests, setup, NULL);
}
