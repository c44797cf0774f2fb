// SPDX-License-Identifier: BSD-3-Clause
// show.counters, show.drops, show.workers, show.stages, show.ports.
#include "dataplane/control/show.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/drop_reasons.h"

static void put(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

static uint64_t sum_drops(const uint64_t drops[DROP_REASON_COUNT])
{
	uint64_t sum = 0;

	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		sum += drops[r];
	return sum;
}

static json_t *worker_object(const struct counted_worker *w, unsigned i)
{
	json_t *o = json_object();

	put(o, "worker", i);
	put(o, "core", w->core);
	put(o, "rx_packets", w->c.rx_packets);
	put(o, "rx_bytes", w->c.rx_bytes);
	put(o, "tx_packets", w->c.tx_packets);
	put(o, "tx_bytes", w->c.tx_bytes);
	put(o, "originated_packets", w->c.originated);
	put(o, "originated_dropped", w->c.originated_dropped);
	put(o, "kernel_packets", w->c.kernel);
	put(o, "consumed_packets", w->c.consumed);
	put(o, "dropped_packets", sum_drops(w->c.drops));
	put(o, "handoff_in", w->c.handoff_in);
	put(o, "handoff_out", w->c.handoff_out);
	put(o, "flows", w->flows);
	put(o, "sessions", w->sessions);
	put(o, "flows_created", w->c.flows_created);
	put(o, "flows_ended", w->c.flows_ended);
	return o;
}

static json_t *totals_object(const struct counter_totals *t)
{
	json_t *o = json_object();

	put(o, "rx_packets", t->rx_packets);
	put(o, "rx_bytes", t->rx_bytes);
	put(o, "tx_packets", t->tx_packets);
	put(o, "tx_bytes", t->tx_bytes);
	put(o, "originated_packets", t->originated);
	put(o, "originated_dropped", t->originated_dropped);
	put(o, "kernel_packets", t->kernel);
	put(o, "consumed_packets", t->consumed);
	put(o, "dropped_packets", t->dropped);
	put(o, "handshakes", t->handshakes);
	put(o, "sessions", t->sessions);
	put(o, "flows", t->flows);
	put(o, "handoff_packets", t->handoffs);
	put(o, "flows_created", t->flows_created);
	put(o, "flows_ended", t->flows_ended);
	return o;
}

static json_t *inspection_object(const struct counter_totals *t)
{
	json_t *o = json_object(), *ends = json_object();

	put(o, "started", t->inspect_started);
	put(o, "active", t->inspect_active);
	for (unsigned e = INSPECT_RUNNING + 1; e < INSPECT_END_COUNT; e++)
		put(ends, inspect_end_name(e), t->inspect_ends[e]);
	json_object_set_new(o, "ended", ends);
	return o;
}

static json_t *handshake_object(const struct handshake_counters *h)
{
	json_t *o = json_object();

	put(o, "initiations_rx", h->initiations_rx);
	put(o, "responses_rx", h->responses_rx);
	put(o, "cookies_rx", h->cookies_rx);
	put(o, "initiations_tx", h->initiations_tx);
	put(o, "responses_tx", h->responses_tx);
	put(o, "cookies_tx", h->cookies_tx);
	put(o, "completed", h->completed);
	put(o, "consumed_packets", h->consumed);
	put(o, "originated_dropped", h->originated_failed);
	json_object_set_new(o, "under_load", json_boolean(h->under_load));
	put(o, "connectors_live", h->connectors_live);
	return o;
}

static json_t *flow_log_object(const struct show_flow_log *l)
{
	json_t *o = json_object();

	json_object_set_new(o, "on", json_boolean(l->on));
	json_object_set_new(o, "file", l->file[0] ? json_string(l->file) : json_null());
	put(o, "lines", l->stats.lines);
	put(o, "ring_dropped", l->stats.ring_dropped);
	put(o, "file_lost", l->stats.file_lost);
	put(o, "readers", l->readers);
	put(o, "readers_lost", l->stats.readers_lost);
	put(o, "file_bytes", l->stats.file_bytes);
	json_object_set_new(o, "file_error", l->stats.file_error ? json_string(strerror(l->stats.file_error)) : json_null());
	return o;
}

json_t *show_counters(const struct show_identity *id, const struct counters *c, const struct show_flow_log *log)
{
	json_t *o = json_object(), *workers = json_array(), *drops = json_object(), *revision = json_object();
	struct counter_totals t;

	counters_sum(c, &t);
	for (unsigned i = 0; i < c->n_workers; i++)
		json_array_append_new(workers, worker_object(&c->workers[i], i));
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		put(drops, drop_reason_name(r), t.drops[r]);
	put(revision, "configured", id->sync.configured);
	put(revision, "applied", id->sync.applied);
	json_object_set_new(o, "edge_id", json_string(id->edge_id));
	json_object_set_new(o, "instance", json_string(id->instance));
	put(o, "uptime_s", id->uptime_s);
	json_object_set_new(o, "revision", revision);
	json_object_set_new(o, "workers", workers);
	json_object_set_new(o, "totals", totals_object(&t));
	json_object_set_new(o, "inspection", inspection_object(&t));
	json_object_set_new(o, "handshake", handshake_object(&c->handshake));
	json_object_set_new(o, "drops", drops);
	json_object_set_new(o, "flow_log", flow_log_object(log));
	return o;
}

static json_t *drop_object(const struct counters *c, const struct counter_totals *t, unsigned r)
{
	json_t *o = json_object(), *where = json_object(), *workers = json_array();

	for (unsigned i = 0; i < c->n_workers; i++)
		json_array_append_new(workers, json_integer((json_int_t)c->workers[i].c.drops[r]));
	put(where, "xdp", t->drops_xdp[r]);
	put(where, "port", t->drops_port[r]);
	put(where, "handshake", c->handshake.drops[r]);
	json_object_set_new(where, "workers", workers);
	json_object_set_new(o, "reason", json_string(drop_reason_name(r)));
	json_object_set_new(o, "text", json_string(drop_reason_text(r)));
	put(o, "count", t->drops[r]);
	json_object_set_new(o, "where", where);
	return o;
}

json_t *show_drops(const struct counters *c, bool all)
{
	json_t *o = json_object(), *list = json_array();
	struct counter_totals t;

	counters_sum(c, &t);
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		if (all || t.drops[r])
			json_array_append_new(list, drop_object(c, &t, r));
	put(o, "total", t.dropped);
	json_object_set_new(o, "drops", list);
	return o;
}

/* One decimal is enough for people, and keeps answers stable. */
static json_t *ratio(double value)
{
	return json_real((double)(int64_t)(value * 10 + 0.5) / 10);
}

json_t *show_workers(const struct show_identity *id, const struct counters *c)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < c->n_workers; i++) {
		const struct counted_worker *w = &c->workers[i];
		json_t *o = json_object();

		put(o, "worker", i);
		put(o, "core", w->core);
		put(o, "loops", w->c.loops);
		json_object_set_new(o, "busy_percent", ratio(w->busy_percent));
		put(o, "sleeps", w->c.sleeps);
		json_object_set_new(o, "max_turn_cpu_us", ratio((double)w->c.max_turn_cpu_ns / 1000));
		json_object_set_new(o, "max_turn_wall_us", ratio((double)w->c.max_turn_wall_ns / 1000));
		put(o, "preempted_turns", w->c.preempted_turns);
		put(o, "flows", w->flows);
		put(o, "flows_capacity", id->flows_capacity);
		put(o, "sessions", w->sessions);
		put(o, "sessions_capacity", id->sessions_capacity);
		put(o, "rx_packets", w->c.rx_packets);
		put(o, "tx_packets", w->c.tx_packets);
		put(o, "dropped_packets", sum_drops(w->c.drops));
		put(o, "handoff_in", w->c.handoff_in);
		put(o, "handoff_out", w->c.handoff_out);
		json_array_append_new(list, o);
	}
	return json_pack("{s:o}", "workers", list);
}

