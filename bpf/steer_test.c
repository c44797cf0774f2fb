// SPDX-License-Identifier: BSD-3-Clause
/*
 * The XDP program in the kernel: every fixture through BPF_PROG_TEST_RUN with verdict and counters;
 * then the loader on veths of an own network namespace. Needs root.
 */
#include "bpf/steer_bed.h"

#include <linux/if_link.h>
#include <signal.h>
#include <sys/wait.h>

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
		cmocka_unit_test(test_modes_and_detach), cmocka_unit_test(test_crash_leftover),
		cmocka_unit_test(test_foreign_program),	 cmocka_unit_test(test_open_errors),
	};

	return cmocka_run_group_tests_name("steer", tests, setup, NULL);
}
