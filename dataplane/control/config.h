/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * edge.yaml (docs/protocols.md, 4) into structures, every key and value checked. Reads files, starts nothing.
 */
#ifndef DATAPLANE_CONTROL_CONFIG_H
#define DATAPLANE_CONTROL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/edge.h"
#include "lib/log.h"

enum edge_port_kind { EDGE_PORT_AF_XDP, EDGE_PORT_PCI, EDGE_PORT_VDEV };

struct edge_port_setup {
	enum edge_port_kind kind;
	char name[256];  /* interface, PCI address, or vdev with its arguments */
	unsigned queues; /* 0: as many as workers, at most what the device has */
};

/* The file: what the running edge keeps (config), and what is needed at start alone. */
struct edge_setup {
	struct edge_config config;
	unsigned n_ports;
	struct edge_port_setup ports[EDGE_MAX_PORTS];
	bool huge_pages;    /* try them */
	unsigned memory_mb; /* 0: computed from the capacities */
	enum log_level log_level;
	char group_write[64], group_read[64];
	char key_files[EDGE_MAX_KEYS][256];
	bool shared_cores; /* fewer cores than threads: some workers share one */
};

/*
 * Reads and checks the file, private keys included. 0; or -EINVAL with one sentence in err, such as
 * "edge.yaml:4: unknown key 'sokcet'" or "/etc/sluice/edge.key: mode 0644: private keys must not be readable by others".
 */
int edge_setup_load(const char *path, struct edge_setup *setup, char *err, size_t err_len);

/* Reads one base64 private key of 32 bytes from a file that nobody but its owner may read. 0 or -EINVAL with err. */
int edge_key_load(const char *path, uint8_t key[32], char *err, size_t err_len);

/*
 * "1-3,7" → CPU numbers, ascending, no doubles. How many; -EINVAL for other forms; -E2BIG for more than max.
 */
int edge_cores_parse(const char *text, unsigned *cores, unsigned max);

/*
 * Pure: the keys in which a file differs from what runs and that want a restart, "listen, capacities"; "" where there is none. The
 * contents of key files are not compared.
 */
void edge_setup_differs(const struct edge_setup *running, const struct edge_setup *file, char *out, size_t len);
/* Takes over the addresses to advertise. True when they were others. Control thread. */
bool edge_config_advertise(struct edge_config *config, const struct edge_config *fresh);

/* Wipes the private keys. */
void edge_setup_wipe(struct edge_setup *setup);

#endif
