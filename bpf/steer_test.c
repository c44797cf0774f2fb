// SPDX-License-Identifier: BSD-3-Clause
/*
 * The XDP program in the kernel: every fixture through BPF_PROG_TEST_RUN with verdict and counters;
 * then the loader on veths of an own network namespace. Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/fixtures.h"
#include "bpf/loader.h"

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
	usable =
		geteuid() == 0 && unshare(CLONE_NEWNET) == 0 &&
		system("ip link set lo up && ip link add sa0 numrxqueues 2 numtxqueues 2 type veth "
		       "peer name sb0 numrxqueues 2 numtxqueues 2 && ip link set sa0 up && "
		       "ip link set sb0 up") == 0;
	return 0;
}

static struct steer *open_on(const char *iface, enum steer_mode mode)
{
	const struct steer_config cfg = {.iface = iface, .mode = mode, .max_endpoints = 8};
	char err[256] = "";
	struct steer *steer = steer_open(&cfg, err, sizeof(err));

	if (!steer)
		fail_msg("steer_open: %s", err);
	return steer;
}

static struct steer_endpoint endpoint(int family, const char *addr, uint16_t port)
{
	struct steer_endpoint ep = {.port_be16 = htons(port), .family = (uint8_t)family};

	inet_pton(family, addr, ep.addr);
	return ep;
}

static void listen_fixture(struct steer *steer)
{
	const struct steer_endpoint eps[] = {endpoint(AF_INET, FIXTURE_V4, FIXTURE_PORT),
					     endpoint(AF_INET6, FIXTURE_V6, FIXTURE_PORT)};

	assert_int_equal(steer_set_endpoints(steer, eps, 2), 0);
}

/* Runs one frame; returns the XDP verdict. */
static uint32_t run(const struct steer *steer, const void *frame, size_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len,
		    .repeat = 1);
	int err = bpf_prog_test_run_opts(steer_prog_fd(steer), &opts);

	if (err)
		fail_msg("BPF_PROG_TEST_RUN: %s", strerror(-err));
	return opts.retval;
}

/* One fixture: the verdict, and exactly the counters that it names. */
static void check(const struct steer *steer, const struct fixture *f, int expect)
{
	static uint8_t buf[FIXTURE_MAX];
	struct steer_counters before, after;
	size_t len = fixture_build(f, buf);
	uint32_t verdict = expect == STEER_REDIRECTED			     ? XDP_REDIRECT
			   : expect == EXPECT_PASS || expect == STEER_KERNEL ? XDP_PASS
									     : XDP_DROP;

	assert_int_equal(steer_read_counters(steer, &before), 0);
	uint32_t got = run(steer, buf, len);

	assert_int_equal(steer_read_counters(steer, &after), 0);
	if (got != verdict)
		fail_msg("%s: verdict %u, not %u", f->name, got, verdict);
	for (int i = 0; i < STEER_COUNTERS; i++) {
		uint64_t want = 0, grown = after.c[i] - before.c[i];

		if (expect != EXPECT_PASS && (i == STEER_RX || i == expect))
			want = 1;
		if (expect != EXPECT_PASS && i == STEER_RX_BYTES)
			want = len;
		if (grown != want)
			fail_msg("%s: counter %d grew by %lu, not %lu", f->name, i, grown, want);
	}
}

static void deny_fixture(struct steer *steer, size_t n)
{
	struct steer_prefix prefixes[] = {{.len = 26, .family = AF_INET},
					  {.len = 48, .family = AF_INET6}};

	/* 192.0.2.64/26, given with host bits; and a v6 /48 */
	inet_pton(AF_INET, FIXTURE_DENY_V4, prefixes[0].addr);
	inet_pton(AF_INET6, FIXTURE_DENY_V6, prefixes[1].addr);
	assert_int_equal(steer_set_denied(steer, prefixes, n), 0);
}

