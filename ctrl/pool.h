// SPDX-License-Identifier: BSD-3-Clause
// Device addresses: one IPv4 and one IPv6 address with the same offset in their pools. Offset 0 is the network, 1 the
// edge, the last of the IPv4 pool its broadcast address: never handed out. A freed address rests for a day.
#ifndef SLUICE_CTRL_POOL_H
#define SLUICE_CTRL_POOL_H

#include "ctrl/api.h"

/* Finds a free pair for the request's account, in the open transaction: a new array ["100.96.0.2", "fd…::2"], or NULL with
 * the error set (code limit when the pool is empty). */
json_t *pool_take(struct req *r);

#endif
