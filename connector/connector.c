// SPDX-License-Identifier: BSD-3-Clause
// The loop: sockets of sessions, the stack, registration, status, signals.
#include "connector/connector.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "connector/internal.h"

enum {
	EVENTS_MAX = 64,
	RECEIVE_ROUNDS = 8, /* bursts of one session in one turn */
	FINISH_MS = 100,    /* between looks whether the drain is over */
	GOODBYE_MS = 3000,
};

/* Tags of the epoll; everything else is a session. */
static char tag_signal, tag_stack, tag_registrar, tag_status;

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static bool add_to_loop(struct connector *c, int fd, void *tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};

	return fd >= 0 && !epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

unsigned connector_live_sessions(const struct connector *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->link_count; i++)
		n += link_live_count(c->links[i], c->now_ns);
	return n;
}

static unsigned on_status_ready(void *arg)
{
	return connector_live_sessions(arg);
}

static void on_lost(void *arg, struct link *link)
{
	struct connector *c = arg;

	log_warn("edge %s: no session lives; asking for its whereabouts again", link->edge.id);
	c->stats.lost_sessions++;
	registrar_kick(c->registrar);
}

static void on_limits(void *arg, struct ctlmsg *msg)
{
	const struct connector *c = arg;

	msg->limits.max_flows = c->capacity.flows;
	msg->limits.active_flows = flows_active(c->flows);
}

static void forget_link(struct connector *c, unsigned index)
{
	struct link *link = c->links[index];

	for (unsigned i = 0; i < SETTLE_SESSIONS_MAX; i++) {
		session_counters_add(&c->past, &link->sessions[i].counters);
		c->past_ports += link->slots[i].ports;
		flows_forget_session(c->flows, &link->sessions[i]);
	}
	link_destroy(link);
	c->links[index] = c->links[--c->link_count];
}

static struct link *find_link(const struct connector *c, const char *edge_id)
{
	for (unsigned i = 0; i < c->link_count; i++)
		if (!strcmp(c->links[i]->edge.id, edge_id))
			return c->links[i];
	return NULL;
}

static bool named(const struct registration *r, const char *edge_id)
{
	for (unsigned i = 0; i < r->edge_count; i++)
		if (!strcmp(r->edges[i].id, edge_id))
			return true;
	return false;
}

static void make_stack(struct connector *c, const struct registration *r, unsigned mtu)
{
	const struct stack_callbacks callbacks = {.output = path_output, .arg = c};
	const struct stack_config config = {.mtu = mtu,
					    .preserve_source = c->config->preserve_source,
					    .device_networks = r->device_networks,
					    .device_network_count = r->device_network_count};
	char err[512];

	c->stack = c->stack_ops->create(&config, &callbacks, err, sizeof(err));
	if (!c->stack || !add_to_loop(c, c->stack_ops->fd(c->stack), &tag_stack)) {
		log_error("%s", c->stack ? strerror(errno) : err);
		c->stop = c->failed = true;
	}
}

static void on_registration(struct connector *c)
{
	struct registration r;
	unsigned mtu;

	if (!registrar_take(c->registrar, &r))
		return;
	mtu = c->config->mtu && c->config->mtu < r.mtu ? (unsigned)c->config->mtu : r.mtu;
	if (!c->stack)
		make_stack(c, &r, mtu);
	else if (mtu != c->mtu)
		log_warn("the tunnel's MTU is %u now; the stack keeps %u until a restart", mtu, c->mtu);
	c->mtu = mtu;
	for (unsigned i = c->link_count; i-- > 0;)
		if (!named(&r, c->links[i]->edge.id) && r.edge_count)
			forget_link(c, i);
	for (unsigned i = 0; i < r.edge_count; i++) {
		const struct registration_edge *e = &r.edges[i];
		unsigned sessions = e->workers < r.sessions ? e->workers : r.sessions;
		struct link *link = find_link(c, e->id);

		if (link)
			link_update(link, e, sessions, mtu, connector_ms(c));
		else if (c->link_count < REGISTRATION_EDGES_MAX &&
			 (link = link_create(&c->host, e, sessions, mtu, connector_ms(c))))
			c->links[c->link_count++] = link;
	}
}

/* What a drain waits for. Connections that the private network routes go on through other connectors. */
static unsigned flows_to_end(const struct connector *c)
{
	return c->config->preserve_source ? 0 : flows_busy(c->flows, connector_ms(c));
}