static void put_stage(json_t *o, const struct stage_counters *s)
{
	put(o, "calls", s->calls);
	put(o, "packets", s->packets);
	put(o, "cycles", s->cycles);
}

json_t *show_stages(const struct show_identity *id, const struct counters *c)
{
	json_t *list = json_array();

	for (unsigned s = 0; s < STAGE_COUNT; s++) {
		struct stage_counters sum = {0};
		json_t *o = json_object(), *workers = json_array();

		for (unsigned i = 0; i < c->n_workers; i++) {
			const struct stage_counters *w = &c->workers[i].c.stages[s];
			json_t *per = json_object();

			sum.calls += w->calls;
			sum.packets += w->packets;
			sum.cycles += w->cycles;
			put_stage(per, w);
			json_array_append_new(workers, per);
		}
		json_object_set_new(o, "stage", json_string(worker_stage_name(s)));
		json_object_set_new(o, "text", json_string(worker_stage_text(s)));
		put_stage(o, &sum);
		json_object_set_new(o, "packets_per_call",
				    ratio(sum.calls ? (double)sum.packets / (double)sum.calls : 0));
		json_object_set_new(o, "cycles_per_packet",
				    ratio(sum.packets ? (double)sum.cycles / (double)sum.packets : 0));
		json_object_set_new(o, "workers", workers);
		json_array_append_new(list, o);
	}
	return json_pack("{s:I,s:o}", "tsc_hz", (json_int_t)id->tsc_hz, "stages", list);
}

