// SPDX-License-Identifier: BSD-3-Clause
// Sockets and bursts around lib/wg's peer and lib/aead.
#include "connector/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "lib/log.h"

enum {
	SOCKET_BUFFER_BYTES = 4 * 1024 * 1024,
};

bool session_room_init(struct session_room *room, char *err, size_t err_len)
{
	char why[128] = "no memory";

	room->aead = aead_create(NULL, why, sizeof(why));
	room->rx = room->aead ? malloc((size_t)SESSION_BURST * SESSION_DATAGRAM_MAX_BYTES) : NULL;
	if (!room->rx) {
		snprintf(err, err_len, "ChaCha20-Poly1305: %s", why);
		session_room_free(room);
		return false;
	}
	return true;
}

void session_room_free(struct session_room *room)
{
	aead_destroy(room->aead);
	free(room->rx);
	memset(room, 0, sizeof(*room));
}

bool session_init(struct session *s, unsigned index, void *owner, const struct session_events *events,
		  struct session_room *room)
{
	memset(s, 0, sizeof(*s));
	s->index = index;
	s->owner = owner;
	s->events = events;
	s->room = room;
	s->fd = -1;
	s->next_tick_ns = UINT64_MAX;
	s->tx = malloc((size_t)SESSION_BURST * SESSION_DATAGRAM_MAX_BYTES);
	return s->tx != NULL;
}

void session_close(struct session *s)
{
	s->generation++;
	if (s->fd < 0)
		return;
	close(s->fd);
	s->fd = -1;
	wg_peer_wipe(&s->peer);
	s->tx_count = 0;
	s->next_tick_ns = UINT64_MAX;
	s->heard_ns = 0;
}

void session_free(struct session *s)
{
	session_close(s);
	free(s->tx);
	s->tx = NULL;
}

static void fill_random(void *arg, void *to, size_t len)
{
	(void)arg;
	randombytes_buf(to, len);
}

static int64_t unix_offset_ns(uint64_t now_ns)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec - (int64_t)now_ns;
}

