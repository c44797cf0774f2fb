// SPDX-License-Identifier: BSD-3-Clause
/* Keeps the outer network's snapshot current: listens to rtnetlink, reads anew what has changed,
 * publishes. */
#include "dataplane/outer/outer.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "dataplane/outer/outer_snapshot.h"

#define RECEIVE_BUFFER	  (4 << 20)
#define MESSAGES_PER_TURN 256
#define GATHER_MS	  10 /* a change waits so long for its fellows */
#define GATHER_MAX_MS                                                              \
	2000 /* with many routes: four times what reading them takes, at most this \
	      */
#define SCAN_MS		 5000  /* how often stale neighbours are looked for */
#define PROBE_EVERY_MS	 30000 /* one stale neighbour is probed so often at most */
#define REQUEST_EVERY_MS 1000
#define N_REQUESTS	 256

enum dirty {
	DIRTY_NEIGHS = 1, /* published at once */
	DIRTY_LINKS = 2,  /* links, addresses; routes with them: the kernel is silent about routes
			     that went with a link */
	DIRTY_ROUTES = 4,
	DIRTY_ALL_NEIGHS = 8, /* messages were lost */
	DIRTY_GIVEN_UP =
		16, /* the kernel gave up on a neighbour that workers want: let them ask again */
};

/* What is gathered before it is dealt with. */
#define DIRTY_BIG (DIRTY_LINKS | DIRTY_ROUTES | DIRTY_ALL_NEIGHS)

struct request {
	struct outer_neigh_key key;
	uint64_t at_ms;
};

