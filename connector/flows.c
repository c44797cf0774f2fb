// SPDX-License-Identifier: BSD-3-Clause
// Flow table: chained hash under a secret key, and one list per idle time, oldest first.
#include "connector/flows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

enum { EXPIRE_PER_CALL = 1024, NS_PER_MS = 1000 * 1000 };

/* Each kind has one idle time, so its list in order of use is in order of expiry. */
enum kind {
	KIND_TCP,
	KIND_TCP_OPENING,
	KIND_TCP_CLOSING,
	KIND_UDP,
	KIND_ICMP,
	KINDS,
};

static const uint64_t idle_ms[KINDS] = {
	[KIND_TCP] = FLOWS_TCP_IDLE_MS,
	[KIND_TCP_OPENING] = FLOWS_TCP_OPENING_MS,
	[KIND_TCP_CLOSING] = FLOWS_TCP_CLOSING_MS,
	[KIND_UDP] = FLOWS_UDP_IDLE_MS,
	[KIND_ICMP] = FLOWS_ICMP_IDLE_MS,
};

struct flows {
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	unsigned capacity, tcp_max, mask;
	struct flow *pool, *free;
	struct flow **buckets;
	struct {
		struct flow *oldest, *newest;
		unsigned count;
	} kinds[KINDS];
	uint64_t total[3], refused, evicted, unanswered; /* TCP, UDP, ICMP */
};

static enum kind kind_of(const struct flow *flow)
{
	if (flow->key.protocol == PACKET_TCP) {
		if (flow->reset || (flow->fin_up && flow->fin_down))
			return KIND_TCP_CLOSING;
		return flow->answered ? KIND_TCP : KIND_TCP_OPENING;
	}
	return flow->key.protocol == PACKET_UDP ? KIND_UDP : KIND_ICMP;
}

static void list_remove(struct flows *f, struct flow *flow, enum kind kind)
{
	if (flow->older)
		flow->older->newer = flow->newer;
	else
		f->kinds[kind].oldest = flow->newer;
	if (flow->newer)
		flow->newer->older = flow->older;
	else
		f->kinds[kind].newest = flow->older;
	f->kinds[kind].count--;
}

static void list_append(struct flows *f, struct flow *flow, enum kind kind)
{
	flow->newer = NULL;
	flow->older = f->kinds[kind].newest;
	if (flow->older)
		flow->older->newer = flow;
	else
		f->kinds[kind].oldest = flow;
	f->kinds[kind].newest = flow;
	f->kinds[kind].count++;
}

struct flows *flows_create(unsigned capacity, unsigned tcp_max)
{
	struct flows *f = calloc(1, sizeof(*f));
	unsigned buckets = 64;

	if (!f)
		return NULL;
	while (buckets < capacity)
		buckets *= 2;
	f->capacity = capacity;
	f->tcp_max = tcp_max;
	f->mask = buckets - 1;
	f->pool = calloc(capacity, sizeof(*f->pool));
	f->buckets = calloc(buckets, sizeof(struct flow *));
	if (!f->pool || !f->buckets) {
		flows_destroy(f);
		return NULL;
	}
	for (unsigned i = capacity; i-- > 0;) {
		f->pool[i].next = f->free;
		f->free = &f->pool[i];
	}
	crypto_shorthash_keygen(f->hash_key);
	return f;
}

void flows_destroy(struct flows *f)
{
	if (!f)
		return;
	free(f->pool);
	free(f->buckets);
	free(f);
}

struct flow_key flow_key_of(const struct packet *p, bool from_origin)
{
	struct flow_key key = {.zero = 0};

	static_assert(sizeof(key) == 2 * sizeof(struct ip_addr) + 6, "no holes");
	key.device = from_origin ? p->dst : p->src;
	key.origin = from_origin ? p->src : p->dst;
	key.device_port = from_origin ? p->dport : p->sport;
	key.origin_port = from_origin ? p->sport : p->dport;
	key.protocol = p->protocol;
	return key;
}

