// SPDX-License-Identifier: BSD-3-Clause
// Connector sessions: control datagrams (docs/protocols.md, 3), probes, who is alive.
#include "dataplane/handshake/internal.h"

#include <string.h>

#include <rte_mbuf.h>

#include "lib/log.h"

/*
 * Adaptive probes (decision 18): a slow beat when the session is heard anyway or idle, a quick one when something we
 * sent goes unanswered; gone after PROBE_DEAD_NS of quick probes without any sign.
 */
#define PROBE_IDLE_NS       (WG_NS_PER_S)
#define PROBE_UNANSWERED_NS (WG_NS_PER_S * 15 / 100)
#define PROBE_QUICK_NS      (WG_NS_PER_S * 12 / 100)
#define PROBE_DEAD_NS       (WG_NS_PER_S * 6 / 10) /* five of them lost in a row; more on a long way */
#define PROBE_DEAD_RTTS     3

static void send_control(struct handshake *hs, uint32_t index, const struct ctlmsg *control)
{
	uint8_t packet[CTLMSG_PACKET_MAX_BYTES];
	int len = ctlmsg_encode(control, CTLMSG_FROM_EDGE, packet, sizeof(packet));
	struct message *msg;

	if (len < 0)
		return;
	msg = hs_packet(hs, index, MSG_SEND_INNER, packet, (unsigned)len);
	if (msg != NULL)
		hs_post(hs, &hs->peers[index], msg);
}

void hs_send_landed(struct handshake *hs, uint32_t index)
{
	const struct hs_peer *p = &hs->peers[index];
	struct ctlmsg control = {.type = CTLMSG_LANDED};

	control.landed.worker = __atomic_load_n(&hs->edge->peers[index].owner, __ATOMIC_RELAXED);
	control.landed.workers = (uint16_t)hs->edge->n_workers;
	control.landed.mtu = p->mtu;
	control.landed.session_index = (uint16_t)p->session_index;
	control.landed.edge_instance = hs->edge->instance;
	send_control(hs, index, &control);
}

void hs_connector_refresh(struct handshake *hs, uint32_t connector)
{
	const struct connector_record *c = connector_get(hs->edge->records, connector);
	static const char *const words[] = {"no live session", "live", "draining: new flows go elsewhere"};
	uint8_t live = CONNECTOR_DEAD;
	bool lost = false;

	if (connector >= hs->edge->records->max_connectors)
		return;
	for (unsigned i = 0; c != NULL && i < c->n_peers; i++) {
		const struct hs_peer *p = hs_peer_get(hs, c->peers[i]);

		if (p == NULL || !p->settled || p->dead || p->timers.session_ns == 0)
			continue;
		live = p->draining ? CONNECTOR_DRAINING : CONNECTOR_LIVE;
		if (p->draining)
			break; /* one session speaks for all */
	}
	if (live != hs->edge->connector_live[connector])
		log_info("connector %s (%s): %s", c != NULL ? c->id : "?", c != NULL ? c->hostname : "gone",
			 words[live]);
	if (live == CONNECTOR_DEAD && hs->edge->connector_live[connector] != CONNECTOR_DEAD)
		lost = true;
	__atomic_store_n(&hs->edge->connector_live[connector], live, __ATOMIC_RELEASE);
	if (lost) /* after what it is about */
		__atomic_fetch_add(&hs->edge->losses, 1, __ATOMIC_RELEASE);
}

static void settle(struct handshake *hs, uint32_t index, bool settled)
{
	struct hs_peer *p = &hs->peers[index];

	if (p->settled != settled) {
		p->settled = settled;
		hs_tell(hs, index, MSG_SETTLED, settled);
	}
	p->dead = false;
	hs_connector_refresh(hs, p->connector);
}

/* No session of this connector carries anything from now on. */
static void goodbye(struct handshake *hs, uint32_t connector)
{
	const struct connector_record *c = connector_get(hs->edge->records, connector);

	for (unsigned i = 0; c != NULL && i < c->n_peers; i++)
		if (hs_peer_get(hs, c->peers[i]) != NULL)
			settle(hs, c->peers[i], false);
}

static void probe_reply(struct hs_peer *p, uint64_t stamp, uint64_t now_ns)
{
	if (stamp > now_ns || now_ns - stamp > 60 * WG_NS_PER_S)
		return; /* none of ours */
	p->rtt_ns = now_ns - stamp;
	p->probe_reply_ns = now_ns;
	p->probe_first_ns = 0;
}

