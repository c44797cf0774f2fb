// SPDX-License-Identifier: BSD-3-Clause
// Classes of ports: a sweep over the ports at which the answer of some atom changes.
#include "dataplane/tables/policy_compiled.h"

#include <stdlib.h>
#include <string.h>

struct event {
	uint32_t port, atom;
	int delta;
};

struct sweep {
	struct event *events;
	uint32_t n, room;
	bool failed;
};

/* first … last, cut to what a port can be. */
static void put_range(struct sweep *s, uint32_t atom, int64_t first, int64_t last)
{
	first = first < 0 ? 0 : first;
	last = last > 65535 ? 65535 : last;
	if (first > last)
		return;
	if (s->n + 2 > s->room) {
		uint32_t room = s->room ? s->room * 2 : 256;
		struct event *events = realloc(s->events, room * sizeof(*events));

		if (!events) {
			s->failed = true;
			return;
		}
		s->events = events;
		s->room = room;
	}
	s->events[s->n++] = (struct event){(uint32_t)first, atom, 1};
	s->events[s->n++] = (struct event){(uint32_t)last + 1, atom, -1};
}

static void put_bitand(struct sweep *s, uint32_t atom, int64_t mask)
{
	int64_t from = -1;

	for (int64_t port = 0; port <= 65536; port++) {
		bool holds = port < 65536 && (port & mask);

		if (holds && from < 0)
			from = port;
		if (!holds && from >= 0) {
			put_range(s, atom, from, port - 1);
			from = -1;
		}
	}
}

static void put_atom(struct sweep *s, uint32_t atom, const struct policy_atom *a)
{
	int64_t v = a->node ? a->node->value.i : 0;

	if (a->ask == ASK_PRESENT) {
		put_range(s, atom, 0, 65535);
		return;
	}
	switch (a->node->cmp) {
	case EXPR_EQ:
	case EXPR_NE:
		put_range(s, atom, v, v);
		break;
	case EXPR_GE:
		put_range(s, atom, v, 65535);
		break;
	case EXPR_GT:
		if (v < INT64_MAX)
			put_range(s, atom, v + 1, 65535);
		break;
	case EXPR_LE:
		put_range(s, atom, 0, v);
		break;
	case EXPR_LT:
		if (v > INT64_MIN)
			put_range(s, atom, 0, v - 1);
		break;
	case EXPR_BITAND:
		put_bitand(s, atom, v);
		break;
	default:
		for (size_t i = 0; i < a->node->n; i++)
			put_range(s, atom, a->node->ranges[i].first.i, a->node->ranges[i].last.i);
	}
}

static int compare_events(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return (x->port > y->port) - (x->port < y->port);
}

/* The number of a row among those of this dimension; rows remember theirs. */
static bool row_number(const struct policy_row *row, unsigned side, const struct policy_row **rows, uint32_t *n, uint16_t *out)
{
	uint64_t *known = (uint64_t *)(uintptr_t)&row->pad[side];

	if (!*known) {
		rows[(*n)++] = row;
		*known = *n;
	}
	*out = (uint16_t)(*known - 1);
	return true;
}

static bool number_ports(struct policy_compiled *c, enum policy_dim d, const struct sweep *s, uint16_t *map,
			 const struct policy_row **rows)
{
	uint64_t *fired = calloc(c->atoms.n / 64 + 1, sizeof(*fired)), *bits = policy_bits(c);
	uint32_t *active = calloc(c->atoms.n + 1, sizeof(*active)), at = 0, n = 0;
	const struct policy_row *row = NULL;
	unsigned side = d == DIM_DPORT;
	bool ok = fired && bits && active;

	for (uint32_t port = 0; ok && port < POLICY_PORTS; port++) {
		bool changed = port == 0;

		for (; at < s->n && s->events[at].port == port; at++) {
			uint32_t a = s->events[at].atom;

			active[a] += (uint32_t)s->events[at].delta;
			fired[a / 64] &= ~(1ull << a % 64);
			fired[a / 64] |= (uint64_t)(active[a] != 0) << a % 64;
			changed = true;
		}
		if (changed) {
			policy_fire(c, d, fired, bits);
			row = policy_row_intern(&c->rows, bits);
			ok = row && (n < 65536 || row->pad[side]) && row_number(row, side, rows, &n, &map[port]);
		} else {
			map[port] = map[port - 1];
		}
	}
	free(fired);
	free(bits);
	free(active);
	return ok;
}

bool policy_compile_ports(struct policy_compiled *c, enum policy_dim d)
{
	uint16_t *map = calloc(POLICY_PORTS, sizeof(*map));
	const struct policy_row **rows = calloc(POLICY_PORTS, sizeof(*rows));
	unsigned side = d == DIM_DPORT;
	struct sweep s = {.n = 0};

	c->port[side] = map;
	c->port_rows[side] = rows;
	for (uint32_t i = 0; i < c->atoms.n; i++)
		if (c->atoms.at[i].dim == d)
			put_atom(&s, i, &c->atoms.at[i]);
	s.failed |= !map || !rows;
	if (s.n)
		qsort(s.events, s.n, sizeof(*s.events), compare_events);
	if (!s.failed)
		s.failed = !number_ports(c, d, &s, map, rows);
	free(s.events);
	return !s.failed;
}
