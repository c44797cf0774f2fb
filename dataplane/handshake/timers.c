// SPDX-License-Identifier: BSD-3-Clause
// The timers of all peers, by round robin: lib/wg/timers.h decides, this file does.
#include "dataplane/handshake/internal.h"

#include <string.h>

#define ROUND_TICKS 4 /* all peers are looked at once in so many ticks of the thread */
#define REPORT_ACTIVE_NS (60 * WG_NS_PER_S)

static struct wg_keypair_info keypair_of(const struct edge *edge, uint32_t index)
{
	/* sessions live in one array for the whole run: a stale pointer is a stale answer, nothing worse */
	const struct session *s = __atomic_load_n(&edge->peers[index].current, __ATOMIC_ACQUIRE);

	if (s == NULL)
		return (struct wg_keypair_info){0};
	return (struct wg_keypair_info){
		.present = true, .initiator = s->initiator, .born_ns = s->born_ns, .tx_counter = s->tx_counter};
}

static void expire(struct handshake *hs, uint32_t index, uint64_t now_ns)
{
	struct hs_peer *p = &hs->peers[index];

	if (p->pending.state != NOISE_NONE) {
		hs_slot_give(hs, p->pending.local_index, now_ns);
		noise_handshake_wipe(&p->pending);
	}
	hs_tell(hs, index, MSG_REMOVE_PEER, false);
	if (p->kind == PEER_CONNECTOR)
		hs_connector_refresh(hs, p->connector);
}

static void one_peer(struct handshake *hs, uint32_t index, uint64_t now_ns)
{
	struct hs_peer *p = &hs->peers[index];
	const struct wg_stamps stamps = hs->edge->peers[index].stamps;
	struct wg_keypair_info keypair = keypair_of(hs->edge, index);
	unsigned due;

	if (!p->enabled)
		return;
	due = wg_timers_poll(&p->timers, &stamps, &keypair, now_ns, NULL);
	if (due & WG_EXPIRE_KEYS)
		expire(hs, index, now_ns);
	if (due & WG_SEND_KEEPALIVE)
		hs_tell(hs, index, MSG_KEEPALIVE, false);
	if (due & WG_SEND_INITIATION)
		hs_send_initiation(hs, index, now_ns);
	if (p->kind == PEER_CONNECTOR)
		hs_probe(hs, index, now_ns);
	if (stamps.auth_rx_ns > p->reported_ns && now_ns - p->reported_ns > REPORT_ACTIVE_NS)
		p->dirty = true;
	if (p->timers.session_ns != 0 && now_ns - p->timers.session_ns < WG_REJECT_AFTER_TIME_NS)
		hs->counters.sessions++;
}

/* After a start: handshakes to the endpoints that an earlier run knew, the most recently active first. */
static void begin_known(struct handshake *hs)
{
	uint32_t best = RECORD_NONE;

	for (unsigned i = 0; i < 16; i++) {
		best = RECORD_NONE;
		for (uint32_t k = 0; k < hs->edge->config.cap_peers; k++)
			if (hs->peers[k].used && hs->peers[k].enabled && hs->peers[k].startup_rank != 0 &&
			    (best == RECORD_NONE || hs->peers[k].startup_rank > hs->peers[best].startup_rank))
				best = k;
		if (best == RECORD_NONE)
			return;
		hs->peers[best].startup_rank = 0;
		wg_timers_want(&hs->peers[best].timers);
	}
}

static uint32_t live_connectors(const struct handshake *hs)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < hs->edge->records->max_connectors; i++)
		n += hs->edge->connector_live[i] != CONNECTOR_DEAD;
	return n;
}

void hs_timers(struct handshake *hs, uint64_t now_ns)
{
	uint32_t total = hs->edge->config.cap_peers, slice = total / ROUND_TICKS + 1;

	if (hs->scan == 0) {
		begin_known(hs);
		hs->sessions_counted = hs->counters.sessions;
		hs->counters.sessions = 0;
		hs->counters.connectors_live = live_connectors(hs);
	}
	for (uint32_t i = 0; i < slice && hs->scan < total; i++, hs->scan++)
		if (hs->peers[hs->scan].used)
			one_peer(hs, hs->scan, now_ns);
	if (hs->scan >= total)
		hs->scan = 0;
}