static void test_every_branch(void **state)
{
	(void)state;
	NEED_ROOT();
	struct steer *steer = open_on("sa0", STEER_MODE_AUTO);
	int xsk = socket(AF_XDP, SOCK_RAW, 0);

	assert_true(xsk >= 0);
	listen_fixture(steer);
	deny_fixture(steer, 2);
	assert_int_equal(steer_set_socket(steer, 0, xsk), 0);
	for (size_t i = 0; i < N_FIXTURES; i++) {
		struct fixture f = fixture_get(i);

		check(steer, &f, f.expect);
	}

	/* no socket on the queue: the kernel gets it, and that is counted */
	assert_int_equal(steer_set_socket(steer, 0, -1), 0);
	check(steer, &fixtures[0], STEER_KERNEL);
	assert_int_equal(steer_set_socket(steer, 0, -1), 0);
	/* an empty deny list denies nobody */
	deny_fixture(steer, 0);
	const struct fixture denied = {.name = "no longer denied",
				       .family = 4,
				       .src = FIXTURE_DENY_V4,
				       .type = 4,
				       .payload = 64};
	check(steer, &denied, STEER_KERNEL);
	deny_fixture(steer, 1);
	check(steer, &denied, STEER_DROP_xdp_denied);
	assert_int_equal(steer_set_socket(steer, STEER_MAX_QUEUES, xsk), -EINVAL);
	close(xsk);
	steer_close(steer);
}

static struct steer_prefix prefix(int family, const char *addr, uint8_t len)
{
	struct steer_prefix p = {.len = len, .family = (uint8_t)family};

	inet_pton(family, addr, p.addr);
	return p;
}

static const struct fixture hello4 = {.name = "v4 initiation", .family = 4, .type = 1, .payload = 148};
static const struct fixture hello4_near = {
	.name = "v4 initiation, same /24", .family = 4, .src = "192.0.2.8", .type = 1, .payload = 148};
static const struct fixture hello4_far = {
	.name = "v4 initiation, elsewhere", .family = 4, .src = "198.51.100.1", .type = 1, .payload = 148};
static const struct fixture hello6 = {.name = "v6 initiation", .family = 6, .type = 1, .payload = 148};
static const struct fixture data4 = {.name = "v4 data", .family = 4, .type = 4, .payload = 64};

static void test_allow_list(void **state)
{
	(void)state;
	NEED_ROOT();
	struct steer *steer = open_on("sa0", STEER_MODE_AUTO);
	const struct steer_prefix list[] = {prefix(AF_INET, FIXTURE_PEER_V4, 24), prefix(AF_INET6, FIXTURE_PEER_V6, 48)};
	const struct steer_prefix wrong = {.len = 33, .family = AF_INET};

	listen_fixture(steer);
	assert_int_equal(steer_set_allowed(steer, list, 1), 0);
	check(steer, &data4, STEER_KERNEL);
	check(steer, &hello4_far, STEER_DROP_xdp_not_allowed);
	check(steer, &hello6, STEER_DROP_xdp_not_allowed);
	assert_int_equal(steer_set_allowed(steer, list, 2), 0);
	check(steer, &hello6, STEER_KERNEL);
	assert_int_equal(steer_set_allowed(steer, &wrong, 1), -EINVAL);
	check(steer, &hello6, STEER_KERNEL);

	/* the lists do not undo each other, and deny wins */
	assert_int_equal(steer_set_denied(steer, list, 1), 0);
	check(steer, &hello4_far, STEER_DROP_xdp_not_allowed);
	check(steer, &hello4, STEER_DROP_xdp_denied);
	assert_int_equal(steer_set_allowed(steer, NULL, 0), 0);
	check(steer, &hello4, STEER_DROP_xdp_denied);
	check(steer, &hello4_far, STEER_KERNEL);
	steer_close(steer);
}

#define HOUR_NS 3600000000000ULL

/* Two messages of one source and no third, three of one aggregate: the buckets do not fill up again within the test. */
static const struct steer_rates slow = {.source = {HOUR_NS, HOUR_NS}, .aggregate = {HOUR_NS, 2 * HOUR_NS}};

