// SPDX-License-Identifier: BSD-3-Clause
// Inside of the running connector: its state, shared by the loop (connector.c) and its reports (report.c).
#ifndef SLUICE_CONNECTOR_INTERNAL_H
#define SLUICE_CONNECTOR_INTERNAL_H

#include <stdio.h>

#include "connector/config.h"
#include "connector/flows.h"
#include "connector/capacity.h"
#include "connector/link.h"
#include "connector/registrar.h"
#include "connector/stack.h"
#include "connector/status.h"

#define PATH_CONNECT_BUCKETS 12
extern const unsigned path_connect_ms[PATH_CONNECT_BUCKETS];

struct connector {
	const struct connector_config *config;
	char id[37];
	char hostname[254];
	uint8_t public_keys[SETTLE_SESSIONS_MAX][WG_KEY_BYTES];
	int epoll_fd, signal_fd;
	struct link_host host;
	struct link *links[REGISTRATION_EDGES_MAX];
	unsigned link_count;
	const struct stack_ops *stack_ops;
	struct stack *stack; /* NULL until the tunnel's MTU is known */
	unsigned mtu;
	struct flows *flows;
	struct registrar *registrar;
	struct status *status;
	struct capacity capacity;
	uint64_t now_ns; /* of this turn of the loop */
	uint64_t status_ms;
	uint64_t drain_until_ms; /* 0: not draining */
	bool stop, failed;
	struct {
		uint64_t refused_address, denied, malformed, no_session, lost_sessions;
	} stats;
	struct {
		uint64_t buckets[PATH_CONNECT_BUCKETS + 1], sum_ns; /* connections made, by latency */
		uint64_t refused, unreachable;
	} connect;
	uint64_t prohibited_since_ms; /* ICMP answers are counted from here for a second */
	unsigned prohibited;
	/* of links that are gone, so that counters never fall */
	struct session_counters past;
	uint64_t past_ports;
};

static inline uint64_t connector_ms(const struct connector *c)
{
	return c->now_ns / WG_NS_PER_MS;
}

/* From an edge into the private network, and back. `arg`: the connector. */
void path_inner(void *arg, struct session *s, const uint8_t *bytes, uint32_t length);
void path_output(void *arg, const uint8_t *bytes, uint32_t length);

unsigned connector_live_sessions(const struct connector *c);

/* Adds the counters of a session. */
void session_counters_add(struct session_counters *sum, const struct session_counters *one);

/* Prometheus text. `arg`: the connector. */
void connector_metrics(void *arg, FILE *out);

#endif
