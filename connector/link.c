// SPDX-License-Identifier: BSD-3-Clause
// Sessions to one edge.
#include "connector/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "lib/log.h"

#define MS WG_NS_PER_MS


static void send_hello(struct link *link, unsigned i, uint64_t now_ns)
{
	bool settled = link->settle.slot[i].state == SETTLE_SETTLED;
	const struct ctlmsg msg = {
		.type = CTLMSG_HELLO,
		.hello = {.session_index = (uint16_t)i, .flags = settled ? CTLMSG_HELLO_SETTLED : 0}};
	struct link_slot *slot = &link->slots[i];

	session_send_control(&link->sessions[i], &msg, now_ns);
	if (!settled)
		slot->hello_ms = now_ns / MS + LINK_HELLO_MS; /* until it says where */
	else
		slot->hello_ms = slot->hellos ? now_ns / MS + LINK_HELLO_MS / 4 : 0;
	if (settled && slot->hellos)
		slot->hellos--;
}

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void on_inner(void *arg, struct session *s, const uint8_t *packet, uint32_t length)
{
	struct link *link = arg;

	link->host->inner(link->host->arg, s, packet, length);
}

static void on_ready(void *arg, struct session *s)
{
	struct link *link = arg;
	uint64_t now_ns = clock_ns();

	log_debug("edge %s: session %u is up", link->edge.id, s->index);
	send_hello(link, s->index, now_ns);
}

static void on_landed(struct link *link, struct session *s, const struct ctlmsg *msg, uint64_t now_ns)
{
	struct link_slot *slot = &link->slots[s->index];
	unsigned i = s->index;

	switch (settle_landed(&link->settle, i, msg->landed.worker, msg->landed.workers, msg->landed.edge_instance)) {
	case SETTLE_NONE:
		break;
	case SETTLE_REBIND:
		slot->due_ms = now_ns / MS + LINK_REBIND_MS;
		slot->hello_ms = 0;
		break;
	case SETTLE_TELL:
		if (link->settle.slot[i].crowded)
			log_warn("edge %s: session %u stays on worker %u, which has another: %s", link->edge.id, i,
				 msg->landed.worker,
				 link->settle.slot[i].tries ? "64 source ports led nowhere else" : "it has fewer workers than "
												   "sessions");
		else
			log_info("edge %s: session %u is on worker %u of %u after %u other ports", link->edge.id, i,
				 msg->landed.worker, msg->landed.workers, link->settle.slot[i].tries);
		slot->hellos = LINK_HELLO_REPEATS;
		slot->beat_ms = now_ns / MS + LINK_FIRST_BEAT_MS;
		send_hello(link, i, now_ns);
		break;
	}
}

static void on_control(void *arg, struct session *s, const struct ctlmsg *msg)
{
	struct link *link = arg;
	uint64_t now_ns = clock_ns();
	struct ctlmsg reply;

	switch (msg->type) {
	case CTLMSG_LANDED:
		on_landed(link, s, msg, now_ns);
		break;
	case CTLMSG_PROBE:
		reply = *msg;
		reply.type = CTLMSG_PROBE_REPLY;
		session_send_control(s, &reply, now_ns);
		break;
	case CTLMSG_PROBE_REPLY:
		if (msg->probe.stamp <= now_ns)
			link->slots[s->index].rtt_us = (now_ns - msg->probe.stamp) / 1000;
		break;
	case CTLMSG_DRAIN:
		if (link->edge_draining != (msg->drain.on == 1))
			log_info("edge %s %s", link->edge.id,
				 msg->drain.on == 1 ? "drains: new flows go elsewhere" : "takes flows again");
		link->edge_draining = msg->drain.on == 1;
		break;
	default:
		break;
	}
}

static void slot_close(struct link *link, unsigned i)
{
	/* a closed socket leaves the epoll by itself */
	session_close(&link->sessions[i]);
	link->slots[i].hello_ms = 0;
	link->slots[i].rtt_us = 0;
}

