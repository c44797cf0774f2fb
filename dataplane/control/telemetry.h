/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The edge's counters for DPDK's own tools (dpdk-telemetry.py, Telegraf, collectd): /sluice/totals, /sluice/drops and
 * /sluice/workers on EAL's telemetry socket. The same numbers as show.counters, show.drops and show.workers give.
 */
#ifndef DATAPLANE_CONTROL_TELEMETRY_H
#define DATAPLANE_CONTROL_TELEMETRY_H

struct edge;

/* Registers the commands; they answer from `edge` until telemetry_stop. 0 or −errno. Control thread, once a process. */
int telemetry_start(const struct edge *edge);
/* From here on nothing of the edge is touched: EAL cannot take commands back, they answer with an error. Control thread. */
void telemetry_stop(void);

#endif
