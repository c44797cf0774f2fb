// SPDX-License-Identifier: BSD-3-Clause
// What the connector is told: config file, credentials file, environment (docs/protocols.md, 4; decision 24).
#ifndef SLUICE_CONNECTOR_CONFIG_H
#define SLUICE_CONNECTOR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connector/fence.h"
#include "lib/conf.h"
#include "lib/log.h"

#define CONFIG_GRACE_MAX_MS (180 * 1000)

enum connector_mode {
	CONNECTOR_MODE_USERSPACE,
	CONNECTOR_MODE_TUN,
};

struct connector_config {
	/* the config file */
	char *tunnel; /* id or name; NULL: whatever the credentials say */
	char *credentials_file;
	char *metrics;		  /* host:port; NULL: first free of 127.0.0.1:20241 … 20245 */
	struct conf_strings edge; /* registration addresses, host:port; n ≥ 1 after loading */
	char *edge_ca_file;
	int mode; /* enum connector_mode */
	uint64_t grace_ms;
	int log_level; /* enum log_level */
	int64_t mtu;   /* 0: the edge's */
	int64_t max_active_flows; /* 0: as many as fit */
	struct conf_strings allow, deny; /* as written; parsed into `fence` */
	struct fence fence;
	bool preserve_source; /* mode tun: no masquerade */
	struct {
		bool enabled;
	} warp_routing;
	/* the credentials file */
	char *account_tag, *tunnel_id, *tunnel_name; /* the name may be NULL */
	uint8_t *secret;			     /* wiped by config_free() */
	size_t secret_bytes;
	char *edge_ca_pem;
};

/* Loads everything. `file`: the config file or NULL (credentials from the environment); `tunnel`: from the command line or
 * NULL; `getenv_fn`: getenv, or a test's. 0, or -1 with one line in err that names file, key and value. Free with
 * config_free() in either case. */
int config_load(struct connector_config *config, const char *file, const char *tunnel,
		char *(*getenv_fn)(const char *name), char *err, size_t err_len);
void config_free(struct connector_config *config);

const char *connector_mode_name(int mode); /* "userspace", "tun" */

#endif