static void on_signal(struct connector *c)
{
	const struct ctlmsg drain = {.type = CTLMSG_DRAIN, .drain = {.on = 1}};
	struct signalfd_siginfo info;

	if (read(c->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (c->drain_until_ms) {
		log_warn("a second signal: ending at once");
		c->stop = true;
		return;
	}
	log_info("draining: no new flows; %u flows have %lu s to end", flows_to_end(c), (unsigned long)(c->config->grace_ms / 1000));
	c->drain_until_ms = connector_ms(c) + c->config->grace_ms + 1;
	c->host.draining = true;
	for (unsigned i = 0; i < c->link_count; i++)
		link_tell(c->links[i], &drain, c->now_ns);
}

static void check_drain(struct connector *c)
{
	unsigned left;

	if (!c->drain_until_ms)
		return;
	left = flows_to_end(c);
	if (left && connector_ms(c) < c->drain_until_ms)
		return;
	if (left)
		log_warn("grace-period is over; %u flows are cut", left);
	c->stop = true;
}

static void on_event(struct connector *c, void *tag)
{
	if (tag == &tag_signal) {
		on_signal(c);
	} else if (tag == &tag_registrar) {
		on_registration(c);
	} else if (tag == &tag_status) {
		status_run(c->status);
	} else if (tag != &tag_stack) { /* the stack runs in every turn */
		for (int i = 0; i < RECEIVE_ROUNDS && session_receive(tag, c->now_ns); i++)
			;
	}
}

static int smaller(int a, int b)
{
	return a < b ? a : b;
}

/* What is due by time; returns ms until the next turn. */
static int run_timers(struct connector *c)
{
	int wait = 1000;

	for (unsigned i = 0; i < c->link_count; i++)
		wait = smaller(wait, link_tick(c->links[i], c->now_ns));
	if (c->stack)
		wait = smaller(wait, c->stack_ops->run(c->stack, connector_ms(c)));
	for (unsigned i = 0; i < c->link_count; i++)
		link_flush(c->links[i], c->now_ns);
	flows_expire(c->flows, connector_ms(c));
	if (connector_ms(c) >= c->status_ms) {
		status_run(c->status);
		c->status_ms = connector_ms(c) + 1000;
	}
	check_drain(c);
	return c->drain_until_ms ? smaller(wait, FINISH_MS) : wait;
}

static void loop(struct connector *c)
{
	struct epoll_event events[EVENTS_MAX];
	int wait = 0;

	while (!c->stop) {
		int n = epoll_wait(c->epoll_fd, events, EVENTS_MAX, wait);

		c->now_ns = clock_ns();
		for (int i = 0; i < n && !c->stop; i++) {
			on_event(c, events[i].data.ptr);
			if (events[i].data.ptr == &tag_registrar)
				break; /* sessions may be gone; their events come again */
		}
		wait = run_timers(c);
	}
}

static void make_identities(struct connector *c)
{
	uint8_t private_key[WG_KEY_BYTES];

	for (unsigned i = 0; i < SETTLE_SESSIONS_MAX; i++) {
		randombytes_buf(private_key, sizeof(private_key));
		noise_identity_init(&c->host.identities[i], private_key, 0);
		memcpy(c->public_keys[i], c->host.identities[i].public_key, WG_KEY_BYTES);
	}
	sodium_memzero(private_key, sizeof(private_key));
}

/* A random UUID (RFC 4122, 4.4), fresh in each run: replicas share their files. */
static void make_id(char out[37])
{
	uint8_t b[16];

	randombytes_buf(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
		 b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static bool start_registrar(struct connector *c, char *err, size_t err_len)
{
	const struct connector_config *config = c->config;
	const struct registrar_config r = {
		.edge = (const char *const *)config->edge.v,
		.edge_count = config->edge.n,
		.ca_pem = config->edge_ca_pem,
		.account_tag = config->account_tag,
		.tunnel_id = config->tunnel_id,
		.connector_id = c->id,
		.hostname = c->hostname,
		.version = SLUICE_VERSION,
		.mode = connector_mode_name(config->mode),
		.secret = config->secret,
		.secret_bytes = config->secret_bytes,
		.preserve_source = config->preserve_source,
		.mtu = config->mtu ? (unsigned)config->mtu : 1280,
		.session_keys = (const uint8_t(*)[WG_KEY_BYTES])c->public_keys,
		.session_key_count = SETTLE_SESSIONS_MAX,
	};

	c->registrar = registrar_create(&r, err, err_len);
	return c->registrar && add_to_loop(c, registrar_fd(c->registrar), &tag_registrar);
}

static void set_limits(struct connector *c)
{
	uint64_t memory = capacity_memory_bytes("/proc/self/cgroup", "/sys/fs/cgroup");
	struct rlimit files = {.rlim_cur = 1024};
	struct capacity *l = &c->capacity;

	getrlimit(RLIMIT_NOFILE, &files);
	*l = capacity_flows((unsigned)c->config->max_active_flows, FLOWS_CAPACITY, memory, files.rlim_cur, c->stack_ops->heavy);
	if (memory == CAPACITY_NO_MEMORY_LIMIT)
		log_info("room for %u flows, %u of them TCP (%lu descriptors, no memory limit)", l->flows, l->tcp,
			 (unsigned long)files.rlim_cur);
	else
		log_info("room for %u flows, %u of them TCP (%lu descriptors, memory limit %lu MiB)", l->flows, l->tcp,
			 (unsigned long)files.rlim_cur, (unsigned long)(memory >> 20));
	if (l->tcp > capacity_flows(0, FLOWS_CAPACITY, memory, files.rlim_cur, c->stack_ops->heavy).tcp)
		log_warn("max-active-flows %u is more than the memory limit has room for: each TCP flow may take %u KiB", l->flows,
			 CAPACITY_TCP_FLOW_KIB);
}

static bool start(struct connector *c, char *err, size_t err_len)
{
	const struct status_source source = {c, on_status_ready, connector_metrics, c->id};
	sigset_t signals;

	if (c->stack_ops->check && !c->stack_ops->check(err, err_len))
		return false;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL); /* before the first thread: all inherit it */
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	c->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	set_limits(c);
	c->flows = flows_create(c->capacity.flows, c->capacity.tcp);
	if (c->epoll_fd < 0 || !c->flows || !add_to_loop(c, c->signal_fd, &tag_signal)) {
		snprintf(err, err_len, "cannot start: %s", strerror(errno));
		return false;
	}
	c->host.epoll_fd = c->epoll_fd;
	make_id(c->id);
	make_identities(c);
	c->status = status_create(c->config->metrics, &source, err, err_len);
	if (!c->status || !session_room_init(&c->host.room, err, err_len))
		return false;
	if (!add_to_loop(c, status_fd(c->status), &tag_status)) {
		snprintf(err, err_len, "metrics: %s", strerror(errno));
		return false;
	}
	log_info("connector %s, version %s, %s mode; status on %s", c->id, SLUICE_VERSION,
		 connector_mode_name(c->config->mode), status_address(c->status));
	return start_registrar(c, err, err_len);
}

static void finish(struct connector *c)
{
	const struct ctlmsg goodbye = {.type = CTLMSG_GOODBYE};

	c->now_ns = clock_ns();
	for (unsigned i = 0; i < c->link_count; i++)
		link_tell(c->links[i], &goodbye, c->now_ns);
	registrar_destroy(c->registrar, GOODBYE_MS);
	status_destroy(c->status);
	if (c->stack)
		c->stack_ops->destroy(c->stack);
	while (c->link_count)
		forget_link(c, 0);
	flows_destroy(c->flows);
	session_room_free(&c->host.room);
	for (unsigned i = 0; i < SETTLE_SESSIONS_MAX; i++)
		noise_identity_wipe(&c->host.identities[i]);
	if (c->signal_fd >= 0)
		close(c->signal_fd);
	if (c->epoll_fd >= 0)
		close(c->epoll_fd);
	sodium_memzero(c, sizeof(*c));
	free(c);
}

int connector_run(const struct connector_config *config, char *err, size_t err_len)
{
	struct connector *c = calloc(1, sizeof(*c));
	bool started, failed;

	if (!c) {
		snprintf(err, err_len, "out of memory");
		return 1;
	}
	c->config = config;
	c->epoll_fd = c->signal_fd = -1;
	c->host.arg = c;
	c->host.inner = path_inner;
	c->host.lost = on_lost;
	c->host.limits = on_limits;
	c->stack_ops = config->mode == CONNECTOR_MODE_TUN ? &stack_tun : &stack_slirp;
	if (gethostname(c->hostname, sizeof(c->hostname) - 1) || !c->hostname[0])
		snprintf(c->hostname, sizeof(c->hostname), "unknown");
	c->now_ns = clock_ns();
	started = start(c, err, err_len);
	if (started)
		loop(c);
	failed = c->failed;
	if (failed)
		snprintf(err, err_len, "the stack did not start; the log says why");
	finish(c);
	return started && !failed ? 0 : 1;
}
