// SPDX-License-Identifier: BSD-3-Clause
// The configuration file once more.
#include "dataplane/control/reread.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/control/config.h"
#include "dataplane/control/net.h"
#include "lib/log.h"

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

void reread_needs_restart(const struct edge_config *old, const struct edge_config *fresh, char *out, size_t len)
{
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
}

bool reread_advertise(struct edge_config *config, const struct edge_config *fresh)
{
	if (config->n_advertise == fresh->n_advertise && !memcmp(config->advertise, fresh->advertise, sizeof(config->advertise)))
		return false;
	config->n_advertise = fresh->n_advertise;
	memcpy(config->advertise, fresh->advertise, sizeof(config->advertise));
	return true;
}

void reread(const char *path, struct edge *edge, struct net *net)
{
	static struct edge_setup fresh;
	char err[512], restart[256];

	if (edge_setup_load(path, &fresh, err, sizeof(err))) {
		log_error("SIGHUP: %s; going on as before", err);
		return;
	}
	log_set_level(fresh.log_level);
	if (reread_advertise(&edge->config, &fresh.config))
		net_endpoints_changed(net);
	reread_needs_restart(&edge->config, &fresh.config, restart, sizeof(restart));
	edge_setup_wipe(&fresh);
	if (restart[0])
		log_warn("SIGHUP: log level is %s; changed in the file, and taken at the next start: %s", log_level_name(fresh.log_level), restart);
	else
		log_info("SIGHUP: log level is %s; nothing in the file wants a restart", log_level_name(fresh.log_level));
}
