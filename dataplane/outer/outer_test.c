// SPDX-License-Identifier: BSD-3-Clause
/*
 * The outer network as a real kernel has it, and its changes while we watch. Needs root.
 *
 *   own namespace                    child's namespace
 *   op0 (port 0) ═══ veth ═══ oq0    203.0.113.2, 2001:db8:e::2
 *   op1          ═══ veth ═══ oq1    198.51.100.2
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/outer/outer.h"

#define PEER_MAC "02:00:00:00:00:77"

static bool usable;
static pid_t child;
static struct outer *outer;
static struct outer_port port0;
static unsigned retired, changes;

#define NEED_ROOT()                                                                    \
	do {                                                                           \
		if (!usable) {                                                         \
			print_message("skipped: needs root and network namespaces\n"); \
			skip();                                                        \
		}                                                                      \
	} while (0)

__attribute__((format(printf, 1, 2))) static bool try_run(const char *format, ...)
{
	char cmd[512];
	va_list args;

	va_start(args, format);
	vsnprintf(cmd, sizeof(cmd), format, args);
	va_end(args);
	return system(cmd) == 0;
}

#define run(...) assert_true(try_run(__VA_ARGS__))

/* A process in a namespace of its own: the other end of the veths. */
static bool start_child(void)
{
	int pipefd[2];
	char c;

	if (pipe(pipefd))
		return false;
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) == 0 &&
		    try_run("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad") &&
		    write(pipefd[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(pipefd[1]);
	bool ok = read(pipefd[0], &c, 1) == 1;

	close(pipefd[0]);
	return ok;
}

static int setup(void **state)
{
	(void)state;
	usable = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && start_child();
	if (!usable)
		return 0;
	bool ok = try_run("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad && "
			  "ip link set lo up && "
			  "ip link add op0 address 02:00:00:00:00:01 type veth peer name oq0 "
			  "address " PEER_MAC " && ip link add op1 type veth peer name oq1 && "
			  "ip link set oq0 netns %d && ip link set oq1 netns %d && "
			  "ip addr add 203.0.113.1/24 dev op0 && "
			  "ip addr add 2001:db8:e::1/64 dev op0 nodad && ip link set op0 up",
			  child, child) &&
		  try_run("nsenter -t %d -n sh -c 'ip addr add 203.0.113.2/24 dev oq0 && "
			  "ip addr add 2001:db8:e::2/64 dev oq0 nodad && ip link set oq0 up && "
			  "ip addr add 198.51.100.2/24 dev oq1 && ip link set oq1 up'",
			  child);

	port0 = (struct outer_port){.ifindex = if_nametoindex("op0"), .port_id = 5};
	return ok ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return 0;
}

static void on_retire(void *ptr, void (*free_fn)(void *))
{
	retired++;
	free_fn(ptr);
}

static void on_change(void *arg, const struct outer_snapshot *snap)
{
	assert_ptr_equal(arg, &changes);
	assert_non_null(snap);
	changes++;
}

static int open_outer(void **state)
{
	const struct outer_config cfg = {.ports = &port0,
					 .n_ports = 1,
					 .retire = on_retire,
					 .changed = on_change,
					 .arg = &changes};
	char err[256] = "";

	(void)state;
	if (!usable)
		return 0;
	retired = changes = 0;
	outer = outer_open(&cfg, err, sizeof(err));
	if (!outer)
		print_error("%s\n", err);
	return outer ? 0 : -1;
}

static int close_outer(void **state)
{
	(void)state;
	outer_close(outer);
	outer = NULL;
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static struct outer_addr address(const char *text)
{
	struct outer_addr addr = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};

	assert_int_equal(inet_pton(addr.family, text, addr.b), 1);
	return addr;
}

static struct outer_result resolve(const char *dst)
{
	const struct outer_addr addr = address(dst);
	struct outer_result res;

	outer_resolve(outer_snapshot_get(outer), &addr, NULL, &res);
	return res;
}

/* Lives as the control thread does, for so long. */
static void live(int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms;
	int wait = outer_process(outer);

	while (now_ms() < end) {
		struct pollfd p = {.fd = outer_fd(outer), .events = POLLIN};
		int left = (int)(end - now_ms());

		poll(&p, 1, wait < left ? wait : left);
		wait = outer_process(outer);
	}
}

/* Lives until the condition holds; fails 2 s later. */
#define UNTIL(condition)                                                    \
	do {                                                                \
		uint64_t deadline_ = now_ms() + 2000;                       \
		while (!(condition)) {                                      \
			if (now_ms() > deadline_)                           \
				fail_msg("not within 2 s: %s", #condition); \
			live(5);                                            \
		}                                                           \
	} while (0)

static bool is_local(const char *text)
{
	const struct outer_addr addr = address(text);

	return outer_is_local(outer_snapshot_get(outer), &addr);
}

static void test_first_snapshot(void **state)
{
	size_t n, found = 0;

	(void)state;
	NEED_ROOT();
	const struct outer_snapshot *snap = outer_snapshot_get(outer);
	const struct outer_link *link = outer_link_get(snap, port0.ifindex);
	const struct outer_local *locals = outer_locals(snap, &n);

	assert_int_equal(outer_generation(snap), 1);
	assert_non_null(link);
	assert_string_equal(link->name, "op0");
	assert_int_equal(link->mtu, 1500);
	assert_true(link->up);
	assert_memory_equal(link->mac, "\x02\0\0\0\0\x01", 6);
	assert_true(is_local("203.0.113.1") && is_local("2001:db8:e::1") && is_local("127.0.0.1"));
	assert_false(is_local("203.0.113.2"));
	for (size_t i = 0; i < n; i++)
		if (locals[i].ifindex == port0.ifindex && locals[i].addr.family == AF_INET &&
		    locals[i].prefix_len == 24)
			found++;
	assert_int_equal(found, 1);
	assert_int_equal(resolve("8.8.8.8").status, OUTER_NO_ROUTE);
	assert_int_equal(resolve("203.0.113.1").status, OUTER_NOT_OUR_PORT);
}

static void test_addresses(void **state)
{
	(void)state;
	NEED_ROOT();
	uint64_t before = outer_generation(outer_snapshot_get(outer));

	run("ip addr add 203.0.113.50/24 dev op0");
	UNTIL(is_local("203.0.113.50"));
	run("ip addr add 2001:db8:e::50/64 dev op0 nodad");
	UNTIL(is_local("2001:db8:e::50"));
	run("ip addr del 203.0.113.50/24 dev op0 && ip addr del 2001:db8:e::50/64 dev op0");
	UNTIL(!is_local("203.0.113.50") && !is_local("2001:db8:e::50"));
	assert_true(outer_generation(outer_snapshot_get(outer)) >= before + 3);
	assert_true(retired > 0 && changes == retired + 1);
}

static void check_neigh(const char *dst, const char *src, uint16_t mtu)
{
	struct outer_result res = resolve(dst);
	const struct outer_addr want = address(src);

	assert_int_equal(res.status, OUTER_OK);
	assert_int_equal(res.port_id, 5);
	assert_int_equal(res.ifindex, port0.ifindex);
	assert_int_equal(res.mtu, mtu);
	assert_memory_equal(res.src_mac, "\x02\0\0\0\0\x01", 6);
	assert_memory_equal(res.dst_mac, "\x02\0\0\0\0\x77", 6);
	assert_memory_equal(&res.src, &want, sizeof(want));
}

static void test_neighbours(void **state)
{
	static const char *const peers[][2] = {{"203.0.113.2", "203.0.113.1"},
					       {"2001:db8:e::2", "2001:db8:e::1"}};

	(void)state;
	NEED_ROOT();
	for (int i = 0; i < 2; i++) {
		struct outer_result res = resolve(peers[i][0]);

		assert_int_equal(res.status, OUTER_NEIGH_UNRESOLVED);
		assert_int_equal(outer_request_neigh(outer, res.ifindex, &res.next_hop), 0);
		assert_int_equal(outer_request_neigh(outer, res.ifindex, &res.next_hop), 0);
		UNTIL(resolve(peers[i][0]).status == OUTER_OK);
		check_neigh(peers[i][0], peers[i][1], 1500);
	}

	/* a change of state that workers need not know makes no new snapshot; one of the address
	 * does */
	live(50);
	uint64_t generation = outer_generation(outer_snapshot_get(outer));

	run("ip neigh change 203.0.113.2 dev op0 lladdr " PEER_MAC " nud stale");
	live(100);
	assert_int_equal(outer_generation(outer_snapshot_get(outer)), generation);
	run("ip neigh change 203.0.113.2 dev op0 lladdr 02:00:00:00:00:78 nud reachable");
	UNTIL(resolve("203.0.113.2").dst_mac[5] == 0x78);
	run("ip neigh del 203.0.113.2 dev op0");
	UNTIL(resolve("203.0.113.2").status == OUTER_NEIGH_UNRESOLVED);
}

/* Nobody answers: once the kernel gives up, a new generation lets workers ask again; and then it
 * answers. */
static void test_neighbour_that_comes_later(void **state)
{
	(void)state;
	NEED_ROOT();
	run("echo 100 > /proc/sys/net/ipv4/neigh/op0/retrans_time_ms");
	struct outer_result res = resolve("203.0.113.9");

	live(100);
	uint64_t generation = outer_generation(outer_snapshot_get(outer));

	assert_int_equal(res.status, OUTER_NEIGH_UNRESOLVED);
	assert_int_equal(outer_request_neigh(outer, res.ifindex, &res.next_hop), 0);
	UNTIL(outer_generation(outer_snapshot_get(outer)) > generation);
	assert_int_equal(resolve("203.0.113.9").status, OUTER_NEIGH_UNRESOLVED);
	/* without a request nothing moves */
	generation = outer_generation(outer_snapshot_get(outer));
	live(500);
	assert_int_equal(outer_generation(outer_snapshot_get(outer)), generation);
	run("nsenter -t %d -n ip addr add 203.0.113.9/24 dev oq0", child);
	assert_int_equal(outer_request_neigh(outer, res.ifindex, &res.next_hop), 0);
	UNTIL(resolve("203.0.113.9").status == OUTER_OK);
	run("nsenter -t %d -n ip addr del 203.0.113.9/24 dev oq0", child);
}

static void test_routes(void **state)
{
	(void)state;
	NEED_ROOT();
	run("ip neigh replace 203.0.113.2 dev op0 lladdr " PEER_MAC " nud permanent");
	run("ip neigh replace 2001:db8:e::2 dev op0 lladdr " PEER_MAC " nud permanent");
	run("ip route add default via 203.0.113.2");
	run("ip -6 route add default via 2001:db8:e::2");
	UNTIL(resolve("8.8.8.8").status == OUTER_OK && resolve("2001:4860::1").status == OUTER_OK);
	check_neigh("8.8.8.8", "203.0.113.1", 1500);
	check_neigh("2001:4860::1", "2001:db8:e::1", 1500);

	run("ip route add 192.0.2.0/24 via 203.0.113.2 mtu 1300");
	run("ip -6 route add 2001:db8:5::/48 via 2001:db8:e::2 mtu 1280");
	UNTIL(resolve("192.0.2.7").mtu == 1300 && resolve("2001:db8:5::1").mtu == 1280);
	run("ip route add blackhole 192.0.2.64/26 && ip -6 route add unreachable "
	    "2001:db8:5:6::/64");
	UNTIL(resolve("192.0.2.65").status == OUTER_NO_ROUTE &&
	      resolve("2001:db8:5:6::1").status == OUTER_NO_ROUTE);
	assert_int_equal(resolve("192.0.2.1").status, OUTER_OK);
	/* a table that is not main is nobody's business */
	run("ip route add table 99 192.0.2.128/25 dev lo");
	live(50);
	check_neigh("192.0.2.129", "203.0.113.1", 1300);
	/* IPv4 over an IPv6 next hop */
	run("ip route add 192.0.2.200/32 via inet6 2001:db8:e::2");
	UNTIL(resolve("192.0.2.200").next_hop.family == AF_INET6);
	check_neigh("192.0.2.200", "203.0.113.1", 1500);
	run("ip route replace 192.0.2.0/24 via 203.0.113.2");
	UNTIL(resolve("192.0.2.7").mtu == 1500);
	run("ip route del 192.0.2.0/24 && ip route del default");
	UNTIL(resolve("192.0.2.7").status == OUTER_NO_ROUTE);
	assert_int_equal(resolve("192.0.2.200").status, OUTER_OK);
}

/* When a link goes down the kernel drops IPv4 routes without a word. */
static void test_links(void **state)
{
	(void)state;
	NEED_ROOT();
	run("ip route add 10.0.0.0/8 via 203.0.113.2");
	run("ip neigh replace 203.0.113.2 dev op0 lladdr " PEER_MAC " nud permanent");
	UNTIL(resolve("10.1.1.1").status == OUTER_OK);
	run("ip link set op0 mtu 1400");
	UNTIL(resolve("10.1.1.1").mtu == 1400);
	run("ip link set op0 mtu 1500");
	UNTIL(resolve("10.1.1.1").mtu == 1500);
	run("nsenter -t %d -n ip link set oq0 down", child); /* carrier goes */
	UNTIL(resolve("10.1.1.1").status == OUTER_NO_ROUTE);
	assert_false(outer_link_get(outer_snapshot_get(outer), port0.ifindex)->up);
	run("nsenter -t %d -n ip link set oq0 up", child);
	UNTIL(resolve("10.1.1.1").status != OUTER_NO_ROUTE);
	run("ip link set op0 down");
	UNTIL(resolve("203.0.113.2").status == OUTER_NO_ROUTE);
	run("ip link set op0 up && ip addr replace 2001:db8:e::1/64 dev op0 nodad");
	UNTIL(resolve("203.0.113.2").status != OUTER_NO_ROUTE);
	assert_int_equal(resolve("10.1.1.1").status, OUTER_NO_ROUTE); /* the kernel forgot it too */
	/* a link that comes new, with everything */
	run("ip addr add 198.51.100.1/24 dev op1 && ip link set op1 up");
	UNTIL(resolve("198.51.100.2").status == OUTER_NOT_OUR_PORT);
	assert_int_equal(resolve("198.51.100.2").ifindex, if_nametoindex("op1"));
	const struct outer_port both[] = {port0, {.ifindex = if_nametoindex("op1"), .port_id = 6}};

	assert_int_equal(outer_set_ports(outer, both, 2), 0);
	assert_int_equal(resolve("198.51.100.2").status, OUTER_NEIGH_UNRESOLVED);
	assert_int_equal(resolve("198.51.100.2").port_id, 6);
	assert_int_equal(outer_set_ports(outer, both, OUTER_MAX_PORTS + 1), -EINVAL);
	/* ECMP: the way whose link has our source address */
	run("ip route add 10.9.0.0/16 nexthop via 203.0.113.2 nexthop via 198.51.100.2");
	UNTIL(resolve("10.9.0.1").status != OUTER_NO_ROUTE);
	const struct outer_addr dst = address("10.9.0.1"), a = address("203.0.113.1"),
				b = address("198.51.100.1");
	struct outer_result res;

	outer_resolve(outer_snapshot_get(outer), &dst, &a, &res);
	assert_int_equal(res.port_id, 5);
	outer_resolve(outer_snapshot_get(outer), &dst, &b, &res);
	assert_int_equal(res.port_id, 6);
	run("ip link del op1");
	UNTIL(resolve("198.51.100.2").status == OUTER_NO_ROUTE);
}

/* More changes at once than the monitor's buffer would like; in the end the picture is right. */
static void test_many_changes(void **state)
{
	(void)state;
	NEED_ROOT();
	run("i=0; while [ $i -lt 2000 ]; do echo route add 10.$((i/250)).$((i%%250)).0/24 via "
	    "203.0.113.2; "
	    "i=$((i+1)); done | ip -batch -");
	UNTIL(resolve("10.7.249.1").status != OUTER_NO_ROUTE);
	assert_true(resolve("10.0.0.1").status != OUTER_NO_ROUTE);
	assert_int_equal(resolve("10.8.0.1").status, OUTER_NO_ROUTE);
	unsigned published = changes;

	run("i=0; while [ $i -lt 2000 ]; do echo route del 10.$((i/250)).$((i%%250)).0/24; "
	    "i=$((i+1)); done | ip -batch -");
	UNTIL(resolve("10.7.249.1").status == OUTER_NO_ROUTE &&
	      resolve("10.0.0.1").status == OUTER_NO_ROUTE);
	assert_true(changes - published < 100); /* gathered */
}

static bool kernel_says(const char *state)
{
	return try_run("ip neigh show 203.0.113.2 dev op0 | grep -q %s", state);
}

/* A neighbour that only we use grows stale; we have the kernel confirm it. One that nobody uses is
 * left alone. */
static void test_stale_neighbours_are_probed(void **state)
{
	(void)state;
	NEED_ROOT();
	run("ip neigh replace 203.0.113.2 dev op0 lladdr " PEER_MAC " nud stale");
	live(5500);
	assert_true(kernel_says("STALE"));
	assert_int_equal(resolve("203.0.113.2").status, OUTER_OK); /* used now */
	uint64_t deadline = now_ms() + 7000;

	while (kernel_says("STALE") && now_ms() < deadline)
		live(100);
	assert_false(kernel_says("STALE"));
	assert_int_equal(resolve("203.0.113.2").status, OUTER_OK);
}

int main(void)
{
#define WITH_OUTER(test) cmocka_unit_test_setup_teardown(test, open_outer, close_outer)
	const struct CMUnitTest tests[] = {
		WITH_OUTER(test_first_snapshot), WITH_OUTER(test_addresses),
		WITH_OUTER(test_neighbours),	 WITH_OUTER(test_neighbour_that_comes_later),
		WITH_OUTER(test_routes),	 WITH_OUTER(test_links),
		WITH_OUTER(test_many_changes),	 WITH_OUTER(test_stale_neighbours_are_probed),
	};

	return cmocka_run_group_tests_name("outer", tests, setup, teardown);
}
