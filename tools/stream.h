// SPDX-License-Identifier: BSD-3-Clause
// Commands that go on: one call to the edge, and notifications until it is answered, or for ever.
#ifndef SLUICE_TOOLS_STREAM_H
#define SLUICE_TOOLS_STREAM_H

#include "tools/ctl.h"

typedef void ctl_notification_fn(const char *method, json_t *params, void *user);

/*
 * Calls method on the edge and gives each notification to fn. With `follow` it goes on after the reply, until the edge or
 * the one who reads standard output goes away, or an interrupt. Steals params. 0 or -1 with the error of ctl set.
 */
int ctl_stream(struct ctl *ctl, const char *method, json_t *params, bool follow, ctl_notification_fn *fn, void *user);

#endif
