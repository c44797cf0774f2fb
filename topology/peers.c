/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many WireGuard clients in one process: each has its own key, UDP socket and session with the edge (lib/wg), shakes hands
 * again and again, pings, and pulls blocks from a UDP echo. A line on standard input starts a phase of that name; what was
 * sent in a phase is reported as a line of JSON LATE_NS after its end: an answer later than that is lost. The end of
 * standard input ends the program. With --flood, the first peer sends SYNs or datagrams of new flows as fast as it can.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/wg/peer.h"
#include "topology/peers.h"

#define PEERS_MAX 1024
#define OPEN_MAX 256 /* probes of a kind under way at once; a power of two */
#define LATE_NS (1 * WG_NS_PER_S)
#define TICK_NS (50 * WG_NS_PER_MS)
#define PULL_BLOCKS 8
#define PULL_BYTES 1100
#define MTU 1280
#define DATAGRAM_MAX 2048
#define BURST 32
#define DRAIN_MAX 64 /* datagrams taken from one socket in a turn */

struct open {
	uint64_t sent_ns; /* 0: none, or answered */
	unsigned phase;
	uint32_t seq;
};

struct client {
	struct wg_peer wg;
	struct noise_identity identity;
	int fd;
	uint32_t address; /* inner, network byte order */
	uint64_t next_ping_ns, next_pull_ns, next_shake_ns, next_tick_ns;
	uint64_t shake_began_ns, shakes; /* of the handshake under way; how many are done */
	unsigned shake_phase;
	struct open ping[OPEN_MAX], pull[OPEN_MAX];
	uint32_t ping_seq, pull_seq;
};

static struct {
	struct client *clients;
	unsigned n;
	struct sockaddr_in edge;
	uint8_t edge_key[WG_KEY_BYTES];
	uint32_t dst;
	uint64_t ping_ns, pull_ns, shake_ns;
	double flood_s;
	const char *flood;
	int64_t unix_offset_ns;
} self = {.ping_ns = 100 * WG_NS_PER_MS, .pull_ns = WG_NS_PER_S, .shake_ns = 10 * WG_NS_PER_S, .flood_s = 30};

