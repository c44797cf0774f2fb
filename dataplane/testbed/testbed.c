// SPDX-License-Identifier: BSD-3-Clause
// A whole edge in memory: built and run.
#include "dataplane/testbed/testbed.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_eal.h>
#include <rte_eal_memconfig.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <sodium.h>

#include "dataplane/handshake.h"
#include "dataplane/outer/outer.h"
#include "dataplane/ports/port.h"
#include "dataplane/tables/device_table.h"
#include "dataplane/tables/peer_index.h"
#include "dataplane/tables/route_table.h"
#include "lib/wg/wire.h"

#define FRAME_MAX 2048
#define FREE_SLOTS 1024 /* of each worker, beside those of the bed's own sessions */
#define PORT_QUEUE 4096 /* power of two */

/* The outer network of the bed: everything is reachable by port 0. Stands in for dataplane/outer. */
struct outer_snapshot {
	uint64_t generation;
};

static const struct outer_snapshot bed_outer = {.generation = 1};

uint64_t outer_generation(const struct outer_snapshot *snap)
{
	return snap->generation;
}

void outer_resolve(const struct outer_snapshot *snap, const struct outer_addr *dst, const struct outer_addr *src_hint,
		   struct outer_result *out)
{
	(void)snap;
	(void)dst;
	(void)src_hint;
	memset(out, 0, sizeof(*out));
	out->status = OUTER_OK;
	out->mtu = 1500;
	memcpy(out->src_mac, "\x02\0\0\0\0\1", 6);
	memcpy(out->dst_mac, "\x02\0\0\0\0\2", 6);
}

/* ---- the port: queues in, one array out ---- */

struct memory_port {
	struct port port;
	struct testbed *bed;
	unsigned head[EDGE_MAX_WORKERS], tail[EDGE_MAX_WORKERS];
	struct rte_mbuf *in[EDGE_MAX_WORKERS][PORT_QUEUE];
};

static uint16_t memory_rx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct memory_port *p = (struct memory_port *)port;
	unsigned have = p->tail[queue] - p->head[queue];

	if (have > n)
		have = n;
	for (unsigned i = 0; i < have; i++)
		mbufs[i] = p->in[queue][p->head[queue]++ % PORT_QUEUE];
	return (uint16_t)have;
}

static uint16_t memory_tx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct testbed *bed = ((struct memory_port *)port)->bed;
	uint16_t sent = 0;

	(void)queue;
	for (unsigned i = 0; i < n; i++) {
		if (bed->n_out == TESTBED_FRAMES) {
			rte_pktmbuf_free(mbufs[i]);
			continue;
		}
		bed->out[bed->n_out++] = mbufs[i];
		sent++;
	}
	return sent;
}

static void memory_flush(struct port *port, uint16_t queue)
{
	(void)port;
	(void)queue;
}

static const struct port_ops memory_ops = {.rx_burst = memory_rx, .tx_burst = memory_tx, .flush = memory_flush};

/* ---- building ---- */

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "testbed: cannot make %s\n", what);
	abort();
}

/*
 * Puts anonymous memory, which may have transparent huge pages, in the place of the memfd that DPDK takes where none are
 * reserved; what lies in it already moves along. What cannot be had is left as it is.
 */