static void test_source_meter(void **state)
{
	(void)state;
	NEED_ROOT();
	struct steer *steer = open_on("sa0", STEER_MODE_AUTO);

	listen_fixture(steer);
	assert_int_equal(steer_set_rates(steer, &slow), 0);
	for (int i = 0; i < 4; i++) /* no load, no meter */
		check(steer, &hello4, STEER_KERNEL);
	assert_int_equal(steer_set_under_load(steer, true), 0);
	assert_int_equal(steer_set_denied(steer, NULL, 0), 0); /* undoes neither flag nor rates */
	assert_int_equal(steer_set_allowed(steer, NULL, 0), 0);
	check(steer, &hello4, STEER_KERNEL);
	check(steer, &hello4, STEER_KERNEL);
	check(steer, &hello4, STEER_DROP_xdp_source_rate);
	check(steer, &data4, STEER_KERNEL);		 /* data is not metered */
	check(steer, &hello4_near, STEER_KERNEL);	 /* the /24's third */
	check(steer, &hello4_near, STEER_DROP_xdp_source_rate);
	check(steer, &hello4_far, STEER_KERNEL);
	check(steer, &hello6, STEER_KERNEL);
	check(steer, &hello6, STEER_KERNEL);
	check(steer, &hello6, STEER_DROP_xdp_source_rate);
	assert_int_equal(steer_set_under_load(steer, false), 0);
	check(steer, &hello4, STEER_KERNEL);
	steer_close(steer);
}

static void test_known_endpoints(void **state)
{
	(void)state;
	NEED_ROOT();
	struct steer *steer = open_on("sa0", STEER_MODE_AUTO);
	const struct steer_prefix known[] = {prefix(AF_INET, FIXTURE_PEER_V4, 32), prefix(AF_INET6, FIXTURE_PEER_V6, 128)};
	struct steer_prefix wrong = prefix(AF_INET, FIXTURE_PEER_V4, 24);
	struct steer_rates rates = slow;

	/* five at once of the known ones; their budget is their own */
	rates.global[STEER_CLASS_KNOWN] = (struct steer_rate){HOUR_NS, 4 * HOUR_NS};
	listen_fixture(steer);
	assert_int_equal(steer_set_rates(steer, &rates), 0);
	assert_int_equal(steer_set_under_load(steer, true), 0);
	assert_int_equal(steer_set_known(steer, known, 2), 0);
	for (int i = 0; i < 4; i++)
		check(steer, &hello4, STEER_KERNEL);
	check(steer, &hello6, STEER_KERNEL);
	check(steer, &hello4, STEER_DROP_xdp_global_rate);
	check(steer, &hello4_far, STEER_KERNEL);
	assert_int_equal(steer_set_known(steer, &wrong, 1), -EINVAL);
	check(steer, &hello4, STEER_DROP_xdp_global_rate); /* a refusal changes nothing */
	assert_int_equal(steer_set_known(steer, known + 1, 1), 0);
	check(steer, &hello4, STEER_KERNEL); /* no longer known: metered by source */
	check(steer, &hello6, STEER_DROP_xdp_global_rate);
	steer_close(steer);
}

static void test_meter_capacities(void **state)
{
	const struct steer_config cfg = {.iface = "sa0", .max_allowed = 1, .max_known = 1};
	const struct steer_prefix two[] = {prefix(AF_INET, FIXTURE_PEER_V4, 32), prefix(AF_INET6, FIXTURE_PEER_V6, 128)};
	char err[256] = "";

	(void)state;
	NEED_ROOT();
	struct steer *steer = steer_open(&cfg, err, sizeof(err));

	assert_non_null(steer);
	for (int i = 0; i < 4; i++) { /* from one full set to another */
		assert_int_equal(steer_set_allowed(steer, &two[i % 2], 1), 0);
		assert_int_equal(steer_set_known(steer, &two[i % 2], 1), 0);
	}
	assert_int_equal(steer_set_allowed(steer, two, 2), -E2BIG);
	assert_int_equal(steer_set_known(steer, two, 2), -E2BIG);
	steer_close(steer);
}

