/* SPDX-License-Identifier: BSD-3-Clause */
/* EAL and a mempool for tests: no hugepages, no PCI, no files. */
#ifndef SLUICE_DATAPLANE_EAL_TESTING_H
#define SLUICE_DATAPLANE_EAL_TESTING_H

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <stdbool.h>

/* Once per process. */
static inline bool eal_testing_init(void)
{
	char prog[] = "test", no_huge[] = "--no-huge", no_shconf[] = "--no-shconf", m[] = "-m",
	     mb[] = "256", no_pci[] = "--no-pci", iova[] = "--iova-mode=va", l[] = "-l",
	     cores[] = "0", log[] = "--log-level=error", no_tel[] = "--no-telemetry";
	char *argv[] = {prog, no_huge, no_shconf, m, mb, no_pci, iova, l, cores, log, no_tel, NULL};

	return rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) >= 0;
}

/* No per-core cache, so that counts are exact. */
static inline struct rte_mempool *eal_testing_pool(const char *name, unsigned n, uint16_t room)
{
	return rte_pktmbuf_pool_create(name, n, 0, 0, room, SOCKET_ID_ANY);
}

#endif
