/* SPDX-License-Identifier: BSD-3-Clause */
/* show.hits as JSON, and the counters of rules for the metrics. Control thread. */
#ifndef DATAPLANE_CONTROL_SHOW_HITS_H
#define DATAPLANE_CONTROL_SHOW_HITS_H

#include <stdio.h>

#include <jansson.h>

#include "dataplane/control/hits_query.h"

/* {"hits": [{…}], "truncated": bool}; new reference. */
json_t *show_hits(const struct edge *edge, const struct apply *apply, enum hits_by by, size_t limit);

#define METRICS_RULES_MAX 1000 /* label values: the rules with the most bytes */
void metrics_write_rules(FILE *out, const struct edge *edge);

#endif