static int use_huge_pages(const struct rte_memseg_list *list, void *arg)
{
	size_t page = 4096, pages = list->len / page;
	unsigned char *resident = malloc(pages);
	uint8_t *base = list->base_va, *fresh;

	(void)arg;
	fresh = mmap(NULL, list->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (resident == NULL || fresh == MAP_FAILED || mincore(base, list->len, resident) != 0) {
		free(resident);
		return 0;
	}
	for (size_t i = 0; i < pages; i++)
		if (resident[i] & 1)
			memcpy(fresh + i * page, base + i * page, page);
	need(mremap(fresh, list->len, list->len, MREMAP_MAYMOVE | MREMAP_FIXED, base) == base, "anonymous memory");
	madvise(base, list->len, MADV_HUGEPAGE);
	free(resident);
	return 0;
}

static void start_dpdk(const struct testbed_size *size)
{
	char memory[16], lcores[64];
	static bool started;
	char *args[] = {(char *)(uintptr_t)"testbed",	  (char *)(uintptr_t)"--no-huge",
			(char *)(uintptr_t)"--no-shconf", (char *)(uintptr_t)"--no-pci",
			(char *)(uintptr_t)"-m",	  memory,
			(char *)(uintptr_t)"--iova-mode=va", (char *)(uintptr_t)"--no-telemetry",
			(char *)(uintptr_t)"--lcores",	  lcores,
			(char *)(uintptr_t)"--log-level=4"};

	snprintf(memory, sizeof(memory), "%u", size->memory_mb == 0 ? 512 : size->memory_mb);
	snprintf(lcores, sizeof(lcores), "%s", size->lcores == NULL ? "0" : size->lcores);
	if (!started)
		need(rte_eal_init(sizeof(args) / sizeof(args[0]), args) >= 0, "EAL");
	if (!started && size->huge_pages)
		need(rte_memseg_list_walk(use_huge_pages, NULL) == 0, "huge pages");
	started = true;
}

static void *record(size_t size)
{
	void *r = record_alloc(size);

	need(r != NULL, "record");
	return r;
}

static void add_card(struct testbed *bed, enum card_kind kind, uint32_t index, const char *id, const char *name,
		     const char *more, const uint8_t *v4)
{
	struct card card = {.id = id, .name = name, .more = more, .has_v4 = v4 != NULL};

	if (v4 != NULL)
		memcpy(card.v4, v4, 4);
	need(cards_put(bed->edge.cards, kind, index, &card) >= 0, "card");
}

static void add_account(struct testbed *bed, uint32_t index)
{
	struct account_record *a = record(sizeof(*a));
	struct vnet_record *v = record(sizeof(*v));

	a->index = index;
	a->policy_ready = true;
	a->has_edge_v4 = a->has_edge_v6 = true;
	inet_pton(AF_INET, "100.96.0.1", a->edge_v4);
	inet_pton(AF_INET6, "fd00:a::1", a->edge_v6);
	snprintf(a->id, sizeof(a->id), "account-%u", index);
	v->index = index;
	v->account = index;
	bed->edge.records->accounts[index] = a;
	bed->edge.records->vnets[index] = v;
	testbed_rules(bed, index, true, NULL, 0);
	add_card(bed, CARD_ACCOUNT, index, a->id, a->id, "", NULL);
	snprintf(v->id, sizeof(v->id), "vnet-%u", index);
	add_card(bed, CARD_VNET, index, v->id, v->id, "", NULL);
}

static uint32_t add_peer(struct testbed *bed, enum peer_kind kind, uint32_t owner, uint32_t account, uint32_t peer)
{
	struct peer_record *p = record(sizeof(*p));

	p->index = peer;
	p->kind = kind;
	p->client = kind == PEER_CLIENT ? owner : RECORD_NONE;
	p->connector = kind == PEER_CONNECTOR ? owner : RECORD_NONE;
	p->tunnel = kind == PEER_CONNECTOR ? owner : RECORD_NONE; /* one connector per tunnel */
	p->account = account;
	p->vnet = account;
	p->enabled = true;
	p->mtu = bed->mtu;
	randombytes_buf(p->public_key, 32);
	bed->edge.records->peers[peer] = p;
	return peer;
}

static void add_client(struct testbed *bed, uint32_t index, uint32_t account, uint32_t host, uint32_t peer)
{
	struct client_record *c = record(sizeof(*c));
	struct peer_record *p;
	struct device_key key;
	char text[64];
	uint32_t v4;

	c->index = index;
	c->account = account;
	c->vnet = account;
	c->enabled = c->has_v4 = c->has_v6 = true;
	snprintf(text, sizeof(text), "100.%u.%u.%u", 96 + (host >> 16), host >> 8 & 255, host & 255);
	inet_pton(AF_INET, text, c->v4);
	snprintf(text, sizeof(text), "fd00:a::%x:%x", host >> 16, host & 0xffff);
	inet_pton(AF_INET6, text, c->v6);
	c->peers[0] = add_peer(bed, PEER_CLIENT, index, account, peer);
	c->peers[1] = RECORD_NONE;
	snprintf(c->id, sizeof(c->id), "client-%u", index);
	c->identity = POLICY_IDENTITY_NONE;
	bed->edge.records->clients[index] = c;
	testbed_identity(bed, index, NULL, NULL, NULL);
	add_card(bed, CARD_CLIENT, index, c->id, c->id, "", c->v4);
	p = (struct peer_record *)(uintptr_t)bed->edge.records->peers[peer];
	p->has_v4 = p->has_v6 = true;
	memcpy(p->v4, c->v4, 4);
	memcpy(p->v6, c->v6, 16);
	memcpy(&v4, c->v4, 4);
	device_key_v4(&key, account, v4);
	need(device_set(bed->edge.devices, &key, index) >= 0, "device address");
	device_key_v6(&key, account, c->v6);
	need(device_set(bed->edge.devices, &key, index) >= 0, "device address");
}

/* The index of a new route through a tunnel. Never the tunnel's: so that the one is not taken for the other. */
static uint32_t new_route(struct testbed *bed, uint32_t tunnel)
{
	route_record_set(bed->edge.records, bed->next_route, tunnel, bed->next_route + 1);
	return bed->next_route++;
}

static void add_route(struct testbed *bed, uint32_t vnet, const char *network, uint8_t len, uint32_t tunnel)
{
	struct route r = {.vnet = vnet, .next_hop = new_route(bed, tunnel), .len = len};

	r.family = strchr(network, ':') ? 6 : 4;
	inet_pton(r.family == 4 ? AF_INET : AF_INET6, network, r.addr);
	need(route_add(bed->edge.routes, &r) >= 0, network);
}

void testbed_remove_route(struct testbed *bed, uint32_t vnet, const char *network, uint8_t len)
{
	struct route r = {.vnet = vnet, .family = 4, .len = len};

	inet_pton(AF_INET, network, r.addr);
	need(route_delete(bed->edge.routes, &r) >= 0, network);
}

/* A session between the edge and a far end, as a finished handshake would leave it. */
static void add_session(struct testbed *bed, struct far_end *far, uint32_t peer, unsigned worker, unsigned number,
			uint32_t slot)
{
	struct edge *edge = &bed->edge;
	struct message *msg = message_alloc(edge);

	need(msg != NULL, "message");
	far->peer = peer;
	far->endpoint.family = 4;
	far->endpoint.remote[0] = 192;
	far->endpoint.remote[1] = (uint8_t)(number >> 16);
	far->endpoint.remote[2] = (uint8_t)(number >> 8);
	far->endpoint.remote[3] = (uint8_t)number;
	inet_pton(AF_INET, "203.0.113.1", far->endpoint.local);
	far->endpoint.remote_port_be = htons(40000);
	far->endpoint.local_port_be = htons(51820);
	far->own_index = 0x10000 + number;
	far->edge_index = peer_index_encode(edge->index, worker, slot);
	randombytes_buf(far->tx_key, 32);
	randombytes_buf(far->rx_key, 32);
	msg->type = MSG_INSTALL_SESSION;
	msg->peer = peer;
	msg->endpoint = far->endpoint;
	msg->session.local_index = far->edge_index;
	msg->session.remote_index = far->own_index;
	msg->session.initiator = true;
	msg->session.born_ns = edge_now_ns();
	memcpy(msg->session.rx_key, far->tx_key, 32);
	memcpy(msg->session.tx_key, far->rx_key, 32);
	edge->peers[peer].owner = (uint8_t)worker;
	edge->peers[peer].settled = true;
	need(worker_post(edge->workers[worker], msg), "session");
}

static void make_pools(struct edge *edge)
{
	edge->config.cap_mbufs = 8191;
	edge->mbuf_pool = rte_pktmbuf_pool_create("bed", edge->config.cap_mbufs, 64, PKT_META_SIZE, RTE_PKTMBUF_HEADROOM + FRAME_MAX,
						  SOCKET_ID_ANY);
	edge->message_pool = rte_mempool_create("bed_messages", 16383, sizeof(struct message), 0, 0, NULL, NULL, NULL,
						NULL, SOCKET_ID_ANY, 0);
	edge->control_inbox = rte_ring_create("bed_control", 1024, SOCKET_ID_ANY, 0);
	need(edge->mbuf_pool && edge->message_pool && edge->control_inbox, "pools");
}

/* No cap of a client is reached by what tests and benches do, but for those that set their own. */
static void open_caps(struct settings_record *s)
{
	s->client_max_flows = UINT32_MAX;
	s->client_new_flows_per_second = 1000000000;
}

static void make_tables(struct edge *edge, unsigned clients, unsigned n_routes)
{
	struct policy_limits policy = POLICY_LIMITS_DEFAULT;
	struct device_config devices = {.capacity = 2 * clients + 64};
	struct route_config routes = {.vnets = 4, .routes = 1024 + n_routes};
	static struct peer_index index;
	uint8_t key[32];

	policy.accounts = policy.vnets = 4;
	randombytes_buf(devices.secret, sizeof(devices.secret));
	randombytes_buf(key, sizeof(key));
	edge->devices = device_table_create(&devices);
	edge->policy = policy_create(&policy, (struct retire_ops){0});
	edge->routes = route_table_create(&routes);
	need(edge->devices && edge->routes && edge->policy, "tables");
	need(peer_index_init(&index, 0, 0, edge->n_workers, edge->config.cap_sessions, key) == 0, "index");
	edge->index = &index;
	edge->records = records_create(4, 4, 8, clients + 1, 8, edge->config.cap_peers, 4 * TESTBED_RULES,
				       TESTBED_FIRST_ROUTE + 1024 + n_routes);
	edge->sessions = rte_zmalloc(NULL, (size_t)edge->n_workers * edge->config.cap_sessions * sizeof(struct session), 64);
	edge->peers = rte_zmalloc(NULL, edge->config.cap_peers * sizeof(struct peer), 64);
	edge->connector_live = calloc(8, 1);
	need(edge->records && edge->sessions && edge->peers && edge->connector_live, "arrays");
	open_caps((struct settings_record *)(uintptr_t)edge->records->settings);
}

static void make_tunnels(struct testbed *bed, uint32_t first_peer)
{
	for (uint32_t t = 0; t < TESTBED_TUNNELS; t++) {
		struct tunnel_record *tunnel = record(sizeof(*tunnel));
		struct connector_record *c = record(sizeof(*c));

		tunnel->index = t;
		tunnel->account = t == 2;
		tunnel->n_connectors = 1;
		tunnel->connectors[0] = t;
		snprintf(tunnel->id, sizeof(tunnel->id), "tunnel-%u", t);
		c->index = t;
		c->account = tunnel->account;
		c->tunnel = t;
		c->weight = 100;
		c->mtu = bed->mtu;
		snprintf(c->id, sizeof(c->id), "connector-%u", t);
		add_card(bed, CARD_TUNNEL, t, tunnel->id, tunnel->id, "", NULL);
		add_card(bed, CARD_CONNECTOR, t, c->id, "", "host", NULL);
		for (unsigned w = 0; w < bed->edge.n_workers; w++)
			c->peers[c->n_peers++] = add_peer(bed, PEER_CONNECTOR, t, tunnel->account,
							  first_peer + t * EDGE_MAX_WORKERS + w);
		bed->edge.records->tunnels[t] = tunnel;
		bed->edge.records->connectors[t] = c;
		bed->edge.connector_live[t] = 1;
	}
}

static void make_sessions(struct testbed *bed)
{
	unsigned workers = bed->edge.n_workers, number = 1;
	uint32_t slots[EDGE_MAX_WORKERS]; /* from the last: the handshake side hands them out from the first */

	for (unsigned w = 0; w < workers; w++)
		slots[w] = bed->edge.config.cap_sessions - 1;

	for (uint32_t i = 0; i <= bed->n_clients; i++) {
		add_session(bed, &bed->clients[i], i, i % workers, number++, slots[i % workers]--);
		if (i % 1024 == 1023)
			testbed_run(bed); /* a worker's inbox is bounded */
	}
	for (unsigned t = 0; t < TESTBED_TUNNELS; t++)
		for (unsigned w = 0; w < workers; w++)
			add_session(bed, &bed->connectors[t][w], bed->edge.records->connectors[t]->peers[w], w, number++,
				    slots[w]--);
}

static void make_log(struct testbed *bed, unsigned clients, bool no_log)
{
	const uint32_t capacity[CARD_KINDS] = {[CARD_ACCOUNT] = 4, [CARD_VNET] = 4, [CARD_TUNNEL] = 8,
					       [CARD_CLIENT] = clients + 1, [CARD_CONNECTOR] = 8, [CARD_RULE] = 4 * TESTBED_RULES};
	const uint32_t hits[HIT_KINDS] = {[HIT_RULE] = 4 * TESTBED_RULES, [HIT_DEFAULT] = 4, [HIT_CLIENT] = clients + 1, [HIT_ROUTE] = bed->edge.records->max_routes};
	const struct flow_log_config config = {.workers = bed->edge.n_workers};

	bed->edge.cards = cards_create(capacity);
	bed->edge.flow_log = no_log ? NULL : flow_log_create(&config, bed->edge.cards);
	bed->edge.hits = hits_create(bed->edge.n_workers, hits);
	need(bed->edge.hits && bed->edge.cards && (no_log || bed->edge.flow_log), "flow log");
}

bool testbed_log(struct testbed *bed, char *text, size_t size)
{
	struct tail_line line;

	while (flow_log_pump(bed->edge.flow_log) > 0)
		;
	if (!tail_next(flow_log_tail(bed->edge.flow_log), &bed->log_cursor, &line, text, size))
		return false;
	text[line.len - 1] = 0;
	return true;
}

static struct port *make_port(struct testbed *bed)
{
	struct memory_port *p = calloc(1, sizeof(*p));

	need(p != NULL, "port");
	p->port.ops = &memory_ops;
	p->port.kind = PORT_KIND_ETHDEV;
	p->port.n_queues = (uint16_t)bed->edge.n_workers;
	p->port.mtu = 1500;
	p->bed = bed;
	return &p->port;
}

static void configure(struct edge *edge, unsigned workers, unsigned clients, unsigned flows, unsigned spare)
{
	struct edge_config *cfg = &edge->config;

	edge->n_workers = cfg->n_workers = workers;
	cfg->cap_peers = clients + 1 + TESTBED_TUNNELS * EDGE_MAX_WORKERS;
	cfg->cap_sessions = spare + clients / workers + 1 + TESTBED_TUNNELS;
	cfg->cap_flows = flows;
	cfg->n_listen = 1;
	cfg->listen[0] = (struct listen_address){.family = 4, .port = 51820};
	cfg->n_keys = 1;
	randombytes_buf(cfg->private_keys[0], 32);
}

/* Random prefixes of 8 to 32 bits in 10/8 and 172.16/12, as a large private network has them. */
static void add_random_routes(struct testbed *bed, unsigned n)
{
	uint32_t seed = 12345, added = 0;

	while (added < n) {
		struct route r = {.vnet = 0, .next_hop = bed->next_route, .family = 4};
		uint32_t addr;

		seed = seed * 1664525 + 1013904223;
		r.len = (uint8_t)(14 + (seed >> 28) + (seed >> 30 & 3));
		seed = seed * 1664525 + 1013904223;
		addr = (seed >> 31 ? 0x0a000000u : 0xac000000u) | (seed >> 7 & 0xffffff);
		addr &= ~(uint32_t)0 << (32 - r.len);
		addr = htonl(addr);
		memcpy(r.addr, &addr, 4);
		if (route_add(bed->edge.routes, &r) != 0)
			continue;
		new_route(bed, 1);
		added++;
	}
	if (n == 0)
		return;
	add_route(bed, 0, "10.0.0.0", 8, 1);
	add_route(bed, 0, "172.0.0.0", 8, 1);
}

struct testbed *testbed_create(unsigned workers, unsigned clients)
{
	return testbed_create_sized(&(struct testbed_size){.workers = workers, .clients = clients});
}

struct testbed *testbed_create_sized(const struct testbed_size *size)
{
	unsigned workers = size->workers, clients = size->clients;
	struct testbed *bed = calloc(1, sizeof(*bed));
	struct edge *edge = &bed->edge;

	start_dpdk(size);
	bed->mtu = (uint16_t)(size->mtu == 0 ? 1280 : size->mtu);
	need(sodium_init() >= 0, "libsodium");
	configure(edge, workers, clients, size->flows == 0 ? 4096 : size->flows,
		  size->spare_sessions == 0 ? FREE_SLOTS : size->spare_sessions);
	bed->n_clients = clients;
	bed->clients = calloc(clients + 1, sizeof(*bed->clients));
	bed->next_route = TESTBED_FIRST_ROUTE;
	make_pools(edge);
	make_tables(edge, clients, size->routes);
	make_log(bed, clients, size->no_log);
	edge->outer = &bed_outer;
	edge->control_wake_fd = -1;
	bed->port = edge->ports[0] = make_port(bed);
	edge->n_ports = 1;
	edge->started_ns = edge_now_ns() - 1000ull * 1000000000;
	edge->handshake = handshake_create(edge);
	need(edge->handshake != NULL, "handshake");
	for (unsigned w = 0; w < workers; w++) {
		edge->workers[w] = worker_create(edge, w);
		need(edge->workers[w] != NULL, "worker");
	}
	add_account(bed, 0);
	add_account(bed, 1);
	for (uint32_t i = 0; i < clients; i++)
		add_client(bed, i, 0, 10 + i, i);
	add_client(bed, clients, 1, 10, clients);
	make_tunnels(bed, clients + 1);
	add_route(bed, 0, "198.51.100.0", 24, 0);
	add_route(bed, 0, "2001:db8::", 32, 0);
	add_route(bed, 0, "203.0.113.0", 24, 1);
	add_route(bed, 1, "198.51.100.0", 24, 2);
	add_random_routes(bed, size->routes);
	make_sessions(bed);
	testbed_run(bed);
	testbed_clear(bed); /* the keepalives that confirm the sessions */
	return bed;
}

void testbed_destroy(struct testbed *bed)
{
	struct edge *edge = &bed->edge;

	testbed_clear(bed);
	for (unsigned w = 0; w < edge->n_workers; w++)
		worker_destroy(edge->workers[w]);
	flow_log_destroy(edge->flow_log);
	cards_destroy(edge->cards);
	hits_destroy(edge->hits);
	handshake_destroy(edge->handshake);
	records_destroy(edge->records);
	route_table_destroy(edge->routes);
	device_table_destroy(edge->devices);
	policy_destroy(edge->policy);
	testbed_rules_free();
	rte_free(edge->sessions);
	rte_free(edge->peers);
	free(edge->connector_live);
	rte_ring_free(edge->control_inbox);
	rte_mempool_free(edge->mbuf_pool);
	rte_mempool_free(edge->message_pool);
	free(bed->port);
	free(bed->clients);
	free(bed);
}

/* ---- traffic ---- */

void testbed_frame_length(uint8_t *frame, unsigned len)
{
	uint8_t *ip = frame + 14, *udp = ip + 20;
	uint32_t sum = 0;

	ip[2] = (uint8_t)((28 + len) >> 8);
	ip[3] = (uint8_t)(28 + len);
	ip[10] = ip[11] = 0;
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	udp[4] = (uint8_t)((8 + len) >> 8);
	udp[5] = (uint8_t)(8 + len);
}

unsigned testbed_frame(const struct far_end *from, const uint8_t *udp_payload, unsigned len, uint8_t *frame)
{
	uint8_t *ip = frame + 14, *udp = ip + 20;

	memset(frame, 0, 42);
	frame[12] = 0x08;
	ip[0] = 0x45;
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, from->endpoint.remote, 4);
	memcpy(ip + 16, from->endpoint.local, 4);
	memcpy(udp, &from->endpoint.remote_port_be, 2);
	memcpy(udp + 2, &from->endpoint.local_port_be, 2);
	testbed_frame_length(frame, len);
	memcpy(udp + 8, udp_payload, len);
	return 42 + len;
}