static struct flow **bucket_of(struct flows *f, const struct flow_key *key)
{
	uint8_t h[crypto_shorthash_BYTES];
	uint32_t n;

	crypto_shorthash(h, (const uint8_t *)key, sizeof(*key), f->hash_key);
	memcpy(&n, h, sizeof(n));
	return &f->buckets[n & f->mask];
}

static struct flow *find(struct flows *f, const struct flow_key *key)
{
	struct flow *flow = *bucket_of(f, key);

	while (flow && memcmp(&flow->key, key, sizeof(*key)))
		flow = flow->next;
	return flow;
}

static unsigned tcp_count(const struct flows *f)
{
	return f->kinds[KIND_TCP].count + f->kinds[KIND_TCP_OPENING].count + f->kinds[KIND_TCP_CLOSING].count;
}

static struct flow *make_flow(struct flows *f, const struct flow_key *key)
{
	struct flow **bucket = bucket_of(f, key), *flow = f->free;

	if (!flow || (key->protocol == PACKET_TCP && tcp_count(f) >= f->tcp_max))
		return NULL;
	f->free = flow->next;
	memset(flow, 0, sizeof(*flow));
	flow->key = *key;
	flow->next = *bucket;
	*bucket = flow;
	list_append(f, flow, kind_of(flow));
	f->total[key->protocol == PACKET_TCP ? 0 : key->protocol == PACKET_UDP ? 1 : 2]++;
	return flow;
}

static void forget(struct flows *f, struct flow *flow)
{
	struct flow **at = bucket_of(f, &flow->key);

	while (*at != flow)
		at = &(*at)->next;
	*at = flow->next;
	list_remove(f, flow, kind_of(flow));
	flow->next = f->free;
	f->free = flow;
}

/* Notes a packet; the flow goes to the young end of the list of its (maybe new) kind. */
static void touch(struct flows *f, struct flow *flow, const struct packet *p, bool down, uint64_t now_ms)
{
	enum kind before = kind_of(flow);
	bool fin = p->protocol == PACKET_TCP && p->tcp_flags & PACKET_TCP_FIN;

	list_remove(f, flow, before);
	if (down) {
		flow->answered = true;
		flow->fin_down |= fin;
		if (p->protocol == PACKET_TCP && p->tcp_flags & PACKET_TCP_ACK)
			flow->device_next = packet_tcp_ack(p);
	} else {
		flow->fin_up |= fin;
	}
	if (p->protocol == PACKET_TCP && p->tcp_flags & PACKET_TCP_RST)
		flow->reset = true;
	flow->last_ms = now_ms;
	list_append(f, flow, kind_of(flow));
}

static bool may_make(const struct packet *p, enum flows_make make)
{
	return make == FLOWS_MAKE_ANY || (make == FLOWS_MAKE_NEW && (p->protocol != PACKET_TCP || packet_is_syn(p)));
}

struct flow *flows_up(struct flows *f, const struct packet *p, void *session, enum flows_make make, bool *full,
		      uint64_t now_ns)
{
	struct flow_key key = flow_key_of(p, false);
	struct flow *flow = find(f, &key);

	*full = false;
	if (flow && packet_is_syn(p) && kind_of(flow) == KIND_TCP_CLOSING) {
		forget(f, flow); /* the device uses the port again */
		flow = NULL;
	}
	if (!flow && may_make(p, make)) {
		flow = make_flow(f, &key);
		*full = !flow;
		if (flow) {
			flow->start_ns = now_ns;
			flow->begun = p->protocol != PACKET_TCP || packet_is_syn(p);
		}
	}
	if (!flow)
		return NULL;
	touch(f, flow, p, false, now_ns / NS_PER_MS);
	flow->session = session;
	return flow;
}