static void slot_open(struct link *link, unsigned i, uint64_t now_ns)
{
	struct link_host *host = link->host;
	struct link_slot *slot = &link->slots[i];
	struct session *s = &link->sessions[i];
	const struct ip_endpoint *e = &link->edge.endpoints[slot->endpoint % link->edge.endpoint_count];
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
	char text[IP_ENDPOINT_TEXT];
	int err;

	slot_close(link, i);
	slot->due_ms = 0;
	slot->connect_ms = now_ns / MS;
	slot->ports++;
	err = session_connect(s, e, &host->identities[i], &host->clocks[i], link->edge.keys[0], link->mtu, now_ns);
	if (!err && epoll_ctl(host->epoll_fd, EPOLL_CTL_ADD, s->fd, &event))
		err = -errno;
	if (!err)
		return;
	log_rated(LOG_LEVEL_WARN, "edge %s at %s: session %u: %s", link->edge.id, ip_endpoint_format(e, text), i,
		  strerror(-err));
	slot_close(link, i);
	slot->endpoint++;
	slot->due_ms = now_ns / MS + LINK_RETRY_MS;
}

/* Tries the next endpoint, on a new socket. */
static void slot_fail_over(struct link *link, unsigned i, const char *why, uint64_t now_ns)
{
	struct link_slot *slot = &link->slots[i];
	char text[IP_ENDPOINT_TEXT];

	log_rated(LOG_LEVEL_WARN, "edge %s at %s: session %u: %s", link->edge.id,
		  ip_endpoint_format(&link->edge.endpoints[slot->endpoint % link->edge.endpoint_count], text), i, why);
	settle_lost(&link->settle, i);
	slot->endpoint++;
	slot_open(link, i, now_ns);
}

static bool slot_start(struct link *link, unsigned i, uint64_t now_ms)
{
	link->slots[i] = (struct link_slot){.endpoint = i ? link->slots[0].endpoint : 0, .due_ms = now_ms};
	settle_lost(&link->settle, i);
	return session_init(&link->sessions[i], i, link, &link->events, &link->host->room);
}

struct link *link_create(struct link_host *host, const struct registration_edge *edge, unsigned sessions, unsigned mtu,
			 uint64_t now_ms)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->host = host;
	link->events = (struct session_events){.arg = link, .inner = on_inner, .control = on_control, .ready = on_ready};
	link->edge = *edge;
	link->mtu = mtu;
	link->alive_ms = now_ms;
	settle_init(&link->settle, sessions);
	while (link->count < sessions && slot_start(link, link->count, now_ms))
		link->count++;
	if (link->count < sessions) {
		link_destroy(link);
		return NULL;
	}
	return link;
}

void link_destroy(struct link *link)
{
	if (!link)
		return;
	for (unsigned i = 0; i < SETTLE_SESSIONS_MAX; i++)
		session_free(&link->sessions[i]);
	free(link);
}

static bool endpoint_kept(struct link *link, unsigned i, const struct registration_edge *edge)
{
	const struct ip_endpoint *e = &link->edge.endpoints[link->slots[i].endpoint % link->edge.endpoint_count];

	for (unsigned n = 0; n < edge->endpoint_count; n++)
		if (edge->endpoints[n].port == e->port && !ip_addr_cmp(&edge->endpoints[n].addr, &e->addr)) {
			link->slots[i].endpoint = n;
			return true;
		}
	return false;
}

void link_update(struct link *link, const struct registration_edge *edge, unsigned sessions, unsigned mtu,
		 uint64_t now_ms)
{
	bool anew = memcmp(link->edge.keys[0], edge->keys[0], WG_KEY_BYTES) || mtu != link->mtu;

	for (unsigned i = 0; i < link->count; i++)
		if (!endpoint_kept(link, i, edge) || anew) {
			slot_close(link, i);
			settle_lost(&link->settle, i);
			link->slots[i].due_ms = now_ms;
		}
	link->edge = *edge;
	link->mtu = mtu;
	while (link->count > sessions) {
		link->count--;
		session_free(&link->sessions[link->count]);
		settle_lost(&link->settle, link->count);
	}
	link->settle.sessions = sessions;
	while (link->count < sessions && slot_start(link, link->count, now_ms))
		link->count++;
	link->settle.sessions = link->count;
}

bool link_live(const struct link *link, unsigned index, uint64_t now_ns)
{
	const struct session *s = &link->sessions[index];

	return link->settle.slot[index].state == SETTLE_SETTLED && session_ready(s, now_ns) && s->heard_ns &&
	       now_ns - s->heard_ns < LINK_DEAD_MS * MS;
}

