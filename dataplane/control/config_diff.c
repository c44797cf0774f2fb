// SPDX-License-Identifier: BSD-3-Clause
// What a file that is read again would change.
#include "dataplane/control/config.h"

#include <stdio.h>
#include <string.h>

static void name(char *out, size_t len, const char *key, bool differs)
{
	size_t n = strlen(out);

	if (differs)
		snprintf(out + n, len - n, "%s%s", n ? ", " : "", key);
}

static bool capacities_differ(const struct edge_config *a, const struct edge_config *b)
{
	return a->cap_peers != b->cap_peers || a->cap_sessions != b->cap_sessions || a->cap_flows != b->cap_flows ||
	       a->cap_vnets != b->cap_vnets || a->cap_accounts != b->cap_accounts || a->cap_tunnels != b->cap_tunnels ||
	       a->cap_clients != b->cap_clients || a->cap_connectors != b->cap_connectors || a->cap_routes != b->cap_routes ||
	       a->cap_mbufs != b->cap_mbufs || a->cap_rules != b->cap_rules;
}

static bool ports_differ(const struct edge_setup *a, const struct edge_setup *b)
{
	if (a->n_ports != b->n_ports)
		return true;
	for (unsigned i = 0; i < a->n_ports; i++)
		if (a->ports[i].kind != b->ports[i].kind || a->ports[i].queues != b->ports[i].queues ||
		    strcmp(a->ports[i].name, b->ports[i].name) != 0)
			return true;
	return false;
}

static bool key_files_differ(const struct edge_setup *a, const struct edge_setup *b)
{
	bool differ = a->config.n_keys != b->config.n_keys;

	for (unsigned i = 0; i < EDGE_MAX_KEYS; i++)
		differ |= strcmp(a->key_files[i], b->key_files[i]) != 0;
	return differ;
}

void edge_setup_differs(const struct edge_setup *running, const struct edge_setup *file, char *out, size_t len)
{
	const struct edge_config *old = &running->config, *fresh = &file->config;

	out[0] = '\0';
	name(out, len, "edge-id", strcmp(old->edge_id, fresh->edge_id) != 0);
	name(out, len, "ctrl-socket", strcmp(old->ctrl_socket, fresh->ctrl_socket) != 0);
	name(out, len, "socket", strcmp(old->socket, fresh->socket) != 0);
	name(out, len, "state-dir", strcmp(old->state_dir, fresh->state_dir) != 0);
	name(out, len, "metrics", strcmp(old->metrics, fresh->metrics) != 0);
	name(out, len, "workers", old->n_workers != fresh->n_workers);
	name(out, len, "cores", old->n_workers == fresh->n_workers &&
					memcmp(old->worker_cores, fresh->worker_cores, old->n_workers * sizeof(old->worker_cores[0])) != 0);
	name(out, len, "listen", old->n_listen != fresh->n_listen ||
					 memcmp(old->listen, fresh->listen, old->n_listen * sizeof(old->listen[0])) != 0);
	name(out, len, "edge-number", old->edge_number_bits != fresh->edge_number_bits || old->edge_number != fresh->edge_number);
	name(out, len, "poll", old->busy_poll != fresh->busy_poll);
	name(out, len, "flow-log", old->flow_log.on != fresh->flow_log.on || old->flow_log.max_bytes != fresh->flow_log.max_bytes ||
					   old->flow_log.keep != fresh->flow_log.keep ||
					   strcmp(old->flow_log.file, fresh->flow_log.file) != 0);
	name(out, len, "capacities", capacities_differ(old, fresh));
	name(out, len, "ports", ports_differ(running, file));
	name(out, len, "huge-pages", running->huge_pages != file->huge_pages);
	name(out, len, "memory-mb", running->memory_mb != file->memory_mb);
	name(out, len, "groups", strcmp(running->group_write, file->group_write) != 0 || strcmp(running->group_read, file->group_read) != 0);
	name(out, len, "private-key-file", key_files_differ(running, file));
}

bool edge_config_advertise(struct edge_config *config, const struct edge_config *fresh)
{
	if (config->n_advertise == fresh->n_advertise && !memcmp(config->advertise, fresh->advertise, sizeof(config->advertise)))
		return false;
	config->n_advertise = fresh->n_advertise;
	memcpy(config->advertise, fresh->advertise, sizeof(config->advertise));
	return true;
}
