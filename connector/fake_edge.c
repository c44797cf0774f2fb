// SPDX-License-Identifier: BSD-3-Clause
// An edge for the connector's tests: the real registration server over a store of one tunnel, WireGuard by lib/wg, and
// a TUN device in place of clients. Each UDP source port of a connector "lands" on a worker by a hash. Prints what
// happens, a line each; `mismatch` where an answer came on another session than its flow went out on.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "connector/packet.h"
#include "ctrl/register/register.h"
#include "lib/ctlmsg.h"
#include "lib/log.h"
#include "lib/wg/peer.h"

enum {
	PEERS_MAX = 64,
	FLOWS = 65536,
};

struct fake_peer {
	bool used, settled, landed;
	uint8_t key[32];
	char connector_id[37];
	unsigned index, worker;
	struct sockaddr_in6 from; /* IPv4 as mapped */
	struct wg_peer wg;
	uint64_t tick_ns;
};

static struct {
	struct noise_identity identity;
	struct tai64n_clock clock;
	uint8_t secret[32];
	const char *account, *tunnel, *endpoint;
	unsigned workers, lease_s;
	uint64_t instance;
	int udp, tun;
	struct fake_peer peers[PEERS_MAX];
	uint8_t flows[FLOWS]; /* peer + 1 by hash of the flow */
	volatile sig_atomic_t stop, restart, mute;
} edge;

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void fill_random(void *arg, void *to, size_t len)
{
	(void)arg;
	randombytes_buf(to, len);
}

static void peer_start(struct fake_peer *p)
{
	const struct wg_peer_config config = {
		.identity = &edge.identity,
		.remote_public_key = p->key,
		.random = {.fill = fill_random},
		.tai64n = &edge.clock,
		.unix_offset_ns = (int64_t)time(NULL) * 1000000000 - (int64_t)clock_ns(),
	};

	p->settled = p->landed = false;
	if (wg_peer_init(&p->wg, &config))
		printf("bad key\n");
}

static struct fake_peer *peer_of_key(const uint8_t *key)
{
	for (int i = 0; i < PEERS_MAX; i++)
		if (edge.peers[i].used && !memcmp(edge.peers[i].key, key, 32))
			return &edge.peers[i];
	return NULL;
}

/* One connector at a time: what an earlier one left is not waited for. */
static void forget_others(const char *connector_id)
{
	for (int i = 0; i < PEERS_MAX; i++)
		if (edge.peers[i].used && strcmp(edge.peers[i].connector_id, connector_id)) {
			wg_peer_wipe(&edge.peers[i].wg);
			memset(&edge.peers[i], 0, sizeof(edge.peers[i]));
		}
}

static int store_tunnel(void *ctx, const char *account_tag, const char *tunnel_id, const char *connector_id,
			struct register_tunnel *out)
{
	(void)ctx;
	(void)connector_id;
	if (strcmp(account_tag, edge.account) || strcmp(tunnel_id, edge.tunnel))
		return -ENOENT;
	out->secret_count = 1;
	out->secrets[0].length_bytes = 32;
	memcpy(out->secrets[0].bytes, edge.secret, 32);
	return 0;
}

static void store_put(void *ctx, const struct register_request *request, struct register_call *call)
{
	char key[64];
	json_t *edges;
	struct register_answer answer = {.lease_s = edge.lease_s, .tunnel_name = "test", .sessions = 8, .mtu = 1280};

	(void)ctx;
	forget_others(request->connector_id);
	for (size_t i = 0; i < request->session_key_count; i++) {
		struct fake_peer *p = peer_of_key(request->session_keys[i]);

		for (int n = 0; !p && n < PEERS_MAX; n++)
			if (!edge.peers[n].used) {
				p = &edge.peers[n];
				p->used = true;
				p->index = (unsigned)i;
				memcpy(p->key, request->session_keys[i], 32);
				memcpy(p->connector_id, request->connector_id, sizeof(p->connector_id));
				peer_start(p);
			}
	}
	printf("registered %s host %s mode %s\n", request->connector_id, request->hostname,
	       register_mode_name(request->mode));
	sodium_bin2base64(key, sizeof(key), edge.identity.public_key, 32, sodium_base64_VARIANT_ORIGINAL);
	edges = json_pack("[{s:s, s:i, s:[s], s:[s]}]", "edge_id", "edge1", "workers", (int)edge.workers, "public_keys", key,
			  "endpoints", edge.endpoint);
	answer.edges = edges;
	answer.device_networks = json_pack("[s, s]", "100.96.0.0/12", "fd00:96::/64");
	register_call_answer(call, &answer);
	json_decref(answer.device_networks);
	json_decref(edges);
}