static void test_listen_map_updates(void **state)
{
	(void)state;
	NEED_ROOT();
	struct steer *steer = open_on("sa0", STEER_MODE_AUTO);
	const struct fixture v4 = {.name = "v4", .family = 4, .type = 4, .payload = 64};
	const struct fixture v4_frag = {
		.name = "v4 fragment", .family = 4, .frag = 1, .type = 4, .payload = 64};
	const struct fixture v6 = {.name = "v6", .family = 6, .type = 4, .payload = 64};
	struct steer_endpoint eps[9];

	check(steer, &v4, EXPECT_PASS);
	check(steer, &v4_frag, EXPECT_PASS);
	listen_fixture(steer);
	check(steer, &v4, STEER_KERNEL);
	check(steer, &v6, STEER_KERNEL);
	check(steer, &v4_frag, STEER_DROP_xdp_fragment);

	eps[0] = endpoint(AF_INET6, FIXTURE_V6, FIXTURE_PORT);
	eps[1] = eps[0]; /* twice is once */
	assert_int_equal(steer_set_endpoints(steer, eps, 2), 0);
	check(steer, &v4, EXPECT_PASS);
	check(steer, &v4_frag, EXPECT_PASS);
	check(steer, &v6, STEER_KERNEL);

	/* refusals change nothing */
	for (int i = 0; i < 9; i++)
		eps[i] = endpoint(AF_INET, FIXTURE_V4, (uint16_t)(1000 + i));
	assert_int_equal(steer_set_endpoints(steer, eps, 9), -E2BIG);
	eps[1] = endpoint(AF_INET, "0.0.0.0", FIXTURE_PORT);
	assert_int_equal(steer_set_endpoints(steer, eps, 2), -EINVAL);
	eps[1] = endpoint(AF_INET, FIXTURE_V4, 0);
	assert_int_equal(steer_set_endpoints(steer, eps, 2), -EINVAL);
	eps[1].family = AF_UNIX;
	assert_int_equal(steer_set_endpoints(steer, eps, 2), -EINVAL);
	check(steer, &v6, STEER_KERNEL);
	/* to the brim, and from one full set to another */
	for (uint16_t base = 1000; base < 1003; base++) {
		for (int i = 0; i < 8; i++) {
			eps[i] = endpoint(AF_INET, "203.0.113.0", (uint16_t)(base + i));
			eps[i].addr[3] = (uint8_t)(base + i);
		}
		assert_int_equal(steer_set_endpoints(steer, eps, 8), 0);
	}
	assert_int_equal(steer_set_endpoints(steer, NULL, 0), 0);
	check(steer, &v6, EXPECT_PASS);
	steer_close(steer);
}

static uint32_t attached(const char *iface, uint32_t *drv, uint32_t *skb)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	assert_int_equal(bpf_xdp_query((int)if_nametoindex(iface), 0, &query), 0);
	*drv = query.drv_prog_id;
	*skb = query.skb_prog_id;
	return *drv | *skb;
}

static void test_modes_and_detach(void **state)
{
	uint32_t drv, skb;

	(void)state;
	NEED_ROOT();
	struct steer *steer = open_on("sa0", STEER_MODE_NATIVE);

	assert_true(steer_is_native(steer));
	attached("sa0", &drv, &skb);
	assert_true(drv && !skb);
	print_message("libxdp dispatcher: %s\n", steer_has_dispatcher(steer) ? "yes" : "no");
	steer_close(steer);
	assert_int_equal(attached("sa0", &drv, &skb), 0);

	steer = open_on("sa0", STEER_MODE_GENERIC);
	assert_false(steer_is_native(steer));
	attached("sa0", &drv, &skb);
	assert_true(skb && !drv);
	steer_close(steer);
	assert_int_equal(attached("sa0", &drv, &skb), 0);

	/* a device whose driver knows no XDP: auto falls back to generic */
	steer = open_on("lo", STEER_MODE_AUTO);
	assert_false(steer_is_native(steer));
	steer_close(steer);
	const struct steer_config cfg = {.iface = "lo", .mode = STEER_MODE_NATIVE};
	char err[256] = "";

	assert_null(steer_open(&cfg, err, sizeof(err)));
	assert_non_null(strstr(err, "interface lo"));
}

