// SPDX-License-Identifier: BSD-3-Clause
// Placement of sessions on an edge's workers.
#include "connector/settle.h"

#include <string.h>

void settle_init(struct settle *s, unsigned sessions)
{
	memset(s, 0, sizeof(*s));
	s->sessions = sessions;
}

static bool owned(const struct settle *s, unsigned index, uint16_t worker)
{
	for (unsigned i = 0; i < s->sessions; i++)
		if (i != index && s->slot[i].state == SETTLE_SETTLED && s->slot[i].worker == worker)
			return true;
	return false;
}

unsigned settle_covered(const struct settle *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->sessions; i++)
		n += s->slot[i].state == SETTLE_SETTLED && !s->slot[i].crowded;
	return n;
}

unsigned settle_settled(const struct settle *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->sessions; i++)
		n += s->slot[i].state == SETTLE_SETTLED;
	return n;
}

void settle_lost(struct settle *s, unsigned index)
{
	s->slot[index].state = SETTLE_LOOKING;
	s->slot[index].tries = 0;
	s->slot[index].crowded = false;
}

enum settle_action settle_landed(struct settle *s, unsigned index, uint16_t worker, uint16_t workers,
				 uint64_t edge_instance)
{
	if (index >= s->sessions || !workers || worker >= workers)
		return SETTLE_NONE;
	if (edge_instance != s->edge_instance) {
		for (unsigned i = 0; i < s->sessions; i++)
			settle_lost(s, i);
		s->edge_instance = edge_instance;
	}
	s->workers = workers;
	if (s->slot[index].state == SETTLE_SETTLED)
		return SETTLE_NONE;

	s->slot[index].worker = worker;
	s->slot[index].crowded = owned(s, index, worker);
	/* tries are in vain where every worker has one */
	if (s->slot[index].crowded && settle_covered(s) < workers && s->slot[index].tries < SETTLE_TRIES_MAX) {
		s->slot[index].tries++;
		return SETTLE_REBIND;
	}
	s->slot[index].state = SETTLE_SETTLED;
	return SETTLE_TELL;
}
