// SPDX-License-Identifier: BSD-3-Clause
/* Loads, attaches and feeds the steering program. The object is inside the binary; attaching goes
 * through libxdp. */
#include "bpf/loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "bpf/attach.h"
#include "steer_object.h"

#define DEFAULT_ENDPOINTS 1024
#define DEFAULT_DENIED	  65536

struct steer {
	uint32_t ifindex;
	uint32_t prog_id;
	uint32_t max_endpoints, max_denied;
	int hold_fd;
	int prog_fd;
	int listen_fd, deny_fd, sockets_fd, settings_fd,
		counters_fd; /* maps; owned by the object */
	bool native, dispatcher;
	struct bpf_object *obj; /* libxdp leaves an object it was given to us */
	struct xdp_program *prog;
};

/*
 * libbpf and libxdp report through callbacks without context: one line is kept for the error
 * message. The verifier's log comes as one text; what it objects to stands before the line with its
 * statistics.
 */
static char last_warning[160];
static bool have_verdict;

static void keep_line(const char *line, size_t len)
{
	snprintf(last_warning, sizeof(last_warning), "%.*s", (int)len, line);
}

__attribute__((format(printf, 1, 0))) static void keep_warning(const char *format, va_list args)
{
	char *text = NULL;

	if (have_verdict || vasprintf(&text, format, args) < 0)
		return;
	char *stats = strstr(text, "\nprocessed ");

	if (stats) {
		*stats = '\0';
		char *start = strrchr(text, '\n');

		keep_line(start ? start + 1 : text, strlen(start ? start + 1 : text));
		have_verdict = true;
	} else if (*text && *text != '\n') {
		keep_line(text, strcspn(text, "\n"));
	}
	free(text);
}

__attribute__((format(printf, 2, 0))) static int libbpf_printer(enum libbpf_print_level level,
								const char *format, va_list args)
{
	if (level == LIBBPF_WARN)
		keep_warning(format, args);
	return 0;
}

__attribute__((format(printf, 2, 0))) static int libxdp_printer(enum libxdp_print_level level,
								const char *format, va_list args)
{
	if (level == LIBXDP_WARN)
		keep_warning(format, args);
	return 0;
}

static void silence_libraries(void)
{
	libbpf_set_print(libbpf_printer);
	libxdp_set_print(libxdp_printer);
	last_warning[0] = '\0';
	have_verdict = false;
}

static int set_capacity(struct bpf_object *obj, const char *map_name, uint32_t entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, map_name);

	return map ? bpf_map__set_max_entries(map, entries) : -ENOENT;
}

/* Opens the object anew: libxdp cannot attach a program twice after a failure. */
static int open_program(struct steer *steer)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = STEER_PROG_NAME);
	struct bpf_object *obj = bpf_object__open_mem(steer_object, sizeof(steer_object), &opts);

	if (!obj)
		return -errno;
	/* each endpoint needs its own entry and its address's; old and new ones stand side by side
	 * during a change */
	int err = set_capacity(obj, "steer_listen", 4 * steer->max_endpoints);

	if (!err)
		err = set_capacity(obj, "steer_deny", 2 * steer->max_denied);
	if (!err) {
		steer->prog = xdp_program__from_bpf_obj(obj, "xdp.frags");
		err = (int)libxdp_get_error(steer->prog);
		if (err)
			steer->prog = NULL;
	}
	if (err)
		bpf_object__close(obj);
	else
		steer->obj = obj;
	return err;
}

static void close_program(struct steer *steer)
{
	if (!steer->prog)
		return;
	xdp_program__close(steer->prog);
	bpf_object__close(steer->obj);
	steer->prog = NULL;
}

static int try_attach(struct steer *steer, enum xdp_attach_mode mode)
{
	int err = open_program(steer);

	if (err)
		return err;
	err = xdp_program__attach(steer->prog, (int)steer->ifindex, mode, 0);
	if (err) {
		close_program(steer);
		return err;
	}
	steer->native = mode == XDP_MODE_NATIVE;
	return 0;
}

static int attach_in(struct steer *steer, enum steer_mode mode)
{
	int err = -EOPNOTSUPP;

	if (mode != STEER_MODE_GENERIC)
		err = try_attach(steer, XDP_MODE_NATIVE);
	if (err && err != -EBUSY && err != -EPERM && mode != STEER_MODE_NATIVE)
		err = try_attach(steer, XDP_MODE_SKB);
	return err;
}

static bool detect_dispatcher(uint32_t ifindex)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex((int)ifindex);

	if (libxdp_get_error(mp))
		return false;
	bool dispatcher = !xdp_multiprog__is_legacy(mp);

	xdp_multiprog__close(mp);
	return dispatcher;
}

/* Where the kernel or a missing bpffs keeps the dispatcher from working, the program stands alone.
 */