static void store_goodbye(void *ctx, const char *account_tag, const char *tunnel_id, const char *connector_id)
{
	(void)ctx;
	(void)account_tag;
	(void)tunnel_id;
	printf("goodbye over HTTPS %s\n", connector_id);
}

static void peer_tx(struct fake_peer *p, const struct wg_out *out)
{
	for (unsigned i = 0; i < out->n_tx; i++)
		sendto(edge.udp, out->tx[i].bytes, out->tx[i].len, 0, (struct sockaddr *)&p->from, sizeof(p->from));
}

static void send_inner(struct fake_peer *p, const uint8_t *packet, size_t length)
{
	uint8_t buffer[2048];
	struct wg_out out;
	int n;

	memcpy(buffer + WG_DATA_HEADER_BYTES, packet, length);
	n = wg_peer_send(&p->wg, buffer, (uint32_t)length, 1280, clock_ns(), &out);
	peer_tx(p, &out);
	if (n > 0)
		sendto(edge.udp, buffer, (size_t)n, 0, (struct sockaddr *)&p->from, sizeof(p->from));
}

static void send_control(struct fake_peer *p, const struct ctlmsg *msg)
{
	uint8_t packet[CTLMSG_PACKET_MAX_BYTES];
	int n = ctlmsg_encode(msg, CTLMSG_FROM_EDGE, packet, sizeof(packet));

	send_inner(p, packet, (size_t)n);
}

static void send_landed(struct fake_peer *p)
{
	const struct ctlmsg msg = {.type = CTLMSG_LANDED,
				   .landed = {.worker = (uint16_t)p->worker,
					      .workers = (uint16_t)edge.workers,
					      .mtu = 1280,
					      .session_index = (uint16_t)p->index,
					      .edge_instance = edge.instance}};

	p->landed = true;
	printf("landed session %u worker %u\n", p->index, p->worker);
	send_control(p, &msg);
}

static void take_control(struct fake_peer *p, const struct ctlmsg *msg)
{
	struct ctlmsg reply = *msg;

	switch (msg->type) {
	case CTLMSG_HELLO:
		p->settled = msg->hello.flags & CTLMSG_HELLO_SETTLED;
		printf("hello session %u worker %u settled %d\n", p->index, p->worker, p->settled);
		send_landed(p);
		break;
	case CTLMSG_PROBE:
		reply.type = CTLMSG_PROBE_REPLY;
		send_control(p, &reply);
		break;
	case CTLMSG_LIMITS:
		printf("limits %u %u\n", msg->limits.max_flows, msg->limits.active_flows);
		break;
	default:
		printf("%s session %u\n", ctlmsg_type_name(msg->type), p->index);
		break;
	}
}

static uint8_t *flow_slot(const struct packet *p, bool up)
{
	uint32_t h = up ? (uint32_t)p->sport << 16 | p->dport : (uint32_t)p->dport << 16 | p->sport;

	h ^= packet_sum(p->src.bytes, 16, packet_sum(p->dst.bytes, 16, p->protocol)) * 2654435761u;
	return &edge.flows[(h * 2654435761u >> 16) % FLOWS];
}

