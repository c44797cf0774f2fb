/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's environment and the memory of the edge. Main thread, at start and at the end. */
#ifndef DATAPLANE_CONTROL_EAL_H
#define DATAPLANE_CONTROL_EAL_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/control/config.h"

struct reclaim;

#define EAL_MAX_ARGS 32
#define EAL_ARG_LEN  300

/* Arguments for rte_eal_init, as text. */
struct eal_args {
	int n;
	char text[EAL_MAX_ARGS][EAL_ARG_LEN];
	bool huge;           /* hugepages are used */
	unsigned wanted_mb;  /* of memory from DPDK */
	unsigned found_mb;   /* free hugepages */
	char says[EAL_ARG_LEN]; /* one sentence about hugepages for the log */
};

/* Memory that the capacities ask of DPDK, in MiB. */
unsigned eal_wanted_mb(const struct edge_setup *setup);
/* Builds the arguments for a machine with found_mb of free hugepages. Pure. */
void eal_build_args(const struct edge_setup *setup, unsigned found_mb, struct eal_args *args);
/* Free hugepages of the machine in MiB, all sizes. */
unsigned eal_free_huge_mb(void);

/* Starts EAL. The lcore of worker i is i + 1. 0, or negative errno with a sentence in err. */
int eal_start(const struct edge_setup *setup, struct eal_args *args, char *err, size_t err_len);

/*
 * Pools, RCU variable, tables and shared arrays of the edge from its config (edge->config is set). *reclaim is the
 * queue of everything retired. 0 or -ENOMEM with a sentence in err; then edge_memory_free().
 */
int edge_memory_create(struct edge *edge, struct reclaim **reclaim, char *err, size_t err_len);
/* After workers and handshake thread ended. Waits for nothing. */
void edge_memory_free(struct edge *edge, struct reclaim *reclaim);

#endif
