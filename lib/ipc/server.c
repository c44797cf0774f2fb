// SPDX-License-Identifier: BSD-3-Clause
// JSON-RPC server: the socket, its peers' rights, and the poll turn. One connection's reading and writing: server_conn.c.
#include "lib/ipc/server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/ipc/server_int.h"
#include "lib/log.h"

uint64_t ipc_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool group_id(const char *name, gid_t *gid)
{
	struct group gr, *res = NULL;
	char buf[16384];

	if (!name || getgrnam_r(name, &gr, buf, sizeof(buf), &res) != 0 || !res)
		return false;
	*gid = gr.gr_gid;
	return true;
}

/* True if a living server answers on the path. */
static bool somebody_listens(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive = fd >= 0 && (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return alive;
}

static int listen_on(struct ipc_server *s)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct stat st;
	mode_t old;
	int ret;

	if (strlen(s->cfg.path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, s->cfg.path);
	if (lstat(s->cfg.path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode) || somebody_listens(&sa))
			return -EADDRINUSE;
		unlink(s->cfg.path);
	}
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->listen_fd < 0)
		return -errno;
	old = umask(0777 & ~(s->cfg.mode ? s->cfg.mode : 0666));
	ret = bind(s->listen_fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(old);
	if (ret == 0 && listen(s->listen_fd, 128) < 0)
		ret = -errno;
	return ret;
}

static int watch(struct ipc_server *s, int fd, void *tag)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = tag};

	if (fd < 0)
		return -errno;
	return epoll_ctl(s->epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

struct ipc_server *ipc_server_create(const struct ipc_server_config *cfg, char *err, size_t err_len)
{
	struct ipc_server *s = calloc(1, sizeof(*s));
	int ret = -ENOMEM;

	if (!s) {
		snprintf(err, err_len, "%s: %s", cfg->path, strerror(ENOMEM));
		return NULL;
	}
	s->cfg = *cfg;
	s->cfg.path = strdup(cfg->path);
	s->cfg.max_line_write = cfg->max_line_write ? cfg->max_line_write : IPC_LINE_MAX_TRUSTED;
	s->cfg.max_conns = cfg->max_conns ? cfg->max_conns : 256;
	s->listen_fd = s->timer_fd = s->wake_fd = -1;
	s->has_write = group_id(cfg->group_write, &s->gid_write);
	s->has_read = group_id(cfg->group_read, &s->gid_read);
	s->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (s->cfg.path)
		ret = s->epfd < 0 ? -errno : listen_on(s);
	if (ret == 0)
		ret = watch(s, s->listen_fd, &s->listen_fd);
	if (ret == 0) {
		s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
		ret = watch(s, s->timer_fd, &s->timer_fd);
	}
	if (ret == 0) {
		s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		ret = watch(s, s->wake_fd, &s->wake_fd);
	}
	if (ret < 0) {
		snprintf(err, err_len, "%s: %s", cfg->path,
			 ret == -EADDRINUSE ? "another server owns this socket" : strerror(-ret));
		if (ret == -EADDRINUSE)
			close(s->listen_fd), s->listen_fd = -1;
		ipc_server_destroy(s);
		return NULL;
	}
	return s;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void conn_free(struct ipc_conn *c)
{
	struct ipc_server *s = c->s;

	if (s->cfg.on_close)
		s->cfg.on_close(c, s->cfg.user);
	for (struct ipc_call *call = c->calls; call; call = call->next)
		call->conn = NULL;
	while (c->out_head) {
		struct out_line *o = c->out_head;

		c->out_head = o->next;
		explicit_bzero(o->p, o->len);
		free(o->p);
		free(o);
	}
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->n_conns--;
	s->n_strangers -= c->peer.may_read ? 0 : 1;
	close(c->fd);
	ipc_line_free(&c->in);
	free(c);
}

void ipc_server_destroy(struct ipc_server *s)
{
	if (!s)
		return;
	while (s->conns)
		conn_free(s->conns);
	if (s->listen_fd >= 0 && s->cfg.path)
		unlink(s->cfg.path);
	close_fd(s->listen_fd);
	close_fd(s->timer_fd);
	close_fd(s->wake_fd);
	close_fd(s->epfd);
	free((void *)(uintptr_t)s->cfg.path);
	free(s);
}

static bool in_groups(const gid_t *groups, size_t n, gid_t gid)
{
	for (size_t i = 0; i < n; i++) {
		if (groups[i] == gid)
			return true;
	}
	return false;
}

static void read_comm(struct ipc_peer *p)
{
	char path[64], raw[32];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)p->pid);
	fd = p->pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		n = read(fd, raw, sizeof(raw));
		close(fd);
	}
	if (n > 0 && raw[n - 1] == '\n')
		n--;
	if (n > 0)
		log_escape(p->comm, sizeof(p->comm), raw, (size_t)n);
	else
		strcpy(p->comm, "?");
}

/* Who connected, and what the groups allow. */
static int read_peer(const struct ipc_server *s, int fd, struct ipc_peer *p)
{
	struct ucred uc;
	socklen_t len = sizeof(uc);
	gid_t groups[1024];
	size_t n = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) < 0)
		return -errno;
	*p = (struct ipc_peer){.uid = uc.uid, .gid = uc.gid, .pid = uc.pid};
	len = sizeof(groups) - sizeof(gid_t);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0)
		n = len / sizeof(gid_t);
	groups[n++] = uc.gid;
	p->may_write = uc.uid == 0 || (s->has_write && in_groups(groups, n, s->gid_write));
	p->may_read = p->may_write || (s->has_read && in_groups(groups, n, s->gid_read));
	read_comm(p);
	return 0;
}