enum drop_reason hs_control_datagram(struct handshake *hs, struct message *event, uint64_t now_ns)
{
	struct hs_peer *p = hs_peer_get(hs, event->peer);
	struct ctlmsg control, reply;
	int rc;

	if (p == NULL || p->kind != PEER_CONNECTOR)
		return DROP_control_bad;
	rc = ctlmsg_decode(rte_pktmbuf_mtod(event->mbuf, const uint8_t *), event->mbuf->data_len,
			   CTLMSG_FROM_CONNECTOR, &control);
	if (rc < 0)
		return DROP_control_bad;
	switch (control.type) {
	case CTLMSG_HELLO:
		settle(hs, event->peer, control.hello.flags & CTLMSG_HELLO_SETTLED);
		hs_send_landed(hs, event->peer);
		break;
	case CTLMSG_PROBE:
		reply = control;
		reply.type = CTLMSG_PROBE_REPLY;
		send_control(hs, event->peer, &reply);
		break;
	case CTLMSG_PROBE_REPLY:
		probe_reply(p, control.probe.stamp, now_ns);
		break;
	case CTLMSG_DRAIN:
		p->draining = control.drain.on == 1;
		hs_connector_refresh(hs, p->connector);
		break;
	case CTLMSG_GOODBYE:
		goodbye(hs, p->connector);
		break;
	default:
		break; /* limits are for show: the connector itself refuses what is too much */
	}
	return DROP_REASON_COUNT;
}

static void send_probe(struct handshake *hs, uint32_t index, uint64_t now_ns)
{
	struct hs_peer *p = &hs->peers[index];
	struct ctlmsg control = {.type = CTLMSG_PROBE};

	control.probe.stamp = now_ns;
	p->probe_sent_ns = now_ns;
	if (p->probe_first_ns == 0)
		p->probe_first_ns = now_ns;
	send_control(hs, index, &control);
}

/* A silent session makes the others of its connector suspect: an idle one would find out too late. */
static void probe_siblings(struct handshake *hs, uint32_t index, uint64_t now_ns)
{
	const struct connector_record *c = connector_get(hs->edge->records, hs->peers[index].connector);

	for (unsigned i = 0; c != NULL && i < c->n_peers; i++) {
		const struct hs_peer *p = c->peers[i] == index ? NULL : hs_peer_get(hs, c->peers[i]);

		if (p != NULL && p->settled && p->timers.session_ns != 0 && now_ns - p->probe_sent_ns >= PROBE_QUICK_NS)
			send_probe(hs, c->peers[i], now_ns);
	}
}

void hs_probe(struct handshake *hs, uint32_t index, uint64_t now_ns)
{
	const struct wg_stamps *stamps = &hs->edge->peers[index].stamps;
	struct hs_peer *p = &hs->peers[index];
	uint64_t heard = stamps->auth_rx_ns, unanswered = stamps->unanswered_tx_ns, wait = PROBE_IDLE_NS;

	if (!p->settled || p->timers.session_ns == 0)
		return;
	if (p->probe_first_ns != 0 && heard > p->probe_first_ns)
		p->probe_first_ns = 0; /* any authentic packet is a sign of life */
	if (p->dead && heard > p->probe_sent_ns) {
		p->dead = false;
		hs_connector_refresh(hs, p->connector);
	}
	if (p->probe_first_ns != 0 || (unanswered != 0 && now_ns > unanswered + PROBE_UNANSWERED_NS))
		wait = p->dead ? WG_NS_PER_S : PROBE_QUICK_NS;
	if (p->probe_first_ns != 0 && now_ns - p->probe_first_ns > PROBE_DEAD_NS + PROBE_DEAD_RTTS * p->rtt_ns && !p->dead) {
		p->dead = true;
		hs_connector_refresh(hs, p->connector);
	}
	if (now_ns - p->probe_sent_ns < wait)
		return;
	send_probe(hs, index, now_ns);
	if (wait == PROBE_QUICK_NS)
		probe_siblings(hs, index, now_ns);
}

void handshake_connector_changed(struct handshake *hs, uint32_t connector, const struct connector_record *record)
{
	(void)record; /* weight and draining are read from the published record */
	pthread_mutex_lock(&hs->lock);
	hs_connector_refresh(hs, connector);
	pthread_mutex_unlock(&hs->lock);
}
