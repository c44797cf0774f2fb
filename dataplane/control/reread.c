// SPDX-License-Identifier: BSD-3-Clause
// The configuration file once more.
#include "dataplane/control/reread.h"

#include "dataplane/control/config.h"
#include "dataplane/control/net.h"
#include "lib/log.h"

void reread(const char *path, const struct edge_setup *running, struct edge *edge, struct net *net)
{
	static struct edge_setup fresh;
	char err[512], restart[256];

	if (edge_setup_load(path, &fresh, err, sizeof(err))) {
		log_error("SIGHUP: %s; going on as before", err);
		return;
	}
	log_set_level(fresh.log_level);
	if (edge_config_advertise(&edge->config, &fresh.config))
		net_endpoints_changed(net);
	edge_setup_differs(running, &fresh, restart, sizeof(restart));
	edge_setup_wipe(&fresh);
	if (restart[0])
		log_warn("SIGHUP: log level is %s; changed in the file, and taken at the next start: %s", log_level_name(fresh.log_level), restart);
	else
		log_info("SIGHUP: log level is %s; nothing in the file wants a restart", log_level_name(fresh.log_level));
}
