/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the XDP program in the kernel share: veths in an own network namespace, one frame at a time. */
#ifndef SLUICE_BPF_STEER_BED_H
#define SLUICE_BPF_STEER_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
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

#endif