unsigned link_live_count(const struct link *link, uint64_t now_ns)
{
	unsigned n = 0;

	for (unsigned i = 0; i < link->count; i++)
		n += link_live(link, i, now_ns);
	return n;
}

void link_tell(struct link *link, const struct ctlmsg *msg, uint64_t now_ns)
{
	for (unsigned i = 0; i < link->count; i++)
		if (session_ready(&link->sessions[i], now_ns))
			session_send_control(&link->sessions[i], msg, now_ns);
}

static void send_probe(struct link *link, unsigned i, uint64_t now_ns)
{
	const struct ctlmsg probe = {.type = CTLMSG_PROBE, .probe = {.stamp = now_ns}};

	link->slots[i].probe_ms = now_ns / MS;
	session_send_control(&link->sessions[i], &probe, now_ns);
}

/* What a settled session says again and again, so that a lost message does no lasting harm. */
static void beat(struct link *link, unsigned i, uint64_t now_ns)
{
	struct ctlmsg msg = {.type = CTLMSG_LIMITS};

	link->slots[i].beat_ms = now_ns / MS + LINK_BEAT_MS;
	send_hello(link, i, now_ns);
	send_probe(link, i, now_ns);
	if (i == 0) {
		link->host->limits(link->host->arg, &msg);
		session_send_control(&link->sessions[i], &msg, now_ns);
	}
	if (link->host->draining) {
		msg = (struct ctlmsg){.type = CTLMSG_DRAIN, .drain = {.on = 1}};
		session_send_control(&link->sessions[i], &msg, now_ns);
	}
}

static void slot_tick(struct link *link, unsigned i, uint64_t now_ns)
{
	struct session *s = &link->sessions[i];
	struct link_slot *slot = &link->slots[i];
	uint64_t now_ms = now_ns / MS, heard_ms = s->heard_ns / MS;

	if (slot->due_ms && now_ms >= slot->due_ms) {
		slot_open(link, i, now_ns);
		return;
	}
	if (s->fd < 0)
		return;
	if (s->next_tick_ns <= now_ns)
		session_tick(s, now_ns);
	if (!heard_ms) {
		if (now_ms - slot->connect_ms >= LINK_CONNECT_MS)
			slot_fail_over(link, i, "no answer", now_ns);
		return;
	}
	if (now_ms - heard_ms >= LINK_DEAD_MS) {
		slot_fail_over(link, i, "not heard for 10 s", now_ns);
		return;
	}
	if (!session_ready(s, now_ns))
		return;
	if (slot->hello_ms && now_ms >= slot->hello_ms)
		send_hello(link, i, now_ns);
	if (now_ms - heard_ms >= LINK_QUIET_MS && now_ms - slot->probe_ms >= LINK_PROBE_MS)
		send_probe(link, i, now_ns);
	if (link->settle.slot[i].state == SETTLE_SETTLED && now_ms >= slot->beat_ms)
		beat(link, i, now_ns);
}

static void earlier(uint64_t at_ms, uint64_t *next_ms)
{
	if (at_ms && at_ms < *next_ms)
		*next_ms = at_ms;
}

int link_tick(struct link *link, uint64_t now_ns)
{
	uint64_t now_ms = now_ns / MS, next_ms = now_ms + 1000;

	for (unsigned i = 0; i < link->count; i++) {
		slot_tick(link, i, now_ns);
		earlier(link->slots[i].due_ms, &next_ms);
		earlier(link->slots[i].hello_ms, &next_ms);
		if (link->sessions[i].fd >= 0)
			earlier(link->sessions[i].next_tick_ns / MS + 1, &next_ms);
	}
	if (link_live_count(link, now_ns)) {
		link->alive_ms = now_ms;
	} else if (now_ms - link->alive_ms >= 2 * LINK_DEAD_MS) {
		link->alive_ms = now_ms;
		link->host->lost(link->host->arg, link);
	}
	return next_ms <= now_ms ? 0 : (int)(next_ms - now_ms);
}

void link_flush(struct link *link, uint64_t now_ns)
{
	for (unsigned i = 0; i < link->count; i++)
		session_flush(&link->sessions[i], now_ns);
}