static void take_inner(struct fake_peer *p, const uint8_t *inner, uint32_t padded)
{
	uint32_t length = wg_inner_len(inner, padded);
	struct ctlmsg msg;
	struct packet packet;
	uint8_t *slot;

	if (ctlmsg_is_addressed(inner, length)) {
		if (!ctlmsg_decode(inner, length, CTLMSG_FROM_CONNECTOR, &msg))
			take_control(p, &msg);
		else
			printf("bad control\n");
		return;
	}
	if (!packet_parse(inner, length, &packet)) {
		printf("malformed packet from the connector\n");
		return;
	}
	slot = flow_slot(&packet, false);
	if (!packet.icmp_error && !packet.fragment && *slot && *slot != p - edge.peers + 1)
		printf("mismatch session %u\n", p->index);
	if (packet.icmp_error)
		printf("icmp error type %u code %u\n", packet.bytes[packet.l4_at], packet.bytes[packet.l4_at + 1]);
	if (write(edge.tun, inner, length) < 0)
		printf("tun: %s\n", strerror(errno));
}

/* Which peer a datagram is for: by index, or by the key inside an initiation. */
static struct fake_peer *peer_of(const uint8_t *d, size_t n)
{
	uint32_t index = 0;

	switch (wg_message_type(d, n)) {
	case WG_INITIATION: {
		struct noise_initiation first;

		if (noise_consume_initiation(&first, &edge.identity, (const void *)d) != NOISE_OK)
			return NULL;
		return peer_of_key(first.remote_static);
	}
	case WG_RESPONSE:
		index = wg_get_le32(d + 8);
		break;
	case WG_COOKIE_REPLY:
	case WG_DATA:
		index = wg_get_le32(d + 4);
		break;
	default:
		return NULL;
	}
	for (int i = 0; i < PEERS_MAX; i++)
		if (edge.peers[i].used && wg_peer_has_index(&edge.peers[i].wg, index))
			return &edge.peers[i];
	return NULL;
}

static void take_datagram(uint8_t *d, size_t n, const struct sockaddr_in6 *from)
{
	struct fake_peer *p = edge.mute ? NULL : peer_of(d, n);
	struct wg_out out;
	enum wg_result result;

	if (!p)
		return;
	result = wg_peer_input(&p->wg, d, n, NULL, 0, clock_ns(), &out);
	if (out.authenticated) {
		p->from = *from;
		if (!p->settled)
			p->worker = (ntohs(from->sin6_port) * 2654435761u >> 16) % edge.workers;
	}
	peer_tx(p, &out);
	if (out.ready)
		send_landed(p);
	if (result == WG_INNER)
		take_inner(p, out.inner, out.inner_len);
}

static void take_tun(const uint8_t *packet, size_t n)
{
	struct packet p;
	unsigned start, pick = 0;
	uint8_t *slot;

	if (!packet_parse(packet, (uint32_t)n, &p))
		return;
	if (p.dst.family == 6 && (p.dst.bytes[0] == 0xff || p.dst.bytes[0] == 0xfe))
		return; /* the host's own multicast */
	slot = flow_slot(&p, true);
	start = (unsigned)(slot - edge.flows);
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		pick = (start + i) % PEERS_MAX;
		if (edge.peers[pick].used && edge.peers[pick].settled)
			break;
	}
	if (!edge.peers[pick].settled)
		return;
	if (*slot && edge.peers[*slot - 1].settled)
		pick = *slot - 1u;
	*slot = (uint8_t)(pick + 1);
	send_inner(&edge.peers[pick], packet, n);
}

static int open_tun(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr)) {
		fprintf(stderr, "fake_edge: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	return fd;
}

static int open_udp(uint16_t port)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), off = 0, size = 4 << 20;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		fprintf(stderr, "fake_edge: port %u: %s\n", port, strerror(errno));
		exit(1);
	}
	return fd;
}

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		edge.restart = 1;
	else if (sig == SIGUSR2)
		edge.mute = !edge.mute;
	else
		edge.stop = 1;
}

