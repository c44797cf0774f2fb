// SPDX-License-Identifier: BSD-3-Clause
/* The allow list and the handshake meters of the XDP program, set through the loader. Needs root. */
#include "bpf/steer_bed.h"

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

static const struct fixture no_mac2 = {
	.name = "v4 initiation without MAC2", .family = 4, .type = 1, .payload = 148, .no_mac2 = true};
static const struct fixture response_no_mac2 = {
	.name = "v4 response without MAC2", .family = 4, .type = 2, .payload = 92, .no_mac2 = true};
static const struct fixture response = {.name = "v4 response", .family = 4, .type = 2, .payload = 92};

/* Messages with a MAC2 have a budget that a flood without cannot spend. */
static void test_mac2_budget(void **state)
{
	const struct steer_rates rates = {
		.global = {[STEER_CLASS_NEW] = {HOUR_NS, HOUR_NS}, [STEER_CLASS_MAC2] = {HOUR_NS, HOUR_NS}}};

	(void)state;
	NEED_ROOT();
	struct steer *steer = open_on("sa0", STEER_MODE_AUTO);

	listen_fixture(steer);
	assert_int_equal(steer_set_rates(steer, &rates), 0);
	assert_int_equal(steer_set_under_load(steer, true), 0);
	check(steer, &no_mac2, STEER_KERNEL);
	check(steer, &response_no_mac2, STEER_KERNEL);
	check(steer, &no_mac2, STEER_DROP_xdp_global_rate);
	check(steer, &response_no_mac2, STEER_DROP_xdp_global_rate);
	check(steer, &hello4, STEER_KERNEL);
	check(steer, &response, STEER_KERNEL);
	check(steer, &hello4, STEER_DROP_xdp_global_rate);
	steer_close(steer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allow_list),  cmocka_unit_test(test_source_meter), cmocka_unit_test(test_known_endpoints),
		cmocka_unit_test(test_mac2_budget), cmocka_unit_test(test_meter_capacities),
	};

	return cmocka_run_group_tests_name("steer_meter", tests, setup, NULL);
}
