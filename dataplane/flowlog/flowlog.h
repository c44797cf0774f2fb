/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The flow log: records of the workers become lines of JSON in memory (tail.h), and from there go into a file and to whoever
 * reads edge.sock.
 *
 *   workers        one ring each; a full ring drops the record and counts
 *   lines thread   rings → lines; never waits for anybody
 *   file thread    lines → file; a slow disk or FIFO loses lines once the memory is used up, and counts
 */
#ifndef DATAPLANE_FLOWLOG_FLOWLOG_H
#define DATAPLANE_FLOWLOG_FLOWLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/flowlog/cards.h"
#include "dataplane/flowlog/record.h"
#include "dataplane/flowlog/tail.h"

#define FLOW_LOG_MAX_WORKERS 16
#define FLOW_LOG_RING        4096 /* records of a worker */
#define FLOW_LOG_MEMORY      (8u << 20)

struct flow_log_config {
	unsigned workers;
	char file[256]; /* "": lines stay in memory */
	uint64_t max_bytes;
	unsigned keep;
	unsigned ring; /* records of a worker, a power of two; 0: FLOW_LOG_RING */
	size_t memory; /* bytes of lines kept, a power of two; 0: FLOW_LOG_MEMORY */
};

struct flow_log;

/* Made without threads: flow_log_pump and flow_log_pump_file do their work. NULL when memory is short. */
struct flow_log *flow_log_create(const struct flow_log_config *config, struct cards *cards);
/* Starts the two threads. 0 or negative errno. */
int flow_log_start(struct flow_log *log);
/* Ends them, after what the rings hold has become lines and, within two seconds, been written. */
void flow_log_stop(struct flow_log *log);
/* NULL is allowed. */
void flow_log_destroy(struct flow_log *log);

/* Worker number i puts its records here. */
struct flow_ring *flow_log_ring(struct flow_log *log, unsigned i);
/* Where readers begin. */
struct tail *flow_log_tail(struct flow_log *log);
/* True if the line is of this client (name, e-mail or id). */
bool flow_log_is_client(struct flow_log *log, const struct tail_line *line, const char *text);

/* One round of each thread's work: records made lines; bytes written or negative errno. */
unsigned flow_log_pump(struct flow_log *log);
long flow_log_pump_file(struct flow_log *log);

struct flow_log_stats {
	uint64_t lines;         /* made */
	uint64_t ring_dropped;  /* records that found a worker's ring full */
	uint64_t file_lost;     /* lines that the file was too slow for */
	uint64_t readers_lost;  /* lines that readers of edge.sock were too slow for */
	uint64_t file_bytes;    /* written */
	int file_error;         /* errno why the file is not written now; 0: all is well */
};
void flow_log_stats(struct flow_log *log, struct flow_log_stats *out);
/* A reader of edge.sock has lost n lines. */
void flow_log_reader_lost(struct flow_log *log, uint64_t n);

#endif