unsigned testbed_seal(struct testbed *bed, struct far_end *from, const void *inner, unsigned len, uint8_t *frame)
{
	uint8_t message[FRAME_MAX] = {0}, nonce[12] = {0}, plain[FRAME_MAX] = {0};
	unsigned padded = wg_padded_len(len, 1420);
	unsigned long long sealed;

	(void)bed;
	memcpy(plain, inner, len);
	wg_data_header(message, from->edge_index, from->tx_counter);
	memcpy(nonce + 4, message + 8, 8);
	crypto_aead_chacha20poly1305_ietf_encrypt(message + 16, &sealed, plain, padded, NULL, 0, NULL, nonce,
						  from->tx_key);
	from->tx_counter++;
	return testbed_frame(from, message, (unsigned)(16 + sealed), frame);
}

void testbed_inject(struct testbed *bed, unsigned worker, const void *frame, unsigned len)
{
	struct memory_port *p = (struct memory_port *)bed->port;
	struct rte_mbuf *m = rte_pktmbuf_alloc(bed->edge.mbuf_pool);

	need(m != NULL && p->tail[worker] - p->head[worker] < PORT_QUEUE, "packet");
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
	p->in[worker][p->tail[worker]++ % PORT_QUEUE] = m;
}

void testbed_send(struct testbed *bed, unsigned worker, struct far_end *from, const void *inner, unsigned len)
{
	uint8_t frame[FRAME_MAX + 64];

	testbed_inject(bed, worker, frame, testbed_seal(bed, from, inner, len, frame));
}