static int attach_any(struct steer *steer, enum steer_mode mode)
{
	int err = attach_in(steer, mode);

	if (err && err != -EBUSY && !getenv("LIBXDP_SKIP_DISPATCHER")) {
		setenv("LIBXDP_SKIP_DISPATCHER", "1", 1);
		int again = attach_in(steer, mode);

		unsetenv("LIBXDP_SKIP_DISPATCHER");
		if (!again)
			err = 0;
	}
	if (!err)
		steer->dispatcher = detect_dispatcher(steer->ifindex);
	return err;
}

static int find_maps(struct steer *steer)
{
	const struct bpf_object *obj = steer->obj;

	steer->prog_fd = xdp_program__fd(steer->prog);
	steer->prog_id = xdp_program__id(steer->prog);
	steer->listen_fd = bpf_object__find_map_fd_by_name(obj, "steer_listen");
	steer->deny_fd = bpf_object__find_map_fd_by_name(obj, "steer_deny");
	steer->sockets_fd = bpf_object__find_map_fd_by_name(obj, "steer_sockets");
	steer->settings_fd = bpf_object__find_map_fd_by_name(obj, "steer_settings");
	steer->counters_fd = bpf_object__find_map_fd_by_name(obj, "steer_counters");
	if (steer->prog_fd < 0 || steer->listen_fd < 0 || steer->deny_fd < 0 ||
	    steer->sockets_fd < 0 || steer->settings_fd < 0 || steer->counters_fd < 0)
		return -ENOENT;
	return 0;
}

/* Takes hold of the interface and clears it of our leftovers. */
static int prepare(struct steer *steer, const char *iface, char *err, size_t err_size)
{
	char foreign[64] = "";

	steer->ifindex = if_nametoindex(iface);
	if (!steer->ifindex) {
		snprintf(err, err_size, "interface %s: %s", iface, strerror(errno));
		return -ENODEV;
	}
	steer->hold_fd = attach_hold(steer->ifindex);
	if (steer->hold_fd < 0) {
		snprintf(err, err_size, "interface %s: %s", iface,
			 steer->hold_fd == -EBUSY ? "another running edge steers it"
						  : strerror(-steer->hold_fd));
		return steer->hold_fd;
	}
	int res = attach_clean(steer->ifindex, foreign, sizeof(foreign));

	if (res == -EBUSY)
		snprintf(
			err, err_size,
			"interface %s: somebody else's XDP program %s is attached; remove it first",
			iface, foreign);
	else if (res < 0)
		snprintf(err, err_size, "interface %s: cannot look at its XDP programs: %s", iface,
			 strerror(-res));
	return res < 0 ? res : 0;
}

struct steer *steer_open(const struct steer_config *cfg, char *err, size_t err_size)
{
	struct steer *steer = calloc(1, sizeof(*steer));

	if (!steer) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	steer->hold_fd = -1;
	steer->max_endpoints = cfg->max_endpoints ? cfg->max_endpoints : DEFAULT_ENDPOINTS;
	steer->max_denied = cfg->max_denied ? cfg->max_denied : DEFAULT_DENIED;
	silence_libraries();
	if (prepare(steer, cfg->iface, err, err_size))
		goto fail;

	int res = attach_any(steer, cfg->mode);

	if (res) {
		snprintf(err, err_size, "interface %s: cannot attach the XDP program: %s%s%s",
			 cfg->iface, strerror(-res), *last_warning ? ": " : "", last_warning);
		goto fail;
	}
	res = find_maps(steer);
	if (res) {
		snprintf(err, err_size, "interface %s: the XDP program lacks a map", cfg->iface);
		steer_close(steer);
		return NULL;
	}
	return steer;
fail:
	close_program(steer);
	if (steer->hold_fd >= 0)
		close(steer->hold_fd);
	free(steer);
	return NULL;
}

void steer_close(struct steer *steer)
{
	if (!steer)
		return;
	if (steer->dispatcher)
		xdp_program__detach(steer->prog, (int)steer->ifindex,
				    steer->native ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	else
		attach_remove(steer->ifindex, xdp_program__id(steer->prog));
	close_program(steer);
	close(steer->hold_fd);
	free(steer);
}

int steer_cleanup(const char *iface)
{
	char foreign[64];
	uint32_t ifindex = if_nametoindex(iface);

	if (!ifindex)
		return -ENODEV;
	silence_libraries();
	int hold = attach_hold(ifindex);

	if (hold < 0)
		return hold;
	int res = attach_clean(ifindex, foreign, sizeof(foreign));

	close(hold);
	return res > 0 ? 1 : res;
}

bool steer_is_native(const struct steer *steer)
{
	return steer->native;
}

bool steer_has_dispatcher(const struct steer *steer)
{
	return steer->dispatcher;
}

int steer_prog_fd(const struct steer *steer)
{
	return steer->prog_fd;
}

/* A set of keys of one size, sorted, as a map shall hold them. */
struct key_set {
	void *keys;
	size_t n, size;
};

static size_t compare_size; /* control thread only */

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, compare_size);
}

static void key_set_sort(struct key_set *set)
{
	compare_size = set->size;
	if (set->n)
		qsort(set->keys, set->n, set->size, compare_keys);
}

