// SPDX-License-Identifier: BSD-3-Clause
/*
 * The AF_XDP port on a veth with two queues. Needs root; runs in a network namespace of its own.
 *
 *   packet socket ── peer0 ═══ veth, 2 queues ═══ port0 ── XDP ── AF_XDP sockets ── port
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <rte_mempool.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bpf/fixtures.h"
#include "bpf/loader.h"
#include "dataplane/ports/eal_testing.h"
#include "dataplane/ports/port.h"

#define POOL_SIZE 2047
#define RING	  64

static bool usable;
static struct rte_mempool *pool;
static int peer = -1; /* packet socket on peer0 */
static struct port *current;

#define NEED_ROOT()                                                                    \
	do {                                                                           \
		if (!usable) {                                                         \
			print_message("skipped: needs root and network namespaces\n"); \
			skip();                                                        \
		}                                                                      \
	} while (0)

static struct port *open_port(uint16_t n_queues, bool generic)
{
	const struct port_config cfg = {.kind = PORT_KIND_XSK,
					.id = 3,
					.n_queues = n_queues,
					.ring_size = RING,
					.name = "port0",
					.pool = pool,
					.force_generic = generic};
	const struct steer_endpoint ep = {
		.addr = {203, 0, 113, 1}, .family = AF_INET, .port_be16 = htons(FIXTURE_PORT)};
	char err[256] = "";
	struct port *port = port_open(&cfg, err, sizeof(err));

	if (!port)
		fail_msg("port_open: %s", err);
	assert_int_equal(steer_set_endpoints(port_steer(port), &ep, 1), 0);
	current = port;
	return port;
}

static void close_port(struct port *port)
{
	assert_ptr_equal(port, current);
	current = NULL;
	port_close(port);
}

/* A failed test must not fail the next ones. */
static int teardown(void **state)
{
	(void)state;
	port_close(current);
	current = NULL;
	return 0;
}