void testbed_run(struct testbed *bed)
{
	unsigned work;

	do {
		work = 0;
		for (unsigned w = 0; w < bed->edge.n_workers; w++)
			work += worker_turn(bed->edge.workers[w]);
		work += handshake_turn(bed->edge.handshake);
	} while (work > 0);
}

int testbed_open_frame(const uint8_t *frame, unsigned len, const struct far_end *to, uint8_t *inner)
{
	const uint8_t *message = frame + 42;
	uint8_t nonce[12] = {0};
	unsigned long long opened;

	if (len < 42 + 32 || memcmp(frame + 14 + 16, to->endpoint.remote, 4) != 0 ||
	    memcmp(frame + 14 + 12, to->endpoint.local, 4) != 0 || wg_message_type(message, len - 42) != WG_DATA ||
	    wg_data_receiver(message) != to->own_index)
		return -1;
	memcpy(nonce + 4, message + 8, 8);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(inner, &opened, NULL, message + 16, len - 58, NULL, 0, nonce,
						      to->rx_key) != 0)
		return -1;
	return (int)opened;
}

int testbed_open(struct testbed *bed, unsigned i, const struct far_end *to, uint8_t *inner)
{
	return testbed_open_frame(rte_pktmbuf_mtod(bed->out[i], const uint8_t *), bed->out[i]->data_len, to, inner);
}

void testbed_clear(struct testbed *bed)
{
	for (unsigned i = 0; i < bed->n_out; i++)
		rte_pktmbuf_free(bed->out[i]);
	bed->n_out = 0;
}

uint64_t testbed_drops(const struct testbed *bed, enum drop_reason reason)
{
	struct handshake_counters hs;
	uint64_t sum;

	handshake_counters_get(bed->edge.handshake, &hs);
	sum = hs.drops[reason];
	for (unsigned w = 0; w < bed->edge.n_workers; w++)
		sum += worker_counters(bed->edge.workers[w])->drops[reason];
	return sum;
}

bool testbed_conserved(const struct testbed *bed)
{
	struct handshake_counters hs;
	uint64_t in = 0, out, dropped = 0;

	handshake_counters_get(bed->edge.handshake, &hs);
	out = hs.consumed;
	for (unsigned w = 0; w < bed->edge.n_workers; w++) {
		const struct worker_counters *c = worker_counters(bed->edge.workers[w]);

		in += c->rx_packets;
		out += c->tx_packets - c->originated + c->kernel + c->consumed;
	}
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		dropped += testbed_drops(bed, (enum drop_reason)r);
	return in == out + dropped;
}
