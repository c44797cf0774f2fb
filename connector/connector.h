// SPDX-License-Identifier: BSD-3-Clause
// The running connector: sessions to the edges on one side, the private network on the other, one loop.
#ifndef SLUICE_CONNECTOR_CONNECTOR_H
#define SLUICE_CONNECTOR_CONNECTOR_H

#include "connector/config.h"

/* Runs until SIGTERM or SIGINT (a second one ends it at once). Returns the exit code: 0 after a clean end, 1 with one
 * sentence in err where it cannot start. Blocks those signals in the calling thread for good. */
int connector_run(const struct connector_config *config, char *err, size_t err_len);

#endif
