// SPDX-License-Identifier: BSD-3-Clause
// Grace periods over rte_rcu_qsbr.
#include "dataplane/control/grace.h"

#include <rte_rcu_qsbr.h>

uint64_t grace_start(const struct edge *edge)
{
	return rte_rcu_qsbr_start(edge->qsbr);
}

bool grace_passed(const struct edge *edge, uint64_t token)
{
	return rte_rcu_qsbr_check(edge->qsbr, token, false) == 1;
}
