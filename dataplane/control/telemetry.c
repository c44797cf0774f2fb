// SPDX-License-Identifier: BSD-3-Clause
// Counters by DPDK telemetry. EAL calls from threads of its own, one for each connection.
#include "dataplane/control/telemetry.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_telemetry.h>

#include "dataplane/control/counters.h"
#include "dataplane/drop_reasons.h"

_Static_assert(DROP_REASON_COUNT <= RTE_TEL_MAX_DICT_ENTRIES, "a reason would be left out");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct edge *served; /* under lock; NULL: none (any more) */

/* A copy of all counters, heap; NULL when there is no edge (any more). */
static struct counters *copy(void)
{
	struct counters *c = NULL;

	pthread_mutex_lock(&lock);
	if (served)
		c = malloc(sizeof(*c));
	if (c)
		counters_read(served, c);
	pthread_mutex_unlock(&lock);
	return c;
}

static struct counters *copy_sums(struct counter_totals *t)
{
	struct counters *c = copy();

	if (c)
		counters_sum(c, t);
	return c;
}

static int on_totals(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct counter_totals t;
	struct counters *c = copy_sums(&t);
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"rx_packets", t.rx_packets},
		{"rx_bytes", t.rx_bytes},
		{"tx_packets", t.tx_packets},
		{"tx_bytes", t.tx_bytes},
		{"originated_packets", t.originated},
		{"originated_dropped", t.originated_dropped},
		{"kernel_packets", t.kernel},
		{"consumed_packets", t.consumed},
		{"dropped_packets", t.dropped},
		{"handshakes", t.handshakes},
		{"sessions", t.sessions},
		{"flows", t.flows},
		{"handoff_packets", t.handoffs},
		{"flows_created", t.flows_created},
		{"flows_ended", t.flows_ended},
	};

	(void)cmd, (void)params;
	if (!c)
		return -1;
	rte_tel_data_start_dict(d);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		rte_tel_data_add_dict_u64(d, rows[i].name, rows[i].value);
	free(c);
	return 0;
}

static int on_drops(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct counter_totals t;
	struct counters *c = copy_sums(&t);

	(void)cmd, (void)params;
	if (!c)
		return -1;
	rte_tel_data_start_dict(d);
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		rte_tel_data_add_dict_u64(d, drop_reason_name(r), t.drops[r]);
	free(c);
	return 0;
}

static void add_worker(struct rte_tel_data *d, const char *name, const struct counted_worker *w)
{
	struct rte_tel_data *one = rte_tel_data_alloc();

	if (!one)
		return;
	rte_tel_data_start_dict(one);
	rte_tel_data_add_dict_u64(one, "core", w->core);
	rte_tel_data_add_dict_u64(one, "rx_packets", w->c.rx_packets);
	rte_tel_data_add_dict_u64(one, "tx_packets", w->c.tx_packets);
	rte_tel_data_add_dict_u64(one, "handoff_in", w->c.handoff_in);
	rte_tel_data_add_dict_u64(one, "handoff_out", w->c.handoff_out);
	rte_tel_data_add_dict_u64(one, "loops", w->c.loops);
	rte_tel_data_add_dict_u64(one, "busy_cycles", w->c.busy_cycles);
	rte_tel_data_add_dict_u64(one, "flows", w->flows);
	rte_tel_data_add_dict_u64(one, "sessions", w->sessions);
	rte_tel_data_add_dict_container(d, name, one, 0);
}

static int on_workers(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct counters *c = copy();

	(void)cmd, (void)params;
	if (!c)
		return -1;
	rte_tel_data_start_dict(d);
	for (unsigned i = 0; i < c->n_workers; i++) {
		char name[24];

		snprintf(name, sizeof(name), "worker%u", i);
		add_worker(d, name, &c->workers[i]);
	}
	free(c);
	return 0;
}

int telemetry_start(const struct edge *edge)
{
	int rc;

	pthread_mutex_lock(&lock);
	served = edge;
	pthread_mutex_unlock(&lock);
	rc = rte_telemetry_register_cmd("/sluice/totals", on_totals, "Packets, bytes, sessions and flows. No parameters.");
	if (!rc)
		rc = rte_telemetry_register_cmd("/sluice/drops", on_drops, "Packets dropped, by reason. No parameters.");
	if (!rc)
		rc = rte_telemetry_register_cmd("/sluice/workers", on_workers, "Counters of each worker. No parameters.");
	return rc;
}

void telemetry_stop(void)
{
	pthread_mutex_lock(&lock);
	served = NULL;
	pthread_mutex_unlock(&lock);
}
