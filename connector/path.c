// SPDX-License-Identifier: BSD-3-Clause
// The way of a packet: from an edge past the fences into the stack, and back to the session that brought its flow.
#include "connector/internal.h"

#include "connector/refuse.h"

enum { PROHIBITIONS_PER_SECOND = 100 };

/* Upper bounds of the histogram of connect latency, ms. */
const unsigned path_connect_ms[PATH_CONNECT_BUCKETS] = {1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000};

/* ICMP answers are bounded (RFC 1812, 4.3.2.8); a reset answers one packet with a smaller one. */
static bool may_prohibit(struct connector *c, const struct packet *p)
{
	if (p->protocol == PACKET_TCP)
		return true;
	if (connector_ms(c) - c->prohibited_since_ms >= 1000) {
		c->prohibited_since_ms = connector_ms(c);
		c->prohibited = 0;
	}
	return c->prohibited++ < PROHIBITIONS_PER_SECOND;
}

static void refuse(struct connector *c, struct session *s, const struct packet *p)
{
	uint8_t answer[REFUSE_MAX_BYTES];
	uint32_t n = may_prohibit(c, p) ? refuse_packet(p, answer) : 0;

	if (n)
		session_send(s, answer, n, c->now_ns);
}

static void log_refused(const struct packet *p, const char *why)
{
	char src[IP_ADDR_TEXT], dst[IP_ADDR_TEXT];

	log_rated(LOG_LEVEL_WARN, "flow of %s to %s, protocol %u, port %u refused: %s", ip_addr_format(&p->src, src),
		  ip_addr_format(&p->dst, dst), p->protocol, p->dport, why);
}

/* Ends a connection that is over but still holds its buffers in the stack (TIME-WAIT), and gives up its flow. */
static bool make_room(struct connector *c)
{
	struct flow gone;
	struct packet p;
	uint8_t rst[60];
	uint32_t n;

	if (!flows_evict(c->flows, &gone))
		return false;
	n = refuse_as_device(&gone.key.device, &gone.key.origin, gone.key.device_port, gone.key.origin_port, gone.device_next,
			     rst);
	if (c->stack && c->stack_ops->heavy && packet_parse(rst, n, &p))
		c->stack_ops->input(c->stack, &p, connector_ms(c));
	return true;
}

/* Finds or makes the packet's flow; false: refused. */
static bool take_flow(struct connector *c, struct session *s, const struct packet *p)
{
	/* a draining connector takes what still comes: the edge sends new flows elsewhere, these were on their way */
	enum flows_make make = c->stack_ops->heavy ? FLOWS_MAKE_NEW : FLOWS_MAKE_ANY;
	bool full;

	flows_up(c->flows, p, s, make, &full, c->now_ns);
	if (full && p->protocol == PACKET_TCP && make_room(c))
		flows_up(c->flows, p, s, make, &full, c->now_ns);
	if (!full)
		return true;
	flows_count_refused(c->flows);
	log_refused(p, "as many flows as fit run already (max-active-flows, memory limit or descriptors)");
	refuse(c, s, p);
	return false;
}

void path_inner(void *arg, struct session *s, const uint8_t *bytes, uint32_t length)
{
	struct connector *c = arg;
	struct packet p;

	if (!packet_parse(bytes, length, &p)) {
		c->stats.malformed++;
		return;
	}
	if (!packet_may_enter(&p)) {
		c->stats.refused_address++;
		return;
	}
	if (!fence_passes(&c->config->fence, &p.dst)) {
		c->stats.denied++;
		log_refused(&p, "allow and deny of this connector");
		refuse(c, s, &p);
		return;
	}
	if (!p.later && !take_flow(c, s, &p))
		return;
	if (c->stack)
		c->stack_ops->input(c->stack, &p, connector_ms(c));
}

static struct session *any_live_session(struct connector *c)
{
	for (unsigned l = 0; l < c->link_count; l++)
		for (unsigned i = 0; i < c->links[l]->count; i++)
			if (link_live(c->links[l], i, c->now_ns))
				return &c->links[l]->sessions[i];
	return NULL;
}

static void note_connect(struct connector *c, const struct flow *flow, const struct packet *p)
{
	uint64_t took_ns = c->now_ns - flow->start_ns;

	if (p->icmp_error) {
		c->connect.unreachable++;
	} else if (p->tcp_flags & PACKET_TCP_RST) {
		c->connect.refused++;
	} else {
		unsigned i = 0;

		while (i < PATH_CONNECT_BUCKETS && took_ns > path_connect_ms[i] * WG_NS_PER_MS)
			i++;
		c->connect.buckets[i]++;
		c->connect.sum_ns += took_ns;
	}
}

void path_output(void *arg, const uint8_t *bytes, uint32_t length)
{
	struct connector *c = arg;
	struct session *s = NULL;
	struct flow *flow;
	struct packet p;
	bool first = false;

	if (!packet_parse(bytes, length, &p)) {
		c->stats.malformed++;
		return;
	}
	flow = p.later ? NULL : flows_down(c->flows, &p, &first, c->now_ns);
	if (flow) {
		s = flow->session;
		if (first && flow->key.protocol == PACKET_TCP)
			note_connect(c, flow, &p);
	}
	if (!s || !session_ready(s, c->now_ns))
		s = any_live_session(c);
	if (s)
		session_send(s, bytes, length, c->now_ns);
	else
		c->stats.no_session++;
}