static void die(const char *what, const char *value)
{
	fprintf(stderr, "peers: %s: %s\n", what, value);
	exit(1);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * WG_NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void fill_random(void *arg, void *to, size_t len)
{
	(void)arg;
	randombytes_buf(to, len);
}

static void key_from(uint8_t key[WG_KEY_BYTES], const char *text)
{
	size_t len;

	if (sodium_base642bin(key, WG_KEY_BYTES, text, strlen(text), NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) ||
	    len != WG_KEY_BYTES)
		die("not a key of 32 bytes in base64", text);
}

/* --- datagrams ------------------------------------------------------------------------------- */
/* What an event of the peer wants sent, and the story of the handshake that it tells. */
static void flush(struct client *c, const struct wg_out *out, uint64_t now_ns)
{
	for (unsigned i = 0; i < out->n_tx; i++)
		(void)!send(c->fd, out->tx[i].bytes, out->tx[i].len, MSG_DONTWAIT);
	if (c->wg.counters.handshakes != c->shakes) {
		c->shakes = c->wg.counters.handshakes;
		if (c->shake_began_ns)
			stats_answered(c->shake_phase, PROBE_HANDSHAKE, now_ns - c->shake_began_ns);
		c->shake_began_ns = 0;
	}
}

/* buffer holds the inner packet behind room for the header. No session: it is lost. */
static void send_inner(struct client *c, uint8_t *buffer, uint32_t len, uint64_t now_ns)
{
	struct wg_out out;
	int n = wg_peer_send(&c->wg, buffer, len, MTU, now_ns, &out);

	if (n > 0)
		(void)!send(c->fd, buffer, (size_t)n, MSG_DONTWAIT);
	flush(c, &out, now_ns);
}

static void began(struct open *slots, uint32_t seq, uint64_t now_ns, enum probe probe)
{
	slots[seq % OPEN_MAX] = (struct open){now_ns, stats_current(), seq};
	stats_sent(probe);
}

static void ended(struct open *slots, uint32_t seq, uint64_t now_ns, enum probe probe)
{
	struct open *o = &slots[seq % OPEN_MAX];

	if (!o->sent_ns || o->seq != seq)
		return; /* a duplicate, or much too late */
	if (now_ns - o->sent_ns <= LATE_NS)
		stats_answered(o->phase, probe, now_ns - o->sent_ns);
	o->sent_ns = 0;
}

static void ping(struct client *c, uint64_t now_ns)
{
	uint8_t buffer[DATAGRAM_MAX];
	uint32_t seq = c->ping_seq++ & 0xffff;
	uint32_t len = packet_echo(buffer + WG_DATA_HEADER_BYTES, c->address, self.dst, (uint16_t)(c - self.clients + 1),
				   (uint16_t)seq);

	began(c->ping, seq, now_ns, PROBE_PING);
	send_inner(c, buffer, len, now_ns);
}

static void pull(struct client *c, uint64_t now_ns)
{
	uint8_t buffer[DATAGRAM_MAX], block[PULL_BYTES] = {0};

	for (unsigned i = 0; i < PULL_BLOCKS; i++) {
		uint32_t seq = c->pull_seq++, len;

		memcpy(block, &seq, sizeof(seq));
		len = packet_udp(buffer + WG_DATA_HEADER_BYTES, c->address, self.dst, (uint16_t)(20000 + (c - self.clients)), 7,
				 block, sizeof(block));
		began(c->pull, seq, now_ns, PROBE_PULL);
		send_inner(c, buffer, len, now_ns);
	}
}

static void inner(struct client *c, const uint8_t *packet, uint32_t len, uint64_t now_ns)
{
	const uint8_t *body = packet + 20;
	uint32_t seq;

	if (len < 32 || packet[0] != 0x45)
		return;
	if (packet[9] == IPPROTO_ICMP && body[0] == 0) {
		ended(c->ping, (uint32_t)body[6] << 8 | body[7], now_ns, PROBE_PING);
	} else if (packet[9] == IPPROTO_UDP) {
		memcpy(&seq, body + 8, sizeof(seq));
		ended(c->pull, seq, now_ns, PROBE_PULL);
	}
}

static void receive(struct client *c)
{
	uint8_t datagram[DATAGRAM_MAX];

	for (unsigned i = 0; i < DRAIN_MAX; i++) {
		ssize_t len = recv(c->fd, datagram, sizeof(datagram), MSG_DONTWAIT);
		struct wg_out out;
		uint64_t now_ns;

		if (len < 0)
			return;
		now_ns = now();
		if (wg_peer_input(&c->wg, datagram, (size_t)len, NULL, 0, now_ns, &out) == WG_INNER)
			inner(c, out.inner, out.inner_len, now_ns);
		flush(c, &out, now_ns);
	}
}

/* --- time ------------------------------------------------------------------------------------ */
/* Whether something that happens every so often is due; it is not caught up with after a pause. */
static bool due(uint64_t *next_ns, uint64_t every_ns, uint64_t now_ns)
{
	if (!every_ns || now_ns < *next_ns)
		return false;
	*next_ns = now_ns - *next_ns > every_ns ? now_ns + every_ns : *next_ns + every_ns;
	return true;
}

static void turn(struct client *c, uint64_t now_ns)
{
	struct wg_out out;

	if (due(&c->next_shake_ns, self.shake_ns, now_ns)) {
		if (!c->shake_began_ns) {
			c->shake_began_ns = now_ns;
			c->shake_phase = stats_current();
			stats_sent(PROBE_HANDSHAKE);
		}
		wg_peer_connect(&c->wg);
		c->next_tick_ns = now_ns;
	}
	if (due(&c->next_tick_ns, TICK_NS, now_ns)) {
		wg_peer_tick(&c->wg, now_ns, &out);
		flush(c, &out, now_ns);
	}
	if (due(&c->next_ping_ns, self.ping_ns, now_ns))
		ping(c, now_ns);
	if (due(&c->next_pull_ns, self.pull_ns, now_ns))
		pull(c, now_ns);
}

/* Spreads what the clients do evenly over time, the pulls after everybody had time to shake hands. */
static void spread(uint64_t now_ns)
{
	for (unsigned i = 0; i < self.n; i++) {
		struct client *c = &self.clients[i];

		c->next_tick_ns = now_ns;
		c->next_ping_ns = now_ns + WG_NS_PER_S + self.ping_ns * i / self.n;
		c->next_pull_ns = now_ns + WG_NS_PER_S + self.pull_ns * i / self.n;
		c->next_shake_ns = now_ns + WG_NS_PER_S + self.shake_ns * i / self.n;
		wg_peer_connect(&c->wg);
	}
}

/* Phases by name from standard input. False at its end. */
static bool commands(void)
{
	char line[256];
	ssize_t len = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (len <= 0)
		return len < 0 && errno == EAGAIN;
	line[len] = 0;
	for (char *save = NULL, *name = strtok_r(line, "\n", &save); name; name = strtok_r(NULL, "\n", &save))
		if (strpbrk(name, "\"\\") || !stats_phase(name, now()))
			die("cannot start the phase", name);
	return true;
}

static void serve(int epoll)
{
	struct epoll_event events[64];

	for (;;) {
		int n = epoll_wait(epoll, events, 64, 1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				receive(events[i].data.ptr);
			else if (!commands())
				return;
		}
		for (unsigned i = 0; i < self.n; i++)
			turn(&self.clients[i], now());
		stats_report(now(), LATE_NS);
	}
}

/* --- one client that does not behave ------------------------------------------------------------ */
static unsigned flood_burst(struct client *c, uint64_t now_ns)
{
	static uint8_t buffers[BURST][DATAGRAM_MAX];
	struct mmsghdr messages[BURST];
	struct iovec vectors[BURST];
	struct wg_out out;
	unsigned n = 0;

	memset(messages, 0, sizeof(messages));
	for (unsigned i = 0; i < BURST; i++) {
		uint32_t r[2];
		uint8_t *at = buffers[i] + WG_DATA_HEADER_BYTES;
		int len;

		randombytes_buf(r, sizeof(r));
		len = (int)(strcmp(self.flood, "syn")
				    ? packet_udp(at, c->address, self.dst, (uint16_t)r[0], (uint16_t)(r[0] >> 16 | 1024), r, sizeof(r))
				    : packet_syn(at, c->address, self.dst, (uint16_t)r[0], 80, r[1]));
		len = wg_peer_send(&c->wg, buffers[i], (uint32_t)len, MTU, now_ns, &out);
		flush(c, &out, now_ns);
		if (len <= 0)
			break;
		vectors[n] = (struct iovec){buffers[i], (size_t)len};
		messages[n].msg_hdr.msg_iov = &vectors[n];
		messages[n++].msg_hdr.msg_iovlen = 1;
	}
	return n && (n = (unsigned)sendmmsg(c->fd, messages, n, 0)) <= BURST ? n : 0;
}

static void flood(void)
{
	struct client *c = &self.clients[0];
	uint64_t sent = 0, began_ns = 0, now_ns, patience_ns = now() + 10 * WG_NS_PER_S;

	do {
		struct wg_out out;

		receive(c);
		now_ns = now();
		if (due(&c->next_tick_ns, TICK_NS, now_ns)) {
			wg_peer_tick(&c->wg, now_ns, &out);
			flush(c, &out, now_ns);
		}
		if (wg_peer_ready(&c->wg, now_ns)) {
			began_ns = began_ns ? began_ns : now_ns;
			sent += flood_burst(c, now_ns);
		} else {
			if (!began_ns && now_ns > patience_ns)
				die("no handshake with the edge", "10 s");
			poll(&(struct pollfd){.fd = c->fd, .events = POLLIN}, 1, 10);
		}
	} while (!began_ns || (double)(now_ns - began_ns) < self.flood_s * 1e9);
	printf("{\"sent\": %llu, \"seconds\": %.3f}\n", (unsigned long long)sent, (double)(now_ns - began_ns) / 1e9);
}

/* --- start ----------------------------------------------------------------------------------- */
static void add_client(const char *key, const char *address, int epoll)
{
	struct client *c = &self.clients[self.n++];
	struct wg_peer_config config = {
		.identity = &c->identity,
		.remote_public_key = self.edge_key,
		.random = {fill_random, NULL},
		.unix_offset_ns = self.unix_offset_ns,
	};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	uint8_t private_key[WG_KEY_BYTES];
	int room = 1 << 20;

	key_from(private_key, key);
	noise_identity_init(&c->identity, private_key, 0);
	if (inet_pton(AF_INET, address, &c->address) != 1)
		die("not an IPv4 address", address);
	if (wg_peer_init(&c->wg, &config))
		die("a key the edge cannot have", key);
	c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&self.edge, sizeof(self.edge)) ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event))
		die("socket", strerror(errno));
}