/* Another process opens the port, and is killed while it steers. */
static bool crash_before_us(void)
{
	int pipefd[2];
	char c;

	if (pipe(pipefd))
		return false;
	pid_t pid = fork();

	if (pid == 0) {
		if (eal_testing_init() && (pool = eal_testing_pool("crash", POOL_SIZE, 2176)) &&
		    open_port(2, false) && write(pipefd[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(pipefd[1]);
	bool ready = read(pipefd[0], &c, 1) == 1;

	close(pipefd[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return ready;
}

static int open_peer(void)
{
	const struct sockaddr_ll addr = {.sll_family = AF_PACKET,
					 .sll_protocol = htons(ETH_P_ALL),
					 .sll_ifindex = (int)if_nametoindex("peer0")};
	const int size = 16 << 20, one = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));

	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)))
		return -1;
	return fd;
}

static int setup(void **state)
{
	(void)state;
	usable = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 &&
		 system("ip link add port0 numrxqueues 2 numtxqueues 2 type veth "
			"peer name peer0 numrxqueues 2 numtxqueues 2 && "
			"ip link set port0 addrgenmode none up && ip link set peer0 addrgenmode "
			"none up") == 0;
	if (!usable)
		return 0;
	/* every later test runs over what this crash left behind */
	if (!crash_before_us() || !eal_testing_init())
		return -1;
	pool = eal_testing_pool("xsk_test", POOL_SIZE, 2176);
	peer = open_peer();
	return pool && peer >= 0 ? 0 : -1;
}

/* A frame for us; its length and bytes follow from i. */
static size_t make_frame(unsigned i, uint8_t *buf)
{
	const struct fixture f = {
		.name = "frame", .family = 4, .type = 4, .payload = (uint16_t)(32 + i * 37 % 1441)};
	size_t len = fixture_build(&f, buf);

	fixture_put16(buf + 34, 1024 + i); /* source port: makes the kernel spread over queues */
	for (size_t k = 46; k < len; k++)
		buf[k] = (uint8_t)(k * 7 + i);
	fixture_put16(buf + 46, i);
	return len;
}

static void peer_send(unsigned from, unsigned to)
{
	static uint8_t buf[FIXTURE_MAX];

	for (unsigned i = from; i < to; i++) {
		size_t len = make_frame(i, buf);

		assert_int_equal(send(peer, buf, len, 0), len);
	}
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Receives until `want` packets are there or 2 s have passed; per[] counts by queue. */
static unsigned receive(struct port *port, struct rte_mbuf **mbufs, unsigned want, unsigned *per)
{
	uint64_t deadline = now_ms() + 2000;
	unsigned got = 0;

	while (got < want && now_ms() < deadline) {
		for (uint16_t q = 0; q < port->n_queues; q++) {
			uint16_t n = port_rx_burst(port, q, mbufs + got,
						   (uint16_t)RTE_MIN(want - got, 32U));

			per[q] += n;
			got += n;
		}
	}
	return got;
}

static unsigned frame_number(const struct rte_mbuf *m)
{
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);

	return outer_be16(data + 46);
}

static void check_frame(const struct rte_mbuf *m)
{
	static uint8_t buf[FIXTURE_MAX];
	size_t len = make_frame(frame_number(m), buf);

	assert_int_equal(m->pkt_len, len);
	assert_int_equal(m->data_len, len);
	assert_int_equal(m->nb_segs, 1);
	assert_null(m->next);
	assert_int_equal(m->port, 3);
	assert_true(rte_pktmbuf_headroom(m) >= RTE_PKTMBUF_HEADROOM);
	assert_memory_equal(rte_pktmbuf_mtod(m, const void *), buf, len);
}

/* Reads from the peer until `want` frames that we sent came, each once and intact. */
static unsigned peer_receive(unsigned want, bool *seen)
{
	static uint8_t in[FIXTURE_MAX], buf[FIXTURE_MAX];
	uint64_t deadline = now_ms() + 2000;
	unsigned got = 0;

	while (got < want && now_ms() < deadline) {
		struct pollfd p = {.fd = peer, .events = POLLIN};

		if (poll(&p, 1, 50) <= 0)
			continue;
		ssize_t n = recv(peer, in, sizeof(in), 0);

		if (n < 60 || in[12] != 0x08 || in[0] != 0x0a)
			continue;
		unsigned i = outer_be16(in + 46);
		size_t len = make_frame(i, buf);

		buf[0] = 0x0a;
		assert_int_equal(n, len);
		assert_memory_equal(in, buf, len);
		assert_false(seen[i]);
		seen[i] = true;
		got++;
	}
	return got;
}

static void free_all(struct rte_mbuf **mbufs, unsigned n)
{
	if (n)
		rte_pktmbuf_free_bulk(mbufs, n);
}

/* Sum over queues of port statistics. */
static struct port_stats total(struct port *port)
{
	struct port_stats sum = {0}, one;

	for (uint16_t q = 0; q < port->n_queues; q++) {
		assert_int_equal(port_read_stats(port, q, &one), 0);
		for (size_t i = 0; i < sizeof(sum) / 8; i++)
			((uint64_t *)&sum)[i] += ((const uint64_t *)&one)[i];
	}
	return sum;
}

static struct steer_counters steer_total(const struct port *port)
{
	struct steer_counters c;

	assert_int_equal(steer_read_counters(port_steer(port), &c), 0);
	return c;
}

/* Everything that XDP redirected is accounted for by the port. */
static void check_conservation(struct port *port)
{
	struct port_stats s = total(port);
	struct steer_counters c = steer_total(port);

	assert_int_equal(c.c[STEER_REDIRECTED],
			 s.rx_packets + s.rx_full + s.rx_nombuf + s.rx_too_long);
	assert_int_equal(c.c[STEER_RX], c.c[STEER_REDIRECTED] + c.c[STEER_KERNEL]);
}

/* 256 frames in through both queues, and out again through the other queue than they came by. */
static void test_both_queues_both_ways(void **state)
{
	struct rte_mbuf *mbufs[256];
	unsigned per[2] = {0}, sent = 0;
	bool seen[65536] = {false};

	(void)state;
	NEED_ROOT();
	struct port *port = open_port(2, false);

	assert_int_equal(port->n_queues, 2);
	assert_int_equal(port->dev_queues, 2);
	assert_int_equal(port->mtu, 1500);
	assert_int_equal(port->ifindex, if_nametoindex("port0"));
	assert_string_equal(port->mode, "native, copy");
	for (unsigned round = 0; round < 8; round++) {
		peer_send(round * 32, round * 32 + 32);
		unsigned n = receive(port, mbufs, 32, per);

		assert_int_equal(n, 32);
		for (unsigned i = 0; i < n; i++) {
			check_frame(mbufs[i]);
			*rte_pktmbuf_mtod(mbufs[i], uint8_t *) = 0x0a;
		}
		sent += port_tx_burst(port, round % 2, mbufs, 32);
		port_flush(port, round % 2);
	}
	assert_int_equal(sent, 256);
	assert_true(per[0] > 0 && per[1] > 0);
	assert_int_equal(peer_receive(256, seen), 256);
	assert_true(port_before_sleep(port, 0) && port_before_sleep(port, 1));
	check_conservation(port);

	struct port_stats s = total(port);

	assert_int_equal(s.rx_packets, 256);
	assert_int_equal(s.tx_packets, 256);
	assert_int_equal(s.rx_bytes, s.tx_bytes);
	assert_int_equal(s.tx_dropped, 0);
	assert_int_equal(steer_total(port).c[STEER_RX_BYTES], s.rx_bytes);
	/* what is not free lies in the two fill rings, which are kept full but for a batch */
	assert_in_range(rte_mempool_in_use_count(pool), RING, 2 * RING);
	close_port(port);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* More at once than the tx ring takes, from fresh mbufs. */
static void test_tx_overload(void **state)
{
	static uint8_t buf[FIXTURE_MAX];
	bool seen[65536] = {false};
	struct rte_mbuf *mbufs[64];
	unsigned queued = 0;

	(void)state;
	NEED_ROOT();
	struct port *port = open_port(1, false);

	for (unsigned i = 0; i < 640; i++) {
		size_t len = make_frame(i, buf);

		buf[0] = 0x0a;
		mbufs[i % 64] = rte_pktmbuf_alloc(pool);
		assert_non_null(mbufs[i % 64]);
		memcpy(rte_pktmbuf_append(mbufs[i % 64], (uint16_t)len), buf, len);
		if (i % 64 == 63)
			queued += port_tx_burst(port, 0, mbufs, 64);
	}
	port_flush(port, 0);
	struct port_stats s = total(port);

	assert_int_equal(s.tx_packets, queued);
	assert_int_equal(s.tx_packets + s.tx_dropped, 640);
	assert_true(queued >= RING);
	assert_int_equal(peer_receive(queued, seen), queued);
	close_port(port);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static struct rte_mbuf *blank(struct rte_mempool *from, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(from);

	assert_non_null(m);
	char *data = rte_pktmbuf_append(m, len);

	assert_non_null(data);
	memset(data, 0xff, len);
	return m;
}

static void test_unsendable(void **state)
{
	struct rte_mbuf *m[6];

	(void)state;
	NEED_ROOT();
	struct rte_mempool *other = eal_testing_pool("other", 63, 2176);
	struct port *port = open_port(1, false);

	assert_non_null(other);
	m[0] = blank(pool, 100);
	assert_int_equal(rte_pktmbuf_chain(m[0], blank(pool, 100)), 0);
	m[1] = blank(pool, (uint16_t)(port_max_frame(port) + 1));
	m[2] = blank(other, 100);
	m[3] = blank(pool, 0);
	struct rte_mbuf *whole = blank(pool, 100);

	m[4] = rte_pktmbuf_clone(whole, pool);
	rte_pktmbuf_free(whole);
	m[5] = blank(pool, (uint16_t)port_max_frame(port));
	assert_int_equal(port_tx_burst(port, 0, m, 6), 1);
	port_flush(port, 0);
	struct port_stats s = total(port);

	assert_int_equal(s.tx_unsendable, 5);
	assert_int_equal(s.tx_dropped, 5);
	assert_int_equal(s.tx_packets, 1);
	close_port(port);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	assert_int_equal(rte_mempool_in_use_count(other), 0);
	rte_mempool_free(other);
}

/* Takes what waits on all queues and throws it away; returns how many. */
static unsigned drain(struct port *port)
{
	struct rte_mbuf *mbufs[64];
	unsigned sum = 0, idle = 0;

	while (idle < 3) {
		unsigned got = 0;

		for (uint16_t q = 0; q < port->n_queues; q++) {
			unsigned n = port_rx_burst(port, q, mbufs, 64);

			for (unsigned i = 0; i < n; i++)
				check_frame(mbufs[i]);
			free_all(mbufs, n);
			got += n;
		}
		sum += got;
		idle = got ? 0 : idle + 1;
	}
	return sum;
}

/* A worker that does not look: the ring fills, the rest is counted; afterwards all goes on. */
static void test_rx_ring_full(void **state)
{
	(void)state;
	NEED_ROOT();
	struct port *port = open_port(2, false);

	peer_send(0, 512);
	usleep(20000);
	unsigned n = drain(port);
	struct port_stats s = total(port);

	assert_int_equal(n, 2 * RING);
	assert_int_equal(s.rx_full + s.rx_nombuf, 512 - 2 * RING);
	check_conservation(port);
	peer_send(0, 32);
	usleep(20000);
	assert_int_equal(drain(port), 32);
	check_conservation(port);
	close_port(port);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* The pool runs dry: the fill ring empties, what finds no frame is counted; with mbufs back,
 * packets come again. */
static void test_no_mbufs(void **state)
{
	static struct rte_mbuf *hoard[POOL_SIZE], *mbufs[256];
	unsigned per[2] = {0};

	(void)state;
	NEED_ROOT();
	struct port *port = open_port(1, true);
	unsigned left = rte_mempool_avail_count(pool), held = 0;

	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, hoard, left), 0);
	for (unsigned round = 0; round < 8; round++) {
		peer_send(round * 16, round * 16 + 16);
		usleep(2000);
		held += receive(port, mbufs + held, RTE_MIN(16U, RING - held), per);
	}
	struct port_stats s = total(port);

	assert_int_equal(held, RING);
	assert_int_equal(s.rx_nombuf, 128 - RING);
	assert_int_equal(s.rx_full, 0);
	assert_int_equal(port_rx_burst(port, 0, mbufs + held, 1), 0);
	assert_true(total(port).fill_empty > 0);
	check_conservation(port);

	free_all(hoard, left);
	free_all(mbufs, held);
	assert_int_equal(drain(port), 0); /* fills again */
	peer_send(0, 32);
	usleep(20000);
	assert_int_equal(drain(port), 32);
	check_conservation(port);
	close_port(port);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* The interface's MTU is raised while we run: frames longer than a buffer are dropped and counted.
 */
static void test_frame_too_long(void **state)
{
	const struct fixture f = {.name = "long", .family = 4, .type = 4, .payload = 2500};
	static uint8_t buf[FIXTURE_MAX];

	(void)state;
	NEED_ROOT();
	struct port *port = open_port(2, false);

	assert_int_equal(system("ip link set port0 mtu 3000 && ip link set peer0 mtu 3000"), 0);
	assert_int_equal(port_refresh(port), 0);
	assert_int_equal(port->mtu, 3000);
	assert_int_equal(port_max_frame(port), port->buffer_room);
	size_t len = fixture_build(&f, buf);

	assert_int_equal(send(peer, buf, len, 0), len);
	peer_send(0, 1);
	usleep(20000);
	assert_int_equal(drain(port), 1);
	assert_int_equal(total(port).rx_too_long, 1);
	check_conservation(port);
	close_port(port);

	/* and such an interface is refused at the start, by name and number */
	const struct port_config cfg = {.kind = PORT_KIND_XSK,
					.n_queues = 1,
					.ring_size = RING,
					.name = "port0",
					.pool = pool};
	char err[256] = "";

	assert_null(port_open(&cfg, err, sizeof(err)));
	assert_non_null(strstr(err, "MTU 3000"));
	assert_int_equal(system("ip link set port0 mtu 1500 && ip link set peer0 mtu 1500"), 0);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* Nothing to do: poll sleeps; a packet wakes it. */
static void test_idle_and_wake(void **state)
{
	struct rte_mbuf *mbufs[4];

	(void)state;
	NEED_ROOT();
	struct port *port = open_port(2, false);
	struct pollfd fds[2];

	for (uint16_t q = 0; q < 2; q++) {
		assert_true(port_before_sleep(port, q));
		fds[q] = (struct pollfd){.fd = port_rx_fd(port, q), .events = POLLIN};
		assert_true(fds[q].fd >= 0);
	}
	assert_int_equal(poll(fds, 2, 50), 0);
	uint64_t start = now_ms();
	pid_t pid = fork();

	if (pid == 0) {
		usleep(100000);
		peer_send(5, 6);
		_exit(0);
	}
	assert_int_equal(poll(fds, 2, 5000), 1);
	uint64_t slept = now_ms() - start;

	assert_true(slept >= 90 && slept < 3000);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	uint16_t q = fds[0].revents & POLLIN ? 0 : 1;

	assert_int_equal(port_rx_burst(port, q, mbufs, 4), 1);
	check_frame(mbufs[0]);
	rte_pktmbuf_free(mbufs[0]);
	assert_int_equal(poll(fds, 2, 0), 0);
	close_port(port);
}

/* One socket on an interface of two queues: the other queue's packets are the kernel's, and counted
 * so. */
static void test_queue_without_socket(void **state)
{
	(void)state;
	NEED_ROOT();
	struct port *port = open_port(1, false);

	assert_int_equal(port->dev_queues, 2);
	for (unsigned round = 0; round < 4; round++) {
		peer_send(round * 16, round * 16 + 16);
		usleep(5000);
		drain(port);
	}
	struct steer_counters c = steer_total(port);

	assert_int_equal(c.c[STEER_RX], 64);
	assert_true(c.c[STEER_KERNEL] > 0 && c.c[STEER_REDIRECTED] > 0);
	check_conservation(port);
	close_port(port);
}

static void test_generic_mode(void **state)
{
	(void)state;
	NEED_ROOT();
	struct port *port = open_port(1, true);

	assert_string_equal(port->mode, "generic, copy");
	peer_send(0, 32);
	usleep(20000);
	assert_int_equal(drain(port), 32);
	check_conservation(port);
	close_port(port);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* Preferred busy polling: receiving and sending without a single interrupt's help. */
static void test_busy_poll(void **state)
{
	struct port_config cfg = {.kind = PORT_KIND_XSK,
				  .id = 3,
				  .n_queues = 1,
				  .ring_size = RING,
				  .name = "port0",
				  .pool = pool,
				  .force_generic = true,
				  .busy_poll = true};
	const struct steer_endpoint ep = {
		.addr = {203, 0, 113, 1}, .family = AF_INET, .port_be16 = htons(FIXTURE_PORT)};
	struct rte_mbuf *mbufs[32];
	bool seen[65536] = {false};
	unsigned per[2] = {0};
	char err[256] = "";

	(void)state;
	NEED_ROOT();
	current = port_open(&cfg, err, sizeof(err));
	assert_non_null(current);
	assert_int_equal(steer_set_endpoints(port_steer(current), &ep, 1), 0);
	assert_string_equal(current->mode, "generic, copy, busy poll");
	peer_send(0, 32);
	assert_int_equal(receive(current, mbufs, 32, per), 32);
	for (unsigned i = 0; i < 32; i++) {
		check_frame(mbufs[i]);
		*rte_pktmbuf_mtod(mbufs[i], uint8_t *) = 0x0a;
	}
	assert_int_equal(port_tx_burst(current, 0, mbufs, 32), 32);
	port_flush(current, 0);
	assert_int_equal(peer_receive(32, seen), 32);
	check_conservation(current);
	close_port(current);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void test_refusals(void **state)
{
	const struct port_config good = {.kind = PORT_KIND_XSK,
					 .n_queues = 2,
					 .ring_size = RING,
					 .name = "port0",
					 .pool = pool};
	struct port_config cfg;
	char err[256] = "";

	(void)state;
	NEED_ROOT();
	cfg = good;
	cfg.name = "sluice-none";
	assert_null(port_open(&cfg, err, sizeof(err)));
	assert_non_null(strstr(err, "sluice-none"));
	cfg = good;
	cfg.n_queues = 3;
	assert_null(port_open(&cfg, err, sizeof(err)));
	assert_non_null(strstr(err, "queue 2"));
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	cfg = good;
	cfg.ring_size = 1024;
	assert_null(port_open(&cfg, err, sizeof(err)));
	assert_non_null(strstr(err, "too few packet buffers"));
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	cfg = good;
	cfg.pool = eal_testing_pool("small", 255, 1024);
	assert_non_null(cfg.pool);
	assert_null(port_open(&cfg, err, sizeof(err)));
	assert_non_null(strstr(err, "1024"));
	rte_mempool_free(cfg.pool);
	/* none of these left a program behind */
	assert_int_equal(steer_cleanup("port0"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_both_queues_both_ways, teardown),
		cmocka_unit_test_teardown(test_tx_overload, teardown),
		cmocka_unit_test_teardown(test_unsendable, teardown),
		cmocka_unit_test_teardown(test_rx_ring_full, teardown),
		cmocka_unit_test_teardown(test_no_mbufs, teardown),
		cmocka_unit_test_teardown(test_frame_too_long, teardown),
		cmocka_unit_test_teardown(test_idle_and_wake, teardown),
		cmocka_unit_test_teardown(test_queue_without_socket, teardown),
		cmocka_unit_test_teardown(test_generic_mode, teardown),
		cmocka_unit_test_teardown(test_busy_poll, teardown),
		cmocka_unit_test_teardown(test_refusals, teardown),
	};

	return cmocka_run_group_tests_name("xsk_port", tests, setup, NULL);
}