static json_t *xdp_object(const struct counted_port *p)
{
	json_t *o, *drops;

	if (!p->has_xdp)
		return json_null();
	o = json_object();
	drops = json_object();
#define X(name) put(drops, #name, p->xdp.c[STEER_DROP_##name]);
	STEER_DROPS(X)
#undef X
	put(o, "rx_packets", p->xdp.c[STEER_RX]);
	put(o, "rx_bytes", p->xdp.c[STEER_RX_BYTES]);
	put(o, "kernel_packets", p->xdp.c[STEER_KERNEL]);
	put(o, "redirected_packets", p->xdp.c[STEER_REDIRECTED]);
	json_object_set_new(o, "drops", drops);
	return o;
}

static json_t *misses_object(const struct port_stats *s)
{
	json_t *o = json_object();

	put(o, "port_rx_full", s->rx_full);
	put(o, "port_rx_nombuf", s->rx_nombuf);
	put(o, "port_rx_too_long", s->rx_too_long);
	put(o, "nic_missed", s->rx_nic_missed);
	put(o, "tx_dropped", s->tx_dropped);
	put(o, "tx_unsendable", s->tx_unsendable);
	return o;
}

json_t *show_ports(const struct counters *c)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < c->n_ports; i++) {
		const struct counted_port *p = &c->ports[i];
		json_t *o = json_object();
		char mac[18];

		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", p->mac[0], p->mac[1], p->mac[2], p->mac[3],
			 p->mac[4], p->mac[5]);
		put(o, "port", i);
		json_object_set_new(o, "name", json_string(p->name));
		json_object_set_new(o, "kind", json_string(p->ethdev ? "ethdev" : "af_xdp"));
		json_object_set_new(o, "iface", p->ethdev ? json_null() : json_string(p->name));
		json_object_set_new(o, "mac", json_string(mac));
		put(o, "mtu", p->mtu);
		put(o, "queues", p->queues);
		json_object_set_new(o, "mode",
				    p->has_xdp ? json_string(p->native ? "native" : "generic") : json_null());
		json_object_set_new(o, "driver", json_string(p->iface_mode));
		put(o, "rx_packets", p->stats.rx_packets);
		put(o, "rx_bytes", p->stats.rx_bytes);
		put(o, "tx_packets", p->stats.tx_packets);
		put(o, "tx_bytes", p->stats.tx_bytes);
		json_object_set_new(o, "misses", misses_object(&p->stats));
		json_object_set_new(o, "xdp", xdp_object(p));
		json_array_append_new(list, o);
	}
	return json_pack("{s:o}", "ports", list);
}