static int open_socket(const struct ip_endpoint *e)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(e->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};
	bool v6 = e->addr.family == 6;
	int size = SOCKET_BUFFER_BYTES;
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	memcpy(&in.sin_addr, e->addr.bytes, 4);
	memcpy(&in6.sin6_addr, e->addr.bytes, 16);
	/* the kernel cuts these to its limits */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (connect(fd, v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in, v6 ? sizeof(in6) : sizeof(in))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int session_connect(struct session *s, const struct ip_endpoint *endpoint, const struct noise_identity *identity,
		    struct tai64n_clock *clock, const uint8_t edge_key[WG_KEY_BYTES], unsigned mtu, uint64_t now_ns)
{
	const struct wg_peer_config config = {
		.identity = identity,
		.remote_public_key = edge_key,
		.random = {.fill = fill_random},
		.tai64n = clock,
		.unix_offset_ns = unix_offset_ns(now_ns),
		.persistent_keepalive_ns = 25 * WG_NS_PER_S, /* NAT bindings on the way */
	};
	int err;

	session_close(s);
	err = wg_peer_init(&s->peer, &config);
	if (err)
		return err;
	s->fd = open_socket(endpoint);
	if (s->fd < 0) {
		err = s->fd;
		s->fd = -1;
		wg_peer_wipe(&s->peer);
		return err;
	}
	s->mtu = mtu;
	wg_peer_connect(&s->peer);
	session_tick(s, now_ns);
	return 0;
}

/* Sends and tells what an event of the peer caused. */
static void take_out(struct session *s, const struct wg_out *out, uint64_t now_ns)
{
	for (unsigned i = 0; i < out->n_tx; i++)
		if (send(s->fd, out->tx[i].bytes, out->tx[i].len, MSG_DONTWAIT) < 0)
			log_rated(LOG_LEVEL_DEBUG, "session %u: send: %s", s->index, strerror(errno));
	if (out->authenticated)
		s->heard_ns = now_ns;
	if (out->ready)
		s->events->ready(s->events->arg, s);
}

void session_tick(struct session *s, uint64_t now_ns)
{
	struct wg_out out = {.n_tx = 0};

	if (s->fd < 0)
		return;
	s->next_tick_ns = wg_peer_tick(&s->peer, now_ns, &out);
	take_out(s, &out, now_ns);
}

bool session_ready(const struct session *s, uint64_t now_ns)
{
	return s->fd >= 0 && wg_peer_ready(&s->peer, now_ns);
}

static void take_inner(struct session *s, const uint8_t *inner, uint32_t padded)
{
	uint32_t length = wg_inner_len(inner, padded);
	struct ctlmsg msg;
	int err;

	if (!length) {
		s->counters.rx_dropped++;
		return;
	}
	if (!ctlmsg_is_addressed(inner, length)) {
		s->counters.rx_packets++;
		s->counters.rx_bytes += length;
		s->events->inner(s->events->arg, s, inner, length);
		return;
	}
	err = ctlmsg_decode(inner, length, CTLMSG_FROM_EDGE, &msg);
	if (!err)
		s->events->control(s->events->arg, s, &msg);
	else if (err == -ENOTSUP)
		s->counters.control_unknown++;
	else
		s->counters.control_bad++;
}

/* Data messages that wait to be opened together. */
struct open_burst {
	unsigned n;
	struct aead_op ops[SESSION_BURST];
	uint32_t index[SESSION_BURST];
};

static void burst_open(struct session *s, struct open_burst *b, uint64_t now_ns)
{
	unsigned generation = s->generation;

	aead_open_burst(s->room->aead, b->ops, b->n);
	for (unsigned i = 0; i < b->n && s->generation == generation; i++) {
		const struct aead_op *op = &b->ops[i];
		struct wg_out out = {.n_tx = 0};
		struct wg_keypair *pair = op->ok ? wg_peer_find(&s->peer, b->index[i], now_ns) : NULL;
		enum wg_result result;

		if (!pair) {
			s->counters.rx_dropped++;
			continue;
		}
		result = wg_peer_received(&s->peer, pair, op->counter, op->len, now_ns, &out);
		if (result != WG_INNER && result != WG_CONSUMED) {
			s->counters.rx_dropped++;
			continue;
		}
		s->heard_ns = now_ns;
		take_out(s, &out, now_ns);
		if (result == WG_INNER && s->generation == generation)
			take_inner(s, op->data, op->len);
	}
	b->n = 0;
}

/* Queues a data message for opening; drops what no keypair of ours can open. */
static void burst_add(struct session *s, struct open_burst *b, uint8_t *datagram, size_t len, uint64_t now_ns)
{
	uint32_t index = wg_data_receiver(datagram);
	uint64_t counter = wg_data_counter(datagram);
	const struct wg_keypair *pair = wg_peer_find(&s->peer, index, now_ns);

	if (!pair || !wg_replay_check(&pair->replay, counter)) {
		s->counters.rx_dropped++;
		return;
	}
	b->index[b->n] = index;
	b->ops[b->n++] = (struct aead_op){
		.key = pair->receive_key,
		.counter = counter,
		.data = datagram + WG_DATA_HEADER_BYTES,
		.len = (uint32_t)(len - WG_DATA_OVERHEAD_BYTES),
	};
}

static void take_handshake(struct session *s, uint8_t *datagram, size_t len, uint64_t now_ns)
{
	struct wg_out out = {.n_tx = 0};
	enum wg_result result = wg_peer_input(&s->peer, datagram, len, NULL, 0, now_ns, &out);

	if (result != WG_CONSUMED && result != WG_INNER) {
		s->counters.rx_dropped++;
		log_rated(LOG_LEVEL_DEBUG, "session %u: datagram dropped: %s", s->index, wg_result_text(result));
	}
	take_out(s, &out, now_ns);
}

bool session_receive(struct session *s, uint64_t now_ns)
{
	struct mmsghdr msgs[SESSION_BURST];
	struct iovec iov[SESSION_BURST];
	struct open_burst burst = {.n = 0};
	unsigned generation = s->generation;
	int n;

	if (s->fd < 0)
		return false;
	memset(msgs, 0, sizeof(msgs));
	for (unsigned i = 0; i < SESSION_BURST; i++) {
		iov[i].iov_base = s->room->rx + (size_t)i * SESSION_DATAGRAM_MAX_BYTES;
		iov[i].iov_len = SESSION_DATAGRAM_MAX_BYTES;
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(s->fd, msgs, SESSION_BURST, MSG_DONTWAIT, NULL);
	if (n < 0) /* a pending ICMP error is taken off the socket by this read; timers notice a dead edge */
		return errno != EAGAIN && errno != EWOULDBLOCK && errno != EBADF;
	/* an event may close or rebind the session: what is left of the burst belongs to the old socket */
	for (int i = 0; i < n && s->generation == generation; i++) {
		uint8_t *datagram = iov[i].iov_base;
		size_t len = msgs[i].msg_len;

		if (msgs[i].msg_hdr.msg_flags & MSG_TRUNC) {
			s->counters.rx_dropped++;
		} else if (wg_message_type(datagram, len) == WG_DATA) {
			burst_add(s, &burst, datagram, len, now_ns);
		} else {
			if (burst.n)
				burst_open(s, &burst, now_ns);
			if (s->generation == generation)
				take_handshake(s, datagram, len, now_ns);
		}
	}
	if (burst.n && s->generation == generation)
		burst_open(s, &burst, now_ns);
	if (s->generation == generation)
		session_tick(s, now_ns);
	return n == SESSION_BURST && s->generation == generation;
}

void session_send(struct session *s, const uint8_t *packet, uint32_t length, uint64_t now_ns)
{
	uint8_t *slot;

	if (s->fd < 0 || length > s->mtu || length > SESSION_INNER_MAX_BYTES) {
		s->counters.tx_dropped++;
		return;
	}
	slot = s->tx + (size_t)s->tx_count * SESSION_DATAGRAM_MAX_BYTES;
	memcpy(slot + WG_DATA_HEADER_BYTES, packet, length);
	s->tx_length[s->tx_count++] = length;
	if (s->tx_count == SESSION_BURST)
		session_flush(s, now_ns);
}

unsigned session_segments(const struct iovec *iov, unsigned n)
{
	size_t bytes = iov[0].iov_len;
	unsigned run = 1;

	while (run < n && run < SESSION_SEGMENTS_MAX && iov[run].iov_len == iov[0].iov_len &&
	       bytes + iov[run].iov_len <= SESSION_SEGMENTED_MAX_BYTES)
		bytes += iov[run++].iov_len;
	if (run > 1 && run < n && run < SESSION_SEGMENTS_MAX && iov[run].iov_len < iov[0].iov_len &&
	    bytes + iov[run].iov_len <= SESSION_SEGMENTED_MAX_BYTES)
		run++;
	return run;
}

/* One pass through the kernel for a whole run. False: the kernel or the path cannot. */
static bool send_segmented(struct session *s, struct iovec *iov, unsigned n)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
	} control = {.bytes = {0}};
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = n, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	uint16_t segment = (uint16_t)iov[0].iov_len;

	control.header.cmsg_level = SOL_UDP;
	control.header.cmsg_type = UDP_SEGMENT;
	control.header.cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(&control.header), &segment, sizeof(segment));
	return sendmsg(s->fd, &msg, MSG_DONTWAIT) >= 0;
}

