// SPDX-License-Identifier: BSD-3-Clause
// The worker's classifier against the fixtures of the XDP program: each packet ends for the same reason in both.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bpf/fixtures.h"
#include "dataplane/testbed/testbed.h"

/* Reasons of the front door as a worker names them; the deny list is XDP's alone. */
static const struct {
	int xdp;
	enum drop_reason worker;
} same[] = {
	{STEER_DROP_xdp_malformed, DROP_outer_malformed}, {STEER_DROP_xdp_fragment, DROP_outer_fragment},
	{STEER_DROP_xdp_checksum, DROP_outer_checksum},   {STEER_DROP_xdp_type, DROP_wg_type},
	{STEER_DROP_xdp_length, DROP_wg_length},          {EXPECT_PASS, DROP_outer_not_ours},
};

#define N_SAME (sizeof(same) / sizeof(same[0]))

static void listen_on(struct testbed *bed)
{
	struct edge_config *c = &bed->edge.config;

	c->n_listen = 2;
	c->listen[0] = (struct listen_address){.family = 4, .port = FIXTURE_PORT};
	c->listen[1] = (struct listen_address){.family = 6, .port = FIXTURE_PORT};
	inet_pton(AF_INET, FIXTURE_V4, c->listen[0].address);
	inet_pton(AF_INET6, FIXTURE_V6, c->listen[1].address);
}

static void test_same_verdicts(void **state)
{
	struct testbed *bed = testbed_create(1, 1);
	static uint8_t frame[FIXTURE_MAX];
	unsigned compared = 0;

	(void)state;
	listen_on(bed);
	for (size_t i = 0; i < N_FIXTURES; i++) {
		struct fixture f = fixture_get(i);
		size_t len = fixture_build(&f, frame);
		uint64_t before[N_SAME], others = 0;

		if (f.expect == STEER_DROP_xdp_denied || len > 1800)
			continue;
		for (size_t k = 0; k < N_SAME; k++)
			before[k] = testbed_drops(bed, same[k].worker);
		testbed_inject(bed, 0, frame, (unsigned)len);
		testbed_run(bed);
		for (size_t k = 0; k < N_SAME; k++) {
			uint64_t grown = testbed_drops(bed, same[k].worker) - before[k];

			others += grown;
			if (same[k].xdp == f.expect && grown != 1)
				fail_msg("%s: the worker does not drop it as %s", f.name, drop_reason_name(same[k].worker));
		}
		/* what XDP lets in is judged by the session, or by the handshake thread */
		if (others != (f.expect != STEER_REDIRECTED))
			fail_msg("%s: %lu reasons of the front door", f.name, (unsigned long)others);
		compared++;
	}
	assert_true(compared >= 200);
	assert_true(testbed_conserved(bed));
	testbed_destroy(bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_verdicts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