/* As after a kill -9 and a start: no session is known, and the edge shakes hands itself. */
static void restart(void)
{
	edge.restart = 0;
	randombytes_buf(&edge.instance, sizeof(edge.instance));
	for (int i = 0; i < PEERS_MAX; i++)
		if (edge.peers[i].used) {
			bool known = edge.peers[i].from.sin6_port != 0;

			wg_peer_wipe(&edge.peers[i].wg);
			peer_start(&edge.peers[i]);
			if (known)
				wg_peer_connect(&edge.peers[i].wg);
			edge.peers[i].tick_ns = 0;
		}
	printf("restarted\n");
}

static void tick_all(uint64_t now_ns)
{
	for (int i = 0; i < PEERS_MAX; i++) {
		struct fake_peer *p = &edge.peers[i];
		struct wg_out out = {.n_tx = 0};

		if (!p->used || p->tick_ns > now_ns)
			continue;
		p->tick_ns = wg_peer_tick(&p->wg, now_ns, &out);
		if (p->tick_ns > now_ns + 100 * WG_NS_PER_MS)
			p->tick_ns = now_ns + 100 * WG_NS_PER_MS;
		if (!edge.mute)
			peer_tx(p, &out);
	}
}

static void loop(struct register_server *server)
{
	static uint8_t buffer[65536];
	struct pollfd fds[3] = {{.fd = edge.udp, .events = POLLIN},
				{.fd = edge.tun, .events = POLLIN},
				{.fd = register_server_fd(server), .events = POLLIN}};

	while (!edge.stop) {
		struct sockaddr_in6 from;
		socklen_t from_bytes = sizeof(from);
		ssize_t n;

		poll(fds, 3, 50);
		if (edge.restart)
			restart();
		for (int i = 0; i < 256; i++) {
			n = recvfrom(edge.udp, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &from_bytes);
			if (n <= 0)
				break;
			take_datagram(buffer, (size_t)n, &from);
		}
		for (int i = 0; i < 256 && (n = read(edge.tun, buffer, sizeof(buffer))) > 0; i++)
			take_tun(buffer, (size_t)n);
		if (fds[2].revents)
			register_server_dispatch(server);
		tick_all(clock_ns());
		fflush(stdout);
	}
}

/* fake_edge TUN PORT ENDPOINT REGISTER-LISTEN NAME TLS-DIR ACCOUNT TUNNEL SECRET-HEX WORKERS LEASE-S */
int main(int argc, char **argv)
{
	struct register_server_config config = {.listen_count = 1, .name_count = 1};
	struct register_server *server;
	uint8_t private_key[32];
	char err[256];

	if (argc != 12 || sodium_init() < 0)
		return 2;
	log_init("fake-edge", LOG_LEVEL_INFO, false);
	edge.endpoint = argv[3];
	edge.account = argv[7];
	edge.tunnel = argv[8];
	sodium_hex2bin(edge.secret, sizeof(edge.secret), argv[9], strlen(argv[9]), NULL, NULL, NULL);
	edge.workers = (unsigned)atoi(argv[10]);
	edge.lease_s = (unsigned)atoi(argv[11]);
	randombytes_buf(&edge.instance, sizeof(edge.instance));
	randombytes_buf(private_key, sizeof(private_key));
	noise_identity_init(&edge.identity, private_key, 0);
	edge.tun = open_tun(argv[1]);
	edge.udp = open_udp((uint16_t)atoi(argv[2]));
	config.listen = (const char *const *)&argv[4];
	config.names = (const char *const *)&argv[5];
	config.tls_dir = argv[6];
	config.backend = (struct register_backend){NULL, store_tunnel, store_put, store_goodbye};
	if (register_server_create(&config, &server, err, sizeof(err))) {
		fprintf(stderr, "fake_edge: %s\n", err);
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	printf("ready\n");
	loop(server);
	register_server_destroy(server);
	return 0;
}
