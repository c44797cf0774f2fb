/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL and a mempool for tests: no PCI, no files; no hugepages either, unless SLUICE_TEST_HUGEPAGES
 * is set (then the machine must have 128 MiB of them free).
 */
#ifndef SLUICE_DATAPLANE_EAL_TESTING_H
#define SLUICE_DATAPLANE_EAL_TESTING_H

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdlib.h>

/* Once per process. */
static inline bool eal_testing_init(void)
{
	char prog[] = "test", no_huge[] = "--no-huge", no_shconf[] = "--no-shconf",
	     in_memory[] = "--in-memory", m[] = "-m", mb[] = "64", no_pci[] = "--no-pci",
	     iova[] = "--iova-mode=va", l[] = "-l", cores[] = "0", log[] = "--log-level=error",
	     no_telemetry[] = "--no-telemetry";
	char *small[] = {prog, no_huge, no_shconf, m,	mb,	      no_pci,
			 iova, l,	cores,	   log, no_telemetry, NULL};
	char *huge[] = {prog, in_memory, m, mb, no_pci, iova, l, cores, log, no_telemetry, NULL};

	return getenv("SLUICE_TEST_HUGEPAGES")
		       ? rte_eal_init((int)(sizeof(huge) / sizeof(huge[0])) - 1, huge) >= 0
		       : rte_eal_init((int)(sizeof(small) / sizeof(small[0])) - 1, small) >= 0;
}

/* No per-core cache, so that counts are exact. */
static inline struct rte_mempool *eal_testing_pool(const char *name, unsigned n, uint16_t room)
{
	return rte_pktmbuf_pool_create(name, n, 0, 0, room, SOCKET_ID_ANY);
}

#endif