/* The key of the packet that an ICMP error quotes: one that the device sent. */
static bool quoted_key(const struct packet *p, struct flow_key *key)
{
	const uint8_t *q = p->bytes + p->l4_at + 8;
	uint32_t n = p->l4_bytes - 8;
	bool v6 = p->src.family == 6;
	uint32_t at = v6 ? 40 : 20;
	struct packet quoted = {.protocol = 0};

	if (n < at || q[0] >> 4 != (v6 ? 6 : 4))
		return false;
	if (!v6)
		at = (q[0] & 0x0fu) * 4;
	if (at < 20 || n < at + 8)
		return false;
	quoted.protocol = q[v6 ? 6 : 9];
	quoted.src.family = quoted.dst.family = v6 ? 6 : 4;
	memcpy(quoted.src.bytes, q + (v6 ? 8 : 12), v6 ? 16 : 4);
	memcpy(quoted.dst.bytes, q + (v6 ? 24 : 16), v6 ? 16 : 4);
	if (quoted.protocol == PACKET_TCP || quoted.protocol == PACKET_UDP) {
		quoted.sport = packet_get16(q + at);
		quoted.dport = packet_get16(q + at + 2);
	} else {
		quoted.sport = quoted.dport = packet_get16(q + at + 4);
	}
	*key = flow_key_of(&quoted, false);
	return true;
}

struct flow *flows_down(struct flows *f, const struct packet *p, bool *first, uint64_t now_ns)
{
	struct flow_key key = flow_key_of(p, true);
	struct flow *flow;

	*first = false;
	if (p->icmp_error && !quoted_key(p, &key))
		return NULL;
	flow = find(f, &key);
	if (!flow)
		return NULL;
	*first = flow->begun && !flow->answered;
	if (!p->icmp_error) /* an error does not keep the flow alive */
		touch(f, flow, p, true, now_ns / NS_PER_MS);
	else if (*first)
		flow->begun = false; /* counted */
	return flow;
}

bool flows_evict(struct flows *f, struct flow *gone)
{
	struct flow *flow = f->kinds[KIND_TCP_CLOSING].oldest;

	if (!flow)
		return false;
	*gone = *flow;
	forget(f, flow);
	f->evicted++;
	return true;
}

void flows_count_refused(struct flows *f)
{
	f->refused++;
}

unsigned flows_expire(struct flows *f, uint64_t now_ms)
{
	unsigned n = 0;

	for (int kind = 0; kind < KINDS; kind++) {
		struct flow *flow;

		while (n < EXPIRE_PER_CALL && (flow = f->kinds[kind].oldest) &&
		       flow->last_ms + idle_ms[kind] <= now_ms) {
			f->unanswered += kind == KIND_TCP_OPENING && flow->begun;
			forget(f, flow);
			n++;
		}
	}
	return n;
}

void flows_forget_session(struct flows *f, const void *session)
{
	for (unsigned i = 0; i < f->capacity; i++)
		if (f->pool[i].session == session)
			f->pool[i].session = NULL;
}

unsigned flows_active(const struct flows *f)
{
	unsigned n = 0;

	for (int kind = 0; kind < KINDS; kind++)
		n += f->kinds[kind].count;
	return n;
}

unsigned flows_busy(const struct flows *f, uint64_t now_ms)
{
	const struct flow *udp = f->kinds[KIND_UDP].newest;

	return f->kinds[KIND_TCP].count + f->kinds[KIND_TCP_OPENING].count + (udp && udp->last_ms + FLOWS_BUSY_MS > now_ms);
}

void flows_counts_get(const struct flows *f, struct flows_counts *out)
{
	out->tcp = tcp_count(f);
	out->udp = f->kinds[KIND_UDP].count;
	out->icmp = f->kinds[KIND_ICMP].count;
	out->tcp_total = f->total[0];
	out->udp_total = f->total[1];
	out->icmp_total = f->total[2];
	out->refused = f->refused;
	out->evicted = f->evicted;
	out->unanswered = f->unanswered;
}