struct outer {
	struct mnl_socket *monitor, *asker;
	struct outer_config cfg;
	struct outer_port ports[OUTER_MAX_PORTS];
	size_t n_ports;
	struct outer_tables tables;
	struct outer_fib *fib;
	_Atomic(struct outer_snapshot *) current; /* control: writes; workers: read */
	unsigned dirty;				  /* enum dirty */
	uint64_t due_ms; /* when DIRTY_LINKS, DIRTY_ROUTES are dealt with */
	uint64_t gather_ms, scanned_ms;
	struct request requests[N_REQUESTS];
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

const struct outer_snapshot *outer_snapshot_get(const struct outer *outer)
{
	return atomic_load_explicit(&outer->current, memory_order_acquire);
}

/* Publishes if something that workers see has changed. 0 or -ENOMEM (the old snapshot stays). */
static int publish(struct outer *outer)
{
	struct outer_snapshot *old = atomic_load_explicit(&outer->current, memory_order_relaxed);

	if (old)
		outer_snapshot_harvest(old, &outer->tables);
	struct outer_snapshot *fresh =
		outer_snapshot_build(&outer->tables, outer->fib, outer->ports, outer->n_ports,
				     old ? outer_generation(old) + 1 : 1);

	if (!fresh)
		return -ENOMEM;
	if (old && !(outer->dirty & DIRTY_GIVEN_UP) && outer_snapshot_equal(old, fresh)) {
		outer_snapshot_free(fresh);
		return 0;
	}
	atomic_store_explicit(&outer->current, fresh, memory_order_release);
	if (outer->cfg.changed)
		outer->cfg.changed(outer->cfg.arg, fresh);
	if (old && outer->cfg.retire)
		outer->cfg.retire(old, outer_snapshot_free);
	else
		outer_snapshot_free(old);
	return 0;
}

static int read_routes(struct outer *outer)
{
	uint64_t start = now_ms();
	int res = outer_dump_routes(outer->asker, &outer->tables);

	if (res)
		return res;
	struct outer_fib *fib = outer_fib_build(&outer->tables);

	if (!fib)
		return -ENOMEM;
	outer_fib_release(outer->fib);
	outer->fib = fib;
	uint64_t gather = 4 * (now_ms() - start);

	outer->gather_ms = gather < GATHER_MS	    ? GATHER_MS
			   : gather > GATHER_MAX_MS ? GATHER_MAX_MS
						    : gather;
	return 0;
}

/* Reads anew what is dirty. What cannot be read stays dirty, and is tried again. */
static int reread(struct outer *outer)
{
	int res = 0;

	if (outer->dirty & DIRTY_LINKS) {
		res = outer_dump_links(outer->asker, &outer->tables);
		if (!res)
			res = outer_dump_locals(outer->asker, &outer->tables);
	}
	if (!res && outer->dirty & (DIRTY_LINKS | DIRTY_ROUTES))
		res = read_routes(outer);
	if (!res && outer->dirty & DIRTY_ALL_NEIGHS)
		res = outer_dump_neighs(outer->asker, &outer->tables);
	if (!res)
		outer->dirty &= ~(unsigned)DIRTY_BIG;
	return res;
}

static void mark(struct outer *outer, unsigned what)
{
	if (!(outer->dirty & DIRTY_BIG) && what & DIRTY_BIG)
		outer->due_ms = now_ms() + outer->gather_ms;
	outer->dirty |= what;
}

static struct request *find_request(struct outer *outer, const struct outer_neigh_key *key)
{
	for (int i = 0; i < N_REQUESTS; i++)
		if (outer->requests[i].at_ms && !memcmp(&outer->requests[i].key, key, sizeof(*key)))
			return &outer->requests[i];
	return NULL;
}

/*
 * Workers cache answers by generation, so "not resolved" would stay if nothing changed. When the
 * kernel gives up on a neighbour that was asked for, a new generation makes those who still have
 * packets for it ask again.
 */
static void give_up(struct outer *outer, const struct outer_neigh_key *key)
{
	struct request *request = find_request(outer, key);

	if (!request)
		return;
	request->at_ms = 0;
	mark(outer, DIRTY_GIVEN_UP | DIRTY_NEIGHS);
}

static void take_neigh(struct outer *outer, const struct nlmsghdr *nlh)
{
	struct outer_neigh neigh;

	if (!outer_parse_neigh(nlh, &neigh))
		return;
	if (nlh->nlmsg_type == RTM_DELNEIGH)
		outer_neigh_remove(&outer->tables, &neigh.key);
	else if (!outer_neigh_put(&outer->tables, &neigh))
		mark(outer, DIRTY_ALL_NEIGHS);
	if (nlh->nlmsg_type == RTM_DELNEIGH || neigh.state & NUD_FAILED)
		give_up(outer, &neigh.key);
	mark(outer, DIRTY_NEIGHS);
}

static int monitor_cb(const struct nlmsghdr *nlh, void *data)
{
	struct outer *outer = data;

	switch (nlh->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		take_neigh(outer, nlh);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_NEWADDR:
	case RTM_DELADDR:
		mark(outer, DIRTY_LINKS);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (outer_route_is_main(nlh))
			mark(outer, DIRTY_ROUTES);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/* True: there may be more. */
static bool receive(struct outer *outer)
{
	static char buf[32768] __attribute__((aligned(8)));

	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		ssize_t n = mnl_socket_recvfrom(outer->monitor, buf, sizeof(buf));

		if (n < 0 && errno == ENOBUFS) {
			mark(outer, DIRTY_LINKS | DIRTY_ROUTES | DIRTY_ALL_NEIGHS);
			continue;
		}
		if (n < 0)
			return false;
		mnl_cb_run(buf, (size_t)n, 0, 0, monitor_cb, outer);
	}
	return true;
}

/* Nobody else confirms neighbours that only we use: our packets do not pass the kernel. */
static void probe_stale(struct outer *outer, uint64_t now)
{
	struct outer_neigh *neighs = outer->tables.neighs.items;

	outer_snapshot_harvest(outer_snapshot_get(outer), &outer->tables);
	for (size_t i = 0; i < outer->tables.neighs.n; i++) {
		if (!neighs[i].used || neighs[i].state != NUD_STALE ||
		    (neighs[i].probed_ms && now - neighs[i].probed_ms < PROBE_EVERY_MS))
			continue;
		neighs[i].probed_ms = now;
		outer_use_neigh(outer->asker, &neighs[i].key);
	}
	outer->scanned_ms = now;
}

int outer_process(struct outer *outer)
{
	bool more = receive(outer);
	uint64_t now = now_ms();
	bool big = outer->dirty & DIRTY_BIG;

	if (big && now >= outer->due_ms) {
		if (!reread(outer) && !publish(outer)) {
			outer->dirty = 0;
		} else { /* out of memory, or a dump that never ends: the old picture stays for now
			  */
			outer->dirty |= DIRTY_LINKS;
			outer->due_ms = now + GATHER_MAX_MS;
		}
		big = outer->dirty & DIRTY_BIG;
	} else if (outer->dirty & DIRTY_NEIGHS && !publish(outer)) {
		outer->dirty &= DIRTY_BIG;
	}
	if (now - outer->scanned_ms >= SCAN_MS)
		probe_stale(outer, now);
	if (more)
		return 0;
	uint64_t wait = outer->scanned_ms + SCAN_MS - now;

	if (big && outer->due_ms < now + wait)
		wait = outer->due_ms > now ? outer->due_ms - now : 0;
	return (int)wait;
}

int outer_request_neigh(struct outer *outer, uint32_t ifindex, const struct outer_addr *next_hop)
{
	const struct outer_neigh_key key = {.ifindex = ifindex, .addr = *next_hop};
	uint64_t now = now_ms();

	if (next_hop->family != AF_INET && next_hop->family != AF_INET6)
		return -EINVAL;
	struct request *slot = find_request(outer, &key);

	if (!slot) {
		slot = &outer->requests[0];
		for (int i = 1; i < N_REQUESTS; i++)
			if (outer->requests[i].at_ms < slot->at_ms)
				slot = &outer->requests[i];
	}
	if (slot->at_ms && now - slot->at_ms < REQUEST_EVERY_MS)
		/* asked just now; or so many neighbours in one second that more would only fill the
		 * kernel's table */
		return memcmp(&slot->key, &key, sizeof(key)) ? -EAGAIN : 0;
	slot->key = key;
	slot->at_ms = now;
	return outer_use_neigh(outer->asker, &key);
}

int outer_set_ports(struct outer *outer, const struct outer_port *ports, size_t n)
{
	if (n > OUTER_MAX_PORTS)
		return -EINVAL;
	if (n)
		memcpy(outer->ports, ports, n * sizeof(*ports));
	outer->n_ports = n;
	return outer->fib ? publish(outer) : 0;
}

int outer_fd(const struct outer *outer)
{
	return mnl_socket_get_fd(outer->monitor);
}

static struct mnl_socket *open_netlink(int flags)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);