static struct ipc_conn *conn_new(struct ipc_server *s, int fd, const struct ipc_peer *peer)
{
	struct ipc_conn *c = calloc(1, sizeof(*c));
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};

	if (!c || epoll_ctl(s->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		free(c);
		return NULL;
	}
	c->s = s;
	c->fd = fd;
	c->armed = EPOLLIN;
	c->peer = *peer;
	c->out_tail = &c->out_head;
	ipc_line_init(&c->in, peer->may_write ? s->cfg.max_line_write : IPC_LINE_MAX_UNTRUSTED);
	c->next = s->conns;
	if (c->next)
		c->next->prev = c;
	s->conns = c;
	s->n_conns++;
	s->n_strangers += peer->may_read ? 0 : 1;
	return c;
}

/* Also switches the listener off for a moment when there are no descriptors left, so that poll does not spin. */
static void listen_enable(struct ipc_server *s, bool on)
{
	struct epoll_event ev = {.events = on ? EPOLLIN : 0, .data.ptr = &s->listen_fd};

	epoll_ctl(s->epfd, EPOLL_CTL_MOD, s->listen_fd, &ev);
	s->listen_off = !on;
}

static void accept_some(struct ipc_server *s)
{
	for (unsigned i = 0; i < 16; i++) {
		int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct ipc_peer peer;

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
				log_rated(LOG_LEVEL_WARN, "%s: cannot accept: %s", s->cfg.path, strerror(errno));
				listen_enable(s, false);
			}
			return;
		}
		if (read_peer(s, fd, &peer) < 0 || s->n_conns >= s->cfg.max_conns ||
		    (!peer.may_read && s->n_strangers >= (s->cfg.max_conns + 3) / 4) || !conn_new(s, fd, &peer)) {
			s->stats.refused_full++;
			log_rated(LOG_LEVEL_WARN, "%s: connection refused: %u are open", s->cfg.path, s->n_conns);
			close(fd);
			continue;
		}
		s->stats.accepted++;
	}
}

void ipc_server_wake(struct ipc_server *s)
{
	uint64_t one = 1;
	ssize_t n = write(s->wake_fd, &one, sizeof(one));

	(void)n; /* a full counter is awake already */
}

static uint64_t conn_deadline(const struct ipc_conn *c)
{
	if (c->closing)
		return c->close_by_ns;
	/* A connection that waits for us, not we for it, has no deadline. */
	return (c->armed & EPOLLIN) ? ipc_line_deadline_ns(&c->in) : UINT64_MAX;
}

static void expire(struct ipc_conn *c, uint64_t now)
{
	struct ipc_error e = {.code = IPC_INVALID_REQUEST, .message = "the line was not complete 10 s after its first byte"};

	if (c->dead || now < conn_deadline(c))
		return;
	if (c->closing) {
		c->dead = true;
		return;
	}
	c->s->stats.late_lines++;
	ipc_conn_send_error(c, NULL, &e);
	c->closing = true;
	c->close_by_ns = now + 1000000000u;
	ipc_conn_flush(c);
}

static void housekeeping(struct ipc_server *s)
{
	uint64_t now = ipc_now_ns(), next = UINT64_MAX;
	struct itimerspec its = {0};

	for (struct ipc_conn *c = s->conns, *n; c; c = n) {
		n = c->next;
		if (c->resume && !c->dead) {
			c->resume = false;
			ipc_conn_lines(c);
		}
		expire(c, now);
		if (c->dead) {
			conn_free(c);
			continue;
		}
		ipc_conn_arm(c);
		if (conn_deadline(c) < next)
			next = conn_deadline(c);
	}
	if (s->listen_off && now + 1000000000u < next)
		next = now + 1000000000u;
	if (next != UINT64_MAX) {
		its.it_value.tv_sec = (time_t)(next / 1000000000u);
		its.it_value.tv_nsec = (long)(next % 1000000000u);
	}
	timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

static void drain_fd(int fd)
{
	uint64_t v;
	ssize_t n = read(fd, &v, sizeof(v));

	(void)n;
}

static void on_event(struct ipc_server *s, const struct epoll_event *ev)
{
	struct ipc_conn *c = ev->data.ptr;

	if (ev->data.ptr == &s->listen_fd) {
		accept_some(s);
	} else if (ev->data.ptr == &s->timer_fd) {
		drain_fd(s->timer_fd);
		if (s->listen_off)
			listen_enable(s, true);
	} else if (ev->data.ptr == &s->wake_fd) {
		drain_fd(s->wake_fd);
	} else if (!c->dead) {
		bool hangup = ev->events & (EPOLLHUP | EPOLLERR);

		if (ev->events & EPOLLOUT)
			ipc_conn_flush(c);
		if (((ev->events & EPOLLIN) || hangup) && !c->dead)
			ipc_conn_readable(c, hangup);
	}
}

int ipc_server_poll(struct ipc_server *s, int timeout_ms)
{
	struct epoll_event evs[64];
	int n = epoll_wait(s->epfd, evs, 64, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++)
		on_event(s, &evs[i]);
	housekeeping(s);
	return 0;
}

int ipc_server_fd(const struct ipc_server *s)
{
	return s->epfd;
}

unsigned ipc_server_conns(const struct ipc_server *s)
{
	return s->n_conns;
}

const struct ipc_server_stats *ipc_server_get_stats(const struct ipc_server *s)
{
	return &s->stats;
}