static bool key_set_has(const struct key_set *set, const void *key)
{
	compare_size = set->size;
	return set->n && bsearch(key, set->keys, set->n, set->size, compare_keys);
}

/* Deletes what is in the map and not in the set. The next key is fetched before one goes. */
static int map_sweep(int map_fd, const struct key_set *set)
{
	unsigned char key[32], next[32];
	bool more = bpf_map_get_next_key(map_fd, NULL, key) == 0;

	while (more) {
		more = bpf_map_get_next_key(map_fd, key, next) == 0;
		if (!key_set_has(set, key) && bpf_map_delete_elem(map_fd, key) < 0 &&
		    errno != ENOENT)
			return -errno;
		memcpy(key, next, set->size);
	}
	return 0;
}

/* Makes a map hold exactly the keys of the set, adding before removing. */
static int map_replace(int map_fd, struct key_set *set)
{
	const uint32_t one = 1;

	key_set_sort(set);
	for (size_t i = 0; i < set->n; i++) {
		const char *key = (const char *)set->keys + i * set->size;

		if (bpf_map_update_elem(map_fd, key, &one, BPF_ANY) < 0)
			return -errno;
	}
	return map_sweep(map_fd, set);
}

static int endpoint_key(const struct steer_endpoint *ep, struct steer_endpoint_key *key)
{
	static const uint8_t any[16];
	size_t len = ep->family == AF_INET ? 4 : 16;

	if ((ep->family != AF_INET && ep->family != AF_INET6) || !ep->port_be16 ||
	    !memcmp(ep->addr, any, len))
		return -EINVAL;
	memset(key, 0, sizeof(*key));
	memcpy(key->addr, ep->addr, len);
	key->port_be16 = ep->port_be16;
	key->family = ep->family == AF_INET ? 4 : 6;
	return 0;
}

int steer_set_endpoints(struct steer *steer, const struct steer_endpoint *eps, size_t n)
{
	if (n > steer->max_endpoints)
		return -E2BIG;
	struct steer_endpoint_key *keys = calloc(2 * n + 1, sizeof(*keys));
	struct key_set set = {keys, 2 * n, sizeof(*keys)};
	int err = keys ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++) {
		err = endpoint_key(&eps[i], &keys[2 * i]);
		keys[2 * i + 1] = keys[2 * i];
		keys[2 * i + 1].port_be16 = 0;
	}
	if (!err)
		err = map_replace(steer->listen_fd, &set);
	free(keys);
	return err;
}

static int deny_key(const struct steer_prefix *prefix, struct steer_deny_key *key)
{
	size_t len = prefix->family == AF_INET ? 4 : 16;

	if ((prefix->family != AF_INET && prefix->family != AF_INET6) || prefix->len > 8 * len)
		return -EINVAL;
	memset(key, 0, sizeof(*key));
	key->prefixlen = 8U + prefix->len;
	key->family = prefix->family == AF_INET ? 4 : 6;
	for (unsigned bit = 0; bit < prefix->len; bit++)
		key->addr[bit / 8] |= prefix->addr[bit / 8] & (uint8_t)(0x80 >> bit % 8);
	return 0;
}

int steer_set_denied(struct steer *steer, const struct steer_prefix *prefixes, size_t n)
{
	const uint32_t zero = 0;
	struct steer_settings settings = {.deny_active = n > 0};

	if (n > steer->max_denied)
		return -E2BIG;
	struct steer_deny_key *keys = calloc(n + 1, sizeof(*keys));
	struct key_set set = {keys, n, sizeof(*keys)};
	int err = keys ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++)
		err = deny_key(&prefixes[i], &keys[i]);
	if (!err)
		err = map_replace(steer->deny_fd, &set);
	if (!err && bpf_map_update_elem(steer->settings_fd, &zero, &settings, BPF_ANY) < 0)
		err = -errno;
	free(keys);
	return err;
}

int steer_set_socket(struct steer *steer, uint32_t queue, int fd)
{
	if (queue >= STEER_MAX_QUEUES)
		return -EINVAL;
	if (fd < 0)
		return bpf_map_delete_elem(steer->sockets_fd, &queue) < 0 && errno != ENOENT
			       ? -errno
			       : 0;
	return bpf_map_update_elem(steer->sockets_fd, &queue, &fd, BPF_ANY) < 0 ? -errno : 0;
}

int steer_read_counters(const struct steer *steer, struct steer_counters *out)
{
	const uint32_t zero = 0;
	int n_cpus = libbpf_num_possible_cpus();

	if (n_cpus < 0)
		return n_cpus;
	struct steer_counters *each = calloc((size_t)n_cpus, sizeof(*each));

	if (!each)
		return -ENOMEM;
	memset(out, 0, sizeof(*out));
	int err = bpf_map_lookup_elem(steer->counters_fd, &zero, each) < 0 ? -errno : 0;

	for (int cpu = 0; cpu < n_cpus && !err; cpu++)
		for (int i = 0; i < STEER_COUNTERS; i++)
			out->c[i] += each[cpu].c[i];
	free(each);
	return err;
}