	if (nl && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = errno;

		mnl_socket_close(nl);
		errno = err;
		return NULL;
	}
	return nl;
}

static int open_sockets(struct outer *outer)
{
	static const int groups[] = {RTNLGRP_LINK,	  RTNLGRP_NEIGH,      RTNLGRP_IPV4_IFADDR,
				     RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
	const struct timeval patience = {.tv_sec = 2};
	const int size = RECEIVE_BUFFER;

	outer->monitor = open_netlink(SOCK_NONBLOCK);
	outer->asker = outer->monitor ? open_netlink(0) : NULL;
	if (!outer->asker)
		return -errno;
	setsockopt(mnl_socket_get_fd(outer->asker), SOL_SOCKET, SO_RCVTIMEO, &patience,
		   sizeof(patience));
	if (setsockopt(outer_fd(outer), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(outer_fd(outer), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(outer->monitor, NETLINK_ADD_MEMBERSHIP, &group,
					  sizeof(group)) < 0)
			return -errno;
	}
	return 0;
}

struct outer *outer_open(const struct outer_config *cfg, char *err, size_t err_size)
{
	struct outer *outer = calloc(1, sizeof(*outer));

	if (!outer) {
		snprintf(err, err_size, "netlink: out of memory");
		return NULL;
	}
	outer->cfg = *cfg;
	outer->gather_ms = GATHER_MS;
	outer->scanned_ms = now_ms();
	outer_tables_init(&outer->tables);
	int res = outer_set_ports(outer, cfg->ports, cfg->n_ports);

	if (res) {
		snprintf(err, err_size, "netlink: %zu ports are more than %d", cfg->n_ports,
			 OUTER_MAX_PORTS);
		outer_close(outer);
		return NULL;
	}
	/* first listen, then read: nothing falls between */
	res = open_sockets(outer);
	outer->dirty = DIRTY_LINKS | DIRTY_ROUTES | DIRTY_ALL_NEIGHS;
	if (!res)
		res = reread(outer);
	if (!res)
		res = publish(outer);
	outer->dirty = 0;
	if (res) {
		snprintf(err, err_size, "netlink: cannot read the outer network: %s",
			 strerror(-res));
		outer_close(outer);
		return NULL;
	}
	return outer;
}

void outer_close(struct outer *outer)
{
	if (!outer)
		return;
	outer_snapshot_free(atomic_load(&outer->current));
	outer_fib_release(outer->fib);
	outer_tables_free(&outer->tables);
	if (outer->monitor)
		mnl_socket_close(outer->monitor);
	if (outer->asker)
		mnl_socket_close(outer->asker);
	free(outer);
}
