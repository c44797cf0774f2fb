// SPDX-License-Identifier: BSD-3-Clause
/* Opens ports of every kind from one small configuration, and what does not depend on the kind. */
#include "dataplane/ports/port.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/ports/port_kinds.h"

#define DEFAULT_RING_SIZE 2048

static bool config_ok(const struct port_config *cfg, char *err, size_t err_size)
{
	if (!cfg->name || !*cfg->name)
		snprintf(err, err_size, "port %u: no name", cfg->id);
	else if (!cfg->pool)
		snprintf(err, err_size, "port %s: no packet buffers", cfg->name);
	else if (cfg->n_queues < 1 || cfg->n_queues > PORT_MAX_QUEUES)
		snprintf(err, err_size, "port %s: queues %u is not in 1..%d", cfg->name,
			 cfg->n_queues, PORT_MAX_QUEUES);
	else if (cfg->ring_size < 64 || cfg->ring_size > 4096 ||
		 (cfg->ring_size & (cfg->ring_size - 1)))
		snprintf(err, err_size, "port %s: ring size %u is not a power of two in 64..4096",
			 cfg->name, cfg->ring_size);
	else
		return true;
	return false;
}

struct port *port_open(const struct port_config *given, char *err, size_t err_size)
{
	struct port_config cfg = *given;

	if (!cfg.ring_size)
		cfg.ring_size = DEFAULT_RING_SIZE;
	if (!config_ok(&cfg, err, err_size))
		return NULL;
	return cfg.kind == PORT_KIND_XSK ? xsk_port_open(&cfg, err, err_size)
					 : ethdev_port_open(&cfg, err, err_size);
}

void port_close(struct port *port)
{
	if (port)
		port->ops->close(port);
}

struct steer *port_steer(const struct port *port)
{
	return port->kind == PORT_KIND_XSK ? xsk_port_steer(port) : NULL;
}

int port_refresh(struct port *port)
{
	return port->kind == PORT_KIND_XSK ? xsk_port_refresh(port) : ethdev_port_refresh(port);
}

uint32_t port_max_frame(const struct port *port)
{
	uint32_t by_mtu = port->mtu + PORT_L2_OVERHEAD;

	return by_mtu < port->buffer_room ? by_mtu : port->buffer_room;
}

void port_stats_copy(struct port_stats *out, const struct port_stats *live)
{
	const uint64_t *from = (const uint64_t *)live;
	uint64_t *to = (uint64_t *)out;

	static_assert(sizeof(*out) % sizeof(*to) == 0, "only 64-bit words");
	for (size_t i = 0; i < sizeof(*out) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}