static void send_one_by_one(struct session *s, struct iovec *iov, unsigned n)
{
	struct mmsghdr msgs[SESSION_BURST];
	unsigned done = 0;

	memset(msgs, 0, sizeof(msgs));
	for (unsigned i = 0; i < n; i++) {
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	while (done < n) {
		int sent = sendmmsg(s->fd, msgs + done, n - done, MSG_DONTWAIT);

		if (sent > 0) {
			done += (unsigned)sent;
			continue;
		}
		s->counters.tx_dropped++;
		done++; /* the one that failed: EAGAIN, EMSGSIZE, or an ICMP error of an earlier one */
	}
}

static void send_burst(struct session *s, struct iovec *iov, unsigned n)
{
	while (n && !s->room->no_segments) {
		unsigned run = session_segments(iov, n);

		if (run == 1)
			break; /* mixed lengths: the rest in one sendmmsg() */
		if (!send_segmented(s, iov, run)) {
			/* EIO: no checksum offload, and an older kernel */
			s->room->no_segments = errno == EIO || errno == EOPNOTSUPP;
			break;
		}
		iov += run;
		n -= run;
	}
	if (n)
		send_one_by_one(s, iov, n);
}

void session_flush(struct session *s, uint64_t now_ns)
{
	struct aead_op ops[SESSION_BURST];
	struct iovec iov[SESSION_BURST];
	unsigned n = s->tx_count;
	struct wg_keypair *pair;
	uint64_t counter;

	if (!n)
		return;
	s->tx_count = 0;
	pair = s->fd >= 0 ? wg_peer_reserve(&s->peer, n, now_ns, &counter) : NULL;
	if (!pair) {
		s->counters.tx_dropped += n;
		session_tick(s, now_ns); /* a handshake is wanted now */
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		uint8_t *datagram = s->tx + (size_t)i * SESSION_DATAGRAM_MAX_BYTES;
		uint8_t *text = datagram + WG_DATA_HEADER_BYTES;
		uint32_t padded = wg_padded_len(s->tx_length[i], s->mtu);

		memset(text + s->tx_length[i], 0, padded - s->tx_length[i]);
		wg_data_header(datagram, pair->remote_index, counter + i);
		ops[i] = (struct aead_op){.key = pair->send_key, .counter = counter + i, .data = text, .len = padded};
		iov[i] = (struct iovec){.iov_base = datagram, .iov_len = padded + WG_DATA_OVERHEAD_BYTES};
	}
	aead_seal_burst(s->room->aead, ops, n);
	send_burst(s, iov, n);
	for (unsigned i = 0; i < n; i++) {
		wg_peer_sent(&s->peer, s->tx_length[i], now_ns);
		s->counters.tx_packets++;
		s->counters.tx_bytes += s->tx_length[i];
	}
	session_tick(s, now_ns);
}

void session_send_control(struct session *s, const struct ctlmsg *msg, uint64_t now_ns)
{
	uint8_t packet[CTLMSG_PACKET_MAX_BYTES];
	int length = ctlmsg_encode(msg, CTLMSG_FROM_CONNECTOR, packet, sizeof(packet));

	if (length < 0)
		return;
	session_send(s, packet, (uint32_t)length, now_ns);
	session_flush(s, now_ns);
}
