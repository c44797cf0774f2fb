// SPDX-License-Identifier: BSD-3-Clause
/* Loads and attaches the steering program; maps.c feeds it. The object is inside the binary; attaching goes
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
#include "bpf/internal.h"
#include "steer_object.h"

#define DEFAULT_ENDPOINTS 1024
#define DEFAULT_DENIED	  65536
#define DEFAULT_ALLOWED	  65536
#define DEFAULT_KNOWN	  65536

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
	if (!err)
		err = set_capacity(obj, "steer_allow", 2 * steer->max_allowed);
	if (!err)
		err = set_capacity(obj, "steer_known", 2 * steer->max_known);
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
	steer->allow_fd = bpf_object__find_map_fd_by_name(obj, "steer_allow");
	steer->known_fd = bpf_object__find_map_fd_by_name(obj, "steer_known");
	steer->sockets_fd = bpf_object__find_map_fd_by_name(obj, "steer_sockets");
	steer->settings_fd = bpf_object__find_map_fd_by_name(obj, "steer_settings");
	steer->counters_fd = bpf_object__find_map_fd_by_name(obj, "steer_counters");
	if (steer->prog_fd < 0 || steer->listen_fd < 0 || steer->deny_fd < 0 ||
	    steer->allow_fd < 0 || steer->known_fd < 0 || steer->sockets_fd < 0 || steer->settings_fd < 0 || steer->counters_fd < 0)
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
	steer->max_allowed = cfg->max_allowed ? cfg->max_allowed : DEFAULT_ALLOWED;
	steer->max_known = cfg->max_known ? cfg->max_known : DEFAULT_KNOWN;
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
