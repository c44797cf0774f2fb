/* SPDX-License-Identifier: BSD-3-Clause */
/* What the sender of a refused packet, and for a running connection the other side, are told. */
#ifndef DATAPLANE_STAGES_REFUSE_H
#define DATAPLANE_STAGES_REFUSE_H

#include "dataplane/stages/stage.h"

/* How a packet was refused. */
struct denial {
	enum drop_reason reason; /* DROP_REASON_COUNT: it was not */
	bool silent;             /* rule_settings: no answer */
	bool cut;                /* it belonged to a flow that was running until now */
};

/*
 * Tells with an ICMP error (RFC 1812 5.2.7.1, RFC 4443 3.1), or a TCP reset where policy decided, within the limits of the
 * client and the worker. Does not take m.
 */
void refuse_answer(struct worker *w, const struct rte_mbuf *m, const struct denial *why);

#endif
