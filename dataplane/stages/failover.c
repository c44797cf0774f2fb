// SPDX-License-Identifier: BSD-3-Clause
// Flows of connectors that are gone.
#include "dataplane/stages/failover.h"

#include "dataplane/peers.h"
#include "dataplane/stages/decide.h"
#include "dataplane/stages/inner.h"

#define ASKS_PER_TURN 64
#define SWEEP_TURNS   16
#define AGAIN_NS      (500ull * 1000 * 1000) /* a question or its answer may be lost */
#define TCP_BYTES     20

bool failover_session_usable(const struct worker *w, const struct flow_entry *f)
{
	const struct peer_record *record = peer_record_get(w->edge->records, f->session);

	return record != NULL && record->kind == PEER_CONNECTOR && record->tunnel == f->tunnel && record->enabled &&
	       __atomic_load_n(&w->edge->peers[f->session].settled, __ATOMIC_RELAXED) &&
	       connector_alive(w->edge, record->connector);
}

void failover_carry(struct worker *w, struct flow_entry *f, uint32_t session)
{
	const struct peer_record *record = peer_record_get(w->edge->records, session);
	const struct connector_record *c = record == NULL ? NULL : connector_get(w->edge->records, record->connector);

	f->session = session;
	f->flags = (uint8_t)((f->flags & ~FLOW_FLAG_ROUTED) | (c != NULL && c->preserve_source ? FLOW_FLAG_ROUTED : 0));
}

uint32_t failover_sibling(const struct worker *w, const struct flow_entry *f)
{
	const struct peer_record *record = peer_record_get(w->edge->records, f->session);

	if (record == NULL || record->kind != PEER_CONNECTOR || record->tunnel != f->tunnel ||
	    !connector_alive(w->edge, record->connector))
		return RECORD_NONE;
	return connector_session(w->edge, record->connector, w->id);
}

/* Its state was in the connector, and it had begun; a SYN that nobody answered yet may be sent again elsewhere. */
static bool lived_there(const struct worker *w, const struct flow_entry *f)
{
	if (f->key.proto != INNER_TCP || f->session == RECORD_NONE || (f->flags & FLOW_FLAG_ROUTED))
		return false;
	if ((f->flags & FLOW_FLAG_MID_STREAM) && decide_in_recreate_window(w))
		return false; /* after the edge's own start its connector is on its way back */
	return f->tcp_state != FLOW_TCP_NONE && f->tcp_state != FLOW_TCP_SYN_UP && f->tcp_state != FLOW_TCP_SYN_DOWN;
}

bool failover_ends(const struct worker *w, struct flow_entry *f)
{
	if (!lived_there(w, f))
		return false;
	f->tcp_state = FLOW_TCP_RESET;
	f->timeout_class = FLOW_CLASS_TCP_CLOSING;
	return true;
}

static void put_question(uint8_t *p, const struct flow_key *key, const struct client_record *client, uint32_t seq)
{
	unsigned header = key->family == 4 ? 20 : 40;
	uint8_t *tcp = p + header;
	uint16_t sum;

	memset(p, 0, header + TCP_BYTES);
	if (key->family == 4) {
		p[0] = 0x45;
		p[3] = (uint8_t)(header + TCP_BYTES);
		p[6] = 0x40;
		p[8] = 64;
		p[9] = INNER_TCP;
		memcpy(p + 12, key->remote_addr, 4);
		memcpy(p + 16, client->v4, 4);
		sum = inner_sum_fold(inner_sum(p, 20, 0));
		memcpy(p + 10, &sum, 2);
	} else {
		p[0] = 0x60;
		p[5] = TCP_BYTES;
		p[6] = INNER_TCP;
		p[7] = 64;
		memcpy(p + 8, key->remote_addr, 16);
		memcpy(p + 24, client->v6, 16);
	}
	memcpy(tcp, &key->remote_port_be, 2);
	memcpy(tcp + 2, &key->client_port_be, 2);
	memcpy(tcp + 4, &seq, 4);
	tcp[12] = TCP_BYTES / 4 << 4;
	tcp[13] = FLOW_TCP_FLAG_ACK;
	sum = inner_l4_checksum(key->family, inner_src(p, key->family), inner_dst(p, key->family), INNER_TCP, tcp, TCP_BYTES);
	memcpy(tcp + 16, &sum, 2);
}

static void ask(struct worker *w, const struct flow_entry *f)
{
	const struct client_record *client = client_get(w->edge->records, f->key.client);
	uint32_t peer = client == NULL ? RECORD_NONE : peers_of_client(w->edge, client);
	struct rte_mbuf *m = peer == RECORD_NONE ? NULL : worker_new_packet(w);

	if (m == NULL)
		return;
	/* the sweep and its repetition lie half of the sequence space apart: one of them is outside of any window */
	put_question(rte_pktmbuf_mtod(m, uint8_t *), &f->key, client, w->failover.repeated ? 0x80 : 0);
	rte_pktmbuf_append(m, (uint16_t)((f->key.family == 4 ? 20 : 40) + TCP_BYTES));
	pkt_meta(m)->out_peer = peer;
	pkt_meta(m)->inner_family = f->key.family;
	worker_emit(w, m);
	w->failover.asked++;
}

static bool visit(void *ctx, struct flow_entry *f)
{
	struct worker *w = ctx;

	if (f->verdict == FLOW_VERDICT_ALLOW && f->tcp_state != FLOW_TCP_RESET && f->tcp_state != FLOW_TCP_FIN_BOTH &&
	    lived_there(w, f) && !failover_session_usable(w, f) && failover_sibling(w, f) == RECORD_NONE)
		ask(w, f);
	return w->failover.asked < ASKS_PER_TURN;
}

unsigned failover_turn(struct worker *w)
{
	uint32_t losses = __atomic_load_n(&w->edge->losses, __ATOMIC_ACQUIRE);

	if (losses != w->failover.losses) {
		w->failover.losses = losses;
		w->failover.cursor = 0;
		w->failover.sweeping = true;
		w->failover.repeated = false;
		w->failover.again_ns = w->now_ns + AGAIN_NS;
	} else if (!w->failover.sweeping && w->failover.again_ns != 0 && w->now_ns >= w->failover.again_ns) {
		w->failover.again_ns = 0;
		w->failover.cursor = 0;
		w->failover.sweeping = w->failover.repeated = true;
	}
	if (!w->failover.sweeping)
		return 0;
	w->failover.asked = 0;
	w->failover.sweeping = flow_iterate(w->flows, &w->failover.cursor, w->edge->config.cap_flows / SWEEP_TURNS + 1, visit, w);
	worker_run_out(w);
	return w->failover.asked + w->failover.sweeping; /* no sleep before the end */
}
