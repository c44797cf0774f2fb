// SPDX-License-Identifier: BSD-3-Clause
// EAL arguments from the configuration: hugepages where there are enough, one lcore a worker, private file prefix.
#include "dataplane/control/eal.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "dataplane/control/pool_sizes.h"

static void add(struct eal_args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct eal_args *a, const char *fmt, ...)
{
	va_list ap;

	if (a->n == EAL_MAX_ARGS)
		return;
	va_start(ap, fmt);
	vsnprintf(a->text[a->n++], EAL_ARG_LEN, fmt, ap);
	va_end(ap);
}

unsigned eal_wanted_mb(const struct edge_setup *setup)
{
	const struct edge_config *c = &setup->config;
	uint64_t workers = c->n_workers, bytes;

	if (setup->memory_mb)
		return setup->memory_mb;
	bytes = (uint64_t)c->cap_mbufs * POOL_MBUF_BYTES;
	bytes += pool_messages(c) * (uint64_t)POOL_MESSAGE_BYTES;
	bytes += workers * c->cap_sessions * sizeof(struct session) + (uint64_t)c->cap_peers * sizeof(struct peer);
	bytes += workers * (c->cap_flows * (uint64_t)POOL_FLOW_BYTES + POOL_WORKER_BYTES);
	bytes += bytes / 8 + (48ull << 20);
	return (unsigned)((bytes + (1 << 20) - 1) >> 20);
}

/* "1024 kB" pages: directory hugepages-2048kB, file free_hugepages. */
unsigned eal_free_huge_mb(void)
{
	static const char base[] = "/sys/kernel/mm/hugepages";
	DIR *dir = opendir(base);
	uint64_t kib = 0;

	for (struct dirent *e; dir && (e = readdir(dir));) {
		char path[320];
		unsigned long size_kb, n;
		FILE *f;

		if (sscanf(e->d_name, "hugepages-%lukB", &size_kb) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s/free_hugepages", base, e->d_name);
		f = fopen(path, "re");
		if (f && fscanf(f, "%lu", &n) == 1)
			kib += n * size_kb;
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return (unsigned)(kib >> 10);
}

/* The control and handshake threads may run on any core that no worker has; on all where there is none. */
static void control_cores(const struct edge_config *c, char *out, size_t len)
{
	cpu_set_t allowed;
	size_t n = 0;

	out[0] = 0;
	CPU_ZERO(&allowed);
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		CPU_SET(c->control_core, &allowed);
	for (int pass = 0; pass < 2 && !n; pass++) {
		for (unsigned k = 0; k < CPU_SETSIZE && n + 8 < len; k++) {
			bool of_worker = false;

			for (unsigned w = 0; w < c->n_workers; w++)
				of_worker |= c->worker_cores[w] == k;
			if (CPU_ISSET(k, &allowed) && (pass || !of_worker))
				n += (size_t)snprintf(out + n, len - n, "%s%u", n ? "," : "", k);
		}
	}
}

static void add_lcores(struct eal_args *a, const struct edge_config *c)
{
	char cores[EAL_ARG_LEN - 160], text[EAL_ARG_LEN];
	size_t n;

	control_cores(c, cores, sizeof(cores));
	n = (size_t)snprintf(text, sizeof(text), "0@(%s)", cores);
	for (unsigned i = 0; i < c->n_workers && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ",%u@%u", i + 1, c->worker_cores[i]);
	add(a, "--lcores=%s", text);
	add(a, "--main-lcore=0");
}

static void add_memory(struct eal_args *a, const struct edge_setup *setup)
{
	a->huge = setup->huge_pages && a->found_mb >= a->wanted_mb;
	if (a->huge) {
		snprintf(a->says, sizeof(a->says), "memory: wants %u MiB of hugepages, found %u MiB free: using them",
			 a->wanted_mb, a->found_mb);
		add(a, "--in-memory");
		return;
	}
	/* DPDK 22.11 refuses --in-memory together with --no-huge */
	add(a, "--no-huge");
	add(a, "--no-shconf");
	add(a, "-m");
	add(a, "%u", a->wanted_mb);
	if (!setup->huge_pages)
		snprintf(a->says, sizeof(a->says), "memory: %u MiB without hugepages, as configured", a->wanted_mb);
	else
		snprintf(a->says, sizeof(a->says),
			 "memory: wants %u MiB of hugepages, found %u MiB free; running without", a->wanted_mb,
			 a->found_mb);
}

void eal_build_args(const struct edge_setup *setup, unsigned found_mb, struct eal_args *args)
{
	unsigned n_pci = 0;

	memset(args, 0, sizeof(*args));
	args->wanted_mb = eal_wanted_mb(setup);
	args->found_mb = found_mb;
	add(args, "sluice-edge");
	add(args, "--iova-mode=va");
	add(args, "--file-prefix=sluice-%s", setup->config.edge_id);
	add(args, "--log-level=%s", setup->log_level == LOG_LEVEL_DEBUG ? "info" : "warning");
	add_lcores(args, &setup->config);
	for (unsigned i = 0; i < setup->n_ports; i++) {
		if (setup->ports[i].kind != EDGE_PORT_PCI)
			continue;
		add(args, "-a");
		add(args, "%s", setup->ports[i].name);
		n_pci++;
	}
	if (!n_pci)
		add(args, "--no-pci");
	add_memory(args, setup);
}

int eal_start(const struct edge_setup *setup, struct eal_args *args, char *err, size_t err_len)
{
	char *argv[EAL_MAX_ARGS + 1];

	eal_build_args(setup, setup->huge_pages ? eal_free_huge_mb() : 0, args);
	for (int i = 0; i < args->n; i++)
		argv[i] = args->text[i];
	argv[args->n] = NULL;
	if (rte_eal_init(args->n, argv) < 0) {
		snprintf(err, err_len, "DPDK does not start (%u MiB, %s hugepages): %s", args->wanted_mb,
			 args->huge ? "with" : "without", rte_strerror(rte_errno));
		return -EIO;
	}
	return 0;
}
