// SPDX-License-Identifier: BSD-3-Clause
// What the control thread reads from the handshake side, and the few things it asks of it.
#include "dataplane/handshake/internal.h"

#include <errno.h>
#include <string.h>

unsigned handshake_public_keys(const struct handshake *hs, uint8_t out[EDGE_MAX_KEYS][32])
{
	for (unsigned i = 0; i < hs->n_identities; i++)
		memcpy(out[i], hs->identities[i].public_key, 32);
	return hs->n_identities;
}

/* Monotonic → unix, in s. */
static uint64_t unix_s_of(uint64_t mono_ns, uint64_t now_ns)
{
	uint64_t ago = now_ns > mono_ns ? now_ns - mono_ns : 0;

	return mono_ns == 0 ? 0 : (hs_unix_ns() - ago) / WG_NS_PER_S;
}

size_t handshake_collect_reports(struct handshake *hs, struct handshake_report *out, size_t max,
				 uint64_t *tai64n_high_water_ns)
{
	uint64_t now_ns = edge_now_ns();
	size_t n = 0;

	pthread_mutex_lock(&hs->lock);
	*tai64n_high_water_ns = hs->stamps.high_water_ns;
	for (uint32_t i = 0; i < hs->edge->config.cap_peers && n < max; i++) {
		struct hs_peer *p = &hs->peers[i];
		static const uint8_t none[WG_TAI64N_BYTES];
		struct handshake_report *r;

		if (!p->used || !p->dirty)
			continue;
		r = &out[n++];
		memcpy(r->public_key, p->remote.public_key, 32);
		r->endpoint = p->endpoint;
		memcpy(r->tai64n_rx, p->remote.tai64n_rx, WG_TAI64N_BYTES);
		r->has_tai64n_rx = memcmp(r->tai64n_rx, none, WG_TAI64N_BYTES) != 0;
		r->last_handshake_unix_s = p->last_handshake_unix_s;
		r->active_at_unix_s = unix_s_of(hs->edge->peers[i].stamps.auth_rx_ns, now_ns);
		p->dirty = false;
		p->reported_ns = now_ns;
	}
	pthread_mutex_unlock(&hs->lock);
	return n;
}

bool handshake_peer_info(struct handshake *hs, uint32_t peer, struct handshake_peer_info *out)
{
	uint64_t now_ns = edge_now_ns();
	const struct session *s;
	const struct peer *w;
	const struct hs_peer *p;

	pthread_mutex_lock(&hs->lock);
	p = hs_peer_get(hs, peer);
	if (p != NULL) {
		w = &hs->edge->peers[peer];
		s = __atomic_load_n(&w->current, __ATOMIC_ACQUIRE);
		memset(out, 0, sizeof(*out));
		out->peer = peer;
		out->has_session = s != NULL && now_ns - s->born_ns < WG_REJECT_AFTER_TIME_NS;
		out->worker = __atomic_load_n(&w->owner, __ATOMIC_RELAXED);
		out->settled = p->settled && !p->dead;
		out->endpoint = p->endpoint;
		out->last_handshake_unix_s = p->last_handshake_unix_s;
		out->session_age_ns = s == NULL ? 0 : now_ns - s->born_ns;
		out->rtt_ns = p->rtt_ns;
		out->rx_packets = w->rx_packets;
		out->rx_bytes = w->rx_bytes;
		out->tx_packets = w->tx_packets;
		out->tx_bytes = w->tx_bytes;
		out->handoffs = w->handoffs;
	}
	pthread_mutex_unlock(&hs->lock);
	return p != NULL;
}

void handshake_counters_get(struct handshake *hs, struct handshake_counters *out)
{
	pthread_mutex_lock(&hs->lock);
	*out = hs->counters;
	out->sessions = hs->sessions_counted;
	pthread_mutex_unlock(&hs->lock);
}

void handshake_path_mtu(struct handshake *hs, uint8_t family, const uint8_t remote[16], uint16_t remote_port_be,
			uint16_t mtu)
{
	uint16_t floor = family == 4 ? 576 : 1280;
	struct message *msg;

	pthread_mutex_lock(&hs->lock);
	for (uint32_t i = 0; i < hs->edge->config.cap_peers; i++) {
		struct hs_peer *p = &hs->peers[i];

		if (!p->used || p->timers.session_ns == 0 || p->endpoint.family != family ||
		    p->endpoint.remote_port_be != remote_port_be || memcmp(p->endpoint.remote, remote, 16) != 0)
			continue;
		msg = message_alloc(hs->edge);
		if (msg == NULL)
			break;
		msg->type = MSG_PATH_MTU;
		msg->peer = i;
		msg->mtu = mtu < floor ? floor : mtu;
		hs_post(hs, p, msg);
		break;
	}
	pthread_mutex_unlock(&hs->lock);
}

int handshake_migrate(struct handshake *hs, uint32_t peer, uint8_t worker)
{
	struct message *msg;
	struct hs_peer *p;
	int rc = -ENOENT;

	if (worker >= hs->edge->n_workers)
		return -EINVAL;
	pthread_mutex_lock(&hs->lock);
	p = hs_peer_get(hs, peer);
	if (p != NULL && p->owner != PEER_UNOWNED) {
		msg = p->migrating ? NULL : message_alloc(hs->edge);
		rc = msg == NULL ? -EAGAIN : 0;
		if (msg != NULL) {
			msg->type = MSG_MIGRATE_OUT;
			msg->peer = peer;
			msg->migrate.target = worker;
			p->migrating = true;
			hs_post(hs, p, msg);
		}
	}
	pthread_mutex_unlock(&hs->lock);
	return rc;
}
