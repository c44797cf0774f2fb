/* SPDX-License-Identifier: BSD-3-Clause */
/* A flow record as a line of JSON (docs/flow-log.md). Pure but for the cards, which it reads and does not lock. */
#ifndef DATAPLANE_FLOWLOG_LINE_H
#define DATAPLANE_FLOWLOG_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/flowlog/cards.h"
#include "dataplane/flowlog/record.h"

#define FLOW_LINE_MAX 4096 /* no line is longer: texts are cut at FLOW_TEXT_MAX bytes, host names at twice that */
#define FLOW_TEXT_MAX 128

/*
 * Writes one line, '\n' at its end and no NUL, into out (FLOW_LINE_MAX bytes); returns its length. wall_ns: unix time of the
 * worker's clock's zero, in ns.
 */
size_t flow_line(char *out, const struct flow_record *r, const struct cards *cards, int64_t wall_ns);

#endif