/* A child attaches and is killed: its program stays behind. Returns once the child is gone. */
static void crash_with(enum steer_mode mode)
{
	int pipefd[2];
	char c;

	assert_int_equal(pipe(pipefd), 0);
	pid_t pid = fork();

	if (pid == 0) {
		const struct steer_config cfg = {.iface = "sa0", .mode = mode};
		char err[256];
		struct steer *steer = steer_open(&cfg, err, sizeof(err));

		if (steer && write(pipefd[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_true(pid > 0);
	close(pipefd[1]);
	assert_int_equal(read(pipefd[0], &c, 1), 1);
	close(pipefd[0]);

	/* while it lives, nobody takes its place */
	const struct steer_config cfg = {.iface = "sa0"};
	char err[256] = "";

	assert_null(steer_open(&cfg, err, sizeof(err)));
	assert_non_null(strstr(err, "another running edge"));
	assert_int_equal(steer_cleanup("sa0"), -EBUSY);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_crash_leftover(void **state)
{
	static const enum steer_mode modes[] = {STEER_MODE_NATIVE, STEER_MODE_GENERIC};
	uint32_t drv, skb, old;

	(void)state;
	NEED_ROOT();
	for (int left = 0; left < 2; left++) {
		for (int next = 0; next < 2; next++) {
			crash_with(modes[left]);
			old = attached("sa0", &drv, &skb);
			assert_true(old);
			struct steer *steer = open_on("sa0", modes[next]);

			attached("sa0", &drv, &skb);
			assert_true(next == 0 ? drv && !skb : skb && !drv);
			assert_true((drv | skb) != old);
			steer_close(steer);
			assert_int_equal(attached("sa0", &drv, &skb), 0);
		}
	}
	crash_with(STEER_MODE_NATIVE);
	assert_int_equal(steer_cleanup("sa0"), 1);
	assert_int_equal(steer_cleanup("sa0"), 0);
	assert_int_equal(attached("sa0", &drv, &skb), 0);
}

static int load_foreign(void)
{
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "someone_else", "GPL", pass, 2, NULL);
}

static void test_foreign_program(void **state)
{
	static const uint32_t flags[] = {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
	const struct steer_config cfg = {.iface = "sa0"};
	int ifindex;
	uint32_t drv, skb;
	char err[256];

	(void)state;
	NEED_ROOT();
	ifindex = (int)if_nametoindex("sa0");
	int fd = load_foreign();

	assert_true(fd >= 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(bpf_xdp_attach(ifindex, fd, flags[i], NULL), 0);
		assert_null(steer_open(&cfg, err, sizeof(err)));
		assert_non_null(strstr(err, "someone_else"));
		assert_int_equal(steer_cleanup("sa0"), -EBUSY);
		assert_true(attached("sa0", &drv, &skb)); /* still there */
		assert_int_equal(bpf_xdp_detach(ifindex, flags[i], NULL), 0);
	}
	/* somebody replaced our program while we ran: close leaves theirs alone */
	struct steer *steer = open_on("sa0", STEER_MODE_NATIVE);

	if (!steer_has_dispatcher(steer)) {
		assert_int_equal(bpf_xdp_attach(ifindex, fd, XDP_FLAGS_DRV_MODE, NULL), 0);
		steer_close(steer);
		assert_true(attached("sa0", &drv, &skb));
		assert_int_equal(bpf_xdp_detach(ifindex, XDP_FLAGS_DRV_MODE, NULL), 0);
	} else {
		steer_close(steer);
	}
	close(fd);
}

static void test_open_errors(void **state)
{
	const struct steer_config cfg = {.iface = "sluice-none"};
	char err[256] = "";

	(void)state;
	NEED_ROOT();
	assert_null(steer_open(&cfg, err, sizeof(err)));
	assert_non_null(strstr(err, "sluice-none"));
	assert_int_equal(steer_cleanup("sluice-none"), -ENODEV);
	steer_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_branch),	 cmocka_unit_test(test_listen_map_updates),
		cmocka_unit_test(test_allow_list),	 cmocka_unit_test(test_source_meter),
		cmocka_unit_test(test_known_endpoints),	 cmocka_unit_test(test_meter_capacities),
		cmocka_unit_test(test_modes_and_detach), cmocka_unit_test(test_crash_leftover),
		cmocka_unit_test(test_foreign_program),	 cmocka_unit_test(test_open_errors),
	};

	return cmocka_run_group_tests_name("steer", tests, setup, NULL);
}