/* One client a line: private key in base64, inner address. */
static void read_clients(const char *path, int epoll)
{
	FILE *f = fopen(path, "r");
	char key[64], address[64];

	if (!f)
		die(path, strerror(errno));
	while (self.n < PEERS_MAX && fscanf(f, "%63s %63s", key, address) == 2)
		add_client(key, address, epoll);
	fclose(f);
	if (!self.n)
		die(path, "no clients");
}

static void options(int argc, char **argv, const char **file)
{
	static const struct option table[] = {{"edge", 1, NULL, 'e'},    {"port", 1, NULL, 'p'},  {"key", 1, NULL, 'k'},
					      {"clients", 1, NULL, 'c'}, {"dst", 1, NULL, 'd'},   {"flood", 1, NULL, 'f'},
					      {"seconds", 1, NULL, 's'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
	static const char usage[] = "usage: peers --edge IP --port N --key EDGE-KEY --clients FILE --dst IP [--flood syn|flows --seconds S]\n";

	self.edge.sin_family = AF_INET;
	for (int o; (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
		if (o == 'e' && inet_pton(AF_INET, optarg, &self.edge.sin_addr) != 1)
			die("not an IPv4 address", optarg);
		else if (o == 'p')
			self.edge.sin_port = htons((uint16_t)atoi(optarg));
		else if (o == 'k')
			key_from(self.edge_key, optarg);
		else if (o == 'c')
			*file = optarg;
		else if (o == 'd' && inet_pton(AF_INET, optarg, &self.dst) != 1)
			die("not an IPv4 address", optarg);
		else if (o == 'f')
			self.flood = optarg;
		else if (o == 's')
			self.flood_s = atof(optarg);
		else if (o == 'h' || o == '?')
			exit((fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : 2));
	}
	if (!*file || !self.edge.sin_port || !self.dst)
		exit((fputs(usage, stderr), 2));
}

int main(int argc, char **argv)
{
	struct epoll_event input = {.events = EPOLLIN};
	const char *file = NULL;
	int epoll = epoll_create1(0);

	if (sodium_init() < 0 || epoll < 0)
		die("start", strerror(errno));
	self.unix_offset_ns = (int64_t)(clock_ns(CLOCK_REALTIME) - now());
	self.clients = calloc(PEERS_MAX, sizeof(*self.clients));
	if (!self.clients)
		die("memory", strerror(errno));
	options(argc, argv, &file);
	read_clients(file, epoll);
	stats_phase("start", now());
	spread(now());
	if (self.flood) {
		flood();
	} else {
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input))
			die("standard input", strerror(errno));
		serve(epoll);
	}
	return 0;
}
