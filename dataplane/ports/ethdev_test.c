// SPDX-License-Identifier: BSD-3-Clause
/* Ports on DPDK's virtual devices: a ring that gives back what was sent, and the null device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <rte_mempool.h>
#include <string.h>

#include "dataplane/ports/eal_testing.h"
#include "dataplane/ports/port.h"

static struct rte_mempool *pool;

static int setup(void **state)
{
	(void)state;
	if (!eal_testing_init())
		return -1;
	pool = eal_testing_pool("ethdev_test", 4095, RTE_MBUF_DEFAULT_BUF_SIZE);
	return pool ? 0 : -1;
}

static struct port *open_port(const char *name, uint16_t ring_size)
{
	const struct port_config cfg = {.kind = PORT_KIND_ETHDEV,
					.id = 7,
					.n_queues = 1,
					.ring_size = ring_size,
					.name = name,
					.pool = pool};
	char err[256] = "";
	struct port *port = port_open(&cfg, err, sizeof(err));

	if (!port)
		fail_msg("port_open: %s", err);
	return port;
}

static struct rte_mbuf *packet(uint16_t len, uint8_t seed)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	char *data = rte_pktmbuf_append(m, len);

	assert_non_null(data);
	for (uint16_t i = 0; i < len; i++)
		data[i] = (char)(seed + i);
	return m;
}

static void test_ring_gives_back(void **state)
{
	(void)state;
	struct port *port = open_port("net_ring0", 1024);
	struct rte_mbuf *out[32], *in[64];
	struct port_stats stats;
	uint64_t bytes = 0;

	assert_int_equal(port->kind, PORT_KIND_ETHDEV);
	assert_string_equal(port->name, "net_ring0");
	assert_string_equal(port->mode, "net_ring");
	assert_int_equal(port->id, 7);
	assert_null(port_steer(port));
	assert_int_equal(port_rx_fd(port, 0), -1);
	assert_int_equal(port_rx_burst(port, 0, in, 64), 0);
	for (uint8_t i = 0; i < 32; i++) {
		out[i] = packet((uint16_t)(60 + i * 40), i);
		bytes += 60U + i * 40U;
	}
	assert_int_equal(port_tx_burst(port, 0, out, 32), 32);
	port_flush(port, 0);
	assert_int_equal(port_rx_burst(port, 0, in, 64), 32);
	for (uint8_t i = 0; i < 32; i++) {
		const uint8_t *data = rte_pktmbuf_mtod(in[i], const uint8_t *);

		assert_int_equal(in[i]->data_len, 60 + i * 40);
		assert_int_equal(in[i]->port, 7);
		for (uint16_t k = 0; k < in[i]->data_len; k++)
			assert_int_equal(data[k], (uint8_t)(i + k));
		rte_pktmbuf_free(in[i]);
	}
	assert_true(port_before_sleep(port, 0));
	assert_int_equal(port_read_stats(port, 0, &stats), 0);
	assert_int_equal(stats.tx_packets, 32);
	assert_int_equal(stats.rx_packets, 32);
	assert_int_equal(stats.tx_bytes, bytes);
	assert_int_equal(stats.rx_bytes, bytes);
	assert_int_equal(stats.tx_dropped, 0);
	assert_int_equal(port_read_stats(port, 1, &stats), -EINVAL);
	port_close(port);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void test_tx_takes_everything(void **state)
{
	(void)state;
	struct port *port = open_port("net_ring1", 64);
	struct rte_mbuf *burst[64], *in[64];
	struct port_stats stats;
	unsigned sent = 0, back = 0, got;

	/* until the ring is full: what does not fit is freed and counted */
	for (int round = 0; round < 60; round++) {
		for (uint8_t i = 0; i < 64; i++)
			burst[i] = packet(100, i);
		sent += port_tx_burst(port, 0, burst, 64);
	}
	assert_int_equal(port_read_stats(port, 0, &stats), 0);
	assert_int_equal(stats.tx_packets, sent);
	assert_int_equal(stats.tx_packets + stats.tx_dropped, 60 * 64);
	assert_true(stats.tx_dropped > 0);
	assert_int_equal(stats.tx_unsendable, 0);
	assert_int_equal(stats.tx_bytes, 100ULL * sent);
	assert_int_equal(rte_mempool_in_use_count(pool), sent);
	while ((got = port_rx_burst(port, 0, in, 64))) {
		rte_pktmbuf_free_bulk(in, got);
		back += got;
	}
	assert_int_equal(back, sent);

	/* chained, too long, empty */
	burst[0] = packet(100, 0);
	assert_int_equal(rte_pktmbuf_chain(burst[0], packet(100, 0)), 0);
	burst[1] = packet((uint16_t)(port_max_frame(port) + 1), 0);
	burst[2] = packet(0, 0);
	burst[3] = packet((uint16_t)port_max_frame(port), 0);
	uint64_t dropped = stats.tx_dropped;

	assert_int_equal(port_tx_burst(port, 0, burst, 4), 1);
	assert_int_equal(port_read_stats(port, 0, &stats), 0);
	assert_int_equal(stats.tx_unsendable, 3);
	assert_int_equal(stats.tx_dropped, dropped + 3);
	assert_int_equal(port_rx_burst(port, 0, in, 64), 1);
	assert_int_equal(in[0]->data_len, port_max_frame(port));
	rte_pktmbuf_free(in[0]);
	port_close(port);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void test_null_device(void **state)
{
	(void)state;
	struct port *port = open_port("net_null0,size=200", 0);
	struct rte_mbuf *in[64];
	struct port_stats stats;

	assert_string_equal(port->name, "net_null0");
	assert_int_equal(port_rx_burst(port, 0, in, 64), 64);
	for (int i = 0; i < 64; i++)
		assert_int_equal(in[i]->pkt_len, 200);
	assert_int_equal(port_tx_burst(port, 0, in, 64), 64);
	assert_int_equal(port_read_stats(port, 0, &stats), 0);
	assert_int_equal(stats.rx_bytes, 64 * 200);
	assert_int_equal(stats.tx_bytes, 64 * 200);
	assert_int_equal(port_refresh(port), 0);
	assert_int_equal(port->mtu, 1500);
	port_close(port);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void test_refusals(void **state)
{
	const struct port_config good = {
		.kind = PORT_KIND_ETHDEV, .n_queues = 1, .name = "net_null9", .pool = pool};
	struct port_config cfg;
	char err[256];

	(void)state;
#define REFUSED(change, word)                                   \
	do {                                                    \
		cfg = good;                                     \
		change;                                         \
		err[0] = '\0';                                  \
		assert_null(port_open(&cfg, err, sizeof(err))); \
		assert_non_null(strstr(err, word));             \
	} while (0)
	REFUSED(cfg.name = "", "no name");
	REFUSED(cfg.name = NULL, "no name");
	REFUSED(cfg.pool = NULL, "net_null9");
	REFUSED(cfg.n_queues = 0, "queues 0");
	REFUSED(cfg.n_queues = PORT_MAX_QUEUES + 1, "queues 65");
	REFUSED(cfg.ring_size = 32, "ring size 32");
	REFUSED(cfg.ring_size = 100, "ring size 100");
	REFUSED(cfg.ring_size = 8192, "ring size 8192");
	REFUSED(cfg.name = "net_no_such_driver0", "net_no_such_driver0");
	port_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring_gives_back),
		cmocka_unit_test(test_tx_takes_everything),
		cmocka_unit_test(test_null_device),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests_name("ethdev", tests, setup, NULL);
}
